//! Two repositories that are alike, one behind our programs and one behind git's.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use packhouse_programs::{Environment, Mode, ProgramCall, receive_pack, upload_pack};
use tempfile::TempDir;

use crate::git::{Git, Outcome, command, init, init_bare};

/// The two repositories by the names of their folders.
pub(crate) const BOTH: [&str; 2] = ["ours", "gits"];

/// The variables that both programs get.
pub(crate) fn variables() -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_COMMITTER_NAME", "Pusher"),
        ("GIT_COMMITTER_EMAIL", "pusher@example.com"),
        ("LC_ALL", "C"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    for name in ["PATH", "HOME"] {
        variables.extend(std::env::var(name).map(|value| (name.to_owned(), value)));
    }
    variables
}

/// The same for our programs, with more.
pub(crate) fn environment(more: &[(&str, &str)]) -> Environment {
    let more = more
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    variables()
        .into_iter()
        .chain(more)
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect()
}

/// A folder with two repositories, and `git://` doors to them.
pub(crate) struct World {
    tmp: TempDir,
    address: String,
    stop: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl World {
    /// With bare repositories.
    pub(crate) fn new() -> World {
        World::with(&[])
    }

    /// With bare repositories, or with working copies.
    pub(crate) fn bare_if(is_bare: bool) -> World {
        match is_bare {
            true => World::new(),
            false => World::new().with_working_copies(),
        }
    }

    /// With variables for the programs.
    pub(crate) fn with(more: &[(&str, &str)]) -> World {
        let tmp = TempDir::new().unwrap();
        for name in BOTH {
            init_bare(&tmp.path().join(name));
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopping, root) = (stop.clone(), tmp.path().to_owned());
        let more: Vec<(String, String)> = more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let listening = std::thread::spawn(move || {
            std::thread::scope(|scope| {
                for stream in listener.incoming() {
                    if stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    let (stream, root, more) = (stream.unwrap(), &root, &more);
                    scope.spawn(move || serve(stream, root, more));
                }
            });
        });
        World {
            tmp,
            address,
            stop,
            listening: Some(listening),
        }
    }

    /// Makes repositories with working copies in the place of the bare ones.
    pub(crate) fn with_working_copies(self) -> World {
        for name in BOTH {
            fs::remove_dir_all(self.path(name)).unwrap();
            init(&self.path(name));
        }
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    pub(crate) fn root(&self) -> Git {
        Git::at(self.tmp.path())
    }

    /// One of the two, from inside.
    pub(crate) fn inside(&self, name: &str) -> Git {
        Git::at(self.path(name))
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("git://{}/{name}", self.address)
    }

    /// Sets something in both.
    pub(crate) fn set(&self, name: &str, value: &str) {
        for repository in BOTH {
            self.inside(repository)
                .run(&["config", "--add", name, value]);
        }
    }

    /// Unsets something in both.
    pub(crate) fn unset(&self, name: &str) {
        for repository in BOTH {
            self.inside(repository)
                .run(&["config", "--unset-all", name]);
        }
    }

    /// Writes a hook into both, which finds the folder for what it notes in `$NOTES`.
    pub(crate) fn hook(&self, name: &str, script: &str) {
        self.hook_of(name, &|notes| {
            format!("#!/bin/sh\nNOTES={}\n{script}\n", notes.display())
        });
    }

    /// Writes a hook of exactly this text into both.
    pub(crate) fn program(&self, name: &str, text: &str) {
        self.hook_of(name, &|_| text.to_owned());
    }

    fn hook_of(&self, name: &str, text: &dyn Fn(&Path) -> String) {
        for repository in BOTH {
            let notes = self.path(&format!("{repository}.notes"));
            fs::create_dir_all(&notes).unwrap();
            let git_dir = self
                .inside(repository)
                .run(&["rev-parse", "--absolute-git-dir"]);
            let folder = Path::new(&git_dir).join("hooks");
            fs::create_dir_all(&folder).unwrap();
            let path = folder.join(name);
            fs::write(&path, text(&notes)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    /// What hooks of a repository have noted.
    pub(crate) fn notes(&self, repository: &str, name: &str) -> String {
        let path = self.path(&format!("{repository}.notes")).join(name);
        fs::read_to_string(path).unwrap_or_default()
    }

    /// A working copy with two commits on `main`, and one of them on `other`.
    pub(crate) fn work(&self) -> Git {
        let work = init(&self.path("work"));
        work.commit_file("a", "one\n");
        work.run(&["branch", "other"]);
        work.commit_file("a", "two\n");
        work
    }

    /// Runs a command of a client on both, where `URL` stands for each, and compares what it prints and what is there
    /// then.
    pub(crate) fn same(&self, work: &Git, args: &[&str]) -> (bool, Vec<String>, Vec<String>) {
        let [ours, gits] = BOTH.map(|name| {
            let url = self.url(name);
            told(&work.try_run(&with_url(args, &url)), &url)
        });
        assert_eq!(ours, gits, "{args:?}");
        let [ours_refs, gits_refs] = BOTH.map(|name| self.inside(name).refs());
        assert_eq!(ours_refs, gits_refs, "{args:?}");
        self.inside("ours").fsck();
        ours
    }

    /// Pushes with the words that scripts read.
    pub(crate) fn push(&self, work: &Git, args: &[&str]) -> (bool, Vec<String>, Vec<String>) {
        self.same(work, &[&["push", "--porcelain"][..], args].concat())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

/// The words of a command, with this URL where `URL` stands.
pub(crate) fn with_url<'a>(args: &[&'a str], url: &'a str) -> Vec<&'a str> {
    let args = args.iter().map(|arg| match *arg {
        "URL" => url,
        arg => arg,
    });
    args.collect()
}

/// What a client printed, without progress, hints and what names the server.
pub(crate) fn told(outcome: &Outcome, url: &str) -> (bool, Vec<String>, Vec<String>) {
    // Git's own server ends some of its words with a NUL.
    let plain = |line: &str| line.trim_end_matches('\0').trim_end().replace(url, "URL");
    let stdout = outcome.stdout.lines().map(plain).collect();
    let stderr = outcome
        .stderr
        .split(['\n', '\r'])
        .map(plain)
        .filter(|line| !line.is_empty() && line != "remote:")
        .filter(|line| {
            ![
                "objects: ",
                "deltas: ",
                "Delta compression",
                "Total ",
                "hint: ",
            ]
            .iter()
            .any(|part| line.contains(part))
        })
        .collect();
    (outcome.ok, stdout, stderr)
}

/// One connection: the line that names program and repository, then the program, ours or git's by the repository's name.
fn serve(stream: TcpStream, root: &Path, more: &[(String, String)]) {
    let mut input = stream.try_clone().unwrap();
    let mut digits = [0; 4];
    if input.read_exact(&mut digits).is_err() {
        return;
    }
    let length = usize::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap();
    let mut line = vec![0; length - 4];
    input.read_exact(&mut line).unwrap();
    let line = String::from_utf8(line).unwrap();
    let mut parts = line.split('\0');
    let (program, name) = parts.next().unwrap().split_once(" /").unwrap();
    let version = parts
        .find(|part| part.starts_with("version="))
        .unwrap_or("");
    let mut more: Vec<(&str, &str)> = more
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    more.push(("GIT_PROTOCOL", version));
    let dir = root.join(name);
    if name.starts_with("gits") {
        let socket = || Stdio::from(OwnedFd::from(stream.try_clone().unwrap()));
        let _ = command()
            .args([program.strip_prefix("git-").unwrap()])
            .arg(&dir)
            .envs(variables())
            .envs(more.iter().copied())
            .stdin(socket())
            .stdout(socket())
            .stderr(Stdio::null())
            .status();
    } else {
        let call = ProgramCall {
            dir,
            strict: false,
            timeout: None,
            quiet: false,
            mode: Mode::Connection,
        };
        let environment = environment(&more);
        let mut out = stream.try_clone().unwrap();
        let input = Box::new(input.try_clone().unwrap());
        // What goes wrong the client is told, and the test sees.
        let _ = match program {
            "git-upload-pack" => upload_pack(&call, &environment, input, &mut out),
            _ => receive_pack(&call, &environment, input, &mut out),
        };
    }
    let _ = stream.shutdown(std::net::Shutdown::Write);
    // Closing with input left unread would take back what was written.
    let _ = std::io::copy(&mut input, &mut std::io::sink());
}
