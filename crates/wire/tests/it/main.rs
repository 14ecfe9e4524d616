//! What concerns all dialects alike: what keys may do through the router that a server has, and that the pages are true.

mod access_table;
mod archives;
mod native;
mod openapi;
mod pages;
mod repeats;
mod sessions;
mod tenants;
#[path = "../../src/tests/testbed.rs"]
#[expect(dead_code, reason = "the tests of the dialects use the rest")]
mod testbed;

use likeness_wire::native as native_api;
use likeness_wire::{Services, Settings, always_ready};
