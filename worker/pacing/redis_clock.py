"""Translate Redis's clock into this process's monotonic one, to well under a millisecond."""

import threading

# Two clocks drift apart by this much at worst while either is slewed.
DRIFT = 500e-6


class RedisClock:
    """Narrow down the distance of two clocks with each question that Redis has answered.

    Redis stamped its answer somewhere between question and answer, so each round trip bounds the distance; the bounds of
    all of them together are far narrower than any one, however long this thread waited for its turn.
    Where the bounds contradict each other, a clock has stepped: the newest is believed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._low_s = float("-inf")
        self._high_s = float("inf")
        self._distance_s = float("nan")
        self._seen_at_s = 0.0

    def observe(self, asked_s: float, answered_s: float, redis_s: float) -> None:
        """Learn from one answer, stamped `redis_s` by Redis between two readings of the monotonic clock."""
        low_s, high_s = redis_s - answered_s, redis_s - asked_s
        with self._lock:
            drift_s = DRIFT * max(0.0, answered_s - self._seen_at_s)
            self._low_s = max(low_s, self._low_s - drift_s)
            self._high_s = min(high_s, self._high_s + drift_s)
            if self._low_s > self._high_s:
                self._low_s, self._high_s = low_s, high_s
            self._distance_s = (self._low_s + self._high_s) / 2
            self._seen_at_s = answered_s

    @property
    def blur_s(self) -> float:
        """How wide the bounds are: the translation is off by half of this at worst."""
        return self._high_s - self._low_s

    def monotonic_s(self, redis_s: float) -> float:
        """Give the monotonic time of a moment on Redis's clock."""
        return redis_s - self._distance_s
