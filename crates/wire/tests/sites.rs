//! The two servers that tests compare: ours, and git's.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use packhouse_object::{ReceiveLimits, RefName};
use packhouse_repo::{Namespace, RefChange, RefPolicy, Repository};
use packhouse_wire::repository::{PushTarget, sink_of, source_of};
use packhouse_wire::{
    FetchOptions, ReceiveOptions, Service, Version, WireError, advertise, receive_pack, upload_pack,
};
use tokio::runtime::Handle;

use crate::git;
use crate::responder::{Request, Site};

/// Splits `/name.git/tail` and `/name+ephemeral.git/tail`.
fn route(path: &str) -> Option<(&str, bool, &str)> {
    let (name, tail) = path.strip_prefix('/')?.split_once(".git/")?;
    match name.strip_suffix("+ephemeral") {
        Some(name) => Some((name, true, tail)),
        None => Some((name, false, tail)),
    }
}

/// Everybody may do everything, except that nobody deletes `refs/heads/kept`.
pub(crate) struct TestPolicy;

impl RefPolicy for TestPolicy {
    fn allows(&self, name: &RefName, change: RefChange) -> Result<(), String> {
        match change {
            RefChange::Delete if name.as_bytes() == b"refs/heads/kept" => {
                Err("this branch is kept".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// Our protocol code over repositories.
pub(crate) struct OurSite {
    runtime: Handle,
    repositories: BTreeMap<String, Repository>,
    /// What the functions under test returned, newest last.
    pub(crate) errors: Mutex<Vec<WireError>>,
}

impl OurSite {
    pub(crate) fn new(runtime: Handle, repositories: BTreeMap<String, Repository>) -> Arc<OurSite> {
        Arc::new(OurSite {
            runtime,
            repositories,
            errors: Mutex::default(),
        })
    }

    fn serve(
        &self,
        repository: &Repository,
        namespace: Namespace,
        tail: &str,
        request: &mut Request<'_>,
        out: &mut (dyn Write + Send),
    ) -> Result<(), WireError> {
        let version = Version::from_header(request.header("git-protocol"));
        let view = self.runtime.block_on(repository.view()).unwrap();
        let source = source_of(view.clone(), namespace);
        match tail {
            "info/refs" => {
                let service =
                    Service::parse(request.query.strip_prefix("service=").unwrap()).unwrap();
                advertise(service, version, &source, out)
            }
            "git-upload-pack" => upload_pack(
                version,
                &mut request.body,
                &source,
                out,
                &FetchOptions::default(),
            ),
            "git-receive-pack" => {
                let target = PushTarget {
                    repository: repository.clone(),
                    namespace,
                    policy: Arc::new(TestPolicy),
                    who: "tester".to_owned(),
                    limits: ReceiveLimits::default(),
                };
                let mut sink = sink_of(target, view, self.runtime.clone());
                receive_pack(
                    &mut request.body,
                    &mut sink,
                    out,
                    &ReceiveOptions::default(),
                )
                .map(drop)
            }
            other => panic!("no route {other}"),
        }
    }
}

impl Site for OurSite {
    fn answer(&self, mut request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let path = request.path.clone();
        let Some((repository, ephemeral, tail)) =
            route(&path).and_then(|(name, ephemeral, tail)| {
                Some((self.repositories.get(name)?, ephemeral, tail))
            })
        else {
            return out.write_all(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n");
        };
        let content_type = match tail {
            "info/refs" => format!(
                "application/x-{}-advertisement",
                request.query.strip_prefix("service=").unwrap_or("")
            ),
            service => format!("application/x-{service}-result"),
        };
        write!(
            out,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {content_type}\r\n\r\n"
        )?;
        let namespace = if ephemeral {
            Namespace::Ephemeral
        } else {
            Namespace::Default
        };
        if let Err(error) = self.serve(repository, namespace, tail, &mut request, out) {
            self.errors.lock().unwrap().push(error);
        }
        Ok(())
    }
}

/// `git http-backend` over the bare repositories in a folder.
pub(crate) struct GitSite {
    root: PathBuf,
}

impl GitSite {
    pub(crate) fn new(root: &Path) -> Arc<GitSite> {
        Arc::new(GitSite {
            root: root.to_owned(),
        })
    }
}

impl Site for GitSite {
    fn answer(&self, mut request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let path = request.path.clone();
        let (name, ephemeral, tail) = route(&path).unwrap();
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
        for (variable, header) in [
            ("CONTENT_TYPE", "content-type"),
            ("GIT_PROTOCOL", "git-protocol"),
        ] {
            if let Some(value) = request.header(header) {
                command.env(variable, value);
            }
        }
        let mut body = Vec::new();
        request.body.read_to_end(&mut body)?;
        let mut child = command
            .env("CONTENT_LENGTH", body.len().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut stdin = child.stdin.take().unwrap();
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&body)));
        let output = child.wait_with_output()?;
        feeder.join().unwrap();
        let response = output.stdout;
        let status = match response.strip_prefix(b"Status: ") {
            Some(rest) => {
                String::from_utf8_lossy(rest.split(|byte| *byte == b'\r').next().unwrap())
                    .into_owned()
            }
            None => "200 OK".to_owned(),
        };
        write!(out, "HTTP/1.1 {status}\r\nConnection: close\r\n")?;
        out.write_all(&response)
    }
}
