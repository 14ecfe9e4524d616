//! From a request to its handler: route, authenticate, match the project, read the body.

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;

use super::auth::{self, Evidence, Identity};
use super::call::{Call, Huawei};
use super::errors::{Failure, code};
use super::operations::{self, Body, Operation, Route, Row};
use super::params::{Params, shortened};
use super::{handlers, iam, keystone};
use crate::http::body::{self, BodyError, Upload};
use crate::http::json::{self, Object};
use crate::http::target;

impl Huawei {
    /// Answers a request, whatever it is.
    pub(crate) async fn answer(&self, request: Request, request_id: &str) -> Response {
        let (head, body) = request.into_parts();
        let mut upload = Upload::of(&head, body);
        let route = operations::find(&head.method, head.uri.path());
        let operation = route.as_ref().map(|route| route.row.operation);
        let outcome = match route {
            Some(route) => self.run(route, &head, &mut upload, request_id).await,
            None => Err(Failure::gateway(code::APIG_0101, "the API does not exist")),
        };
        upload.discard(2 * self.wire.settings.huawei.body_bytes_max).await;
        outcome.unwrap_or_else(|failure| failure.answer(operation, request_id))
    }

    async fn run(
        &self,
        route: Route,
        head: &Parts,
        upload: &mut Upload,
        request_id: &str,
    ) -> Result<Response, Failure> {
        let Route { row: &Row { operation, info, extra: form }, project_id, face_set_name } = route;
        body::check_place(&head.extensions)?;
        match operation {
            Operation::ListVersions => return Ok(keystone::list_versions(head)),
            Operation::ShowVersion => return Ok(keystone::show_version(head)),
            Operation::CreateToken => {
                let bytes_max = iam::BODY_BYTES_MAX.min(self.wire.settings.huawei.body_bytes_max);
                let body = self.read(upload, bytes_max).await?;
                return iam::create_token(self, head, &query(head)?, &body).await;
            }
            _ => {}
        }
        let now = self.wire.clock.now();
        let bytes_max = self.wire.settings.huawei.body_bytes_max;
        let mut body = None;
        let identity = match auth::examine(head, &*self.wire.credentials, now).await? {
            Evidence::Identity(identity) => identity,
            Evidence::Signature(signed) => {
                upload.is_of_known_key();
                let bytes = body.insert(self.read(upload, bytes_max).await?);
                signed.verify(head, bytes, now)?
            }
        };
        if !form.is_of_identity() {
            check_project(&project_id, &identity, head)?;
        }
        let settings = &self.wire.settings.huawei;
        let call = info.admission("huawei", settings.limits(), settings.rate(), request_id);
        let caller = self.wire.admit(&identity.key, &call)?;
        upload.is_of_known_key();
        let query = query(head)?;
        match operation {
            Operation::ListProjects => return Ok(iam::list_projects(self, &identity, &query)),
            Operation::ListAuthProjects => return Ok(iam::list_projects(self, &identity, &[])),
            Operation::ListDomains => return Ok(keystone::list_domains(&identity)),
            Operation::CheckToken => return keystone::check_token(self, &identity, head, &query).await,
            _ => {}
        }
        let params = match (form.body, body) {
            (Body::Nothing, _) => Params::Json(Object::default()),
            (accepted, Some(body)) => Params::read(&head.headers, body, accepted).await?,
            (accepted, None) => Params::read(&head.headers, self.read(upload, bytes_max).await?, accepted).await?,
        };
        let library = &*self.wire.library;
        let call = Call { library, dialect: self, operation, identity, caller, face_set_name, query, params };
        // Also for what is created: clients of this service insist on 200.
        Ok(json::answer(StatusCode::OK, &handlers::handle(call).await?))
    }

    async fn read(&self, upload: &mut Upload, bytes_max: usize) -> Result<Bytes, Failure> {
        upload.read(bytes_max).await.map_err(|error| match error {
            BodyError::TooLong => {
                let message = format!("the body is too long, expected at most {bytes_max} bytes");
                Failure::gateway(code::APIG_0201_TOO_LONG, message)
            }
            BodyError::Broken => Failure::gateway(code::APIG_0201, "the body ended before its time"),
            BodyError::Busy => body::busy().into(),
        })
    }
}

/// The project in the path, and in the header if it is there, must be the caller's.
fn check_project(project_id: &str, identity: &Identity, head: &Parts) -> Result<(), Failure> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if project_id.len() > 64 || !project_id.bytes().all(allowed) {
        let message = format!("project id `{}` is malformed, expected 32 hex digits", shortened(project_id));
        return Err(Failure::invalid(message));
    }
    let own = identity.tenant().to_string();
    let header = head.headers.get("x-project-id").filter(|value| !value.is_empty());
    let fits =
        identity.has_project && project_id == own && header.is_none_or(|value| value.as_bytes() == own.as_bytes());
    if fits {
        return Ok(());
    }
    Err(Failure::service(code::FRS_0028, "the credentials are not for this project"))
}

fn query(head: &Parts) -> Result<Vec<(String, String)>, Failure> {
    let pairs = target::query_pairs(head.uri.query().unwrap_or_default()).into_iter();
    let pairs: Result<_, std::string::FromUtf8Error> =
        pairs.map(|(name, value)| Ok((String::from_utf8(name)?, String::from_utf8(value)?))).collect();
    pairs.map_err(|_| Failure::invalid("the query is not UTF-8"))
}
