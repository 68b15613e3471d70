"""A campaign as `campaign.toml` defines it: its shape, its one stable text, and how two of them differ."""

import json
from typing import Annotated, Any, Literal

import pydantic

Channel = Literal["sms", "whatsapp", "email", "chat", "web", "messenger", "gbm"]
DEFAULT_WHATSAPP_MESSAGES_PER_S = (
    80.0  # per sender, https://www.twilio.com/docs/whatsapp/best-practices-and-faqs
)

_Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, hide_input_in_errors=True
    )


class RoutingRules(_Part):
    """Where Flex takes the conversation; every text may be a template."""

    workspace_sid: str
    workflow_sid: str
    queue_sid: str
    worker_sid: str | None = None
    agents: Annotated[tuple[str, ...], pydantic.Field(strict=False)] = ()
    task_channel: str | None = None
    priority: int | str | None = None
    timeout_s: int | str | None = None
    attributes: dict[str, str] = {}


class InteractionRules(_Part):
    """Twilio's optional parameters of an Interaction."""

    context_sid: str | None = None
    webhook_ttid: str | None = None


class MessageRules(_Part):
    """The first message: an approved template by `content_sid`, or a `body`."""

    author: str = "system"
    body: str | None = None
    content_sid: str | None = None
    variables: dict[str, str] = {}


class Pacing(_Part):
    """This campaign's own ceilings; the account's stand in the settings."""

    interactions_per_second: _Positive | None = None
    messages_per_second: _Positive | None = None
    max_attempts: Annotated[int, pydantic.Field(ge=1, le=100)] = 5


class Window(_Part):
    """When a first message may go out, in the customer's own time zone."""

    from_: str = pydantic.Field(alias="from")
    until: str
    timezone: str


class Campaign(_Part):
    """A whole campaign; every text outside name, channel, pair_busy and pacing may be a template."""

    name: Annotated[str, pydantic.Field(pattern=r"^[a-z0-9-]{1,48}$")]
    channel: Channel
    from_: str | None = pydantic.Field(default=None, alias="from")
    to: str
    from_name: str | None = None
    to_name: str | None = None
    subject: str | None = None
    level: str | None = None
    default_region: str | None = None
    pair_busy: Literal["skip", "use", "wait"] = "skip"
    pair_wait_max_s: float = 86_400.0
    routing: RoutingRules
    interaction: InteractionRules = InteractionRules()
    message: MessageRules
    pacing: Pacing = Pacing()
    window: Window | None = None

    @property
    def sender_messages_per_s(self) -> float | None:
        """Return what the sender may send: as written, or 80 on WhatsApp; None is no limit of its own."""
        default = DEFAULT_WHATSAPP_MESSAGES_PER_S if self.channel == "whatsapp" else None
        return self.pacing.messages_per_second or default

    def canonical_json(self) -> str:
        """Give the one stable text of this campaign, the same for the same meaning."""
        return json.dumps(
            self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, separators=(",", ":")
        )

    @classmethod
    def from_canonical_json(cls, text: str) -> "Campaign":
        """Read back what `canonical_json` gave."""
        return cls.model_validate_json(text)


def difference(old: Campaign, new: Campaign) -> list[str]:
    """Say what changed, one plain line a key."""
    before, after = _flatten(old.model_dump()), _flatten(new.model_dump())
    return [
        f"{key}: {_say(before.get(key))} -> {_say(after.get(key))}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _flatten(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, part in value.items():
        name = prefix + ("from" if key == "from_" else key)
        if isinstance(part, dict):
            flat |= _flatten(part, f"{name}.")
        else:
            flat[name] = part
    return flat


def _say(value: Any) -> str:
    if value is None:
        return "not set"
    return repr(list(value) if isinstance(value, tuple) else value)
