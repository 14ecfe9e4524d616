//! The address of a database, as the operator writes it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use likeness_domain::{Error, Result};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::tls::Tls;

/// A server that does not answer is tried no longer; there may be others among the hosts.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// After so long without a sign of life a connection counts as broken.
pub(super) const ALIVE_WITHIN: Duration = Duration::from_secs(10);

/// Words that an address may have behind its question mark. A password belongs elsewhere.
const WORDS: &[&str] = &[
    "sslmode",
    "sslrootcert",
    "pool_mode",
    "host",
    "hostaddr",
    "port",
    "user",
    "dbname",
    "options",
    "application_name",
    "connect_timeout",
    "target_session_attrs",
    "load_balance_hosts",
    "sslnegotiation",
    "channel_binding",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "tcp_user_timeout",
];

/// Where the database is and who asks. Neither its text nor its debug form has the password.
#[derive(Clone)]
pub struct Address {
    pub(super) config: Config,
    pub(super) tls: Tls,
    /// Whether a pooler is between that gives connections out for a transaction at a time.
    pub(super) is_pooled: bool,
    pub(super) shown: String,
}

impl Address {
    /// Reads `postgres://user@host:5432,other:5432/database?sslmode=...&sslrootcert=...`; the other words are those of libpq
    /// in [`WORDS`]. `password` is what the operator keeps apart from the address, where everybody sees it. Of several hosts the
    /// one that can be written to is taken, so `target_session_attrs` may only be `read-write`.
    ///
    /// `sslmode` is `verify-full` (also written `require`: the certificate is verified in any case) or `disable`; where it is
    /// left out, `disable` for sockets and this machine and `verify-full` for others. `pool_mode=transaction` tells of a pooler
    /// in that mode. `InvalidArgument` for anything else.
    pub fn parse(text: &str, password: Option<&str>) -> Result<Self> {
        let refused = |why: String| {
            Error::invalid("store", format!("the address of the database cannot be used: {why}")).with_hint(
                "write `postgres://user@host:5432/database`, and the password in a file or in the environment",
            )
        };
        if !["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err(refused("it is not written as one".into()));
        }
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        if query.contains('@') {
            // It may be the rest of a password with a question mark in it, of which no message may show anything.
            return Err(refused("behind its `?` is an `@`, which is written `%40` there".into()));
        }
        let (mut mode, mut authorities, mut pool_mode, mut rest) = (None, None, "session", Vec::new());
        let (mut is_idle_named, mut unknown) = (false, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (word, value) = pair.split_once('=').unwrap_or((pair, ""));
            match &*decoded(word) {
                "sslmode" => mode = Some(value),
                "pool_mode" => pool_mode = value,
                "sslrootcert" => authorities = Some(PathBuf::from(decoded(value))),
                "target_session_attrs" if decoded(value) != "read-write" => {
                    return Err(refused(format!(
                        "`target_session_attrs` is `{}`, expected `read-write` or nothing: of several hosts the one that can \
                         be written to is taken",
                        shortened(value)
                    )));
                }
                word if WORDS.contains(&word) || word == "password" => {
                    is_idle_named |= word == "keepalives_idle";
                    rest.push(pair);
                }
                _ => unknown = unknown.or(Some(word)),
            }
        }
        let plain = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        // Most of the parser's words may hold parts of the address, and so of a password in it.
        let mut config: Config = plain.parse().map_err(|error| {
            let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            refused(match why.strip_prefix("invalid value for option ") {
                Some(word) => format!("the value of {word} cannot be one"),
                None => "it is not written as one".into(),
            })
        })?;
        if let Some(word) = unknown {
            let (word, known) = (shortened(word), WORDS.join("`, `"));
            return Err(refused(format!("`{word}` is none of its words, which are `{known}`")));
        }
        if config.get_hosts().is_empty() {
            return Err(refused("it names no host".into()));
        }
        if config.get_password().is_some() {
            return Err(refused("it holds a password, which everybody could read there".into()));
        }
        if let Some(password) = password {
            config.password(password);
        }
        let is_near = config.get_hosts().iter().all(|host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        });
        config.ssl_mode(match mode {
            None if is_near => SslMode::Disable,
            None | Some("verify-full" | "require") => SslMode::Require,
            Some("disable") => SslMode::Disable,
            Some(other) => {
                return Err(refused(format!("`sslmode` is `{other}`, expected `verify-full`, `require` or `disable`")));
            }
        });
        let is_pooled = match pool_mode {
            "transaction" => true,
            "session" => false,
            other => return Err(refused(format!("`pool_mode` is `{other}`, expected `session` or `transaction`"))),
        };
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if !is_idle_named {
            config.keepalives_idle(ALIVE_WITHIN);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(ALIVE_WITHIN);
        }
        if config.get_application_name().is_none() {
            config.application_name("likeness");
        }
        let shown = shown(&config);
        Ok(Self { config, tls: Tls::new(authorities.as_deref())?, is_pooled, shown })
    }
}

/// At most 64 characters of the address, for an error message.
fn shortened(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(end, _)| &text[..end])
}

/// Percent-encoded bytes as themselves.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let pair = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.filter(|_| byte == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(value) => {
                bytes.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn shown(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(idx, host)| {
        let port = ports.get(idx).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(path) => format!("{}:{port}", path.display()),
        }
    });
    format!("postgres://{}/{}", hosts.collect::<Vec<_>>().join(","), config.get_dbname().unwrap_or_default())
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests;
