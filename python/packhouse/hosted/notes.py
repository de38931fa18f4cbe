"""Notes of a repository."""

from __future__ import annotations

from typing import Any, AsyncIterator, Optional, cast

from .errors import answer
from .handle import Handle, each, given, person, required, stripped
from .results import page
from .types import (
    CommitSignature,
    ListNotesRefsResult,
    NoteReadResult,
    NotesRefInfo,
    NoteWriteResult,
    RefPolicy,
)


class Notes(Handle):
    """The calls about notes."""

    async def get_note(self, *, sha: str, ref: Optional[str] = None, ttl: Optional[int] = None) -> NoteReadResult:
        """The note about an object."""
        required("get_note", sha=sha)
        request = given(sha=sha.strip(), ref=stripped(ref))
        return cast(NoteReadResult, await answer(self._call(ttl).get_note(request)))

    async def create_note(
        self,
        *,
        sha: str,
        note: str,
        expected_ref_sha: Optional[str] = None,
        author: Optional[CommitSignature] = None,
        ref: Optional[str] = None,
        ttl: Optional[int] = None,
        ref_policies: Optional[list[RefPolicy]] = None,
    ) -> NoteWriteResult:
        """Adds a note where there is none."""
        return await self._write("add", sha, note, expected_ref_sha, author, ref, ttl, ref_policies)

    async def append_note(
        self,
        *,
        sha: str,
        note: str,
        expected_ref_sha: Optional[str] = None,
        author: Optional[CommitSignature] = None,
        ref: Optional[str] = None,
        ttl: Optional[int] = None,
        ref_policies: Optional[list[RefPolicy]] = None,
    ) -> NoteWriteResult:
        """Appends to a note, or adds it."""
        return await self._write("append", sha, note, expected_ref_sha, author, ref, ttl, ref_policies)

    async def delete_note(
        self,
        *,
        sha: str,
        expected_ref_sha: Optional[str] = None,
        author: Optional[CommitSignature] = None,
        ref: Optional[str] = None,
        ttl: Optional[int] = None,
        ref_policies: Optional[list[RefPolicy]] = None,
    ) -> NoteWriteResult:
        """Deletes a note."""
        required("delete_note", sha=sha)
        request = given(
            sha=sha.strip(),
            expected_ref_sha=stripped(expected_ref_sha),
            author=person("delete_note", "author", author),
            ref=stripped(ref),
        )
        return cast(NoteWriteResult, await answer(self._call(ttl, ref_policies).delete_note(request)))

    async def list_notes_refs(
        self,
        *,
        prefix: Optional[str] = None,
        cursor: Optional[str] = None,
        limit: Optional[int] = None,
        ttl: Optional[int] = None,
    ) -> ListNotesRefsResult:
        """A page of the refs that hold notes."""
        request = given(prefix=prefix, cursor=cursor, limit=limit)
        return cast(ListNotesRefsResult, page(await answer(self._call(ttl).list_notes_refs(request))))

    def iter_notes_refs(self, *, cursor: Optional[str] = None, **options: Any) -> AsyncIterator[NotesRefInfo]:
        """Every ref that holds notes. Takes what :meth:`list_notes_refs` does."""
        return each("refs", lambda cursor: self.list_notes_refs(cursor=cursor, **options), cursor)

    async def _write(
        self,
        action: str,
        sha: str,
        note: str,
        expected_ref_sha: Optional[str],
        author: Optional[CommitSignature],
        ref: Optional[str],
        ttl: Optional[int],
        ref_policies: Optional[list[RefPolicy]],
    ) -> NoteWriteResult:
        call = "create_note" if action == "add" else "append_note"
        required(call, sha=sha, note=note)
        request = given(
            sha=sha.strip(),
            action=action,
            note=note.strip(),
            expected_ref_sha=stripped(expected_ref_sha),
            author=person(call, "author", author),
            ref=stripped(ref),
        )
        return cast(NoteWriteResult, await answer(self._call(ttl, ref_policies).write_note(request)))
