//! What remotes do, and what is asked of them.

mod credentials;
mod failing;
mod large_files;
mod refs;
pub(crate) mod submodules;

use std::fs;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

use packhouse_testkit::git_site::GitSite;

use crate::git::{Git, init};
use crate::responder::{Request, Site};
use crate::world::World;

/// A site that notes what it is asked, by method, path and command.
pub(crate) struct Noting {
    inner: Arc<GitSite>,
    asked: Mutex<Vec<String>>,
}

impl Noting {
    pub(crate) fn new(world: &World) -> Arc<Noting> {
        Arc::new(Noting {
            inner: GitSite::new(&world.path(""), true),
            asked: Mutex::default(),
        })
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Site for Noting {
    fn answer(&self, mut request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let mut body = Vec::new();
        request.body.read_to_end(&mut body)?;
        let text = String::from_utf8_lossy(&body);
        let command = ["command=ls-refs", "command=fetch"]
            .into_iter()
            .find(|command| text.contains(command));
        let word = command.map_or("info/refs", |command| &command["command=".len()..]);
        self.asked.lock().unwrap().push(word.to_owned());
        request.body = Box::new(io::Cursor::new(body));
        self.inner.answer(request, out)
    }
}

/// Answers the batch API of LFS, and gives the content away.
pub(crate) struct WithLfs {
    inner: Arc<GitSite>,
    oid: String,
    content: &'static [u8],
    asked: Mutex<Vec<String>>,
}

impl WithLfs {
    pub(crate) fn new(world: &World, content: &'static [u8]) -> WithLfs {
        WithLfs {
            inner: GitSite::new(&world.path(""), true),
            oid: oid_of(content),
            content,
            asked: Mutex::default(),
        }
    }
}

impl Site for WithLfs {
    fn answer(&self, mut request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let host = request.header("host").unwrap_or_default().to_owned();
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
        if request.path.ends_with("/info/lfs/objects/batch") {
            let mut body = String::new();
            request.body.read_to_string(&mut body)?;
            self.asked.lock().unwrap().push(body);
            let oid = &self.oid;
            return write!(
                out,
                "{head}{{\"objects\":[{{\"oid\":\"{oid}\",\"actions\":{{\"download\":{{\"href\":\"http://{host}/content\",\"header\":{{\"X-Key\":\"k\"}}}}}}}}]}}"
            );
        }
        if request.path == "/content" {
            assert_eq!(request.header("x-key"), Some("k"));
            out.write_all(head.as_bytes())?;
            return out.write_all(self.content);
        }
        self.inner.answer(request, out)
    }
}

fn oid_of(content: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub(crate) fn with_pointers(world: &World, contents: &[&[u8]]) -> Git {
    let work = init(&world.path("work"));
    work.commit_file(
        ".gitattributes",
        "*.bin filter=lfs diff=lfs merge=lfs -text\n",
    );
    for (number, content) in contents.iter().enumerate() {
        let pointer = format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n",
            oid_of(content),
            content.len()
        );
        fs::write(work.dir.join(format!("{number}.bin")), pointer).unwrap();
    }
    let off = [
        "-c",
        "filter.lfs.clean=",
        "-c",
        "filter.lfs.process=",
        "-c",
        "filter.lfs.required=false",
    ];
    work.run(&[&off[..], &["add", "."]].concat());
    work.run(&[&off[..], &["commit", "-q", "-m", "pointers"]].concat());
    work.run(&["clone", "-q", "--bare", ".", "../big.git"]);
    work
}
