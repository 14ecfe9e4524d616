//! Who is at the other end of a connection, also behind a proxy.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use http::HeaderMap;
use http::header::HeaderName;

/// Addresses that share their first bits: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    /// As IPv6; IPv4 addresses are mapped.
    first: u128,
    mask: u128,
}

impl Network {
    /// Whether an address is in it.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        bits(address) & self.mask == self.first
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => Ipv6Addr::to_bits(address),
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(drop)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(most), str::parse::<u32>).map_err(drop)?;
        if length > most {
            return Err(());
        }
        let mask = u128::MAX.checked_shl(most - length).unwrap_or(0);
        // The bits before a mapped IPv4 address belong to every network of such addresses.
        let mask = if most == 32 { mask | u128::MAX << 32 } else { mask };
        let first = bits(address);
        if first & !mask != 0 {
            return Err(());
        }
        Ok(Self { first, mask })
    }
}

/// Which proxies are believed when they say whom they speak for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Proxies {
    /// The header they say it in; `None` if nobody is believed.
    pub(super) header: Option<HeaderName>,
    /// Where they are.
    pub(super) networks: Vec<Network>,
}

impl Proxies {
    /// Whether connections from this address are those of a proxy.
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        let listed = self.networks.iter().any(|network| network.contains(address.to_canonical()));
        self.header.is_some() && (listed || (self.networks.is_empty() && address.to_canonical().is_loopback()))
    }

    /// The client of a request that came from `peer`. A list of addresses is read from its end, where the proxy wrote:
    /// the first one that is no proxy of ours is the client. What stands before it anybody may have written. An IPv4 address that
    /// came as `::ffff:192.0.2.7` is that address.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        let Some(header) = self.header.as_ref().filter(|_| self.contain(peer)) else { return peer };
        let lines: Vec<&str> = headers.get_all(header).iter().map(|line| line.to_str().unwrap_or_default()).collect();
        let mut client = peer;
        for item in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            let Some(address) = address(item.trim()) else { break };
            let address = address.to_canonical();
            client = address;
            if !self.contain(address) {
                break;
            }
        }
        client
    }
}

/// An address as proxies write it: bare, or with a port, IPv6 then in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split(']').next()).unwrap_or(text);
    let parsed: Option<IpAddr> = bare.parse().ok();
    parsed.or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_are_addresses_with_or_without_a_length() {
        let net = |text: &str| text.parse::<Network>();
        let ten = net("10.0.0.0/8").unwrap();
        assert!(ten.contains(ip("10.255.0.1")) && !ten.contains(ip("11.0.0.1")) && !ten.contains(ip("::1")));
        assert!(net("192.0.2.7").unwrap().contains(ip("192.0.2.7")));
        assert!(!net("192.0.2.7").unwrap().contains(ip("192.0.2.6")));
        assert!(net("0.0.0.0/0").unwrap().contains(ip("1.2.3.4")) && !net("0.0.0.0/0").unwrap().contains(ip("2001::")));
        assert!(net("::/0").unwrap().contains(ip("2001::")));
        assert!(net("2001:db8::/32").unwrap().contains(ip("2001:db8:1::1")));
        for wrong in
            ["", "10.0.0.0/33", "10.0.0.1/8", "::1/129", "10.0.0.0/", "10.0.0.0/-1", "localhost", "10.0.0.0/8/8"]
        {
            assert_eq!(net(wrong), Err(()), "{wrong}");
        }
    }

    #[track_caller]
    fn check_client(proxies: &[&str], peer: &str, lines: &[&str], expected: &str) {
        let proxies = Proxies {
            header: Some(HeaderName::from_static("x-forwarded-for")),
            networks: proxies.iter().map(|network| network.parse().unwrap()).collect(),
        };
        let lines = lines.iter().map(|line| (HeaderName::from_static("x-forwarded-for"), line.parse().unwrap()));
        assert_eq!(proxies.client(ip(peer), &lines.collect()), ip(expected));
    }

    #[test]
    fn the_client_is_what_a_proxy_of_ours_says_and_nobody_else() {
        check_client(&["10.0.0.0/8"], "10.0.0.1", &["192.0.2.1"], "192.0.2.1");
        check_client(&["10.0.0.0/8"], "10.0.0.1", &["203.0.113.9, 192.0.2.1, 10.0.0.2"], "192.0.2.1");
        check_client(&["10.0.0.0/8"], "10.0.0.1", &["203.0.113.9", "192.0.2.1"], "192.0.2.1");
        check_client(&["10.0.0.0/8"], "10.0.0.1", &["192.0.2.1:80"], "192.0.2.1");
        check_client(&["10.0.0.0/8"], "10.0.0.1", &["[2001:db8::1]:80"], "2001:db8::1");
        check_client(&["10.0.0.0/8"], "10.0.0.1", &[], "10.0.0.1");
        check_client(&["10.0.0.0/8"], "10.0.0.1", &["192.0.2.1, unknown"], "10.0.0.1");
        check_client(&["10.0.0.0/8"], "192.0.2.7", &["192.0.2.1"], "192.0.2.7");
        check_client(&[], "127.0.0.1", &["192.0.2.1"], "192.0.2.1");
        check_client(&[], "10.0.0.1", &["192.0.2.1"], "10.0.0.1");
        check_client(&["10.0.0.0/8"], "::ffff:10.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1");
        check_client(&[], "::ffff:192.0.2.7", &[], "192.0.2.7");
    }
}
