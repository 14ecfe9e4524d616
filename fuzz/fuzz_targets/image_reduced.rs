//! Any bytes as an image, decoded reduced: the sides that the header promised, or refused with an image kind. A file
//! that decodes at full size decodes reduced as well.
#![no_main]

use libfuzzer_sys::fuzz_target;
use likeness_domain::Kind;
use likeness_domain::ports::{ImageFormats, ImageRules};
use likeness_vision::decode::{EncodedImage, Reduction};

fuzz_target!(|bytes: &[u8]| {
    let rules = ImageRules { formats: ImageFormats::ALL, bytes_max: 1 << 20, side_max: 512, side_min: 1 };
    let Ok(encoded) = EncodedImage::open(bytes, &rules) else { return };
    let outcomes = Reduction::ALL.map(|reduction| match encoded.decode(reduction) {
        Ok(image) => {
            assert_eq!((image.width(), image.height()), encoded.sides(reduction));
            assert!(encoded.memory_bytes(reduction) >= image.data().len() as u64);
            true
        }
        Err(err) => {
            assert!(matches!(err.kind(), Kind::ImageCorrupt | Kind::ImageDimensions), "{err:?}");
            false
        }
    });
    assert!(outcomes.iter().all(|&is_read| is_read == outcomes[0]), "{outcomes:?}");
});
