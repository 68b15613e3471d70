"""When a first message may go out: the campaign's window, in the customer's own time zone."""

import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from math import ceil
from typing import Literal, get_args

from campaigns.public_holidays import is_holiday

NUMBER_TIMEZONE = "number"
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_DURATION = re.compile(r"(?=\S)(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?")


Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)
EVERY_DAY = frozenset(range(7))
ARRIVAL = timedelta(minutes=1)
"""So long before its end a window is closed to us. A message must not arrive after the end: it waits for its slot, then takes
some seconds through Twilio and the carrier to the telephone, rarely most of a minute."""
LOOK_AHEAD = timedelta(days=400)
"""So far it is looked for a moment that is open: over a year's holidays, whatever the days of the week."""
_ONE_DAY = timedelta(days=1)
_MEETING = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class SendWindow:
    """The hours of a customer: open from `from_` until just before `until`, by the clock of every one of `zones`.

    `days` are those of the week, Monday 0, and `holidays` the region whose public holidays are closed ("": none), both by the
    date of the zone. A phone number may belong to several zones; where they have no hour in common, the first alone counts.
    """

    from_: time
    until: time
    zones: tuple[str, ...]
    days: frozenset[int] = EVERY_DAY
    holidays: str = ""

    @property
    def length(self) -> timedelta:
        """Return for how long it is open on a day of 24 hours."""
        return datetime.combine(date.min, self.until) - datetime.combine(date.min, self.from_)

    def opens_in(self, now: datetime) -> timedelta:
        """Say how long it is closed from `now` (aware) on; nothing where it is open.

        LOOK_AHEAD where it does not open so soon, which days that are all holidays bring about.
        """
        opens_at = self.opens_at(now)
        return LOOK_AHEAD if opens_at is None else opens_at - now.astimezone(UTC)

    def opens_at(self, now: datetime) -> datetime | None:
        """Find the first moment from `now` on at which it is open, in UTC; None if there is none within LOOK_AHEAD."""
        moment = now.astimezone(UTC)
        if len(self.zones) > 1 and _do_zones_meet(self.from_, self.until, self.zones, moment.date()):
            found = self._first_open(moment, self.zones, moment + LOOK_AHEAD)
            if found is not None:
                return found
        return self._first_open(moment, self.zones[:1], moment + LOOK_AHEAD)

    def _first_open(self, moment: datetime, zones: tuple[str, ...], end: datetime) -> datetime | None:
        before = None
        while moment != before:  # until no zone puts it off any more
            before = moment
            for zone in zones:
                found = self._open_in_zone(moment, get_zone(zone), end)
                if found is None:
                    return None
                moment = found
        return moment

    def _open_in_zone(self, moment: datetime, zone: zoneinfo.ZoneInfo, end: datetime) -> datetime | None:
        """Find the first open moment of one zone: day by day, and from one change of its clocks to the next."""
        while moment < end:
            local = moment.astimezone(zone)
            if self._is_within(local):
                arrival = moment + ARRIVAL
                if self._is_within(arrival.astimezone(zone)):
                    return moment
                moment = arrival
                continue
            day = local.date() if local.time() < self.from_ else local.date() + _ONE_DAY
            # As if the clocks did not change; where they do before that, it is looked again from there.
            opening = moment + (datetime.combine(day, self.from_) - local.replace(tzinfo=None))
            moment = _first_change(moment, opening, zone) or opening
        return None

    def _is_within(self, local: datetime) -> bool:
        if not self.from_ <= local.time() < self.until or local.weekday() not in self.days:
            return False
        return not (self.holidays and is_holiday(self.holidays, local.date()))


@lru_cache(maxsize=4096)
def _do_zones_meet(from_: time, until: time, zones: tuple[str, ...], day: date) -> bool:
    """Tell whether zones have an hour in common these days, whatever the day of the week.

    A number without a place has dozens of zones, and looking for a common hour in vain takes a hundredth of a second.
    """
    daily, moment = SendWindow(from_, until, zones), datetime.combine(day, time(), UTC)
    return daily._first_open(moment, zones, moment + _MEETING) is not None


def _first_change(start: datetime, end: datetime, zone: zoneinfo.ZoneInfo) -> datetime | None:
    """Find the moment after `start`, at most `end`, at which the clocks of a zone change; None if they don't."""
    offset = start.astimezone(zone).utcoffset()
    if end.astimezone(zone).utcoffset() == offset:
        return None
    start = start.replace(microsecond=0)  # clocks change on whole seconds
    low, high = 0, ceil((end - start).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if (start + timedelta(seconds=middle)).astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return start + timedelta(seconds=high)


def find_hours_fault(from_: time, until: time) -> tuple[str, str] | None:
    """Find what is wrong with the hours of a window, and what to do."""
    if from_ > until:
        advice = "write an until that is later than from; hours over midnight are not offered"
        return "closes before it opens", advice
    if SendWindow(from_, until, ()).length <= ARRIVAL:
        what = "is not longer than the minute that is kept for a message to arrive"
        return what, "write a later until"
    return None


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


def write_duration(seconds: float) -> str:
    """Write a duration as `parse_duration_s` reads it."""
    left, parts = int(seconds), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        parts.append(f"{count}{unit}" if count else "")
    return "".join(parts) or "0s"


@cache
def get_zone(name: str) -> zoneinfo.ZoneInfo:
    """Give a time zone; zoneinfo itself keeps eight of them and reads the others anew."""
    return zoneinfo.ZoneInfo(name)


@cache
def known_timezones() -> frozenset[str]:
    """Return the names of all time zones."""
    return frozenset(zoneinfo.available_timezones())


def is_timezone(name: str) -> bool:
    """Tell whether `name` is a time zone, or `number`: the one of the phone number."""
    return name == NUMBER_TIMEZONE or name in known_timezones()


@lru_cache(maxsize=4096)
def zones_of_number(number: str) -> tuple[str, ...]:
    """Give the time zones that a phone number in E.164 may be in; none where that is not known."""
    # Late: its tables take a tenth of a second to read, and few campaigns need them.
    from phonenumbers import NumberParseException, parse
    from phonenumbers.timezone import time_zones_for_number

    try:
        found = time_zones_for_number(parse(number))
    except NumberParseException:
        return ()
    return tuple(zone for zone in found if zone in known_timezones())
