"""What exists at the imitated Twilio: interactions, tasks, conversations, participants, messages.

Nothing here runs on timers. A thing that happens later carries the moment at which it will have happened.
"""

import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

NEVER = float("inf")
Pair = tuple[str, str, str]  # account, address, proxy address


def new_sid(prefix: str) -> str:
    """Return a SID that nobody has had before."""
    return prefix + secrets.token_hex(16)


@dataclass(slots=True)
class Participant:
    """Somebody in a conversation: the customer by address or identity, or an agent by identity."""

    sid: str
    kind: str
    joins_at: float
    identity: str | None = None
    binding: dict[str, Any] | None = None

    @property
    def address(self) -> str:
        """Return the address or identity by which this one is found."""
        return self.identity or str((self.binding or {}).get("address", ""))


@dataclass(slots=True)
class Receipt:
    """The delivery of one message to one participant: what its status is from which moment on."""

    sid: str
    channel_message_sid: str
    participant_sid: str
    steps: tuple[tuple[float, str, int], ...]

    def at(self, now: float) -> tuple[float, str | None, int]:
        """Return since when, which status, and with which error code; no status while still within Twilio."""
        latest: tuple[float, str | None, int] = (0.0, None, 0)
        for step in self.steps:
            if step[0] <= now:
                latest = step
        return latest


@dataclass(slots=True)
class Message:
    """One message of a conversation."""

    sid: str
    index: int
    author: str
    body: str | None
    attributes: str
    content_sid: str | None
    subject: str | None
    created_at: float
    participant_sid: str | None = None
    receipts: list[Receipt] = field(default_factory=list)


@dataclass(slots=True)
class Conversation:
    """A conversation; it holds its customer's address pair until it is closed."""

    sid: str
    account: str
    created_at: float
    updated_at: float
    state: str = "active"
    unique_name: str | None = None
    friendly_name: str | None = None
    attributes: str = "{}"
    participants: list[Participant] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)

    def present(self, now: float) -> list[Participant]:
        """Return those who are in it by now."""
        return [one for one in self.participants if one.joins_at <= now]

    def customer(self, now: float) -> Participant | None:
        """Return the customer, if in it by now."""
        return next(
            (one for one in self.participants if one.kind == "customer" and one.joins_at <= now), None
        )


@dataclass(slots=True)
class FlexTask:
    """A TaskRouter task."""

    sid: str
    account: str
    routing: dict[str, Any]
    attributes: dict[str, Any]
    created_at: float
    conversation_shown_at: float
    assigned_at: float
    closed_at: float = NEVER

    def status(self, now: float) -> str:
        """Return the assignment status as of now."""
        if now >= self.closed_at:
            return "completed"
        return "assigned" if now >= self.assigned_at else "pending"

    def seen_attributes(self, now: float) -> dict[str, Any]:
        """Return the attributes as of now: the conversation may be added later than the task."""
        if now >= self.conversation_shown_at:
            return self.attributes
        return {
            name: value
            for name, value in self.attributes.items()
            if name not in {"conversationSid", "conversations"}
        }


@dataclass(slots=True)
class Interaction:
    """An Interaction with its one channel, one invite and one task."""

    sid: str
    account: str
    channel_sid: str
    channel_type: str
    invite_sid: str
    customer_sid: str
    agent_sid: str
    initiated_by: str
    key: str
    address: str
    conversation: Conversation
    task: FlexTask
    created_at: float
    active_at: float
    failed_at: float = NEVER
    error_code: int | None = None
    closed_at: float = NEVER
    context_sid: str | None = None
    webhook_ttid: str | None = None

    def status(self, now: float) -> str:
        """Return the channel's status as of now."""
        if now >= self.closed_at:
            return "closed"
        if now >= self.failed_at:
            return "failed"
        return "active" if now >= self.active_at else "setup"


