"""Reads `campaign.toml`; every fault is named with its line, its key and what to write instead."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pydantic

from campaigns.campaign import (
    Campaign,
    FollowUp,
    InteractionRules,
    MessageRules,
    Nightly,
    Pacing,
    Replies,
    RoutingRules,
    Window,
    difference,
)
from campaigns.definition_rules import Fault, find_faults
from campaigns.names import find_near_miss, say_key
from campaigns.problems import Problem, RefusedError
from campaigns.row_error import one_line, quote
from campaigns.schedule import parse_duration_s
from campaigns.toml_lines import find_line

__all__ = ["Campaign", "difference", "load_definition", "parse_definition", "refuse_key"]

_PARTS: dict[str, type[pydantic.BaseModel]] = {
    "": Campaign,
    "routing": RoutingRules,
    "interaction": InteractionRules,
    "message": MessageRules,
    "pacing": Pacing,
    "window": Window,
    "follow_up": FollowUp,
    "follow_up.window": Window,
    "nightly": Nightly,
    "replies": Replies,
}
MAX_BYTES = 1 << 20
_TOO_LARGE = ("a number in it is too large", "write whole numbers of at most 18 digits")
# The parser needs time and memory in the square of the names that are joined; a definition joins three.
_MANY_DOTS = re.compile(
    r"""(?<![\w-])(?:[\w-]+|"[^"\n]*"|'[^'\n]*')(?:[ \t]*\.[ \t]*(?:[\w-]+|"[^"\n]*"|'[^'\n]*')){32}"""
)
_PLACE = re.compile(r"\s*\(at line (\d+), column (\d+)\)$|\s*\(at end of document\)$")
_EXAMPLES = {
    "name": 'name = "renewal-reminder"',
    "account": 'account = "acme"',
    "channel": 'channel = "whatsapp"',
    "from": 'from = "whatsapp:+19251235555"',
    "to": 'to = "{{ phone }}"',
    "routing": "a [routing] section with workspace_sid, workflow_sid, queue_sid and worker_sid or agents",
    "message": "a [message] section with content_sid or body",
    "routing.attributes": 'a [routing.attributes] section with lines such as customerName = "{{ first_name }}"',
    "message.variables": 'a [message.variables] section with lines such as 1 = "{{ first_name }}"',
    "follow_up": "[[follow_up]], with two brackets on each side, on a line of its own",
    "follow_up.after": 'after = "3d"',
    "follow_up.variables": 'a [follow_up.variables] section with lines such as 1 = "{{ first_name }}"',
    "window.days": 'days = ["mon", "tue"]',
    "follow_up.window.days": 'days = ["mon", "tue"]',
    "nightly.at": 'at = "18:00"',
    "replies.opt_out_words": 'opt_out_words = ["BAJA", "ARRET"]',
    "routing.agents": 'agents = ["WK...", "WK..."]',
}
_SHAPES = {
    "name": "use only a-z, 0-9 and -, at most 48 characters",
    "account": "write a name that stands in OUTREACH_ACCOUNTS: a-z first, then a-z, 0-9 and -, at most 24 characters",
}


