//! Proxies that are believed where requests come from.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::Deserialize;

/// A network, or one address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ProxyNet(pub(crate) IpNet);

impl FromStr for ProxyNet {
    type Err = String;

    fn from_str(text: &str) -> Result<ProxyNet, String> {
        let text = text.trim();
        let net = text
            .parse::<IpNet>()
            .ok()
            .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        net.map(|net| ProxyNet(net.trunc())).ok_or_else(|| {
            format!("`{text}` is no network such as 10.0.0.0/8 or fd00::/8, and no address")
        })
    }
}

impl<'de> Deserialize<'de> for ProxyNet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<ProxyNet, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_or_an_address_is_taken() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("fd00::1", "fd00::1/128"),
        ] {
            let parsed: ProxyNet = text.parse().unwrap();
            assert_eq!(parsed.0.to_string(), expected);
        }
        for bad in ["", "proxy.example", "10.0.0.0/33", "10.0.0"] {
            assert!(
                bad.parse::<ProxyNet>().unwrap_err().contains("no network"),
                "{bad}"
            );
        }
    }
}
