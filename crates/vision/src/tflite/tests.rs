use super::*;

#[test]
fn sixteen_bit_floats_are_read_exactly() {
    let cases = [
        (0x0000, 0.0),
        (0x8000, -0.0),
        (0x3c00, 1.0),
        (0xc000, -2.0),
        (0x3555, 0.333_251_95),
        (0x7bff, 65_504.0),
        (0x0400, 6.103_515_6e-5),
        (0x0001, 5.960_464_5e-8),
        (0x83ff, -6.097_555e-5),
        (0x7c00, f32::INFINITY),
    ];
    for (bits, number) in cases {
        assert_eq!(convert::from_f16(bits).to_bits(), f32::to_bits(number), "{bits:#06x}");
    }
    assert!(convert::from_f16(0x7e00).is_nan());
}