def load_definition(path: Path) -> Campaign:
    """Read a definition from a file.

    Raises: RefusedError with every fault found, or if the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            what = f"the file is larger than {MAX_BYTES >> 20} MB, which no definition is"
            raise _refused(str(path), what, "name the definition first, then the customers' file")
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise _refused(str(path), "there is no such file", "check the path of the definition") from None
    except IsADirectoryError:
        raise _refused(str(path), "this is a folder", "name the definition's file in it") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise RefusedError(
            [Problem(str(path), line, None, "the file is not UTF-8", "save it as UTF-8, as TOML must be")]
        ) from None
    except OSError as error:
        raise _refused(
            str(path), f"the file cannot be read ({error.strerror})", "check its permissions"
        ) from None
    return parse_definition(text, str(path))


def parse_definition(text: str, file: str) -> Campaign:
    """Read a definition from the text of a TOML file.

    Raises: RefusedError with every fault found.
    """
    if long := _MANY_DOTS.search(text):
        line, what = text.count("\n", 0, long.start()) + 1, "more than 32 names are joined by dots"
        raise RefusedError([Problem(file, line, None, what, "write [section] on a line of its own")])
    document = _parse_toml(text, file)
    faults = [*_refuse_field_names(document), *_convert_durations(document), *_convert_follow_ups(document)]
    try:
        campaign = Campaign.model_validate(document)
    except pydantic.ValidationError as error:
        explained = {fault.key: fault for fault in map(_explain, reversed(error.errors()))}
        faults += reversed(explained.values())
    else:
        faults += find_faults(campaign)
    if faults:
        problems = [
            Problem(file, find_line(text, f.key), None, one_line(f.what), one_line(f.advice)) for f in faults
        ]
        raise RefusedError(sorted(problems, key=lambda problem: problem.line or 0))
    return campaign


def refuse_key(path: Path, key: str, what: str, advice: str) -> RefusedError:
    """Make the refusal of a definition that can be read, for what stands under `key`: the settings, say, lack it."""
    try:
        line = find_line(path.read_text(encoding="utf-8-sig"), key)
    except (OSError, UnicodeDecodeError):  # it has changed meanwhile
        line = None
    return RefusedError([Problem(str(path), line, None, what, advice)])


def _refused(file: str, what: str, advice: str) -> RefusedError:
    return RefusedError([Problem(file, None, None, what, advice)])


def _parse_toml(text: str, file: str) -> dict[str, Any]:
    try:
        document = tomllib.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        what, advice = (
            "its sections or lists are nested too deeply",
            "write each section on a line of its own",
        )
        raise _refused(file, what, advice) from None
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _PLACE.search(message)
        line, column = (int(place[1]), int(place[2])) if place and place[1] else (None, None)
        what = one_line("this is not TOML: " + _PLACE.sub("", message))
        advice = (
            'write key = "text", with the text in quotes, each key once, and [section] on a line of its own'
        )
        raise RefusedError([Problem(file, line, column, what, advice)]) from None
    except ValueError:  # Python reads no number of more than 4,300 digits
        raise _refused(file, *_TOO_LARGE) from None
    if _holds_huge_number(document):
        raise _refused(file, *_TOO_LARGE)
    return document


def _holds_huge_number(document: dict[str, Any]) -> bool:
    """Tell whether a number is beyond TOML's own limits: its hexadecimal ones may be so, and cannot be written out."""
    left: list[Any] = [document]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            return True
    return False


def _refuse_field_names(document: dict[str, Any]) -> Iterator[Fault]:
    """Refuse the names that a few keys have in our code alone, which pydantic would take for them."""
    for section, model in _PARTS.items():
        for key, part in _find_parts(document, section):
            for name, field in model.model_fields.items():
                if field.alias and field.alias != name and name in part:
                    del part[name]
                    wrong = f"{key}.{name}" if key else name
                    yield Fault(wrong, f"{say_key(wrong)} is no key", f"did you mean {field.alias}?")


