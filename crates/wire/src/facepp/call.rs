//! This dialect as its calls and its jobs see it.

use likeness_domain::types::AccessKeyId;

use super::convert::Names;
use super::errors::{self, Blame};
use super::operations::{self, Operation};
use super::scale::scale;
use super::settings::Settings;
use crate::megvii::service::{self, Dialect, Service};
use crate::services::Services;

/// This dialect, ready to answer.
pub(crate) struct Facepp {
    pub(super) service: Service<Operation>,
    pub(super) names: Names,
}

/// An authenticated call.
pub(super) type Call<'a> = service::Call<'a, Operation, Names>;

impl Call<'_> {
    pub(super) fn settings(&self) -> &Settings {
        &self.service.wire.settings.facepp
    }
}

impl Facepp {
    pub(crate) fn new(wire: Services) -> Self {
        let dialect = Dialect {
            name: "facepp",
            error_member: "error_message",
            // It may be the token of a face.
            logs_details: false,
            key_field: "api_key",
            max_body_bytes: wire.settings.facepp.max_body_bytes,
            max_qps: wire.settings.facepp.max_qps,
            limits: wire.settings.facepp.limits(),
            table: &operations::TABLE,
            scale,
            key_id: |field| std::str::from_utf8(field).ok().and_then(AccessKeyId::new),
            unknown_key: errors::unknown_key,
            failed: |error, _| errors::library(error, &Blame::NOBODY),
        };
        let names = Names::new(&wire.secret);
        Self { service: Service::new(dialect, wire), names }
    }
}
