//! Every expected number here was worked out by hand from the definitions.

use super::*;

fn pairs(fold: u32, same: &[f32], other: &[f32]) -> Vec<ScoredPair> {
    let scored = |same| move |&similarity: &f32| ScoredPair { fold, similarity: Some(similarity), same };
    same.iter().map(scored(true)).chain(other.iter().map(scored(false))).collect()
}

#[track_caller]
fn check_near(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
}

#[test]
fn people_who_are_told_apart_make_no_error() {
    let all = pairs(1, &[0.9, 0.8], &[0.2, 0.1]);
    check_near(best_threshold(&all), 0.5);
    let evaluation = evaluate(&all);
    assert_eq!(evaluation.overall.accuracy, 1.0);
    assert_eq!(evaluation.overall.eer, 0.0);
    assert_eq!(evaluation.overall.tar_at_far, [1.0, 1.0]);
}

#[test]
fn the_roc_steps_over_ties_at_once() {
    // Descending: 0.9 same; 0.5 same and other together; 0.1 other.
    let roc = roc(&pairs(1, &[0.9, 0.5], &[0.5, 0.1]));
    let point = |far, tar| RocPoint { far, tar };
    assert_eq!(roc, [point(0.0, 0.0), point(0.0, 0.5), point(0.5, 1.0), point(1.0, 1.0)]);
    // FAR - FRR goes from -0.5 at (0, 0.5) to 0.5 at (0.5, 1): half way between, FAR 0.25.
    check_near(eer(&roc), 0.25);
    assert_eq!(tar_at_far(&roc, 0.49), 0.5);
    assert_eq!(tar_at_far(&roc, 0.5), 1.0);
}

#[test]
fn one_confusion_in_four_is_an_eer_of_a_quarter() {
    // 0.9 0.8 0.7 same, 0.6 other, 0.5 same, 0.4 0.3 0.2 other: at 0.6 one of four is wrong on either side.
    let all = pairs(1, &[0.9, 0.8, 0.7, 0.5], &[0.6, 0.4, 0.3, 0.2]);
    let roc = roc(&all);
    check_near(eer(&roc), 0.25);
    assert_eq!(tar_at_far(&roc, 0.0), 0.75);
    assert_eq!(tar_at_far(&roc, 0.25), 1.0);
    // Rejecting 0.6 and all below judges 7 of 8 rightly, and so does accepting 0.5 and all above; none does better.
    assert_eq!(accuracy_at(&all, best_threshold(&all)), 0.875);
}

#[test]
fn of_equally_good_thresholds_the_one_with_most_room_is_taken() {
    // Between 0.1 and 0.2, or between 0.4 and 0.9: both judge four of five rightly.
    let all = pairs(1, &[0.2, 0.9, 0.95], &[0.4, 0.1]);
    check_near(best_threshold(&all), 0.65);
}

#[test]
fn thresholds_may_lie_at_either_end() {
    let all_rejected = pairs(1, &[0.1], &[0.8, 0.9]);
    assert!(best_threshold(&all_rejected) > f64::from(0.9_f32));
    assert_eq!(accuracy_at(&all_rejected, best_threshold(&all_rejected)), 2.0 / 3.0);
    let all_accepted = pairs(1, &[0.8, 0.9], &[0.95]);
    assert!(best_threshold(&all_accepted) <= f64::from(0.8_f32));
    assert_eq!(accuracy_at(&all_accepted, best_threshold(&all_accepted)), 2.0 / 3.0);
}

#[test]
fn a_fold_is_judged_with_the_threshold_of_the_others() {
    // Fold 1 alone would choose 0.5, fold 2 alone 0.25; each is judged with the other's.
    let mut all = pairs(1, &[0.6], &[0.4]);
    all.extend(pairs(2, &[0.3], &[0.2]));
    let evaluation = evaluate(&all);
    check_near(evaluation.folds[0].1.threshold, 0.25);
    check_near(evaluation.folds[1].1.threshold, 0.5);
    assert_eq!(evaluation.folds[0].1.accuracy, 0.5, "0.4 is accepted at 0.25");
    assert_eq!(evaluation.folds[1].1.accuracy, 0.5, "0.3 is rejected at 0.5");
    assert_eq!(evaluation.overall.accuracy, 0.5);
    assert_eq!(evaluation.accuracy_sd, 0.0);
    check_near(evaluation.overall.threshold, 0.375);
    // Pooled: 0.6 same, 0.4 other, 0.3 same, 0.2 other. TAR is 1/2 before the first impostor.
    assert_eq!(evaluation.overall.tar_at_far, [0.5, 0.5]);
    check_near(evaluation.overall.eer, 0.5);
}

#[test]
fn the_deviation_is_that_of_the_population() {
    // Fold 1 is right in both, fold 2 in one of two: mean 0.75, each 0.25 away.
    let mut all = pairs(1, &[0.9], &[0.1]);
    all.extend(pairs(2, &[0.8], &[0.7]));
    let evaluation = evaluate(&all);
    check_near(evaluation.overall.accuracy, 0.75);
    check_near(evaluation.accuracy_sd, 0.25);
}

#[test]
fn a_pair_without_a_face_is_an_error_either_way() {
    let mut all = pairs(1, &[0.9, 0.8, 0.7], &[0.2, 0.1, 0.0]);
    all.push(ScoredPair { fold: 1, similarity: None, same: true });
    all.push(ScoredPair { fold: 1, similarity: None, same: false });
    let evaluation = evaluate(&all);
    assert_eq!(evaluation.overall.accuracy, 0.75);
    assert_eq!(evaluation.overall.tar_at_far, [0.75, 0.75], "a missing face is never accepted");
    // (0, 3/4) has FAR - FRR = -1/4, the next point (1/4, 3/4) has 0.
    check_near(evaluation.overall.eer, 0.25);
}

#[test]
fn nothing_but_missing_faces_is_no_panic() {
    let all = [true, false].map(|same| ScoredPair { fold: 1, similarity: None, same });
    let evaluation = evaluate(&all);
    assert_eq!(evaluation.overall.accuracy, 0.0);
    assert_eq!(evaluation.overall.eer, 1.0);
}
