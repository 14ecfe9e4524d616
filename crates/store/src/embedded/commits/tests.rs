use std::collections::{BTreeMap, BTreeSet};

use likeness_domain::types::PersonId;
use proptest::prelude::*;

use super::super::schema::{FileUse, MIGRATIONS, Purpose, connect};
use super::super::upgrade::migrate;
use super::*;

/// What happens to the record; numbers choose among few.
#[derive(Debug, Clone)]
enum Step {
    /// Somebody writes, so many milliseconds after the last one (before it, if the clock was set back).
    Write { tenant: u8, part: u8, after_ms: i64 },
    /// A write that keeps no commit takes a revision.
    Other,
    /// The maintenance works until nothing is left to do, in steps of so many rows.
    Compact { commits_max: u64, age_ms: i64, n_rows: usize },
    /// It makes a single step.
    CompactSome { commits_max: u64, age_ms: i64, n_rows: usize },
    /// It knows nothing any more.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let bounds = || (0..12_u64, prop_oneof![Just(i64::MAX), 0..200_i64], 1..6_usize);
    let write = |after_ms: std::ops::Range<i64>| {
        (0..3_u8, 0..3_u8, after_ms).prop_map(|(tenant, part, after_ms)| Step::Write { tenant, part, after_ms })
    };
    prop_oneof![
        // One tenant writes more than the others, and mostly the same.
        8 => (0..10_i64).prop_map(|after_ms| Step::Write { tenant: 0, part: 0, after_ms }),
        8 => write(0..10),
        1 => write(-50..0),
        2 => Just(Step::Other),
        2 => bounds().prop_map(|(commits_max, age_ms, n_rows)| Step::Compact { commits_max, age_ms, n_rows }),
        2 => bounds().prop_map(|(commits_max, age_ms, n_rows)| Step::CompactSome { commits_max, age_ms, n_rows }),
        1 => Just(Step::Restart),
    ]
}

fn tenant_of(number: u8) -> TenantId {
    TenantId::from_bits(u128::from(number) + 1)
}

/// A change of each part.
fn change_of(part: u8) -> (Change, Part) {
    let person = PersonId::new(1).unwrap();
    match part {
        0 => (Change::PersonChanged(person), Part::Edit),
        1 => (Change::PersonDeleted(person), Part::Removal),
        _ => (Change::FaceSetChanged(FaceSetId::new(1).unwrap()), Part::Rule),
    }
}

/// Everything that was ever committed.
#[derive(Default)]
struct Everything {
    revision: u64,
    last_commit: u64,
    now: i64,
    /// By revision.
    written: BTreeMap<u64, (TenantId, Part)>,
}

struct Bench {
    _scratch: tempfile::TempDir,
    conn: Connection,
    kept: Kept,
    all: Everything,
}

