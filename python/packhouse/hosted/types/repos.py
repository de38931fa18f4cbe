"""Repositories, credentials and jobs."""

from __future__ import annotations

from typing import Any, List, Literal, Optional, TypedDict, Union


class PublicGitHubBaseRepoAuth(TypedDict):
    """How a public upstream is read: without credentials."""

    auth_type: Literal["public"]


class GitHubBaseRepo(TypedDict, total=False):
    """A repository of GitHub to follow."""

    provider: Literal["github"]
    owner: str
    name: str
    default_branch: Optional[str]
    auth: PublicGitHubBaseRepoAuth


class ForkBaseRepo(TypedDict, total=False):
    """A repository of this server to fork, or to take a snapshot of."""

    id: str
    ref: Optional[str]
    sha: Optional[str]
    operation: Literal["fork", "snapshot"]


class GenericGitBaseRepo(TypedDict, total=False):
    """A repository of another host to follow."""

    provider: str
    owner: str
    name: str
    default_branch: Optional[str]
    upstream_host: Optional[str]
    url: Optional[str]
    auth: dict[str, Any]


BaseRepo = Union[GitHubBaseRepo, ForkBaseRepo, GenericGitBaseRepo]


class DeleteRepoResult(TypedDict):
    """A repository that was deleted."""

    repo_id: str
    message: str


class CreateGitCredentialResult(TypedDict):
    """A credential that was stored."""

    id: str


class GitCredential(TypedDict, total=False):
    """A stored credential, as far as it is shown."""

    id: str
    created_at: Optional[str]


class RepoBaseInfo(TypedDict):
    """The upstream of a repository."""

    provider: str
    owner: str
    name: str


class RepoInfo(TypedDict, total=False):
    """A repository of a list."""

    repo_id: str
    url: str
    default_branch: str
    created_at: str
    base_repo: RepoBaseInfo


class ListReposResult(TypedDict):
    """A page of repositories."""

    repos: List[RepoInfo]
    next_cursor: Optional[str]
    has_more: bool


class _JobFields(TypedDict):
    id: str
    kind: str
    status: Literal["waiting", "running", "done", "failed"]
    attempts: int
    requested_at: str


class Job(_JobFields, total=False):
    """Work in the background."""

    repo_id: str
    started_at: str
    finished_at: str
    next_attempt_at: str
    error: str


class ListJobsResult(TypedDict):
    """A page of jobs."""

    jobs: List[Job]
    next_cursor: Optional[str]
    has_more: bool
