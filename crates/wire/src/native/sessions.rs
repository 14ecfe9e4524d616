//! Sessions of browsers: signing in with a key once, then a cookie.
//!
//! A session is a short-lived record whose name is a digest of the cookie's random token, so whoever reads the store cannot
//! use it. It is kept in the store and not in memory, so that nobody has to type a key again because the server was
//! restarted. It holds the id of the key and a digest of the secret that signed in: it ends when the key is deleted, disabled
//! or expired, and when the secret that it began with is not accepted any more.
//!
//! A browser sends its cookie along with requests that other sites make it send, so a request that changes something is
//! believed only if it comes from our own pages ([`check_origin`]), besides `SameSite=Strict`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use likeness_domain::ports::{Clock, CredentialStore, IdSource, Record, RecordId, RecordQuota, RecordStore, WhenFull};
use likeness_domain::types::{AccessKey, AccessKeyId, Secret, Tenant, TenantName, TimestampMs};
use likeness_domain::{Error, Kind};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::errors::OTHER_SESSION;
use crate::http::signing::{hex, same, text};

/// Name of the cookie.
pub(super) const COOKIE: &str = "likeness_session";

/// A header whose presence proves that a page of ours made the request: another site's page may not send it without asking
/// this server first, which never allows it.
pub const CSRF_HEADER: &str = "x-likeness-csrf";

/// How a page that was made for the owner of the data folder says so, before the name of the tenant.
const OWNER: &str = "owner:";

/// A session that is not used for so long is over.
pub(super) const IDLE_MS: i64 = 30 * 60 * 1000;

/// Longest life of a session, however often it is used.
pub(super) const LIFETIME_MS: i64 = 12 * 60 * 60 * 1000;

/// Use is noted at most so often, so that a request seldom writes.
const NOTED_EVERY_MS: i64 = 60 * 1000;

/// How long a ticket of the owner can be exchanged.
const TICKET_MS: i64 = 60 * 1000;

/// Sessions of one key; the one that would end first makes room for one more.
const SESSIONS: RecordQuota = RecordQuota { n_max: 64, bytes_max: 64 * 1024, when_full: WhenFull::Evict };

const SESSION_SCOPE: &str = likeness_domain::ports::SESSIONS;
const TICKET_SCOPE: &str = "ticket";

/// Bytes of a session's random token.
const TOKEN_BYTES: usize = 32;

/// Who signed in, as it is kept in a record.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Who {
    /// Somebody with an access key.
    Key {
        id: String,
        /// SHA-256 of the secret, in hexadecimal digits.
        secret: String,
    },
    /// The owner of the data folder, at work for the tenant of that name.
    Owner { tenant: String },
}

/// Who a session speaks for.
pub(super) enum SessionOf {
    Key(Box<AccessKey>),
    Owner(Tenant),
}

/// A session that is going on.
pub(super) struct Session {
    pub(super) of: SessionOf,
    /// When it is over unless it is used.
    pub(super) expires_at: TimestampMs,
    /// When it is over in any case.
    pub(super) ends_at: TimestampMs,
}

