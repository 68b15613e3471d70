"""When a first message may go out: the campaign's window, checked here and acted on by the worker."""

import re
import zoneinfo
from datetime import time
from functools import cache

NUMBER_TIMEZONE = "number"
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_DURATION = re.compile(r"(?=\S)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def parse_clock(text: str) -> time | None:
    """Read a time of day such as `08:00`; None if it is none."""
    match = _CLOCK.fullmatch(text)
    return time(int(match[1]), int(match[2])) if match else None


def parse_duration_s(text: str) -> float | None:
    """Read a duration such as `24h`, `90m` or `1h30m`, in seconds; None if it is none."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


@cache
def known_timezones() -> frozenset[str]:
    """Return the names of all time zones."""
    return frozenset(zoneinfo.available_timezones())


def is_timezone(name: str) -> bool:
    """Tell whether `name` is a time zone, or `number`: the one of the phone number."""
    return name == NUMBER_TIMEZONE or name in known_timezones()
