//! Where a request comes from: who is connected, or whom a proxy in between says it is from.
//!
//! Anyone can send the headers that say so. They count only as far as trusted proxies wrote them, and each adds to the
//! end: so the list is read from its end, and the first address that is no trusted proxy's is the client's.

use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Proxies read at most: more are none that anyone set up.
const MAX_HOPS: usize = 32;

/// The client's address for a request that `peer` passed on.
///
/// Where both headers are there and disagree, one of them is the client's own and nobody knows which; then the address is
/// that of the proxy.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let said = [
        texts(headers, &X_FORWARDED_FOR).map(|text| client(peer, hops(&text), trusted)),
        texts(headers, &FORWARDED).map(|text| client(peer, forwarded(&text), trusted)),
    ];
    match said {
        [Some(one), Some(other)] if one != other => peer,
        [one, other] => one.or(other).unwrap_or(peer),
    }
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// The last of `hops` that is no trusted proxy. One that cannot be read hides all that came before it.
fn client(
    peer: IpAddr,
    hops: impl DoubleEndedIterator<Item = Option<IpAddr>>,
    trusted: &[IpNet],
) -> IpAddr {
    let mut nearest = peer;
    for hop in hops.rev().take(MAX_HOPS) {
        let Some(hop) = hop else {
            return nearest;
        };
        nearest = hop;
        if !is_trusted(hop, trusted) {
            break;
        }
    }
    nearest
}

/// All values of a header as one list.
fn texts(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}

fn hops(list: &str) -> impl DoubleEndedIterator<Item = Option<IpAddr>> {
    list.split(',').map(parse)
}

/// The `for` of each element (RFC 7239, section 4).
fn forwarded(list: &str) -> impl DoubleEndedIterator<Item = Option<IpAddr>> {
    list.split(',').map(|element| {
        let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
        let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
        parse(node.trim().trim_matches('"'))
    })
}

/// An address, which may have a port.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let address = bare
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(peer: &str, headers: &[(&str, &str)]) -> String {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "2001:db8::/32"]
            .map(|net| net.parse().unwrap())
            .into();
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_what_trusted_proxies_wrote_counts() {
        const XFF: &str = "x-forwarded-for";
        for (peer, headers, expected) in [
            ("192.0.2.1", &[][..], "192.0.2.1"),
            ("192.0.2.1", &[(XFF, "198.51.100.7")], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "198.51.100.7")], "198.51.100.7"),
            ("::ffff:10.0.0.1", &[(XFF, "198.51.100.7")], "198.51.100.7"),
            // The client claimed to be somebody else, and the proxies added what they saw.
            (
                "10.0.0.1",
                &[(XFF, "1.1.1.1, 198.51.100.7, 10.2.3.4")],
                "198.51.100.7",
            ),
            (
                "10.0.0.1",
                &[(XFF, "1.1.1.1"), (XFF, "198.51.100.7")],
                "198.51.100.7",
            ),
            ("10.0.0.1", &[(XFF, "1.1.1.1, junk, 10.2.3.4")], "10.2.3.4"),
            ("10.0.0.1", &[(XFF, "")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            ("10.0.0.1", &[(XFF, "198.51.100.7:443")], "198.51.100.7"),
            ("10.0.0.1", &[(XFF, "[2001:db9::1]:443")], "2001:db9::1"),
            ("2001:db8::5", &[(XFF, "2001:db9::1")], "2001:db9::1"),
            (
                "10.0.0.1",
                &[(
                    "forwarded",
                    "for=1.1.1.1, For=\"[2001:db9::17]:4711\";proto=https;by=10.0.0.1",
                )],
                "2001:db9::17",
            ),
            ("10.0.0.1", &[("forwarded", "for=unknown")], "10.0.0.1"),
            ("10.0.0.1", &[("forwarded", "proto=https")], "10.0.0.1"),
            // The proxy wrote one of the two; the other one is the client's.
            (
                "10.0.0.1",
                &[(XFF, "1.1.1.1"), ("forwarded", "for=198.51.100.7")],
                "10.0.0.1",
            ),
            (
                "10.0.0.1",
                &[(XFF, "1.1.1.1"), ("forwarded", "for=1.1.1.1")],
                "1.1.1.1",
            ),
        ] {
            assert_eq!(asked(peer, headers), expected, "{peer} {headers:?}");
        }
    }
}
