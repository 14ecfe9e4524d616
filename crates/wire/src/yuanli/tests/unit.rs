//! Scale, tokens and table, without a server.

use likeness_domain::types::{InstallationSecret, Similarity};
use likeness_testkit::fake_pack;
use proptest::prelude::*;

use crate::adapter::find;
use crate::http::keyed_ids::KeyedIds;
use crate::yuanli::operations::{Operation, TABLE};
use crate::yuanli::scale::{advice, passes, scale, shown};

/// FAR of the default pack and its cosines, from the table of models: the vendor's advice must come out there.
const MEASURED: [(f32, f64); 4] = [(0.3582, 75.0), (0.4148, 80.0), (0.4632, 85.0), (0.5125, 90.0)];

#[test]
fn the_vendors_advice_means_its_false_accept_rates_on_the_default_pack() {
    let scale = scale(&fake_pack("default-1").calibration);
    for (cosine, score) in MEASURED {
        assert!((scale.to_number(Similarity::new(cosine)) - score).abs() < 1e-6, "{cosine}");
        assert!(scale.to_number(Similarity::new(cosine - 1e-4)) < score);
    }
    assert_eq!(scale.to_number(Similarity::MIN), 0.0);
    assert_eq!(scale.to_number(Similarity::MAX), 100.0);
    assert!(scale.to_number(Similarity::new(0.95)) > 98.0, "the same image twice, with some noise");
}

#[test]
fn the_advice_depends_on_the_size_of_the_library() {
    let values = |n_faces| advice(n_faces).into_values().collect::<Vec<_>>();
    assert_eq!(values(0), [75, 80, 85, 90]);
    assert_eq!(values(100_000), [75, 80, 85, 90]);
    assert_eq!(values(100_001), [80, 85, 90, 95]);
}

#[test]
fn a_threshold_is_compared_with_what_is_and_with_what_is_shown() {
    assert!(passes(80.0004, None));
    assert!(!passes(80.0, Some(80.0)));
    assert!(!passes(80.0004, Some(80.0)), "it would be shown as 80");
    assert!(passes(80.0006, Some(80.0)));
    assert!(!passes(79.9996, Some(79.9998)), "shown as 80, but it is below");
    assert_eq!(shown(80.0006), 80.001);
}

#[test]
fn tokens_are_the_installations_own() {
    let ids = |secret: u8, label| KeyedIds::new(&InstallationSecret::from_bytes([secret; 32]), label);
    let token = ids(1, "a").spell(42);
    assert_eq!(ids(1, "a").spell(42), token);
    assert_eq!(ids(1, "a").read(&token), Some(42));
    assert_eq!(ids(2, "a").read(&token), None);
    assert_eq!(ids(1, "b").read(&token), None);
    for digit_idx in 0..32 {
        let mut digits = token.clone().into_bytes();
        digits[digit_idx] = if digits[digit_idx] == b'0' { b'1' } else { b'0' };
        assert_eq!(ids(1, "a").read(std::str::from_utf8(&digits).unwrap()), None);
    }
    for wrong in ["", "0", &token.to_uppercase(), &format!("{token}0"), &token[1..], &format!("+{}", &token[1..])] {
        assert_eq!(ids(1, "a").read(wrong), None, "{wrong}");
    }
    assert!(!format!("{:?}", ids(1, "a")).contains('1'), "keys are not printed");
}

proptest! {
    #[test]
    fn every_id_has_a_token_and_comes_back(id in 0u64..1 << 45, secret: [u8; 32]) {
        let ids = KeyedIds::new(&InstallationSecret::from_bytes(secret), "test");
        let token = ids.spell(id);
        prop_assert_eq!(token.len(), 32);
        prop_assert_eq!(ids.read(&token), Some(id));
    }

    #[test]
    fn nobody_guesses_a_token(token in "[0-9a-f]{32}") {
        prop_assert_eq!(KeyedIds::new(&InstallationSecret::from_bytes([3; 32]), "test").read(&token), None);
    }
}

#[test]
fn the_table_is_the_vendors() {
    let found = |path: &str| find(&TABLE, path).map(|row| row.operation);
    for row in &TABLE {
        assert_eq!(found(row.info.path), Some(row.operation));
        assert_eq!(found(&format!("{}/", row.info.path)), Some(row.operation));
        assert_eq!(row.info.method, "POST");
    }
    assert_eq!(found("/finauth/search/group/search"), Some(Operation::Search));
    assert_eq!(found("/finauth/search/group/"), None);
    assert_eq!(found("/finauth/search/group/add//"), None);
}
