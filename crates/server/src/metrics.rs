//! What a running server tells of itself, in the text format of Prometheus.
//!
//! Labels are words of our own tables (dialects, operations, codes of refusals), never a client's words: so there are few
//! series, and nothing of a tenant, a key or a person is among them.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header;
use likeness_domain::Repeated;
use likeness_domain::library::Library;
use likeness_domain::ports::{Clock, GalleryStore, OutsideHealth, StoreHealth, StoreReport, VectorIndex};
use likeness_domain::types::TimestampMs;
use likeness_wire::http::budget::BodyBudget;
use likeness_wire::http::trace::Observed;
use likeness_wire::native::{dto, time_text};

use crate::system::SystemClock;

/// Upper ends of the buckets of a request's duration, in seconds. A search takes milliseconds, an enrolment tenths of a
/// second, a clip seconds.
const BUCKETS_S: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// For how long counts of the store are kept, so that a scraper that asks often costs no more than one that asks rarely.
const STORE_COUNTS_KEPT: Duration = Duration::from_secs(10);

/// Bytes of a page of memory; the kernel counts in pages, of this size on all machines we run on.
const PAGE_BYTES: u64 = 4096;

/// Clock ticks in a second, as `/proc` counts processor time: a constant of Linux's interface.
const TICKS_PER_S: f64 = 100.0;

/// Series of distinct labels; more than all dialects' operations times their statuses, so that it is never reached.
const SERIES_MAX: usize = 4096;

/// Counters, and what they are read from besides.
pub(crate) struct Metrics {
    started_unix_s: f64,
    requests: Mutex<BTreeMap<Labels, Durations>>,
    statuses: Mutex<BTreeMap<(Labels, u16), u64>>,
    refusals: Mutex<BTreeMap<(String, String), u64>>,
    n_in_flight: AtomicU64,
    n_connections: AtomicU64,
    n_connections_total: AtomicU64,
    n_tls_failures: AtomicU64,
    counts: tokio::sync::Mutex<(Option<(Instant, StoreReport)>, Repeated)>,
}

/// What is read when somebody asks.
pub(crate) struct Sources {
    /// Its packs, and how busy its analysis is.
    pub(crate) library: Arc<Library>,
    /// How many faces, commits and damaged rows there are.
    pub(crate) store: Arc<dyn GalleryStore>,
    /// How far it has followed the store.
    pub(crate) index: Arc<dyn VectorIndex>,
    /// Bytes of request bodies in work.
    pub(crate) budget: Arc<BodyBudget>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    dialect: String,
    operation: String,
}

/// How many requests took how long.
#[derive(Debug, Default, Clone, Copy)]
struct Durations {
    /// By bucket, not added up; the last one is for those beyond all buckets.
    n: [u64; BUCKETS_S.len() + 1],
    sum_s: f64,
}

/// Something under way, counted until this is dropped.
pub(crate) struct UnderWay(Arc<Metrics>, fn(&Metrics) -> &AtomicU64);

