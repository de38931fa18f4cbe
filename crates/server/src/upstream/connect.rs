//! Talking to an upstream: where the server may connect, who it is there, and for how long.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use packhouse_client::remote::{Remote, RemoteError, RemoteOptions};
use packhouse_client::{Credential, CredentialSource};
use packhouse_object::Progress;
use reqwest::Url;
use tokio_util::sync::CancellationToken;

use super::Upstreams;

/// The upstream at `url`, not connected to yet.
pub(super) fn remote(
    upstreams: &Upstreams,
    url: &str,
    credential: Option<Credential>,
) -> Result<Remote, RemoteError> {
    let source = credential.map(|credential| {
        Arc::new(OneHost {
            origin: origin_of(url),
            credential,
        }) as Arc<dyn CredentialSource>
    });
    let options = RemoteOptions {
        credentials: source,
        egress: Some(upstreams.egress()),
        limits: upstreams.options().limits.clone(),
        idle_timeout: upstreams.options().silence,
        ref_prefixes: ["HEAD", "refs/heads/", "refs/tags/"]
            .map(str::to_owned)
            .into(),
        ..RemoteOptions::default()
    };
    Remote::open(url, options)
}

/// Ends a conversation when its job is to stop, and when its time is up.
pub(super) struct Stop {
    pub(super) told: CancellationToken,
    pub(super) at: Instant,
}

impl Progress for Stop {
    fn cancelled(&self) -> bool {
        self.told.is_cancelled() || Instant::now() >= self.at
    }
}

/// A credential for one host: a redirect to another one does not get it.
struct OneHost {
    origin: Option<String>,
    credential: Credential,
}

/// Scheme, host and port of a URL.
fn origin_of(url: &str) -> Option<String> {
    Some(Url::parse(url).ok()?.origin().ascii_serialization())
}

impl CredentialSource for OneHost {
    fn find(&self, url: &str, _: Option<&str>) -> Option<Credential> {
        let asked = origin_of(url);
        (asked.is_some() && self.origin == asked).then(|| self.credential.clone())
    }
}

/// A text of the other side's, without what it may have repeated of our credential.
pub(super) fn scrubbed(mut text: String, credential: Option<&Credential>) -> String {
    let secrets = match credential {
        Some(Credential::Basic { user, password }) => {
            let both = STANDARD.encode(format!("{user}:{}", password.reveal()));
            vec![password.reveal().to_owned(), both]
        }
        Some(Credential::Bearer(token)) => vec![token.reveal().to_owned()],
        None => Vec::new(),
    };
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "***");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_goes_to_its_own_host_alone() {
        let source = OneHost {
            origin: origin_of("https://example.com/a.git"),
            credential: Credential::basic("me", "hunter2"),
        };
        let finds = |url: &str| source.find(url, None).is_some();
        assert!(finds(
            "https://example.com/a.git/info/refs?service=git-upload-pack"
        ));
        assert!(finds("https://example.com:443/b"));
        for url in [
            "http://example.com/a",
            "https://example.com:444/a",
            "https://example.org/a",
        ] {
            assert!(!finds(url), "{url}");
        }
    }

    #[test]
    fn what_a_server_repeats_of_a_credential_is_not_shown() {
        let credential = Credential::basic("me", "hunter2");
        let text = "no hunter2 here, nor bWU6aHVudGVyMg==".to_owned();
        assert_eq!(scrubbed(text, Some(&credential)), "no *** here, nor ***");
    }
}
