//! A Git server that is not ours: `git http-backend` behind a small HTTP server, whose mood a test sets.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::git_output;

/// How it answers.
#[derive(Clone, Debug, Default)]
pub(crate) enum Mood {
    /// As it should.
    #[default]
    Fine,
    /// Not before the mood changes.
    Holds,
    /// With this status, and the request's own credentials as text.
    Fails(u16),
    /// By sending the client elsewhere.
    Redirects(String),
    /// `site.git` is called `moved.git` now, where it answers as it should, or with this status.
    Renamed(Option<u16>),
}

#[derive(Default)]
struct Inner {
    mood: Mood,
    login: Option<String>,
    /// Path and credentials of what was asked.
    asked: Vec<(String, Option<String>)>,
    /// How many packs were sent.
    packs: usize,
}

/// A running server with one bare repository, `site.git`, and a clone of that to change it from.
pub(crate) struct Upstream {
    folder: tempfile::TempDir,
    inner: Arc<Mutex<Inner>>,
    address: std::net::SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Upstream {
    pub(crate) async fn start() -> Upstream {
        let folder = tempfile::tempdir().unwrap();
        git_output(
            folder.path(),
            &["init", "-q", "--bare", "-b", "trunk", "site.git"],
        )
        .await;
        git_output(folder.path(), &["init", "-q", "-b", "trunk", "work"]).await;
        let bare = folder.path().join("site.git");
        for (key, value) in [
            ("receive.denyDeleteCurrent", "ignore"),
            ("http.receivepack", "true"),
        ] {
            git_output(&bare, &["config", key, value]).await;
        }
        std::os::unix::fs::symlink("site.git", folder.path().join("moved.git")).unwrap();
        let inner = Arc::new(Mutex::new(Inner::default()));
        let root = folder.path().to_owned();
        let router = Router::new()
            .fallback(answer)
            .with_state((inner.clone(), root));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Upstream {
            folder,
            inner,
            address,
            task,
        }
    }

    pub(crate) fn root(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/site.git", self.root())
    }

    pub(crate) fn be(&self, mood: Mood) {
        self.inner.lock().unwrap().mood = mood;
    }

    /// From now on only who brings these is let in.
    pub(crate) fn wants(&self, user: &str, password: &str) {
        let both = STANDARD.encode(format!("{user}:{password}"));
        self.inner.lock().unwrap().login = Some(format!("Basic {both}"));
    }

    pub(crate) fn asked(&self) -> Vec<(String, Option<String>)> {
        self.inner.lock().unwrap().asked.clone()
    }

    /// How many requests were answered with a pack.
    pub(crate) fn packs(&self) -> usize {
        self.inner.lock().unwrap().packs
    }

    /// From now on everybody is let in.
    pub(crate) fn wants_nobody(&self) {
        self.inner.lock().unwrap().login = None;
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `git` in the bare repository; it has to succeed.
    pub(crate) async fn bare(&self, args: &[&str]) -> String {
        run(&self.folder.path().join("site.git"), args).await
    }

    /// Runs `git` in the clone; it has to succeed.
    pub(crate) async fn work(&self, args: &[&str]) -> String {
        run(&self.folder.path().join("work"), args).await
    }

    /// Commits a file to the branch that is checked out, pushes everything, and returns the commit.
    pub(crate) async fn commit(&self, path: &str, data: &str) -> String {
        std::fs::write(self.folder.path().join("work").join(path), data).unwrap();
        self.work(&["add", path]).await;
        self.work(&["commit", "-q", "-m", path]).await;
        self.push().await;
        self.work(&["rev-parse", "HEAD"]).await
    }

    /// Commits a file to the branch that is checked out and pushes that branch alone.
    pub(crate) async fn commit_to(&self, branch: &str, path: &str, data: &str) -> String {
        std::fs::write(self.folder.path().join("work").join(path), data).unwrap();
        self.work(&["add", path]).await;
        self.work(&["commit", "-q", "-m", path]).await;
        self.work(&[
            "push",
            "-q",
            "../site.git",
            &format!("HEAD:refs/heads/{branch}"),
        ])
        .await;
        self.work(&["rev-parse", "HEAD"]).await
    }

    /// Makes the bare repository what the clone is: rewritten and deleted branches included.
    pub(crate) async fn push(&self) {
        self.work(&["push", "-q", "--mirror", "../site.git"]).await;
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(folder: &Path, args: &[&str]) -> String {
    let output = git_output(folder, args).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {stderr}");
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

fn credentials_of(request: &Request) -> Option<String> {
    let value = request.headers().get(AUTHORIZATION)?;
    Some(value.to_str().unwrap().to_owned())
}

fn plain(status: u16, body: String) -> Response {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "text/plain")
        .header(WWW_AUTHENTICATE, "Basic realm=\"git\"")
        .body(Body::from(body))
        .unwrap()
}

async fn answer(
    State((inner, root)): State<(Arc<Mutex<Inner>>, PathBuf)>,
    request: Request,
) -> Response {
    let sent = credentials_of(&request);
    let path = request.uri().path().to_owned();
    inner.lock().unwrap().asked.push((path, sent.clone()));
    loop {
        let mood = inner.lock().unwrap().mood.clone();
        match mood {
            Mood::Fine => break,
            Mood::Holds => tokio::time::sleep(Duration::from_millis(10)).await,
            // Who it is, it wants to know first.
            Mood::Fails(_) if sent.is_none() && inner.lock().unwrap().login.is_some() => {
                return plain(401, String::new());
            }
            Mood::Fails(status) => return plain(status, format!("you sent {sent:?}")),
            Mood::Renamed(status) => match request.uri().path().strip_prefix("/site.git") {
                Some(rest) => {
                    let query = request.uri().query().unwrap_or_default();
                    return Response::builder()
                        .status(301)
                        .header(LOCATION, format!("/moved.git{rest}?{query}"))
                        .body(Body::empty())
                        .unwrap();
                }
                None => match status {
                    Some(status) => return plain(status, String::new()),
                    None => break,
                },
            },
            Mood::Redirects(target) => {
                return Response::builder()
                    .status(302)
                    .header(LOCATION, target)
                    .body(Body::empty())
                    .unwrap();
            }
        }
    }
    let login = inner.lock().unwrap().login.clone();
    if login.is_some() && login != sent {
        return plain(401, format!("you sent {sent:?}"));
    }
    let is_rpc = request.uri().path().ends_with("/git-upload-pack");
    let response = backend(&root, request).await;
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    if is_rpc && bytes.windows(4).any(|word| word == b"PACK") {
        inner.lock().unwrap().packs += 1;
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// One run of `git http-backend`.
async fn backend(root: &Path, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let header = |name: &str| {
        let value = parts.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap()).to_owned()
    };
    let body = body.collect().await.unwrap().to_bytes();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or(""))
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header(CONTENT_ENCODING.as_str()))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeding = tokio::spawn(async move {
        // A backend that has read enough hangs up.
        let _ = stdin.write_all(&body).await;
    });
    let output = child.wait_with_output().await.unwrap().stdout;
    feeding.await.unwrap();
    let end = output
        .windows(4)
        .position(|part| part == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(output[..end].to_vec()).unwrap();
    let mut response = Response::builder();
    for line in head.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            name => response.header(name, value),
        };
    }
    response
        .body(Body::from(output[end + 4..].to_vec()))
        .unwrap()
}