impl Drop for UnderWay {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Nothing counted yet; the process counts as started now.
    pub(crate) fn new() -> Arc<Self> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Arc::new(Self {
            started_unix_s: now.map_or(0.0, |now| now.as_secs_f64()),
            requests: Mutex::default(),
            statuses: Mutex::default(),
            refusals: Mutex::default(),
            n_in_flight: AtomicU64::new(0),
            n_connections: AtomicU64::new(0),
            n_connections_total: AtomicU64::new(0),
            n_tls_failures: AtomicU64::new(0),
            counts: tokio::sync::Mutex::default(),
        })
    }

    /// Counts a request as in flight.
    pub(crate) fn request(self: &Arc<Self>) -> UnderWay {
        self.n_in_flight.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self), |metrics| &metrics.n_in_flight)
    }

    /// Counts a connection as open.
    pub(crate) fn connection(self: &Arc<Self>) -> UnderWay {
        self.n_connections_total.fetch_add(1, Ordering::Relaxed);
        self.n_connections.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self), |metrics| &metrics.n_connections)
    }

    /// Counts a client with which no TLS came about.
    pub(crate) fn tls_failed(&self) {
        self.n_tls_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an answered request.
    pub(crate) fn answered(&self, observed: &Observed, status: u16, took: Duration) {
        let labels = Labels {
            dialect: observed.dialect.unwrap_or("none").to_owned(),
            operation: observed.operation.as_deref().unwrap_or("none").to_owned(),
        };
        if let Some(reason) = observed.refusal {
            count(&mut lock(&self.refusals), (labels.dialect.clone(), reason.to_owned()));
        }
        count(&mut lock(&self.statuses), (labels.clone(), status));
        let mut requests = lock(&self.requests);
        if requests.len() < SERIES_MAX || requests.contains_key(&labels) {
            let durations = requests.entry(labels).or_default();
            let took_s = took.as_secs_f64();
            let bucket = BUCKETS_S.iter().position(|&end| took_s <= end).unwrap_or(BUCKETS_S.len());
            durations.n[bucket] += 1;
            durations.sum_s += took_s;
        }
    }

    /// Everything, as Prometheus reads it. What cannot be read at the moment is left out.
    pub(crate) async fn text(&self, sources: &Sources) -> String {
        let mut page = Page::default();
        let packs: Vec<_> = sources.library.packs().iter().map(|pack| pack.id.to_string()).collect();
        page.head("likeness_build_info", "gauge", "Version of the program and the loaded model packs.");
        page.line("likeness_build_info", &[("version", env!("CARGO_PKG_VERSION")), ("packs", &packs.join(","))], 1);
        self.requests_into(&mut page);
        page.one("likeness_requests_in_flight", "gauge", "Requests being answered.", read(&self.n_in_flight));
        page.one("likeness_connections", "gauge", "Open connections.", read(&self.n_connections));
        page.one(
            "likeness_connections_total",
            "counter",
            "Connections accepted since the start.",
            read(&self.n_connections_total),
        );
        page.one(
            "likeness_tls_failures_total",
            "counter",
            "Connections on which no TLS came about.",
            read(&self.n_tls_failures),
        );
        page.one(
            "likeness_request_body_bytes",
            "gauge",
            "Bytes of request bodies in memory.",
            sources.budget.n_bytes(),
        );
        analysis_into(&mut page, &sources.library);
        self.store_into(&mut page, sources).await;
        process_into(&mut page, self.started_unix_s);
        page.0
    }

    /// The same in the native API's words, as far as it shows an administrator how the server fares.
    pub(crate) async fn figures(&self, sources: &Sources) -> dto::Metrics {
        let load = sources.library.analyzer_load();
        let store = self.counts(&*sources.store).await.map(|counts| dto::StoreMetrics {
            bytes: counts.bytes_on_disk,
            free_bytes: counts.bytes_free,
            n_faces: counts.n_faces,
        });
        dto::Metrics {
            time: time_text(SystemClock.now()),
            started_at: time_text(TimestampMs((self.started_unix_s * 1000.0) as i64)),
            requests_in_flight: read(&self.n_in_flight),
            connections: read(&self.n_connections),
            request_body_bytes: sources.budget.n_bytes() as u64,
            duration_bucket_ends_s: BUCKETS_S.to_vec(),
            operations: self.operations(),
            analysis: dto::AnalysisMetrics {
                threads: load.n_workers as u64,
                busy: load.n_busy as u64,
                queued: load.n_queued as u64,
                queue_max: load.queue_max as u64,
                expected_wait_s: load.expected_wait.as_secs_f64(),
            },
            store,
            memory_bytes: resident_bytes(),
            cpu_s: processor_s(),
        }
    }

    fn operations(&self) -> Vec<dto::OperationMetrics> {
        let statuses = lock(&self.statuses).clone();
        let n_of = |labels: &Labels, wanted: std::ops::RangeInclusive<u16>| {
            let those = statuses.iter().filter(|((of, status), _)| of == labels && wanted.contains(status));
            those.map(|(_, n)| n).sum()
        };
        let requests = lock(&self.requests);
        let operations = requests.iter().map(|(labels, durations)| dto::OperationMetrics {
            dialect: labels.dialect.clone(),
            operation: labels.operation.clone(),
            n: durations.n.iter().sum(),
            n_refused: n_of(labels, 400..=499),
            n_failed: n_of(labels, 500..=599),
            sum_s: durations.sum_s,
            duration_buckets: durations.n.to_vec(),
        });
        operations.collect()
    }

    fn requests_into(&self, page: &mut Page) {
        let name = "likeness_requests_total";
        page.head(name, "counter", "Answered requests by dialect, operation and HTTP status.");
        for ((labels, status), n) in lock(&self.statuses).iter() {
            let status = status.to_string();
            let labels = [("dialect", &*labels.dialect), ("operation", &*labels.operation), ("status", &*status)];
            page.line(name, &labels, n);
        }
        let name = "likeness_refusals_total";
        page.head(
            name,
            "counter",
            "Refused requests by dialect and reason, whatever HTTP status the dialect gives them.",
        );
        for ((dialect, reason), n) in lock(&self.refusals).iter() {
            page.line(name, &[("dialect", dialect), ("reason", reason)], n);
        }
        let name = "likeness_request_duration_seconds";
        page.head(name, "histogram", "Time from a request's head to its answer.");
        for (labels, durations) in lock(&self.requests).iter() {
            let own = [("dialect", &*labels.dialect), ("operation", &*labels.operation)];
            let mut n_so_far = 0;
            for (idx, n) in durations.n.iter().enumerate() {
                n_so_far += n;
                let end = BUCKETS_S.get(idx).map_or_else(|| "+Inf".to_owned(), f64::to_string);
                page.line(&format!("{name}_bucket"), &[own[0], own[1], ("le", &*end)], n_so_far);
            }
            page.line(&format!("{name}_sum"), &own, durations.sum_s);
            page.line(&format!("{name}_count"), &own, n_so_far);
        }
    }

    async fn store_into(&self, page: &mut Page, sources: &Sources) {
        let health = sources.store.health();
        page.one(
            "likeness_store_writes_failing",
            "gauge",
            "1 while the last write failed, as on a full disk.",
            u8::from(health.write_failure.is_some()),
        );
        page.one(
            "likeness_store_rows_set_aside",
            "gauge",
            "Damaged rows that are neither searched nor returned.",
            health.n_rows_set_aside,
        );
        damage_into(page, &health);
        if let Some(outside) = &health.outside {
            outside_into(page, outside);
        }
        let index = sources.index.revision();
        page.one(
            "likeness_index_ready",
            "gauge",
            "1 while the index answers searches, 0 while it is filled anew.",
            u8::from(index.is_some()),
        );
        let Some(counts) = self.counts(&*sources.store).await else { return };
        let gauges: [(&str, &str, u64); 9] = [
            ("likeness_store_tenants", "Tenants.", counts.n_tenants),
            ("likeness_store_face_sets", "Face sets.", counts.n_face_sets),
            ("likeness_store_persons", "Persons.", counts.n_persons),
            ("likeness_store_faces", "Enrolled faces.", counts.n_faces),
            ("likeness_store_held_faces", "Faces that are held and not enrolled.", counts.n_held_faces),
            ("likeness_store_faces_to_erase", "Deleted faces whose bytes are not yet erased.", counts.n_faces_to_erase),
            ("likeness_store_bytes", "Bytes of all files of the store.", counts.bytes_on_disk),
            ("likeness_store_free_bytes", "Of those, free for reuse.", counts.bytes_free),
            (
                "likeness_store_problems",
                "Things that are damaged; `likeness check` names them.",
                counts.problems.len() as u64,
            ),
        ];
        for (name, about, value) in gauges {
            page.one(name, "gauge", about, value);
        }
        page.one("likeness_store_commits_total", "counter", "Commits since the library was made.", counts.revision.0);
    }

    async fn counts(&self, store: &dyn GalleryStore) -> Option<StoreReport> {
        let (kept, repeated) = &mut *self.counts.lock().await;
        if let Some((at, counts)) = kept
            && at.elapsed() < STORE_COUNTS_KEPT
        {
            return Some(counts.clone());
        }
        let counted = store.report(false).await;
        if let Some(error) = repeated.news(counted.as_ref().err()) {
            tracing::warn!(%error, "the store cannot be counted for metrics");
        }
        let counts = counted.ok()?;
        *kept = Some((Instant::now(), counts.clone()));
        Some(counts)
    }
}

