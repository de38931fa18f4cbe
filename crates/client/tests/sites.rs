//! Our protocol code as a site, and ways to make a site difficult.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use packhouse_object::{ReceiveLimits, RefName};
use packhouse_repo::{Namespace, RefChange, RefPolicy, Repository, directory};
use packhouse_wire::repository::{PushTarget, sink_of, source_of};
use packhouse_wire::{
    FetchOptions, ReceiveOptions, Service, Version, advertise, receive_pack, upload_pack,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::runtime::Runtime;

use crate::responder::{Request, Site};

fn service_of(query: &str) -> Service {
    Service::parse(query.strip_prefix("service=").unwrap()).unwrap()
}

struct Anything;

impl RefPolicy for Anything {
    fn allows(&self, _: &RefName, _: RefChange) -> Result<(), String> {
        Ok(())
    }
}

/// Our protocol code over one bare repository.
pub(crate) struct OurSite {
    runtime: Runtime,
    repository: Repository,
}

impl OurSite {
    pub(crate) fn new(dir: &Path) -> Arc<OurSite> {
        let options = directory::DirectoryOptions::default();
        Arc::new(OurSite {
            runtime: Runtime::new().unwrap(),
            repository: directory::open(dir, options).unwrap(),
        })
    }
}

impl Site for OurSite {
    fn answer(&self, mut request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let tail = request.path.split_once(".git/").unwrap().1.to_owned();
        let kind = match tail.as_str() {
            "info/refs" => format!("{}-advertisement", service_of(&request.query).as_str()),
            service => format!("{service}-result"),
        };
        write!(
            out,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/x-{kind}\r\n\r\n"
        )?;
        let version = Version::from_header(request.header("git-protocol"));
        let view = self.runtime.block_on(self.repository.view()).unwrap();
        let source = source_of(view.clone(), Namespace::Default);
        let answered = match tail.as_str() {
            "info/refs" => advertise(service_of(&request.query), version, &source, out),
            "git-upload-pack" => {
                let options = FetchOptions::default();
                upload_pack(version, &mut request.body, &source, out, &options)
            }
            _ => {
                let target = PushTarget {
                    repository: self.repository.clone(),
                    namespace: Namespace::Default,
                    policy: Arc::new(Anything),
                    who: "tester".to_owned(),
                    limits: ReceiveLimits::default(),
                };
                let mut sink = sink_of(target, view, self.runtime.handle().clone());
                let options = ReceiveOptions::default();
                receive_pack(&mut request.body, &mut sink, out, &options).map(drop)
            }
        };
        answered.map_err(io::Error::other)
    }
}

/// A site behind a password.
pub(crate) struct Locked {
    pub(crate) inner: Arc<dyn Site>,
    /// The value of `Authorization` that opens it.
    pub(crate) key: String,
    /// What was tried, in order.
    pub(crate) tried: Mutex<Vec<Option<String>>>,
}

impl Site for Locked {
    fn answer(&self, request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let key = request.header("authorization").map(str::to_owned);
        let opens = key.as_deref() == Some(self.key.as_str());
        self.tried.lock().unwrap().push(key);
        match opens {
            true => self.inner.answer(request, out),
            false => out.write_all(
                b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\n",
            ),
        }
    }
}

/// A site that always answers the same.
pub(crate) struct Fixed(pub(crate) String);

impl Site for Fixed {
    fn answer(&self, _: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        out.write_all(self.0.as_bytes())
    }
}

/// HTTPS in front of a responder.
pub(crate) struct TlsFront {
    pub(crate) port: u16,
    _runtime: Runtime,
}

impl TlsFront {
    pub(crate) fn start(behind: std::net::SocketAddr) -> TlsFront {
        let runtime = Runtime::new().unwrap();
        let (certificate, key) = (tls_file("cert"), tls_file("key"));
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(&certificate).unwrap()],
            PrivateKeyDer::from_pem_slice(&key).unwrap(),
        )
        .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(async move {
            loop {
                let (outside, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut outside) = acceptor.accept(outside).await else {
                        return;
                    };
                    let mut inside = tokio::net::TcpStream::connect(behind).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        TlsFront {
            port,
            _runtime: runtime,
        }
    }
}

/// The certificate, or its key, that the server's tests have for `localhost`.
pub(crate) fn tls_file(kind: &str) -> Vec<u8> {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/keys");
    std::fs::read(keys.join(format!("tls.{kind}.pem"))).unwrap()
}

/// A site whose answers stop after so many bytes.
pub(crate) struct Cut {
    pub(crate) inner: Arc<dyn Site>,
    pub(crate) left: AtomicU64,
    /// Answers to these requests, counted from the first, are whole.
    pub(crate) whole: usize,
    pub(crate) requests: AtomicUsize,
}

impl Cut {
    pub(crate) fn after(inner: Arc<dyn Site>, whole: usize, bytes: u64) -> Arc<Cut> {
        Arc::new(Cut {
            inner,
            left: AtomicU64::new(bytes),
            whole,
            requests: AtomicUsize::new(0),
        })
    }
}

impl Site for Cut {
    fn answer(&self, request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        if self.requests.fetch_add(1, Ordering::SeqCst) < self.whole {
            return self.inner.answer(request, out);
        }
        self.inner
            .answer(request, &mut CutWriter { cut: self, out })
    }
}

struct CutWriter<'a> {
    cut: &'a Cut,
    out: &'a mut (dyn Write + Send),
}

impl Write for CutWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.cut.left.load(Ordering::SeqCst);
        if left == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let most = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let written = self.out.write(&bytes[..most])?;
        self.cut.left.fetch_sub(written as u64, Ordering::SeqCst);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
