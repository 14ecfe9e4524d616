//! The two calls of the vendor's identity service that face clients make: a token for a password or for another token, and
//! the id of a project by its name.

use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use likeness_domain::types::{AccessKey, Secret, TimestampMs};
use sha2::{Digest, Sha256};

use super::auth::Identity;
use super::auth::token::{self, TOKEN_LIFETIME_MS, Token};
use super::call::Huawei;
use super::errors::Failure;
use crate::http::json::{self, Object, Value};
use crate::http::origin;
use crate::http::signing::{same, spell_time};

/// Bytes of a request for a token: names, a password and a scope, from callers of whom nothing is known yet.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Regions of the vendor, which are the names clients ask for projects by.
const REGIONS: [&str; 6] = ["cn-north-1", "cn-north-4", "cn-south-1", "cn-east-3", "ap-southeast-1", "ap-southeast-2"];

/// `POST /v3/auth/tokens`: 201 with the token in a header.
pub(super) async fn create_token(
    dialect: &Huawei,
    head: &Parts,
    query: &[(String, String)],
    body: &Bytes,
) -> Result<Response, Failure> {
    let request = object(body)?;
    let now = dialect.wire.clock.now();
    // The secret that was proved is the one that the token is sealed with and ends with: whoever has one of before a rotation
    // must not get more by it than that has.
    let (key, secret, method, expires_at) = match Login::read(&request)? {
        Login::Password(login) => {
            let (key, secret) = login.key(dialect, now).await?;
            (key, secret, "password", TimestampMs(now.0 + TOKEN_LIFETIME_MS))
        }
        Login::Token(text) => {
            let found = match HeaderValue::from_str(text) {
                Ok(text) => token::read(&text, &*dialect.wire.credentials, now).await?,
                Err(_) => None,
            };
            let found = found.filter(|(key, ..)| key.is_usable(now));
            // A token never lives longer by being exchanged.
            let exchanged = found.map(|(key, secret, token)| (key, secret, "token", token.expires_at));
            exchanged.ok_or_else(|| denied(StatusCode::UNAUTHORIZED, "the token is not valid, or has expired"))?
        }
    };
    if key.grants.are_an_operators() {
        return Err(denied(StatusCode::FORBIDDEN, "the access key is an operator's, which opens no faces"));
    }
    let expires_at = key.end_of(&secret).map_or(expires_at, |end| end.min(expires_at));
    let project = scope(&request, &key, dialect)?;
    dialect.wire.access.used(&key);
    let token = Token { access_key_id: key.id.clone(), has_project: project.is_some(), expires_at };
    let sealed = token.seal(&secret, &*dialect.wire.ids);
    let said = Said {
        key: &key,
        project: project.as_deref(),
        method,
        issued_at: now,
        expires_at,
        has_catalog: wants_catalog(query),
    };
    Ok(said.answer(StatusCode::CREATED, HeaderValue::from_str(&sealed).expect("a token is base64 text"), head))
}

/// Whether a token is to come with the list of services: always, unless the query has `nocatalog`.
pub(super) fn wants_catalog(query: &[(String, String)]) -> bool {
    query.iter().all(|(name, _)| name != "nocatalog")
}

/// What a token says, for whoever has it.
pub(super) struct Said<'a> {
    pub(super) key: &'a AccessKey,
    /// Name of the project it is for; `None` for the account alone.
    pub(super) project: Option<&'a str>,
    /// How it was proved who asks.
    pub(super) method: &'static str,
    pub(super) issued_at: TimestampMs,
    pub(super) expires_at: TimestampMs,
    /// Whether the services are listed.
    pub(super) has_catalog: bool,
}

impl Said<'_> {
    /// The answer that says it, with the token in a header.
    pub(super) fn answer(&self, status: StatusCode, token_text: HeaderValue, head: &Parts) -> Response {
        let Self { key, project, .. } = *self;
        let (key_id, tenant_id) = (key.id.as_str(), key.tenant.id.to_string());
        let domain = serde_json::json!({"id": tenant_id, "name": key.tenant.name.as_str()});
        let catalog = match self.has_catalog {
            true => catalog(&origin::base_url(&head.headers, &head.extensions), project, &tenant_id),
            false => Vec::new(),
        };
        let token = serde_json::json!({
            "methods": [self.method],
            "issued_at": iso_time(self.issued_at),
            "expires_at": iso_time(self.expires_at),
            "user": {"id": key_id, "name": key_id, "domain": domain, "password_expires_at": ""},
            // Of these two the one that it is for; the other is left out.
            "project": project.map(|name| serde_json::json!({"id": tenant_id, "name": name, "domain": domain})),
            "domain": project.is_none().then_some(&domain),
            "roles": [{"id": "0", "name": "te_admin"}],
            "catalog": catalog,
        });
        let mut response = json::answer(status, &serde_json::json!({"token": token}));
        response.headers_mut().insert("x-subject-token", token_text);
        response
    }
}

