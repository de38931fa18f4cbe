//! Options that several commands share.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use packhouse_repo::ref_text;
use packhouse_repo::store::ExcludeFilter;

use super::failure::Failure;

/// Takes the name of a ref, whatever bytes it has, as [`ref_text`] has it.
pub(crate) fn ref_value() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().map(|name| ref_text(name.as_bytes()))
}

/// `-b`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct BranchFlag {
    /// Branch [default: the repository's current branch]
    #[arg(short, long, value_name = "NAME", value_parser = ref_value())]
    pub(crate) branch: Option<String>,
}

/// Which commit to read.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SnapshotFlags {
    /// Branch, tag or commit to read
    #[arg(id = "ref", long = "ref", value_name = "REF", value_parser = ref_value())]
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

/// What is said of the commit that a command makes: `-m`, `--tag` and `--parent`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct CommitFlags {
    /// Commit message; may hold {default}, {add_count}, {update_count}, {delete_count}, {total_count} and {op}
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    #[command(flatten)]
    pub(crate) tag: TagFlags,
    /// Record this branch, tag or commit as a further parent, without merging it (repeatable)
    #[arg(long = "parent", value_name = "REF")]
    pub(crate) parents: Vec<OsString>,
}

impl CommitFlags {
    /// Which of them is given, if any is.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [
            (self.tag.tag.is_some(), "--tag"),
            (self.message.is_some(), "-m"),
            (!self.parents.is_empty(), "--parent"),
        ];
        given
            .iter()
            .find(|(given, _)| *given)
            .map(|(_, flag)| *flag)
    }
}

/// `--tag`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TagFlags {
    /// Make this tag at the new commit
    #[arg(long, value_name = "NAME", value_parser = ref_value())]
    pub(crate) tag: Option<String>,
    /// Replace the tag if it exists
    #[arg(long, requires = "tag")]
    pub(crate) force_tag: bool,
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

/// What is left out of a copy from disk.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ExcludeFlags {
    /// Leave out what matches (gitignore syntax, repeatable)
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<OsString>,
    /// Leave out what matches a line of this file
    #[arg(long, value_name = "FILE")]
    exclude_from: Option<PathBuf>,
    /// Keep files at the destination that are left out, where others are deleted
    #[arg(long)]
    pub(crate) keep_excluded: bool,
}

impl ExcludeFlags {
    /// Whether anything is left out.
    pub(crate) fn any(&self) -> bool {
        !self.exclude.is_empty() || self.exclude_from.is_some()
    }

    /// The filter that is asked for, if one is.
    ///
    /// # Errors
    ///
    /// A pattern makes no sense, or the file cannot be read.
    pub(crate) fn filter(&self, gitignore: bool) -> Result<Option<ExcludeFilter>, Failure> {
        let patterns = self.exclude.iter().map(|pattern| pattern.as_bytes());
        let filter = ExcludeFilter::new(patterns, self.exclude_from.as_deref(), gitignore)?;
        Ok(filter.active().then_some(filter))
    }
}

/// What `mv` and `rm` take besides paths.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RearrangeFlags {
    /// Folders with everything in them
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) glob: GlobFlag,
    #[command(flatten)]
    pub(crate) branch: BranchFlag,
    #[command(flatten)]
    pub(crate) dry_run: DryRunFlag,
    #[command(flatten)]
    pub(crate) commit: CommitFlags,
}

/// The name of a branch or tag.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RefName {
    /// The branch or tag
    #[arg(value_parser = ref_value())]
    pub(crate) name: String,
}

/// What a new branch or tag is, and where.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct NewRef {
    /// What to call it
    #[arg(value_parser = ref_value())]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) source: BranchFlag,
    #[command(flatten)]
    pub(crate) snapshot: SnapshotFlags,
    /// Move it if it exists
    #[arg(short, long)]
    pub(crate) force: bool,
}
