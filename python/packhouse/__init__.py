"""Packhouse from Python: a versioned file store on an ordinary bare Git repository.

The embedded store is ``packhouse.store``, its coroutines are ``packhouse.store.aio``; fsspec finds ``packhouse://`` by itself.
Repositories on a server are in ``packhouse.hosted``, a cache of repositories and directories is ``packhouse.cache``.
"""
