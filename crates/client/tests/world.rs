//! A store, a stock repository with a history, and every way to reach it.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use packhouse_client::remote::{Proxy, SshCommand, SshOptions};
use packhouse_client::{MirrorOptions, RemoteOptions};
use packhouse_repo::store::{Create, Store, StoreOptions};
use tempfile::TempDir;

use crate::git::{Git, command, init, init_bare};
use crate::responder::Responder;
use packhouse_testkit::git_site::GitSite;

use crate::sites::OurSite;

/// The ways to reach a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Path,
    FileUrl,
    /// `git http-backend` in version 2.
    Http,
    /// `git http-backend` without version 2.
    OldHttp,
    /// Our protocol code.
    OurHttp,
    Ssh,
    /// `ssh` that does not pass the version on.
    OldSsh,
    Daemon,
}

pub(crate) const WAYS: [Way; 8] = [
    Way::Path,
    Way::FileUrl,
    Way::Http,
    Way::OldHttp,
    Way::OurHttp,
    Way::Ssh,
    Way::OldSsh,
    Way::Daemon,
];

pub(crate) struct World {
    tmp: TempDir,
    servers: Vec<Responder>,
    daemon: Option<Child>,
}

impl World {
    pub(crate) fn new() -> World {
        World {
            tmp: TempDir::new().unwrap(),
            servers: Vec::new(),
            daemon: None,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    /// A new bare repository, `<name>.git`.
    pub(crate) fn bare(&self, name: &str) -> Git {
        init_bare(&self.path(&format!("{name}.git")))
    }

    /// A bare repository with two branches, two kinds of tags and notes.
    pub(crate) fn with_history(&self, name: &str) -> Git {
        let work = init(&self.path(&format!("{name}-work")));
        for number in 0..20 {
            work.commit_file(
                &format!("file-{}", number % 7),
                &format!("content {number}\n"),
            );
        }
        work.run(&["branch", "side", "HEAD~5"]);
        work.run(&["tag", "light", "HEAD~3"]);
        work.run(&["tag", "-a", "-m", "a tag", "heavy", "HEAD~2"]);
        work.run(&["notes", "add", "-m", "a note", "HEAD"]);
        work.run(&["clone", "-q", "--mirror", ".", &format!("../{name}.git")]);
        Git::at(self.path(&format!("{name}.git")))
    }

    /// The working copy that [`World::with_history`] began with.
    pub(crate) fn work(&self, name: &str) -> Git {
        Git::at(self.path(&format!("{name}-work")))
    }

    /// A new store without refs.
    pub(crate) fn store(&self, name: &str) -> Store {
        let options = StoreOptions {
            create: Create::New { branch: None },
            ..StoreOptions::default()
        };
        Store::open(self.path(name), options).unwrap()
    }

    /// Starts a server and keeps it.
    pub(crate) fn serve(&mut self, site: Arc<dyn crate::responder::Site>) -> String {
        let server = Responder::start(site);
        let url = server.url("");
        self.servers.push(server);
        url
    }

    /// The URL of `<name>.git` by one of the ways.
    pub(crate) fn url(&mut self, name: &str, way: Way) -> String {
        let root = self.tmp.path().to_owned();
        let path = root.join(format!("{name}.git"));
        let path = path.display();
        match way {
            Way::Path => path.to_string(),
            Way::FileUrl => format!("file://{path}"),
            Way::Http => format!("{}{name}.git", self.serve(GitSite::new(&root, true))),
            Way::OldHttp => format!("{}{name}.git/", self.serve(GitSite::new(&root, false))),
            Way::OurHttp => {
                let site = OurSite::new(&root.join(format!("{name}.git")));
                format!("{}{name}.git", self.serve(site))
            }
            Way::Ssh | Way::OldSsh => format!("ssh://git@localhost:2222{path}"),
            Way::Daemon => format!("git://127.0.0.1:{}/{name}.git", self.daemon()),
        }
    }

    /// A program in the place of `ssh` that runs the command here. It notes what it was called with.
    pub(crate) fn fake_ssh(&self, passes_version: bool) -> PathBuf {
        let path = self.path(if passes_version {
            "fake-ssh"
        } else {
            "fake-old-ssh"
        });
        let forget = match passes_version {
            true => "",
            false => "unset GIT_PROTOCOL",
        };
        let log = self.path("ssh-log");
        let script = format!(
            "#!/bin/sh\necho \"$@\" >> '{}'\n{forget}\nwhile :; do case $1 in -G) exit 0;; -o|-p) shift 2;; *) break;; esac; done\nshift\nexec sh -c \"$*\"\n",
            log.display()
        );
        write_program(&path, &script);
        path
    }

    pub(crate) fn ssh_log(&self) -> String {
        std::fs::read_to_string(self.path("ssh-log")).unwrap()
    }

    pub(crate) fn remote_options(&self, way: Way) -> RemoteOptions {
        RemoteOptions {
            proxy: Proxy::None,
            idle_timeout: Duration::from_secs(20),
            ssh: SshOptions {
                command: SshCommand::Program(self.fake_ssh(way != Way::OldSsh).into()),
                ..SshOptions::default()
            },
            ..RemoteOptions::default()
        }
    }

    pub(crate) fn options(&self, way: Way) -> MirrorOptions<'static> {
        MirrorOptions {
            remote: self.remote_options(way),
            ..MirrorOptions::default()
        }
    }

    fn daemon(&mut self) -> u16 {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = command()
            .args([
                "daemon",
                "--reuseaddr",
                "--export-all",
                "--enable=receive-pack",
            ])
            .args(["--listen=127.0.0.1", &format!("--port={port}")])
            .arg(format!("--base-path={}", self.tmp.path().display()))
            .arg(self.tmp.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.stop_daemon();
        self.daemon = Some(child);
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return port;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("git daemon does not listen");
    }

    fn stop_daemon(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            // `git` runs the daemon as a child of its own, which ends with this signal and not with a kill.
            let _ = std::process::Command::new("kill")
                .arg(daemon.id().to_string())
                .status();
            let _ = daemon.wait();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop_daemon();
        if std::thread::panicking() {
            // A failed comparison is looked into there.
            self.tmp.disable_cleanup(true);
        }
    }
}

/// Makes a program. Another process writes it: what other tests start meanwhile would inherit the open file, and a
/// file that anybody can write to is not run ("text file busy").
pub(crate) fn write_program(path: &Path, script: &str) {
    let mut child = std::process::Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(script.as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// The repository of a store, for `git`.
pub(crate) fn git_of(store: &Store) -> Git {
    Git::at(store.path())
}

/// Nothing is left of transfers.
pub(crate) fn assert_no_leftovers(store: &Store) {
    let left: Vec<_> = std::fs::read_dir(store.quarantine_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A bare clone of a repository that has its newest `depth` commits alone, at a path from there.
pub(crate) fn clone_shallow(source: &Git, depth: u32, to: &str) {
    let url = format!("file://{}", source.dir.display());
    let depth = format!("--depth={depth}");
    source.run(&["clone", "-q", "--bare", &depth, &url, to]);
}
