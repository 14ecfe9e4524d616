//! How long a search takes: inner loops, gallery sizes, filters, several askers.
//!
//! `cargo bench -p likeness-store --bench search`. With `LIKENESS_BENCH_MILLION=1` also a million rows (0.8 GB).
//! Galleries are of scattered directions, the hardest case: the tenth best is hardly better than the thousandth.
//! `plain` is the same question answered by computing every similarity in f32, in the same run.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use likeness_domain::filter::Filter;
use likeness_domain::ports::{GalleryChange, GalleryEntry, GallerySearch, VectorIndex};
use likeness_domain::types::{
    FaceId, FaceSetId, FieldName, FieldSchema, FieldType, FieldValue, PackId, Revision, Similarity, Template,
};
use likeness_store::index::conformance::ApplyNow;
use likeness_store::index::kernel::{
    self, BatchRows, BatchScratch, BoundTerms, CodeLine, FloatLine, GROUP_ROWS, LINE_DIMENSIONS, ProbeCodes, ProbeLine,
    RowSizes, Rows,
};
use likeness_store::index::{FlatIndex, FlatOptions, INLINE_NUMBERS_MAX};
use tokio::runtime::Runtime;

const DIMENSIONS: usize = 128;
const TOP_K: usize = 10;

/// Small, repeatable and good enough to scatter directions.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    fn template(&mut self) -> Template {
        let raw: Vec<f32> = (0..DIMENSIONS).map(|_| self.next() + self.next() + self.next()).collect();
        Template::new(PackId::new("pack-1").unwrap(), &raw).unwrap()
    }
}

fn face_set() -> FaceSetId {
    FaceSetId::new(1).unwrap()
}

fn templates(n_rows: usize) -> Vec<Template> {
    let mut random = Random(0x5EED);
    (0..n_rows).map(|_| random.template()).collect()
}

/// An index whose whole-number field 0 is from 0 to 99, as often each, in no order.
fn index(templates: &[Template], n_threads: usize) -> FlatIndex {
    let options = FlatOptions { n_threads, queue_len_max: 1024, inline_numbers_max: INLINE_NUMBERS_MAX, seed: 1 };
    let index = FlatIndex::new(options).unwrap();
    let schema = FieldSchema::new([(FieldName::new("share").unwrap(), FieldType::Integer)]).unwrap();
    let pack = PackId::new("pack-1").unwrap();
    index.apply_now(Revision(1), vec![GalleryChange::Open { face_set: face_set(), pack, schema: Arc::new(schema) }]);
    for (chunk_idx, chunk) in templates.chunks(1000).enumerate() {
        let rows = chunk.iter().enumerate().map(|(idx, template)| {
            let number = (chunk_idx * 1000 + idx) as u64;
            let share = (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) % 100;
            let entry = GalleryEntry {
                face: FaceId::new(number + 1).unwrap(),
                sequence: number,
                person: None,
                template: template.clone(),
                subject: None,
                values: Box::new([Some(FieldValue::Whole(share as i64))]),
            };
            GalleryChange::Put { face_set: face_set(), entry }
        });
        index.apply_now(Revision(2), rows.collect());
    }
    index
}

