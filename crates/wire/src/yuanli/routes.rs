//! From a request to its handler: find the call, read the fields, authenticate.

use axum::extract::Request;
use axum::response::Response;
use likeness_domain::caller::{Caller, Grants};
use likeness_domain::library::Library;
use likeness_domain::score::Scale;
use likeness_domain::types::{AccessKeyId, PackId};

use super::dto::Answer;
use super::errors::{self, Failure};
use super::operations::{self, Operation};
use super::scale::scale;
use super::settings::Settings;
use super::{auth, handlers};
use crate::http::fields::Fields;
use crate::http::form_service::FormService;
use crate::http::keyed_ids::KeyedIds;
use crate::http::limiter::Limiter;
use crate::router::Services;
use crate::scales::Scales;

/// This dialect, ready to answer.
pub(crate) struct Yuanli {
    wire: Services,
    scales: Scales,
    tokens: KeyedIds,
    limiter: Limiter<AccessKeyId>,
}

/// An authenticated call: who asks what of the library.
pub(super) struct Call<'a> {
    pub(super) library: &'a Library,
    pub(super) house: &'a Yuanli,
    pub(super) operation: Operation,
    pub(super) caller: Caller,
    pub(super) fields: Fields,
}

impl Call<'_> {
    pub(super) fn settings(&self) -> &Settings {
        self.house.settings()
    }

    pub(super) fn tokens(&self) -> &KeyedIds {
        &self.house.tokens
    }

    /// A failed library call in which no picture is at fault.
    pub(super) fn failed(&self, error: likeness_domain::Error) -> Failure {
        errors::library(error, "file", self.settings())
    }
}

impl Yuanli {
    pub(crate) fn new(wire: Services) -> Self {
        let scales = Scales::of(&wire.library, scale);
        let tokens = KeyedIds::new(&wire.secret, "yuanli face token");
        Self { wire, scales, tokens, limiter: Limiter::default() }
    }

    fn settings(&self) -> &Settings {
        &self.wire.settings.yuanli
    }

    /// The scale of a pack, if it is loaded.
    pub(super) fn scale(&self, pack: &PackId) -> Option<&Scale> {
        self.scales.get(pack)
    }

    /// Answers a request, whatever it is.
    pub(crate) async fn answer(&self, request: Request, request_id: &str) -> Response {
        let service = FormService {
            dialect: "yuanli",
            error_member: "error",
            logs_details: true,
            key_field: "sign",
            max_body_bytes: self.settings().max_body_bytes,
            find: operations::find,
            clock: &*self.wire.clock,
            ids: &*self.wire.ids,
        };
        service.answer(request, request_id, |operation, fields| self.run(operation, fields, request_id)).await
    }

    async fn run(&self, operation: Operation, fields: Fields, request_id: &str) -> Result<Answer, Failure> {
        let now = self.wire.clock.now();
        let (credentials, once) = (&*self.wire.credentials, &*self.wire.once);
        let key = auth::authenticate(&fields, credentials, once, now, self.settings()).await?;
        if self.settings().max_qps.is_some_and(|most| !self.limiter.admits(key.id.clone(), most, 1, now)) {
            return Err(errors::too_many_calls(self.settings()));
        }
        let caller = Caller {
            tenant: key.tenant.id,
            grants: Grants::ALL,
            key: Some(key.id.clone()),
            request_id: request_id.to_owned(),
        };
        handlers::handle(&Call { library: &self.wire.library, house: self, operation, caller, fields }).await
    }
}
