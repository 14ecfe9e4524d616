//! The server's settings and metrics.

use serde::{Deserialize, Serialize};

/// What an operator may set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// In the order of the reference; those of a table stand together.
    pub settings: Vec<Setting>,
}

/// One setting.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Setting {
    /// Its name in the settings file; a dot separates table and key.
    pub name: String,
    /// Its value: a text, a number, `true` or `false`, or a list of texts. Left out where nothing is set, and where it is hidden.
    pub value: Option<serde_json::Value>,
    /// Whether it has a value, also where that is hidden.
    pub is_set: bool,
    /// Whether its value is hidden, since it is a secret or names other tenants.
    pub is_hidden: bool,
    /// Who set it: `default`, `file`, `environment` or `flag`.
    pub origin: String,
    /// Which file, variable or flag that is; left out with `default`.
    pub origin_name: Option<String>,
    /// Its environment variable.
    pub env: String,
    /// What is accepted.
    pub accepted: String,
    /// What it means.
    pub about: String,
}

/// What a server counted since its start, over all tenants, and how busy it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Metrics {
    /// The server's time, RFC 3339, UTC.
    pub time: String,
    /// When the server started, RFC 3339, UTC.
    pub started_at: String,
    /// Requests being answered.
    pub requests_in_flight: u64,
    /// Open connections.
    pub connections: u64,
    /// Bytes of request bodies in memory.
    pub request_body_bytes: u64,
    /// Upper ends of the buckets of durations, in seconds; the last bucket has none.
    pub duration_bucket_ends_s: Vec<f64>,
    /// By dialect and operation.
    pub operations: Vec<OperationMetrics>,
    /// The analysis of images.
    pub analysis: AnalysisMetrics,
    /// The store; left out where it cannot be counted at the moment.
    pub store: Option<StoreMetrics>,
    /// Bytes of memory in use.
    pub memory_bytes: Option<u64>,
    /// Seconds of processor time used since the start.
    pub cpu_s: Option<f64>,
}

/// Answered requests of one operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OperationMetrics {
    /// The dialect: `native`, that of a vendor, `health`, or `none` where no dialect was meant.
    pub dialect: String,
    /// The operation in the dialect's words; `none` where none was meant.
    pub operation: String,
    /// Answered requests.
    pub n: u64,
    /// Of those, answered with a status of 400 to 499.
    pub n_refused: u64,
    /// Of those, answered with a status of 500 and more.
    pub n_failed: u64,
    /// How long they took together, in seconds.
    pub sum_s: f64,
    /// How many took how long, by bucket; not added up.
    pub duration_buckets: Vec<u64>,
}

/// How busy the analysis of images is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnalysisMetrics {
    /// Threads that analyse images.
    pub threads: u64,
    /// Threads at work.
    pub busy: u64,
    /// Images that wait for a thread.
    pub queued: u64,
    /// Most images that may wait.
    pub queue_max: u64,
    /// How long an image handed over now is expected to wait, in seconds.
    pub expected_wait_s: f64,
}

/// How large the store is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoreMetrics {
    /// Bytes of all its files.
    pub bytes: u64,
    /// Of those, free for reuse.
    pub free_bytes: u64,
    /// Enrolled faces.
    pub n_faces: u64,
}