fn question(probe: Template, filter: Option<Filter>) -> GallerySearch {
    GallerySearch {
        face_set: face_set(),
        probe,
        top_k: TOP_K,
        similarity_min: Similarity::MIN,
        filter: filter.map(Arc::new),
        one_per_person: false,
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn kernels(criterion: &mut Criterion) {
    const N_GROUPS: usize = 64;
    const N_ROWS: usize = N_GROUPS * GROUP_ROWS;
    let n_lines = DIMENSIONS / LINE_DIMENSIONS;
    let coarse: Vec<CodeLine> = (0..N_ROWS * n_lines).map(|idx| CodeLine([idx as u8; 64])).collect();
    let sizes = vec![RowSizes::new(0.015_625, 0.1); N_ROWS];
    let rows = Rows { coarse: &coarse, n_lines, sizes: &sizes, next_coarse: &coarse, next_sizes: &sizes };
    let lines = vec![ProbeLine(std::array::from_fn(|idx| idx as i8 - 64)); n_lines];
    let terms = BoundTerms { code_sum: -64 * n_lines as i32, scale: 0.001, residual_weight: 1.01, slack: 0.01 };
    let probe = ProbeCodes { lines, terms };
    let wanted = [u64::MAX; N_ROWS / 64];
    // Nothing is found, as in nearly all of a gallery.
    let cutoff = f32::MAX;
    let residuals = vec![0x3c00; N_ROWS];
    let both = BatchRows { rows, fine: &coarse, residuals: &residuals, next_fine: &coarse };
    let floats: Vec<FloatLine> = vec![FloatLine([0.1; 16]); N_ROWS * DIMENSIONS / 16];
    let mut group = criterion.benchmark_group("kernel");
    group.throughput(Throughput::Elements(N_ROWS as u64));
    for kernel in kernel::available() {
        group.bench_function(BenchmarkId::new("codes of 1024 rows, one probe", kernel.name()), |bencher| {
            let mut found = Vec::new();
            bencher.iter(|| kernel.scan(black_box(&rows), 0..N_GROUPS, &wanted, &probe, cutoff, &mut found));
        });
        for n_probes in [8, 256] {
            let batch = kernel.batch(&vec![&probe; n_probes]);
            let name = format!("codes of 1024 rows, {n_probes} probes");
            group.bench_function(BenchmarkId::new(name, kernel.name()), |bencher| {
                let (mut scratch, mut found) = (BatchScratch::default(), vec![Vec::new(); n_probes]);
                let cutoffs = vec![cutoff; n_probes];
                bencher.iter(|| {
                    kernel.scan_batch(black_box(&both), 0..N_GROUPS, &batch, &cutoffs, &mut scratch, &mut found);
                });
            });
        }
        group.bench_function(BenchmarkId::new("similarity of 1024 rows", kernel.name()), |bencher| {
            let probe = &floats[..DIMENSIONS / 16];
            bencher.iter(|| {
                for row in floats.chunks(DIMENSIONS / 16) {
                    black_box(kernel.similarity(black_box(row), probe));
                }
            });
        });
    }
    group.finish();
}

/// Every similarity in f32, the ten best kept.
fn plain_scan(matrix: &[f32], probe: &[f32]) -> Vec<(f32, usize)> {
    let mut best: Vec<(f32, usize)> = Vec::new();
    for (row_idx, row) in matrix.chunks_exact(DIMENSIONS).enumerate() {
        let mut sums = [0.0_f32; 16];
        for (row, probe) in row.as_chunks::<16>().0.iter().zip(probe.as_chunks::<16>().0) {
            for lane in 0..16 {
                sums[lane] += row[lane] * probe[lane];
            }
        }
        let similarity: f32 = sums.iter().sum();
        if best.len() < TOP_K || similarity > best[TOP_K - 1].0 {
            let place = best.partition_point(|(other, _)| *other >= similarity);
            best.insert(place, (similarity, row_idx));
            best.truncate(TOP_K);
        }
    }
    best
}

fn gallery_size(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut sizes = vec![1_000, 10_000, 100_000];
    if std::env::var_os("LIKENESS_BENCH_MILLION").is_some() {
        sizes.push(1_000_000);
    }
    let mut group = criterion.benchmark_group("gallery");
    group.sample_size(20).measurement_time(Duration::from_secs(4));
    for n_rows in sizes {
        let templates = templates(n_rows);
        let mut random = Random(0xABCD);
        group.throughput(Throughput::Elements(n_rows as u64));
        for n_threads in [1, 2] {
            let index = index(&templates, n_threads);
            group.bench_function(BenchmarkId::new(format!("{n_threads} threads"), n_rows), |bencher| {
                bencher.iter_batched(
                    || question(random.template(), None),
                    |question| runtime.block_on(index.search(question)).unwrap(),
                    BatchSize::SmallInput,
                );
            });
        }
        let matrix: Vec<f32> = templates.iter().flat_map(|template| template.unit().to_vec()).collect();
        group.bench_function(BenchmarkId::new("plain f32, 1 thread", n_rows), |bencher| {
            bencher.iter_batched(
                || random.template(),
                |probe| plain_scan(&matrix, probe.unit()),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn filters(criterion: &mut Criterion) {
    let runtime = runtime();
    let index = index(&templates(100_000), 1);
    let mut random = Random(0xF117);
    let mut group = criterion.benchmark_group("filter of 100000 rows, 1 thread");
    group.sample_size(30);
    let keep = |share: i64| Some(Filter::Whole { field_idx: 0, min: 0, max: share - 1 });
    for (name, filter) in [("none", None), ("keeps 1 %", keep(1)), ("keeps 10 %", keep(10)), ("keeps all", keep(100))] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || question(random.template(), filter.clone()),
                |question| runtime.block_on(index.search(question)).unwrap(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn several_askers(criterion: &mut Criterion) {
    const N_ASKERS: usize = 16;
    let runtime = runtime();
    let index = Arc::new(index(&templates(100_000), 1));
    let mut random = Random(0xBA7C);
    let mut group = criterion.benchmark_group("16 searches of 100000 rows, 1 thread");
    group.sample_size(20).throughput(Throughput::Elements(N_ASKERS as u64));
    let mut questions = || (0..N_ASKERS).map(|_| question(random.template(), None)).collect::<Vec<_>>();
    group.bench_function("one after the other", |bencher| {
        bencher.iter_batched(
            &mut questions,
            |questions| {
                for question in questions {
                    black_box(runtime.block_on(index.search(question)).unwrap());
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("at the same time", |bencher| {
        bencher.iter_batched(
            &mut questions,
            |questions| {
                let ask = |question: GallerySearch| {
                    let index = index.clone();
                    runtime.spawn(async move { index.search(question).await })
                };
                let answers: Vec<_> = questions.into_iter().map(ask).collect();
                runtime.block_on(async {
                    for answer in answers {
                        black_box(answer.await.unwrap().unwrap());
                    }
                });
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn changes(criterion: &mut Criterion) {
    let templates = templates(100_000);
    let index = index(&templates, 1);
    let mut group = criterion.benchmark_group("change of 100000 rows");
    group.bench_function("replace one", |bencher| {
        let mut number = 0;
        bencher.iter(|| {
            number = number % 100_000 + 1;
            let entry = GalleryEntry {
                face: FaceId::new(number).unwrap(),
                sequence: number,
                person: None,
                template: templates[(number as usize * 7) % templates.len()].clone(),
                subject: None,
                values: Box::new([None]),
            };
            index.apply_now(Revision(3), vec![GalleryChange::Put { face_set: face_set(), entry }]);
        });
    });
    group.finish();
}

criterion_group!(benches, kernels, gallery_size, filters, several_askers, changes);
criterion_main!(benches);
