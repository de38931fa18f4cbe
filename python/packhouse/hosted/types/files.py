"""Files, blame and search."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import AsyncIterable, Iterable, List, Literal, Optional, TypedDict, Union


class GitFileMode(str, Enum):
    """What a file of a commit is."""

    REGULAR = "100644"
    EXECUTABLE = "100755"
    SYMLINK = "120000"
    SUBMODULE = "160000"


TreeEntryType = Literal["blob", "tree", "symlink", "submodule"]


class TreeEntry(TypedDict):
    """An entry of a folder."""

    path: str
    type: TreeEntryType
    mode: str


class ListFilesResult(TypedDict, total=False):
    """Files of a commit: all of them, or a page."""

    paths: List[str]
    ref: str
    entries: List[TreeEntry]
    next_cursor: Optional[str]
    has_more: bool


class FileWithMetadata(TypedDict, total=False):
    """A file, and the commit that changed it last."""

    path: str
    mode: str
    size: int
    last_commit_sha: str
    type: TreeEntryType


class CommitMetadata(TypedDict):
    """A commit that changed a file last."""

    author: str
    date: datetime
    raw_date: str
    message: str


class ListFilesWithMetadataResult(TypedDict, total=False):
    """A page of files with the commits that changed them last."""

    files: List[FileWithMetadata]
    commits: dict[str, CommitMetadata]
    ref: str
    next_cursor: Optional[str]
    has_more: bool


class FileRequestHeaders(TypedDict, total=False):
    """Which part of a file is wanted, and under which conditions."""

    range: str
    if_match: str
    if_none_match: str
    if_modified_since: str
    if_unmodified_since: str
    if_range: str


class FileMetadata(TypedDict, total=False):
    """What the headers of a file say."""

    status_code: int
    blob_sha: str
    last_commit_sha: str
    size: int
    etag: str
    last_modified: datetime
    raw_last_modified: str
    accept_ranges: str
    content_range: str
    content_type: str


class _BlameLineFields(TypedDict):
    line_number: int
    commit_sha: str
    original_line_number: int
    original_path: str
    author_name: str
    author_email: str
    author_time: datetime
    raw_author_time: str
    committer_name: str
    committer_email: str
    committer_time: datetime
    raw_committer_time: str
    summary: str


class BlameLine(_BlameLineFields, total=False):
    """A line of a file, and the commit that it came from."""

    previous_commit_sha: str


class BlameResult(TypedDict):
    """The lines of a file."""

    ref: str
    path: str
    commit_sha: str
    lines: List[BlameLine]


class GrepLine(TypedDict):
    """A line that matches, or is near one."""

    line_number: int
    text: str
    type: str


class GrepFileMatch(TypedDict):
    """A file with matches."""

    path: str
    lines: List[GrepLine]


class GrepQueryResult(TypedDict):
    """What was searched for."""

    pattern: str
    case_sensitive: bool


class GrepRepoInfo(TypedDict):
    """Where it was searched for."""

    ref: str
    commit: str


class _GrepResultFields(TypedDict):
    query: GrepQueryResult
    repo: GrepRepoInfo
    matches: List[GrepFileMatch]
    has_more: bool


class GrepResult(_GrepResultFields, total=False):
    """A page of matches."""

    next_cursor: Optional[str]


#: Where the bytes of a file come from. Text is sent as UTF-8; what can be iterated yields bytes.
FileSource = Union[str, bytes, bytearray, memoryview, Iterable[bytes], AsyncIterable[bytes]]
