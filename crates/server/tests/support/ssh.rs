//! The installed `ssh` as a client.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use packhouse_catalog::NewSshKey;
use packhouse_server::auth::SshPublicKey;
use packhouse_server::{Config, SshConfig};
use tokio::process::{Child, Command};

use super::{Checkout, TestServer};

/// Has the server of `config` take SSH connections.
pub(crate) fn with_ssh(config: &mut Config) {
    config.ssh = Some(SshConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        host_key: None,
    });
}

/// Somebody with a key of their own.
pub(crate) struct SshUser {
    folder: tempfile::TempDir,
    pub(crate) public: SshPublicKey,
}

impl SshUser {
    pub(crate) async fn new() -> SshUser {
        SshUser::with_key("ed25519").await
    }

    /// With a key of another kind.
    pub(crate) async fn with_key(kind: &str) -> SshUser {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", kind, "-N", "", "-C", "someone", "-f"]);
        let made = keygen.arg(&key).output().await.unwrap();
        assert!(made.status.success(), "{made:?}");
        let text = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        let public = SshPublicKey::parse(&text).unwrap();
        // The fingerprint is the one that OpenSSH prints.
        let shown = Command::new("ssh-keygen")
            .arg("-lf")
            .arg(&key)
            .output()
            .await
            .unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert_eq!(shown.split(' ').nth(1), Some(public.fingerprint()));
        SshUser { folder, public }
    }

    /// What is registered for all repositories of an organisation.
    pub(crate) fn key(&self) -> NewSshKey {
        NewSshKey {
            fingerprint: self.public.fingerprint().to_owned(),
            public_key: self.public.line().to_owned(),
            user: Some("Sue".to_owned()),
            repo: None,
            scopes: "git:read git:write".to_owned(),
            expires_at_ms: None,
        }
    }

    /// Has `git` sign what it commits in a checkout.
    pub(crate) async fn sign_in(&self, checkout: &Checkout) {
        let key = self.path("key");
        for (name, value) in [
            ("gpg.format", "ssh"),
            ("commit.gpgSign", "true"),
            ("user.signingKey", key.to_str().unwrap()),
        ] {
            checkout.git(&["config", name, value]).await;
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The arguments of an `ssh` that knows the server by its host key and tries this one key.
    async fn arguments(&self, server: &TestServer) -> Vec<String> {
        let (address, _) = server.server.ssh().unwrap();
        let known = self.path("known_hosts");
        let host = host_key(server.folder.path()).await;
        let port = address.port();
        std::fs::write(&known, format!("[127.0.0.1]:{port} {host}")).unwrap();
        let option = |text: String| ["-o".to_owned(), text];
        let mut arguments = vec!["-F".to_owned(), "none".to_owned()];
        arguments.extend(option(format!(
            "IdentityFile={}",
            self.path("key").display()
        )));
        arguments.extend(option(format!("UserKnownHostsFile={}", known.display())));
        for text in [
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "StrictHostKeyChecking=yes",
            "BatchMode=yes",
            "LogLevel=INFO",
        ] {
            arguments.extend(option(text.to_owned()));
        }
        arguments.extend(["-p".to_owned(), port.to_string()]);
        arguments
    }

    /// The setting with which `git` comes as this user.
    pub(crate) async fn setting(&self, server: &TestServer) -> String {
        let ssh = self.arguments(server).await.join(" ");
        format!("core.sshCommand=ssh {ssh}")
    }

    /// Starts `ssh`, with pipes to all its ends.
    pub(crate) async fn spawn(&self, server: &TestServer, more: &[&str]) -> Child {
        let mut command = Command::new("ssh");
        command.args(self.arguments(server).await).args(more);
        for pipe in [Command::stdin, Command::stdout, Command::stderr] {
            pipe(&mut command, Stdio::piped());
        }
        command.kill_on_drop(true).spawn().unwrap()
    }

    /// Runs `ssh` to its end with nothing to read.
    pub(crate) async fn ssh(&self, server: &TestServer, more: &[&str]) -> Output {
        let mut child = self.spawn(server, more).await;
        drop(child.stdin.take());
        finish(child).await
    }

    /// Opens one connection for any number of commands, which [`SshUser::over`] runs.
    pub(crate) async fn connect(&self, server: &TestServer) -> Child {
        let socket = self.path("socket");
        let shared = format!("-S{}", socket.display());
        let master = self
            .spawn(server, &["-M", &shared, "-N", "git@127.0.0.1"])
            .await;
        while !socket.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        master
    }

    /// Runs a command over the connection that is open, with nothing to read.
    pub(crate) async fn over(&self, server: &TestServer, command: &str) -> Output {
        let shared = format!("-S{}", self.path("socket").display());
        self.ssh(server, &[&shared, "git@127.0.0.1", command]).await
    }

    /// A clone by SSH; `path` as in `acme/site.git`.
    pub(crate) async fn clone(&self, server: &TestServer, path: &str, args: &[&str]) -> Checkout {
        let setting = self.setting(server).await;
        Checkout::clone(&ssh_url(path), &[&["-c", &setting], args].concat()).await
    }

    /// What `git` complains of that cannot read `path`.
    pub(crate) async fn is_refused(&self, server: &TestServer, path: &str) -> String {
        let setting = self.setting(server).await;
        let checkout = Checkout::init().await;
        checkout
            .git_fails(&["-c", &setting, "ls-remote", &ssh_url(path)])
            .await
    }
}

/// Waits for the end of a client, which has to come.
pub(crate) async fn finish(child: Child) -> Output {
    let limit = std::time::Duration::from_secs(60);
    let output = tokio::time::timeout(limit, child.wait_with_output()).await;
    output.expect("ssh hangs").unwrap()
}

/// Bytes that do not deflate, always the same.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 56) as u8
    });
    next.take(len).collect()
}

pub(crate) fn ssh_url(path: &str) -> String {
    format!("git@127.0.0.1:{path}")
}

async fn host_key(data: &Path) -> String {
    let mut keygen = Command::new("ssh-keygen");
    keygen.arg("-yf").arg(data.join("ssh_host_ed25519_key"));
    let shown = keygen.output().await.unwrap();
    String::from_utf8(shown.stdout).unwrap()
}

impl TestServer {
    /// A server that takes SSH connections, with one repository, and somebody who may use all of its organisation's.
    pub(crate) async fn with_ssh(id: &str, set: impl FnOnce(&mut Config)) -> (TestServer, SshUser) {
        let server = TestServer::with(|config| {
            with_ssh(config);
            set(config);
        })
        .await;
        server.create(id).await;
        let user = SshUser::new().await;
        server.admit(user.key()).await;
        (server, user)
    }

    /// Registers a key with the organisation.
    pub(crate) async fn admit(&self, key: NewSshKey) {
        let catalog = self.server.hosted().catalog();
        assert!(catalog.add_ssh_key(self.org, key).await.unwrap());
    }

    /// A value of `/metrics`.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let url = format!("{}/metrics", self.url());
        let text = self
            .http
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().parse().unwrap())
    }

    /// Waits until a value of `/metrics` is what it should be.
    pub(crate) async fn until_metric(&self, name: &str, wanted: f64) {
        let limit = std::time::Duration::from_secs(30);
        let reached = tokio::time::timeout(limit, async {
            while self.metric(name).await != Some(wanted) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
        if reached.await.is_err() {
            panic!("{name} is {:?}", self.metric(name).await);
        }
    }
}
