//! `likeness`: a self-hosted face library behind several clouds' APIs.
//!
//! This crate sees every other one and is seen by none. It reads the command line and the configuration, brings the
//! concrete rooms together ([`assemble`](crate::assemble)), and answers on sockets; what a face library *does* is in
//! `likeness-domain`. Start at [`cli::run`].

mod archives;
mod assemble;
mod cli;
mod config;
mod console;
mod eval;
mod facts;
mod fetch;
mod guard;
mod index_check;
mod listener;
mod metrics;
mod milvus;
mod outcome;
mod readiness;
mod running;
mod system;
mod telemetry;
mod tls;
mod traces;
mod video;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: in that process no thread may run and nothing may be open.
    video::confine::run_if_asked().unwrap_or_else(|| {
        likeness_vision::runtime::keep_no_large_blocks();
        cli::run()
    })
}
