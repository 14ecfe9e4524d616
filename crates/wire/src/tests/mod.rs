//! What the tests of several dialects share. Tests that are about all of them stand in `crates/wire/tests`.

pub(crate) mod huawei_client;
pub(crate) mod no_room;
pub(crate) mod testbed;

// By this name the tests outside the crate have it, too.
use crate::native as native_api;
