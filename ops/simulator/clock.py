"""Tell the time: one steady clock for order, limits and dates, so that a step of the system clock harms nothing."""

import time
from datetime import UTC, datetime
from email.utils import format_datetime


class Clock:
    """Steady seconds, and the account's own time: the steady one moved by the skew, by which all that happens is dated.

    To move the skew on by a day is to let a day pass: receipts arrive and WhatsApp's window shuts.
    """

    def __init__(self) -> None:
        self.skew_s = 0.0
        self._wall_offset_s = time.time() - time.monotonic()

    def steady(self) -> float:
        """Return seconds since an arbitrary start, for limits and arrivals; never goes back."""
        return time.monotonic()

    def now(self) -> float:
        """Return the account's time, in seconds since the same start."""
        return self.steady() + self.skew_s

    def at(self, now: float) -> datetime:
        """Return the date Twilio would give for `now`."""
        return datetime.fromtimestamp(now + self._wall_offset_s, UTC)

    def iso(self, now: float) -> str:
        """Return `now` as Twilio's JSON writes it, to the second."""
        return self.at(now).strftime("%Y-%m-%dT%H:%M:%SZ")

    def iso_ms(self, now: float) -> str:
        """Return `now` as Twilio's webhooks write it, to the millisecond."""
        return self.at(now).strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.at(now).microsecond // 1000:03}Z"

    def rfc2822(self, now: float) -> str:
        """Return `now` as HTTP's Date header writes it."""
        return format_datetime(self.at(now), usegmt=True)
