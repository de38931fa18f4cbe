"""Webhooks and events of a repository or of an organisation. How a receiver checks a delivery is in :mod:`.webhook`."""

from __future__ import annotations

import asyncio
from typing import Any, AsyncIterator, Optional, cast

from packhouse import _native

from .errors import answer
from .handle import given
from .results import page
from .types import (
    DeletedWebhook,
    Event,
    ListDeliveriesResult,
    ListWebhooksResult,
    Webhook,
    WebhookDelivery,
)


class Webhooks:
    """Subscriptions to events."""

    def __init__(self, webhooks: _native.HostedWebhooks) -> None:
        self._webhooks = webhooks

    async def create(self, *, url: str, events: Optional[list[str]] = None, secret: Optional[str] = None) -> Webhook:
        """Subscribes to kinds of events, to ``push`` if none are given. Only this answer has the secret."""
        return cast(Webhook, await answer(self._webhooks.create(given(url=url, events=events, secret=secret))))

    async def list(self, *, cursor: Optional[str] = None, limit: Optional[int] = None) -> ListWebhooksResult:
        """A page of the webhooks, oldest first."""
        return cast(ListWebhooksResult, page(await answer(self._webhooks.list(given(cursor=cursor, limit=limit)))))

    async def get(self, *, id: str) -> Webhook:
        """One webhook."""
        return cast(Webhook, await answer(self._webhooks.get(id)))

    async def delete(self, *, id: str) -> DeletedWebhook:
        """Unsubscribes."""
        return cast(DeletedWebhook, await answer(self._webhooks.delete(id)))

    async def deliveries(
        self, *, id: str, cursor: Optional[str] = None, limit: Optional[int] = None
    ) -> ListDeliveriesResult:
        """A page of what was delivered, the newest attempts first."""
        request = given(cursor=cursor, limit=limit)
        return cast(ListDeliveriesResult, page(await answer(self._webhooks.deliveries(id, request))))

    async def redeliver(self, *, id: str, delivery: str) -> WebhookDelivery:
        """Delivers one event again, and says how that went."""
        return cast(WebhookDelivery, await answer(self._webhooks.redeliver(id, delivery)))

    async def replay(self, *, id: str, after: str) -> None:
        """Delivers everything after an event again; after ``"0"``, everything there is."""
        await answer(self._webhooks.replay(id, {"after": after}))


class Events:
    """Events in their order, without an end: ``async for event in events``.

    A connection that breaks is made again and misses nothing, and neither does a wait for an event that is cancelled. Close
    it, or use it with ``async with``.
    """

    def __init__(self, events: _native.HostedEvents) -> None:
        self._events: Optional[_native.HostedEvents] = events
        self._waiting: Optional[asyncio.Future[Any]] = None

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if self._events is None:
            raise StopAsyncIteration
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(answer(self._events.next()))
        try:
            found = await asyncio.shield(self._waiting)
        except asyncio.CancelledError:
            # The event, on its way or there already, is for the next caller.
            raise
        except BaseException:
            self._waiting = None
            raise
        self._waiting = None
        if found is None:
            raise StopAsyncIteration
        id, kind, data = found
        return {"id": id, "type": kind, "data": data}

    async def aclose(self) -> None:
        events, self._events = self._events, None
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        if events is not None:
            await events.close()

    async def __aenter__(self) -> Events:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
