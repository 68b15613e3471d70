"""Reads `campaign.toml`; every fault is named with its line, its key and what to write instead."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic

from campaigns.campaign import (
    Campaign,
    InteractionRules,
    MessageRules,
    Pacing,
    RoutingRules,
    Window,
    difference,
)
from campaigns.definition_rules import Fault, find_faults
from campaigns.names import find_near_miss
from campaigns.problems import Problem, RefusedError
from campaigns.row_error import one_line, quote
from campaigns.schedule import parse_duration_s
from campaigns.toml_lines import find_line

__all__ = ["Campaign", "difference", "load_definition", "parse_definition"]

_PARTS: dict[str, type[pydantic.BaseModel]] = {
    "": Campaign,
    "routing": RoutingRules,
    "interaction": InteractionRules,
    "message": MessageRules,
    "pacing": Pacing,
    "window": Window,
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
    "channel": 'channel = "whatsapp"',
    "from": 'from = "whatsapp:+19251235555"',
    "to": 'to = "{{ phone }}"',
    "routing": "a [routing] section with workspace_sid, workflow_sid, queue_sid and worker_sid or agents",
    "message": "a [message] section with content_sid or body",
    "routing.attributes": 'a [routing.attributes] section with lines such as customerName = "{{ first_name }}"',
    "message.variables": 'a [message.variables] section with lines such as 1 = "{{ first_name }}"',
    "routing.agents": 'agents = ["WK...", "WK..."]',
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
    faults = _convert_durations(document)
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


def _explain(details: Mapping[str, Any]) -> Fault:
    """Turn one of pydantic's findings into a fault in our words."""
    path = [str(part) for part in details["loc"]]
    # A union's branches and a list's index are pydantic's own addition to the key.
    path = [part for part in path if part not in ("int", "str") and not part.isdigit()] or path
    if details["loc"][:2] in (("message", "variables"), ("routing", "attributes")):
        path = [str(part) for part in details["loc"] if part != "[key]"]
    key = ".".join(path)
    kind = details["type"]
    if kind == "extra_forbidden":
        return _explain_unknown(path, key)
    example = _EXAMPLES.get(key, f'{path[-1]} = "..."')
    if kind == "missing":
        section = f"in [{'.'.join(path[:-1])}] " if len(path) > 1 else ""
        return Fault(key, f"{key} is missing", f"write {section}{example}")
    value = _say(details["input"])
    if kind == "string_type":
        advice = f'write it in quotes: {path[-1]} = "{details["input"]}"'
        is_scalar = isinstance(details["input"], str | int | float) and key not in _EXAMPLES.keys() - {
            "to",
            "from",
        }
        return Fault(key, f"{key} is {value}, which is no text", advice if is_scalar else f"write {example}")
    if kind == "literal_error":
        wanted = details["ctx"]["expected"].replace("'", '"')
        near = find_near_miss(str(details["input"]), re.findall(r'"(\w+)"', wanted))
        advice = f"write {wanted}" + (f' (did you mean "{near}"?)' if near else "")
        return Fault(key, f"{key} is {value}", advice)
    if kind == "string_pattern_mismatch":
        advice = "use only a-z, 0-9 and -, at most 48 characters"
        return Fault(key, f"{key} is {value}", advice)
    return Fault(key, f"{key} is {value}", f"write {_wanted(kind, path, example)}")


def _wanted(kind: str, path: list[str], example: str) -> str:
    if kind in ("greater_than", "finite_number"):
        return f"a number greater than 0, such as {path[-1]} = 20"
    if kind in ("greater_than_equal", "less_than_equal"):
        return f"a whole number from 1 to 100, such as {path[-1]} = 5"
    if kind.startswith(("int", "float")):
        whole = "whole " if kind.startswith("int") else ""
        return f"a {whole}number without quotes, such as {path[-1]} = 5"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return _EXAMPLES.get(".".join(path), f"a section: [{'.'.join(path)}] on a line of its own")
    return example


def _explain_unknown(path: list[str], key: str) -> Fault:
    section = ".".join(path[:-1])
    known = _keys_of(section)
    near = find_near_miss(path[-1], known)
    if near:
        return Fault(key, f"{key} is no key", f"did you mean {near}?")
    for other in _PARTS:
        if other != section and path[-1] in _keys_of(other):
            where = f"[{other}]" if other else "at the top, before the first [section]"
            return Fault(key, f"{key} is no key", f"{path[-1]} belongs {'in ' if other else ''}{where}")
    return Fault(key, f"{key} is no key", f"remove it; the keys here are {', '.join(known)}")


def _keys_of(section: str) -> list[str]:
    if section not in _PARTS:
        return []
    names = [field.alias or name for name, field in _PARTS[section].model_fields.items()]
    return ["pair_wait_max" if name == "pair_wait_max_s" else name for name in names]


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
