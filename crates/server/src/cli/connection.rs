//! How a command reaches a library: through a running server's socket in the data folder, or by opening the folder
//! itself and calling the same native router within the process. Commands cannot tell which it was.

use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use likeness_domain::types::TenantName;
use likeness_domain::{Error, Kind};
use likeness_store::embedded;
use likeness_wire::http::json;
use likeness_wire::native::{self, dto};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tower::ServiceExt;

use super::socket::{self, Presence};
use super::terminal;
use crate::assemble;
use crate::config::Config;
use crate::outcome::refused;

/// How often a command that waits for the folder looks whether it is free.
const TURN_ASKED_EVERY: Duration = Duration::from_millis(200);

/// A way to a library, as one tenant.
pub(crate) struct Connection {
    transport: Transport,
    tenant: String,
}

enum Transport {
    /// A server that runs; the path of its socket.
    Socket(std::path::PathBuf),
    /// The folder is ours, and locked, as long as the store behind the router lives.
    InProcess(Router),
}

/// What a request carries.
#[derive(Clone)]
pub(crate) enum Payload {
    /// Nothing.
    Empty,
    /// A JSON text.
    Json(Bytes),
    /// One image; the options are in the query.
    Image(Bytes),
}

impl Payload {
    /// A request type as JSON.
    pub(crate) fn json<T: Serialize>(value: &T) -> Result<Self, Error> {
        Ok(Payload::Json(json::write(value).into()))
    }
}

/// Where a server says to commands which database it has its library in, as its settings have it; nothing for a folder.
pub(super) const STORE_PATH: &str = "/store";

/// Whether a command needs a model pack, which is installed on first use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// It looks at images or makes face sets.
    Pack,
    /// It only reads or deletes what is stored.
    StoreOnly,
}

/// Refuses a data folder without a library: only a server and a new key make one, so a mistyped folder is noticed.
pub(super) fn existing_library(config: &Config) -> Result<(), Error> {
    if config.general.store.is_some() {
        return Ok(());
    }
    let data = config.data()?;
    if [embedded::DATABASE_FILE, embedded::IDENTITY_FILE].iter().any(|file| data.join(file).exists()) {
        return Ok(());
    }
    let hint =
        "`--data DIR` or LIKENESS_DATA names another folder; `likeness serve` and `likeness key create` make a library";
    Err(refused(format!("there is no library in {}", data.display())).with_hint(hint))
}

impl Connection {
    /// Finds the library of `config` and the tenant: the one named, else the only one there is.
    pub(crate) async fn open(config: &Config, tenant: Option<&str>, needs: Needs) -> Result<Self, Error> {
        let mut connection = Self::reach(config, needs).await?;
        connection.choose_tenant(tenant).await?;
        Ok(connection)
    }

    /// The same for a command that takes long and may be run twice: while another command has the folder it waits for its turn,
    /// and says so. A server that starts meanwhile is asked then.
    pub(crate) async fn open_in_turn(config: &Config, tenant: Option<&str>, needs: Needs) -> Result<Self, Error> {
        let mut has_said = false;
        loop {
            match Self::open(config, tenant, needs).await {
                Err(error) if likeness_store::folder::is_in_use(&error) => {
                    if !has_said {
                        terminal::message(format!(
                            "{}; waiting until that has ended (while `likeness serve` runs, commands work side by side)",
                            error.message()
                        ));
                        has_said = true;
                    }
                    tokio::time::sleep(TURN_ASKED_EVERY).await;
                }
                opened => return opened,
            }
        }
    }

    /// Finds the library of `config`, for questions that concern no tenant.
    pub(crate) async fn as_operator(config: &Config) -> Result<Self, Error> {
        Self::reach(config, Needs::StoreOnly).await
    }

    /// The server that runs on the data folder of `config`, if one does, for questions that concern no tenant yet. One that
    /// is there and does not answer is an error, and so is one whose library is another than the one that `config` names.
    pub(crate) async fn to_server(config: &Config) -> Result<Option<Self>, Error> {
        let socket = config.data()?.join(assemble::SOCKET_FILE);
        match socket::look(&socket).await {
            Presence::Nobody => Ok(None),
            Presence::Answers { .. } => {
                let connection = Self { transport: Transport::Socket(socket), tenant: String::new() };
                connection.refuse_another_store(config).await?;
                Ok(Some(connection))
            }
            Presence::Silent { pid } => Err(socket::silent(pid)),
        }
    }

