"""The client of the hosted API."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from typing import Any, AsyncIterator, NoReturn, Optional, cast

from packhouse import _native

from .errors import ApiError, answer, error_of
from .handle import each, given
from .repo import Repo
from .results import page
from .types import (
    AuditEntry,
    BaseRepo,
    CreateGitCredentialResult,
    DeleteRepoResult,
    GitCredential,
    GitStorageOptions,
    ListAuditResult,
    ListJobsResult,
    ListReposResult,
    RepoInfo,
)
from .version import AGENT
from .webhooks import Events, Webhooks


class GitStorage:
    """Repositories of one organisation.

    ``name`` and ``key`` are needed: the organisation, and a private key of it in PEM; or a ``token`` that was made
    elsewhere. ``api_base_url`` says where the server is, ``storage_base_url`` what Git URLs begin with. Requests that
    the server turned away are sent up to ``attempts`` times (4), and one that hears nothing for ``timeout`` seconds fails
    (30, of diffs 60, of writes 180). ``certificates`` are in PEM, besides those that the system trusts.
    """

    def __init__(self, options: GitStorageOptions) -> None:
        if not options:
            raise ValueError("GitStorage needs a name and a key, or a name and a token")
        name, key, token = options.get("name"), options.get("key"), options.get("token")
        if name is None or (key is None and token is None):
            raise ValueError("GitStorage needs a name and a key, or a name and a token")
        for field, value in (("name", name), ("key", key), ("token", token)):
            if value is not None and (not isinstance(value, str) or not value.strip()):
                raise ValueError(f"GitStorage {field} must be a non-empty string.")
        self._options = cast(GitStorageOptions, dict(options))
        api = options.get("api_base_url") or self.get_default_api_base_url(name)
        storage = options.get("storage_base_url") or self.get_default_storage_base_url(name)
        version = options.get("api_version") or 1
        self._options.update({"api_base_url": api, "storage_base_url": storage, "api_version": version})
        try:
            self._client = _native.HostedClient(
                name=name,
                key=key,
                token=token,
                api_base_url=api,
                storage_base_url=storage,
                api_version=version,
                default_ttl=options.get("default_ttl"),
                agent=AGENT,
                attempts=options.get("attempts"),
                timeout=options.get("timeout"),
                certificates=options.get("certificates"),
            )
            return
        except _native.HostedFailure as failure:
            error = error_of(failure)
        raise error

    @staticmethod
    def get_default_api_base_url(name: str) -> str:
        """Where the API of an organisation is at code.storage."""
        return f"https://api.{name}.code.storage"

    @staticmethod
    def get_default_storage_base_url(name: str) -> str:
        """What Git URLs of an organisation begin with at code.storage."""
        return f"{name}.code.storage"

    async def create_repo(
        self,
        *,
        id: Optional[str] = None,
        default_branch: Optional[str] = None,
        base_repo: Optional[BaseRepo] = None,
        initial_commit: Optional[dict[str, Any]] = None,
        ttl: Optional[int] = None,
    ) -> Repo:
        """Creates a repository, under a new UUID unless ``id`` is given.

        With ``base_repo`` it follows an upstream, or, with the ``id`` of another repository in it, is a fork of that; a
        fork of ``operation`` ``snapshot`` has one commit, which ``initial_commit`` describes.
        """
        repo_id = str(uuid.uuid4()) if id is None else id
        base = dict(cast("dict[str, Any]", base_repo)) if base_repo else None
        branch = default_branch
        if base is not None and "id" in base:
            base = given(
                provider="code",
                owner=self._options["name"],
                name=base["id"],
                operation=base.get("operation") or "fork",
                ref=base.get("ref"),
                sha=base.get("sha"),
            )
        elif base is not None:
            base = given(**{**base, "provider": base.get("provider") or "github"})
            branch = base.get("default_branch") or default_branch or "main"
        elif branch is None:
            branch = "main"
        request = given(default_branch=branch, base_repo=base, initial_commit=initial_commit)
        try:
            await answer(self._client.repo(repo_id, ttl, []).create(request))
        except ApiError as error:
            _renamed(error, repository_exists="Repository already exists")
        created_at = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
        return self.repo(id=repo_id, default_branch=branch, created_at=created_at)

    async def find_one(self, *, id: str) -> Optional[Repo]:
        """The repository, or None if there is none."""
        try:
            found = await answer(self._client.repo(id, None, []).describe())
        except ApiError as error:
            if error.status_code == 404:
                return None
            raise
        return self.repo(id=id, default_branch=found["default_branch"], created_at=found["created_at"])

    def repo(self, *, id: str, default_branch: Optional[str] = None, created_at: Optional[str] = None) -> Repo:
        """A repository to call, without asking whether there is one."""
        if not isinstance(id, str) or not id.strip():
            raise ValueError("repo requires a non-empty repository id.")
        return Repo(self._client, id, default_branch=default_branch or "main", created_at=created_at or "")

    async def list_repos(
        self,
        *,
        cursor: Optional[str] = None,
        limit: Optional[int] = None,
        q: Optional[str] = None,
        ttl: Optional[int] = None,
    ) -> ListReposResult:
        """A page of the organisation's repositories, those whose id has ``q`` in it."""
        request = given(cursor=cursor, limit=limit, q=(q or "").strip() or None)
        return cast(ListReposResult, page(await answer(self._client.list_repos(request))))

    def iter_repos(self, *, cursor: Optional[str] = None, **options: Any) -> AsyncIterator[RepoInfo]:
        """Every repository, page by page. Takes what :meth:`list_repos` does."""
        return each("repos", lambda cursor: self.list_repos(cursor=cursor, **options), cursor)

    async def delete_repo(self, *, id: str, ttl: Optional[int] = None) -> DeleteRepoResult:
        """Deletes a repository. What it held is removed later."""
        try:
            return cast(DeleteRepoResult, await answer(self._client.repo(id, ttl, []).delete()))
        except ApiError as error:
            _renamed(
                error, repository_not_found="Repository not found", repository_deleted="Repository already deleted"
            )

    async def create_git_credential(
        self, *, repo_id: str, password: str, username: Optional[str] = None, ttl: Optional[int] = None
    ) -> CreateGitCredentialResult:
        """Stores the credential of a repository for its upstream; there is one at most."""
        request = given(repo_id=repo_id, password=password, username=username)
        try:
            made = await answer(self._client.create_git_credential(request))
        except ApiError as error:
            _renamed(error, credential_exists="A credential already exists for this repository")
        return {"id": made["id"]}

    async def update_git_credential(
        self, *, id: str, password: str, username: Optional[str] = None, ttl: Optional[int] = None
    ) -> GitCredential:
        """Replaces a stored credential."""
        request = given(id=id, password=password, username=username)
        try:
            return cast(GitCredential, await answer(self._client.update_git_credential(request)))
        except ApiError as error:
            _renamed(error, credential_not_found="Credential not found")

    async def delete_git_credential(self, *, id: str, ttl: Optional[int] = None) -> None:
        """Forgets a stored credential."""
        try:
            await answer(self._client.delete_git_credential({"id": id}))
        except ApiError as error:
            _renamed(error, credential_not_found="Credential not found")

    async def list_jobs(self, *, cursor: Optional[str] = None, limit: Optional[int] = None) -> ListJobsResult:
        """A page of what is done for the organisation in the background, newest first."""
        return cast(ListJobsResult, page(await answer(self._client.list_jobs(given(cursor=cursor, limit=limit)))))

    async def list_audit(
        self,
        *,
        repo: Optional[str] = None,
        who: Optional[str] = None,
        kind: Optional[str] = None,
        since: Optional[str] = None,
        until: Optional[str] = None,
        cursor: Optional[str] = None,
        limit: Optional[int] = None,
    ) -> ListAuditResult:
        """A page of what was done in the organisation, newest first: who, what, when, from where."""
        request = given(repo=repo, who=who, kind=kind, since=since, until=until, cursor=cursor, limit=limit)
        return cast(ListAuditResult, page(await answer(self._client.list_audit(request))))

    def iter_audit(self, *, cursor: Optional[str] = None, **options: Any) -> AsyncIterator[AuditEntry]:
        """Everything that was done. Takes what :meth:`list_audit` does."""
        return each("entries", lambda cursor: self.list_audit(cursor=cursor, **options), cursor)

    @property
    def webhooks(self) -> Webhooks:
        """Webhooks of the whole organisation."""
        return Webhooks(self._client.webhooks())

    def events(self, *, after: Optional[str] = None) -> Events:
        """Events of every repository as they happen; those after an event first, after ``"0"`` all there are."""
        return Events(self._client.events(after))

    def get_config(self) -> GitStorageOptions:
        """The options, completed. A copy."""
        return cast(GitStorageOptions, dict(self._options))


def create_client(options: GitStorageOptions) -> GitStorage:
    """The same as :class:`GitStorage`."""
    return GitStorage(options)


def _renamed(error: ApiError, **messages: str) -> NoReturn:
    """Raises the error, with the text by which programs know the failures of these codes."""
    message = messages.get(error.code or "")
    if message is not None:
        error.message = message
        error.args = (message,)
    raise error
