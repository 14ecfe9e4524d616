use super::*;

#[test]
fn box_reaching_beyond_the_picture_is_clamped_and_its_landmarks_are_not() {
    let landmarks = Landmarks([Point { x: -2.0, y: -1.0 }; 5]);
    let face = FoundFace { corners: [-5.0, -3.0, 400.0, 20.4], landmarks, score: 0.9 };
    let detection = detection(&face, 100, 60);
    assert_eq!(detection.bounding_box, BoundingBox { left: 0, top: 0, width: 100, height: 20 });
    assert_eq!(detection.landmarks.0[0], Point { x: -2.0, y: -1.0 });
}

#[test]
fn picture_takes_its_memory_from_the_budget_and_one_that_can_never_fit_is_refused() {
    let rules = ImageRules {
        formats: likeness_domain::ports::ImageFormats::ALL,
        bytes_max: 1 << 20,
        side_max: 12_000,
        side_min: 1,
    };
    // A bitmap of 24 bits, of which decoding takes the header's word only.
    let mut file = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    file.extend(1000_u32.to_le_bytes());
    file.extend(500_u32.to_le_bytes());
    file.extend([1, 0, 24, 0].into_iter().chain([0; 24]));
    let encoded = EncodedImage::open(&file, &rules).expect("a header");

    let memory = Budget::new(16 << 20);
    let reservation = reserve(&memory, &encoded, Reduction::Full).expect("fits");
    let (needed, picture) = (reservation.n_bytes(), 1000 * 500 * 3);
    assert!(needed >= picture * 4 / 3 && needed >= encoded.memory_bytes(Reduction::Full), "{needed}");
    assert_eq!(memory.free_bytes(), (16 << 20) - needed);
    drop(reservation);
    assert_eq!(memory.free_bytes(), 16 << 20);

    let error = reserve(&Budget::new(1 << 20), &encoded, Reduction::Full).expect_err("larger than all of it");
    assert_eq!(error.kind(), Kind::ImageDimensions);
    assert!(error.message().contains("expected at most 1 MiB (setting `analysis_memory_mib`)"), "{error}");
    assert!(reserve(&Budget::new(1 << 20), &encoded, Reduction::Quarter).is_err(), "a bitmap is decoded whole first");
}
