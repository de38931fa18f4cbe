//! The queries of diffs, with the names of either version of the API.

use packhouse_api::{BranchDiffQuery, CommitDiffQuery};

use crate::error::ApiError;
use crate::rest::query_pairs::Pairs;

pub(super) fn branch_diff(query: &Pairs<'_>) -> Result<BranchDiffQuery, ApiError> {
    Ok(BranchDiffQuery {
        branch: query.needed(&["ref", "branch"], "branch")?,
        base: query.text(&["base_ref", "base"])?,
        ephemeral: query.flag(&["ref_is_ephemeral", "ephemeral"])?,
        ephemeral_base: query.flag(&["base_is_ephemeral", "ephemeral_base"])?,
        path: paths(query),
    })
}

pub(super) fn commit_diff(query: &Pairs<'_>) -> Result<CommitDiffQuery, ApiError> {
    Ok(CommitDiffQuery {
        sha: query.needed(&["ref", "sha"], "sha")?,
        base_sha: query.text(&["base_ref", "baseSha"])?,
        git_apply_compatible: query.flag(&["git_apply_compatible", "gitApplyCompatible"])?,
        ref_is_ephemeral: query.flag(&["ref_is_ephemeral"])?,
        base_is_ephemeral: query.flag(&["base_is_ephemeral"])?,
        path: paths(query),
    })
}

fn paths(query: &Pairs<'_>) -> Vec<String> {
    query.all("path").map(str::to_owned).collect()
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
            branch_diff(&Pairs(&old)).unwrap(),
            branch_diff(&Pairs(&new)).unwrap()
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
            commit_diff(&Pairs(&old)).unwrap(),
            commit_diff(&Pairs(&new)).unwrap()
        );
    }

    #[test]
    fn paths_may_be_several_and_flags_are_words() {
        let query = pairs(&[("sha", "c"), ("path", "a"), ("path", "b")]);
        assert_eq!(commit_diff(&Pairs(&query)).unwrap().path, ["a", "b"]);
        let both = pairs(&[("ref", "c"), ("sha", "c"), ("sha", "c")]);
        assert_eq!(commit_diff(&Pairs(&both)).unwrap().sha, "c");
        for bad in [
            pairs(&[("sha", "c"), ("ref", "d")]),
            pairs(&[("sha", "c"), ("sha", "d")]),
            pairs(&[("sha", "c"), ("baseSha", "p"), ("base_ref", "q")]),
            pairs(&[("sha", " ")]),
            pairs(&[]),
            pairs(&[("sha", "c"), ("gitApplyCompatible", "1")]),
        ] {
            assert!(commit_diff(&Pairs(&bad)).is_err(), "{bad:?}");
        }
    }
}
