//! What an operator wants nothing to do with.

use std::net::IpAddr;
use std::str::FromStr;

use super::target::Host;
use crate::listener::Network;

/// A host with all names below it, or a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    /// In lower case, without a dot at the end.
    Name(String),
    /// Addresses, whatever name they were found by.
    Network(Network),
}

impl Denied {
    /// Whether the host is named by it.
    pub(super) fn covers_host(&self, host: &Host) -> bool {
        match (self, host) {
            (Denied::Name(denied), Host::Name(name)) => {
                name.strip_suffix(denied.as_str()).is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            (Denied::Network(_), Host::Ip(ip)) => self.covers_address(*ip),
            _ => false,
        }
    }

    /// Whether the address is in it.
    pub(super) fn covers_address(&self, ip: IpAddr) -> bool {
        match self {
            Denied::Name(_) => false,
            Denied::Network(network) => network.contains(ip.to_canonical()),
        }
    }
}

impl FromStr for Denied {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Ok(network) = text.parse() {
            return Ok(Denied::Network(network));
        }
        match Host::from_str(text) {
            Ok(Host::Name(name)) => Ok(Denied::Name(name)),
            // An address in brackets, or one that is written as a number.
            Ok(Host::Ip(_)) | Err(_) => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        text.parse().unwrap()
    }

    fn denied(text: &str) -> Denied {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_denies_itself_and_what_is_below_it() {
        let example = denied("Example.test.");
        for (name, expected) in [
            ("example.test", true),
            ("www.example.test", true),
            ("a.b.example.test", true),
            ("notexample.test", false),
            ("example.test.other", false),
            ("test", false),
        ] {
            assert_eq!(example.covers_host(&host(name)), expected, "{name}");
        }
        assert!(!example.covers_address("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn a_network_denies_its_addresses_in_every_form() {
        let network = denied("192.0.2.0/24");
        assert!(network.covers_host(&host("192.0.2.7")) && !network.covers_host(&host("192.0.3.7")));
        assert!(network.covers_address("::ffff:192.0.2.7".parse().unwrap()));
        assert!(!network.covers_host(&host("example.test")));
        assert!(denied("2001:db8::/32").covers_address("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn what_is_neither_is_refused() {
        for wrong in ["", "192.0.2.0/33", "192.0.2.1/24", "http://example.test", "a b", "*.example.test", "0x7f.1"] {
            assert_eq!(wrong.parse::<Denied>(), Err(()), "{wrong}");
        }
    }
}
