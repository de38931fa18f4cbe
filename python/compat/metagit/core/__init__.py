"""Where programs look for ``gitcache`` and ``providers``."""
