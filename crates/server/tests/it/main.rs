//! The real binary in a scratch folder, seen from outside: outputs, exit codes, sockets, signals, files.

mod archives;
mod backup;
mod configuration;
mod harness;
mod hostile;
mod keys;
mod library;
mod liveness;
#[cfg(feature = "postgres")]
mod migrate;
mod operations;
mod packs;
mod persons_and_jobs;
mod pictures;
mod recovery;
mod serve;
#[cfg(feature = "opentelemetry")]
mod traces;
