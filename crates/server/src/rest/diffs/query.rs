//! The queries of diffs: names of either version of the API, and names that come several times.

use packhouse_api::{BranchDiffQuery, CommitDiffQuery};

use super::shown;
use crate::error::ApiError;
use crate::rest::query_fields::differ;

/// A query as it came.
pub(super) struct Pairs<'a>(pub &'a [(String, String)]);

impl Pairs<'_> {
    pub(super) fn branch_diff(&self) -> Result<BranchDiffQuery, ApiError> {
        Ok(BranchDiffQuery {
            branch: self.needed(&["ref", "branch"], "branch")?,
            base: self.text(&["base_ref", "base"])?,
            ephemeral: self.flag(&["ref_is_ephemeral", "ephemeral"])?,
            ephemeral_base: self.flag(&["base_is_ephemeral", "ephemeral_base"])?,
            path: self.paths(),
        })
    }

    pub(super) fn commit_diff(&self) -> Result<CommitDiffQuery, ApiError> {
        Ok(CommitDiffQuery {
            sha: self.needed(&["ref", "sha"], "sha")?,
            base_sha: self.text(&["base_ref", "baseSha"])?,
            git_apply_compatible: self.flag(&["git_apply_compatible", "gitApplyCompatible"])?,
            ref_is_ephemeral: self.flag(&["ref_is_ephemeral"])?,
            base_is_ephemeral: self.flag(&["base_is_ephemeral"])?,
            path: self.paths(),
        })
    }

    /// What the query says of the field that has these names.
    fn value(&self, names: &[&str]) -> Result<Option<&(String, String)>, ApiError> {
        let mut given = self
            .0
            .iter()
            .filter(|(key, _)| names.contains(&key.as_str()));
        let Some(first) = given.next() else {
            return Ok(None);
        };
        match given.find(|(_, value)| *value != first.1) {
            Some(other) => Err(differ(first, other)),
            None => Ok(Some(first)),
        }
    }

    fn text(&self, names: &[&str]) -> Result<Option<String>, ApiError> {
        let value = self.value(names)?.map(|(_, value)| value.trim().to_owned());
        Ok(value.filter(|value| !value.is_empty()))
    }

    fn needed(&self, names: &[&str], name: &str) -> Result<String, ApiError> {
        match self.value(names)? {
            None => Err(ApiError::invalid(format!("the query has no `{name}`"))),
            Some((key, _)) => self
                .text(names)?
                .ok_or_else(|| ApiError::invalid(format!("`{key}` is empty"))),
        }
    }

    fn flag(&self, names: &[&str]) -> Result<Option<bool>, ApiError> {
        let Some((key, value)) = self.value(names)? else {
            return Ok(None);
        };
        match value.as_str() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            other => Err(ApiError::invalid(format!(
                "`{key}` is `true` or `false`, not `{}`",
                shown(other)
            ))),
        }
    }

    fn paths(&self) -> Vec<String> {
        let paths = self.0.iter().filter(|(key, _)| key == "path");
        paths.map(|(_, value)| value.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = query
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()));
        owned.collect()
    }

    #[test]
    fn both_versions_name_the_same() {
        let old = pairs(&[
            ("branch", "b"),
            ("base", "m"),
            ("ephemeral", "true"),
            ("path", "x"),
        ]);
        let new = pairs(&[
            ("ref", "b"),
            ("base_ref", "m"),
            ("ref_is_ephemeral", "true"),
            ("path", "x"),
        ]);
        assert_eq!(
            Pairs(&old).branch_diff().unwrap(),
            Pairs(&new).branch_diff().unwrap()
        );
        let old = pairs(&[
            ("sha", "c"),
            ("baseSha", "p"),
            ("gitApplyCompatible", "true"),
        ]);
        let new = pairs(&[
            ("ref", "c"),
            ("base_ref", "p"),
            ("git_apply_compatible", "true"),
        ]);
        assert_eq!(
            Pairs(&old).commit_diff().unwrap(),
            Pairs(&new).commit_diff().unwrap()
        );
    }

    #[test]
    fn paths_may_be_several_and_flags_are_words() {
        let query = pairs(&[("sha", "c"), ("path", "a"), ("path", "b")]);
        assert_eq!(Pairs(&query).commit_diff().unwrap().path, ["a", "b"]);
        let both = pairs(&[("ref", "c"), ("sha", "c"), ("sha", "c")]);
        assert_eq!(Pairs(&both).commit_diff().unwrap().sha, "c");
        for bad in [
            pairs(&[("sha", "c"), ("ref", "d")]),
            pairs(&[("sha", "c"), ("sha", "d")]),
            pairs(&[("sha", "c"), ("baseSha", "p"), ("base_ref", "q")]),
            pairs(&[("sha", " ")]),
            pairs(&[]),
            pairs(&[("sha", "c"), ("gitApplyCompatible", "1")]),
        ] {
            assert!(Pairs(&bad).commit_diff().is_err(), "{bad:?}");
        }
    }
}
