//! What the tests of several dialects share, and the tests that are about all of them.

mod access_table;
pub(crate) mod huawei_client;
pub(crate) mod pages;
pub(crate) mod testbed;