impl Bench {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut conn = connect(scratch.path(), Purpose::Write, FileUse::Shared, &Arc::default()).unwrap();
        conn.pragma_update(None, "synchronous", "off").unwrap();
        migrate(&mut conn, MIGRATIONS).unwrap();
        Self { _scratch: scratch, conn, kept: Kept::default(), all: Everything { now: 1000, ..Everything::default() } }
    }

    fn write(&mut self, tenant: u8, part: u8, after_ms: i64) {
        let (all, tenant, (change, part)) = (&mut self.all, tenant_of(tenant), change_of(part));
        all.now += after_ms;
        all.revision += 1;
        let request_id = RequestId::new("request-1").unwrap();
        let actor = Actor { tenant, key: None, request_id, key_must_be_usable: false, lease: None };
        let (revision, previous) = (Revision(all.revision), Revision(all.last_commit));
        insert(&self.conn, revision, previous, TimestampMs(all.now), &actor, &[change]).unwrap();
        all.last_commit = all.revision;
        all.written.insert(all.revision, (tenant, part));
        self.keep_counters();
    }

    fn other(&mut self) {
        self.all.revision += 1;
        self.keep_counters();
    }

    fn keep_counters(&self) {
        let sql = "UPDATE store SET revision = ?1, last_commit = ?2";
        self.conn.execute(sql, (self.all.revision, self.all.last_commit)).unwrap();
    }

    fn compact_some(&mut self, commits_max: u64, age_ms: i64, n_rows: usize) -> bool {
        let now = TimestampMs(self.all.now);
        let before = TimestampMs(now.0.saturating_sub(age_ms));
        let (n_before, compacted) = (self.left().len(), self.compacted());
        let done = compact_some(&self.conn, &mut self.kept, commits_max, (before, now), n_rows).unwrap();
        assert!(n_before - self.left().len() <= done.n_gone && done.n_gone <= n_rows);
        assert!(compacted <= self.compacted());
        done.is_more
    }

    fn compacted(&self) -> u64 {
        self.conn.query_row("SELECT compacted FROM store", [], |row| row.get(0)).unwrap()
    }

    /// The revisions that are still there with their changes.
    fn left(&self) -> BTreeSet<u64> {
        let mut statement = self.conn.prepare("SELECT revision FROM commits WHERE length(changes) > 0").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// Sizes of what is left, by shares.
    fn sizes(&self) -> BTreeMap<(TenantId, Part), u64> {
        let mut sizes = BTreeMap::new();
        for revision in self.left() {
            *sizes.entry(self.all.written[&revision]).or_default() += 1;
        }
        sizes
    }

    /// What must hold at every moment.
    fn check(&self) {
        let (left, compacted) = (self.left(), self.compacted());
        let Everything { revision, written, .. } = &self.all;
        let gone: Vec<u64> = written.keys().copied().filter(|revision| !left.contains(revision)).collect();
        assert!(left.iter().all(|revision| written.contains_key(revision)));
        assert_eq!(compacted, gone.last().copied().unwrap_or_default(), "who is behind it has to rebuild");
        // A follower gets everything or is told that it cannot.
        for at in [0, compacted.saturating_sub(1), compacted, compacted + 1, (compacted + *revision) / 2, *revision] {
            match after(&self.conn, Revision(at), usize::MAX).unwrap() {
                CommitPage::TooOld { compacted: told } => {
                    assert!(at < compacted && told.0 == compacted, "{at} is not behind {compacted}");
                }
                CommitPage::Commits { commits, reached, has_more } => {
                    assert!(at >= compacted);
                    let got: Vec<u64> = commits.iter().map(|commit| commit.revision.0).collect();
                    let expected: Vec<u64> = written.range(at + 1..).map(|(&revision, _)| revision).collect();
                    assert_eq!((got, reached.0, has_more), (expected, at.max(*revision), false), "after {at}");
                    assert!(commits.iter().all(|commit| commit.changes.len() == 1));
                }
            }
        }
        // The record of a tenant has what is left of it, and is whole behind what it says.
        for tenant in (0..3).map(tenant_of) {
            let page = record_after(&self.conn, tenant, Revision(0).into(), usize::MAX).unwrap();
            let of_it = |revisions: &mut dyn Iterator<Item = u64>| -> Vec<u64> {
                revisions.filter(|revision| written[revision].0 == tenant).collect()
            };
            let got: Vec<u64> = page.commits.iter().map(|commit| commit.revision.0).collect();
            assert_eq!(got, of_it(&mut left.iter().copied()));
            assert!(page.commits.iter().all(|commit| commit.actor.tenant == tenant && commit.changes.len() == 1));
            let last_gone = of_it(&mut gone.iter().copied()).last().copied().unwrap_or_default();
            assert!(last_gone <= page.compacted.0, "{last_gone} went, told is {:?}", page.compacted);
            // It says no more than what went, its own or all before the first row.
            let first_row: Option<u64> =
                self.conn.query_row("SELECT min(revision) FROM commits", [], |row| row.get(0)).unwrap();
            let before_all = first_row.map_or(compacted, |first| (first - 1).min(compacted));
            assert_eq!(page.compacted.0, last_gone.max(before_all), "of what went or never was");
        }
        let sql = "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM commits WHERE length(changes) = 0 GROUP BY tenant)";
        let n_marks: u64 = self.conn.query_row(sql, [], |row| row.get(0)).unwrap();
        assert!(n_marks <= 1, "one mark a tenant");
        let mut problems = Vec::new();
        check(&self.conn, &mut problems).unwrap();
        assert_eq!(problems, [] as [String; 0]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever is written and compacted in which steps, with restarts between: followers and records are told what is not there
    /// any more, nobody loses what fits into an equal part, and at last there are no more than there may be.
    #[test]
    fn the_record_keeps_fair_shares_and_says_what_went(steps in proptest::collection::vec(step(), 1..60)) {
        let mut bench = Bench::new();
        for step in steps {
            match step {
                Step::Write { tenant, part, after_ms } => {
                    bench.write(tenant, part, after_ms);
                    continue;
                }
                Step::Other => bench.other(),
                Step::Restart => bench.kept = Kept::default(),
                Step::CompactSome { commits_max, age_ms, n_rows } => {
                    bench.compact_some(commits_max, age_ms, n_rows);
                }
                Step::Compact { commits_max, age_ms, n_rows } => {
                    let before = bench.sizes();
                    while bench.compact_some(commits_max, age_ms, n_rows) {}
                    let after = bench.sizes();
                    prop_assert!(after.values().sum::<u64>() <= commits_max);
                    if age_ms == i64::MAX {
                        let equal = commits_max / before.len().max(1) as u64;
                        for (share, &n) in &before {
                            let n_left = after.get(share).copied().unwrap_or_default();
                            prop_assert!(n_left >= n.min(equal), "{share:?} had {n} and has {n_left} of {commits_max}");
                        }
                    }
                }
            }
            bench.check();
        }
        // Of each share the newest are left.
        let left = bench.left();
        let mut seen = BTreeSet::new();
        for (revision, share) in &bench.all.written {
            prop_assert!(!seen.contains(share) || left.contains(revision), "{revision} went, and older ones did not");
            if left.contains(revision) {
                seen.insert(*share);
            }
        }
    }
}

/// A damaged row does not keep the others for ever.
#[test]
fn damaged_commits_are_compacted_as_well() {
    for damage in [
        "UPDATE commits SET tenant = x'' WHERE revision = 2",
        "UPDATE commits SET changes = x'' WHERE revision = 2",
        "UPDATE commits SET at = 9000000000000000000 WHERE revision = 2",
        "UPDATE commits SET revision = 4000000 WHERE revision = 20",
    ] {
        let mut bench = Bench::new();
        for _ in 0..20 {
            bench.write(0, 0, 1);
        }
        bench.conn.pragma_update(None, "ignore_check_constraints", true).unwrap();
        bench.conn.execute(damage, []).unwrap();
        bench.conn.pragma_update(None, "ignore_check_constraints", false).unwrap();
        while bench.compact_some(5, i64::MAX, 4) {}
        for _ in 0..20 {
            bench.write(0, 0, 1);
        }
        while bench.compact_some(5, i64::MAX, 4) {}
        let n_left = bench.left().iter().filter(|&&revision| revision <= 40).count();
        assert!((4..=5).contains(&n_left), "{damage}: {n_left} are left");
    }
}
