//! The installed `git` as a client.

use std::path::Path;
use std::process::Output;

use tokio::process::Command;

use super::{TestServer, Token};

/// Runs `git` in `folder`, away from the settings of the machine.
pub(crate) async fn git_output(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("git");
    command.current_dir(folder).args(args).kill_on_drop(true);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap());
    command
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C");
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "Gil")
            .env(format!("GIT_{who}_EMAIL"), "gil@example.com");
    }
    tokio::time::timeout(std::time::Duration::from_secs(120), command.output())
        .await
        .unwrap()
        .unwrap()
}

/// A working copy.
pub(crate) struct Checkout {
    pub(crate) folder: tempfile::TempDir,
}

impl Checkout {
    /// An empty repository on branch `main`.
    pub(crate) async fn init() -> Checkout {
        let checkout = Checkout {
            folder: tempfile::tempdir().unwrap(),
        };
        checkout.git(&["init", "-q", "-b", "main"]).await;
        checkout
    }

    pub(crate) async fn clone(url: &str, args: &[&str]) -> Checkout {
        let checkout = Checkout {
            folder: tempfile::tempdir().unwrap(),
        };
        let args = [&["clone", "-q"], args, &[url, "."]].concat();
        checkout.git(&args).await;
        checkout
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `git`, which has to succeed; returns what it printed.
    #[track_caller]
    pub(crate) fn git<'a>(&'a self, args: &'a [&'a str]) -> impl Future<Output = String> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let output = git_output(self.path(), args).await;
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{caller}: git {args:?}: {stderr}");
            String::from_utf8(output.stdout)
                .unwrap()
                .trim_end()
                .to_owned()
        }
    }

    /// As [`Checkout::git`], for arguments that are made on the way.
    pub(crate) async fn git_owned(&self, args: Vec<String>) -> String {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.git(&args).await
    }

    /// Runs `git`, which has to fail; returns what it complained.
    pub(crate) async fn git_fails(&self, args: &[&str]) -> String {
        let output = git_output(self.path(), args).await;
        assert!(!output.status.success(), "git {args:?} succeeded");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Writes a file and commits it.
    pub(crate) async fn commit(&self, path: &str, data: &[u8]) -> String {
        let file = self.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, data).unwrap();
        self.git(&["add", path]).await;
        self.git(&["commit", "-q", "-m", path]).await;
        self.git(&["rev-parse", "HEAD"]).await
    }
}

impl TestServer {
    /// A Git URL with credentials; `path` is what stands before `.git`.
    pub(crate) fn git_url(&self, path: &str, token: &Token) -> String {
        let base = self.url();
        let (scheme, host) = base.split_once("://").unwrap();
        format!("{scheme}://t:{}@{host}/{path}.git", token.text())
    }
}
