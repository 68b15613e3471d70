"""What Twilio was seen to hold: the parts of its resources that a row's story needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)  # not frozen, for the same reason as Accepted
class Opened:
    """An Interaction that Twilio has taken on; what its answer did not name is None."""

    interaction_sid: str
    channel_sid: str | None
    flex_task_sid: str | None
    conversation_sid: str | None


@dataclass(frozen=True, slots=True)
class ChannelSeen:
    """An Interaction's channel: `status` is setup, active, failed, closed, inactive, pause or transfer."""

    sid: str
    status: str
    error_code: int | None = None
    error_message: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ConversationSeen:
    """A conversation that an address takes part in; `proxy_address` is our end of the pair."""

    sid: str
    state: str
    created_at: datetime | None
    proxy_address: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class MessageSeen:
    """A message of a row; `send` is the number of the send that it was."""

    sid: str
    send: int


@dataclass(frozen=True, slots=True)
class MessageRead:
    """A message as a conversation shows it; `key` is the `outreach_key` of the send that it was, None if not ours.

    `delivery` is how far it has come, in Twilio's word: sent, delivered, read, undelivered, failed, or "" for no news.
    """

    sid: str
    key: str | None
    author: str = field(repr=False)
    body: str = field(repr=False)
    created_at: datetime
    delivery: str


@dataclass(frozen=True, slots=True)
class ReceiptSeen:
    """The delivery of a message to one participant: the word as above, and Twilio's code, 0 where nothing failed."""

    status: str
    error_code: int


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """Where an account has the events of its conversations told: "" is nowhere, `filters` names those that are.

    `target` is webhook or flex; only the former sends them to `post_url`.
    """

    post_url: str = field(repr=False)
    filters: tuple[str, ...]
    method: str
    target: str


@dataclass(frozen=True, slots=True)
class FlexTaskSeen:
    """A Flex task; `key` is the `outreach_key` of the send that opened it, None where it is not ours."""

    sid: str
    key: str | None
    conversation_sid: str | None
    interaction_sid: str | None
    channel_sid: str | None
    assignment_status: str

    @property
    def has_ended(self) -> bool:
        """Tell whether its agent completed it, or it was taken from them or declined."""
        return self.assignment_status in ("completed", "canceled")


@dataclass(frozen=True, slots=True)
class TemplateSeen:
    """A content template: its variables with Twilio's sample values, and WhatsApp's verdict in lower case."""

    sid: str
    variables: dict[str, str]
    types: tuple[str, ...]
    body: str | None
    approval_status: str | None = None
    rejection_reason: str = ""
    category: str = ""
