use proptest::prelude::*;

use super::*;

fn similarity(cosine: f32) -> Similarity {
    Similarity::new(cosine)
}

/// The default pack's measured points.
fn points() -> Vec<OperatingPoint> {
    let points = [(1e-1, 0.1987), (1e-2, 0.2908), (1e-3, 0.3582), (1e-4, 0.4148), (1e-5, 0.4632), (1e-6, 0.5125)];
    points.map(|(far, cosine)| OperatingPoint::new(far, similarity(cosine))).to_vec()
}

fn calibration() -> Calibration {
    Calibration::new(points()).unwrap()
}

#[test]
fn what_a_small_sample_cannot_show_is_never_looser_than_another_measurement() {
    // Its outer pair is flat, so that the line through it promises 1e-4 at little more than 1e-2.
    let flat = vec![OperatingPoint::new(1e-1, similarity(0.19)), OperatingPoint::new(1e-2, similarity(0.2))];
    let alone = Calibration::new(flat).unwrap();
    assert!(alone.similarity_at(1e-4) < calibration().similarity_at(1e-3));
    let bounded = alone.clone().not_below(&calibration());
    for far in [1e-3, 1e-4, 1e-5, 1e-6, 1e-9] {
        assert_eq!(bounded.similarity_at(far), calibration().similarity_at(far), "{far}");
    }
    for far in [1e-2, 3e-2, 1e-1, 0.5] {
        assert_eq!(bounded.similarity_at(far), alone.similarity_at(far), "what was measured stays: {far}");
    }
    // And where it is the stricter one it stays, too.
    let steep = vec![OperatingPoint::new(1e-1, similarity(0.3)), OperatingPoint::new(1e-2, similarity(0.45))];
    let steep = Calibration::new(steep).unwrap();
    assert_eq!(steep.clone().not_below(&calibration()).similarity_at(1e-4), steep.similarity_at(1e-4));
}

#[test]
fn several_comparisons_have_at_most_the_sum_of_their_rates() {
    let interval = |low, high| Some(Interval { low, high });
    let one = FalseAcceptRate { rate: 1e-3, interval: interval(5e-4, 2e-3), bound: Bound::Measured };
    assert_eq!(one.of_any(1), one);
    let five = FalseAcceptRate { rate: 5e-3, interval: interval(5e-4, 1e-2), bound: Bound::AtMost };
    assert_eq!(one.of_any(5), five);
    let all = FalseAcceptRate { rate: 1.0, interval: interval(5e-4, 1.0), bound: Bound::AtMost };
    assert_eq!(one.of_any(2000), all);
    let beyond = FalseAcceptRate { rate: 1e-6, interval: interval(0.0, 3e-6), bound: Bound::AtMost };
    check_near(beyond.of_any(4).rate, 4e-6, 1e-12);
    let below = FalseAcceptRate { rate: 0.1, interval: interval(0.09, 1.0), bound: Bound::AtLeast };
    assert_eq!(below.of_any(4), below, "more comparisons only raise it");
}

#[track_caller]
fn check_near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected} within {tolerance}");
}

#[test]
fn a_calibration_needs_two_points_that_fall_and_rise() {
    assert!(Calibration::new(points()[..1].to_vec()).is_none());
    assert!(Calibration::new(vec![]).is_none());
    let with = |far, cosine| {
        let mut points = points();
        points.push(OperatingPoint::new(far, similarity(cosine)));
        Calibration::new(points)
    };
    assert!(with(1e-7, 0.6).is_some());
    assert!(with(1e-7, 0.5).is_none(), "a lower rate needs a higher similarity");
    assert!(with(1e-6, 0.6).is_none(), "one rate has one similarity");
    assert!(with(0.0, 0.9).is_none());
    assert!(with(1.0, 0.0).is_none());
    assert!(with(f64::NAN, 0.9).is_none());
}

#[test]
fn points_come_sorted_whatever_their_order_was() {
    let mut shuffled = points();
    shuffled.swap(0, 4);
    assert_eq!(Calibration::new(shuffled).unwrap(), calibration());
}

#[test]
fn thresholds_are_measured_points_and_log_linear_between() {
    for point in points() {
        check_near(calibration().similarity_at(point.far).get().into(), point.similarity.get().into(), 1e-6);
        let found = calibration().false_accept_rate(point.similarity);
        assert_eq!((found.rate, found.interval, found.bound), (point.far, None, Bound::Measured));
    }
    check_near(
        calibration().similarity_at(1e-3f64.sqrt() * 1e-2f64.sqrt()).get().into(),
        (0.2908 + 0.3582) / 2.0,
        1e-5,
    );
}

