"""What happens by itself later: replies and webhooks, each at its own moment of the account's time."""

import heapq
import itertools
from collections.abc import Callable

Deed = Callable[[float], None]


class Agenda:
    """Deeds in the order of their moments; done by whoever comes by once these have passed."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Deed]] = []
        self._numbers = itertools.count()
        self.changed: Callable[[], None] = lambda: None

    def add(self, moment: float, deed: Deed) -> None:
        """Have `deed` done at `moment`, which it is told."""
        heapq.heappush(self._waiting, (moment, next(self._numbers), deed))
        self.changed()

    def catch_up(self, now: float) -> None:
        """Do all that was due by `now`, what these deeds add included."""
        while self._waiting and self._waiting[0][0] <= now:
            moment, _, deed = heapq.heappop(self._waiting)
            deed(moment)

    def next_moment(self) -> float | None:
        """Return when the next deed is due, None where there is none."""
        return self._waiting[0][0] if self._waiting else None

    def clear(self) -> None:
        """Forget all of it."""
        self._waiting.clear()
