"""Whose turn it is: the campaigns of an account share what its pace allows, however little that is, and by priority."""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import pytest

from worker.ledger.standings import Standing
from worker.pipeline.turns import Asker, Room, Turns

Fate = Callable[[], bool]
"""Tells of the next row of a campaign whether it takes a slot."""


@dataclass
class Account:
    """An account whose workers do what is queued in the order of queueing, `per_tick` slots a tick, for `fates` campaigns."""

    fates: Mapping[str, Fate]
    per_tick: float
    window: int
    priorities: Mapping[str, int] = field(default_factory=dict)
    ceilings: Mapping[str, float] = field(default_factory=dict)
    workers: int = 1
    slots: Counter[str] = field(default_factory=Counter)
    queued_n: Counter[str] = field(default_factory=Counter)
    queue: deque[str] = field(default_factory=deque)
    unused: float = 0.0
    ticks: int = 0

    def __post_init__(self) -> None:
        self.turns = [Turns() for _ in range(self.workers)]
        self._spare = 0.0
        self._allowed = dict.fromkeys(self.ceilings, 0.0)

    def run(self, ticks: int, *, waiting: Sequence[str] = ()) -> None:
        """Let so many ticks pass, in which the campaigns `waiting` have nothing to do."""
        for _ in range(ticks):
            # Now the one, now the other worker has the duty, without any order.
            turns = self.turns[(self.ticks * 7 // 3) % self.workers]
            self.ticks += 1
            self._dispatch(turns, waiting)
            self._work()

    def _dispatch(self, turns: Turns, waiting: Sequence[str]) -> None:
        turns.see([self._standing(name, has_fresh=name not in waiting) for name in self.fates])
        room = Room(self.window - sum(turns.cost(name) for name in self.queue))
        askers = []
        for name in self.fates:
            self._allowed[name] = min(self._allowed.get(name, 0) + self.ceilings.get(name, self.window), 2.0)
            rooms = [room, Room(self._allowed[name])] if name in self.ceilings else [room]
            rows = 0 if name in waiting else 1_000
            askers.append(Asker(name, rows, self.queue.count(name), self.priorities.get(name, 0), rooms))
        for name, rows in turns.deal([one for one in askers if one.rows], self.window).items():
            self.queue.extend([name] * rows)
            self.queued_n[name] += rows
            self._allowed[name] -= rows

    def _work(self) -> None:
        self._spare = min(self._spare + self.per_tick, max(1.0, self.per_tick))
        while self._spare >= 1 - 1e-9 and self.queue:
            name = self.queue.popleft()
            if self.fates[name]():
                self.slots[name] += 1
                self._spare -= 1
        self.unused += self._spare if self._spare >= 1 - 1e-9 else 0

    def _standing(self, name: str, *, has_fresh: bool) -> Standing:
        queued = self.queue.count(name)
        return Standing(name, 1, 1_000, queued, 0, 0, has_fresh, False, self.queued_n[name], self.slots[name])


def always() -> bool:
    """Take a slot with every row."""
    return True


def never() -> bool:
    """Take a slot with no row."""
    return False


def some(*pattern: bool) -> Fate:
    """Take a slot with those rows that the pattern names, again and again."""
    fates = cycle(pattern)
    return lambda: next(fates)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("campaigns", [3, 7])
@pytest.mark.parametrize(("per_s", "window"), [(1, 1), (5, 3), (20, 12), (80, 48)])
def test_equal_campaigns_get_equal_shares_at_any_pace(
    per_s: float, window: int, campaigns: int, workers: int
) -> None:
    names = [f"campaign-{number}" for number in range(campaigns)]
    account = Account(dict.fromkeys(names, always), per_s / 10, window, workers=workers)

    account.run(int(400 * campaigns / per_s))

    assert sum(account.slots.values()) >= 38 * campaigns, "the whole pace is used"
    assert max(account.slots[name] for name in names) - min(account.slots[name] for name in names) <= 2


@pytest.mark.parametrize("fate", [some(True, False), some(False, False, True), some(*[True] * 9, False)])
@pytest.mark.parametrize(("per_s", "window"), [(1, 1), (20, 12)])
def test_campaign_whose_rows_often_need_no_slot_gets_as_many_slots_as_the_others(
    fate: Fate, per_s: float, window: int
) -> None:
    account = Account({"plain-1": always, "patchy-1": fate, "plain-2": always}, per_s / 10, window)

    account.run(int(3_000 / per_s))

    least, most = min(account.slots.values()), max(account.slots.values())
    assert most - least <= most * 0.05 + 1
    assert account.unused <= 0.05 * 300


def test_rows_that_need_no_slot_cost_the_others_none_of_the_pace() -> None:
    account = Account({"plain-1": always, "suppressed-1": never}, 2.0, 12)

    account.run(200)

    assert account.slots["plain-1"] >= 380
    assert account.queued_n["suppressed-1"] >= 500, "and they go out meanwhile"


def test_who_has_nothing_to_do_gains_nothing_by_it() -> None:
    account = Account({"long-1": always, "idle-1": always}, 2.0, 12)
    account.run(500, waiting=["idle-1"])
    before = account.slots["long-1"]

    account.run(100)

    assert account.slots["long-1"] - before >= 90
    assert account.slots["idle-1"] >= 80


def test_who_was_held_back_by_its_ceiling_catches_up_a_moment_of_the_pace_at_most() -> None:
    ceilings = {"slow-1": 0.1}
    account = Account({"slow-1": always, "fast-1": always}, 2.0, 12, ceilings=ceilings)
    account.run(500)
    assert 45 <= account.slots["slow-1"] <= 55
    assert sum(account.slots.values()) >= 980, "the other takes what it leaves"
    before = account.slots["fast-1"]

    ceilings["slow-1"] = 100.0
    account.run(100)

    assert account.slots["fast-1"] - before >= 80


def test_higher_priority_is_served_first_and_equals_share_what_it_leaves() -> None:
    account = Account(
        {"low-1": always, "low-2": always, "high-1": always},
        2.0,
        12,
        priorities={"high-1": 5, "low-2": -1, "low-1": -1},
        ceilings={"high-1": 1.5},
    )

    account.run(400)

    assert account.slots["high-1"] >= 580
    assert abs(account.slots["low-1"] - account.slots["low-2"]) <= 2
    assert account.slots["low-1"] >= 90


def test_lower_priority_waits_while_a_higher_one_can_use_the_whole_pace() -> None:
    account = Account({"low-1": always, "high-1": always}, 2.0, 12, priorities={"high-1": 1})

    account.run(50)

    assert account.slots["low-1"] == 0
    assert account.slots["high-1"] >= 95


def test_campaign_that_was_made_anew_under_its_id_begins_anew() -> None:
    account = Account({"old-1": always, "other-1": always}, 2.0, 12)
    account.run(100)
    account.slots["old-1"] = account.queued_n["old-1"] = 0
    account.queue = deque(name for name in account.queue if name != "old-1")
    before = account.slots["other-1"]

    account.run(100)

    assert abs(account.slots["old-1"] - (account.slots["other-1"] - before)) <= 15
