use proptest::prelude::*;

use super::{Digest, Sign, fuzz_sign};

const V1: &str = "7DyuDpNA6AVLnGNkomBUQzaz6GFhPWRlbW9LZXktMDAwMV9BYkNkRWZHaElqS2xNbk9wUXImYj0xODkzNDU2MTAwJmM9MTg5MzQ1NjAwMCZkPTAxMjM0NTY3ODk=";

fn spelled(raw: &str) -> Vec<u8> {
    use base64::Engine;
    let mut bytes = vec![7; 20];
    bytes.extend(raw.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(bytes).into_bytes()
}

#[test]
fn a_sign_is_taken_apart_as_it_was_received() {
    let sign = Sign::read(V1.as_bytes(), Digest::Sha1).unwrap();
    assert_eq!(sign.mac[..4], [0xec, 0x3c, 0xae, 0x0e]);
    assert_eq!(sign.api_key, "demoKey-0001_AbCdEfGhIjKlMnOpQr");
    assert_eq!((sign.ends_at, sign.made_at), (1_893_456_100, 1_893_456_000));
    assert!(sign.raw.ends_with(b"&d=0123456789"), "the leading zero is kept");
    assert!(sign.is_of(b"demoSecret-0001_ZyXwVuTsRqPoNmL", Digest::Sha1));
    assert!(!sign.is_of(b"demoSecret-0001_ZyXwVuTsRqPoNmM", Digest::Sha1));
}

#[test]
fn what_is_not_four_parts_in_order_with_digits_is_no_sign() {
    for good in ["a=k&b=0&c=1&d=2", "a=&b=18446744073709551615&c=1&d=99999999999999999999"] {
        assert!(Sign::read(&spelled(good), Digest::Sha1).is_some(), "{good}");
    }
    for bad in [
        "",
        "a=k",
        "a=k&b=0&c=1",
        "a=k&b=0&c=1&d=2&e=3",
        "a=k&c=1&b=0&d=2",
        "a=k&b=&c=1&d=2",
        "a=k&b=-1&c=1&d=2",
        "a=k&b=+1&c=1&d=2",
        "a=k&b=18446744073709551616&c=1&d=2",
        "a=k&b=0&c=1&d=999999999999999999999",
        "a=\u{e9}&b=0&c=1&d=2",
    ] {
        assert!(Sign::read(&spelled(bad), Digest::Sha1).is_none(), "{bad}");
    }
    assert!(Sign::read(&[b'A'; 5000], Digest::Sha1).is_none(), "too long");
    assert!(Sign::read(V1.trim_end_matches('=').as_bytes(), Digest::Sha1).is_none(), "padding is part of it");
}

proptest! {
    #[test]
    fn whatever_is_sent_as_a_sign_is_read_or_refused(bytes: Vec<u8>, raw in "[ -~]{0,60}") {
        fuzz_sign(&bytes);
        fuzz_sign(&spelled(&raw));
    }
}
