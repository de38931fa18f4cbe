"""Commits of a repository: list, describe, compare, make, restore."""

from __future__ import annotations

from typing import Any, AsyncIterator, Optional, cast

from .builder import CommitBuilder, commit_metadata, send
from .errors import answer
from .handle import Handle, each, given, person, required, stripped
from .results import commit, diff, page
from .types import (
    CommitInfo,
    CommitResult,
    CommitSignature,
    FileSource,
    GetBranchDiffResult,
    GetCommitDiffResult,
    GetCommitResult,
    ListCommitsResult,
    RefPolicy,
    RestoreCommitResult,
)


class Commits(Handle):
    """The calls about commits."""

    async def list_commits(
        self,
        *,
        branch: Optional[str] = None,
        cursor: Optional[str] = None,
        limit: Optional[int] = None,
        ephemeral: Optional[bool] = None,
        path: Optional[str] = None,
        ttl: Optional[int] = None,
    ) -> ListCommitsResult:
        """A page of the commits that a branch reaches, newest first; with ``path``, those that change it."""
        request = given(branch=branch or None, cursor=cursor, limit=limit, ephemeral=ephemeral, path=path)
        found = page(await answer(self._call(ttl).list_commits(request)))
        found["commits"] = [commit(one) for one in found["commits"]]
        return cast(ListCommitsResult, found)

    def iter_commits(self, *, cursor: Optional[str] = None, **options: Any) -> AsyncIterator[CommitInfo]:
        """Every commit, page by page. Takes what :meth:`list_commits` does."""
        return each("commits", lambda cursor: self.list_commits(cursor=cursor, **options), cursor)

    async def get_commit(self, *, sha: str, ttl: Optional[int] = None) -> GetCommitResult:
        """One commit, by its id or any other revision."""
        required("get_commit", sha=sha)
        found = await answer(self._call(ttl).get_commit({"sha": sha.strip()}))
        return cast(GetCommitResult, {"commit": commit(found)})

    async def get_branch_diff(
        self,
        *,
        branch: str,
        base: Optional[str] = None,
        ephemeral: Optional[bool] = None,
        ephemeral_base: Optional[bool] = None,
        paths: Optional[list[str]] = None,
        ttl: Optional[int] = None,
    ) -> GetBranchDiffResult:
        """What a branch changes since it left its base."""
        request = given(
            branch=branch, base=base or None, ephemeral=ephemeral, ephemeral_base=ephemeral_base, path=paths
        )
        return cast(GetBranchDiffResult, diff(await answer(self._call(ttl).branch_diff(request))))

    async def get_commit_diff(
        self,
        *,
        sha: str,
        base_sha: Optional[str] = None,
        git_apply_compatible: Optional[bool] = None,
        paths: Optional[list[str]] = None,
        ttl: Optional[int] = None,
    ) -> GetCommitDiffResult:
        """What a commit changes, compared with its parent or ``base_sha``."""
        request = given(sha=sha, baseSha=base_sha or None, gitApplyCompatible=git_apply_compatible, path=paths)
        return cast(GetCommitDiffResult, diff(await answer(self._call(ttl).commit_diff(request))))

    def create_commit(
        self,
        *,
        target_branch: str,
        commit_message: str,
        author: CommitSignature,
        expected_head_sha: Optional[str] = None,
        base_branch: Optional[str] = None,
        ephemeral: Optional[bool] = None,
        ephemeral_base: Optional[bool] = None,
        committer: Optional[CommitSignature] = None,
        ttl: Optional[int] = None,
        ref_policies: Optional[list[RefPolicy]] = None,
    ) -> CommitBuilder:
        """Starts a commit: add files to it, and send it."""
        metadata = commit_metadata(
            "create_commit",
            target_branch=target_branch,
            commit_message=commit_message,
            author=author,
            expected_head_sha=expected_head_sha,
            base_branch=base_branch,
            ephemeral=ephemeral,
            ephemeral_base=ephemeral_base,
            committer=committer,
        )
        return CommitBuilder(lambda: self._call(ttl, ref_policies), metadata)

    async def create_commit_from_diff(
        self,
        *,
        target_branch: str,
        commit_message: str,
        diff: FileSource,
        author: CommitSignature,
        expected_head_sha: Optional[str] = None,
        base_branch: Optional[str] = None,
        ephemeral: Optional[bool] = None,
        ephemeral_base: Optional[bool] = None,
        committer: Optional[CommitSignature] = None,
        ttl: Optional[int] = None,
        ref_policies: Optional[list[RefPolicy]] = None,
    ) -> CommitResult:
        """Makes a commit of a patch as `git diff` writes it; a hunk may also begin with ``@@`` alone."""
        if diff is None:
            raise ValueError("create_commit_from_diff diff is required")
        metadata = commit_metadata(
            "create_commit_from_diff",
            target_branch=target_branch,
            commit_message=commit_message,
            author=author,
            expected_head_sha=expected_head_sha,
            base_branch=base_branch,
            ephemeral=ephemeral,
            ephemeral_base=ephemeral_base,
            committer=committer,
        )
        return await send(self._call(ttl, ref_policies).commit_patch, metadata, [("diff", diff)])

    async def restore_commit(
        self,
        *,
        target_branch: str,
        target_commit_sha: str,
        author: CommitSignature,
        commit_message: Optional[str] = None,
        expected_head_sha: Optional[str] = None,
        committer: Optional[CommitSignature] = None,
        ttl: Optional[int] = None,
        ref_policies: Optional[list[RefPolicy]] = None,
    ) -> RestoreCommitResult:
        """Makes a commit on top of a branch whose files are those of an earlier commit."""
        required("restore_commit", target_branch=target_branch, target_commit_sha=target_commit_sha)
        if author is None:
            raise ValueError("restore_commit author name and email are required")
        request = given(
            target_branch=target_branch.strip(),
            target_commit_sha=target_commit_sha.strip(),
            author=person("restore_commit", "author", author),
            committer=person("restore_commit", "committer", committer),
            commit_message=stripped(commit_message),
            expected_head_sha=stripped(expected_head_sha),
        )
        made = await answer(self._call(ttl, ref_policies).restore_commit(request))
        made.pop("blob_count", None)
        return cast(RestoreCommitResult, made)
