//! Jobs.

use std::collections::BTreeSet;

use bytes::Bytes;
use likeness_domain::limits::JOB_BYTES_MAX;
use likeness_domain::ports::{
    Cancel, FaceScope, FaceSelector, Job, JobOutcome, JobPage, JobStore, NewJob, RecordPlace,
};
use likeness_domain::types::{AccessKeyId, Actor, FaceOwner, ID_END, JobId, JobLease, Revision, TimestampMs};
use likeness_domain::{Kind, Result};

use super::samples::{by, face, face_id, face_set, ours, theirs};
use super::{Bench, EVERYTHING, refused};

/// A job `scan` of ours, due at 100.
pub fn job(number: u64) -> NewJob {
    NewJob {
        id: job_id(number),
        tenant: ours(),
        key: by(ours()).key,
        kind: "scan",
        payload: Bytes::from(format!("payload {number}")),
        due_at: at(100),
        created_at: at(50),
    }
}

/// The id with that number.
pub fn job_id(number: u64) -> JobId {
    JobId::new(number).expect("a valid id")
}

/// That many milliseconds since 1970.
pub fn at(ms: i64) -> TimestampMs {
    TimestampMs(ms)
}

/// Everything of a job, to be compared: the type has no `Debug`, since a payload must not reach a log.
pub fn words(job: &Job) -> String {
    let Job { id, tenant, key, kind, payload, result, n_attempts, due_at, created_at, .. } = job;
    let (expires_at, is_cancelled) = (&job.expires_at, job.is_cancelled);
    let key = key.as_ref().map_or("nobody", AccessKeyId::as_str);
    format!(
        "{id} {tenant} {key} {kind} {payload:?} {result:?} {n_attempts} {due_at:?} {created_at:?} {expires_at:?} \
         {is_cancelled}"
    )
}

fn done(result: &str, expires_at: i64) -> JobOutcome {
    JobOutcome::Done { result: Bytes::copy_from_slice(result.as_bytes()), expires_at: at(expires_at) }
}

/// Settles a job as whoever has claimed it last would.
pub async fn settle(store: &dyn JobStore, number: u64, outcome: JobOutcome, follow_ups: Vec<NewJob>) -> Result<bool> {
    let mut lease = JobLease { job: job_id(number), until: at(0) };
    for tenant in [ours(), theirs()] {
        let known = store.job(tenant, lease.job, at(i64::MIN)).await?;
        lease = known.map_or(lease, |job| job.lease());
    }
    store.settle(lease, outcome, follow_ups).await
}

async fn enqueue(store: &dyn JobStore, jobs: Vec<NewJob>) -> Vec<u64> {
    store.enqueue(jobs, u64::MAX).await.unwrap().into_iter().map(JobId::get).collect()
}

/// Number of the job that a worker gets at that time, with a lease of ten seconds.
async fn claim(store: &dyn JobStore, now: i64) -> Option<u64> {
    store.claim("scan", at(now), at(now + 10_000), None).await.unwrap().map(|job| job.id.get())
}

/// Through claim and look-up, every part; then with its result.
pub async fn a_job_comes_back_as_it_was_accepted(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    assert_eq!(enqueue(store, vec![job(7)]).await, [7]);
    let waiting = store.job(ours(), job_id(7), at(0)).await.unwrap().unwrap();
    let expected = format!("7 {} our-key scan b\"payload 7\" None 0 {:?} {:?} None false", ours(), at(100), at(50));
    assert_eq!(words(&waiting), expected);
    let claimed = store.claim("scan", at(100), at(900), None).await.unwrap().unwrap();
    let expected = format!("7 {} our-key scan b\"payload 7\" None 1 {:?} {:?} None false", ours(), at(900), at(50));
    assert_eq!(words(&claimed), expected);
    let no_text = Bytes::from_static(&[0, 255, 10, 0]);
    let outcome = JobOutcome::Done { result: no_text.clone(), expires_at: at(5_000) };
    assert!(settle(store, 7, outcome, vec![]).await.unwrap());
    let found = store.job(ours(), job_id(7), at(4_999)).await.unwrap().unwrap();
    assert_eq!((found.result, found.expires_at, found.n_attempts), (Some(no_text), Some(at(5_000)), 1));
    assert_eq!(found.payload, "", "what was to be done is not kept beside what came out");
    bench
}

