//! An authenticated call.

use super::operations::Operation;
use super::settings::Settings;
use crate::http::keyed_ids::KeyedIds;
use crate::megvii::service;

/// Who asks what of the library. Faces are named by their tokens.
pub(super) type Call<'a> = service::Call<'a, Operation, KeyedIds>;

impl Call<'_> {
    pub(super) fn settings(&self) -> &Settings {
        &self.service.wire.settings.yuanli
    }
}