    /// Whoever names a database must not write to the library of a server that happens to run in the data folder.
    async fn refuse_another_store(&self, config: &Config) -> Result<(), Error> {
        let Some(named) = &config.general.store else { return Ok(()) };
        // A server of an earlier version does not say.
        let Some(of_server) = self.ask_server(STORE_PATH).await else { return Ok(()) };
        if of_server == named.as_bytes() {
            return Ok(());
        }
        let of_server = match &*of_server {
            [] => "its data folder".to_owned(),
            address => format!("`{}`", String::from_utf8_lossy(address)),
        };
        let message = format!(
            "`store` is `{named}`, and the server that runs in {} has its library in {of_server}",
            config.data()?.display()
        );
        Err(refused(message).with_field("store").with_hint(
            "leave `--store` and LIKENESS_STORE out for the library of that server, or name another folder with `--data DIR`",
        ))
    }

    /// Speaks for a tenant from now on: the one named, else the only one there is.
    pub(crate) async fn choose_tenant(&mut self, named: Option<&str>) -> Result<(), Error> {
        self.tenant = self.chosen_tenant(named).await?;
        Ok(())
    }

    async fn reach(config: &Config, needs: Needs) -> Result<Self, Error> {
        if let Some(connection) = Self::to_server(config).await? {
            return Ok(connection);
        }
        existing_library(config)?;
        let router = assemble::open(config, needs == Needs::Pack).await?.native_router(None);
        Ok(Self { transport: Transport::InProcess(router), tenant: String::new() })
    }

    /// What a running server answers at a path of its own on the socket; `None` where the folder is ours, and where it
    /// cannot be had.
    pub(crate) async fn ask_server(&self, path: &str) -> Option<Bytes> {
        let Transport::Socket(socket) = &self.transport else { return None };
        let request = Request::get(path).header(header::HOST, "localhost").body(Full::new(Bytes::new())).ok()?;
        let (status, body) = socket::ask(socket, request).await.ok()?;
        status.is_success().then_some(body)
    }

    async fn chosen_tenant(&self, named: Option<&str>) -> Result<String, Error> {
        let mut tenants = self.tenants().await?;
        if let Some(named) = named.filter(|named| tenants.iter().any(|tenant| tenant == named)) {
            return Ok(named.to_owned());
        }
        // The operator's keys are kept in a tenant that mostly has nothing else.
        if named.is_none() && tenants.len() > 1 {
            tenants.retain(|tenant| tenant != TenantName::OF_OPERATORS);
        }
        let hint = "make one with `likeness key create --tenant NAME`";
        match (named, tenants.len()) {
            (_, 0) => Err(refused("the data folder has no tenant yet").with_hint(hint)),
            (None, 1) => Ok(tenants.remove(0)),
            (Some(named), _) => Err(Error::new(Kind::TenantNotFound, format!("there is no tenant `{named}`"))
                .with_hint(format!("the tenants are: {}", tenants.join(", ")))),
            (None, _) => Err(refused("there are several tenants")
                .with_hint(format!("choose one with `--tenant`: {}", tenants.join(", ")))),
        }
    }