/// Not before its time, the one that is longest due first, of equals the one accepted first.
pub async fn jobs_are_claimed_in_order_of_their_times(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    let due = |number, due_at| NewJob { due_at: at(due_at), ..job(number) };
    enqueue(store, vec![due(4, 300), due(9, 200), due(2, 200), due(5, 100)]).await;
    assert_eq!(store.next_due("scan").await.unwrap(), Some(at(100)));
    assert_eq!(claim(store, 99).await, None);
    assert_eq!(claim(store, 100).await, Some(5));
    assert_eq!(claim(store, 199).await, None);
    let mut claimed = Vec::new();
    while let Some(number) = claim(store, 1_000).await {
        claimed.push(number);
    }
    assert_eq!(claimed, [9, 2, 4]);
    assert_eq!(store.next_due("scan").await.unwrap(), Some(at(10_100)), "the first lease ends first");
    bench
}

/// However many jobs a tenant has waiting: of one tenant the one that is longest due, then one of the next.
pub async fn tenants_are_served_in_turn(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    let of = |tenant, number, due_at| NewJob { tenant, key: None, due_at: at(due_at), ..job(number) };
    let (first, last) = (ours().min(theirs()), ours().max(theirs()));
    let flood = (1..=4).map(|number| of(first, number, 100)).chain([of(first, 5, 50), of(first, 6, 900)]);
    enqueue(store, flood.chain([of(last, 7, 200), of(last, 8, 100)]).collect()).await;
    let (mut served, mut numbers) = (None, Vec::new());
    while let Some(job) = store.claim("scan", at(300), at(9_000), served).await.unwrap() {
        served = Some(job.tenant);
        numbers.push(job.id.get());
    }
    assert_eq!(numbers, [5, 8, 1, 7, 2, 3, 4]);
    bench
}

/// One tenant leaves the last tenth of the places to others.
pub async fn one_tenant_cannot_fill_the_queue(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    let of = |tenant, numbers: std::ops::RangeInclusive<u64>| -> Vec<NewJob> {
        numbers.map(|number| NewJob { tenant, key: None, ..job(number) }).collect()
    };
    store.enqueue(of(ours(), 1..=18), 20).await.unwrap();
    refused(store.enqueue(of(ours(), 19..=19), 20).await, Kind::Overloaded);
    let mixed = of(theirs(), 19..=19).into_iter().chain(of(ours(), 20..=20)).collect();
    refused(store.enqueue(mixed, 20).await, Kind::Overloaded);
    store.enqueue(of(theirs(), 19..=20), 20).await.unwrap();
    refused(store.enqueue(of(theirs(), 21..=21), 20).await, Kind::Overloaded);
    bench
}

/// Whoever owns the store after a crash need not wait for leases to end; what nobody has begun keeps its time.
pub async fn jobs_of_a_process_that_is_gone_are_due_at_once(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    enqueue(store, vec![job(1), job(2), NewJob { due_at: at(5_000), ..job(3) }]).await;
    assert_eq!((claim(store, 100).await, claim(store, 100).await), (Some(1), Some(2)));
    assert!(settle(store, 2, done("done", 9_000), vec![]).await.unwrap());
    assert_eq!(claim(store, 200).await, None);
    assert_eq!(store.void_leases(at(200)).await.unwrap(), 1);
    assert_eq!((claim(store, 200).await, claim(store, 200).await), (Some(1), None));
    assert_eq!(store.next_due("scan").await.unwrap(), Some(at(5_000)));
    bench
}

