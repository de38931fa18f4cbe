//! Just enough HTTP/1.1 to put a `git` client in front of a function: one request per connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use flate2::read::GzDecoder;

/// A request whose body is still to be read.
pub struct Request<'a> {
    /// Its method.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// What is behind the question mark.
    pub query: String,
    headers: Vec<(String, String)>,
    /// Decoded: neither chunked nor compressed.
    pub body: Box<dyn Read + Send + 'a>,
}

impl Request<'_> {
    /// The value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// What answers requests. It writes the whole response, status line first.
pub trait Site: Send + Sync + 'static {
    /// Answers `request`; an error hangs up.
    fn answer(&self, request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()>;
}

/// A listening responder; dropping it stops it.
pub struct Responder {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl Responder {
    /// Listens on a free port of the loopback interface.
    pub fn start(site: Arc<dyn Site>) -> Responder {
        Responder::start_at(Ipv4Addr::LOCALHOST, site)
    }

    /// Listens on a free port of an address of this machine.
    pub fn start_at(address: Ipv4Addr, site: Arc<dyn Site>) -> Responder {
        let listener = TcpListener::bind((address, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let listening = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let site = site.clone();
                std::thread::spawn(move || {
                    // A client that hangs up is part of some tests.
                    let _ = converse(&stream, site.as_ref());
                });
            }
        });
        Responder {
            address,
            stop,
            listening: Some(listening),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

fn converse(stream: &TcpStream, site: &dyn Site) -> io::Result<()> {
    let mut input = BufReader::new(stream.try_clone()?);
    let mut out = stream.try_clone()?;
    let mut line = String::new();
    input.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(());
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = read_headers(&mut input)?;
    let find = |name: &str| {
        headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    };
    if find("expect").is_some() {
        out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    {
        let chunked = find("transfer-encoding") == Some("chunked");
        let length = find("content-length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        let mut framed: Box<dyn Read + Send + '_> = match chunked {
            true => Box::new(Chunked {
                input: &mut input,
                left: 0,
                ended: false,
            }),
            false => Box::new((&mut input).take(length)),
        };
        let gzip = find("content-encoding") == Some("gzip");
        let body: Box<dyn Read + Send + '_> = match gzip {
            true => Box::new(GzDecoder::new(&mut framed)),
            false => Box::new(&mut framed),
        };
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.clone(),
            body,
        };
        site.answer(request, &mut out)?;
        // The client reads only when it has written everything.
        io::copy(&mut framed, &mut io::sink())?;
    }
    out.flush()?;
    stream.shutdown(std::net::Shutdown::Write)
}

fn read_headers(input: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((key, value)) => headers.push((key.to_owned(), value.trim().to_owned())),
            None => return Ok(headers),
        }
    }
}

struct Chunked<'a, R> {
    input: &'a mut R,
    left: usize,
    ended: bool,
}

impl<R: BufRead> Read for Chunked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        if self.left == 0 {
            let mut line = String::new();
            self.input.read_line(&mut line)?;
            self.left = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            if self.left == 0 {
                self.ended = true;
                self.input.read_line(&mut line)?;
                return Ok(0);
            }
        }
        let most = buffer.len().min(self.left);
        let read = self.input.read(&mut buffer[..most])?;
        self.left -= read;
        if self.left == 0 && read > 0 {
            self.input.read_exact(&mut [0; 2])?;
        }
        Ok(read)
    }
}
