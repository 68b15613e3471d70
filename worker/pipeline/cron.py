"""Cron expressions in a time zone: read with care, and asked for the next time and the latest one that has come.

Where clocks change, as Debian's cron: an expression with a fixed hour and minute comes once a day, in a skipped hour right
after it and in a repeated one the first time; one that comes every hour or more often goes by what has really passed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from campaigns.names import find_near_miss
from campaigns.schedule import known_timezones
from worker.errors import RefusedHereError

_FIELDS = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or L for the last"),
    ("month", "1 to 12, or jan to dec"),
    ("day of the week", "0 to 7, where 0 and 7 are Sunday, or mon to sun"),
)
_FORM = (
    'Write five fields, such as "0 18 * * mon-fri": minute, hour, day of the month, month, day of the week.'
)
_ANY_DAY = datetime(2024, 1, 1, tzinfo=UTC)
# The shortest in which there is a time that has come is enough: a cron of each minute has many in a month.
_WINDOWS = tuple(timedelta(hours=hours) for hours in (1, 26, 8 * 24, 32 * 24, 400 * 24))
_MOST_COUNTED = 1000


class Cron:
    """A cron expression in a zone.

    Raises: RefusedHereError for an expression or a zone that is none, saying where it is wrong and what to write.
    """

    def __init__(self, expression: str, timezone: str) -> None:
        check_zone(timezone)
        self.expression = _checked(expression)
        self.zone = ZoneInfo(timezone)

    def next_after(self, moment: datetime) -> datetime:
        """Give the first time after `moment`, in UTC."""
        times = CronSim(self.expression, moment.astimezone(self.zone))
        while True:
            # In the second half of a repeated hour its first half is the next by the clock on the wall.
            found = next(times).astimezone(UTC)
            if found > moment:
                return found

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """Give the last time after `after` that is not after `until`, in UTC; None where there is none."""
        for window in _WINDOWS:
            begin = until - window
            if begin <= after:
                break
            if found := self._last_of(begin, until):
                return found
        return self._last_of(after, until)

    def count(self, after: datetime, before: datetime) -> int:
        """Count the times between, up to a thousand."""
        found = 0
        while (after := self.next_after(after)) < before and found < _MOST_COUNTED:
            found += 1
        return found

    def _last_of(self, after: datetime, until: datetime) -> datetime | None:
        found = None
        while (after := self.next_after(after)) <= until:
            found = after
        return found


def daily(at: str) -> str:
    """Give the expression of a time of day, such as 18:00."""
    hour, _, minute = at.partition(":")
    return f"{int(minute)} {int(hour)} * * *"


def check_zone(name: str) -> None:
    """Refuse what is no time zone.

    Raises: RefusedHereError, with the zone that was probably meant.
    """
    if name in known_timezones():
        return
    near = find_near_miss(name, sorted(known_timezones()))
    meant = (
        f"Did you mean {near}?"
        if near
        else "Write its name in the tz database, such as Europe/Berlin or UTC."
    )
    raise RefusedHereError(f'"{name}" is no time zone.', meant)


def _checked(expression: str) -> str:
    parts = [(match[0], match.start() + 1) for match in re.finditer(r"\S+", expression)]
    if len(parts) != len(_FIELDS):
        fields = "1 field" if len(parts) == 1 else f"{len(parts)} fields"
        raise RefusedHereError(f'The cron expression "{expression}" has {fields}, not five.', _FORM)
    for at, ((text, column), (name, values)) in enumerate(zip(parts, _FIELDS, strict=True)):
        for term, offset in _terms(text):
            if not _is_field(at, term):
                raise RefusedHereError(
                    f'The cron expression "{expression}" is wrong at character {column + offset}: "{term}" is no {name}.',
                    f"Write {values}, * for every one, a list 1,2, a range 1-5 or a step */5.",
                )
    try:
        next(CronSim(expression, _ANY_DAY))
    except (CronSimError, StopIteration):
        column = parts[2][1]
        raise RefusedHereError(
            f'The cron expression "{expression}" never comes: at character {column} is a day that its months do not have.',
            _FORM,
        ) from None
    return " ".join(text for text, _ in parts)


def _terms(text: str) -> list[tuple[str, int]]:
    """Take a list apart: each term with its place in the text."""
    found, place = [], 0
    for term in text.split(","):
        found.append((term, place))
        place += len(term) + 1
    return found


def _is_field(at: int, term: str) -> bool:
    fields = ["*"] * len(_FIELDS)
    fields[at] = term
    try:
        CronSim(" ".join(fields), _ANY_DAY)
    except CronSimError:
        return False
    return bool(term)
