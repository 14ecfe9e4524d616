//! This dialect as its calls and its jobs see it.

use std::sync::Arc;

use bytes::Bytes;
use likeness_domain::access::{Admission, Caller, CountedBy, Rate};
use likeness_domain::library::{Library, Scales};
use likeness_domain::types::{AccessKey, Secret};

use super::operations::{self, Operation};
use super::scale::scale;
use super::settings::Settings;
use crate::services::Services;

/// What requests and the workers behind them stand on.
pub(super) struct Api {
    pub(super) wire: Services,
    pub(super) scales: Arc<Scales>,
}

/// An authenticated call: who asks what of the library.
pub(super) struct Call<'a> {
    pub(super) api: &'a Arc<Api>,
    pub(super) row: &'static operations::Row,
    pub(super) caller: Caller,
    /// What the caller signed with.
    pub(super) key: AccessKey,
    /// The one of its secrets that it was.
    pub(super) secret: Secret,
    /// The id as the vendor spells it.
    pub(super) shown_id: String,
    pub(super) body: Bytes,
}

impl Api {
    pub(super) fn new(wire: Services) -> Self {
        let scales = Scales::of(&wire.library, scale);
        Self { wire, scales }
    }

    pub(super) fn library(&self) -> &Library {
        &self.wire.library
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.wire.settings.aliyun
    }

    /// What a call asks the gate for. Scans are counted by their images, which are known only after the body is read.
    pub(super) fn admission<'a>(
        &self,
        row: &'static operations::Row,
        key: &AccessKey,
        request_id: &'a str,
    ) -> Admission<'a> {
        let rate = Rate { counted_by: CountedBy::TenantAndOperation, per_second: row.extra };
        let is_scan = matches!(row.operation, Operation::ImageSyncScan | Operation::ImageAsyncScan);
        let rate = self.settings().limits_calls_of(key.tenant.name.as_str()).then_some(rate);
        let n_units = u32::from(!is_scan);
        Admission { n_units, ..row.info.admission("aliyun", self.settings().limits(), rate, request_id) }
    }
}

impl Call<'_> {
    /// Counts the images of a scan, where they are bounded.
    pub(super) fn count(&self, n_images: usize) -> likeness_domain::Result<()> {
        let call = self.api.admission(self.row, &self.key, &self.caller.request_id);
        let Some(rate) = call.rate else { return Ok(()) };
        let n_images = u32::try_from(n_images).unwrap_or(u32::MAX);
        self.api.wire.access.count(&self.caller, &call, rate, n_images)
    }
}
