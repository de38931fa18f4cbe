//! What the commands of a cache show.

use std::io::{self, Write};

use packhouse_client::cache::{Checkout, Details, Entry, Stats};
use serde::Serialize;

use crate::ui::human_bytes;

/// An entry in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    name: &'a str,
    source_url: &'a str,
    cache_type: &'static str,
    cache_path: String,
    created_at: String,
    last_updated: String,
    last_accessed: String,
    size_bytes: Option<u64>,
    status: &'static str,
    error_message: Option<&'a str>,
    notes: &'a [String],
    local_commit_hash: Option<&'a str>,
    local_branch: Option<&'a str>,
    remote_commit_hash: Option<&'a str>,
    remote_branch: Option<&'a str>,
    has_upstream_changes: Option<bool>,
    upstream_changes_summary: Option<&'a str>,
    last_diff_check: Option<String>,
}

impl Shown<'_> {
    pub(super) fn of(entry: &Entry) -> Shown<'_> {
        Shown {
            name: &entry.name,
            source_url: &entry.source_url,
            cache_type: entry.cache_type.as_str(),
            cache_path: entry.cache_path.display().to_string(),
            created_at: entry.created_at.to_string(),
            last_updated: entry.last_updated.to_string(),
            last_accessed: entry.last_accessed.to_string(),
            size_bytes: entry.size_bytes,
            status: entry.status.as_str(),
            error_message: entry.error_message.as_deref(),
            notes: &entry.notes,
            local_commit_hash: entry.local_commit_hash.as_deref(),
            local_branch: entry.local_branch.as_deref(),
            remote_commit_hash: entry.remote_commit_hash.as_deref(),
            remote_branch: entry.remote_branch.as_deref(),
            has_upstream_changes: entry.has_upstream_changes,
            upstream_changes_summary: entry.upstream_changes_summary.as_deref(),
            last_diff_check: entry.last_diff_check.map(|at| at.to_string()),
        }
    }

    fn commit(&self) -> &str {
        let commit = self.local_commit_hash.unwrap_or("-");
        &commit[..commit.len().min(10)]
    }
}

/// All entries.
#[derive(Debug, Serialize)]
pub(super) struct Listed<'a> {
    entries: Vec<Shown<'a>>,
}

impl Listed<'_> {
    pub(super) fn of(entries: &[Entry]) -> Listed<'_> {
        Listed {
            entries: entries.iter().map(Shown::of).collect(),
        }
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let width = self.entries.iter().map(|entry| entry.name.len()).max();
        for entry in &self.entries {
            writeln!(
                out,
                "{:width$}  {:7}  {:10}  {}",
                entry.name,
                entry.status,
                entry.commit(),
                entry.source_url,
                width = width.unwrap_or(0)
            )?;
        }
        Ok(())
    }
}

/// A cache in numbers.
#[derive(Debug, Serialize)]
pub(super) struct Numbers {
    pub(super) total_entries: u64,
    git_entries: u64,
    local_entries: u64,
    pub(super) fresh_entries: u64,
    pub(super) stale_entries: u64,
    pub(super) missing_entries: u64,
    pub(super) error_entries: u64,
    pub(super) total_size_bytes: u64,
    pub(super) max_size_bytes: u64,
    cache_full: bool,
}

impl Numbers {
    pub(super) fn of(stats: &Stats) -> Numbers {
        Numbers {
            total_entries: stats.total_entries,
            git_entries: stats.git_entries,
            local_entries: stats.local_entries,
            fresh_entries: stats.fresh_entries,
            stale_entries: stats.stale_entries,
            missing_entries: stats.missing_entries,
            error_entries: stats.error_entries,
            total_size_bytes: stats.total_size_bytes,
            max_size_bytes: stats.max_size_bytes,
            cache_full: stats.is_full(),
        }
    }
}

/// A checkout in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Made<'a> {
    id: &'a str,
    entry: &'a str,
    path: String,
    commit: &'a str,
    created_at: String,
    notes: &'a [String],
}

impl Made<'_> {
    pub(super) fn of(made: &Checkout) -> Made<'_> {
        Made {
            id: &made.id,
            entry: &made.entry,
            path: made.path.display().to_string(),
            commit: &made.commit,
            created_at: made.created_at.to_string(),
            notes: &made.notes,
        }
    }
}

/// An entry with what its remote says.
#[derive(Debug, Serialize)]
pub(super) struct Detailed<'a> {
    #[serde(flatten)]
    entry: Shown<'a>,
    exists: bool,
    is_stale: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<Current<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff_check_error: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Current<'a> {
    remote_commit_hash: Option<&'a str>,
    remote_branch: Option<&'a str>,
    has_changes: bool,
    summary: Option<&'a str>,
    checked_at: String,
}

impl Detailed<'_> {
    pub(super) fn of(details: &Details) -> Detailed<'_> {
        let current = match &details.current {
            Some(Ok(upstream)) => Some(Current {
                remote_commit_hash: upstream.remote_commit_hash.as_deref(),
                remote_branch: upstream.remote_branch.as_deref(),
                has_changes: upstream.has_changes,
                summary: upstream.summary.as_deref(),
                checked_at: upstream.checked_at.to_string(),
            }),
            _ => None,
        };
        let diff_check_error = match &details.current {
            Some(Err(error)) => Some(error.as_str()),
            _ => None,
        };
        Detailed {
            entry: Shown::of(&details.entry),
            exists: details.exists,
            is_stale: details.is_stale,
            current,
            diff_check_error,
        }
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let entry = &self.entry;
        let mut line = |name: &str, value: &str| writeln!(out, "{name:9} {value}");
        line("name", entry.name)?;
        line("source", entry.source_url)?;
        line("path", &entry.cache_path)?;
        line("status", entry.status)?;
        if let Some(error) = entry.error_message {
            line("error", error)?;
        }
        if let Some(bytes) = entry.size_bytes {
            line("size", &human_bytes(bytes))?;
        }
        if let Some(commit) = entry.local_commit_hash {
            line("commit", commit)?;
        }
        if let Some(branch) = entry.local_branch {
            line("branch", branch)?;
        }
        line("updated", &entry.last_updated)?;
        for note in entry.notes {
            line("note", note)?;
        }
        if let Some(current) = &self.current {
            line("remote", current.summary.unwrap_or("no changes"))?;
        }
        if let Some(error) = self.diff_check_error {
            line("remote", error)?;
        }
        Ok(())
    }
}