/// A worker of one kind never gets work of another.
pub async fn kinds_of_jobs_are_apart(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    enqueue(store, vec![NewJob { kind: "callback", due_at: at(1), ..job(1) }, job(2)]).await;
    assert_eq!(store.next_due("scan").await.unwrap(), Some(at(100)));
    assert_eq!(store.next_due("callback").await.unwrap(), Some(at(1)));
    assert_eq!(store.next_due("other").await.unwrap(), None);
    assert_eq!(claim(store, 500).await, Some(2));
    assert_eq!(claim(store, 500).await, None);
    let other = store.claim("callback", at(500), at(600), None).await.unwrap().unwrap();
    assert_eq!((other.id.get(), other.kind.as_str()), (1, "callback"));
    bench
}

/// The work of a worker that died is done by another, and the attempts are counted.
pub async fn a_job_is_due_again_when_its_lease_ends(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    enqueue(store, vec![job(1)]).await;
    for n_attempts in 1..=3_u32 {
        let lease_until = 1_000 * i64::from(n_attempts);
        let claimed = store.claim("scan", at(lease_until - 900), at(lease_until), None).await.unwrap().unwrap();
        assert_eq!(claimed.n_attempts, n_attempts);
        assert!(store.claim("scan", at(lease_until - 1), at(9_999), None).await.unwrap().is_none(), "it is taken");
        assert_eq!(store.next_due("scan").await.unwrap(), Some(at(lease_until)));
        assert!(settle(store, 1, JobOutcome::Again { due_at: at(lease_until + 100) }, vec![]).await.unwrap());
    }
    let put_off = store.job(ours(), job_id(1), at(0)).await.unwrap().unwrap();
    assert_eq!((put_off.due_at, put_off.n_attempts, put_off.result), (at(3_100), 3, None));
    bench
}

/// The second worker to finish hears that it was too late, and its follow-ups are not accepted.
pub async fn a_job_is_settled_once(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    enqueue(store, vec![job(1)]).await;
    assert_eq!(claim(store, 100).await, Some(1));
    assert_eq!(claim(store, 20_000).await, Some(1));
    assert!(settle(store, 1, done("first", 90_000), vec![job(2)]).await.unwrap());
    assert!(!settle(store, 1, done("second", 95_000), vec![job(3)]).await.unwrap());
    assert!(!settle(store, 1, JobOutcome::Again { due_at: at(0) }, vec![job(3)]).await.unwrap());
    assert!(!settle(store, 1, JobOutcome::Forgotten, vec![job(3)]).await.unwrap());
    assert!(!settle(store, 99, JobOutcome::Forgotten, vec![job(3)]).await.unwrap(), "there is none");
    let found = store.job(ours(), job_id(1), at(0)).await.unwrap().unwrap();
    assert_eq!((found.result, found.expires_at), (Some(Bytes::from("first")), Some(at(90_000))));
    assert!(store.job(ours(), job_id(2), at(0)).await.unwrap().is_some());
    assert!(store.job(ours(), job_id(3), at(0)).await.unwrap().is_none());
    assert_eq!(claim(store, 200_000).await, Some(2), "what is done is not claimed again");
    assert_eq!(claim(store, 200_000).await, None);
    bench
}

/// Its result until then, and nothing of it afterwards.
pub async fn a_result_is_kept_until_its_time(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    enqueue(store, (1..=5).map(job).collect()).await;
    for (number, expires_at) in [(1, 1_000), (2, 2_000), (3, 3_000)] {
        assert!(settle(store, number, done("done", expires_at), vec![]).await.unwrap());
    }
    assert!(settle(store, 4, JobOutcome::Forgotten, vec![]).await.unwrap());
    let known = async |now| {
        let mut known = Vec::new();
        for number in 1..=5 {
            if store.job(ours(), job_id(number), at(now)).await.unwrap().is_some() {
                known.push(number);
            }
        }
        known
    };
    assert_eq!(known(999).await, [1, 2, 3, 5]);
    assert_eq!(known(1_000).await, [2, 3, 5]);
    assert_eq!(store.forget(at(2_000)).await.unwrap(), 2);
    assert_eq!(store.forget(at(2_000)).await.unwrap(), 0);
    assert_eq!(known(0).await, [3, 5], "what is erased was erased, whatever the clock says later");
    assert_eq!(store.forget(at(i64::MAX)).await.unwrap(), 1);
    assert_eq!(known(0).await, [5], "an undone job has no time to be forgotten at");
    bench
}

