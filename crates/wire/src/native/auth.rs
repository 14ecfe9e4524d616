//! Who asks. How that is proved depends on the listener that took the request, so the router takes it as a parameter.

use std::sync::Arc;

use http::header;
use http::request::Parts;
use likeness_domain::access::{Access, Admission, Caller, Grants, Limits};
use likeness_domain::ports::{CredentialStore, IdSource, Pending};
use likeness_domain::types::TenantName;
use likeness_domain::{Error, Kind};

use super::PREFIX;
use super::errors::AUTHORIZATION;
use super::sessions::{self, SessionOf, Sessions, bearer};
use crate::http::request_id;

/// The header that names the tenant where reaching the listener is the proof.
pub const TENANT_HEADER: &str = "x-likeness-tenant";

/// Turns the head of a request into a caller, or refuses.
pub trait Authenticate: Send + Sync {
    /// Who sent this request.
    fn caller<'a>(&'a self, head: &'a Parts) -> Pending<'a, Caller>;
}

/// Whether a path, with the prefix or without, leads to what concerns no one tenant.
fn is_operators(path: &str) -> bool {
    let first = path.strip_prefix(PREFIX).unwrap_or(path).split('/').nth(1);
    matches!(first, Some("tenants" | "report"))
}

/// For listeners that only the owner of the data folder can reach (the socket inside it, which has file mode 0600, or a
/// call within the process): whoever comes through may do everything and says by header for which tenant, but where the
/// operation is an operator's.
pub struct OwnerOfTheFolder {
    credentials: Arc<dyn CredentialStore>,
    ids: Arc<dyn IdSource>,
}

impl OwnerOfTheFolder {
    /// Looks tenants up in `credentials`; `ids` is for requests that have no id yet.
    pub fn new(credentials: Arc<dyn CredentialStore>, ids: Arc<dyn IdSource>) -> Self {
        Self { credentials, ids }
    }

    /// `local-` says in the record how the request came; what follows is what the log and the answer call it.
    fn request_id(&self, head: &Parts) -> String {
        format!("local-{}", request_id::of(&head.extensions, &*self.ids))
    }
}

impl Authenticate for OwnerOfTheFolder {
    fn caller<'a>(&'a self, head: &'a Parts) -> Pending<'a, Caller> {
        Box::pin(async move {
            if is_operators(head.uri.path()) {
                return Ok(Caller::operator(self.request_id(head)));
            }
            let Some(header) = head.headers.get(TENANT_HEADER) else {
                return Err(Error::new(
                    Kind::MissingArgument,
                    format!("header `{TENANT_HEADER}` is missing, expected the name of a tenant"),
                ));
            };
            let name = header.to_str().map_err(|_| Error::invalid("tenant", "tenant name is not text"))?;
            let name = TenantName::new(name)?;
            let Some(tenant) = self.credentials.tenant(name.clone()).await? else {
                return Err(Error::new(Kind::Forbidden, format!("there is no tenant `{name}`")));
            };
            Ok(Caller::owner(&tenant, self.request_id(head)))
        })
    }
}

/// For listeners that anybody can reach: `Authorization: Bearer ID.SECRET` of an access key, or the cookie of a session.
/// What the key may do is checked by each use case of the library, for the face sets that the key is for.
pub struct Bearer {
    /// Where keys and sessions are looked up.
    pub sessions: Arc<Sessions>,
    /// Counts calls and refuses keys that are disabled or expired.
    pub access: Arc<Access>,
    /// For ids of requests that have none yet.
    pub ids: Arc<dyn IdSource>,
}

impl Authenticate for Bearer {
    fn caller<'a>(&'a self, head: &'a Parts) -> Pending<'a, Caller> {
        Box::pin(async move {
            let refused = |message| Error::new(Kind::Forbidden, message).with_field(AUTHORIZATION);
            let request_id = request_id::of(&head.extensions, &*self.ids);
            let key = if let Some((id, secret)) = bearer(head) {
                self.sessions.key(id, secret).await?.ok_or_else(|| refused("the access key is not valid"))?
            } else if sessions::has_cookie(&head.headers) && !head.headers.contains_key(header::AUTHORIZATION) {
                let session = self.sessions.of(&head.headers).await?;
                let session = session.ok_or_else(|| refused("the session is over, sign in again"))?;
                sessions::check_origin(head)?;
                sessions::check_page(head, &session.of)?;
                match session.of {
                    SessionOf::Key(key) => *key,
                    SessionOf::Owner(tenant) => return Ok(Caller::owner(&tenant, request_id)),
                }
            } else {
                return Err(refused("header `Authorization` is missing, expected `Bearer ID.SECRET` of an access key"));
            };
            self.access.admit(
                &key,
                &Admission {
                    dialect: "native",
                    operation: "",
                    needs: Grants::NONE,
                    admits_operators: true,
                    limits: Limits::NONE,
                    rate: None,
                    n_units: 1,
                    request_id: &request_id,
                },
            )
        })
    }
}