/// The services at this address: the identity service, and the face service of the project.
fn catalog(base_url: &str, project: Option<&str>, project_id: &str) -> Vec<serde_json::Value> {
    let region =
        project.map_or("*", |name| REGIONS.into_iter().find(|region| name.starts_with(region)).unwrap_or(name));
    let entry = |id: &str, name: &str, url: String| {
        let endpoint =
            serde_json::json!({"id": id, "interface": "public", "region": region, "region_id": region, "url": url});
        serde_json::json!({"id": id, "type": id, "name": name, "endpoints": [endpoint]})
    };
    let identity = entry("identity", "iam", format!("{base_url}/v3"));
    let face = project.map(|_| entry("face", "frs", format!("{base_url}/v2/{project_id}")));
    std::iter::once(identity).chain(face).collect()
}

/// Who wants a token, taken from a request and not believed yet.
enum Login<'a> {
    Password(PasswordLogin<'a>),
    /// Whoever has this token.
    Token(&'a str),
}

struct PasswordLogin<'a> {
    user: &'a str,
    password: &'a str,
    domain: Domain<'a>,
}

impl<'a> Login<'a> {
    fn read(request: &'a Object) -> Result<Self, Failure> {
        let methods = dig(request, "auth.identity.methods");
        let by = |method: &str| matches!(methods, Some(Value::List(methods)) if methods == &[Value::Text(method.to_owned())]);
        if by("token") {
            let token = text(request, "auth.identity.token.id")?;
            return Ok(Login::Token(token.ok_or_else(|| malformed("`auth.identity.token.id` is missing"))?));
        }
        if !by("password") {
            return Err(malformed("`auth.identity.methods` must be [\"password\"] or [\"token\"]"));
        }
        const USER: &str = "auth.identity.password.user";
        let of_user = |member: &str| text(request, &format!("{USER}.{member}"));
        let missing = |member: &str| malformed(&format!("`{USER}.{member}` is missing"));
        let (name, id) = (of_user("name")?, of_user("id")?);
        let user = name.or(id).ok_or_else(|| missing("name"))?;
        let password = of_user("password")?.ok_or_else(|| missing("password"))?;
        let domain = Domain { name: of_user("domain.name")?, id: of_user("domain.id")? };
        // An id says which user it is by itself; names are those of a domain.
        if name.is_some() && domain.name.is_none() && domain.id.is_none() {
            return Err(malformed("`auth.identity.password.user.domain` names no domain"));
        }
        Ok(Login::Password(PasswordLogin { user, password, domain }))
    }
}

impl PasswordLogin<'_> {
    /// The key whose id and secret these are, and the secret.
    async fn key(&self, dialect: &Huawei, now: TimestampMs) -> Result<(AccessKey, Secret), Failure> {
        let key = dialect.wire.key(self.user).await?;
        let unknown = || denied(StatusCode::UNAUTHORIZED, "the username or password is wrong");
        // One answer for everything that is wrong, and the comparison also where there is nothing to compare with.
        let nobodys = Secret::new("-").ok_or_else(unknown)?;
        let secrets =
            key.iter().flat_map(|key| key.secrets(now)).chain(std::iter::once(&nobodys).filter(|_| key.is_none()));
        let mut proved = None;
        for secret in secrets {
            if same_text(secret.reveal(), self.password) {
                proved = Some(secret.clone());
            }
        }
        let key = key.filter(|key| key.is_usable(now) && self.domain.is_of(key));
        key.zip(proved).ok_or_else(unknown)
    }
}

fn object(body: &[u8]) -> Result<Object, Failure> {
    let Some(Value::Object(request)) = Value::parse(body) else {
        return Err(malformed("the body is not a JSON object"));
    };
    Ok(request)
}

/// Entry for fuzzing: whatever the bytes of a request for a token, it is read or refused, and what is read is not empty.
#[cfg(any(test, feature = "fuzz"))]
pub fn fuzz_keystone(data: &[u8]) {
    let Ok(request) = object(data) else { return };
    match Login::read(&request) {
        Ok(Login::Password(login)) => assert!(!login.user.is_empty() && !login.password.is_empty()),
        Ok(Login::Token(token)) => assert!(!token.is_empty()),
        Err(_) => {}
    }
    let _ = (text(&request, "auth.scope.project.name"), text(&request, "auth.scope.domain.id"));
}

