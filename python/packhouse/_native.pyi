"""The engine: a close binding of the Rust store. Use ``packhouse.store`` instead."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Optional, Union, final

__version__: str

_Path = Union[str, bytes, os.PathLike[Any]]
# Path, type and source of a changed file.
_File = tuple[str, str, Optional[str]]
# Path and what went wrong.
_Problem = tuple[str, str]
_Changes = tuple[list[_File], list[_File], list[_File], list[_Problem], list[_Problem]]
# Name, id in hexadecimal as bytes, mode.
_Entry = tuple[str, bytes, int]
# Name, old id, new id.
_RefChange = tuple[str, Optional[str], Optional[str]]
_RefChanges = tuple[list[_RefChange], list[_RefChange], list[_RefChange]]
_Progress = Optional[Callable[[int, Optional[int]], object]]

class StaleSnapshotError(Exception): ...
class GitError(Exception): ...
