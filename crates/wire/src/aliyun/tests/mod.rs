//! The dialect as a client sees it: requests in, bytes out, over a library with a memory store and fake photographs.
//! `case_27_..` is case 27 of the reference's section 11; those that need a real SDK, a real network or real
//! photographs are in `tests/e2e/aliyun_v1` and `tests/e2e/aliyun_v2`.

mod faces;
mod persons;
mod scans;
mod server;
mod tables;
mod transport;
mod uploads;
