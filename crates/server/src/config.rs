//! What a server is started with. The command line reads files and the environment; nothing here does.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use packhouse_bucket::S3Options;
use packhouse_client::Egress;
use packhouse_object::ReceiveLimits;
use packhouse_repo::FoldLimits;

use crate::jobs::{JobOptions, Sweeping};
use crate::rate::Rate;
use crate::ssh::{SshConfig, SshLimits};
use crate::turns::TurnLimits;
use crate::upstream::UpstreamOptions;
use crate::webhooks::WebhookOptions;

/// Settings of one server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder for everything local: the embedded catalog and bucket, temporary files.
    pub data_dir: PathBuf,
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `sqlite:` path or `postgres:` URL.
    pub catalog_url: String,
    /// `file:` or `s3:` URL.
    pub bucket_url: String,
    /// Credentials and quirks of an S3 bucket.
    pub s3: S3Options,
    /// Folder for packs fetched from a remote bucket.
    pub cache_dir: PathBuf,
    /// Bytes that folder may hold.
    pub cache_bytes: u64,
    /// Certificate chain and key, both PEM; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// Scheme and host as clients see them, for URLs in answers; the request's `Host` if absent.
    pub public_base: Option<String>,
    /// Proxies that are believed where a request comes from (`X-Forwarded-For`, `Forwarded`).
    pub trusted_proxies: Vec<IpNet>,
    /// When a repository's tail is folded into a pack.
    pub fold: FoldLimits,
    /// How repositories elsewhere are followed.
    pub upstreams: UpstreamOptions,
    /// How work in the background is done.
    pub jobs: JobOptions,
    /// When deleted repositories and unlisted keys of the bucket go, and how.
    pub sweep: Sweeping,
    /// Where the server may connect to on behalf of its users.
    pub egress: Egress,
    /// How webhooks are delivered.
    pub webhooks: WebhookOptions,
    /// Git over SSH; none if absent.
    pub ssh: Option<SshConfig>,
    /// Bounds on what one client or all of them may take.
    pub limits: Limits,
}

/// Where the certificate is.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Certificate chain, PEM, leaf first.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

