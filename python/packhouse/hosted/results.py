"""Answers of the API as the results that callers see: times become datetimes, next cursors are always there."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

from .response import Response
from .types import DiffFileState
from .webhook import parse_time

Fields = dict[str, Any]

_STATES = {
    "A": DiffFileState.ADDED,
    "M": DiffFileState.MODIFIED,
    "D": DiffFileState.DELETED,
    "R": DiffFileState.RENAMED,
    "C": DiffFileState.COPIED,
    "T": DiffFileState.TYPE_CHANGED,
    "U": DiffFileState.UNMERGED,
}


def page(answer: Fields) -> Fields:
    """A page of a list."""
    answer.setdefault("next_cursor", None)
    answer.setdefault("has_more", False)
    return answer


def page_of_files(answer: Fields) -> Fields:
    """A page of a list that may also be whole: only what goes on has a cursor."""
    answer.setdefault("has_more", False)
    return answer


def commit(fields: Fields) -> Fields:
    fields["raw_date"] = fields["date"]
    fields["date"] = parse_time(fields["raw_date"])
    return fields


def diff(answer: Fields) -> Fields:
    for file in answer["files"] + answer["filtered_files"]:
        file["raw_state"] = file["state"]
        file["state"] = _STATES.get(file["raw_state"][:1].upper(), DiffFileState.UNKNOWN)
        file.setdefault("old_path", None)
    return answer


def blame(answer: Fields) -> Fields:
    for line in answer["lines"]:
        for who in ("author", "committer"):
            line[f"raw_{who}_time"] = line[f"{who}_time"]
            line[f"{who}_time"] = parse_time(line[f"raw_{who}_time"])
    return answer


def files_with_metadata(answer: Fields) -> Fields:
    for last in answer["commits"].values():
        commit(last)
    return page_of_files(answer)


def merge(answer: Fields) -> Fields:
    # The same name twice.
    answer["source"].pop("ref", None)
    return answer


def file_metadata(response: Response) -> Fields:
    """What the headers of a file say, as far as they are there."""
    headers = response.headers
    found: Fields = {"status_code": response.status_code}
    texts = {
        "blob_sha": "x-blob-sha",
        "last_commit_sha": "x-last-commit-sha",
        "etag": "etag",
        "accept_ranges": "accept-ranges",
        "content_range": "content-range",
        "content_type": "content-type",
        "raw_last_modified": "last-modified",
    }
    for field, name in texts.items():
        if (value := headers.get(name)) is not None:
            found[field] = value
    if (size := headers.get("content-length")) is not None:
        found["size"] = int(size)
    if "raw_last_modified" in found:
        found["last_modified"] = parsedate_to_datetime(found["raw_last_modified"])
    return found