/// `GET /metrics` before everything else that `router` answers. For listeners that only operators reach.
pub(crate) fn with_metrics(router: Router, metrics: Arc<Metrics>, sources: Arc<Sources>) -> Router {
    let answer = move || {
        let (metrics, sources) = (Arc::clone(&metrics), Arc::clone(&sources));
        async move { page(metrics.text(&sources).await) }
    };
    Router::new().route("/metrics", get(answer)).fallback_service(router)
}

fn page(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

fn analysis_into(page: &mut Page, library: &Library) {
    let load = library.analyzer_load();
    let gauges: [(&str, &str, &dyn Display); 5] = [
        ("likeness_analysis_threads", "Threads that analyse images.", &load.n_workers),
        ("likeness_analysis_threads_busy", "Threads at work.", &load.n_busy),
        ("likeness_analysis_queue_length", "Images that wait for a thread.", &load.n_queued),
        ("likeness_analysis_queue_max", "Most images that may wait.", &load.queue_max),
        (
            "likeness_analysis_expected_wait_seconds",
            "How long an image handed over now is expected to wait.",
            &load.expected_wait.as_secs_f64(),
        ),
    ];
    for (name, about, value) in gauges {
        page.one(name, "gauge", about, value);
    }
}

/// What is damaged or lost, and how far the check of every row is.
/// Of the Milvus in which large face sets are searched; no line without one.
fn outside_into(page: &mut Page, health: &OutsideHealth) {
    let gauges: [(&str, &str, u64); 6] = [
        ("likeness_milvus_up", "1 while Milvus answers and can be used.", u64::from(health.trouble.is_none())),
        ("likeness_milvus_face_sets", "Face sets that are in Milvus, or on their way.", health.n_sets),
        (
            "likeness_milvus_face_sets_moving",
            "Face sets that are copied to Milvus for the first time.",
            health.n_sets_moving,
        ),
        (
            "likeness_milvus_face_sets_refused",
            "Face sets that are copied to Milvus anew, whose searches are refused meanwhile.",
            health.n_sets_refused,
        ),
        ("likeness_milvus_commits_behind", "Commits that Milvus does not have yet.", health.n_commits_behind),
        ("likeness_milvus_faces_behind", "Changed faces that Milvus does not have yet.", health.n_faces_behind),
    ];
    for (name, about, value) in gauges {
        page.one(name, "gauge", about, value);
    }
}

fn damage_into(page: &mut Page, health: &StoreHealth) {
    let name = "likeness_store_table_rows_set_aside";
    page.head(name, "gauge", "Damaged rows that are neither searched nor returned, by table.");
    for (table, n_rows) in &health.rows_set_aside_of {
        page.line(name, &[("table", table)], n_rows);
    }
    page.one(
        "likeness_store_other_damage",
        "gauge",
        "Parts of tables that cannot be read and galleries that show a face that does not belong there, as far as known.",
        health.n_other_damage,
    );
    page.one(
        "likeness_store_losses",
        "gauge",
        "Times that acknowledged commits went missing, until somebody acknowledges it.",
        health.n_losses,
    );
    let Some(scrub) = health.scrub else { return };
    let times = [
        (
            "likeness_store_scrub_started_time_seconds",
            "Start of the check of every row that is under way",
            scrub.started_at,
        ),
        ("likeness_store_scrub_finished_time_seconds", "End of the last whole check of every row", scrub.finished_at),
    ];
    for (name, about, at) in times {
        if let Some(at) = at {
            page.one(name, "gauge", &format!("{about}, seconds since 1970."), at.0 as f64 / 1000.0);
        }
    }
    page.one(
        "likeness_store_scrub_rows_read",
        "gauge",
        "Rows read by the check of every row that is under way, or by the last one.",
        scrub.n_rows_read,
    );
    page.one(
        "likeness_store_scrub_rows",
        "gauge",
        "About how many rows there were when that check began.",
        scrub.n_rows_all,
    );
}

/// What the kernel knows of this process, under the names that Prometheus' own clients use.
fn process_into(page: &mut Page, started_unix_s: f64) {
    page.one("process_start_time_seconds", "gauge", "Start of the process, seconds since 1970.", started_unix_s);
    if let Some(cpu_s) = processor_s() {
        page.one("process_cpu_seconds_total", "counter", "Processor time used.", cpu_s);
    }
    if let Some(bytes) = resident_bytes() {
        page.one("process_resident_memory_bytes", "gauge", "Memory in use.", bytes);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        page.one("process_open_fds", "gauge", "Open file descriptors.", open.count());
    }
}

/// Seconds of processor time that this process has used.
fn processor_s() -> Option<f64> {
    cpu_seconds(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// Bytes of memory that this process has in use.
fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<u64>().ok()? * PAGE_BYTES)
}

/// User and system time of a line of `/proc/PID/stat`: its 14th and 15th field. The second field is a name in brackets that
/// may hold anything, so fields are counted after its end.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS_PER_S)
}

