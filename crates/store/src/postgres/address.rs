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
    /// Reads `postgres://user@host:5432,other:5432/database?sslmode=...&sslrootcert=...`; the other words are those of
    /// libpq. `password` is what the operator keeps apart from the address, where everybody sees it. Of several hosts the one
    /// that can be written to is taken, whatever the address says.
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
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut mode, mut authorities, mut pool_mode, mut rest) = (None, None, "session", Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", word)) => mode = Some(word),
                Some(("pool_mode", word)) => pool_mode = word,
                Some(("sslrootcert", path)) => authorities = Some(PathBuf::from(decoded(path))),
                _ => rest.push(pair),
            }
        }
        let plain = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        // The parser's words may hold parts of the address, and so of a password in it.
        let mut config: Config = plain.parse().map_err(|_| refused("it is not written as one".into()))?;
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
        config.keepalives_idle(ALIVE_WITHIN).tcp_user_timeout(ALIVE_WITHIN);
        if config.get_application_name().is_none() {
            config.application_name("likeness");
        }
        let shown = shown(&config);
        Ok(Self { config, tls: Tls::new(authorities.as_deref())?, is_pooled, shown })
    }
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
