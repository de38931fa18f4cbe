"""Several files as one commit."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Deque, Optional, Type

from fsspec.transaction import Transaction

if TYPE_CHECKING:
    from .filesystem import PackhouseFileSystem
    from .uploads import Upload


class StoreTransaction(Transaction):
    """The files written in a ``with filesystem.transaction`` block: one commit at its end, and none if it raises.

    Copies, moves and removals are not part of it; they are commits of their own, at once.
    """

    fs: PackhouseFileSystem
    files: Deque[Upload]

    def start(self) -> None:
        """Begins it. There is one at a time."""
        if self.fs._intrans:
            raise RuntimeError("A transaction is open already: end it before the next one")
        super().start()
        self.fs._transaction = self

    def complete(self, commit: bool = True) -> None:
        """Ends it, however that goes: the file system is free for what comes next."""
        files = list(self.files)
        self.files.clear()
        self.fs._intrans = False
        self.fs._transaction = None
        try:
            if commit:
                for file in files:
                    file.finish()
                written = [file.content for file in files if not file.is_discarded]
                # One that only read may have nothing that it could write to.
                if written:
                    self.fs._commit(written)
        finally:
            for file in files:
                file.discard()

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.complete(commit=kind is None)
