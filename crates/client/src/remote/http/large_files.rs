//! Files of Git LFS, by its batch API and the transfer `basic`.

use std::collections::BTreeMap;
use std::io::Read;

use packhouse_wire::Version;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{HttpClient, location, reader_of};
use crate::remote::RemoteError;
use crate::remote::edge::Edge;

const MEDIA_TYPE: &str = "application/vnd.git-lfs+json";
/// The most that is read of an answer that lists where files are.
const ANSWER_BYTES: u64 = 16 << 20;
/// As many files are asked for at once.
const BATCH: usize = 100;
/// So many redirects are followed for one file.
const REDIRECTS_MAX: usize = 5;

/// A file of Git LFS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct LargeFile {
    /// The SHA-256 of its content, in digits.
    pub(crate) oid: String,
    pub(crate) size: u64,
}

/// Takes the content of one file as it comes.
pub(crate) type TakeFile<'a> = dyn FnMut(&LargeFile, &mut dyn Read) -> Result<(), RemoteError> + 'a;

#[derive(Serialize)]
struct Question<'a> {
    operation: &'static str,
    transfers: [&'static str; 1],
    objects: &'a [LargeFile],
}

#[derive(Deserialize)]
struct Answer {
    objects: Vec<Offered>,
}

#[derive(Deserialize)]
struct Offered {
    oid: String,
    #[serde(default)]
    actions: Actions,
}

#[derive(Default, Deserialize)]
struct Actions {
    download: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, String>,
}

impl HttpClient {
    /// Gets files. Those that the server does not offer are left out, all of them if it does not know of LFS.
    pub(crate) fn large_files(
        mut self,
        files: &[LargeFile],
        edge: &Edge<'_>,
        take: &mut TakeFile<'_>,
    ) -> Result<(), RemoteError> {
        for batch in files.chunks(BATCH) {
            let Some(answer) = self.ask_where(batch, edge)? else {
                return Ok(());
            };
            for offered in answer.objects {
                let file = batch.iter().find(|file| file.oid == offered.oid);
                if let (Some(file), Some(action)) = (file, offered.actions.download) {
                    // A server may have lost what it lists.
                    if let Some(response) = self.download(action, edge)? {
                        take(file, &mut reader_of(response, edge))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Where files are; `None`: the server does not know of LFS.
    fn ask_where(
        &mut self,
        files: &[LargeFile],
        edge: &Edge<'_>,
    ) -> Result<Option<Answer>, RemoteError> {
        let mut url = self.base.clone();
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        url.set_path(&format!("{path}.git/info/lfs/objects/batch"));
        self.check_egress(&url)?;
        let question = serde_json::to_vec(&Question {
            operation: "download",
            transfers: ["basic"],
            objects: files,
        })
        .map_err(|error| self.failures.not_git(error.to_string()))?;
        let mut has_asked = false;
        loop {
            let mut headers = self.headers(Version::V0);
            for name in [ACCEPT, CONTENT_TYPE] {
                headers.insert(name, HeaderValue::from_static(MEDIA_TYPE));
            }
            let request = self.client.post(url.clone()).headers(headers);
            let response = self.answer(request.body(question.clone()), edge)?;
            match response.status() {
                status if status.is_success() => {
                    let mut text = Vec::new();
                    reader_of(response, edge)
                        .take(ANSWER_BYTES)
                        .read_to_end(&mut text)
                        .map_err(|error| self.failures.io(&error))?;
                    return match serde_json::from_slice(&text) {
                        Ok(answer) => Ok(Some(answer)),
                        Err(_) => Ok(None),
                    };
                }
                StatusCode::UNAUTHORIZED if !has_asked && self.credential.is_none() => {
                    has_asked = true;
                    self.credential = self.ask(&url);
                    if self.credential.is_none() {
                        return Err(self.refusal(response, edge));
                    }
                }
                StatusCode::UNAUTHORIZED => return Err(self.refusal(response, edge)),
                // What another time may answer otherwise says nothing of whether there are files.
                StatusCode::REQUEST_TIMEOUT
                | StatusCode::TOO_EARLY
                | StatusCode::TOO_MANY_REQUESTS => return Err(self.refusal(response, edge)),
                status if status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED => {
                    return Ok(None);
                }
                _ => return Err(self.refusal(response, edge)),
            }
        }
    }

    /// The content of a file; `None`: it is not there.
    fn download(&self, action: Action, edge: &Edge<'_>) -> Result<Option<Response>, RemoteError> {
        let bad = |what: &str| self.failures.not_git(format!("its LFS answer has {what}"));
        let mut url = self.base.join(&action.href).map_err(|_| bad("no URL"))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &action.header {
            let (Ok(name), Ok(mut value)) =
                (HeaderName::try_from(name), HeaderValue::from_str(value))
            else {
                return Err(bad("no header"));
            };
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        if url.origin() == self.base.origin() && !headers.contains_key(AUTHORIZATION) {
            let mut own = self.headers(Version::V0);
            own.extend(headers);
            headers = own;
        }
        for _ in 0..REDIRECTS_MAX {
            if !matches!(url.scheme(), "http" | "https") {
                return Err(bad("a URL that is not of HTTP"));
            }
            self.check_egress(&url)?;
            let request = self.client.get(url.clone()).headers(headers.clone());
            let response = self.answer(request, edge)?;
            match response.status() {
                status if status.is_success() => return Ok(Some(response)),
                StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
                _ => {}
            }
            if !response.status().is_redirection() {
                return Err(self.refusal(response, edge));
            }
            let target = location(&response).ok_or_else(|| bad("a redirect to nowhere"))?;
            let next = url.join(&target).map_err(|_| bad("no URL"))?;
            if next.origin() != url.origin() {
                // They are for the server they were given for.
                headers = HeaderMap::new();
            }
            url = next;
        }
        Err(bad("too many redirects"))
    }

    fn answer(
        &self,
        request: reqwest::RequestBuilder,
        edge: &Edge<'_>,
    ) -> Result<Response, RemoteError> {
        edge.wait(request.send())
            .map_err(|ended| self.ended(ended))?
            .map_err(|error| self.unanswered(error))
    }
}