/// The text as it grows.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, about: &str) {
        self.write(format_args!("# HELP {name} {about}\n# TYPE {name} {kind}\n"));
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        match labels.is_empty() {
            true => self.write(format_args!("{name} {value}\n")),
            false => self.write(format_args!("{name}{{{}}} {value}\n", labels.join(","))),
        }
    }

    fn one(&mut self, name: &str, kind: &str, about: &str, value: impl Display) {
        self.head(name, kind, about);
        self.line(name, &[], value);
    }

    fn write(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.0.write_fmt(text);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    if counts.len() < SERIES_MAX || counts.contains_key(&key) {
        *counts.entry(key).or_default() += 1;
    }
}

/// Nothing panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(operation: &'static str, refusal: Option<&'static str>) -> Observed {
        Observed { dialect: Some("huawei"), operation: Some(operation.into()), refusal, ..Observed::default() }
    }

    #[test]
    fn durations_add_up_over_their_buckets() {
        let metrics = Metrics::new();
        for ms in [1, 3, 30, 20_000] {
            metrics.answered(&observed("AddFaces", None), 200, Duration::from_millis(ms));
        }
        metrics.answered(&observed("AddFaces", Some("no_face_in_image")), 400, Duration::from_millis(5));
        metrics.answered(&Observed::default(), 404, Duration::ZERO);
        let mut page = Page::default();
        metrics.requests_into(&mut page);
        let lines: Vec<_> = page.0.lines().collect();
        for expected in [
            r#"likeness_requests_total{dialect="huawei",operation="AddFaces",status="200"} 4"#,
            r#"likeness_requests_total{dialect="none",operation="none",status="404"} 1"#,
            r#"likeness_refusals_total{dialect="huawei",reason="no_face_in_image"} 1"#,
            r#"likeness_request_duration_seconds_bucket{dialect="huawei",operation="AddFaces",le="0.001"} 1"#,
            r#"likeness_request_duration_seconds_bucket{dialect="huawei",operation="AddFaces",le="0.005"} 3"#,
            r#"likeness_request_duration_seconds_bucket{dialect="huawei",operation="AddFaces",le="10"} 4"#,
            r#"likeness_request_duration_seconds_bucket{dialect="huawei",operation="AddFaces",le="+Inf"} 5"#,
            r#"likeness_request_duration_seconds_count{dialect="huawei",operation="AddFaces"} 5"#,
        ] {
            assert!(lines.contains(&expected), "{expected} is not in\n{}", page.0);
        }
    }

    #[test]
    fn an_operation_tells_how_many_were_refused_and_failed() {
        let metrics = Metrics::new();
        for (status, ms) in [(200, 3), (404, 1), (429, 1), (503, 20_000)] {
            metrics.answered(&observed("AddFaces", None), status, Duration::from_millis(ms));
        }
        metrics.answered(&observed("ShowFaces", None), 200, Duration::from_millis(30));
        let [added, shown] = metrics.operations().try_into().expect("two operations");
        assert_eq!((&*added.dialect, &*added.operation), ("huawei", "AddFaces"));
        assert_eq!((added.n, added.n_refused, added.n_failed), (4, 2, 1));
        assert_eq!(added.duration_buckets.len(), BUCKETS_S.len() + 1);
        assert_eq!((added.duration_buckets[0], added.duration_buckets[2]), (2, 1));
        assert_eq!(added.duration_buckets.last(), Some(&1));
        assert!((added.sum_s - 20.005).abs() < 1e-9);
        assert_eq!((shown.n, shown.n_refused, shown.n_failed), (1, 0, 0));
    }

    #[test]
    fn what_is_under_way_is_counted_until_it_ends() {
        let metrics = Metrics::new();
        let (a, b) = (metrics.request(), metrics.request());
        assert_eq!(read(&metrics.n_in_flight), 2);
        drop((a, b));
        assert_eq!(read(&metrics.n_in_flight), 0);
    }

    #[test]
    fn processor_time_is_read_after_the_name() {
        let stat = "42 (a) name) S 1 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 100 1 1";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("nonsense"), None);
    }

    #[test]
    fn a_label_cannot_break_its_line() {
        let mut page = Page::default();
        page.line("x", &[("a", "b\"c\\d\ne")], 1);
        assert_eq!(page.0, "x{a=\"b\\\"c\\\\d\\ne\"} 1\n");
    }
}
