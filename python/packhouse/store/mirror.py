"""What backup and restore change, and whom they ask for passwords."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable, Dict, Iterable, List, Optional, Tuple, Union

from .. import _native

if TYPE_CHECKING:
    from .arguments import LocalPath
    from .repository import GitStore

Progress = Optional[Callable[[int, Optional[int]], object]]
RefSelection = Union[Iterable[str], Dict[str, str], None]

# Name, old id and new id of the refs added, updated and deleted, as the engine has them.
_Change = Tuple[str, Optional[str], Optional[str]]
_Changes = Tuple[List[_Change], List[_Change], List[_Change]]


@dataclass
class RefChange:
    """One ref that moves; ``None`` means that it did not or does not exist."""

    ref: str
    old_target: Optional[str] = None
    new_target: Optional[str] = None


@dataclass
class MirrorDiff:
    """The refs that a backup or a restore changed, or would change."""

    add: List[RefChange] = field(default_factory=list)
    update: List[RefChange] = field(default_factory=list)
    delete: List[RefChange] = field(default_factory=list)

    @property
    def in_sync(self) -> bool:
        """Whether nothing differs."""
        return not (self.add or self.update or self.delete)

    @property
    def total(self) -> int:
        """How many refs differ."""
        return len(self.add) + len(self.update) + len(self.delete)


def mirror_diff(changes: _Changes) -> MirrorDiff:
    """The engine's answer as a :class:`MirrorDiff`."""
    add, update, delete = ([RefChange(*change) for change in part] for part in changes)
    return MirrorDiff(add, update, delete)


def ref_pairs(refs: RefSelection) -> Optional[List[Tuple[str, str]]]:
    """The selected refs as pairs of the name here and the name there; ``None`` selects all."""
    if refs is None:
        return None
    if isinstance(refs, str):
        return [(refs, refs)]
    if isinstance(refs, dict):
        return list(refs.items())
    return [(ref, ref) for ref in refs]


def bundle_export(
    store: GitStore,
    path: LocalPath,
    *,
    refs: RefSelection = None,
    squash: bool = False,
    progress: Progress = None,
) -> None:
    """See :meth:`GitStore.bundle_export`."""
    store.bundle_export(path, refs=refs, squash=squash, progress=progress)


def bundle_import(
    store: GitStore,
    path: LocalPath,
    *,
    refs: RefSelection = None,
    progress: Progress = None,
) -> None:
    """See :meth:`GitStore.bundle_import`."""
    store.bundle_import(path, refs=refs, progress=progress)


def resolve_credentials(url: str) -> str:
    """``url`` with the user and password that Git's credential helpers or ``gh`` know; unchanged if they know none.

    Only ``https`` URLs without a user are looked up.
    """
    return _native.resolve_credentials(url)
