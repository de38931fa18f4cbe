"""Webhooks and events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, List, Literal, Optional, TypedDict, Union


class _WebhookFields(TypedDict):
    id: str
    url: str
    events: List[str]
    created_at: str


class Webhook(_WebhookFields, total=False):
    """A subscription to events."""

    repo_id: str
    secret: str


class ListWebhooksResult(TypedDict):
    """A page of webhooks."""

    webhooks: List[Webhook]
    next_cursor: Optional[str]
    has_more: bool


class DeletedWebhook(TypedDict):
    """A webhook that was deleted."""

    id: str
    message: str


class _WebhookDeliveryFields(TypedDict):
    id: str
    event_id: str
    event: str
    repo_id: str
    state: Literal["delivered", "retrying", "failed"]
    attempts: int
    attempted_at: str
    duration_ms: int
    request_body: str


class WebhookDelivery(_WebhookDeliveryFields, total=False):
    """What became of an event at a webhook."""

    response_status: int
    response_body: str
    failure: str


class ListDeliveriesResult(TypedDict):
    """A page of deliveries."""

    deliveries: List[WebhookDelivery]
    next_cursor: Optional[str]
    has_more: bool


class Event(TypedDict):
    """Something that happened to a repository."""

    id: str
    type: str
    data: Any


class WebhookValidationOptions(TypedDict, total=False):
    """How a delivery is checked."""

    max_age_seconds: int


class WebhookPushEvent(TypedDict):
    """A ref that moved."""

    type: Literal["push"]
    repository: dict[str, str]
    ref: str
    before: str
    after: str
    customer_id: str
    pushed_at: datetime
    raw_pushed_at: str


class ParsedWebhookSignature(TypedDict):
    """The parts of a signature."""

    timestamp: str
    signature: str


class WebhookUnknownEvent(TypedDict):
    """Another event."""

    type: str
    raw: Any


WebhookEventPayload = Union[WebhookPushEvent, WebhookUnknownEvent]


class WebhookValidationResult(TypedDict, total=False):
    """Whether a delivery is valid, and what it says."""

    valid: bool
    error: Optional[str]
    event_type: Optional[str]
    timestamp: Optional[int]
    payload: WebhookEventPayload
