//! Short-lived records.

use bytes::Bytes;
use likeness_domain::Kind;
use likeness_domain::limits::RECORD_BYTES_MAX;
use likeness_domain::ports::{Record, RecordQuota, WhenFull};
use likeness_domain::types::{Tenant, TenantName, TimestampMs};

use super::samples::{by, ours, theirs};
use super::{Bench, refused};

const ROOM: RecordQuota = RecordQuota { n_max: 3, bytes_max: 1000, when_full: WhenFull::Refuse };

fn at(ms: i64) -> TimestampMs {
    TimestampMs(ms)
}

fn record(id: u8, value: &'static str, expires_at: i64) -> Record {
    Record {
        id: [id; 32],
        tenant: ours(),
        bucket: "b".to_owned(),
        value: Bytes::from_static(value.as_bytes()),
        created_at: at(0),
        expires_at: at(expires_at),
    }
}

/// It comes back as it was put until its time; a second one of the same id changes nothing.
pub async fn a_record_is_kept_until_its_time(bench: Bench) -> Bench {
    let first = record(1, "first", 100);
    assert!(bench.records.put_record("s", first.clone(), ROOM, at(0)).await.unwrap().is_none());
    let again = bench.records.put_record("s", record(1, "second", 900), ROOM, at(99)).await.unwrap();
    assert!(again.as_ref() == Some(&first), "the first one is returned and stays");
    assert!(bench.records.record("s", [1; 32], at(99)).await.unwrap() == Some(first));
    assert!(bench.records.record("t", [1; 32], at(0)).await.unwrap().is_none(), "scopes are apart");
    assert!(bench.records.record("s", [2; 32], at(0)).await.unwrap().is_none());
    assert!(bench.records.record("s", [1; 32], at(100)).await.unwrap().is_none(), "its time is over");
    assert!(bench.records.put_record("s", record(1, "third", 900), ROOM, at(100)).await.unwrap().is_none());
    assert!(bench.records.record("s", [1; 32], at(100)).await.unwrap() == Some(record(1, "third", 900)));
    bench
}

/// Value and time can be changed, and it can be erased once.
pub async fn a_record_is_changed_and_erased(bench: Bench) -> Bench {
    bench.records.put_record("s", record(1, "first", 100), ROOM, at(0)).await.unwrap();
    let value = Bytes::from_static(b"longer than before");
    assert!(bench.records.change_record("s", [1; 32], value.clone(), at(200)).await.unwrap());
    let known = bench.records.record("s", [1; 32], at(150)).await.unwrap().unwrap();
    assert_eq!((known.value, known.expires_at, known.created_at), (value.clone(), at(200), at(0)));
    assert!(!bench.records.change_record("s", [2; 32], value.clone(), at(200)).await.unwrap());
    assert!(!bench.records.change_record("t", [1; 32], value, at(200)).await.unwrap());
    assert!(!bench.records.delete_record("t", [1; 32]).await.unwrap());
    let deletes: Vec<_> = (0..20).map(|_| bench.records.delete_record("s", [1; 32])).collect();
    let mut n_first = 0;
    for delete in deletes {
        n_first += usize::from(delete.await.unwrap());
    }
    assert_eq!(n_first, 1, "of calls at once exactly one erases it");
    assert!(bench.records.record("s", [1; 32], at(0)).await.unwrap().is_none());
    assert!(!bench.records.change_record("s", [1; 32], Bytes::new(), at(200)).await.unwrap());
    bench
}

