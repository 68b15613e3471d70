"""Whose turn it is: of the campaigns of one account, the one that was served least so far, by priority.

Each campaign's service is counted in slots of the account's pace that its rows took, which the ledger knows. So whoever retries
pays for it, and whose rows need no slot (suppressed, put off, sent into an open conversation) loses nothing by them. Each
worker keeps this for itself, and may have it slightly otherwise than the others: what they count is the same, so no
campaign gains by that for longer than a moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace

from worker.ledger.standings import Standing

LEAST_COST = 1 / 64
"""What a row is taken to cost at least, in slots, where hardly any of its campaign's rows took one."""
LEAST_ROWS = 8
"""How many rows of a campaign may be in the window in any case: where few of them take a slot, more are needed to fill it."""
_LEARNT_FROM = 16
"""After how many rows it is known anew how many of a campaign's rows take a slot."""


@dataclass(slots=True)
class _Served:
    queued_n: int
    slots: int
    service: float = 0.0
    cost: float = 1.0
    is_known: bool = False

    def after(self, queued: int) -> float:
        """Tell the service once so many more rows are through."""
        return self.service + queued * self.cost

    def learn(self, gone: int, slots: int) -> None:
        """Count what has left the window since, of which so many took a slot."""
        self.service += slots
        if gone:
            weight = min(1.0, gone / _LEARNT_FROM)
            self.cost += weight * (min(1.0, max(LEAST_COST, slots / gone)) - self.cost)


@dataclass(slots=True)
class Room:
    """How many slots are to be filled: of the account's pace, or of a ceiling that a campaign and its waves share."""

    slots: float


@dataclass(frozen=True, slots=True)
class Asker:
    """A campaign with rows that could go out now: at most `rows` of them, in all of `rooms`."""

    id: str
    rows: int
    queued: int
    priority: int
    rooms: Sequence[Room]


@dataclass(slots=True)
class Turns:
    """What each campaign was served, as far as one worker has seen."""

    _served: dict[str, _Served] = field(default_factory=dict)

    def see(self, standings: Sequence[Standing]) -> None:
        """Learn what each campaign was served since; who has nothing to do just now is forgotten, and gains nothing by waiting."""
        gone = {one.id: one.queued_n - one.queued for one in standings}
        known = {one.id: self._served[one.id] for one in standings if one.id in self._served}
        for one in standings:
            served = known.get(one.id)
            if served is not None:
                served.learn(max(0, gone[one.id] - served.queued_n), max(0, one.slots - served.slots))
                served.queued_n, served.slots = gone[one.id], one.slots
        self._served = known
        for one in standings:
            if one.id not in known:
                known[one.id] = _Served(gone[one.id], one.slots)

    def cost(self, campaign_id: str) -> float:
        """Tell how many slots a row of this campaign takes, by the latest ones."""
        return self._served[campaign_id].cost

    def deal(self, askers: Sequence[Asker], window: int) -> Mapping[str, int]:
        """Deal the slots there are, one at a time to whoever was served least, the higher priorities first.

        `window`: how many slots it has in all. Somebody who was held back may catch up as many; a newcomer begins with the
        last of the others.
        """
        self._catch_up(askers, max(2, window))
        # Rows that take no slot cost no room, and must not be without number for that.
        most_rows = max(LEAST_ROWS, 2 * window)
        dealt = dict.fromkeys((asker.id for asker in askers), 0)
        queue = [
            (-asker.priority, self._served[asker.id].after(asker.queued), at)
            for at, asker in enumerate(askers)
        ]
        heapify(queue)
        while queue:
            priority, service, at = queue[0]
            asker = askers[at]
            if dealt[asker.id] >= min(asker.rows, most_rows - asker.queued) or any(
                room.slots <= 0 for room in asker.rooms
            ):
                heappop(queue)
                continue
            cost = self.cost(asker.id)
            dealt[asker.id] += 1
            for room in asker.rooms:
                room.slots -= cost
            heapreplace(queue, (priority, service + cost, at))
        return dealt

    def _catch_up(self, askers: Sequence[Asker], most_behind: int) -> None:
        for priority in {asker.priority for asker in askers}:
            equals = [(self._served[one.id], one.queued) for one in askers if one.priority == priority]
            # What is queued counts: so a worker that has seen none of them before takes them for equally served.
            known = [one.after(queued) for one, queued in equals if one.is_known] or [0.0]
            for one, queued in equals:
                ahead = one.after(queued) - one.service
                least = max(known) - most_behind
                one.service = (
                    max(one.service, least - ahead) if one.is_known else max(least, min(known)) - ahead
                )
                one.is_known = True
