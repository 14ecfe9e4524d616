use likeness_domain::score::OperatingPoint;

use super::*;

fn calibration(points: &[(f64, f32)]) -> Calibration {
    let point = |&(far, cosine)| OperatingPoint::new(far, Similarity::new(cosine));
    Calibration::new(points.iter().map(point).collect()).unwrap()
}

/// As measured for the default pack.
fn default_pack() -> Scale {
    scale(&calibration(&[
        (1e-1, 0.1987),
        (1e-2, 0.2908),
        (1e-3, 0.3582),
        (1e-4, 0.4148),
        (1e-5, 0.4632),
        (1e-6, 0.5125),
    ]))
}

#[test]
fn the_default_pack_has_the_published_knots() {
    let knots = [
        (-1.0, 0.0),
        (0.0, 0.30),
        (0.2908, 0.80),
        (0.3582, 0.88),
        (0.4148, 0.93),
        (0.4632, 0.955),
        (0.5125, 0.97),
        (0.666, 0.99),
        (1.0, 1.0),
    ];
    for (cosine, shown) in knots {
        assert_eq!(default_pack().to_number(Similarity::new(cosine)), shown, "{cosine}");
    }
}

#[test]
fn the_advised_threshold_is_the_measured_one() {
    let threshold = default_pack().to_similarity(0.93).get();
    assert!((threshold - 0.4148).abs() < 1e-5, "{threshold}");
}

#[test]
fn a_pack_of_another_range_still_rises_from_0_to_1() {
    let odd = [
        &[(1e-2, -0.2), (1e-4, 0.1)][..],
        &[(1e-1, 0.80), (1e-2, 0.99)],
        &[(1e-1, -0.9), (1e-6, -0.5)],
        &[(1e-3, 0.0), (1e-4, 0.5)],
    ];
    for points in odd {
        let scale = scale(&calibration(points));
        assert_eq!(scale.to_number(Similarity::MIN), 0.0, "{points:?}");
        assert_eq!(scale.to_number(Similarity::MAX), 1.0, "{points:?}");
        let shown: Vec<f64> = (-100..=100).map(|step| scale.to_number(Similarity::new(step as f32 / 100.0))).collect();
        assert!(shown.is_sorted(), "{points:?}");
    }
}
