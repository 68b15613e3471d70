"""When a first message may go out: the campaign's window, in the customer's own time zone."""

import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache, lru_cache

NUMBER_TIMEZONE = "number"
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_DURATION = re.compile(r"(?=\S)(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?")


_LOOK_AHEAD = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class SendWindow:
    """The hours of a customer: open from `from_` until just before `until`, in every one of `zones`.

    A phone number may belong to several zones; where they have no hour in common, the first alone counts.
    """

    from_: time
    until: time
    zones: tuple[str, ...]

    def opens_in(self, now: datetime) -> timedelta:
        """Say how long it is closed from `now` (aware) on; nothing where it is open."""
        moment = now.astimezone(UTC)
        while moment - now < _LOOK_AHEAD:
            wait = max(self._closed_for(moment, zone) for zone in self.zones)
            if not wait:
                return moment - now
            moment += wait
        return self._closed_for(now.astimezone(UTC), self.zones[0])

    def _closed_for(self, moment: datetime, zone: str) -> timedelta:
        local = moment.astimezone(zoneinfo.ZoneInfo(zone))
        clock = local.time()
        if self.from_ <= clock < self.until:
            return timedelta()
        day = local.date() + timedelta(days=clock >= self.from_)
        # Through UTC: between two local times of a night when clocks change lies an hour more or less.
        opening = datetime.combine(day, self.from_, local.tzinfo).astimezone(UTC)
        return opening - moment


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
