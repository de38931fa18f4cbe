"""GitHub, and GitHub Enterprise."""

from __future__ import annotations

from typing import Any, Dict, Optional, Union
from urllib.parse import quote

from .base import Credentials, GitProvider, get_json, host_of, path_of

#: What the metadata takes over from the service as it is.
_FIELDS = (
    "name",
    "description",
    "language",
    "created_at",
    "updated_at",
    "pushed_at",
    "default_branch",
    "homepage",
    "size",
    "watchers_count",
    "network_count",
    "subscribers_count",
)


class GitHubProvider(GitProvider):
    """Repositories on GitHub, read with a personal access token or one of an app's installation."""

    def __init__(self, api_token: Optional[str] = None, base_url: Optional[str] = None) -> None:
        super().__init__(api_token, base_url)
        self.api_base = (base_url or "https://api.github.com").rstrip("/")

    def get_name(self) -> str:
        return "GitHub"

    def can_handle_url(self, url: str) -> bool:
        host = host_of(url)
        if self.base_url is not None:
            # The API of an Enterprise server is below the host of its repositories.
            return host == host_of(self.base_url)
        return host in ("github.com", "www.github.com", "ssh.github.com")

    def extract_repo_info(self, url: str) -> Dict[str, str]:
        owner, _, repo = path_of(url).partition("/")
        if not self.can_handle_url(url) or not owner or not repo or "/" in repo:
            raise ValueError(f"not the URL of a repository on {self.get_name()}: {url}")
        return {"owner": owner, "repo": repo, "api_url": self._api(owner, repo)}

    def get_credentials(self, url: str) -> Optional[Credentials]:
        if self.api_token is None or not self.may_send(url):
            return None
        return Credentials("x-access-token", self.api_token)

    def get_repository_metrics(self, owner: str, repo: str) -> Union[Dict[str, Any], Exception]:
        try:
            found = self._get(owner, repo)
            pulls = self._get(owner, repo, "/pulls?state=open&per_page=100")
            contributors = self._get(owner, repo, "/contributors?per_page=100")
            return {
                "stars": found.get("stargazers_count", 0),
                "forks": found.get("forks_count", 0),
                "open_issues": found.get("open_issues_count", 0),
                "pull_requests": {"open": len(pulls)},
                "contributors": len(contributors),
            }
        except (OSError, ValueError, AttributeError, TypeError) as error:
            return Exception(f"GitHub API request failed: {error}")

    def get_repository_metadata(self, owner: str, repo: str) -> Union[Dict[str, Any], Exception]:
        try:
            found = self._get(owner, repo)
            metadata = {field: found.get(field) for field in _FIELDS}
            metadata["topics"] = found.get("topics") or []
            metadata["license"] = (found.get("license") or {}).get("name")
            for field in ("archived", "fork", "private"):
                metadata[field] = bool(found.get(field))
            return metadata
        except (OSError, ValueError, AttributeError) as error:
            return Exception(f"GitHub API request failed: {error}")

    def _api(self, owner: str, repo: str) -> str:
        return f"{self.api_base}/repos/{quote(owner, safe='')}/{quote(repo, safe='')}"

    def _get(self, owner: str, repo: str, rest: str = "") -> Any:
        headers = {"Accept": "application/vnd.github+json"}
        if self.api_token is not None:
            headers["Authorization"] = f"Bearer {self.api_token}"
        return get_json(self._api(owner, repo) + rest, headers)
