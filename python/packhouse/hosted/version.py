"""The version of the package, and what it calls itself."""

from __future__ import annotations

from packhouse import _native

#: Version of packhouse.
PACKAGE_VERSION = _native.VERSION
#: What the server is told.
AGENT = f"packhouse-py-sdk/{PACKAGE_VERSION}"
