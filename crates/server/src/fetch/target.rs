//! Addresses of images: a small, strict URL reader.
//!
//! Strictness is the point. What two readers of one URL may understand differently (back slashes, user information,
//! numbers as hosts, percent signs in hosts) is refused, so nothing can look like one host here and be another on the
//! wire. Hosts are ASCII; an internationalised name is given in its `xn--` form.

use std::fmt;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use likeness_domain::{Error, Kind, Result};

/// Bytes of a URL; presigned ones of object stores have about 1,000.
const URL_BYTES_MAX: usize = 8192;

/// How to speak to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// The port when the URL names none.
    fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Whom to speak to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// A name in lower case without a dot at the end.
    Name(String),
    /// An address.
    Ip(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

/// A URL taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) scheme: Scheme,
    pub(super) host: Host,
    pub(super) port: u16,
    /// Path and query as sent in the request line; begins with `/` and is plain ASCII.
    pub(super) path: String,
}

impl Target {
    /// Reads an absolute http or https URL; the fragment is dropped. [`Kind::UrlInvalid`] if it is not one.
    pub(super) fn parse(url: &str) -> Result<Target> {
        if url.len() > URL_BYTES_MAX {
            return Err(invalid(format!("image address has {} bytes, expected at most {URL_BYTES_MAX}", url.len())));
        }
        if url.bytes().any(|byte| byte.is_ascii_control() || byte == b'\\') {
            return Err(invalid("image address has a control character or a back slash"));
        }
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            _ => return Err(invalid("image address does not begin with http:// or https://")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_end);
        if authority.contains('@') {
            return Err(invalid("image address has a user name or password, expected none"));
        }
        let (host, port) = parse_authority(authority)?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        let path = format!("{slash}{}", percent_encode(path));
        Ok(Target { scheme, host, port: port.unwrap_or(scheme.default_port()), path })
    }

    /// Where a `Location` header leads from here.
    pub(super) fn redirected(&self, location: &str) -> Result<Target> {
        let reference = location.split('#').next().unwrap_or_default();
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let before_query = reference.split('?').next().unwrap_or_default();
        let absolute = if reference.starts_with("//") {
            format!("{scheme}:{reference}")
        } else if before_query.split('/').next().is_some_and(|first| first.contains(':')) {
            reference.to_owned()
        } else {
            let base = self.path.split('?').next().unwrap_or("/");
            let path = if reference.starts_with('/') {
                reference.to_owned()
            } else if before_query.is_empty() {
                format!("{base}{reference}")
            } else {
                let folder = &base[..=base.rfind('/').unwrap_or(0)];
                format!("{folder}{reference}")
            };
            let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
            format!("{scheme}://{}:{}{}{query}", self.host, self.port, without_dot_segments(path))
        };
        Target::parse(&absolute)
    }

    /// The `Host` header: without the scheme's own port.
    pub(super) fn host_header(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// A host the operator allows images to be fetched from, whatever its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AllowedHost {
    host: Host,
    /// `None` allows the ports 80 and 443.
    port: Option<u16>,
}

impl AllowedHost {
    /// Whether `target` is meant.
    pub(super) fn covers(&self, target: &Target) -> bool {
        let port = match self.port {
            Some(port) => port == target.port,
            None => is_web_port(target.port),
        };
        port && self.host == target.host
    }
}

impl FromStr for AllowedHost {
    type Err = Error;

    /// Reads `HOST` or `HOST:PORT`; an IPv6 address stands in brackets.
    fn from_str(text: &str) -> Result<Self> {
        let (host, port) = parse_authority(text)?;
        Ok(Self { host, port })
    }
}

impl FromStr for Host {
    type Err = Error;

    /// Reads a name or an IPv4 address.
    fn from_str(text: &str) -> Result<Self> {
        parse_host(text)
    }
}

/// The ports that web servers are on.
pub(super) fn is_web_port(port: u16) -> bool {
    port == 80 || port == 443
}

fn parse_authority(authority: &str) -> Result<(Host, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (ip, after) = rest.split_once(']').ok_or_else(|| invalid("image address has an unclosed bracket"))?;
            let ip: Ipv6Addr = ip.parse().map_err(|_| invalid("image address has a malformed IPv6 address"))?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return Err(invalid("image address has text after its IPv6 address")),
            };
            (Host::Ip(ip.into()), port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (parse_host(host)?, Some(port)),
            None => (parse_host(authority)?, None),
        },
    };
    let port = match port {
        None | Some("") => None,
        Some(digits) => Some(
            digits
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| digits.parse::<u16>().ok())
                .flatten()
                .filter(|port| *port != 0)
                .ok_or_else(|| invalid("image address has a malformed port, expected 1 to 65535"))?,
        ),
    };
    Ok((host, port))
}

fn parse_host(text: &str) -> Result<Host> {
    if !text.is_ascii() {
        return Err(invalid("image address has a host outside ASCII, expected its `xn--` form"));
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    // Resolvers read `2130706433`, `127.1`, `0x7f.1` and `0177.0.0.1` as addresses. Only one spelling passes here.
    let hexadecimal = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if hexadecimal || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit())) {
        let ip: Ipv4Addr = name
            .parse()
            .map_err(|_| forbidden("image address has a number as host, expected a name or four decimal numbers"))?;
        return Ok(Host::Ip(ip.into()));
    }
    let label_is_fine = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.len() > 253 || !name.split('.').all(label_is_fine) {
        return Err(invalid("image address has a malformed host"));
    }
    Ok(Host::Name(name))
}

/// Encodes what may not stand in a request line; what is encoded already stays.
fn percent_encode(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>^`{|}".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// RFC 3986, section 5.2.4, on a path that begins with a slash.
fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

/// The only use of such a host is to hide an address from a check.
fn forbidden(message: impl Into<String>) -> Error {
    Error::new(Kind::UrlForbidden, message)
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Kind::UrlInvalid, message)
}
