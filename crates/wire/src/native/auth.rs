//! Who asks. How that is proved depends on the listener that took the request, so the router takes it as a parameter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::request::Parts;
use likeness_domain::access::Caller;
use likeness_domain::ports::{CredentialStore, Pending};
use likeness_domain::types::TenantName;
use likeness_domain::{Error, Kind};

/// The header that names the tenant where reaching the listener is the proof.
pub const TENANT_HEADER: &str = "x-likeness-tenant";

/// Turns the head of a request into a caller, or refuses.
pub trait Authenticate: Send + Sync {
    /// Who sent this request.
    fn caller<'a>(&'a self, head: &'a Parts) -> Pending<'a, Caller>;
}

/// For listeners that only the owner of the data folder can reach (the socket inside it, which has file mode 0600, or a
/// call within the process): whoever comes through may do everything and says by header for which tenant.
pub struct OwnerOfTheFolder {
    credentials: Arc<dyn CredentialStore>,
    n_requests: AtomicU64,
}

impl OwnerOfTheFolder {
    /// Looks tenants up in `credentials`.
    pub fn new(credentials: Arc<dyn CredentialStore>) -> Self {
        Self { credentials, n_requests: AtomicU64::new(0) }
    }
}

impl Authenticate for OwnerOfTheFolder {
    fn caller<'a>(&'a self, head: &'a Parts) -> Pending<'a, Caller> {
        Box::pin(async move {
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
            let n_requests = self.n_requests.fetch_add(1, Ordering::Relaxed);
            Ok(Caller::owner(&tenant, format!("local-{n_requests}")))
        })
    }
}
