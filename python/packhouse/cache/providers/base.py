"""What a hosting service is asked: who it serves, and with which credentials."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from http.client import HTTPMessage
from typing import IO, Any, Dict, NamedTuple, Optional, Union
from urllib.parse import urlsplit

#: The ports that a URL of these schemes need not name.
_PORTS = {"https": ":443", "http": ":80", "ssh": ":22"}

#: Seconds that a service has for an answer.
TIMEOUT = 30.0


class Credentials(NamedTuple):
    """A user and a password or token, for HTTP basic authentication."""

    username: str
    password: str

    def __repr__(self) -> str:
        # Credentials must not get into logs by being printed.
        return f"Credentials(username={self.username!r}, password=…)"


class GitProvider(ABC):
    """A hosting service. ``api_token`` is its access token, ``base_url`` the address of its API where it is one's own."""

    def __init__(self, api_token: Optional[str] = None, base_url: Optional[str] = None) -> None:
        self.api_token = api_token
        self.base_url = base_url

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"

    @abstractmethod
    def get_name(self) -> str:
        """The name under which a manager knows the provider."""

    @abstractmethod
    def can_handle_url(self, url: str) -> bool:
        """Whether the repository at ``url`` is on this service."""

    @abstractmethod
    def extract_repo_info(self, url: str) -> Dict[str, str]:
        """``owner``, ``repo`` and ``api_url`` of the repository at ``url``.

        Raises:
            ValueError: it is not a URL of this service.
        """

    @abstractmethod
    def get_repository_metrics(self, owner: str, repo: str) -> Union[Dict[str, Any], Exception]:
        """Counts that the service keeps of a repository."""

    @abstractmethod
    def get_repository_metadata(self, owner: str, repo: str) -> Union[Dict[str, Any], Exception]:
        """What else the service knows about a repository."""

    def supports_url(self, url: str) -> bool:
        """``can_handle_url``."""
        return self.can_handle_url(url)

    def is_available(self) -> bool:
        """Whether the provider has a token."""
        return self.api_token is not None

    def get_credentials(self, url: str) -> Optional[Credentials]:
        """What the repository at ``url`` is read with; by default nothing."""
        return None

    def may_send(self, url: str) -> bool:
        """Whether credentials may go to ``url``: not unencrypted over a network, unless ``base_url`` is unencrypted too."""
        return is_private(url) or (self.base_url or "").startswith("http://")


def is_private(url: str) -> bool:
    """Whether nobody on the way reads what is sent to ``url``: over TLS or SSH, or to this machine."""
    if "://" not in url:
        return True  # user@host:path is SSH
    parts = urlsplit(url)
    if parts.scheme in ("https", "ssh"):
        return True
    host = parts.hostname or ""
    return host == "localhost" or host == "::1" or host.startswith("127.")


def host_of(url: str) -> str:
    """The host of a URL, with its port if that is not the usual one, or of ``user@host:path``; in lower case."""
    if "://" in url:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2].lower()
        usual = _PORTS.get(parts.scheme)
        return host[: -len(usual)] if usual and host.endswith(usual) else host
    return url.partition(":")[0].rpartition("@")[2].lower()


def path_of(url: str) -> str:
    """The path of a URL or of ``user@host:path``, without slashes around it and ``.git`` at its end."""
    path = urlsplit(url).path if "://" in url else url.partition(":")[2]
    path = path.strip("/")
    return path[: -len(".git")] if path.endswith(".git") else path


def get_json(url: str, headers: Dict[str, str]) -> Any:
    """What the service answers to ``GET url``.

    Raises:
        OSError: it could not be reached, or refuses.
        ValueError: it answers something else than JSON.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "packhouse", **headers})
    with urllib.request.build_opener(_SameHost).open(request, timeout=TIMEOUT) as answer:
        return json.load(answer)


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects within a host only: a token is not for another one."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Optional[urllib.request.Request]:
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if (before.scheme, before.netloc) != (after.scheme, after.netloc):
            raise urllib.error.HTTPError(req.full_url, code, f"redirected to {after.netloc}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
