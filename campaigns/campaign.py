"""A campaign as `campaign.toml` defines it: its shape, its one stable text, and how two of them differ."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import pydantic

from campaigns.schedule import DAYS, Day, write_duration

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
    """This campaign's own ceilings, and its rank among the account's campaigns; the account's pace stands in the settings."""

    interactions_per_second: _Positive | None = None
    messages_per_second: _Positive | None = None
    max_attempts: Annotated[int, pydantic.Field(ge=1, le=100)] = 5
    priority: Annotated[int, pydantic.Field(ge=-10, le=10)] = 0


class Window(_Part):
    """When a message may go out, in the customer's own time zone; never on `holidays`, those of a country or a part of it."""

    from_: str = pydantic.Field(alias="from")
    until: str
    timezone: str
    days: Annotated[tuple[Day, ...], pydantic.Field(strict=False)] = DAYS
    holidays: str | None = None

    @pydantic.field_validator("days")
    @classmethod
    def _order(cls, days: tuple[Day, ...]) -> tuple[Day, ...]:
        return tuple(day for day in DAYS if day in days)


class FollowUp(_Part):
    """What is sent, some time after our last message, to those whom `if_` fits; at most `max` times a row.

    `author`, `subject` and `window` are the campaign's where they are not set.
    """

    after_s: float
    if_: Literal["no_reply", "undelivered", "always"] = pydantic.Field(default="no_reply", alias="if")
    author: str | None = None
    body: str | None = None
    content_sid: str | None = None
    variables: dict[str, str] = {}
    subject: str | None = None
    window: Window | None = None
    max: Annotated[int, pydantic.Field(ge=1, le=10)] = 1


class Nightly(_Part):
    """When, each day, it is looked who is due for a follow-up; `misfire` says what becomes of a time that was missed."""

    at: str = "10:00"
    timezone: str = "UTC"
    misfire: Literal["catch_up", "skip"] = "catch_up"


class Replies(_Part):
    """How the customers' answers are read: words that mean STOP, beside Twilio's own."""

    opt_out_words: Annotated[tuple[str, ...], pydantic.Field(strict=False)] = ()


class Campaign(_Part):
    """A whole campaign; every text outside name, account, channel, pair_busy, pacing, nightly and replies may be a template.

    `account` names one of the settings' account profiles; None is the main account. `follow_ups` stand under `follow_up` in
    the file.
    """

    name: Annotated[str, pydantic.Field(pattern=r"^[a-z0-9-]{1,48}$")]
    account: Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9-]{0,23}$")] | None = None
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
    follow_ups: Annotated[tuple[FollowUp, ...], pydantic.Field(strict=False, alias="follow_up")] = ()
    nightly: Nightly | None = None
    replies: Replies = Replies()

    @property
    def sender_messages_per_s(self) -> float | None:
        """Return what the sender may send: as written, or 80 on WhatsApp; None is no limit of its own."""
        default = DEFAULT_WHATSAPP_MESSAGES_PER_S if self.channel == "whatsapp" else None
        return self.pacing.messages_per_second or default

    def wave(self, entry: int) -> "Campaign":
        """Give the definition by which follow-up `entry` (from 1) is sent.

        A conversation that is still open is the one to go on with, so `pair_busy` is `use`.
        """
        follow_up = self.follow_ups[entry - 1]
        message = MessageRules(
            author=self.message.author if follow_up.author is None else follow_up.author,
            body=follow_up.body,
            content_sid=follow_up.content_sid,
            variables=follow_up.variables,
        )
        changed = {
            "message": message,
            "subject": self.subject if follow_up.subject is None else follow_up.subject,
            "window": follow_up.window or self.window,
            "pair_busy": "use",
            "follow_ups": (),
            "nightly": None,
        }
        return self.model_copy(update=changed)

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
    before, after = (_flatten(each.model_dump(exclude={"follow_ups"})) for each in (old, new))
    lines = [
        f"{key}: {_say(before.get(key))} -> {_say(after.get(key))}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
    return [*lines, *_follow_up_lines(old, new)]


def _flatten(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, part in value.items():
        name = prefix + key.rstrip("_")
        if isinstance(part, dict):
            flat |= _flatten(part, f"{name}.")
        else:
            flat[name] = part
    return flat


def _follow_up_lines(old: Campaign, new: Campaign) -> Iterator[str]:
    """Say what changed in the follow-ups; one that came or went is told whole, in one line."""
    olds, news = ([_say_follow_up(each) for each in campaign.follow_ups] for campaign in (old, new))
    for number in range(1, max(len(olds), len(news)) + 1):
        before, after = (each[number - 1] if number <= len(each) else {} for each in (olds, news))
        name = f"follow-up {number}"
        if not before or not after:
            yield f"{name}: {_list(before) or 'not set'} -> {_list(after) or 'not set'}"
            continue
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                yield f"{name}, {key}: {_say(before.get(key))} -> {_say(after.get(key))}"


def _say_follow_up(follow_up: FollowUp) -> dict[str, Any]:
    flat = _flatten(follow_up.model_dump(exclude_none=True))
    return {"after": write_duration(flat.pop("after_s")), **flat}


def _list(flat: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_say(value)}" for key, value in flat.items())


def _say(value: Any) -> str:
    if value is None:
        return "not set"
    return repr(list(value) if isinstance(value, tuple) else value)
