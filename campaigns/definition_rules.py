"""What a definition must hold for its channel, checked before any row is read."""

from collections.abc import Iterator
from dataclasses import dataclass

import pydantic

from campaigns.address import find_region_fault, normalise_sender
from campaigns.campaign import Campaign, FollowUp, MessageRules, Window
from campaigns.message import MAX_VARIABLES, find_text_fault, find_variable_fault, find_variable_key_fault
from campaigns.names import find_near_miss, say_key
from campaigns.opt_out import fold_word
from campaigns.public_holidays import NUMBER_HOLIDAYS, find_holidays_fault
from campaigns.row_error import RowError, one_line, quote
from campaigns.schedule import find_hours_fault, is_timezone, known_timezones, parse_clock
from campaigns.sids import find_sid_fault, is_sid_key, sid_advice
from campaigns.template import Template, TemplateError

PHONE_CHANNELS = frozenset({"sms", "whatsapp"})
IDENTITY_CHANNELS = frozenset({"chat", "web"})
MAX_FOLLOW_UPS = 10
MAX_OPT_OUT_WORDS, MAX_OPT_OUT_WORD_LENGTH = 200, 64
_LONGEST_AFTER_S = 365 * 86_400
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
        *_check_message(campaign.channel, campaign.message, "message"),
        *_check_window(campaign.window, "window"),
        *_check_follow_ups(campaign),
        *_check_nightly(campaign),
        *_check_replies(campaign),
    ]


def list_templates(campaign: Campaign) -> Iterator[tuple[str, str]]:
    """List every text that may be a template, with its dotted key."""
    top = {
        "from": campaign.from_,
        **{key: getattr(campaign, key) for key in ("to", "default_region", *_EMAIL_KEYS)},
    }
    yield from ((key, text) for key, text in top.items() if isinstance(text, str))
    for section in ("routing", "interaction", "message", "window"):
        yield from _texts_of(getattr(campaign, section), section)
    for number, follow_up in enumerate(campaign.follow_ups, start=1):
        section = f"follow_up.{number}"
        yield from ((key, text) for key, text in _texts_of(follow_up, section) if key != f"{section}.if")
        yield from _texts_of(follow_up.window, f"{section}.window")


def _texts_of(part: pydantic.BaseModel | None, section: str) -> Iterator[tuple[str, str]]:
    for name in type(part).model_fields if part is not None else ():
        value = getattr(part, name)
        key = f"{section}.{name.rstrip('_')}"
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
            yield Fault(key, f"{say_key(key)}: {error.what}", error.advice)
            continue
        if is_sid_key(key) and Template(text).is_constant and (what := find_sid_fault(key, text)):
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


def _check_message(channel: str, message: MessageRules | FollowUp, section: str) -> Iterator[Fault]:
    """Check what is said, first or in the follow-up under the key `section`."""
    is_first = section == "message"
    where = "" if is_first else f" of {say_key(section)}"
    header = "[message]" if is_first else "[[follow_up]]"
    if message.content_sid and message.body is not None:
        yield Fault(
            f"{section}.body",
            f"both content_sid and body{where} are set, and Twilio ignores body then",
            "keep one of them",
        )
    elif channel == "whatsapp" and not message.content_sid:
        when = (
            "WhatsApp takes a first message only from an approved template"
            if is_first
            else "WhatsApp takes a message only from an approved template once the customer's last one is 24 h old"
        )
        yield Fault(
            f"{section}.content_sid",
            f"content_sid{where} is missing: {when}, and refuses a body alone with error 63016 "
            "(https://www.twilio.com/docs/api/errors/63016)",
            f'write content_sid = "HX..." and its [{header.strip("[]")}.variables]',
        )
    elif not message.content_sid and not (message.body or "").strip():
        what = "there is no message" if is_first else f"{say_key(section)} has no message"
        yield Fault(f"{section}.body", what, f'write in {header} body = "..." or content_sid = "HX..."')
    if message.variables and not message.content_sid:
        yield Fault(
            f"{section}.variables",
            f"variables{where} are set without a template",
            "set content_sid, or use {{ }} in body",
        )
    if len(message.variables) > MAX_VARIABLES:
        what = f"{len(message.variables)} variables{where} are set, and Twilio takes {MAX_VARIABLES}"
        yield Fault(f"{section}.variables", what, "use a template with fewer")
    for key, text in message.variables.items():
        if fault := find_variable_key_fault(key):
            yield Fault(f"{section}.variables.{key}", *fault)
        elif Template(text).is_constant and (text_fault := find_variable_fault(key, text, where)):
            yield Fault(f"{section}.variables.{key}", text_fault.sentence, text_fault.advice)
    yield from _check_text(f"{section}.body", "body", message.body, where)
    if message.author is not None and not message.author.strip():
        what = f"author{where} is empty"
        yield Fault(f"{section}.author", what, 'write author = "...", or remove the line')
    yield from _check_text(f"{section}.author", "author", message.author, where)


