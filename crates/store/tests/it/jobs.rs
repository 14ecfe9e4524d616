//! Jobs and tokens on disk: random histories, which the memory store must tell alike, and what is left of a forgotten job.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use likeness_domain::ports::{GalleryStore, JobOutcome, JobStore, NewJob, NonceStore};
use likeness_domain::types::JobLease;
use likeness_store::conformance::Ledger;
use likeness_store::conformance::jobs::{at, job, job_id, settle, words};
use likeness_store::conformance::samples::ours;
use likeness_store::embedded::{DATABASE_FILE, EmbeddedStore};
use likeness_store::memory::MemoryStore;
use proptest::prelude::*;

use crate::patience::{block_on, until_tidy};

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(dir, Arc::new(Ledger::default())).unwrap()
}

/// One step; small numbers choose among few ids and times, so that steps meet.
#[derive(Debug, Clone)]
enum Step {
    Enqueue {
        jobs: Vec<(u8, bool, i64)>,
        waiting_max: u64,
    },
    Claim {
        is_scan: bool,
        now: i64,
        lease: i64,
    },
    /// By the last claim, or by one that ended before.
    Settle {
        id: u8,
        is_late: bool,
        outcome: Outcome,
        follow_ups: Vec<(u8, bool, i64)>,
    },
    Cancel {
        id: u8,
        only_unbegun: bool,
        expires_at: i64,
    },
    Forget {
        now: i64,
    },
    /// `later` than the one consumed before: what is deleted at a time is not known to an earlier one.
    Spend {
        scope: u8,
        token: u8,
        later: i64,
        lifetime: i64,
    },
    Restart,
}

#[derive(Debug, Clone)]
enum Outcome {
    Done(i64),
    Again(i64),
    Forgotten,
}

fn new_jobs() -> impl Strategy<Value = Vec<(u8, bool, i64)>> {
    proptest::collection::vec((1..12_u8, any::<bool>(), 0..20_i64), 0..4)
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        3 => (0..30_i64).prop_map(Outcome::Done),
        2 => (0..30_i64).prop_map(Outcome::Again),
        1 => Just(Outcome::Forgotten),
    ];
    prop_oneof![
        4 => (new_jobs(), 0..12_u64).prop_map(|(jobs, waiting_max)| Step::Enqueue { jobs, waiting_max }),
        6 => (any::<bool>(), 0..30_i64, 1..10_i64)
            .prop_map(|(is_scan, now, lease)| Step::Claim { is_scan, now, lease }),
        4 => (1..16_u8, proptest::bool::weighted(0.2), outcome, new_jobs())
            .prop_map(|(id, is_late, outcome, follow_ups)| Step::Settle { id, is_late, outcome, follow_ups }),
        2 => (1..16_u8, any::<bool>(), 0..30_i64)
            .prop_map(|(id, only_unbegun, expires_at)| Step::Cancel { id, only_unbegun, expires_at }),
        1 => (0..30_i64).prop_map(|now| Step::Forget { now }),
        4 => (0..2_u8, 0..4_u8, 0..5_i64, 0..20_i64)
            .prop_map(|(scope, token, later, lifetime)| Step::Spend { scope, token, later, lifetime }),
        1 => Just(Step::Restart),
    ]
}

fn made(jobs: &[(u8, bool, i64)]) -> Vec<NewJob> {
    let kind = |&is_scan: &bool| if is_scan { "scan" } else { "callback" };
    jobs.iter()
        .map(|(id, is_scan, due_at)| NewJob { kind: kind(is_scan), due_at: at(*due_at), ..job(u64::from(*id)) })
        .collect()
}