/// More of them than are erased in one commit.
pub async fn many_jobs_are_forgotten_together(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    enqueue(store, (1..=450).map(job).collect()).await;
    for number in 1..=450 {
        assert!(settle(store, number, done("done", 10), vec![]).await.unwrap());
    }
    assert_eq!(store.forget(at(9)).await.unwrap(), 0);
    assert_eq!(store.forget(at(10)).await.unwrap(), 450);
    assert!(store.job(ours(), job_id(450), at(0)).await.unwrap().is_none());
    bench
}

/// Counted per kind over all tenants; done jobs do not wait any more; all or none.
pub async fn no_more_jobs_wait_than_may(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    let other_kind = |number| NewJob { kind: "callback", ..job(number) };
    let of_theirs = NewJob { tenant: theirs(), ..job(2) };
    store.enqueue(vec![job(1), of_theirs, other_kind(3)], 2).await.unwrap();
    refused(store.enqueue(vec![other_kind(4), job(5)], 2).await, Kind::Overloaded);
    assert!(store.job(ours(), job_id(4), at(0)).await.unwrap().is_none(), "all or none");
    refused(store.enqueue(vec![job(5), job(6)], 3).await, Kind::Overloaded);
    refused(store.enqueue(vec![job(5)], 0).await, Kind::Overloaded);
    assert_eq!(store.enqueue(vec![job(5)], 3).await.unwrap(), [job_id(5)]);
    assert_eq!(claim(store, 100).await, Some(1));
    refused(store.enqueue(vec![job(7)], 3).await, Kind::Overloaded);
    assert!(settle(store, 1, done("done", 1_000), vec![]).await.unwrap());
    assert_eq!(store.enqueue(vec![job(7)], 3).await.unwrap(), [job_id(7)]);
    assert!(settle(store, 2, JobOutcome::Forgotten, vec![job(8), job(9)]).await.unwrap(), "follow-ups always fit");
    refused(store.enqueue(vec![job(10)], 4).await, Kind::Overloaded);
    assert_eq!(store.enqueue(vec![], 0).await.unwrap(), []);
    bench
}

/// Counting up, from the largest to 1, also within one call; a done job still uses its id.
pub async fn a_used_job_id_is_replaced_by_the_next(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    assert_eq!(enqueue(store, vec![job(5), job(5), job(6)]).await, [5, 6, 7]);
    assert!(settle(store, 5, done("done", 1_000), vec![job(5)]).await.unwrap());
    assert!(store.job(ours(), job_id(8), at(0)).await.unwrap().is_some());
    assert_eq!(enqueue(store, vec![job(ID_END - 1), job(ID_END - 1)]).await, [ID_END - 1, 1]);
    bench
}

/// A result is for whoever asked for the work.
pub async fn jobs_of_another_tenant_are_not_there(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    enqueue(store, vec![job(1)]).await;
    assert!(store.job(theirs(), job_id(1), at(0)).await.unwrap().is_none());
    assert!(settle(store, 1, done("secret", 1_000), vec![]).await.unwrap());
    assert!(store.job(theirs(), job_id(1), at(0)).await.unwrap().is_none());
    assert!(store.job(ours(), job_id(1), at(0)).await.unwrap().is_some());
    bench
}

