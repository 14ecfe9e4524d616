//! The two calls of the vendor's identity service that face clients make: a token for a password, and the id of a
//! project by its name.

use std::collections::BTreeMap;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use likeness_domain::types::{AccessKey, AccessKeyId, Secret, TimestampMs};
use sha2::{Digest, Sha256};

use super::auth::{Identity, TOKEN_LIFETIME_MS, Token};
use super::dto;
use super::errors::Failure;
use super::routes::Huawei;
use crate::http::json::{self, Object, Value};
use crate::http::signing::same;

/// Bytes of a request for a token: names, a password and a scope, from callers of whom nothing is known yet.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Regions of the vendor, which are the names clients ask for projects by.
const REGIONS: [&str; 6] = ["cn-north-1", "cn-north-4", "cn-south-1", "cn-east-3", "ap-southeast-1", "ap-southeast-2"];

/// `POST /v3/auth/tokens`: 201 with the token in a header.
pub(super) async fn create_token(dialect: &Huawei, body: &Bytes) -> Result<Response, Failure> {
    let request = object(body)?;
    let Login { user, password, domain } = Login::read(&request)?;
    let key = match AccessKeyId::new(user) {
        Some(id) => dialect.wire.credentials.key(id).await?,
        None => None,
    };
    // One answer for everything that is wrong, and the comparison also where there is nothing to compare with.
    let now = dialect.wire.clock.now();
    let secrets = key.iter().flat_map(|key| key.secrets(now)).map(Secret::reveal);
    let same_secret = secrets
        .chain(std::iter::once("-").filter(|_| key.is_none()))
        .fold(false, |same, secret| same | same_text(secret, password));
    let key = key.filter(|key| key.is_usable(now) && same_secret && domain.is_of(key));
    let key = key.ok_or_else(|| denied(StatusCode::UNAUTHORIZED, "the username or password is wrong"))?;

    let project_name = scope(&request, &key, dialect)?;
    dialect.wire.access.used(&key);
    let issued_at = now;
    let expires_at = TimestampMs(issued_at.0 + TOKEN_LIFETIME_MS);
    let token = Token { access_key_id: key.id.clone(), has_project: project_name.is_some(), expires_at };
    let sealed = token.seal(&key.secret, &*dialect.wire.ids);

    let tenant_id = key.tenant.id.to_string();
    let domain = dto::Domain { id: &tenant_id, name: key.tenant.name.as_str() };
    let user = dto::User { id: key.id.as_str(), name: key.id.as_str(), domain, password_expires_at: "" };
    let project = project_name.as_deref().map(|name| dto::TokenProject { id: &tenant_id, name, domain });
    let token = dto::Token {
        methods: ["password"],
        issued_at: iso_time(issued_at),
        expires_at: iso_time(expires_at),
        user,
        domain: project.is_none().then_some(domain),
        project,
        roles: [BTreeMap::from([("id", "0"), ("name", "te_admin")])],
        catalog: [],
    };
    let mut response = json::answer(StatusCode::CREATED, &dto::TokenIssued { token });
    let value = HeaderValue::from_str(&sealed).expect("a token is base64 text");
    response.headers_mut().insert("x-subject-token", value);
    Ok(response)
}

/// Who wants a token, taken from a request and not believed yet.
struct Login<'a> {
    user: &'a str,
    password: &'a str,
    domain: Domain<'a>,
}

impl<'a> Login<'a> {
    fn read(request: &'a Object) -> Result<Self, Failure> {
        let methods = dig(request, "auth.identity.methods");
        let by_password = [Value::Text("password".to_owned())];
        if !matches!(methods, Some(Value::List(methods)) if methods == &by_password) {
            return Err(malformed("`auth.identity.methods` must be [\"password\"]"));
        }
        const USER: &str = "auth.identity.password.user";
        let of_user = |member: &str| text(request, &format!("{USER}.{member}"));
        let missing = |member: &str| malformed(&format!("`{USER}.{member}` is missing"));
        let user = match of_user("name")? {
            Some(name) => name,
            None => of_user("id")?.ok_or_else(|| missing("name"))?,
        };
        let password = of_user("password")?.ok_or_else(|| missing("password"))?;
        let domain = Domain { name: of_user("domain.name")?, id: of_user("domain.id")? };
        if domain.name.is_none() && domain.id.is_none() {
            return Err(malformed("`auth.identity.password.user.domain` names no domain"));
        }
        Ok(Self { user, password, domain })
    }
}

fn object(body: &[u8]) -> Result<Object, Failure> {
    let Some(Value::Object(request)) = Value::parse(body) else {
        return Err(malformed("the body is not a JSON object"));
    };
    Ok(request)
}

/// Entry for fuzzing: whatever the bytes of a request for a token, it is read or refused, and what is read is not empty.
pub fn fuzz_keystone(data: &[u8]) {
    let Ok(request) = object(data) else { return };
    if let Ok(login) = Login::read(&request) {
        assert!(!login.user.is_empty() && !login.password.is_empty());
    }
    let _ = (text(&request, "auth.scope.project.name"), text(&request, "auth.scope.domain.id"));
}

/// `GET /v3/projects`: the caller's one project, if it has the name that is asked for.
pub(super) fn list_projects(dialect: &Huawei, identity: &Identity, query: &[(String, String)]) -> Response {
    let asked = query.iter().rfind(|(name, _)| name == "name").map(|(_, value)| value.as_str());
    let name = asked.unwrap_or(&dialect.wire.settings.huawei.project_name);
    let tenant_id = identity.tenant().to_string();
    let project = dto::Project {
        id: &tenant_id,
        name,
        domain_id: &tenant_id,
        parent_id: &tenant_id,
        is_domain: false,
        enabled: true,
        description: "",
    };
    let projects = if is_project_name(name, dialect) { vec![project] } else { Vec::new() };
    json::answer(StatusCode::OK, &dto::ProjectsShown { projects, links: BTreeMap::new() })
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
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.0) * 1_000_000);
    time.unwrap_or(time::OffsetDateTime::UNIX_EPOCH).format(FORMAT).unwrap_or_default()
}
