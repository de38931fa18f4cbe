//! Options that several commands share.

use std::ffi::OsString;

use clap::Args;

/// `-b`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct BranchFlag {
    /// Branch [default: the repository's current branch]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) branch: Option<String>,
}

/// Which commit to read.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SnapshotFlags {
    /// Branch, tag or commit to read
    #[arg(id = "ref", long = "ref", value_name = "REF")]
    pub(crate) name: Option<String>,
    /// The newest commit that changed this path
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<OsString>,
    /// The newest commit whose message matches this pattern (`*`, `?`)
    #[arg(long = "match", value_name = "PATTERN")]
    pub(crate) matching: Option<String>,
    /// The newest commit at or before this time (ISO 8601; a date means its end, UTC)
    #[arg(long, value_name = "TIME")]
    pub(crate) before: Option<String>,
    /// Then walk back this many commits
    #[arg(long, value_name = "N")]
    pub(crate) back: Option<u64>,
}

impl SnapshotFlags {
    /// Whether a commit is looked for in the history of a ref.
    pub(crate) fn filters(&self) -> bool {
        self.path.is_some()
            || self.matching.is_some()
            || self.before.is_some()
            || self.back.is_some_and(|back| back > 0)
    }

    /// Whether anything says which commit to read.
    pub(crate) fn any(&self) -> bool {
        self.name.is_some() || self.filters()
    }
}

/// `-m`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct MessageFlag {
    /// Commit message; may hold {default}, {add_count}, {update_count}, {delete_count}, {total_count} and {op}
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
}

/// `--tag`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TagFlags {
    /// Make this tag at the new commit
    #[arg(long, value_name = "NAME")]
    pub(crate) tag: Option<String>,
    /// Replace the tag if it exists
    #[arg(long, requires = "tag")]
    pub(crate) force_tag: bool,
}

/// `--parent`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ParentFlags {
    /// Record this branch, tag or commit as a further parent, without merging it (repeatable)
    #[arg(long = "parent", value_name = "REF")]
    pub(crate) parents: Vec<String>,
}

/// `-n`.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct DryRunFlag {
    /// Show what would change and change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// `--no-create`.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct CreateFlag {
    /// Fail if the repository does not exist, instead of making it
    #[arg(long)]
    pub(crate) no_create: bool,
}

/// `--no-glob`.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct GlobFlag {
    /// Take `*` and `?` in paths as they are
    #[arg(long)]
    pub(crate) no_glob: bool,
}