/// And nothing of what came with them is accepted.
pub async fn jobs_that_are_too_large_are_refused(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    let large = || Bytes::from(vec![b'x'; JOB_BYTES_MAX + 1]);
    let too_large = || NewJob { payload: large(), ..job(2) };
    refused(store.enqueue(vec![job(1), too_large()], u64::MAX).await, Kind::InvalidArgument);
    assert!(store.job(ours(), job_id(1), at(0)).await.unwrap().is_none());
    let largest = NewJob { payload: large().slice(1..), ..job(1) };
    assert_eq!(enqueue(store, vec![largest]).await, [1]);
    let outcome = JobOutcome::Done { result: large(), expires_at: at(1_000) };
    refused(settle(store, 1, outcome, vec![]).await, Kind::InvalidArgument);
    refused(settle(store, 1, done("done", 1_000), vec![too_large()]).await, Kind::InvalidArgument);
    let found = store.job(ours(), job_id(1), at(0)).await.unwrap().unwrap();
    assert_eq!((found.payload.len(), found.result), (JOB_BYTES_MAX, None));
    bench
}

/// However many ask at once, each job is given out once.
pub async fn many_workers_get_different_jobs(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    enqueue(store, (1..=30).map(job).collect()).await;
    let claims: Vec<_> = (0..40).map(|_| store.claim("scan", at(100), at(9_000), None)).collect();
    let mut claimed = BTreeSet::new();
    let mut n_claimed = 0;
    for claim in claims {
        let number = claim.await.unwrap().map(|job| job.id.get());
        n_claimed += usize::from(number.is_some());
        claimed.extend(number);
    }
    assert_eq!((n_claimed, claimed.len()), (30, 30));
    bench
}

/// Page after page, done ones until they are forgotten, and nothing of another tenant.
pub async fn jobs_are_listed_last_first(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    enqueue(store, vec![job(1), job(2), job(3), NewJob { tenant: theirs(), ..job(4) }]).await;
    store.claim("scan", at(100), at(200), None).await.unwrap();
    settle(store, 1, done("result", 500), vec![]).await.unwrap();
    let numbers = |page: &JobPage| page.jobs.iter().map(|job| job.id.get()).collect::<Vec<_>>();
    let first = store.jobs(ours(), None, 2, at(100)).await.unwrap();
    assert_eq!(numbers(&first), [3, 2]);
    enqueue(store, vec![job(5)]).await;
    let second = store.jobs(ours(), first.next, 2, at(100)).await.unwrap();
    assert_eq!((numbers(&second), second.next), (vec![1], None));
    let known = &second.jobs[0];
    assert!(known.payload.is_empty() && known.result.as_ref().is_some_and(bytes::Bytes::is_empty), "no bytes of it");
    assert_eq!((known.n_attempts, known.expires_at, &*known.kind), (1, Some(at(500)), "scan"));
    assert_eq!(numbers(&store.jobs(ours(), None, 9, at(500)).await.unwrap()), [5, 3, 2]);
    assert_eq!(numbers(&store.jobs(theirs(), None, 9, at(500)).await.unwrap()), [4]);
    assert_eq!(numbers(&store.jobs(theirs(), Some(u64::MAX), 9, at(500)).await.unwrap()), [4]);
    bench
}

/// While it waits or is under way; whoever does it then cannot settle it. It is known as cancelled until its time is over.
pub async fn a_job_is_cancelled_once(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    enqueue(store, vec![job(1), job(2), job(3)]).await;
    let cancel =
        async |tenant, number| store.cancel(tenant, job_id(number), false, at(500), Bytes::new()).await.unwrap();
    assert_eq!(cancel(theirs(), 1).await, Cancel::NotFound);
    assert_eq!(cancel(ours(), 2).await, Cancel::Done);
    assert_eq!(cancel(ours(), 2).await, Cancel::NotFound);
    assert_eq!(claim(store, 100).await, Some(1));
    assert_eq!(cancel(ours(), 1).await, Cancel::Done);
    let again = JobOutcome::Again { due_at: at(300) };
    assert!(!settle(store, 1, again, vec![job(7)]).await.unwrap());
    assert_eq!(claim(store, 100).await, Some(3));
    settle(store, 3, done("result", 900), vec![]).await.unwrap();
    assert_eq!(cancel(ours(), 3).await, Cancel::NotFound, "it is done");

    for number in [1, 2] {
        let known = store.job(ours(), job_id(number), at(499)).await.unwrap().unwrap();
        assert!(known.is_cancelled && known.payload.is_empty() && known.result.is_none());
        assert_eq!(known.expires_at, Some(at(500)));
        assert!(store.job(ours(), job_id(number), at(500)).await.unwrap().is_none());
    }
    let listed = store.jobs(ours(), None, 9, at(499)).await.unwrap().jobs;
    let states: Vec<_> = listed.iter().map(|job| (job.id.get(), job.is_cancelled, job.result.is_some())).collect();
    assert_eq!(states, [(3, false, true), (2, true, false), (1, true, false)]);
    // Nobody waits for them any more.
    enqueue(store, vec![job(4)]).await;
    let of_theirs = NewJob { tenant: theirs(), ..job(5) };
    assert_eq!(store.enqueue(vec![of_theirs], 2).await.unwrap(), [job_id(5)]);
    assert_eq!(store.forget(at(500)).await.unwrap(), 2);
    // An empty result is nobody's: it could not be told from a cancelled job.
    refused(settle(store, 4, done("", 900), vec![]).await, Kind::InvalidArgument);
    bench
}

