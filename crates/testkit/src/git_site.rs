//! Git's own server, to compare with.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use crate::git;
use crate::responder::{Request, Site};

/// `git http-backend` over the bare repositories in a folder. `name+ephemeral.git` is the namespace `ephemeral` of
/// `name.git`.
pub struct GitSite {
    root: PathBuf,
    newest: bool,
}

impl GitSite {
    /// Serves what is in `root`; clients that can speak version 2 get it only if `newest`.
    pub fn new(root: &Path, newest: bool) -> Arc<GitSite> {
        let root = root.to_owned();
        Arc::new(GitSite { root, newest })
    }
}

/// Name, whether it is the ephemeral namespace, and the rest: splits `/name.git/tail` and `/name+ephemeral.git/tail`.
pub fn split_path(path: &str) -> Option<(&str, bool, &str)> {
    let (name, tail) = path.strip_prefix('/')?.split_once(".git/")?;
    match name.strip_suffix("+ephemeral") {
        Some(name) => Some((name, true, tail)),
        None => Some((name, false, tail)),
    }
}

impl Site for GitSite {
    fn answer(&self, mut request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let (name, ephemeral, tail) = split_path(&request.path)
            .ok_or_else(|| io::Error::other(format!("no route {}", request.path)))?;
        let mut command = git::command();
        command
            .args(["-c", "http.receivepack=true"])
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REQUEST_METHOD", &request.method)
            .env("PATH_INFO", format!("/{name}.git/{tail}"))
            .env("QUERY_STRING", &request.query);
        if ephemeral {
            command.env("GIT_NAMESPACE", "ephemeral");
        }
        if let Some(value) = request.header("content-type") {
            command.env("CONTENT_TYPE", value);
        }
        if let Some(value) = request.header("git-protocol").filter(|_| self.newest) {
            command.env("GIT_PROTOCOL", value);
        }
        let mut body = Vec::new();
        request.body.read_to_end(&mut body)?;
        let mut child = command
            .env("CONTENT_LENGTH", body.len().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut stdin = child.stdin.take().expect("it was piped");
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&body)));
        let output = child.wait_with_output()?;
        feeder.join().expect("the feeder does not panic");
        let response = output.stdout;
        let line = response.split(|byte| *byte == b'\r').next();
        let status = line
            .and_then(|line| line.strip_prefix(b"Status: "))
            .map_or("200 OK".into(), String::from_utf8_lossy);
        write!(out, "HTTP/1.1 {status}\r\nConnection: close\r\n")?;
        out.write_all(&response)
    }
}
