//! The first request: it finds out where the repository is and who we have to be.

use packhouse_wire::{Service, Version};
use reqwest::{Response, StatusCode, Url};

use super::{HttpClient, joined, location};
use crate::credentials::Credential;
use crate::remote::RemoteError;
use crate::remote::edge::Edge;
use crate::remote::url::without_query;

impl HttpClient {
    /// Gets the advertisement of `service`, following redirects and proving who we are where that is asked for.
    /// Later requests go where this one led.
    pub(super) fn discover(
        &mut self,
        service: Service,
        version: Version,
        edge: &Edge<'_>,
    ) -> Result<Response, RemoteError> {
        let mut url = joined(&self.base, "info/refs");
        url.set_query(Some(&format!("service={}", service.as_str())));
        let mut redirects = 0;
        let mut asked = None;
        loop {
            self.check_egress(&url)?;
            let request = self.client.get(url.clone()).headers(self.headers(version));
            let response = edge
                .wait(request.send())
                .map_err(|ended| self.ended(ended))?
                .map_err(|error| self.unanswered(error))?;
            match response.status() {
                status if status.is_success() => {
                    let service = service.as_str();
                    let expected = format!("application/x-{service}-advertisement");
                    self.check_type(&response, &expected)?;
                    if let (Some(source), Some(credential)) = (&self.source, &asked) {
                        source.approve(url.as_str(), credential);
                    }
                    self.base = self.base_of(&url, service)?;
                    return Ok(response);
                }
                status if status.is_redirection() && redirects < self.redirects_max => {
                    redirects += 1;
                    self.redirected = true;
                    url = self.follow(&url, &response)?;
                }
                StatusCode::UNAUTHORIZED if asked.is_none() && self.may_ask() => {
                    let credential = self.ask(&url);
                    self.credential = credential.clone();
                    if credential.is_none() {
                        return Err(self.refusal(response, edge));
                    }
                    asked = credential;
                }
                StatusCode::UNAUTHORIZED => {
                    if let (Some(source), Some(credential)) = (&self.source, &asked) {
                        source.reject(url.as_str(), credential);
                    }
                    return Err(self.refusal(response, edge));
                }
                _ => return Err(self.refusal(response, edge)),
            }
        }
    }

    /// Whether there is anything to try that was not tried: what stands in the URL counts as tried.
    fn may_ask(&self) -> bool {
        self.credential.is_none() && (self.source.is_some() || self.user.is_some())
    }

    pub(super) fn ask(&self, url: &Url) -> Option<Credential> {
        let found = self
            .source
            .as_ref()
            .and_then(|source| source.find(url.as_str(), self.user.as_deref()));
        // Some hosts take a token in the place of the user.
        found.or_else(|| Some(Credential::basic(self.user.clone()?, "")))
    }

    fn follow(&mut self, from: &Url, response: &Response) -> Result<Url, RemoteError> {
        let refuse = |target: String, reason| {
            Err(RemoteError::Redirect {
                url: self.failures.url.clone(),
                target: without_query(&target).to_owned(),
                reason,
            })
        };
        let Some(target) = location(response) else {
            return refuse(String::new(), "it names no place");
        };
        let Ok(mut next) = from.join(&target) else {
            return refuse(String::new(), "it is no URL");
        };
        let has_credentials = !next.username().is_empty() || next.password().is_some();
        let _ = next.set_username("");
        let _ = next.set_password(None);
        match (from.scheme(), next.scheme()) {
            _ if has_credentials => return refuse(next.into(), "it brings a user of its own"),
            ("https", "https") | ("http", "http" | "https") => {}
            ("https", "http") => return refuse(next.into(), "it leads away from HTTPS"),
            _ => return refuse(next.into(), "it leads away from HTTP"),
        }
        if next.origin() != from.origin() {
            // They are for the host they were given for.
            self.credential = None;
            self.user = None;
            self.extra.clear();
        }
        Ok(next)
    }

    /// The repository's URL, given where its advertisement was.
    fn base_of(&self, url: &Url, service: &str) -> Result<Url, RemoteError> {
        let query = format!("service={service}");
        let path = url.path().strip_suffix("/info/refs");
        let (Some(path), Some(true)) = (path, url.query().map(|found| found == query)) else {
            return Err(RemoteError::Redirect {
                url: self.failures.url.clone(),
                target: without_query(url.as_str()).to_owned(),
                reason: "it is no place of a repository's refs",
            });
        };
        let mut base = url.clone();
        base.set_path(path);
        base.set_query(None);
        Ok(base)
    }
}

// Every address of the loopback network is this machine's on Linux alone.
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::{self, Write};
    use std::net::Ipv4Addr;
    use std::sync::{Arc, Mutex};

    use packhouse_testkit::responder::{Request, Responder, Site};

    use crate::Egress;
    use crate::remote::{Remote, RemoteOptions};

    /// Sends everyone elsewhere, and counts whom it was asked by.
    #[derive(Default)]
    struct Sends {
        to: Mutex<String>,
        asked: Mutex<u32>,
    }

    impl Site for Sends {
        fn answer(&self, _: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
            *self.asked.lock().unwrap() += 1;
            let to = self.to.lock().unwrap().clone();
            write!(
                out,
                "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
        }
    }

    #[test]
    fn a_redirect_into_a_private_network_is_refused_and_nobody_there_is_asked() {
        let (outside, inside) = (Arc::new(Sends::default()), Arc::new(Sends::default()));
        let stands_for_public = Ipv4Addr::new(127, 0, 0, 2);
        let first = Responder::start_at(stands_for_public, outside.clone());
        let private = Responder::start(inside.clone());
        let port = private.address().port();
        let options = RemoteOptions {
            egress: Some(Egress::PublicAnd(stands_for_public.into())),
            ..RemoteOptions::default()
        };
        let remote = Remote::open(&first.url("site.git"), options).unwrap();
        let places = [
            format!("http://127.0.0.1:{port}"),
            format!("http://localhost:{port}"),
            format!("http://2130706433:{port}"),
            format!("http://[::ffff:127.0.0.1]:{port}"),
            format!("http://[::1]:{port}"),
            "http://169.254.169.254/latest".to_owned(),
        ];
        for (asked, place) in (1..).zip(places) {
            *outside.to.lock().unwrap() = format!("{place}/info/refs?service=git-upload-pack");
            let error = remote.refs(&()).unwrap_err();
            let said = crate::remote::error::with_reasons(&error);
            assert!(said.contains("private network"), "{place}: {said}");
            assert_eq!(*outside.asked.lock().unwrap(), asked, "{place}");
        }
        assert_eq!(*inside.asked.lock().unwrap(), 0);
    }
}
