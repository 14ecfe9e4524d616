//! Durable writes by number of writers, and what reading costs: `cargo bench -p likeness-store --bench commits`.
//!
//! Every write is one face with a template of 128 dimensions, flushed before it is acknowledged. The folder is made under
//! `TMPDIR`: a memory file system there measures something else.
#![expect(clippy::print_stdout, reason = "figures that are no distribution of equal runs are printed")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use likeness_domain::filter::Filter;
use likeness_domain::ports::{FaceScope, FaceSelector, GalleryStore, Page};
use likeness_domain::types::{FaceId, FaceOwner, FaceSet, FieldValue, NewFace, Template};
use likeness_store::conformance::Ledger;
use likeness_store::conformance::samples::{by, face, face_set, name, ours, pack, template, valued};
use likeness_store::embedded::EmbeddedStore;
use likeness_store::index::{FlatIndex, FlatOptions, INLINE_NUMBERS_MAX};
use tokio::runtime::Runtime;

fn real_face(number: u64) -> NewFace {
    let raw: Vec<f32> = (0..8).flat_map(|part| template(number + (part << 32)).unit().to_vec()).collect();
    NewFace { template: Template::new(pack(), &raw).expect("not all zero"), ..face(number) }
}

fn open(dir: &Path) -> Arc<EmbeddedStore> {
    Arc::new(EmbeddedStore::open(dir, Arc::new(Ledger::default())).expect("an empty folder opens"))
}

fn set_of(runtime: &Runtime, store: &EmbeddedStore) -> FaceSet {
    runtime.block_on(store.create_face_set(by(ours()), face_set("bench"), None)).expect("an empty store takes a set")
}

/// One face per commit request; writers wait for their acknowledgement before they write again.
fn writers(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let mut group = criterion.benchmark_group("durable enrolments");
    group.sample_size(10).measurement_time(Duration::from_secs(5)).throughput(Throughput::Elements(1));
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let store = open(scratch.path());
    let set = set_of(&runtime, &store);
    let mut last = 0;
    for n_writers in [1_u64, 8, 32, 128] {
        group.bench_with_input(BenchmarkId::from_parameter(n_writers), &n_writers, |bencher, &n_writers| {
            bencher.iter_custom(|n_faces| {
                let first = last + 1;
                last += n_faces;
                let end = last;
                let started = Instant::now();
                runtime.block_on(async {
                    let tasks: Vec<_> = (0..n_writers)
                        .map(|writer| {
                            let store = Arc::clone(&store);
                            tokio::spawn(async move {
                                for number in (first + writer..=end).step_by(n_writers as usize) {
                                    let faces = vec![real_face(number)];
                                    let added =
                                        store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), faces, None).await;
                                    assert_eq!(added.expect("there is room").len(), 1);
                                }
                            })
                        })
                        .collect();
                    for task in tasks {
                        task.await.expect("a writer does not panic");
                    }
                });
                started.elapsed()
            });
        });
    }
    group.finish();
}

/// Reading beside nothing else: what a search needs after the index has answered, a page, a look-up by name, and opening.
fn readers(criterion: &mut Criterion) {
    const N_FACES: u64 = 100_000;
    let runtime = Runtime::new().expect("a runtime starts");
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let store = open(scratch.path());
    let set = set_of(&runtime, &store);
    for first in (1..=N_FACES).step_by(1000) {
        let faces = (first..first + 1000).map(real_face).collect();
        runtime.block_on(store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), faces, None)).expect("there is room");
    }
    let scope = FaceScope::FaceSet(set.id);
    let mut group = criterion.benchmark_group("reads of 100 k faces");
    group.sample_size(20);
    group.bench_function("10 faces by id", |bencher| {
        let mut first = 1;
        bencher.iter(|| {
            first = first % 90_000 + 1;
            let ids: Vec<_> = (0..10).filter_map(|step| FaceId::new(first + step * 997)).collect();
            let faces = runtime.block_on(store.faces(ours(), scope, ids)).expect("reading works");
            assert_eq!(faces.len(), 10);
            black_box(faces)
        });
    });
    group.bench_function("page of 100 at 50 k", |bencher| {
        let page = Page { offset: 50_000, limit: 100 };
        bencher.iter(|| black_box(runtime.block_on(store.list_faces(ours(), scope, page)).expect("reading works")));
    });
    group.bench_function("face set by name", |bencher| {
        bencher.iter(|| black_box(runtime.block_on(store.face_set(ours(), name("bench"))).expect("reading works")));
    });
    drop(store);
    group.sample_size(10).throughput(Throughput::Elements(N_FACES));
    group.bench_function("opening, index filled", |bencher| {
        bencher.iter(|| {
            let options =
                FlatOptions { n_threads: 1, queue_len_max: 8, inline_numbers_max: INLINE_NUMBERS_MAX, seed: 1 };
            let index = Arc::new(FlatIndex::new(options).expect("a thread starts"));
            black_box(EmbeddedStore::open(scratch.path(), index).expect("it opens"))
        });
    });
    group.finish();
}