def _check_text(key: str, kind: str, text: str | None, where: str = "") -> Iterator[Fault]:
    if text and text.strip() and Template(text).is_constant and (fault := find_text_fault(kind, text, where)):
        yield Fault(key, fault.sentence, fault.advice)


def _check_window(window: Window | None, section: str) -> Iterator[Fault]:
    if window is None:
        return
    clocks = []
    for name, text in (("from", window.from_), ("until", window.until)):
        if Template(text).is_constant:
            clocks.append(parse_clock(text))
            if clocks[-1] is None:
                key = f"{section}.{name}"
                what = f"{say_key(key)} is {quote(text)}"
                yield Fault(key, what, 'write a time of day, such as "08:00"')
    opens, closes = clocks if len(clocks) == 2 else (None, None)
    if opens and closes and (fault := find_hours_fault(opens, closes)):
        yield Fault(f"{section}.until", f"the {say_key(section)} {fault[0]}", fault[1])
    if Template(window.timezone).is_constant and not is_timezone(window.timezone):
        advice = 'write a name such as "Europe/London", "number", or "{{ column }}"'
        yield Fault(f"{section}.timezone", f"{quote(window.timezone)} is no time zone", advice)
    if not window.days:
        what = f"{say_key(f'{section}.days')} is empty, so it would never open"
        yield Fault(f"{section}.days", what, 'write days = ["mon", "tue"], or remove the line')
    region = window.holidays
    if region is None or region == NUMBER_HOLIDAYS or not Template(region).is_constant:
        return
    if fault := find_holidays_fault(region):
        yield Fault(f"{section}.holidays", *fault)


def _check_follow_ups(campaign: Campaign) -> Iterator[Fault]:
    count = len(campaign.follow_ups)
    if count > MAX_FOLLOW_UPS:
        what = f"there are {count} follow-ups, and a campaign may have {MAX_FOLLOW_UPS}"
        yield Fault(f"follow_up.{MAX_FOLLOW_UPS + 1}", what, "remove some, or use max")
    for number, follow_up in enumerate(campaign.follow_ups[:MAX_FOLLOW_UPS], start=1):
        section = f"follow_up.{number}"
        if follow_up.after_s > _LONGEST_AFTER_S:
            what = f"after of follow-up {number} is longer than a year"
            yield Fault(f"{section}.after", what, 'write a shorter time, such as "3d"')
        yield from _check_message(campaign.channel, follow_up, section)
        if follow_up.subject is not None and campaign.channel != "email":
            what = f"subject of follow-up {number} is for email, and the channel is {campaign.channel}"
            yield Fault(f"{section}.subject", what, "remove it")
        elif follow_up.subject is not None and not follow_up.subject.strip():
            what = f"subject of follow-up {number} is empty"
            yield Fault(f"{section}.subject", what, 'write subject = "...", or remove the line')
        yield from _check_text(f"{section}.subject", "subject", follow_up.subject, f" of follow-up {number}")
        yield from _check_window(follow_up.window, f"{section}.window")


def _check_nightly(campaign: Campaign) -> Iterator[Fault]:
    nightly = campaign.nightly
    if nightly is None:
        return
    if not campaign.follow_ups:
        what = "there is a [nightly] section and no follow-up to send"
        yield Fault("nightly", what, "write a [[follow_up]] section, or remove [nightly]")
    if parse_clock(nightly.at) is None:
        what = f"nightly.at is {quote(nightly.at)}"
        yield Fault("nightly.at", what, 'write a time of day, such as "18:00"')
    if nightly.timezone not in known_timezones():
        near = find_near_miss(nightly.timezone, sorted(known_timezones()))
        advice = f"did you mean {quote(near)}?" if near else 'write a name such as "Europe/London"'
        yield Fault("nightly.timezone", f"{quote(nightly.timezone)} is no time zone", advice)


def _check_replies(campaign: Campaign) -> Iterator[Fault]:
    key, words = "replies.opt_out_words", campaign.replies.opt_out_words
    if len(words) > MAX_OPT_OUT_WORDS:
        what = f"{len(words)} opt_out_words are set, and there may be {MAX_OPT_OUT_WORDS}"
        yield Fault(key, what, "keep those that customers use")
    for word in words[:MAX_OPT_OUT_WORDS]:
        if len(word) > MAX_OPT_OUT_WORD_LENGTH:
            what = f"the opt-out word {quote(word)} has {len(word)} characters, and may have {MAX_OPT_OUT_WORD_LENGTH}"
            yield Fault(
                key, what, "write one word, or a few: the customer's whole answer is compared with it"
            )
        elif not fold_word(word):
            yield Fault(key, f"the opt-out word {quote(word)} has no letter or digit", "remove it")


LEVELS = frozenset({"to", "cc", "bcc"})
