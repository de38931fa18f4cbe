//! Where a server may connect to on behalf of strangers: not to its own network.
//!
//! Whoever may name a URL (a webhook, an upstream) could otherwise have the server ask what only the server can reach:
//! itself, its neighbours, the metadata service of its cloud. What a name resolves to is judged, and the connection
//! goes to the judged address and no other, so that a name whose answer changes gains nothing. Redirects are not
//! followed and proxies of the environment are not used: either would connect to something that was not judged.
//!
//! ```
//! use packhouse_client::Egress;
//!
//! let egress = Egress::PublicOnly;
//! assert!(egress.allows("93.184.215.14".parse().unwrap()));
//! assert!(!egress.allows("::ffff:169.254.169.254".parse().unwrap()));
//! ```

mod judge;

use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{ClientBuilder, Url, redirect};

pub use judge::EgressError;
use judge::{check_url, is_public};

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Egress {
    /// Addresses of the public Internet.
    #[default]
    PublicOnly,
    /// Every address, for servers whose users may reach its network anyway.
    Any,
    /// Addresses of the public Internet, and one that stands for it in a test.
    #[cfg(test)]
    PublicAnd(IpAddr),
}

impl Egress {
    /// Whether `address` may be connected to.
    pub fn allows(self, address: IpAddr) -> bool {
        #[cfg(test)]
        if self == Egress::PublicAnd(address) {
            return true;
        }
        self == Egress::Any || is_public(address)
    }

    /// Refuses a URL that could never be connected to: of another scheme, or with an address that is not allowed in
    /// place of a name. Needed before every request: addresses in URLs are never resolved, so only this judges them.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the URL.
    pub fn check_url(self, url: &Url) -> Result<(), EgressError> {
        check_url(url, |address| self.allows(address))
    }

    /// The allowed ones among the addresses of `host`, a name or an address; connect to these and to nothing else.
    ///
    /// # Errors
    ///
    /// There is none, or none that is allowed.
    pub async fn resolve(self, host: &str, port: u16) -> Result<Vec<SocketAddr>, EgressError> {
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let found: Vec<_> = tokio::net::lookup_host((name, port))
            .await
            .map(Iterator::collect)
            .unwrap_or_default();
        if found.is_empty() {
            let host = host.to_owned();
            return Err(EgressError::Unresolved { host });
        }
        let allowed: Vec<_> = found
            .into_iter()
            .filter(|address| self.allows(address.ip()))
            .collect();
        if allowed.is_empty() {
            let host = host.to_owned();
            return Err(EgressError::Refused { host });
        }
        Ok(allowed)
    }

    /// An HTTP client that connects to allowed addresses only, as long as every URL was checked with
    /// [`Egress::check_url`]. It follows no redirect and uses no proxy.
    pub fn http_client(self) -> ClientBuilder {
        // The HTTP client is built without cryptography of its own. Whoever installed some before us has what we need.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .dns_resolver(Judging(self))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
    }
}

/// Resolves names to what is allowed.
struct Judging(Egress);

impl Resolve for Judging {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = self.0;
        Box::pin(async move {
            // Port 0 stands for that of the URL.
            let found = egress.resolve(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_allowed() {
        let refused = [
            "0.0.0.0",
            "10.1.2.3",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "::ffff:168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001:0:1::1",
            "2001:db8::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for address in refused {
            let address = address.parse().unwrap();
            assert!(!Egress::PublicOnly.allows(address), "{address}");
            assert!(Egress::Any.allows(address), "{address}");
        }
        let allowed = [
            "1.1.1.1",
            "100.63.0.1",
            "168.63.129.15",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ];
        for address in allowed {
            let address = address.parse().unwrap();
            assert!(Egress::PublicOnly.allows(address), "{address}");
        }
    }

    #[test]
    fn addresses_in_urls_are_judged_in_every_spelling() {
        let refused = [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0.0.1:8080/",
            "http://0177.0.0.1/",
            "http://127.0.0.1./",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::ffff:169.254.169.254]/latest",
            "https://10.0.0.1/",
        ];
        for url in refused {
            let parsed = Url::parse(url).unwrap();
            let error = Egress::PublicOnly.check_url(&parsed).unwrap_err();
            assert!(matches!(error, EgressError::Refused { .. }), "{url}");
            Egress::Any.check_url(&parsed).unwrap();
        }
        for url in ["https://example.com/hook", "http://1.1.1.1:81/"] {
            Egress::PublicOnly
                .check_url(&Url::parse(url).unwrap())
                .unwrap();
        }
        for url in [
            "file:///etc/passwd",
            "ftp://example.com/",
            "gopher://x/",
            "unix:/x",
        ] {
            let error = Egress::Any.check_url(&Url::parse(url).unwrap());
            assert!(matches!(error, Err(EgressError::Scheme { .. })), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_of_a_private_address_is_not_connected_to() {
        let refused = Egress::PublicOnly.resolve("localhost", 80).await;
        assert!(matches!(refused, Err(EgressError::Refused { .. })));
        assert!(
            Egress::Any
                .resolve("localhost", 80)
                .await
                .unwrap()
                .iter()
                .all(|address| address.ip().is_loopback())
        );

        // The client itself refuses too: a URL check says nothing about what a name stands for.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "http://localhost:{}/",
            listener.local_addr().unwrap().port()
        );
        let parsed = Url::parse(&url).unwrap();
        Egress::PublicOnly.check_url(&parsed).unwrap();
        let client = Egress::PublicOnly.http_client().build().unwrap();
        let error = client.get(&url).send().await.unwrap_err();
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        let mut refused = false;
        while let Some(error) = cause {
            refused |= error.downcast_ref::<EgressError>().is_some();
            cause = error.source();
        }
        assert!(refused, "{error:?}");
        // Nobody came.
        let none = tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept());
        assert!(none.await.is_err());
    }
}
