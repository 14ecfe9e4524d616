//! How clients describe themselves in the query. Never a reason to refuse: it is for the log only.

use crate::http::json::{Object, Value};

/// The members that may be logged. The others (nick name, device ids, addresses) say who somebody is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ClientInfo {
    pub(super) sdk_version: Option<String>,
    pub(super) os: Option<String>,
    pub(super) host_app: Option<String>,
}

/// Characters of a member that are logged.
const CHARS_MAX: usize = 64;

impl ClientInfo {
    /// Reads the value of `ClientInfo`; what is not understood is absent.
    pub(super) fn read(text: &[u8]) -> Self {
        let Some(Value::Object(object)) = Value::parse(text) else { return Self::default() };
        Self {
            sdk_version: member(&object, "sdkVersion"),
            os: member(&object, "os"),
            host_app: member(&object, "hostAppName"),
        }
    }
}

fn member(object: &Object, name: &str) -> Option<String> {
    let text = object.get(name)?.as_text()?;
    Some(text.chars().filter(|character| !character.is_control()).take(CHARS_MAX).collect())
}

/// Drives the reader with anything.
#[cfg(any(test, feature = "fuzz"))]
pub fn fuzz_client_info(data: &[u8]) {
    let info = ClientInfo::read(data);
    for text in [info.sdk_version, info.os, info.host_app].into_iter().flatten() {
        assert!(text.chars().count() <= CHARS_MAX);
    }
}