/// The sessions of all browsers.
pub struct Sessions {
    records: Arc<dyn RecordStore>,
    pub(super) credentials: Arc<dyn CredentialStore>,
    pub(super) clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl Sessions {
    /// Sessions that are kept in `records`.
    pub fn new(
        records: Arc<dyn RecordStore>,
        credentials: Arc<dyn CredentialStore>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self { records, credentials, clock, ids }
    }

    /// The key that `ID.SECRET` means, if it is one. An unknown id and a wrong secret are the same.
    pub(super) async fn key(&self, id: &str, secret: &str) -> Result<Option<AccessKey>, Error> {
        let Some(id) = AccessKeyId::new(id) else { return Ok(None) };
        let now = self.clock.now();
        let Some(key) = self.credentials.key(id).await? else { return Ok(None) };
        let is_it = |known: &&Secret| same(known.reveal().as_bytes(), secret.as_bytes());
        let known = key.secrets(now).find(is_it).cloned();
        Ok(known.map(|known| key.proved_by(&known)))
    }

    /// Begins a session of a key, which was proved by `secret`; its token.
    pub(super) async fn begin(&self, key: &AccessKey, secret: &str) -> Result<String, Error> {
        let who = Who::Key { id: key.id.to_string(), secret: digest_of(secret) };
        self.keep(SESSION_SCOPE, &key.tenant, key.id.to_string(), &who, IDLE_MS).await
    }

    /// A ticket for a session of the data folder's owner, to be exchanged once within a minute.
    pub(super) async fn ticket(&self, tenant: &Tenant) -> Result<(String, TimestampMs), Error> {
        let who = Who::Owner { tenant: tenant.name.to_string() };
        let ticket = self.keep(TICKET_SCOPE, tenant, String::new(), &who, TICKET_MS).await?;
        Ok((ticket, TimestampMs(self.clock.now().0 + TICKET_MS)))
    }

    /// Exchanges a ticket for a session; its token.
    pub(super) async fn exchange(&self, ticket: &str) -> Result<Option<(String, Tenant)>, Error> {
        let id = record_id(ticket);
        let Some(record) = self.records.record(TICKET_SCOPE, id, self.clock.now()).await? else { return Ok(None) };
        // Of two who come with one ticket one is first.
        if !self.records.delete_record(TICKET_SCOPE, id).await? {
            return Ok(None);
        }
        let Ok(who @ Who::Owner { .. }) = serde_json::from_slice::<Who>(&record.value) else { return Ok(None) };
        let Some(SessionOf::Owner(tenant)) = self.known(&who).await? else { return Ok(None) };
        let token = self.keep(SESSION_SCOPE, &tenant, String::new(), &who, IDLE_MS).await?;
        Ok(Some((token, tenant)))
    }

    async fn keep(
        &self,
        scope: &'static str,
        tenant: &Tenant,
        bucket: String,
        who: &Who,
        lifetime_ms: i64,
    ) -> Result<String, Error> {
        let mut bytes = [0; TOKEN_BYTES];
        self.ids.fill(&mut bytes);
        let token = URL_SAFE_NO_PAD.encode(bytes);
        let now = self.clock.now();
        let value = serde_json::to_vec(who).map_err(|error| Error::internal("cannot keep a session", error))?;
        let record = Record {
            id: record_id(&token),
            tenant: tenant.id,
            bucket,
            value: Bytes::from(value),
            created_at: now,
            expires_at: TimestampMs(now.0 + lifetime_ms),
        };
        self.records.put_record(scope, record, SESSIONS, now).await?;
        Ok(token)
    }

    /// Who it is, if they may still come: a key whose secret is accepted, a tenant that exists.
    async fn known(&self, who: &Who) -> Result<Option<SessionOf>, Error> {
        Ok(match who {
            Who::Key { id, secret } => {
                let Some(id) = AccessKeyId::new(id) else { return Ok(None) };
                let now = self.clock.now();
                let is_accepted = |known: &&Secret| same(digest_of(known.reveal()).as_bytes(), secret.as_bytes());
                let Some(key) = self.credentials.key(id).await? else { return Ok(None) };
                let known = key.secrets(now).find(is_accepted).cloned();
                known.map(|known| SessionOf::Key(Box::new(key.proved_by(&known))))
            }
            Who::Owner { tenant } => {
                let Ok(name) = TenantName::new(tenant) else { return Ok(None) };
                self.credentials.tenant(name).await?.map(SessionOf::Owner)
            }
        })
    }

    /// The session of a request's cookie, whose use is noted.
    pub(super) async fn of(&self, headers: &HeaderMap) -> Result<Option<Session>, Error> {
        let Some(token) = cookie(headers) else { return Ok(None) };
        let (id, now) = (record_id(token), self.clock.now());
        let Some(record) = self.records.record(SESSION_SCOPE, id, now).await? else { return Ok(None) };
        let Ok(who) = serde_json::from_slice::<Who>(&record.value) else { return Ok(None) };
        let Some(of) = self.known(&who).await? else { return Ok(None) };
        // An id of a key that was deleted may be given to another tenant's key by its owner.
        let tenant = match &of {
            SessionOf::Key(key) => key.tenant.id,
            SessionOf::Owner(tenant) => tenant.id,
        };
        if tenant != record.tenant {
            return Ok(None);
        }
        let ends_at = TimestampMs(record.created_at.0 + LIFETIME_MS);
        let mut expires_at = record.expires_at;
        let renewed = TimestampMs((now.0 + IDLE_MS).min(ends_at.0));
        if renewed.0 - expires_at.0 >= NOTED_EVERY_MS {
            // On a full disk a session is not prolonged, but goes on.
            if self.records.change_record(SESSION_SCOPE, id, record.value, renewed).await.unwrap_or(false) {
                expires_at = renewed;
            }
        }
        Ok(Some(Session { of, expires_at, ends_at }))
    }

    /// Ends the session of a request's cookie, if there is one.
    pub(super) async fn end(&self, headers: &HeaderMap) -> Result<(), Error> {
        if let Some(token) = cookie(headers) {
            self.records.delete_record(SESSION_SCOPE, record_id(token)).await?;
        }
        Ok(())
    }
}

fn digest_of(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn record_id(token: &str) -> RecordId {
    Sha256::digest(token.as_bytes()).into()
}

/// The session's token of the cookies of a request.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, token)| token).filter(|token| token.len() < 200)
}

/// Whether a request is made with a session's cookie.
pub(super) fn has_cookie(headers: &HeaderMap) -> bool {
    cookie(headers).is_some()
}

/// Refuses a request that may have been made by another site's page: one that changes something, has neither
/// [`CSRF_HEADER`] nor an `Origin` that is the host it is for.
pub(super) fn check_origin(head: &Parts) -> Result<(), Error> {
    if matches!(head.method, Method::GET | Method::HEAD) || head.headers.contains_key(CSRF_HEADER) {
        return Ok(());
    }
    let host = text(&head.headers, "host").unwrap_or("");
    let is_own = text(&head.headers, "origin")
        .and_then(|origin| origin.split_once("://"))
        .is_some_and(|(_, authority)| !host.is_empty() && authority.eq_ignore_ascii_case(host));
    if is_own {
        return Ok(());
    }
    let message = format!("a request that changes something with a session needs the header `{CSRF_HEADER}: 1`");
    Err(Error::new(Kind::Forbidden, message).with_field("origin"))
}

/// Refuses a request of a page that was made for somebody else than the cookie stands for by now, as its header
/// [`OTHER_SESSION`] tells: another tab of the browser has signed in, and what the page shows is not what its request would
/// change.
pub(super) fn check_page(head: &Parts, of: &SessionOf) -> Result<(), Error> {
    let Some(named) = text(&head.headers, OTHER_SESSION) else { return Ok(()) };
    let is_it = match of {
        SessionOf::Key(key) => named == key.id.to_string(),
        SessionOf::Owner(tenant) => named.strip_prefix(OWNER).is_some_and(|name| name == tenant.name.to_string()),
    };
    if is_it {
        return Ok(());
    }
    let message = format!("`{OTHER_SESSION}` names somebody else than is signed in by now");
    Err(Error::new(Kind::Forbidden, message).with_field(OTHER_SESSION))
}

/// Id and secret of an `Authorization` header.
pub(super) fn bearer(head: &Parts) -> Option<(&str, &str)> {
    let (scheme, token) = text(&head.headers, "authorization")?.split_once(' ')?;
    // An id has no dot.
    token.trim().split_once('.').filter(|_| scheme.eq_ignore_ascii_case("bearer"))
}