    /// The names of all tenants, oldest first.
    pub(crate) async fn tenants(&self) -> Result<Vec<String>, Error> {
        /// A server of an earlier version, which runs until it is started anew, names them only.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Entry {
            Name(String),
            Tenant(dto::Tenant),
        }
        #[derive(Deserialize)]
        struct Listed {
            tenants: Vec<Entry>,
            next_cursor: Option<String>,
        }
        let listed: Listed =
            self.all("tenants", |page: &mut Listed| (&mut page.tenants, &mut page.next_cursor)).await?;
        let name = |entry| match entry {
            Entry::Name(name) => name,
            Entry::Tenant(tenant) => tenant.name,
        };
        Ok(listed.tenants.into_iter().map(name).collect())
    }

    /// A whole list, page by page; `parts` are the items of a page and the cursor of the one behind it.
    pub(crate) async fn all<A: DeserializeOwned, T>(
        &self,
        list: &str,
        parts: impl for<'a> Fn(&'a mut A) -> (&'a mut Vec<T>, &'a mut Option<String>),
    ) -> Result<A, Error> {
        self.all_of(list, &[], None, parts).await
    }

    /// The same of a list that is deeper in the tree.
    pub(crate) async fn all_at<A: DeserializeOwned, T>(
        &self,
        path: &[&str],
        parts: impl for<'a> Fn(&'a mut A) -> (&'a mut Vec<T>, &'a mut Option<String>),
    ) -> Result<A, Error> {
        self.pages(path, &[], None, parts).await
    }

    /// The same of a listing with options; `begin` is one that only the first page has, as it says where that begins.
    pub(crate) async fn all_of<A: DeserializeOwned, T>(
        &self,
        list: &str,
        options: &[(&str, &str)],
        begin: Option<(&str, &str)>,
        parts: impl for<'a> Fn(&'a mut A) -> (&'a mut Vec<T>, &'a mut Option<String>),
    ) -> Result<A, Error> {
        self.pages(&[list], options, begin, parts).await
    }

    async fn pages<A: DeserializeOwned, T>(
        &self,
        path: &[&str],
        options: &[(&str, &str)],
        begin: Option<(&str, &str)>,
        parts: impl for<'a> Fn(&'a mut A) -> (&'a mut Vec<T>, &'a mut Option<String>),
    ) -> Result<A, Error> {
        let first: Vec<_> = options.iter().copied().chain(begin).collect();
        let mut listed: A = self.call(Method::GET, path, &first, Payload::Empty).await?;
        while let Some(cursor) = parts(&mut listed).1.take() {
            let query: Vec<_> = options.iter().copied().chain([("cursor", &*cursor)]).collect();
            let mut more: A = self.call(Method::GET, path, &query, Payload::Empty).await?;
            let (mut items, more_items) = (std::mem::take(parts(&mut listed).0), parts(&mut more).0);
            items.append(more_items);
            *more_items = items;
            // What else an answer says is as of the last one.
            listed = more;
        }
        Ok(listed)
    }

    /// Sends one request and reads the answer. Path segments and query values are given plain. An error the library
    /// answers with comes back with its own kind; one of the transport is [`Kind::Internal`].
    pub(crate) async fn call<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        payload: Payload,
    ) -> Result<A, Error> {
        let mut request = Request::builder().method(method).uri(target(path, query)).header(header::HOST, "localhost");
        if !self.tenant.is_empty() {
            request = request.header(native::TENANT_HEADER, &self.tenant);
        }
        let (content_type, body) = match payload {
            Payload::Empty => (None, Bytes::new()),
            Payload::Json(text) => (Some("application/json"), text),
            Payload::Image(image) => (Some("application/octet-stream"), image),
        };
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| Error::invalid("request", "a name cannot be part of a request").with_source(error))?;
        let (status, body) = match &self.transport {
            Transport::Socket(path) => socket::ask(path, request).await?,
            Transport::InProcess(router) => in_process(router.clone(), request).await?,
        };
        read(status, &body)
    }
}

/// What is encoded in a target. The router compares its own words with the target as it was sent, so their characters
/// stay; a dot is encoded, so that no name is a step up.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

fn target(path: &[&str], query: &[(&str, &str)]) -> String {
    let encoded = |text| utf8_percent_encode(text, ENCODED);
    let mut target = native::PREFIX.to_owned();
    for segment in path {
        target.push_str(&format!("/{}", encoded(segment)));
    }
    for (idx, (name, value)) in query.iter().enumerate() {
        let mark = if idx == 0 { '?' } else { '&' };
        target.push_str(&format!("{mark}{}={}", encoded(name), encoded(value)));
    }
    target
}

async fn in_process(router: Router, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Error> {
    let request = request.map(axum::body::Body::new);
    let answer = match router.oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    socket::collected(answer).await.map_err(|error| Error::internal("the answer broke off", error))
}

fn read<A: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<A, Error> {
    if status.is_success() {
        return serde_json::from_slice(body)
            .map_err(|error| Error::internal("the server's answer is not understood", error));
    }
    match serde_json::from_slice::<dto::ErrorAnswer>(body) {
        Ok(answer) => Err(native::error_of(answer)),
        Err(_) => Err(Error::new(Kind::Internal, format!("the server answered with status {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_segment() {
        assert_eq!(target(&["face-sets", "a/b ?#%", ".."], &[("only_if_empty", "a&b")]), {
            "/likeness/v1/face-sets/a%2Fb%20%3F%23%25/%2E%2E?only_if_empty=a%26b"
        });
    }

    #[test]
    fn an_error_answer_keeps_its_kind() {
        let body = br#"{"error":{"kind":"face_set_not_found","message":"no face set `x`"}}"#;
        let error = read::<dto::FaceSet>(StatusCode::NOT_FOUND, body).expect_err("an error");
        assert_eq!((error.kind(), error.message()), (Kind::FaceSetNotFound, "no face set `x`"));
        let error = read::<dto::FaceSet>(StatusCode::BAD_GATEWAY, b"<html>").expect_err("an error");
        assert_eq!(
            (error.kind(), error.message()),
            (Kind::Internal, "the server answered with status 502 Bad Gateway")
        );
    }
}
