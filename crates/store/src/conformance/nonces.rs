//! What may be used only once.

use likeness_domain::Kind;
use likeness_domain::limits::{ONCE_SCOPE_BYTES_MAX, ONCE_TOKEN_BYTES_MAX};
use likeness_domain::types::TimestampMs;

use super::{Bench, refused};

async fn consume(bench: &Bench, scope: &str, token: &[u8], now: i64, expires_at: i64) -> bool {
    bench.once.consume(scope, token, TimestampMs(now), TimestampMs(expires_at)).await.unwrap()
}

/// Within its scope, until its time. Being refused does not keep a token longer.
pub async fn a_token_is_spent_once(bench: Bench) -> Bench {
    assert!(consume(&bench, "nonce", b"one", 0, 100).await);
    assert!(!consume(&bench, "nonce", b"one", 0, 100).await);
    assert!(!consume(&bench, "nonce", b"one", 99, 900).await, "until its time");
    assert!(consume(&bench, "nonce", b"two", 0, 100).await);
    assert!(consume(&bench, "signature", b"one", 0, 100).await, "scopes are apart");
    assert!(consume(&bench, "nonceo", b"ne", 0, 100).await, "scope and token are apart");
    assert!(consume(&bench, "nonce", b"one", 100, 200).await, "its time has come, and the refusals did not change it");
    assert!(!consume(&bench, "nonce", b"one", 199, 300).await);
    bench
}

/// Any bytes, the empty ones included.
pub async fn tokens_are_bytes(bench: Bench) -> Bench {
    for token in [&b""[..], b"\0", b"\0\0", b"a", b"A", "ä".as_bytes(), &[0xff, 0xfe]] {
        assert!(consume(&bench, "nonce", token, 0, 100).await, "{token:?}");
        assert!(!consume(&bench, "nonce", token, 0, 100).await, "{token:?}");
    }
    bench
}

/// Sweeping away what is expired takes nothing else with it.
pub async fn many_tokens_expire_one_by_one(bench: Bench) -> Bench {
    for number in 0..200_i64 {
        assert!(consume(&bench, "nonce", &number.to_le_bytes(), 0, 1_000 + number).await);
    }
    assert!(consume(&bench, "nonce", b"later", 1_100, 9_000).await);
    for number in 0..200_i64 {
        let is_free = 1_000 + number <= 1_100;
        assert_eq!(consume(&bench, "nonce", &number.to_le_bytes(), 1_100, 2_000).await, is_free, "{number}");
    }
    bench
}

/// Of calls under way at once exactly one hears true.
pub async fn of_many_at_once_one_is_first(bench: Bench) -> Bench {
    let all: Vec<_> =
        (0..50).map(|_| bench.once.consume("nonce", b"contested", TimestampMs(0), TimestampMs(100))).collect();
    let mut n_first = 0;
    for consumed in all {
        n_first += usize::from(consumed.await.unwrap());
    }
    assert_eq!(n_first, 1);
    bench
}

/// Whole up to the bound, refused above it.
pub async fn tokens_have_a_length(bench: Bench) -> Bench {
    let (scope, token) = ("s".repeat(ONCE_SCOPE_BYTES_MAX), vec![7; ONCE_TOKEN_BYTES_MAX]);
    assert!(consume(&bench, &scope, &token, 0, 100).await);
    assert!(!consume(&bench, &scope, &token, 0, 100).await);
    assert!(consume(&bench, &scope, &token[1..], 0, 100).await);
    let (now, later) = (TimestampMs(0), TimestampMs(100));
    refused(bench.once.consume(&format!("{scope}s"), &token, now, later).await, Kind::InvalidArgument);
    refused(bench.once.consume(&scope, &[7; ONCE_TOKEN_BYTES_MAX + 1], now, later).await, Kind::InvalidArgument);
    bench
}

/// A clock that is set back finds every token spent that it had seen, or says nothing is good.
pub async fn a_clock_that_is_set_back_revives_nothing(bench: Bench) -> Bench {
    const HOUR: i64 = 3_600_000;
    assert!(consume(&bench, "nonce", b"one", 0, 1_000).await);
    // A little ahead and back.
    assert!(consume(&bench, "nonce", b"ahead", 600_000, 601_000).await);
    assert!(!consume(&bench, "nonce", b"one", 500, 1_500).await);
    assert!(consume(&bench, "nonce", b"two", 500, 1_500).await);
    // Far ahead, where those above are forgotten, and back.
    assert!(consume(&bench, "nonce", b"far ahead", HOUR, HOUR + 1_000).await);
    for token in [&b"one"[..], b"two", b"never seen"] {
        assert!(!consume(&bench, "nonce", token, 600, 1_600).await, "{token:?}");
    }
    // From the time on at which the last of the forgotten expired, all is as ever.
    assert!(consume(&bench, "nonce", b"never seen", 601_000, 602_000).await);
    assert!(!consume(&bench, "nonce", b"never seen", 601_000, 602_000).await);
    assert!(!consume(&bench, "nonce", b"far ahead", 601_000, 602_000).await);
    bench
}