/// By who cancels it, and by who was at it then; it stays cancelled.
pub async fn what_a_cancelled_job_has_done_is_kept(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    enqueue(store, vec![job(1), job(2)]).await;
    let text = |text: &'static str| Bytes::from_static(text.as_bytes());
    assert_eq!(claim(store, 100).await, Some(1));
    for number in [1, 2] {
        let cancelled = store.cancel(ours(), job_id(number), false, at(500), text("five")).await.unwrap();
        assert_eq!(cancelled, Cancel::Done);
    }
    let known = async |number| {
        let known = store.job(ours(), job_id(number), at(499)).await.unwrap().unwrap();
        assert!(known.is_cancelled && known.payload.is_empty());
        known.result.unwrap()
    };
    assert_eq!((known(1).await, known(2).await), (text("five"), text("five")));
    let goes_on = JobOutcome::Continue { payload: text("rest"), due_at: at(300), so_far: text("seven") };
    assert!(!settle(store, 1, goes_on, vec![job(7)]).await.unwrap());
    assert_eq!((known(1).await, known(2).await), (text("seven"), text("five")));
    assert!(!settle(store, 1, done("all", 900), vec![]).await.unwrap());
    assert_eq!(known(1).await, text("all"));
    assert_eq!(claim(store, 400).await, None);
    let listed = store.jobs(ours(), None, 9, at(499)).await.unwrap().jobs;
    assert!(listed.iter().all(|job| job.is_cancelled && job.result.is_none() && job.payload.is_empty()));
    bench
}

/// What is all or none: once it was begun, be it under way or to be tried again, it is too late.
pub async fn a_job_that_was_begun_can_be_kept_from_being_cancelled(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    enqueue(store, vec![job(1), job(2)]).await;
    let cancel = async |number| store.cancel(ours(), job_id(number), true, at(500), Bytes::new()).await.unwrap();
    assert_eq!(claim(store, 100).await, Some(1));
    assert_eq!(cancel(1).await, Cancel::TooLate);
    assert_eq!(cancel(2).await, Cancel::Done);
    assert_eq!(claim(store, 100).await, None, "what was cancelled is never begun");
    assert!(settle(store, 1, JobOutcome::Again { due_at: at(300) }, vec![]).await.unwrap());
    assert_eq!(cancel(1).await, Cancel::TooLate);
    assert_eq!(claim(store, 300).await, Some(1));
    assert!(settle(store, 1, done("result", 900), vec![]).await.unwrap());
    assert_eq!(cancel(1).await, Cancel::NotFound);
    bench
}

