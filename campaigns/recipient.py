"""One customer of a campaign, complete: whom to reach, who takes the conversation, what is said first."""

from dataclasses import dataclass

from campaigns.schedule import SendWindow

# None is ever changed, and yet they are not frozen: one is made of each row, and freezing makes that cost four times as much.


@dataclass(slots=True)
class Routing:
    """Where Flex takes the conversation."""

    workspace_sid: str
    workflow_sid: str
    queue_sid: str
    worker_sid: str
    task_channel: str | None
    priority: int | None
    timeout_s: int | None
    attributes: dict[str, str]


@dataclass(slots=True)
class Message:
    """The first message: a `body`, or a `content_sid` with its variables."""

    author: str
    body: str | None
    content_sid: str | None
    variables: dict[str, str]
    subject: str | None


@dataclass(slots=True)
class Recipient:
    """A row ready to be sent.

    `address`: as Twilio takes it (`whatsapp:+44...`, `+44...`, an e-mail address, a chat identity).
    `proxy_address`: the sender's, where the channel has one; e-mail has `from_address` and `from_name` instead.
    `identity`: the address once more, on chat and web. `name`, `level`: the participant's, on e-mail.
    `window`: when the first message may go out; None is at any time.
    """

    row: int
    address: str
    proxy_address: str | None
    channel: str
    identity: str | None
    name: str | None
    level: str | None
    from_address: str | None
    from_name: str | None
    routing: Routing
    context_sid: str | None
    webhook_ttid: str | None
    message: Message
    window: SendWindow | None = None

    @property
    def pair(self) -> str:
        """Name the pair of customer and sender, which Twilio lets one open conversation have."""
        return f"{self.address.lower() if self.channel == 'email' else self.address}|{self.sender}"

    @property
    def sender(self) -> str:
        """Return the address that the message comes from; empty on chat and web."""
        return self.proxy_address or self.from_address or ""
