//! Which addresses are on the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Whether a stranger's URL may make this server connect to `ip`.
///
/// Sources: the IANA special-purpose address registries for IPv4 and IPv6. IPv6 is an allow-list: only global unicast
/// (2000::/3) without its special blocks, so that every form that carries an IPv4 address inside (mapped, NAT64, 6to4,
/// Teredo) is out.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// Whether `ip` is an address of this machine, as far as the machine knows: one that a router shows for it is not.
///
/// No list of interfaces is read. A datagram socket that is connected, which sends nothing, gets the address that its
/// packets would come from; of packets to an address of this machine that is the address itself.
pub(super) fn is_own(ip: IpAddr) -> bool {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Without a way there, there is no connection either.
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((ip, 9))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == ip)
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    // First address and prefix length of every block that is not globally reachable.
    const BLOCKED: &[([u8; 4], u32)] = &[
        ([0, 0, 0, 0], 8),        // this network
        ([10, 0, 0, 0], 8),       // private
        ([100, 64, 0, 0], 10),    // carrier-grade NAT, and one cloud's metadata service
        ([127, 0, 0, 0], 8),      // loopback
        ([168, 63, 129, 16], 32), // public by number, but one cloud's host agent answers there
        ([169, 254, 0, 0], 16),   // link-local, and most clouds' metadata services
        ([172, 16, 0, 0], 12),    // private
        ([192, 0, 0, 0], 24),     // protocol assignments
        ([192, 0, 2, 0], 24),     // documentation
        ([192, 88, 99, 0], 24),   // 6to4 relays
        ([192, 168, 0, 0], 16),   // private
        ([198, 18, 0, 0], 15),    // benchmarks
        ([198, 51, 100, 0], 24),  // documentation
        ([203, 0, 113, 0], 24),   // documentation
        ([224, 0, 0, 0], 4),      // multicast
        ([240, 0, 0, 0], 4),      // reserved, and broadcast
    ];
    let in_block = |(first, n_bits): &([u8; 4], u32)| {
        let differing = u32::from(ip) ^ u32::from(Ipv4Addr::from(*first));
        differing >> (32 - n_bits) == 0
    };
    !BLOCKED.iter().any(in_block)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    let global_unicast = first >> 13 == 0b001;
    let protocol_assignments = first == 0x2001 && second < 0x0200; // with Teredo, ORCHID and benchmarks
    let documentation = (first == 0x2001 && second == 0x0db8) || (first == 0x3fff && second >> 12 == 0);
    let six_to_four = first == 0x2002;
    global_unicast && !protocol_assignments && !documentation && !six_to_four
}
