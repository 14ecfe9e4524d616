//! Every implementation this processor can run against the plain one, byte for byte.

use proptest::prelude::*;

use super::{BlockValues, Kernel, portable};

fn vectors() -> Vec<&'static Kernel> {
    Kernel::all().into_iter().filter(|kernel| kernel.name != "portable").collect()
}

fn row(n_samples: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), n_samples)
}

proptest! {
    #[test]
    fn transforms_are_the_same(
        // Some products are larger than an encoder writes: damaged files have such.
        values in prop::collection::vec((0_usize..64, prop_oneof![-60_i16..=60, -2000_i16..=2000]), 0..64),
        quantiser in 1_i16..=40,
    ) {
        let mut block: BlockValues = [0; 64];
        for (place, value) in values {
            block[place] = value;
        }
        let expected = (portable::KERNEL.transform)(&block, &[quantiser; 64]);
        for kernel in vectors() {
            prop_assert_eq!((kernel.transform)(&block, &[quantiser; 64]), expected, "{}", kernel.name);
        }
    }

    #[test]
    fn rows_are_the_same(rows in (2_usize..150).prop_flat_map(|n| (row(n), row(n), row(n)))) {
        let (first, second, third) = rows;
        let n = first.len();
        let enlarged = |kernel: &Kernel| {
            let (mut wide, mut both, mut high) = (vec![0; 2 * n], vec![0; 2 * n], [vec![0; n], vec![0; n]]);
            (kernel.twice_as_wide)(&first, &mut wide);
            (kernel.twice_both)(&first, &second, &mut vec![0; n], &mut both);
            (kernel.twice_as_high)(&first, &second, false, &mut high[0]);
            (kernel.twice_as_high)(&first, &second, true, &mut high[1]);
            let mut pixels = vec![[0; 3]; n];
            (kernel.rgb)([&first, &second, &third], &mut pixels);
            (wide, both, high, pixels)
        };
        for kernel in vectors() {
            prop_assert_eq!(enlarged(kernel), enlarged(&portable::KERNEL), "{}", kernel.name);
        }
    }
}

#[test]
fn every_colour_is_the_same() {
    let ramp: Vec<u8> = (0..=255).collect();
    for kernel in vectors() {
        for (cb, luma) in (0..=255_u8).flat_map(|cb| [(cb, 0), (cb, 100), (cb, 255)]) {
            let rows: [&[u8]; 3] = [&[luma; 256], &[cb; 256], &ramp];
            let (mut found, mut expected) = ([[0; 3]; 256], [[0; 3]; 256]);
            (kernel.rgb)(rows, &mut found);
            (portable::KERNEL.rgb)(rows, &mut expected);
            assert!(found == expected, "{}: luma {luma}, Cb {cb}", kernel.name);
        }
    }
}
