//! Upstreams as a request describes them: a place that is followed is at an `https` URL of a name or a public address, with no
//! secret in it, and its URL says the same when it is read again.
//!
//! The code is taken from its own source files: the crates around them would take much longer to build.
#![no_main]

extern crate self as packhouse_client;
extern crate self as reqwest;

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use packhouse_api::{BaseRepo, BaseRepoAuth};
pub use url::Url;

#[path = "../../crates/client/src/egress/judge.rs"]
mod judge;

#[allow(dead_code)]
#[path = "../../crates/server/src/upstream/place.rs"]
mod place;

pub struct UpstreamOptions {
    github_url: String,
    github_app: Option<()>,
}

pub use judge::EgressError;

#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(dead_code)]
pub enum Egress {
    PublicOnly,
    Any,
}

impl Egress {
    fn check_url(self, url: &Url) -> Result<(), EgressError> {
        judge::check_url(url, |address| self == Egress::Any || judge::is_public(address))
    }
}

fuzz_target!(|input: (&str, &str, &str, Option<&str>, Option<&str>)| {
    let (provider, owner, name, host, url) = input;
    let base = BaseRepo {
        provider: provider.to_owned(),
        owner: owner.to_owned(),
        name: name.to_owned(),
        default_branch: None,
        upstream_host: host.map(str::to_owned),
        url: url.map(str::to_owned),
        operation: None,
        git_ref: None,
        sha: None,
        push_through: None,
        auth: Some(BaseRepoAuth {
            auth_type: Some("public".to_owned()),
            ..BaseRepoAuth::default()
        }),
    };
    let options = UpstreamOptions {
        github_url: "https://github.com".to_owned(),
        github_app: None,
    };
    let Ok(place) = place::place_of(&base, &options, Egress::PublicOnly) else {
        return;
    };
    let url = Url::parse(&place.url).expect("it was one");
    assert_eq!(url.as_str(), place.url);
    assert_eq!(url.scheme(), "https");
    assert!(url.username().is_empty() && url.password().is_none());
    assert!(url.query().is_none() && url.fragment().is_none());
    let host = url.host_str().expect("it has a host");
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        assert!(!address.is_loopback() && !address.is_unspecified() && !address.is_multicast());
        let IpAddr::V4(address) = address.to_canonical() else {
            return;
        };
        assert!(!address.is_private() && !address.is_link_local() && !address.is_broadcast());
    }
    assert!(!place.owner.chars().chain(place.name.chars()).any(char::is_control));
});