/// What a store answers to the step, in words; `now_ms` is the time at which a token is consumed.
async fn answer<S: JobStore + NonceStore>(store: &S, step: &Step, now_ms: i64) -> String {
    match step {
        Step::Enqueue { jobs, waiting_max } => match store.enqueue(made(jobs), *waiting_max).await {
            Ok(ids) => format!("{ids:?}"),
            Err(error) => format!("{error:?}"),
        },
        Step::Claim { is_scan, now, lease } => {
            let kind = if *is_scan { "scan" } else { "callback" };
            let claimed = store.claim(kind, at(*now), at(now + lease), None).await.unwrap();
            format!("{:?} {:?}", claimed.as_ref().map(words), store.next_due(kind).await.unwrap())
        }
        Step::Settle { id, is_late, outcome, follow_ups } => {
            let outcome = match outcome {
                Outcome::Done(expires_at) => {
                    JobOutcome::Done { result: Bytes::from(vec![*id; 3]), expires_at: at(*expires_at) }
                }
                Outcome::Again(due_at) => JobOutcome::Again { due_at: at(*due_at) },
                Outcome::Forgotten => JobOutcome::Forgotten,
            };
            let known = store.job(ours(), job_id(u64::from(*id)), at(i64::MIN)).await.unwrap();
            let mut lease = known.map_or(JobLease { job: job_id(u64::from(*id)), until: at(0) }, |job| job.lease());
            lease.until.0 -= i64::from(*is_late);
            store.settle(lease, outcome, made(follow_ups)).await.unwrap().to_string()
        }
        Step::Cancel { id, only_unbegun, expires_at } => {
            let cancelled =
                store.cancel(ours(), job_id(u64::from(*id)), *only_unbegun, at(*expires_at), Bytes::new()).await;
            format!("{:?}", cancelled.unwrap())
        }
        Step::Forget { now } => store.forget(at(*now)).await.unwrap().to_string(),
        Step::Spend { scope, token, lifetime, .. } => {
            let scope = ["nonce", "signature"][usize::from(*scope)];
            store.consume(scope, &[*token], at(now_ms), at(now_ms + lifetime)).await.unwrap().to_string()
        }
        Step::Restart => String::new(),
    }
}

/// Every job that is left, in words.
async fn everything(store: &impl JobStore) -> Vec<String> {
    let mut found = Vec::new();
    for number in 1..300 {
        found.extend(store.job(ours(), job_id(number), at(i64::MIN)).await.unwrap().as_ref().map(words));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_tell_the_same_story_of_jobs(steps in proptest::collection::vec(step(), 1..60)) {
        block_on(async {
            let scratch = tempfile::tempdir().unwrap();
            let memory = MemoryStore::open(Arc::new(Ledger::default()));
            let mut embedded = Some(open(scratch.path()));
            let mut now_ms = 0;
            for step in steps {
                if let Step::Spend { later, .. } = step {
                    now_ms += later;
                }
                if matches!(step, Step::Restart) {
                    drop(embedded.take());
                    embedded = Some(open(scratch.path()));
                }
                let store = embedded.as_ref().unwrap();
                assert_eq!(answer(store, &step, now_ms).await, answer(&memory, &step, now_ms).await, "embedded and memory: {step:?}");
            }
            let store = embedded.unwrap();
            assert_eq!(everything(&store).await, everything(&memory).await);
            assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
        });
    }
}

/// Payloads hold addresses and names, results whom a picture shows.
#[test]
fn no_trace_of_a_forgotten_job_is_left_in_any_file() {
    let scratch = tempfile::tempdir().unwrap();
    let mark = |number: u64| format!("https://example.org/private/{number:08}/");
    // The log first: what maintenance moves from it into the database meanwhile is then found in one of them.
    let is_on_disk = |number: u64| {
        let mark = mark(number);
        ["-wal", ""].iter().any(|end| {
            let bytes = std::fs::read(scratch.path().join(format!("{DATABASE_FILE}{end}"))).unwrap_or_default();
            bytes.windows(mark.len()).any(|window| window == mark.as_bytes())
        })
    };
    block_on(async {
        let store = open(scratch.path());
        // Short ones share pages, long ones have chains of pages of their own.
        let payload = |number| Bytes::from(mark(number).repeat(if number % 2 == 0 { 1 } else { 300 }));
        let jobs = (1..=40).map(|number| NewJob { payload: payload(number), ..job(number) }).collect();
        store.enqueue(jobs, u64::MAX).await.unwrap();
        assert!((1..=40).all(is_on_disk), "what is stored can be found");
        for number in 1..=30 {
            assert!(store.claim("scan", at(100 + number), at(9_000), None).await.unwrap().is_some());
            let result = payload(1_000 + number as u64);
            let outcome = match number % 3 {
                0 => JobOutcome::Forgotten,
                _ => JobOutcome::Done { result, expires_at: at(5_000) },
            };
            assert!(settle(&store, number as u64, outcome, vec![]).await.unwrap());
        }
        // What was to be done went with the commit of its result, and may be overwritten already.
        assert!(is_on_disk(1_001), "what is stored can be found");
        assert_eq!(store.forget(at(5_000)).await.unwrap(), 20);
        until_tidy(&store, scratch.path()).await;
        let traces: Vec<u64> = (1..=30).chain(1_001..=1_030).filter(|&number| is_on_disk(number)).collect();
        assert_eq!(traces, [] as [u64; 0]);
        assert!((31..=40).all(is_on_disk), "undone jobs stay");
    });
}
