"""What a definition must hold for its channel, checked before any row is read."""

from collections.abc import Iterator
from dataclasses import dataclass

from campaigns.address import find_region_fault, normalise_sender
from campaigns.campaign import Campaign
from campaigns.message import MAX_VARIABLES, find_text_fault, find_variable_fault, find_variable_key_fault
from campaigns.row_error import RowError, one_line
from campaigns.schedule import is_timezone, parse_clock
from campaigns.sids import SID_KEYS, find_sid_fault, sid_advice
from campaigns.template import Template, TemplateError

PHONE_CHANNELS = frozenset({"sms", "whatsapp"})
IDENTITY_CHANNELS = frozenset({"chat", "web"})
_EMAIL_KEYS = ("from_name", "to_name", "subject", "level")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong under `key` (dotted), and what to write instead."""

    key: str
    what: str
    advice: str


def find_faults(campaign: Campaign) -> list[Fault]:
    """Find everything that no row could make right."""
    return [
        *_check_templates(campaign),
        *_check_channel(campaign),
        *_check_routing(campaign),
        *_check_message(campaign),
        *_check_window(campaign),
    ]


def list_templates(campaign: Campaign) -> Iterator[tuple[str, str]]:
    """List every text that may be a template, with its dotted key."""
    top = {
        "from": campaign.from_,
        **{key: getattr(campaign, key) for key in ("to", "default_region", *_EMAIL_KEYS)},
    }
    yield from ((key, text) for key, text in top.items() if isinstance(text, str))
    for section in ("routing", "interaction", "message", "window"):
        part = getattr(campaign, section)
        for name in type(part).model_fields if part is not None else ():
            value = getattr(part, name)
            key = f"{section}.{'from' if name == 'from_' else name}"
            if isinstance(value, str):
                yield key, value
            elif isinstance(value, tuple):
                yield from ((key, text) for text in value)
            elif isinstance(value, dict):
                yield from ((f"{key}.{inner}", text) for inner, text in value.items())


def _check_templates(campaign: Campaign) -> Iterator[Fault]:
    for key, text in list_templates(campaign):
        try:
            Template(text).check()
        except TemplateError as error:
            yield Fault(key, f"{key}: {error.what}", error.advice)
            continue
        if key in SID_KEYS and Template(text).is_constant and (what := find_sid_fault(key, text)):
            yield Fault(key, what, sid_advice(key))


def _check_channel(campaign: Campaign) -> Iterator[Fault]:
    channel = campaign.channel
    if channel in IDENTITY_CHANNELS:
        if campaign.from_ is not None:
            yield Fault(
                "from", f"from is not used on {channel}", "remove it: the customer is found by identity alone"
            )
    elif not campaign.from_:
        yield Fault(
            "from", f"from is missing: {channel} needs the address to send from", 'write from = "..."'
        )
    elif Template(campaign.from_).is_constant:
        sender = normalise_sender(channel, campaign.from_)
        if isinstance(sender, RowError):
            yield Fault("from", f"from: {sender.sentence}", sender.advice)
    if not campaign.to.strip():
        yield Fault("to", "to is empty", 'write to = "{{ phone }}", with the name of the column')
    elif Template(campaign.to).is_constant:
        yield Fault(
            "to", "to is the same for every row", 'write to = "{{ phone }}", with the name of the column'
        )
    for key in _EMAIL_KEYS:
        value = getattr(campaign, key)
        if channel != "email" and value is not None:
            yield Fault(key, f"{key} is for email, and the channel is {channel}", "remove it")
        elif channel == "email" and key != "level" and not value:
            yield Fault(key, f"{key} is missing: email needs it", f'write {key} = "..."')
    if campaign.level is not None and Template(campaign.level).is_constant and campaign.level not in LEVELS:
        yield Fault("level", f'level is "{campaign.level}"', 'write level = "to", "cc" or "bcc"')
    if channel == "email":
        yield from _check_text("subject", "subject", campaign.subject)
    region = campaign.default_region
    if region is not None and Template(region).is_constant and (fault := find_region_fault(region)):
        yield Fault("default_region", *fault)


def _check_routing(campaign: Campaign) -> Iterator[Fault]:
    routing = campaign.routing
    if routing.agents and routing.worker_sid is not None:
        yield Fault("routing.agents", "both worker_sid and agents are set", "keep one of them")
    elif not routing.agents and routing.worker_sid is None:
        advice = 'write in [routing] worker_sid = "WK..." or agents = ["WK...", "WK..."]'
        yield Fault("routing.worker_sid", "nobody is named to take the conversations", advice)
    for key, low in (("priority", 0), ("timeout_s", 1)):
        value = getattr(routing, key)
        is_number = isinstance(value, int) or (isinstance(value, str) and Template(value).is_constant)
        if value is not None and is_number and not _is_whole(value, low):
            yield Fault(
                f"routing.{key}",
                f"routing.{key} is {one_line(repr(value), 60)}",
                f"write a whole number from {low}, without quotes",
            )


def _is_whole(value: int | str, low: int) -> bool:
    if isinstance(value, str):
        if not value.isdecimal() or len(value) > 12:
            return False
        value = int(value)
    return low <= value < 2**31


def _check_message(campaign: Campaign) -> Iterator[Fault]:
    message = campaign.message
    if message.content_sid and message.body is not None:
        yield Fault(
            "message.body",
            "both content_sid and body are set, and Twilio ignores body then",
            "keep one of them",
        )
    elif campaign.channel == "whatsapp" and not message.content_sid:
        yield Fault(
            "message.content_sid",
            "content_sid is missing: WhatsApp takes a first message only from an approved template, and refuses a "
            "body alone with error 63016 (https://www.twilio.com/docs/api/errors/63016)",
            'write content_sid = "HX..." and its [message.variables]',
        )
    elif not message.content_sid and not (message.body or "").strip():
        yield Fault(
            "message.body", "there is no message", 'write in [message] body = "..." or content_sid = "HX..."'
        )
    if message.variables and not message.content_sid:
        yield Fault(
            "message.variables",
            "variables are set without a template",
            "set content_sid, or use {{ }} in body",
        )
    if len(message.variables) > MAX_VARIABLES:
        what = f"{len(message.variables)} variables are set, and Twilio takes {MAX_VARIABLES}"
        yield Fault("message.variables", what, "use a template with fewer")
    for key, text in message.variables.items():
        if fault := find_variable_key_fault(key):
            yield Fault(f"message.variables.{key}", *fault)
        elif Template(text).is_constant and (text_fault := find_variable_fault(key, text)):
            yield Fault(f"message.variables.{key}", text_fault.sentence, text_fault.advice)
    yield from _check_text("message.body", "body", message.body)
    if not message.author.strip():
        yield Fault("message.author", "author is empty", 'write author = "...", or remove the line')
    yield from _check_text("message.author", "author", message.author)


def _check_text(key: str, kind: str, text: str | None) -> Iterator[Fault]:
    if text and text.strip() and Template(text).is_constant and (fault := find_text_fault(kind, text)):
        yield Fault(key, fault.sentence, fault.advice)


def _check_window(campaign: Campaign) -> Iterator[Fault]:
    window = campaign.window
    if window is None:
        return
    clocks = []
    for key, text in (("from", window.from_), ("until", window.until)):
        if Template(text).is_constant:
            clocks.append(parse_clock(text))
            if clocks[-1] is None:
                yield Fault(
                    f"window.{key}", f'window.{key} is "{text}"', 'write a time of day, such as "08:00"'
                )
    if len(clocks) == 2 and clocks[0] and clocks[1] and clocks[0] >= clocks[1]:
        yield Fault(
            "window.until", "the window closes before it opens", "write an until that is later than from"
        )
    if Template(window.timezone).is_constant and not is_timezone(window.timezone):
        advice = 'write a name such as "Europe/London", "number", or "{{ column }}"'
        yield Fault("window.timezone", f'"{window.timezone}" is no time zone', advice)


LEVELS = frozenset({"to", "cc", "bcc"})