#[test]
fn beyond_the_measured_points_thresholds_go_on_and_rates_are_bounds() {
    check_near(calibration().similarity_at(1e-7).get().into(), 0.5125 + (0.5125 - 0.4632), 1e-5);
    check_near(calibration().similarity_at(1.0).get().into(), 0.1987 - (0.2908 - 0.1987), 1e-5);
    assert_eq!(calibration().similarity_at(0.0), calibration().similarity_at(1e-12));
    assert_eq!(calibration().similarity_at(7.0), calibration().similarity_at(1.0));
    let rate = |similarity| {
        (calibration().false_accept_rate(similarity).rate, calibration().false_accept_rate(similarity).bound)
    };
    assert_eq!(rate(Similarity::MAX), (1e-6, Bound::AtMost), "nobody has measured beyond");
    assert_eq!(rate(Similarity::MIN), (1e-1, Bound::AtLeast));
    assert_eq!((calibration().far_range(), calibration().far_default()), ((1e-6, 1e-1), Some(1e-4)));
    let coarse = Calibration::new(points()[..3].to_vec()).unwrap();
    assert_eq!(coarse.far_default(), None, "the usual rate was not measured, and no other takes its place");
    assert_eq!(coarse.clone().with_far_default(1e-2).unwrap().far_default(), Some(1e-2));
    for unknown in [1e-4, 0.5, f64::NAN] {
        assert!(coarse.clone().with_far_default(unknown).is_none(), "{unknown} was not measured");
    }
    assert_eq!(calibration().with_far_default(1e-5).unwrap().far_default(), Some(1e-5));
}

/// The points with intervals of a factor of two either way, and true-accept rates.
fn with_intervals() -> Calibration {
    let wide = |point: OperatingPoint| OperatingPoint {
        far_interval: Some(Interval { low: point.far / 2.0, high: (point.far * 2.0).min(1.0) }),
        tar: Some(1.0 - 0.01 * -point.far.log10()),
        tar_interval: Some(Interval { low: 0.9 - 0.01 * -point.far.log10(), high: 1.0 }),
        ..point
    };
    Calibration::new(points().into_iter().map(wide).collect()).unwrap()
}

#[test]
fn rates_have_the_intervals_of_their_points_and_true_accept_rates() {
    let middle = similarity((0.3582 + 0.4148) / 2.0);
    let found = with_intervals().false_accept_rate(middle);
    let interval = found.interval.unwrap();
    check_near(found.rate.log10(), -3.5, 1e-5);
    check_near(interval.low / found.rate, 0.5, 1e-9);
    check_near(interval.high / found.rate, 2.0, 1e-9);
    check_near(with_intervals().tar_at(middle).unwrap(), 0.965, 1e-6);
    let interval = with_intervals().tar_interval_at(middle).unwrap();
    check_near(interval.low, 0.865, 1e-6);
    assert_eq!(interval.high, 1.0);
    assert_eq!(with_intervals().tar_interval_at(Similarity::MAX), None);
    let above = with_intervals().false_accept_rate(Similarity::MAX);
    assert_eq!((above.rate, above.interval), (1e-6, Some(Interval { low: 0.0, high: 2e-6 })));
    let below = with_intervals().false_accept_rate(Similarity::MIN);
    assert_eq!(below.interval, Some(Interval { low: 0.05, high: 1.0 }));
    assert_eq!(with_intervals().tar_at(Similarity::MAX), None);
    assert_eq!(calibration().tar_at(middle), None, "nobody has measured it");
}

#[test]
fn false_matches_grow_with_the_gallery() {
    let rate = with_intervals().false_accept_rate(similarity(0.4148));
    let FalseMatches { expected, interval } = rate.false_matches(2000);
    check_near(expected, 0.2, 1e-12);
    let Interval { low, high } = interval.unwrap();
    check_near(low, 0.1, 1e-12);
    check_near(high, 0.4, 1e-12);
    assert_eq!(rate.false_matches(0).expected, 0.0);
}

#[test]
fn intervals_hold_their_rates_and_do_not_cross() {
    let with = |low, high, tar| {
        let mut points = points();
        points[3] = OperatingPoint { far_interval: Some(Interval { low, high }), tar: Some(tar), ..points[3] };
        points[4].far_interval = Some(Interval { low: 5e-6, high: 2e-5 });
        Calibration::new(points)
    };
    assert!(with(5e-5, 2e-4, 0.9).is_some());
    assert!(with(2e-4, 3e-4, 0.9).is_none(), "the rate lies outside");
    assert!(with(1e-6, 2e-4, 0.9).is_none(), "the lower end rises from this point to the next");
    assert!(with(-0.1, 2e-4, 0.9).is_none());
    assert!(with(5e-5, f64::NAN, 0.9).is_none());
    assert!(with(5e-5, 2e-4, 1.1).is_none());
    let with_tar = |tar, low, high| {
        let mut points = points();
        points[3] = OperatingPoint { tar, tar_interval: Some(Interval { low, high }), ..points[3] };
        Calibration::new(points)
    };
    assert!(with_tar(Some(0.9), 0.85, 0.95).is_some());
    assert!(with_tar(Some(0.9), 0.95, 0.99).is_none(), "the rate lies outside");
    assert!(with_tar(Some(0.9), 0.85, 1.01).is_none());
    assert!(with_tar(None, 0.85, 0.95).is_none(), "the interval of nothing");
}

