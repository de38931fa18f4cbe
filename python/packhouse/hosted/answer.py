"""Answers of the server that were read whole."""

from __future__ import annotations

import json
from typing import Any, Iterator, Mapping, Optional, Sequence


class Headers(Mapping[str, str]):
    """Headers by their names, in any case."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            name = name.lower()
            known = self._values.get(name)
            self._values[name] = value if known is None else f"{known}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({self._values!r})"


class Answer:
    """What the server answered: ``status_code``, ``headers`` and a body."""

    def __init__(self, status: int, headers: Sequence[tuple[str, str]], body: Optional[bytes], request: str = "") -> None:
        self.status_code = status
        self.headers = Headers(headers)
        #: Method and path of the request, where it is known.
        self.request = request
        self._content = body

    @property
    def is_success(self) -> bool:
        return 200 <= self.status_code < 300

    @property
    def is_error(self) -> bool:
        return self.status_code >= 400

    @property
    def content(self) -> bytes:
        """The body, once it was read."""
        if self._content is None:
            raise RuntimeError("the body was not read: await aread() first")
        return self._content

    @property
    def text(self) -> str:
        """The body as UTF-8; what is none is replaced."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.content)

    async def aread(self) -> bytes:
        """The whole body."""
        return self.content

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.status_code}]>"
