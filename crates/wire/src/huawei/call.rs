//! This dialect as its calls see it.

use std::sync::Arc;

use likeness_domain::access::Caller;
use likeness_domain::library::{Library, Scales};

use super::auth::Identity;
use super::errors::{Failure, Origin};
use super::operations::Operation;
use super::params::Params;
use super::scale::scale;
use super::settings::Settings;
use crate::services::Services;

/// This dialect, ready to answer.
pub(crate) struct Huawei {
    pub(super) wire: Services,
    pub(super) scales: Arc<Scales>,
}

/// An authenticated call: who asks what of the library.
pub(super) struct Call<'a> {
    pub(super) library: &'a Library,
    pub(super) dialect: &'a Huawei,
    pub(super) operation: Operation,
    pub(super) identity: Identity,
    pub(super) caller: Caller,
    /// From the path, as sent.
    pub(super) face_set_name: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) params: Params,
}

impl Call<'_> {
    pub(super) fn settings(&self) -> &Settings {
        &self.dialect.wire.settings.huawei
    }

    /// What the library answers about an image that came this way.
    pub(super) async fn ask<T>(
        &self,
        origin: Origin,
        answer: impl Future<Output = likeness_domain::Result<T>>,
    ) -> Result<T, Failure> {
        answer.await.map_err(|error| Failure::library(error, origin))
    }
}

impl Huawei {
    pub(crate) fn new(wire: Services) -> Self {
        let scales = Scales::of(&wire.library, scale);
        Self { wire, scales }
    }
}
