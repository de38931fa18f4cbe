//! Requests of protocol version 2 by a client that keeps nothing, so that a server is measured and not
//! `git index-pack`, nor how long a program takes to start.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use crate::Result;

/// The body of a request, to be sent as often as wanted.
#[derive(Clone)]
pub(crate) struct Request(Vec<u8>);

impl Request {
    /// A fetch of `want` by who has `haves`.
    pub(crate) fn fetch(want: &str, haves: &[&str]) -> Request {
        let mut arguments = vec!["thin-pack".into(), "ofs-delta".into()];
        arguments.push(format!("want {want}\n"));
        arguments.extend(haves.iter().map(|have| format!("have {have}\n")));
        arguments.push("done\n".into());
        Request::of("fetch", &arguments)
    }

    /// A list of all refs.
    pub(crate) fn list() -> Request {
        Request::of("ls-refs", &["peel\n".into(), "symrefs\n".into()])
    }

    fn of(command: &str, arguments: &[String]) -> Request {
        let mut body = Vec::new();
        let mut line = |text: &str| {
            body.extend_from_slice(format!("{:04x}{text}", text.len() + 4).as_bytes());
        };
        line(&format!("command={command}"));
        line("object-format=sha1");
        body.extend_from_slice(b"0001");
        for argument in arguments {
            body.extend_from_slice(format!("{:04x}{argument}", argument.len() + 4).as_bytes());
        }
        body.extend_from_slice(b"0000");
        Request(body)
    }

    /// Sends it to a repository and reads the answer, which must have at least `bytes`, to its end.
    pub(crate) fn send(&self, url: &str, bytes: u64) -> Result<()> {
        let rest = url.strip_prefix("http://").ok_or("a URL without http://")?;
        let (host, path) = rest.split_once('/').ok_or("a URL without a path")?;
        let (token, address) = match host.split_once('@') {
            Some((user, address)) => (user.strip_prefix("t:").unwrap_or(user), address),
            None => ("", host),
        };
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut request = format!(
            "POST /{path}/git-upload-pack HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nGit-Protocol: version=2\r\n\
             Content-Type: application/x-git-upload-pack-request\r\nContent-Length: {}\r\n",
            self.0.len()
        )
        .into_bytes();
        if !token.is_empty() {
            request.extend_from_slice(format!("Authorization: Bearer {token}\r\n").as_bytes());
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(&self.0);
        stream.write_all(&request)?;
        let mut piece = vec![0; 256 << 10];
        let (mut got, mut is_good) = (0u64, false);
        loop {
            let n = stream.read(&mut piece)?;
            if n == 0 {
                break;
            }
            if got == 0 {
                is_good = piece[..n].starts_with(b"HTTP/1.1 200 ");
            }
            got += n as u64;
        }
        match is_good && got >= bytes {
            true => Ok(()),
            false => Err(format!("an answer of {got} bytes where {bytes} were expected").into()),
        }
    }

    /// Sends it so many times at once.
    pub(crate) fn send_many(&self, times: usize, url: &str, bytes: u64) -> Result<()> {
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..times)
                .map(|_| scope.spawn(|| self.send(url, bytes)))
                .collect();
            all.into_iter()
                .try_for_each(|one| one.join().unwrap_or(Err("a client panicked".into())))
        })
    }
}

/// What a revision of a repository is.
pub(crate) fn rev_parse(repo: &Path, revision: &str) -> Result<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(repo)
        .args(["rev-parse", "--verify", revision])
        .output()?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?.trim().to_owned()),
        false => Err(format!("no revision {revision} in {}", repo.display()).into()),
    }
}
