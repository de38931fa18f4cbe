//! The answer to one request: statuses, headers and bodies.

use std::io::{self, Read};

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CACHE_CONTROL,
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LOCATION, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use packhouse_object::ObjectId;
use packhouse_repo::store::{Entry, FileType};
use packhouse_server::written_by;
use serde_json::json;

use super::caching::{self, Part};
use super::html::{self, Link};
use super::mime;
use super::site::{Found, Site, Spot, shown_name};
use crate::commands::store::failure::Failure;
use crate::commands::store::output::name_of;

const TEXT: &str = "text/plain; charset=utf-8";
const METHODS: &str = "GET, HEAD, OPTIONS";

/// A request for something to read.
pub(super) struct Ask {
    /// The path of the URL, decoded.
    pub(super) path: Vec<u8>,
    /// Whether a description is wanted instead of the thing itself.
    pub(super) wants_json: bool,
    /// Whether the body is not.
    pub(super) is_head: bool,
    pub(super) headers: HeaderMap,
}

/// An answer, and how many bytes its body has.
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) bytes: Option<u64>,
}

/// A body of a known type.
struct Content {
    kind: String,
    etag: String,
    body: Vec<u8>,
}

impl Site {
    /// Answers a request. Blocks.
    pub(super) fn answer(&self, ask: &Ask) -> Answer {
        self.answer_found(ask).unwrap_or_else(|failure| {
            tracing::warn!(%failure, "request failed");
            self.refusal(
                StatusCode::INTERNAL_SERVER_ERROR,
                "The store could not be read",
            )
        })
    }

    fn answer_found(&self, ask: &Ask) -> Result<Answer, Failure> {
        Ok(match self.find(&ask.path)? {
            Found::Nothing => self.refusal(StatusCode::NOT_FOUND, "Not found"),
            Found::Elsewhere(url) => self.redirect(&url),
            Found::Refs {
                branches,
                tags,
                etag,
            } => {
                let content = match ask.wants_json {
                    true => json_content(json!({"branches": branches, "tags": tags}), etag),
                    false => self.list_of_refs(&branches, &tags, etag),
                };
                self.whole(ask, content)
            }
            Found::Folder { at, id, entries } => {
                let etag = at.snapshot.commit().to_string();
                let content = match ask.wants_json {
                    true => json_content(self.folder_json(&at, id, &entries), etag),
                    false => self.folder_page(&at, &entries, etag),
                };
                self.whole(ask, content)
            }
            Found::File { entry, .. } if !entry.file_type.is_blob() => self.refusal(
                StatusCode::NOT_FOUND,
                "Not found: a submodule is not served",
            ),
            Found::File { at, entry } => self.file(ask, &at, &entry)?,
            Found::Blob { id } => {
                let kind = "application/octet-stream".to_owned();
                let describe = |size| json!({"hash": id.to_string(), "size": size, "type": "blob"});
                self.content(ask, id, kind, id.to_string(), &describe)?
            }
        })
    }

    fn file(&self, ask: &Ask, at: &Spot, entry: &Entry) -> Result<Answer, Failure> {
        let etag = match self.blob_etags {
            true => entry.id,
            false => at.snapshot.commit(),
        };
        let kind = match entry.file_type {
            // What is sent is the target's name and not what it names.
            FileType::Link => TEXT.to_owned(),
            _ => mime::of(&entry.name),
        };
        let describe = |size| {
            json!({
                "path": name_of(&at.path), "ref": at.label, "size": size, "type": "file",
                "hash": entry.id.to_string(),
            })
        };
        self.content(ask, entry.id, kind, etag.to_string(), &describe)
    }

    fn content(
        &self,
        ask: &Ask,
        id: ObjectId,
        kind: String,
        etag: String,
        describe: &dyn Fn(u64) -> serde_json::Value,
    ) -> Result<Answer, Failure> {
        let tag = quoted(&etag);
        if caching::is_known(&ask.headers, &tag) {
            return Ok(self.not_modified(&tag));
        }
        let (size, mut reader) = self.store.blob_reader(&id)?;
        if ask.wants_json {
            return Ok(self.whole(ask, json_content(describe(size), etag)));
        }
        if size > self.max_file_bytes {
            return Ok(self.refusal(StatusCode::PAYLOAD_TOO_LARGE, "The file is too large"));
        }
        let (status, range) = match caching::part(&ask.headers, &tag, size) {
            Part::Whole => (StatusCode::OK, 0..size),
            Part::Bytes(range) => (StatusCode::PARTIAL_CONTENT, range),
            Part::Unsatisfiable => {
                let mut answer = self.refusal(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "The file has no such part",
                );
                set(
                    &mut answer.response,
                    CONTENT_RANGE,
                    &format!("bytes */{size}"),
                );
                return Ok(answer);
            }
        };
        let length = range.end - range.start;
        let body = match ask.is_head {
            true => Body::empty(),
            false => written_by(move |out| {
                io::copy(&mut reader.by_ref().take(range.start), &mut io::sink())?;
                let sent = io::copy(&mut reader.take(length), out)?;
                match sent == length {
                    true => Ok(()),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                }
            }),
        };
        let mut response = self.response(status, &kind, body);
        set(&mut response, ETAG, &tag);
        set(&mut response, ACCEPT_RANGES, "bytes");
        set(&mut response, CONTENT_LENGTH, &length.to_string());
        if status == StatusCode::PARTIAL_CONTENT {
            let last = range.end - 1;
            set(
                &mut response,
                CONTENT_RANGE,
                &format!("bytes {}-{last}/{size}", range.start),
            );
        }
        let bytes = Some(if ask.is_head { 0 } else { length });
        Ok(Answer { response, bytes })
    }