/// With another payload, its tries counted anew.
pub async fn a_job_goes_on_with_what_is_left(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    enqueue(store, vec![job(1)]).await;
    assert_eq!(claim(store, 100).await, Some(1));
    let goes_on = |payload| JobOutcome::Continue { payload, due_at: at(300), so_far: Bytes::new() };
    assert!(settle(store, 1, goes_on(Bytes::from_static(b"half")), vec![]).await.unwrap());
    let known = store.job(ours(), job_id(1), at(100)).await.unwrap().unwrap();
    assert_eq!((&*known.payload, known.n_attempts, known.result), (&b"half"[..], 0, None));
    assert_eq!(claim(store, 299).await, None);
    assert_eq!(claim(store, 300).await, Some(1));
    let large = Bytes::from(vec![7; JOB_BYTES_MAX + 1]);
    refused(settle(store, 1, goes_on(large), vec![]).await, Kind::InvalidArgument);
    bench
}

/// Somebody else has taken the job up, or it was cancelled: whoever was held up meanwhile changes nothing any more. Issue 17: a
/// server that was stopped enrolled one more face for a job that was cancelled.
pub async fn who_has_lost_a_job_writes_and_settles_nothing(bench: Bench) -> Bench {
    let store = &*bench.jobs;
    let set = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let scope = FaceScope::FaceSet(set.id);
    let writes = async |lease: JobLease, number: u64| {
        let actor = || Actor { lease: Some(lease), ..by(ours()) };
        let faces = vec![face(number)];
        let added = bench.store.add_faces(actor(), FaceOwner::FaceSet(set.id), faces, None).await.map(drop);
        let selector = FaceSelector::Ids(vec![face_id(1)]);
        let deleted = bench.store.delete_faces(actor(), scope, selector).await.map(drop);
        [added, deleted]
    };
    let claim = async |now| store.claim("scan", at(now), at(now + 10_000), None).await.unwrap().unwrap().lease();
    let text = |text: &'static str| Bytes::from_static(text.as_bytes());
    let half = || JobOutcome::Continue { payload: text("half"), due_at: at(300), so_far: text("half") };

    enqueue(store, vec![job(1), NewJob { due_at: at(90_000), ..job(2) }]).await;
    let first = claim(100).await;
    writes(first, 2).await.into_iter().for_each(|write| write.unwrap());
    let second = claim(20_000).await;
    assert_eq!((first.job, second.job), (job_id(1), job_id(1)));
    writes(first, 3).await.into_iter().for_each(|write| refused(write, Kind::JobDone));
    assert!(!store.settle(first, half(), vec![job(7)]).await.unwrap());
    assert!(!store.settle(first, JobOutcome::Forgotten, vec![job(7)]).await.unwrap());
    let known = store.job(ours(), job_id(1), at(0)).await.unwrap().unwrap();
    assert_eq!((&*known.payload, known.lease(), known.n_attempts), (&b"payload 1"[..], second, 2));
    writes(second, 4).await.into_iter().for_each(|write| write.unwrap());

    let cancelled = store.cancel(ours(), job_id(1), false, at(500_000), text("some")).await.unwrap();
    assert_eq!(cancelled, Cancel::Done);
    writes(second, 5).await.into_iter().for_each(|write| refused(write, Kind::JobDone));
    let told = async || store.job(ours(), job_id(1), at(0)).await.unwrap().unwrap().result.unwrap();
    assert!(!store.settle(first, half(), vec![job(7)]).await.unwrap());
    assert_eq!(told().await, "some", "it is not its job any more");
    assert!(!store.settle(second, half(), vec![job(7)]).await.unwrap());
    assert_eq!(told().await, "half");
    assert!(store.job(ours(), job_id(7), at(0)).await.unwrap().is_none());

    let third = claim(90_000).await;
    assert_eq!(store.void_leases(at(90_001)).await.unwrap(), 1, "its server was started anew");
    writes(third, 6).await.into_iter().for_each(|write| refused(write, Kind::JobDone));
    let ids = bench.store.list_faces(ours(), scope, EVERYTHING).await.unwrap();
    assert_eq!(ids.iter().map(|face| face.id).collect::<Vec<_>>(), [2, 4].map(face_id));
    let record = bench.store.record_after(ours(), RecordPlace::from(Revision(0)), 9).await.unwrap();
    assert!(record.commits.iter().all(|commit| commit.actor == by(ours())), "a claim is not kept");
    bench
}
