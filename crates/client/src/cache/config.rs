//! How a cache is set up.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::credentials::CredentialSource;
use crate::remote::RemoteOptions;

/// How a cache is set up. Nothing of it is stored in the cache.
#[derive(Clone)]
pub struct CacheConfig {
    /// The folder of the cache. It is made if it is missing; entries are folders in it.
    pub root: PathBuf,
    /// How old a copy may get before its entry is [`Stale`](super::CacheStatus::Stale).
    pub timeout: Duration,
    /// The most bytes that the cache may take. Entries that were not used for longest make room, those in use never.
    pub max_bytes: u64,
    /// Settings of Git, by their names (`http.extraheader`, `user.name`). See [`GIT_SETTINGS`] for those that apply.
    pub git_config: BTreeMap<String, String>,
    /// Asked in this order for credentials of a URL, whenever a server wants some.
    pub credentials: Vec<Arc<dyn CredentialSource>>,
    /// How remotes are talked to. Its `credentials` are asked after those above.
    pub remote: RemoteOptions,
    /// Whether submodules are part of a copy, recursively.
    pub submodules: bool,
    /// Whether files of Git LFS are fetched where the remote has them; otherwise their pointers stay.
    pub lfs: bool,
    /// What copies of local directories leave out.
    pub ignore: IgnoreRules,
    /// How long a replaced working tree stays for those who still read it.
    pub grace: Duration,
}

/// What copies of local directories leave out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoreRules {
    /// Whether `.gitignore` files count; `None`: in working copies of Git, not in plain directories.
    pub gitignore: Option<bool>,
    /// More patterns, as in a `.gitignore` at the top.
    pub patterns: Vec<String>,
}

/// The settings of Git that apply, as [`CacheConfig::git_config`] has them.
///
/// - `http.extraheader`, and `http.<url>.extraheader` for URLs that begin so: sent with each request, and kept in
///   memory only;
/// - `http.proxy`, `http.sslcainfo` and `core.sshcommand`: how remotes are reached;
/// - `submodule.recurse`: whether submodules are part of a copy;
/// - those of `user`, `author`, `committer`, `pull` and `push`, `core.autocrlf` and `core.eol`: written to the configuration of
///   working trees.
///
/// All others do nothing, and [`Cache::unheeded_settings`](super::Cache::unheeded_settings) names them.
pub const GIT_SETTINGS: &[&str] = &[
    "http.extraheader",
    "http.*.extraheader",
    "http.proxy",
    "http.sslcainfo",
    "core.sshcommand",
    "core.autocrlf",
    "core.eol",
    "submodule.recurse",
    "user.*",
    "author.*",
    "committer.*",
    "pull.*",
    "push.*",
];

impl Default for CacheConfig {
    /// `./.metagit/.cache`, an hour, 10 GiB, submodules and LFS, ten minutes of grace.
    fn default() -> CacheConfig {
        CacheConfig {
            root: PathBuf::from("./.metagit/.cache"),
            timeout: Duration::from_secs(3600),
            max_bytes: 10 << 30,
            git_config: BTreeMap::new(),
            credentials: Vec::new(),
            remote: RemoteOptions::default(),
            submodules: true,
            lfs: true,
            ignore: IgnoreRules::default(),
            grace: Duration::from_secs(600),
        }
    }
}

impl CacheConfig {
    /// The defaults, in another folder.
    pub fn at(root: impl Into<PathBuf>) -> CacheConfig {
        CacheConfig {
            root: root.into(),
            ..CacheConfig::default()
        }
    }
}

impl fmt::Debug for CacheConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheConfig")
            .field("root", &self.root)
            .field("timeout", &self.timeout)
            .field("max_bytes", &self.max_bytes)
            // Values may be secrets.
            .field("git_config", &self.git_config.keys().collect::<Vec<_>>())
            .field("credentials", &self.credentials.len())
            .field("submodules", &self.submodules)
            .field("lfs", &self.lfs)
            .field("ignore", &self.ignore)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