def _find_parts(document: dict[str, Any], section: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Find the tables of a section, each with its key: there may be several follow-ups."""
    parts: list[tuple[str, Any]] = [("", document)]
    for name in section.split(".") if section else ():
        parts = [
            (f"{key}.{name}" if key else name, part[name])
            for key, part in parts
            if isinstance(part, dict) and name in part
        ]
        parts = [
            (f"{key}.{number}" if number else key, entry)
            for key, part in parts
            for number, entry in (enumerate(part, start=1) if isinstance(part, list) else [(0, part)])
        ]
    return ((key, part) for key, part in parts if isinstance(part, dict))


def _convert_durations(document: dict[str, Any]) -> list[Fault]:
    if "pair_wait_max_s" in document:
        del document["pair_wait_max_s"]
        return [Fault("pair_wait_max_s", "pair_wait_max_s is no key", 'write pair_wait_max = "24h"')]
    if "pair_wait_max" not in document:
        return []
    written = document.pop("pair_wait_max")
    seconds = parse_duration_s(written) if isinstance(written, str) else None
    if seconds:
        document["pair_wait_max_s"] = seconds
        return []
    advice = 'write a duration in quotes, such as "24h", "90m" or "1h30m"'
    return [Fault("pair_wait_max", f"pair_wait_max is {_say(written)}, which is no duration", advice)]


def _convert_follow_ups(document: dict[str, Any]) -> Iterator[Fault]:
    """Read when follow-ups are due, and name the hour of a campaign that has some and names none."""
    follow_ups = document.get("follow_up")
    if not isinstance(follow_ups, list) or not follow_ups:
        return
    document.setdefault("nightly", {})
    for number, follow_up in enumerate(follow_ups, start=1):
        if not isinstance(follow_up, dict):
            continue
        key = f"follow_up.{number}.after"
        is_ours = "after_s" in follow_up
        written = follow_up.pop("after", None)
        seconds = parse_duration_s(written) if isinstance(written, str) else None
        follow_up["after_s"] = seconds or 1.0
        if is_ours:
            yield Fault(f"{key}_s", f"after_s of follow-up {number} is no key", 'write after = "3d"')
        elif written is None:
            yield Fault(key, f"after of follow-up {number} is missing", 'write in [[follow_up]] after = "3d"')
        elif not seconds:
            advice = 'write a duration in quotes, such as "3d", "36h" or "90m"'
            yield Fault(key, f"{say_key(key)} is {_say(written)}, which is no duration", advice)


def _explain(details: Mapping[str, Any]) -> Fault:
    """Turn one of pydantic's findings into a fault in our words."""
    loc, entry = details["loc"], ""
    if loc[0] == "follow_up" and len(loc) > 1:
        loc, entry = ("follow_up", *loc[2:]), f".{loc[1] + 1}"
    path = [str(part) for part in loc]
    # A union's branches and a list's index are pydantic's own addition to the key.
    path = [part for part in path if part not in ("int", "str") and not part.isdigit()] or path
    if loc[:2] in (("message", "variables"), ("routing", "attributes"), ("follow_up", "variables")):
        path = [str(part) for part in loc if part != "[key]"]
    plain = ".".join(path)
    key = ".".join((path[0] + entry, *path[1:]))
    name = say_key(key)
    kind = details["type"]
    if kind == "extra_forbidden":
        return _explain_unknown(path, key)
    example = _EXAMPLES.get(plain, f'{path[-1]} = "..."')
    if kind == "missing":
        section = f"in {_header(path[:-1])} " if len(path) > 1 else ""
        return Fault(key, f"{name} is missing", f"write {section}{example}")
    value = _say(details["input"])
    if kind == "string_type":
        advice = f'write it in quotes: {path[-1]} = "{details["input"]}"'
        is_scalar = isinstance(details["input"], str | int | float) and plain not in _EXAMPLES.keys() - {
            "to",
            "from",
        }
        return Fault(key, f"{name} is {value}, which is no text", advice if is_scalar else f"write {example}")
    if kind == "literal_error":
        wanted = details["ctx"]["expected"].replace("'", '"')
        near = find_near_miss(str(details["input"]), re.findall(r'"(\w+)"', wanted))
        advice = f"write {wanted}" + (f' (did you mean "{near}"?)' if near else "")
        return Fault(key, f"{name} is {value}", advice)
    if kind == "string_pattern_mismatch":
        return Fault(key, f"{key} is {value}", _SHAPES[plain])
    return Fault(key, f"{name} is {value}", f"write {_wanted(kind, path, example)}")


def _wanted(kind: str, path: list[str], example: str) -> str:
    if kind in ("greater_than", "finite_number"):
        return f"a number greater than 0, such as {path[-1]} = 20"
    if kind in ("greater_than_equal", "less_than_equal"):
        least, most = {"max": (1, 10), "priority": (-10, 10)}.get(path[-1], (1, 100))
        return f"a whole number from {least} to {most}, such as {path[-1]} = 5"
    if kind.startswith(("int", "float")):
        whole = "whole " if kind.startswith("int") else ""
        return f"a {whole}number without quotes, such as {path[-1]} = 5"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return _EXAMPLES.get(".".join(path), f"a section: {_header(path)} on a line of its own")
    return example


def _explain_unknown(path: list[str], key: str) -> Fault:
    section, name = ".".join(path[:-1]), say_key(key)
    known = _keys_of(section)
    near = find_near_miss(path[-1], known)
    if near:
        return Fault(key, f"{name} is no key", f"did you mean {near}?")
    for other in _PARTS:
        if other != section and path[-1] in _keys_of(other):
            where = _header([other]) if other else "at the top, before the first [section]"
            return Fault(key, f"{name} is no key", f"{path[-1]} belongs {'in ' if other else ''}{where}")
    return Fault(key, f"{name} is no key", f"remove it; the keys here are {', '.join(known)}")


def _keys_of(section: str) -> list[str]:
    if section not in _PARTS:
        return []
    names = [field.alias or name for name, field in _PARTS[section].model_fields.items()]
    return [name.removesuffix("_s") if name in ("pair_wait_max_s", "after_s") else name for name in names]


def _header(path: list[str]) -> str:
    return "[[follow_up]]" if path == ["follow_up"] else f"[{'.'.join(path)}]"


def _say(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quote(value, 100)
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list | tuple):
        return "a list"
    return str(value)
