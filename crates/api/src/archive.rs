//! `POST /repos/archive`: the files of a commit in one file.

use crate::object::optional_object;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body, which may be left out: then it is everything on the default branch.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct ArchiveRequest {
    /// Branch, tag or commit; the default branch if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#ref: Option<String>,
    /// Whether `ref` is an ephemeral branch.
    #[serde(default, alias = "ref_is_ephemeral")]
    pub ephemeral: bool,
    /// Only files that match one of these globs. `*` and `?` stay within a name, `**` spans folders; a glob without a
    /// slash is held against every name in the path; one that matches a folder takes everything in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_globs: Option<Vec<String>>,
    /// No files that match one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_globs: Option<Vec<String>>,
    /// Leave out larger files, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_blob_size: Option<u64>,
    /// The archive itself.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub archive: Option<ArchiveOptions>,
}

/// What the archive is like.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct ArchiveOptions {
    /// What stands before every path; it ends in a slash to be a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The form; `tar.gz` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<ArchiveFormat>,
}

/// The form of an archive.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub enum ArchiveFormat {
    /// Tar in gzip.
    #[default]
    #[serde(rename = "tar.gz", alias = "tgz")]
    TarGz,
    /// Tar.
    #[serde(rename = "tar")]
    Tar,
    /// Zip.
    #[serde(rename = "zip")]
    Zip,
}
