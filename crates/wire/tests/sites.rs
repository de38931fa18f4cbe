//! Our protocol code as a site, which tests compare with git's own server.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use packhouse_object::{ReceiveLimits, RefName};
use packhouse_repo::{Namespace, RefChange, RefPolicy, Repository};
use packhouse_wire::repository::{PushTarget, sink_of, source_of};
use packhouse_wire::{
    FetchOptions, ReceiveOptions, Service, Version, WireError, advertise, advertise_upload_pack,
    receive_pack, upload_pack,
};
use tokio::runtime::Handle;

use packhouse_testkit::git_site::split_path;

use crate::responder::{Request, Site};

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
    repositories: Mutex<BTreeMap<String, Repository>>,
    /// What fetches are offered.
    pub(crate) options: Mutex<FetchOptions>,
    /// What the functions under test returned, newest last.
    pub(crate) errors: Mutex<Vec<WireError>>,
}

impl OurSite {
    pub(crate) fn new(runtime: Handle, repositories: BTreeMap<String, Repository>) -> Arc<OurSite> {
        Arc::new(OurSite {
            runtime,
            repositories: Mutex::new(repositories),
            options: Mutex::default(),
            errors: Mutex::default(),
        })
    }

    /// Serves another repository, too.
    pub(crate) fn add(&self, name: &str, repository: Repository) {
        let mut repositories = self.repositories.lock().unwrap();
        repositories.insert(name.to_owned(), repository);
    }

    /// One of the repositories.
    pub(crate) fn repository(&self, name: &str) -> Repository {
        self.repositories.lock().unwrap()[name].clone()
    }

    /// What publishing runs on.
    pub(crate) fn runtime(&self) -> Handle {
        self.runtime.clone()
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
                match service {
                    Service::UploadPack => {
                        let options = self.options.lock().unwrap().clone();
                        advertise_upload_pack(version, &source, &options, out)
                    }
                    service => advertise(service, version, &source, out),
                }
            }
            "git-upload-pack" => {
                let options = self.options.lock().unwrap().clone();
                upload_pack(version, &mut request.body, &source, out, &options)
            }
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
            split_path(&path).and_then(|(name, ephemeral, tail)| {
                let repositories = self.repositories.lock().unwrap();
                Some((repositories.get(name)?.clone(), ephemeral, tail))
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
        if let Err(error) = self.serve(&repository, namespace, tail, &mut request, out) {
            self.errors.lock().unwrap().push(error);
        }
        Ok(())
    }
}
