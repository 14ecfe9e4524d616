//! What the dialects stand on, and what they hand to whoever assembles them.

use std::sync::Arc;

use http::HeaderValue;
use likeness_domain::Error;
use likeness_domain::access::{Access, Admission, Caller};
use likeness_domain::library::Library;
use likeness_domain::library::jobs::JobHandler;
use likeness_domain::ports::{
    ArchiveStore, Clock, CredentialStore, IdSource, JobStore, NonceStore, Pending, RecordStore, WebhookSender,
};
use likeness_domain::settings::{Refused, Setting};
use likeness_domain::types::{AccessKey, AccessKeyId, InstallationSecret};

use crate::http::trace;
use crate::native::dto;
use crate::readiness::ReadyCheck;
use crate::{aliyun, facepp, huawei, yuanli};

/// Seconds after which a refused caller may come back, unless a dialect says otherwise: by then a full queue is empty.
pub(crate) const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

/// What the dialects stand on.
#[derive(Clone)]
pub struct Services {
    /// The library they all speak for.
    pub library: Arc<Library>,
    /// Tenants and their keys.
    pub credentials: Arc<dyn CredentialStore>,
    /// The gate that every call of a key passes.
    pub access: Arc<Access>,
    /// Tells the time, for tokens and signatures.
    pub clock: Arc<dyn Clock>,
    /// Gives random numbers, for tokens and ids.
    pub ids: Arc<dyn IdSource>,
    /// What the dialects derive the keys of their keyed ids from.
    pub secret: InstallationSecret,
    /// Work that outlives its request.
    pub jobs: Arc<dyn JobStore>,
    /// Remembers nonces and signatures that are good once.
    pub nonces: Arc<dyn NonceStore>,
    /// Remembers sessions.
    pub records: Arc<dyn RecordStore>,
    /// Archives that jobs make and read.
    pub archives: Arc<dyn ArchiveStore>,
    /// Delivers webhooks, which callers asked for.
    pub webhook_sender: Arc<dyn WebhookSender>,
    /// What an operator may set.
    pub settings: Settings,
    /// Whether the server can do its work; asked by `/readyz`.
    pub ready: ReadyCheck,
    /// What the server knows of itself, for its administrators; `None` where it tells nothing.
    pub server: Option<Arc<dyn ServerFacts>>,
}

impl Services {
    /// The key with the id that a caller names; `None` if it is no id, or nobody's.
    pub(crate) async fn key(&self, id: &str) -> Result<Option<AccessKey>, Error> {
        match AccessKeyId::new(id) {
            Some(id) => self.credentials.key(id).await,
            None => Ok(None),
        }
    }

    /// Lets a call of a dialect pass the gate, and has the request's line say who makes it.
    pub(crate) fn admit(&self, key: &AccessKey, call: &Admission<'_>) -> Result<Caller, Error> {
        let caller = self.access.admit(key, call)?;
        trace::admitted(call.dialect, Some(call.operation), &caller);
        Ok(caller)
    }
}

/// What only the server knows of itself.
pub trait ServerFacts: Send + Sync {
    /// Every setting in the order of the reference, with its value and who set it. `with_private` says whether values that name
    /// other tenants are among them; secrets never are.
    fn settings(&self, with_private: bool) -> Vec<dto::Setting>;

    /// What was counted since the start, and how busy the server is.
    fn metrics(&self) -> Pending<'_, dto::Metrics>;
}

/// What an operator may set, dialect by dialect. The defaults are the vendors' own values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Of the `huawei` dialect.
    pub huawei: huawei::Settings,
    /// Of the `aliyun` dialect.
    pub aliyun: aliyun::Settings,
    /// Of the `yuanli` dialect.
    pub yuanli: yuanli::Settings,
    /// Of the `facepp` dialect.
    pub facepp: facepp::Settings,
}

impl Settings {
    /// The rows of the reference, dialect by dialect.
    pub fn table() -> Vec<Setting> {
        let tables = [huawei::Settings::table(), aliyun::Settings::table()];
        tables.into_iter().chain([yuanli::Settings::table(), facepp::Settings::table()]).flatten().collect()
    }

    /// What the dialects accept, as their vendors do, although it protects less than it could, for people; each names the
    /// setting that refuses it.
    pub fn weaknesses(&self) -> Vec<&'static str> {
        let mut weaknesses = Vec::new();
        if !self.aliyun.require_content_md5 {
            weaknesses.push(
                "bodies of Alibaba calls without `Content-MD5` are covered by no signature; \
                 `aliyun.require_content_md5` refuses them",
            );
        }
        if !self.aliyun.require_nonce {
            weaknesses.push("Alibaba calls without a nonce can be repeated; `aliyun.require_nonce` refuses them");
        }
        if self.yuanli.sign_life_max_s.is_none() {
            weaknesses.push("signs of Yuanli are good until the end they name; `yuanli.sign_life_max_s` bounds that");
        }
        weaknesses
    }

    /// Makes typed values of written ones, in which an absent value is an empty text.
    pub fn read(text: impl Fn(&'static str) -> String) -> Result<Self, Refused> {
        Ok(Self {
            huawei: huawei::Settings::read(&text)?,
            aliyun: aliyun::Settings::read(&text)?,
            yuanli: yuanli::Settings::read(&text)?,
            facepp: facepp::Settings::read(&text)?,
        })
    }
}

/// Does one kind of the jobs that dialects accept.
pub struct Worker {
    /// Knows how.
    pub handler: Arc<dyn JobHandler>,
    /// Most of them under way at once.
    pub n_at_once: usize,
}