/// How long an enrolment waits while 100,200 of 167,000 faces are deleted by filter, while what is left of a deleted set of
/// 100,000 is erased, and while nothing of both goes on; and what held the writing thread meanwhile.
fn enrolments_during_a_delete(_: &mut Criterion) {
    const N_FACES: u64 = 167_000;
    const N_ERASED: u64 = 100_000;
    let runtime = Runtime::new().expect("a runtime starts");
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let options = FlatOptions { n_threads: 1, queue_len_max: 8, inline_numbers_max: INLINE_NUMBERS_MAX, seed: 1 };
    let index = Arc::new(FlatIndex::new(options).expect("a thread starts"));
    let store = Arc::new(EmbeddedStore::open(scratch.path(), index).expect("an empty folder opens"));
    let set = set_of(&runtime, &store);
    let aged = |number: u64| NewFace {
        fields: valued(number, "age", FieldValue::Whole(number as i64 % 100)).fields,
        ..real_face(number)
    };
    let fill = |set: &FaceSet, first: u64, n_faces: u64| {
        for first in (first..first + n_faces).step_by(1000) {
            let faces = (first..first + 1000).map(aged).collect();
            let added = store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), faces, None);
            runtime.block_on(added).expect("there is room");
        }
    };
    fill(&set, 1, N_FACES);
    let large = runtime.block_on(store.create_face_set(by(ours()), face_set("large"), None)).expect("there is room");
    fill(&large, 1 << 30, N_ERASED);
    let mut last = 1 << 40;
    let mut enrol_until = async |what: &str, is_over: &dyn Fn() -> bool| {
        store.take_holds();
        let mut waits = Vec::new();
        while !is_over() {
            last += 1;
            let started = Instant::now();
            let faces = vec![real_face(last)];
            store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), faces, None).await.expect("there is room");
            waits.push(started.elapsed());
        }
        waits.sort_unstable();
        tell(what, &waits, &store);
    };
    runtime.block_on(async {
        let end = Instant::now() + Duration::from_secs(2);
        enrol_until("beside nothing", &|| Instant::now() > end).await;
        let started = Instant::now();
        let delete = tokio::spawn({
            let store = Arc::clone(&store);
            let filter = Arc::new(Filter::Whole { field_idx: 1, min: 40, max: i64::MAX });
            async move {
                let selector = FaceSelector::Filter(filter);
                store.delete_faces(by(ours()), FaceScope::FaceSet(set.id), selector).await
            }
        });
        enrol_until("during a delete", &|| delete.is_finished()).await;
        let n_deleted = delete.await.expect("a delete does not panic").expect("a delete works").len();
        println!("{n_deleted} faces deleted in {:?}", started.elapsed());

        let started = Instant::now();
        store.delete_face_set(by(ours()), large.id, false).await.expect("a delete works");
        println!("a set of {N_ERASED} faces deleted in {:?}", started.elapsed());
        let is_erased = Arc::new(AtomicBool::new(false));
        let erased = tokio::spawn({
            let (store, is_erased) = (Arc::clone(&store), Arc::clone(&is_erased));
            async move {
                while store.report(false).await.expect("reading works").n_faces_to_erase > 0 {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                is_erased.store(true, Ordering::SeqCst);
            }
        });
        enrol_until("during the erasure of a set", &|| is_erased.load(Ordering::SeqCst)).await;
        erased.await.expect("a report does not panic");
        println!("{N_ERASED} faces erased in {:?}", started.elapsed());
    });
}

/// How long the enrolments took, and what held the writing thread meanwhile.
fn tell(what: &str, waits: &[Duration], store: &EmbeddedStore) {
    let at = |share: f64| waits.get(((waits.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or_default();
    let n_long = waits.iter().filter(|wait| **wait > Duration::from_millis(50)).count();
    let (median, p99, longest) = (at(0.5), at(0.99), at(1.0));
    println!(
        "{} enrolments {what}: median {median:?}, 99 % {p99:?}, longest {longest:?}, {n_long} over 50 ms",
        waits.len()
    );
    for (by, held) in store.take_holds().into_iter().filter(|(_, held)| held.n > 0) {
        println!(
            "  {by:?}: {} times, {:?} together; half within {:?}, 99 % within {:?}, longest {:?} ({:?} on the wall)",
            held.n,
            held.total,
            held.within(0.5),
            held.within(0.99),
            held.longest,
            held.longest_wall
        );
    }
}

criterion_group!(benches, writers, readers, enrolments_during_a_delete);
criterion_main!(benches);