fn scale() -> Scale {
    let knots = [(-1.0, 0.0), (0.0, 0.30), (0.2908, 0.80), (0.4148, 0.93), (0.666, 0.99), (1.0, 1.0)];
    Scale::new(knots.map(|(cosine, number)| (similarity(cosine), number)).to_vec()).unwrap()
}

#[test]
fn a_scale_spans_all_similarities_and_rises() {
    let new = |knots: &[(f32, f64)]| Scale::new(knots.iter().map(|&(at, number)| (similarity(at), number)).collect());
    assert!(new(&[(-1.0, 0.0), (1.0, 1.0)]).is_some());
    for knots in [
        &[][..],
        &[(-1.0, 0.0)],
        &[(-1.0, 0.0), (0.9, 1.0)],
        &[(-0.9, 0.0), (1.0, 1.0)],
        &[(-1.0, 1.0), (1.0, 0.0)],
        &[(-1.0, 0.0), (0.5, 0.0), (1.0, 1.0)],
        &[(-1.0, 0.0), (0.5, 0.4), (0.5, 0.5), (1.0, 1.0)],
        &[(-1.0, 0.0), (1.0, f64::INFINITY)],
        &[(-1.0, f64::NAN), (1.0, 1.0)],
    ] {
        assert!(new(knots).is_none(), "{knots:?}");
    }
}

#[test]
fn knots_are_exact() {
    for (cosine, number) in [(-1.0, 0.0), (0.0, 0.30), (0.2908, 0.80), (0.4148, 0.93), (0.666, 0.99), (1.0, 1.0)] {
        assert_eq!(scale().to_number(similarity(cosine)), number);
        // The least similarity with that number may be a few last bits below the knot.
        let threshold = scale().to_similarity(number);
        assert!(threshold <= similarity(cosine) && cosine - threshold.get() < 1e-6, "{cosine}: {threshold:?}");
    }
}

#[test]
fn between_knots_it_is_linear() {
    check_near(scale().to_number(similarity(0.1454)), 0.55, 1e-7);
    check_near(scale().to_number(similarity(-0.5)), 0.15, 1e-7);
}

#[test]
fn numbers_off_the_scale_keep_all_or_nearly_nothing() {
    assert_eq!(scale().to_similarity(-3.0), Similarity::MIN);
    assert_eq!(scale().to_similarity(f64::NEG_INFINITY), Similarity::MIN);
    for number in [1.001, f64::INFINITY, f64::NAN] {
        assert_eq!(scale().to_similarity(number), Similarity::MAX);
    }
}

#[test]
fn a_rounded_number_that_reaches_the_threshold_is_kept() {
    let scale = scale().with_decimals(2);
    // Unrounded it is 0.9295, below the threshold; printed it is the threshold.
    let just_below = similarity(0.4143);
    assert_eq!(scale.to_number(just_below), 0.93);
    assert!(just_below >= scale.to_similarity(0.93));
}

proptest! {
    #[test]
    fn thresholds_keep_what_reaches_them_and_nothing_else(
        cosine in -1.0f32..=1.0, number in -0.1f64..=1.0, n_decimals in proptest::option::of(0u32..10),
    ) {
        let scale = match n_decimals {
            Some(n_decimals) => scale().with_decimals(n_decimals),
            None => scale(),
        };
        // Also around the threshold itself, where mistakes are.
        let threshold = scale.to_similarity(number);
        for cosine in [cosine, threshold.get(), threshold.get().next_up(), threshold.get().next_down()] {
            let similarity = similarity(cosine);
            prop_assert_eq!(similarity >= threshold, scale.to_number(similarity) >= number, "{}", cosine);
        }
    }

    #[test]
    fn a_similarity_survives_the_way_there_and_back(cosine in -1.0f32..=1.0) {
        let number = scale().to_number(similarity(cosine));
        prop_assert_eq!(scale().to_number(scale().to_similarity(number)), number);
        prop_assert!(f64::from((scale().to_similarity(number).get() - cosine).abs()) < 1e-6);
    }

    #[test]
    fn numbers_rise_with_similarities(a in -1.0f32..=1.0, b in -1.0f32..=1.0, n_decimals in 0u32..10) {
        let (low, high) = (similarity(a.min(b)), similarity(a.max(b)));
        prop_assert!(scale().to_number(low) <= scale().to_number(high));
        let rounded = scale().with_decimals(n_decimals);
        prop_assert!(rounded.to_number(low) <= rounded.to_number(high));
    }
}
