//! `POST /repos/grep`: search the files of a commit.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::object::{object, optional_object};

/// Body of `POST /repos/grep`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct GrepRequest {
    /// What to search for.
    #[serde(deserialize_with = "object")]
    pub query: GrepPattern,
    /// Branch, tag or commit; the default branch if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#ref: Option<String>,
    /// The same under its old name, for older clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<String>,
    /// Whether `ref` is an ephemeral branch.
    #[serde(
        default,
        alias = "ref_is_ephemeral",
        skip_serializing_if = "Option::is_none"
    )]
    pub ephemeral: Option<bool>,
    /// Only what is at one of these paths or below it; a path with `*`, `?` or `[` is a glob. 100 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// One more of `paths`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Which files.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub file_filters: Option<GrepFileFilters>,
    /// Lines around each match.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub context: Option<GrepContext>,
    /// How much to find.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub limits: Option<GrepLimits>,
    /// Which page.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub pagination: Option<GrepPagination>,
}

/// What to search for.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct GrepPattern {
    /// A regular expression without backreferences and look-around, held against each line by itself.
    pub pattern: String,
    /// Whether capitals differ from small letters; true if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_sensitive: Option<bool>,
}

/// Which files to search. In a glob, `**` spans folders; one without a slash is held against the file's name.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct GrepFileFilters {
    /// Only files that match one of these globs. 100 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_globs: Option<Vec<String>>,
    /// No file that matches one of these globs. 100 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_globs: Option<Vec<String>>,
    /// Only files with one of these endings, as `.js` or `js`. 100 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_filters: Option<Vec<String>>,
}

/// Lines around each match.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct GrepContext {
    /// Lines in front of a match; none if absent, 1,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u32>,
    /// Lines behind a match; none if absent, 1,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
}

/// How much to find.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct GrepLimits {
    /// Lines per page, with those around matches: 2,000 if absent or 0, and at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lines: Option<u32>,
    /// Matches of one file beyond which the rest of it is not looked at: 200 if absent or 0, 10,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_matches_per_file: Option<u32>,
}

/// Which page.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct GrepPagination {
    /// `next_cursor` of the page before; all else in the request must be as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Matches per page: 200 if absent or 0, 2,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Answer of `POST /repos/grep`. The header `X-Cache` says `HIT` if no file had to be read for it, else `MISS`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct GrepResponse {
    /// What was searched for.
    pub query: GrepQueryInfo,
    /// Where.
    pub repo: GrepRepoInfo,
    /// Files with matches, in the order of a Git tree.
    pub matches: Vec<GrepFileMatch>,
    /// Where the next page starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
    /// Text files on the way to this page's end that were not searched for their size; the first hundred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub skipped_files: Option<Vec<GrepSkippedFile>>,
}

/// What was searched for.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct GrepQueryInfo {
    /// The pattern.
    pub pattern: String,
    /// Whether capitals differ from small letters.
    pub case_sensitive: bool,
}

/// What was searched.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct GrepRepoInfo {
    /// What `ref` was resolved to: the branch's name, the full name of an ephemeral branch, or the commit.
    pub r#ref: String,
    /// The commit.
    pub commit: String,
}

/// A file with matches.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct GrepFileMatch {
    /// Path from the root of the tree.
    pub path: String,
    /// Lines that match, and those around them.
    pub lines: Vec<GrepLine>,
}

/// One line of a file.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct GrepLine {
    /// From 1.
    pub line_number: u64,
    /// The line without its line break; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// Why it is here.
    pub r#type: GrepLineType,
    /// True where the text is only the first 64 KiB of the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub truncated: Option<bool>,
}

/// Why a line is shown.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GrepLineType {
    /// It matches.
    Match,
    /// It is near one that matches.
    Context,
}

/// A file that was not searched.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct GrepSkippedFile {
    /// Path from the root of the tree.
    pub path: String,
    /// Why.
    pub reason: GrepSkipReason,
}

/// Why a file was not searched.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrepSkipReason {
    /// It has more bytes than this server searches.
    FileTooLarge,
    /// It has a line that is too long for a pattern this large.
    LineTooLong,
}
