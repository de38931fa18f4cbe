"""packhouse.cache beside an event loop."""

import asyncio
import time

import pytest
from cache_site import config, good, manager, remote, run, site

from packhouse.cache import GitCacheManager


def test_the_loop_goes_on(manager, site, remote):
    site.delay = 0.1
    (entry, other), ticks = run(
        lambda: asyncio.gather(
            manager.cache_repository_async(remote.url), manager.cache_repository_async(remote.url)
        )
    )
    assert good(entry).status == "fresh" and good(other).name == "repo" and ticks > 20
    results, ticks = run(lambda: asyncio.gather(*(manager.refresh_cache_entry_async("repo") for _ in range(4))))
    assert all(good(entry).status == "fresh" for entry in results) and ticks > 10
    made, _ = run(lambda: manager.checkout_async("repo"))
    assert good(made).path.is_dir()


def test_a_cancelled_copy_ends_and_leaves_nothing(manager, site, remote):
    site.delay = 20

    async def cancelled():
        task = asyncio.create_task(manager.cache_repository_async(remote.url))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    begun = time.monotonic()
    asyncio.run(cancelled())
    assert time.monotonic() - begun < 3 and not (manager.config.cache_root / "repo").exists()
    site.delay = 0.0
    good(manager.cache_repository(remote.url))


def test_who_waits_for_a_copy_that_another_cancels_gets_it(manager, site, remote):
    site.delay = 20

    async def both():
        first = asyncio.create_task(manager.cache_repository_async(remote.url))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(manager.cache_repository_async(remote.url))
        await asyncio.sleep(0.1)
        first.cancel()
        site.delay = 0
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert good(asyncio.run(both())).status == "fresh"


def test_coroutines_can_be_switched_off(config, remote):
    config.enable_async = False
    manager = GitCacheManager(config)
    result, _ = run(lambda: manager.cache_repository_async(remote.url))
    assert isinstance(result, Exception) and "enable_async" in str(result)
    good(manager.cache_repository(remote.url))