/// By number and by bytes; other tenants, scopes and buckets are not counted, nor what is over.
pub async fn records_are_bounded_by_the_quota(bench: Bench) -> Bench {
    for id in 1..=3 {
        bench.records.put_record("s", record(id, "x", 100 + i64::from(id)), ROOM, at(0)).await.unwrap();
    }
    refused(bench.records.put_record("s", record(4, "x", 100), ROOM, at(0)).await, Kind::Overloaded);
    let elsewhere = Record { bucket: "c".to_owned(), ..record(4, "x", 100) };
    assert!(bench.records.put_record("s", elsewhere, ROOM, at(0)).await.unwrap().is_none());
    assert!(bench.records.put_record("t", record(4, "x", 100), ROOM, at(0)).await.unwrap().is_none());
    let foreign = Record { tenant: theirs(), ..record(5, "x", 100) };
    assert!(bench.records.put_record("s", foreign, ROOM, at(0)).await.unwrap().is_none());
    // The one that expires first makes room, in time or because it has to.
    let evict = RecordQuota { when_full: WhenFull::Evict, ..ROOM };
    assert!(bench.records.put_record("s", record(6, "x", 300), evict, at(0)).await.unwrap().is_none());
    assert!(bench.records.record("s", [1; 32], at(0)).await.unwrap().is_none());
    assert!(bench.records.record("s", [2; 32], at(0)).await.unwrap().is_some());
    assert!(bench.records.put_record("s", record(7, "x", 300), ROOM, at(102)).await.unwrap().is_none());
    // By bytes.
    let few = RecordQuota { n_max: 100, bytes_max: 8, when_full: WhenFull::Refuse };
    assert!(bench.records.put_record("u", record(1, "12345", 100), few, at(0)).await.unwrap().is_none());
    refused(bench.records.put_record("u", record(2, "1234", 100), few, at(0)).await, Kind::Overloaded);
    assert!(bench.records.put_record("u", record(2, "123", 100), few, at(0)).await.unwrap().is_none());
    bench.records.change_record("u", [1; 32], Bytes::from_static(b"1"), at(100)).await.unwrap();
    assert!(bench.records.put_record("u", record(3, "1234", 100), few, at(0)).await.unwrap().is_none());
    let larger = RecordQuota { when_full: WhenFull::Evict, ..few };
    refused(bench.records.put_record("u", record(4, "123456789", 100), larger, at(0)).await, Kind::Overloaded);
    bench
}

/// Values have a length.
pub async fn records_that_are_too_large_are_refused(bench: Bench) -> Bench {
    let room = RecordQuota { n_max: 9, bytes_max: u64::MAX, when_full: WhenFull::Refuse };
    let sized = |id, n_bytes| Record { value: vec![7; n_bytes].into(), ..record(id, "", 100) };
    assert!(bench.records.put_record("s", sized(1, RECORD_BYTES_MAX), room, at(0)).await.unwrap().is_none());
    let larger = bench.records.put_record("s", sized(2, RECORD_BYTES_MAX + 1), room, at(0)).await;
    refused(larger, Kind::InvalidArgument);
    let larger = vec![7; RECORD_BYTES_MAX + 1];
    refused(bench.records.change_record("s", [1; 32], larger.into(), at(100)).await, Kind::InvalidArgument);
    bench
}

/// What is over is erased, and everything of a tenant with the tenant.
pub async fn records_are_purged(bench: Bench) -> Bench {
    let room = RecordQuota { n_max: 1000, bytes_max: 100_000, when_full: WhenFull::Refuse };
    for id in 0..=255 {
        bench.records.put_record("s", record(id, "x", 100 + i64::from(id)), room, at(0)).await.unwrap();
    }
    assert_eq!(bench.records.purge_expired_records(at(299)).await.unwrap(), 200);
    assert_eq!(bench.records.purge_expired_records(at(299)).await.unwrap(), 0);
    assert!(bench.records.record("s", [200; 32], at(299)).await.unwrap().is_some());
    let name = TenantName::new("acme").expect("a valid name");
    let tenant = Tenant::new(ours(), name, at(0));
    bench.credentials.ensure_tenant(by(ours()), tenant).await.unwrap();
    assert!(bench.store.delete_tenant(by(ours())).await.unwrap());
    refused(bench.records.put_record("s", record(1, "x", 900), room, at(299)).await, Kind::Forbidden);
    bench
}
