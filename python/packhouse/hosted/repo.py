"""One repository of the hosted API."""

from __future__ import annotations

from typing import Any, AsyncIterator, Optional, cast

from packhouse import _native

from .branches import Branches
from .commits import Commits
from .errors import ApiError, answer, error_of
from .files import Files
from .handle import deprecated, each, given
from .merges import Merges
from .notes import Notes
from .results import page
from .tokens import pairs
from .types import AuditEntry, ListAuditResult, ListJobsResult, RefPolicy
from .webhooks import Events, Webhooks


class Repo(Files, Branches, Commits, Merges, Notes):
    """A repository, which :class:`GitStorage` makes, finds or names.

    Its calls take keyword arguments. ``ttl`` is how long the token of the request is good, in seconds; ``ref_policies``
    limit what it allows.
    """

    def __init__(
        self,
        client: _native.HostedClient,
        id: str,
        *,
        default_branch: str = "main",
        created_at: str = "",
    ) -> None:
        super().__init__(client, id)
        self._default_branch = default_branch
        self._created_at = created_at

    @property
    def default_branch(self) -> str:
        """The branch that HEAD names, as far as it was known when this was made."""
        return self._default_branch

    @property
    def created_at(self) -> str:
        """When it was created, RFC 3339; empty if that is not known."""
        return self._created_at

    async def get_remote_url(
        self,
        *,
        permissions: Optional[list[str]] = None,
        ttl: Optional[int] = None,
        ops: Optional[list[str]] = None,
        ref_policies: Optional[list[RefPolicy]] = None,
    ) -> str:
        """A URL for Git with a token in it: handle it like a password.

        The token allows ``git:write`` and ``git:read`` for a year unless said otherwise.
        """
        return self._url("ordinary", permissions, ttl, ops, ref_policies)

    async def get_ephemeral_remote_url(
        self,
        *,
        permissions: Optional[list[str]] = None,
        ttl: Optional[int] = None,
        ops: Optional[list[str]] = None,
        ref_policies: Optional[list[RefPolicy]] = None,
    ) -> str:
        """The same for the ephemeral branches, which Git sees as ordinary ones."""
        return self._url("ephemeral", permissions, ttl, ops, ref_policies)

    async def get_import_remote_url(
        self,
        *,
        permissions: Optional[list[str]] = None,
        ttl: Optional[int] = None,
        ops: Optional[list[str]] = None,
        ref_policies: Optional[list[RefPolicy]] = None,
    ) -> str:
        """The same for one large push."""
        return self._url("import", permissions, ttl, ops, ref_policies)

    async def pull_upstream(
        self,
        *,
        ref: Optional[str] = None,
        ttl: Optional[int] = None,
        ref_policies: Optional[list[RefPolicy]] = None,
    ) -> None:
        """Asks for a sync with the upstream, which goes on in the background."""
        try:
            await answer(self._call(ttl, ref_policies).pull_upstream(given(ref=ref)))
        except ApiError as error:
            error.args = (f"Pull Upstream failed: {error.status_code} {error.message}",)
            raise

    async def detach_upstream(self, *, ttl: Optional[int] = None) -> None:
        """Detaches the repository from its upstream. What was fetched stays."""
        await answer(self._call(ttl).detach_upstream())

    async def list_jobs(
        self, *, cursor: Optional[str] = None, limit: Optional[int] = None, ttl: Optional[int] = None
    ) -> ListJobsResult:
        """A page of what is done for the repository in the background, newest first."""
        request = given(cursor=cursor, limit=limit)
        return cast(ListJobsResult, page(await answer(self._call(ttl).list_jobs(request))))

    async def list_audit(
        self,
        *,
        who: Optional[str] = None,
        kind: Optional[str] = None,
        since: Optional[str] = None,
        until: Optional[str] = None,
        cursor: Optional[str] = None,
        limit: Optional[int] = None,
        ttl: Optional[int] = None,
    ) -> ListAuditResult:
        """A page of what was done to the repository, and to deleted ones of its name, newest first."""
        request = given(who=who, kind=kind, since=since, until=until, cursor=cursor, limit=limit)
        return cast(ListAuditResult, page(await answer(self._call(ttl).list_audit(request))))

    def iter_audit(self, *, cursor: Optional[str] = None, **options: Any) -> AsyncIterator[AuditEntry]:
        """Everything that was done to it. Takes what :meth:`list_audit` does."""
        return each("entries", lambda cursor: self.list_audit(cursor=cursor, **options), cursor)

    @property
    def webhooks(self) -> Webhooks:
        """Webhooks of this repository."""
        return Webhooks(self._call().webhooks())

    def events(self, *, after: Optional[str] = None) -> Events:
        """Events of this repository as they happen; those after an event first, after ``"0"`` all there are."""
        return Events(self._call().events(after))

    def __repr__(self) -> str:
        return f"Repo({self._id!r})"

    def _url(
        self,
        kind: str,
        scopes: Optional[list[str]],
        ttl: Optional[int],
        ops: Optional[list[str]],
        refs: Optional[list[RefPolicy]],
    ) -> str:
        if ops is not None:
            deprecated("ops", "ref_policies=[{'pattern': '*', 'ops': [...]}]")
        try:
            return self._call().remote_url(
                kind=kind, scopes=scopes, ttl=ttl, refs=pairs(refs), ops=[str(op) for op in ops or []]
            )
        except _native.HostedFailure as failure:
            error = error_of(failure)
        raise error