/// Bounds on memory, bytes and time. Everything a stranger sends meets one of these.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests that one organisation may make of this node; any number if absent.
    pub org_rate: Option<Rate>,
    /// Requests for one repository that this node takes; any number if absent.
    pub repo_rate: Option<Rate>,
    /// Connections at a time; more wait in the listen queue.
    pub connections: usize,
    /// Time for a TLS handshake.
    pub handshake: Duration,
    /// Time for the head of a request, and how long an idle connection is kept.
    pub header: Duration,
    /// Longest silence inside a request body.
    pub body_idle: Duration,
    /// Slowest sender that is waited for, in bytes per second, after a first `body_idle`.
    pub body_min_rate: u64,
    /// How long a client may take nothing of an answer that is waiting for it.
    pub write_idle: Duration,
    /// Largest JSON body.
    pub json_bytes: usize,
    /// Largest metadata line of a commit: about 400,000 files of a usual path length.
    pub metadata_bytes: usize,
    /// Bytes that all requests together may hold in lines longer than [`Limits::line_free_bytes`].
    pub line_pool_bytes: usize,
    /// Lines up to this length count against no pool.
    pub line_free_bytes: usize,
    /// Largest body of a commit.
    pub commit_bytes: u64,
    /// Bytes of file contents one commit may hold in memory; more goes to a pack file.
    pub commit_memory_bytes: usize,
    /// Bytes of file contents that all commits together may hold in memory beyond their first
    /// [`Limits::commit_free_bytes`]; a commit that finds none left goes to a pack file, too.
    pub commit_pool_bytes: usize,
    /// Contents up to this size count against no pool.
    pub commit_free_bytes: usize,
    /// Largest file that a push, a commit or an upstream may bring.
    pub file_bytes: u64,
    /// The most bytes that a repository may have; any number if absent.
    pub repo_bytes: Option<u64>,
    /// The most bytes that all repositories of an organisation may have together; any number if absent.
    pub org_bytes: Option<u64>,
    /// Largest pack of a push.
    pub push_bytes: u64,
    /// Largest diff of a commit; a large one is in a file while it is applied.
    pub diff_bytes: u64,
    /// Diffs that may be applied at a time. Each holds the file at hand in memory.
    pub patches: usize,
    /// Commits that may be writing pack files at a time.
    pub spools: usize,
    /// How long a request waits for its turn before it is told to come back.
    pub queue_wait: Duration,
    /// Requests of one organisation that may wait for turns of one kind.
    pub org_queue: usize,
    /// Requests that may wait for turns of one kind, of all organisations.
    pub queue: usize,
    /// Of the turns of a kind, how many in a hundred one organisation may have at a time: the rest is there for others at
    /// once.
    pub org_turns_percent: usize,
    /// The same for one repository.
    pub repo_turns_percent: usize,
    /// Bytes of a refused request's body that are read and thrown away so that the client sees the answer.
    pub drain_bytes: u64,
    /// Time such reading may take.
    pub drain_time: Duration,
    /// Refused bodies read away at a time; more are cut off.
    pub drains: usize,
    /// `git fetch` and `clone` answers under way at a time.
    pub fetches: usize,
    /// Diffs that are compared, and merges that are tried, at a time.
    pub diffs: usize,
    /// Merges, cherry-picks and reverts at a time. Most are done in a moment, so there are many turns.
    pub merges: usize,
    /// Bytes that the merged texts of one of them have at most; they are in memory.
    pub merged_bytes: u64,
    /// Archives under way at a time.
    pub archives: usize,
    /// `git push` requests under way at a time.
    pub pushes: usize,
    /// Events that are delivered once more at a time, because a person asked for it.
    pub redeliveries: usize,
    /// Event streams at a time.
    pub event_streams: usize,
    /// Largest fetch request, after decompression.
    pub fetch_request_bytes: u64,
    /// Commits looked at for the last one that touched a file, before the headers that name it are left out.
    pub last_commit_walk: usize,
    /// How long a list of last commits waits for the index of the history to be made.
    pub history_wait: Duration,
    /// Searches under way at a time.
    pub searches: usize,
    /// Time one search may take.
    pub search_time: Duration,
    /// Largest file that is searched, in bytes.
    pub search_file_bytes: u64,
    /// Bytes of memory for files that were searched.
    pub search_cache_bytes: u64,
    /// Whether notes may be kept in refs other than `refs/notes/commits`.
    pub custom_notes_refs: bool,
    /// Clients that come by SSH.
    pub ssh: SshLimits,
    /// How long requests in flight may go on after a shutdown was asked for.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            org_rate: None,
            repo_rate: None,
            connections: 10_000,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(60),
            body_idle: Duration::from_secs(120),
            body_min_rate: 1024,
            write_idle: Duration::from_secs(120),
            json_bytes: 1 << 20,
            metadata_bytes: 64 << 20,
            line_pool_bytes: 128 << 20,
            line_free_bytes: 64 << 10,
            commit_bytes: 64 << 30,
            commit_memory_bytes: 1 << 20,
            commit_pool_bytes: 64 << 20,
            commit_free_bytes: 16 << 10,
            file_bytes: 8 << 30,
            repo_bytes: None,
            org_bytes: None,
            push_bytes: 16 << 30,
            diff_bytes: 1 << 30,
            patches: 8,
            spools: 32,
            queue_wait: Duration::from_secs(20),
            org_queue: 128,
            queue: 4096,
            org_turns_percent: 75,
            repo_turns_percent: 50,
            drain_bytes: 8 << 30,
            drain_time: Duration::from_secs(30),
            drains: 256,
            fetches: 64,
            diffs: 32,
            merges: 128,
            merged_bytes: 32 << 20,
            archives: 32,
            pushes: 32,
            redeliveries: 32,
            event_streams: 1000,
            fetch_request_bytes: 64 << 20,
            last_commit_walk: 20_000,
            history_wait: Duration::from_secs(20),
            searches: 8,
            search_time: Duration::from_secs(30),
            search_file_bytes: 16 << 20,
            search_cache_bytes: 256 << 20,
            custom_notes_refs: true,
            ssh: SshLimits::default(),
            shutdown: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// Takes no request with more than `bytes`, whatever it is.
    pub fn set_request_bytes(&mut self, bytes: u64) {
        let most = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.json_bytes = self.json_bytes.min(most);
        self.metadata_bytes = self.metadata_bytes.min(most);
        self.commit_bytes = self.commit_bytes.min(bytes);
        self.diff_bytes = self.diff_bytes.min(bytes);
        self.push_bytes = self.push_bytes.min(bytes);
        self.fetch_request_bytes = self.fetch_request_bytes.min(bytes);
    }

    /// Bounds on work of one kind of which `all` may run at a time.
    pub(crate) fn turns(&self, all: usize) -> TurnLimits {
        let share = |percent: usize| (all * percent).div_ceil(100).clamp(1, all.max(1));
        TurnLimits {
            all,
            org: share(self.org_turns_percent),
            repo: share(self.repo_turns_percent),
            org_waiting: self.org_queue,
            waiting: self.queue,
            wait: self.queue_wait,
        }
    }

    /// The same where there are no organisations.
    pub(crate) fn turns_of_anyone(&self, all: usize) -> TurnLimits {
        TurnLimits {
            all,
            org: all,
            repo: all,
            org_waiting: self.queue,
            waiting: self.queue,
            wait: self.queue_wait,
        }
    }

    /// What these leave of `receive`, the limits of a pack from wherever.
    pub(crate) fn of_pack(&self, receive: ReceiveLimits) -> ReceiveLimits {
        ReceiveLimits {
            blob_bytes: receive.blob_bytes.min(self.file_bytes),
            ..receive
        }
    }
}

impl Config {
    /// The embedded server: SQLite and a local folder under `data_dir`, on a free loopback port.
    pub fn embedded(data_dir: &Path) -> Config {
        Config {
            data_dir: data_dir.to_owned(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            catalog_url: format!("sqlite:{}", data_dir.join("catalog.db").display()),
            bucket_url: format!("file://{}", data_dir.join("bucket").display()),
            s3: S3Options::default(),
            cache_dir: data_dir.join("cache"),
            cache_bytes: 10 << 30,
            tls: None,
            public_base: None,
            trusted_proxies: Vec::new(),
            fold: FoldLimits::default(),
            upstreams: UpstreamOptions::default(),
            jobs: JobOptions::default(),
            sweep: Sweeping::default(),
            egress: Egress::default(),
            webhooks: WebhookOptions::default(),
            ssh: None,
            limits: Limits::default(),
        }
    }
}
