//! The cache as a proxy, with real clients in front of it and a real server behind it.

mod access;
mod clones;
mod outage;
mod refusals;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use packhouse_client::cache::{Cache, CacheConfig};
use packhouse_server::{CacheProxy, CacheProxyOptions, Egress, Limits, Listening};

use crate::support::{Checkout, Upstream, git_output};

/// A proxy that listens, over a cache of its own.
pub(crate) struct ProxyServer {
    listening: Listening,
    pub(crate) cache: Cache,
    _folder: tempfile::TempDir,
}

/// What a request got.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) outcome: String,
    pub(crate) challenge: Option<String>,
    pub(crate) warning: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn has_pack(&self) -> bool {
        self.body.windows(4).any(|word| word == b"PACK")
    }
}

impl ProxyServer {
    /// One that remembers answers for an hour.
    pub(crate) async fn start() -> ProxyServer {
        ProxyServer::with(|_| {}).await
    }

    pub(crate) async fn with(set: impl FnOnce(&mut CacheProxyOptions)) -> ProxyServer {
        let folder = tempfile::tempdir().unwrap();
        let mut options = CacheProxyOptions {
            egress: Egress::Any,
            trust: Duration::from_secs(3600),
            ..CacheProxyOptions::default()
        };
        set(&mut options);
        let cache = Cache::open(CacheConfig::at(folder.path().join("cache"))).unwrap();
        let proxy = CacheProxy::new(&cache, options).unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let listening = Listening::start(address, proxy.router(), &Limits::default())
            .await
            .unwrap();
        ProxyServer {
            listening,
            cache,
            _folder: folder,
        }
    }

    /// The URL of a path here.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.listening.local_addr())
    }

    /// The upstream's repository, as it is called here.
    pub(crate) fn url(&self, upstream: &Upstream) -> String {
        self.at(&format!("/{}", upstream.url().replacen("://", "/", 1)))
    }

    /// The same with who is asking.
    pub(crate) fn url_as(&self, upstream: &Upstream, user: &str, password: &str) -> String {
        let url = self.url(upstream);
        url.replacen("://", &format!("://{user}:{password}@"), 1)
    }

    pub(crate) async fn clone(&self, upstream: &Upstream, args: &[&str]) -> Checkout {
        Checkout::clone(&self.url(upstream), args).await
    }

    /// Runs `git ls-remote`, which has to fail, and returns its complaint.
    pub(crate) async fn ls_remote_fails(&self, url: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let output = git_output(folder.path(), &["ls-remote", url]).await;
        assert!(!output.status.success(), "ls-remote {url} succeeded");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Posts a fetch of this commit and of nothing else, with these credentials.
    pub(crate) async fn post_want(
        &self,
        upstream: &Upstream,
        login: Option<(&str, &str)>,
        commit: &str,
    ) -> Got {
        self.post_fetch(upstream, login, &format!("0032want {commit}\n"))
            .await
    }

    /// Posts a fetch with these lines, with these credentials.
    pub(crate) async fn post_fetch(
        &self,
        upstream: &Upstream,
        login: Option<(&str, &str)>,
        lines: &str,
    ) -> Got {
        let lines = [
            "0011command=fetch0001000eofs-delta\n",
            lines,
            "0009done\n0000",
        ];
        let url = format!("{}/git-upload-pack", self.url(upstream));
        let request = reqwest::Client::new()
            .post(url)
            .header("git-protocol", "version=2")
            .header("content-type", "application/x-git-upload-pack-request")
            .body(lines.concat());
        self.send(request, login).await
    }

    pub(crate) async fn get(&self, url: &str, login: Option<(&str, &str)>) -> Got {
        let request = reqwest::Client::new()
            .get(url)
            .header("git-protocol", "version=2");
        self.send(request, login).await
    }

    async fn send(&self, request: reqwest::RequestBuilder, login: Option<(&str, &str)>) -> Got {
        let request = match login {
            None => request,
            Some((user, password)) => {
                let both = STANDARD.encode(format!("{user}:{password}"));
                request.header("authorization", format!("Basic {both}"))
            }
        };
        let answer = request.send().await.unwrap();
        let header = |name: &str| {
            let value = answer.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        Got {
            status: answer.status().as_u16(),
            outcome: header("x-packhouse-cache").unwrap_or_default(),
            challenge: header("www-authenticate"),
            warning: header("warning"),
            body: answer.bytes().await.unwrap().to_vec(),
        }
    }
}

/// An upstream with a few commits on `trunk`, and the last of them.
pub(crate) async fn upstream() -> (Upstream, String) {
    let upstream = Upstream::start().await;
    upstream.commit("one", "1").await;
    let last = upstream.commit("two", "2").await;
    (upstream, last)
}
