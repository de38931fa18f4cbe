"""Merges, cherry-picks and reverts."""

from __future__ import annotations

from typing import Any, Optional, cast

from .errors import answer
from .handle import Handle, given, person, required, stripped
from .results import merge
from .types import (
    CommitSignature,
    MergeBranchesResult,
    MergeStrategy,
    PreviewMergeResult,
    RefPolicy,
    ReplayResult,
)

_STRATEGIES = ("merge", "ff_only", "ff_prefer")


class Merges(Handle):
    """The calls that bring the changes of one branch to another."""

    async def merge(
        self,
        *,
        source_branch: str,
        target_branch: str,
        strategy: MergeStrategy,
        source_is_ephemeral: Optional[bool] = None,
        target_is_ephemeral: Optional[bool] = None,
        expected_target_sha: Optional[str] = None,
        commit_message: Optional[str] = None,
        author: Optional[CommitSignature] = None,
        committer: Optional[CommitSignature] = None,
        allow_unrelated_histories: Optional[bool] = None,
        squash: Optional[bool] = None,
        ttl: Optional[int] = None,
        ref_policies: Optional[list[RefPolicy]] = None,
    ) -> MergeBranchesResult:
        """Merges a branch into another. Message and author are needed only if that takes a commit.

        A conflict is an :class:`ApiError` of status 409, whose ``response.json()`` has ``conflict_paths``.
        """
        required("merge", source_branch=source_branch, target_branch=target_branch, strategy=strategy)
        if strategy not in _STRATEGIES:
            raise ValueError(f"merge strategy must be one of {', '.join(_STRATEGIES)}")
        if squash and strategy == "ff_only":
            raise ValueError("merge squash is incompatible with the ff_only strategy")
        request = given(
            source_branch=source_branch.strip(),
            target_branch=target_branch.strip(),
            strategy=strategy,
            source_is_ephemeral=source_is_ephemeral,
            target_is_ephemeral=target_is_ephemeral,
            expected_target_sha=stripped(expected_target_sha),
            commit_message=stripped(commit_message),
            author=person("merge", "author", author),
            committer=person("merge", "committer", committer),
            allow_unrelated_histories=allow_unrelated_histories,
            squash=squash,
        )
        return cast(MergeBranchesResult, merge(await answer(self._call(ttl, ref_policies).merge(request))))

    async def preview_merge(
        self,
        *,
        source_branch: str,
        target_branch: str,
        include_content: Optional[bool] = None,
        source_is_ephemeral: Optional[bool] = None,
        target_is_ephemeral: Optional[bool] = None,
        ttl: Optional[int] = None,
    ) -> PreviewMergeResult:
        """What a merge would come to, with what is in conflict."""
        required("preview_merge", source_branch=source_branch, target_branch=target_branch)
        request = given(
            source_branch=source_branch.strip(),
            target_branch=target_branch.strip(),
            include_content=include_content,
            source_is_ephemeral=source_is_ephemeral,
            target_is_ephemeral=target_is_ephemeral,
        )
        return cast(PreviewMergeResult, await answer(self._call(ttl).preview_merge(request)))

    async def cherry_pick(
        self,
        *,
        target_branch: str,
        commit: Optional[str] = None,
        range: Optional[str] = None,
        target_is_ephemeral: Optional[bool] = None,
        source_is_ephemeral: Optional[bool] = None,
        mainline: Optional[int] = None,
        allow_empty: Optional[bool] = None,
        record_origin: Optional[bool] = None,
        expected_target_sha: Optional[str] = None,
        commit_message: Optional[str] = None,
        author: Optional[CommitSignature] = None,
        committer: Optional[CommitSignature] = None,
        ttl: Optional[int] = None,
        ref_policies: Optional[list[RefPolicy]] = None,
    ) -> ReplayResult:
        """Makes a commit, or those of a range ``A..B``, again on another branch: all of them or none."""
        request = _replay(
            "cherry_pick",
            target_branch=target_branch,
            commit=commit,
            range=range,
            target_is_ephemeral=target_is_ephemeral,
            source_is_ephemeral=source_is_ephemeral,
            mainline=mainline,
            allow_empty=allow_empty,
            record_origin=record_origin,
            expected_target_sha=expected_target_sha,
            commit_message=commit_message,
            author=author,
            committer=committer,
        )
        return cast(ReplayResult, await answer(self._call(ttl, ref_policies).cherry_pick(request)))

    async def revert(
        self,
        *,
        target_branch: str,
        author: CommitSignature,
        commit: Optional[str] = None,
        range: Optional[str] = None,
        target_is_ephemeral: Optional[bool] = None,
        source_is_ephemeral: Optional[bool] = None,
        mainline: Optional[int] = None,
        allow_empty: Optional[bool] = None,
        expected_target_sha: Optional[str] = None,
        commit_message: Optional[str] = None,
        committer: Optional[CommitSignature] = None,
        ttl: Optional[int] = None,
        ref_policies: Optional[list[RefPolicy]] = None,
    ) -> ReplayResult:
        """Undoes a commit, or those of a range ``A..B``, by new commits: all of them or none."""
        request = _replay(
            "revert",
            target_branch=target_branch,
            commit=commit,
            range=range,
            target_is_ephemeral=target_is_ephemeral,
            source_is_ephemeral=source_is_ephemeral,
            mainline=mainline,
            allow_empty=allow_empty,
            expected_target_sha=expected_target_sha,
            commit_message=commit_message,
            author=author,
            committer=committer,
        )
        return cast(ReplayResult, await answer(self._call(ttl, ref_policies).revert(request)))


def _replay(call: str, *, target_branch: str, commit: Optional[str], range: Optional[str], **fields: Any) -> dict[str, Any]:
    required(call, target_branch=target_branch)
    if (commit is None) == (range is None):
        raise ValueError(f"{call} takes a commit or a range")
    for role in ("author", "committer"):
        fields[role] = person(call, role, fields.get(role))
    return given(target_branch=target_branch.strip(), commit=commit, range=range, **fields)
