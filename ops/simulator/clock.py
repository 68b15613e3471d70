"""Tell the time: one clock for order, limits and dates, so that a step of the system clock harms nothing."""

import time
from datetime import UTC, datetime
from email.utils import format_datetime


class Clock:
    """Monotonic seconds, and the dates that belong to them."""

    def __init__(self) -> None:
        self.skew_s = 0.0
        self._wall_offset_s = time.time() - time.monotonic()

    def now(self) -> float:
        """Return seconds since an arbitrary start; never goes back."""
        return time.monotonic()

    def at(self, now: float) -> datetime:
        """Return the date Twilio would give for `now`, its skew included."""
        return datetime.fromtimestamp(now + self._wall_offset_s + self.skew_s, UTC)

    def iso(self, now: float) -> str:
        """Return `now` as Twilio's JSON writes it, to the second."""
        return self.at(now).strftime("%Y-%m-%dT%H:%M:%SZ")

    def rfc2822(self, now: float) -> str:
        """Return `now` as HTTP's Date header writes it."""
        return format_datetime(self.at(now), usegmt=True)