/// `GET /v3/projects`: the caller's one project, if it has the name that is asked for.
pub(super) fn list_projects(dialect: &Huawei, identity: &Identity, query: &[(String, String)]) -> Response {
    let asked = query.iter().rfind(|(name, _)| name == "name").map(|(_, value)| value.as_str());
    let name = asked.unwrap_or(&dialect.wire.settings.huawei.project_name);
    let tenant_id = identity.tenant().to_string();
    let project = serde_json::json!({
        "id": tenant_id,
        "name": name,
        "domain_id": tenant_id,
        "parent_id": tenant_id,
        "is_domain": false,
        "enabled": true,
        "description": "",
    });
    let projects = if is_project_name(name, dialect) { vec![project] } else { Vec::new() };
    json::answer(StatusCode::OK, &serde_json::json!({"projects": projects, "links": {}}))
}

/// Whether a tenant's one project goes by this name: the configured one, or a region's with any sub-project suffix.
fn is_project_name(name: &str, dialect: &Huawei) -> bool {
    let is_region = |region: &&str| match name.strip_prefix(*region) {
        Some("") => true,
        Some(rest) => rest.len() <= 64 && rest.starts_with('_') && rest.bytes().all(|b| b.is_ascii_graphic()),
        None => false,
    };
    name == dialect.wire.settings.huawei.project_name || REGIONS.iter().any(is_region)
}

/// The name of the project that a token is asked for; `None` for the account alone.
fn scope(request: &Object, key: &AccessKey, dialect: &Huawei) -> Result<Option<String>, Failure> {
    let tenant_id = key.tenant.id.to_string();
    if dig(request, "auth.scope.project").is_some() {
        let name = text(request, "auth.scope.project.name")?;
        let id = text(request, "auth.scope.project.id")?;
        return match (name, id) {
            (_, Some(id)) if id == tenant_id => {
                let name = name.filter(|name| is_project_name(name, dialect));
                Ok(Some(name.unwrap_or(&dialect.wire.settings.huawei.project_name).to_owned()))
            }
            // Also for an id nobody has: whose ids exist is not for strangers to learn.
            (_, Some(_)) => Err(denied(StatusCode::FORBIDDEN, "the user may not use this project")),
            (Some(name), None) if is_project_name(name, dialect) => Ok(Some(name.to_owned())),
            (Some(_), None) => Err(denied(StatusCode::UNAUTHORIZED, "the project does not exist")),
            (None, None) => Err(malformed("`auth.scope.project` has neither name nor id")),
        };
    }
    if dig(request, "auth.scope.domain").is_some() {
        let domain =
            Domain { name: text(request, "auth.scope.domain.name")?, id: text(request, "auth.scope.domain.id")? };
        if domain.name.is_none() && domain.id.is_none() {
            return Err(malformed("`auth.scope.domain` has neither name nor id"));
        }
        if !domain.is_of(key) {
            return Err(denied(StatusCode::FORBIDDEN, "the user may not use this domain"));
        }
    }
    Ok(None)
}

struct Domain<'a> {
    name: Option<&'a str>,
    id: Option<&'a str>,
}

impl Domain<'_> {
    /// Whether whatever is given names the key's tenant.
    fn is_of(&self, key: &AccessKey) -> bool {
        let tenant = &key.tenant;
        self.name.is_none_or(|name| name == tenant.name.as_str())
            && self.id.is_none_or(|id| id == tenant.id.to_string())
    }
}

/// Compares digests, so that the time taken depends neither on content nor on length.
fn same_text(a: &str, b: &str) -> bool {
    same(&Sha256::digest(a), &Sha256::digest(b))
}

fn malformed(message: &str) -> Failure {
    denied(StatusCode::BAD_REQUEST, message)
}

fn denied(status: StatusCode, message: &str) -> Failure {
    Failure::identity(status, message)
}

/// The member at the end of a path of objects, its names joined by dots.
fn dig<'a>(object: &'a Object, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => object.get(path),
        Some((first, rest)) => match object.get(first)? {
            Value::Object(inner) => dig(inner, rest),
            _ => None,
        },
    }
}

/// A text at the end of a path; absent when empty, refused when something else is there.
fn text<'a>(object: &'a Object, path: &str) -> Result<Option<&'a str>, Failure> {
    match dig(object, path) {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(malformed(&format!("`{path}` is not text"))),
    }
}

fn iso_time(time: TimestampMs) -> String {
    const FORMAT: &[time::format_description::BorrowedFormatItem<'_>] =
        time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    spell_time(time, FORMAT)
}
