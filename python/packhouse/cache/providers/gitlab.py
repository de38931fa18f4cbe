"""GitLab, at gitlab.com or one's own."""

from __future__ import annotations

from typing import Any, Dict, Optional, Union
from urllib.parse import quote

from .base import Credentials, GitProvider, get_json, host_of, path_of


class GitLabProvider(GitProvider):
    """Repositories on GitLab, read with a personal, project or group access token.

    ``base_url`` is that of the API, ``https://gitlab.example.com/api/v4``, or of the server alone.
    """

    def __init__(self, api_token: Optional[str] = None, base_url: Optional[str] = None) -> None:
        super().__init__(api_token, base_url)
        base = (base_url or "https://gitlab.com").rstrip("/")
        self.api_base = base if base.endswith("/api/v4") else f"{base}/api/v4"

    def get_name(self) -> str:
        return "GitLab"

    def can_handle_url(self, url: str) -> bool:
        host = host_of(url)
        if self.base_url is not None:
            return host == host_of(self.base_url)
        return host in ("gitlab.com", "www.gitlab.com", "altssh.gitlab.com")

    def extract_repo_info(self, url: str) -> Dict[str, str]:
        # Groups have groups in them: the last name is the project's.
        owner, _, repo = path_of(url).rpartition("/")
        if not self.can_handle_url(url) or not owner or not repo:
            raise ValueError(f"not the URL of a repository on {self.get_name()}: {url}")
        return {"owner": owner, "repo": repo, "api_url": self._api(owner, repo)}

    def get_credentials(self, url: str) -> Optional[Credentials]:
        if self.api_token is None or not self.may_send(url):
            return None
        return Credentials("oauth2", self.api_token)

    def get_repository_metrics(self, owner: str, repo: str) -> Union[Dict[str, Any], Exception]:
        try:
            found = self._get(owner, repo)
            merges = self._get(owner, repo, "/merge_requests?state=opened&per_page=100")
            contributors = self._get(owner, repo, "/repository/contributors?per_page=100")
            return {
                "stars": found.get("star_count", 0),
                "forks": found.get("forks_count", 0),
                "open_issues": found.get("open_issues_count", 0),
                "pull_requests": {"open": len(merges)},
                "contributors": len(contributors),
            }
        except (OSError, ValueError, AttributeError, TypeError) as error:
            return Exception(f"GitLab API request failed: {error}")

    def get_repository_metadata(self, owner: str, repo: str) -> Union[Dict[str, Any], Exception]:
        try:
            found = self._get(owner, repo, "?license=true")
            return {
                "name": found.get("name"),
                "description": found.get("description"),
                "topics": found.get("topics") or [],
                "created_at": found.get("created_at"),
                "updated_at": found.get("last_activity_at"),
                "default_branch": found.get("default_branch"),
                "license": (found.get("license") or {}).get("name"),
                "archived": bool(found.get("archived")),
                "fork": "forked_from_project" in found,
                "private": found.get("visibility") != "public",
                "homepage": found.get("web_url"),
            }
        except (OSError, ValueError, AttributeError) as error:
            return Exception(f"GitLab API request failed: {error}")

    def _api(self, owner: str, repo: str) -> str:
        return f"{self.api_base}/projects/{quote(f'{owner}/{repo}', safe='')}"

    def _get(self, owner: str, repo: str, rest: str = "") -> Any:
        headers = {} if self.api_token is None else {"PRIVATE-TOKEN": self.api_token}
        return get_json(self._api(owner, repo) + rest, headers)
