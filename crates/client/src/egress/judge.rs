//! Which URLs and addresses are of the public Internet: by what they say, without asking anybody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// Why nothing may be, or could be, connected to. Names no more of a URL than its host.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EgressError {
    /// Neither `http` nor `https`.
    #[error("the URL is of scheme `{scheme}`; use https or http")]
    Scheme {
        /// What it is.
        scheme: String,
    },
    /// No host to connect to.
    #[error("the URL names no host")]
    NoHost,
    /// An address that is not to be reached from here.
    #[error("`{host}` is an address of a private network, which this server does not connect to")]
    Refused {
        /// Name or address.
        host: String,
    },
    /// The name stands for no address.
    #[error("`{host}` could not be resolved")]
    Unresolved {
        /// The name.
        host: String,
    },
}

/// Refuses a URL of another scheme than HTTP's, and one with an address in place of a name that `allows` does not.
pub(super) fn check_url(url: &Url, allows: impl Fn(IpAddr) -> bool) -> Result<(), EgressError> {
    if !matches!(url.scheme(), "http" | "https") {
        let scheme = url.scheme().to_owned();
        return Err(EgressError::Scheme { scheme });
    }
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or(EgressError::NoHost)?;
    match literal(host) {
        Some(address) if !allows(address) => Err(EgressError::Refused {
            host: host.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// The address that a URL's host is, if it is none to be resolved.
fn literal(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    bare.parse().ok()
}

/// Whether an address is one of the public Internet (the registries of IANA for special purposes, RFC 6890).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, d] = address.octets();
    let special = match a {
        0 | 10 | 127 => true,
        // Between a provider and its customers; some clouds have their metadata there.
        100 => (64..128).contains(&b),
        // Microsoft gave one address of its own to every virtual machine's host: keys and settings of the machine are
        // there for whoever asks from inside (its "WireServer").
        168 => [b, c, d] == [63, 129, 16],
        169 => b == 254,
        172 => (16..32).contains(&b),
        // Protocol assignments, documentation, relays to IPv6, private networks.
        192 => b == 168 || (b == 0 && matches!(c, 0 | 2)) || (b == 88 && c == 99),
        // Measurements, documentation.
        198 => matches!(b, 18 | 19) || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        // Multicast, reserved, broadcast.
        224..=255 => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let part = address.segments();
    let embedded = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match part {
        // IPv4 in IPv6: mapped, and translated at the edge of the network.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            embedded(high, low)
        }
        // 6to4 carries an IPv4 address.
        [0x2002, high, low, ..] => embedded(high, low),
        // Protocol assignments (Teredo among them), documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Only this eighth of the space is given out to the public Internet.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}
