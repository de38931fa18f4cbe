"""Files of a repository: read, list, search, in an archive."""

from __future__ import annotations

from typing import Any, AsyncIterator, Optional, cast

from .errors import answer
from .handle import Handle, deprecated, each, given, required
from .response import Response
from .results import blame, file_metadata, files_with_metadata, page, page_of_files
from .types import (
    BlameResult,
    FileMetadata,
    FileRequestHeaders,
    GrepFileMatch,
    GrepResult,
    ListFilesResult,
    ListFilesWithMetadataResult,
    TreeEntry,
)


class Files(Handle):
    """The calls about files."""

    async def get_file_stream(
        self,
        *,
        path: str,
        ref: Optional[str] = None,
        ephemeral: Optional[bool] = None,
        ephemeral_base: Optional[bool] = None,
        headers: Optional[FileRequestHeaders] = None,
        ttl: Optional[int] = None,
    ) -> Response:
        """A file as it comes. With ``headers``, the status may be 206, 304, 412 or 416 as well."""
        request = given(path=path, ref=ref or None, ephemeral=ephemeral, ephemeral_base=ephemeral_base)
        return Response(await answer(self._call(ttl).read_file(request, dict(headers or {}))))

    async def head_file(
        self,
        *,
        path: str,
        ref: Optional[str] = None,
        ephemeral: Optional[bool] = None,
        ephemeral_base: Optional[bool] = None,
        headers: Optional[FileRequestHeaders] = None,
        ttl: Optional[int] = None,
    ) -> FileMetadata:
        """What the headers of a file say: its size, blob, last commit and tag."""
        request = given(path=path, ref=ref or None, ephemeral=ephemeral, ephemeral_base=ephemeral_base)
        async with Response(await answer(self._call(ttl).head_file(request, dict(headers or {})))) as response:
            return cast(FileMetadata, file_metadata(response))

    async def get_archive_stream(
        self,
        *,
        ref: Optional[str] = None,
        include_globs: Optional[list[str]] = None,
        exclude_globs: Optional[list[str]] = None,
        max_blob_size: Optional[int] = None,
        archive_prefix: Optional[str] = None,
        ephemeral: Optional[bool] = None,
        archive_format: Optional[str] = None,
        ttl: Optional[int] = None,
    ) -> Response:
        """The files of a commit in one archive, as it comes: ``tar.gz`` unless ``archive_format`` is ``tar`` or ``zip``."""
        request = given(
            ref=ref,
            include_globs=include_globs,
            exclude_globs=exclude_globs,
            max_blob_size=max_blob_size,
            ephemeral=ephemeral,
            archive=given(prefix=archive_prefix, format=archive_format) or None,
        )
        return Response(await answer(self._call(ttl).archive(request)))

    async def list_files(
        self,
        *,
        ref: Optional[str] = None,
        ephemeral: Optional[bool] = None,
        path: Optional[str] = None,
        recursive: Optional[bool] = None,
        cursor: Optional[str] = None,
        limit: Optional[int] = None,
        ttl: Optional[int] = None,
    ) -> ListFilesResult:
        """The files of a commit: all of them, or a page if ``cursor`` or ``limit`` is given."""
        request = given(
            ref=ref or None, ephemeral=ephemeral, path=path, recursive=recursive, cursor=cursor, limit=limit
        )
        return cast(ListFilesResult, page_of_files(await answer(self._call(ttl).list_files(request))))

    def iter_files(self, *, cursor: Optional[str] = None, **options: Any) -> AsyncIterator[TreeEntry]:
        """Every entry of a folder, page by page. Takes what :meth:`list_files` does."""
        options["limit"] = options.get("limit") or 0
        return each("entries", lambda cursor: self.list_files(cursor=cursor, **options), cursor)

    async def list_files_with_metadata(
        self,
        *,
        ref: Optional[str] = None,
        ephemeral: Optional[bool] = None,
        path: Optional[str] = None,
        recursive: Optional[bool] = None,
        cursor: Optional[str] = None,
        limit: Optional[int] = None,
        ttl: Optional[int] = None,
    ) -> ListFilesWithMetadataResult:
        """A page of files, each with the commit that changed it last."""
        request = given(
            ref=ref or None, ephemeral=ephemeral, path=path, recursive=recursive, cursor=cursor, limit=limit
        )
        found = await answer(self._call(ttl).list_files_with_metadata(request))
        return cast(ListFilesWithMetadataResult, files_with_metadata(found))

    async def grep(
        self,
        *,
        pattern: str,
        ref: Optional[str] = None,
        rev: Optional[str] = None,
        ephemeral: Optional[bool] = None,
        paths: Optional[list[str]] = None,
        case_sensitive: Optional[bool] = None,
        file_filters: Optional[dict[str, Any]] = None,
        context: Optional[dict[str, Any]] = None,
        limits: Optional[dict[str, Any]] = None,
        pagination: Optional[dict[str, Any]] = None,
        ttl: Optional[int] = None,
    ) -> GrepResult:
        """A page of the lines that match a regular expression."""
        required("grep", pattern=pattern)
        if rev is not None:
            deprecated("grep rev", "ref")
        request = given(
            query=given(pattern=pattern, case_sensitive=case_sensitive),
            ref=ref or rev,
            ephemeral=ephemeral,
            paths=paths,
            file_filters=file_filters,
            context=context,
            limits=limits,
            pagination=pagination,
        )
        return cast(GrepResult, page(await answer(self._call(ttl).grep(request))))

    def iter_grep(self, *, pattern: str, limit: Optional[int] = None, **options: Any) -> AsyncIterator[GrepFileMatch]:
        """Every file with matches, page by page. Takes what :meth:`grep` does, and ``limit`` for its pages."""

        async def load(cursor: Optional[str]) -> GrepResult:
            return await self.grep(pattern=pattern, pagination=given(cursor=cursor, limit=limit), **options)

        return each("matches", load)

    async def get_blame(
        self,
        *,
        path: str,
        ref: Optional[str] = None,
        ephemeral: Optional[bool] = None,
        ranges: Optional[list[str]] = None,
        detect_moves: Optional[bool] = None,
        ttl: Optional[int] = None,
    ) -> BlameResult:
        """Which commit each line of a file came from."""
        required("get_blame", path=path)
        request = given(path=path, ref=ref, ephemeral=ephemeral, range=ranges or None, detect_moves=detect_moves)
        return cast(BlameResult, blame(await answer(self._call(ttl).blame(request))))