class Store:
    """All of it, with the indexes that the look-ups need."""

    INDEXED = ("outreach_key", "conversationSid")

    def __init__(self) -> None:
        self.interactions: dict[str, Interaction] = {}
        self.conversations: dict[str, Conversation] = {}
        self.unique_names: dict[tuple[str, str], Conversation] = {}
        self.tasks: dict[str, FlexTask] = {}
        self.open_pairs: dict[Pair, Conversation] = {}
        self.last_written: dict[Pair, float] = {}
        self.opted_out: set[Pair] = set()
        self._accounts: set[str] = set()
        self._by_address: defaultdict[tuple[str, str], list[Conversation]] = defaultdict(list)
        self._by_attribute: defaultdict[tuple[str, str], list[FlexTask]] = defaultdict(list)

    def add_conversation(self, conversation: Conversation) -> Conversation:
        """Keep a new conversation."""
        self.conversations[conversation.sid] = conversation
        if conversation.unique_name:
            self.unique_names[(conversation.account, conversation.unique_name)] = conversation
        return conversation

    def add_participant(self, conversation: Conversation, participant: Participant) -> Participant:
        """Put somebody into a conversation; a binding with a proxy address takes its pair."""
        conversation.participants.append(participant)
        self._accounts.add(conversation.account)
        self._by_address[(conversation.account, participant.address)].append(conversation)
        proxy = (participant.binding or {}).get("proxy_address")
        if proxy and conversation.state != "closed":
            pair = (conversation.account, participant.address, str(proxy))
            self.open_pairs[pair] = conversation
            conversation.pairs.append(pair)
        return participant

    def add_interaction(self, interaction: Interaction) -> None:
        """Keep a new Interaction and its task."""
        self.interactions[interaction.sid] = interaction
        task = interaction.task
        self.tasks[task.sid] = task
        for name in self.INDEXED:
            value = task.attributes.get(name)
            if isinstance(value, str):
                self._by_attribute[(name, value)].append(task)

    def close_conversation(self, conversation: Conversation, now: float) -> None:
        """Close a conversation for good and free its pairs."""
        conversation.state, conversation.updated_at = "closed", now
        for pair in conversation.pairs:
            self.open_pairs.pop(pair, None)
        conversation.pairs.clear()

    def remove_participant(self, conversation: Conversation, participant: Participant, now: float) -> None:
        """Take somebody out of a conversation, which stays open; their pairs are free."""
        conversation.participants.remove(participant)
        conversation.updated_at = now
        for pair in [one for one in conversation.pairs if one[1] == participant.address]:
            self.open_pairs.pop(pair, None)
            conversation.pairs.remove(pair)
        left = {one.address for one in conversation.participants}
        if participant.address not in left:
            self._by_address[(conversation.account, participant.address)].remove(conversation)

    def conversations_of(self, account: str, address: str) -> Iterator[tuple[Conversation, Participant]]:
        """Yield the conversations an address or identity takes part in, oldest first."""
        for conversation in self._by_address.get((account, address), ()):
            for participant in conversation.participants:
                if participant.address == address:
                    yield conversation, participant

    def open_conversation_of(
        self, address: str, proxy_address: str | None, account: str | None, now: float
    ) -> tuple[Conversation, Participant] | None:
        """Return the newest open conversation that a customer is in by now, with this proxy and account if given."""
        found = [
            (conversation, participant)
            for each in ([account] if account else self._accounts)
            for conversation, participant in self.conversations_of(each, address)
            if conversation.state != "closed"
            and participant.kind != "agent"
            and participant.joins_at <= now
            and proxy_address in {None, (participant.binding or {}).get("proxy_address")}
        ]
        return max(found, key=lambda one: one[0].created_at, default=None)

    def tasks_with(self, name: str, values: Iterable[str]) -> list[FlexTask]:
        """Return the tasks whose indexed attribute has one of the values."""
        return [task for value in values for task in self._by_attribute.get((name, value), ())]
