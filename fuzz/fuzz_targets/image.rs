//! Any bytes as an image: decoded upright within bounds, or refused with an image kind. Never a panic, never more
//! memory than the header allows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use likeness_domain::Kind;
use likeness_domain::ports::{ImageFormats, ImageRules};

fuzz_target!(|bytes: &[u8]| {
    let rules = ImageRules { formats: ImageFormats::ALL, bytes_max: 1 << 20, side_max: 1024, side_min: 1 };
    match likeness_vision::decode::decode(bytes, &rules) {
        Ok(image) => {
            assert!((1..=1024).contains(&image.width()) && (1..=1024).contains(&image.height()));
            assert_eq!(image.data().len(), image.width() as usize * image.height() as usize * 3);
        }
        Err(err) => assert!(
            matches!(err.kind(), Kind::ImageFormat | Kind::ImageCorrupt | Kind::ImageDimensions | Kind::ImageTooLarge),
            "{err:?}"
        ),
    }
});
