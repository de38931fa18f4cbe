"""Any other server: a token or a password for the repositories of a host."""

from __future__ import annotations

from typing import Any, Dict, Optional, Union

from .base import Credentials, GitProvider, host_of, path_of


class BasicProvider(GitProvider):
    """A user name and a password for every repository on ``host`` (``git.example.com``, or with a port), over HTTPS."""

    def __init__(self, host: str, username: str, password: str) -> None:
        super().__init__(password, None)
        if not host or "/" in host or "@" in host:
            raise ValueError(f"host must be a name as it stands in URLs, such as git.example.com: {host!r}")
        self.host = host.lower()
        self._username = username

    def get_name(self) -> str:
        return self.host

    def can_handle_url(self, url: str) -> bool:
        return host_of(url) == self.host

    def extract_repo_info(self, url: str) -> Dict[str, str]:
        owner, _, repo = path_of(url).rpartition("/")
        if not self.can_handle_url(url) or not repo:
            raise ValueError(f"not the URL of a repository on {self.host}: {url}")
        return {"owner": owner, "repo": repo, "api_url": ""}

    def get_repository_metrics(self, owner: str, repo: str) -> Union[Dict[str, Any], Exception]:
        return Exception(f"{self.host} has no API that is known")

    def get_repository_metadata(self, owner: str, repo: str) -> Union[Dict[str, Any], Exception]:
        return Exception(f"{self.host} has no API that is known")

    def get_credentials(self, url: str) -> Optional[Credentials]:
        if not self.may_send(url):
            return None
        return Credentials(self._username, self.api_token or "")


class TokenProvider(BasicProvider):
    """An access token for every repository on ``host``; ``username`` is what the server wants beside it."""

    def __init__(self, host: str, token: str, username: str = "x-access-token") -> None:
        super().__init__(host, username, token)
