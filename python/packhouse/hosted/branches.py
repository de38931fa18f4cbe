"""Branches and tags of a repository."""

from __future__ import annotations

from typing import Any, AsyncIterator, Optional, cast

from .errors import answer
from .handle import Handle, deprecated, each, given, no_refs, required
from .results import page
from .types import (
    BranchDetails,
    BranchInfo,
    CreateBranchResult,
    CreateTagResult,
    DeleteBranchResult,
    DeleteTagResult,
    ListBranchesResult,
    ListTagsResult,
    RefPolicy,
    TagInfo,
)


class Branches(Handle):
    """The calls about branches and tags."""

    async def list_branches(
        self,
        *,
        cursor: Optional[str] = None,
        limit: Optional[int] = None,
        ephemeral: Optional[bool] = None,
        ttl: Optional[int] = None,
    ) -> ListBranchesResult:
        """A page of the branches, oldest first; of the ephemeral ones if asked for."""
        request = given(cursor=cursor, limit=limit, ephemeral=ephemeral)
        return cast(ListBranchesResult, page(await answer(self._call(ttl).list_branches(request))))

    def iter_branches(self, *, cursor: Optional[str] = None, **options: Any) -> AsyncIterator[BranchInfo]:
        """Every branch, page by page. Takes what :meth:`list_branches` does."""
        return each("branches", lambda cursor: self.list_branches(cursor=cursor, **options), cursor)

    async def get_branch(
        self, *, name: str, ephemeral: Optional[bool] = None, ttl: Optional[int] = None
    ) -> BranchDetails:
        """One branch."""
        required("get_branch", name=name)
        return cast(BranchDetails, await answer(self._call(ttl).get_branch(given(name=name, ephemeral=ephemeral))))

    async def create_branch(
        self,
        *,
        base_ref: Optional[str] = None,
        base_branch: Optional[str] = None,
        target_branch: str,
        base_is_ephemeral: bool = False,
        target_is_ephemeral: bool = False,
        force: bool = False,
        ttl: Optional[int] = None,
        ref_policies: Optional[list[RefPolicy]] = None,
    ) -> CreateBranchResult:
        """Creates a branch at a branch, tag or commit, or moves it forward; with ``force``, anywhere."""
        base_ref, base_branch = (base_ref or "").strip(), (base_branch or "").strip()
        if not base_ref and not base_branch:
            raise ValueError("create_branch base_ref or base_branch is required")
        required("create_branch", target_branch=target_branch)
        if not base_ref:
            deprecated("create_branch base_branch", "base_ref")
        request = given(
            base_ref=base_ref or None,
            base_branch=None if base_ref else base_branch,
            target_branch=target_branch.strip(),
            base_is_ephemeral=bool(base_is_ephemeral),
            target_is_ephemeral=bool(target_is_ephemeral),
            force=bool(force),
        )
        return cast(CreateBranchResult, await answer(self._call(ttl, ref_policies).create_branch(request)))

    async def promote_ephemeral_branch(
        self, *, base_branch: str, target_branch: Optional[str] = None, ttl: Optional[int] = None
    ) -> CreateBranchResult:
        """Makes an ordinary branch of an ephemeral one, under the same name or another. The ephemeral one stays."""
        required("promote_ephemeral_branch", base_branch=base_branch)
        return await self.create_branch(
            base_ref=base_branch,
            target_branch=(target_branch or "").strip() or base_branch,
            base_is_ephemeral=True,
            ttl=ttl,
        )

    async def delete_branch(
        self,
        *,
        name: str,
        ephemeral: Optional[bool] = None,
        ttl: Optional[int] = None,
        ref_policies: Optional[list[RefPolicy]] = None,
    ) -> DeleteBranchResult:
        """Deletes a branch other than the default one."""
        required("delete_branch", name=name)
        no_refs("delete_branch", name=name)
        request = given(name=name.strip(), ephemeral=ephemeral)
        return cast(DeleteBranchResult, await answer(self._call(ttl, ref_policies).delete_branch(request)))

    async def list_tags(
        self, *, cursor: Optional[str] = None, limit: Optional[int] = None, ttl: Optional[int] = None
    ) -> ListTagsResult:
        """A page of the tags, by name."""
        return cast(
            ListTagsResult, page(await answer(self._call(ttl).list_tags(given(cursor=cursor, limit=limit))))
        )

    def iter_tags(self, *, cursor: Optional[str] = None, **options: Any) -> AsyncIterator[TagInfo]:
        """Every tag, page by page. Takes what :meth:`list_tags` does."""
        return each("tags", lambda cursor: self.list_tags(cursor=cursor, **options), cursor)

    async def get_tag(self, *, name: str, ttl: Optional[int] = None) -> TagInfo:
        """One tag."""
        required("get_tag", name=name)
        return cast(TagInfo, await answer(self._call(ttl).get_tag({"name": name})))

    async def create_tag(
        self,
        *,
        name: str,
        target: str,
        ttl: Optional[int] = None,
        ref_policies: Optional[list[RefPolicy]] = None,
    ) -> CreateTagResult:
        """Creates a lightweight tag of a commit, which is named by its whole id."""
        required("create_tag", name=name, target=target)
        no_refs("create_tag", name=name)
        request = {"name": name.strip(), "target": target.strip()}
        return cast(CreateTagResult, await answer(self._call(ttl, ref_policies).create_tag(request)))

    async def delete_tag(
        self, *, name: str, ttl: Optional[int] = None, ref_policies: Optional[list[RefPolicy]] = None
    ) -> DeleteTagResult:
        """Deletes a tag."""
        required("delete_tag", name=name)
        no_refs("delete_tag", name=name)
        return cast(DeleteTagResult, await answer(self._call(ttl, ref_policies).delete_tag({"name": name.strip()})))