    fn folder_json(&self, at: &Spot, id: ObjectId, entries: &[Entry]) -> serde_json::Value {
        let name = |entry: &Entry| name_of(&shown_name(entry, self.slashes));
        let names: Vec<String> = entries.iter().map(name).collect();
        json!({
            "path": name_of(&at.path), "ref": at.label, "entries": names, "type": "directory",
            "hash": id.to_string(),
        })
    }

    fn folder_page(&self, at: &Spot, entries: &[Entry], etag: String) -> Content {
        let mut folder = format!("{}{}/", self.base, at.prefix).into_bytes();
        if !at.path.is_empty() {
            folder.extend_from_slice(&at.path);
            folder.push(b'/');
        }
        let links: Vec<Link> = entries
            .iter()
            .map(|entry| {
                let name = shown_name(entry, self.slashes);
                Link {
                    path: [folder.as_slice(), &name].concat(),
                    name: name.into(),
                }
            })
            .collect();
        let title = [at.label.as_bytes(), b":", &at.path].concat();
        html_content(html::page(&title, &links), etag)
    }

    fn list_of_refs(&self, branches: &[String], tags: &[String], etag: String) -> Content {
        let link = |name: &String| Link {
            path: format!("{}/{name}/", self.base).into_bytes(),
            name: name.clone().into_bytes(),
        };
        // A tag of a branch's name is not what its link would show.
        let tags = tags
            .iter()
            .filter(|tag| branches.binary_search(tag).is_err());
        let links: Vec<Link> = branches.iter().chain(tags).map(link).collect();
        html_content(html::page(b"Branches and tags", &links), etag)
    }

    /// All of a body that is in memory.
    fn whole(&self, ask: &Ask, content: Content) -> Answer {
        let tag = quoted(&content.etag);
        if caching::is_known(&ask.headers, &tag) {
            return self.not_modified(&tag);
        }
        let length = content.body.len() as u64;
        let body = match ask.is_head {
            true => Body::empty(),
            false => Body::from(content.body),
        };
        let mut response = self.response(StatusCode::OK, &content.kind, body);
        set(&mut response, ETAG, &tag);
        set(&mut response, CONTENT_LENGTH, &length.to_string());
        let bytes = Some(if ask.is_head { 0 } else { length });
        Answer { response, bytes }
    }

    fn not_modified(&self, tag: &str) -> Answer {
        let mut response = self.response(StatusCode::NOT_MODIFIED, "", Body::empty());
        response.headers_mut().remove(CONTENT_TYPE);
        set(&mut response, ETAG, tag);
        Answer {
            response,
            bytes: Some(0),
        }
    }

    fn redirect(&self, url: &str) -> Answer {
        let mut answer = self.refusal(StatusCode::FOUND, "");
        set(&mut answer.response, LOCATION, url);
        answer
    }

    /// What is not there, or not for reading. Never cached for long: it may come.
    pub(super) fn refusal(&self, status: StatusCode, text: &str) -> Answer {
        let body = match text {
            "" => String::new(),
            text => format!("{text}\n"),
        };
        let bytes = Some(body.len() as u64);
        let mut response = self.response(status, TEXT, Body::from(body));
        let caching = if self.no_store {
            "no-store"
        } else {
            "no-cache"
        };
        set(&mut response, CACHE_CONTROL, caching);
        Answer { response, bytes }
    }

    /// The answer to a request for what may be asked.
    pub(super) fn options(&self) -> Answer {
        let mut answer = self.refusal(StatusCode::NO_CONTENT, "");
        answer.response.headers_mut().remove(CONTENT_TYPE);
        set(&mut answer.response, ALLOW, METHODS);
        answer
    }

    /// The answer to a request to change something.
    pub(super) fn not_allowed(&self) -> Answer {
        let mut answer = self.refusal(StatusCode::METHOD_NOT_ALLOWED, "Files are only read here");
        set(&mut answer.response, ALLOW, METHODS);
        answer
    }

    fn response(&self, status: StatusCode, kind: &str, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        set(&mut response, CONTENT_TYPE, kind);
        set(&mut response, CACHE_CONTROL, &self.cache_control);
        set(&mut response, VARY, "Accept");
        set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
        if self.cors {
            set(&mut response, ACCESS_CONTROL_ALLOW_ORIGIN, "*");
            set(&mut response, ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            let asked = "Accept, If-None-Match, If-Range, Range";
            set(&mut response, ACCESS_CONTROL_ALLOW_HEADERS, asked);
            let told = "Accept-Ranges, Content-Length, Content-Range, ETag";
            set(&mut response, ACCESS_CONTROL_EXPOSE_HEADERS, told);
        }
        response
    }
}

/// Sets a header; a value that none can have is left out.
fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

fn json_content(value: serde_json::Value, etag: String) -> Content {
    Content {
        kind: "application/json".to_owned(),
        etag,
        body: value.to_string().into_bytes(),
    }
}

fn html_content(page: String, etag: String) -> Content {
    Content {
        kind: "text/html; charset=utf-8".to_owned(),
        etag,
        body: page.into_bytes(),
    }
}
