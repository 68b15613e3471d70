"""What a soak strikes, how and when: all of it dealt by one seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

WORKERS = 3
EVERY_S = 1.4
"""Mean time between two strikes; many come while what the last one hit is still on its way back."""
LOADING_STRIKES = 3
"""The first strikes hit the producer while it reads, asks Twilio and loads."""
CALM_S, CALM_SHARE = 12.0, 0.3
"""How long nothing is struck after everything was, and how often: so that it shows how soon all goes on by itself."""
_VICTIMS = {"worker": 64, "producer": 16, "redis": 16, "everything": 4}
_WAYS = {
    "worker": {"kill": 75, "term": 23, "stop": 2},
    "producer": {"kill": 75, "term": 25},
    "redis": {"kill": 80, "term": 20},
    "everything": {"kill": 1},
}
_LEASE_S, _LOOK_UP_LEASE_S = 32.0, 92.0


@dataclass(frozen=True, slots=True)
class Strike:
    """One blow: `gap_s` after the one before. `lasts_s` is how long the victim stays away, or stopped."""

    gap_s: float
    victim: str
    way: str
    who: int
    lasts_s: float

    @property
    def kills(self) -> bool:
        """Tell whether something dies of it: a stopped process goes on."""
        return self.way != "stop"


def plan(seed: int, kills: int, every_s: float = EVERY_S) -> Iterator[Strike]:
    """Deal strikes until `kills` of them have killed; stops come on top."""
    rng, dealt, calm_s = Random(seed), 0, 0.0
    while dealt < kills:
        loading = dealt < LOADING_STRIKES
        victim = "producer" if loading else _draw(rng, _VICTIMS)
        way = _draw(rng, _WAYS[victim])
        gap_s = rng.uniform(0.1, 2.5) if loading else min(rng.expovariate(1 / every_s), 5 * every_s)
        strike = Strike(gap_s + calm_s, victim, way, rng.randrange(WORKERS), _lasts_s(rng, way))
        dealt += strike.kills
        calm_s = CALM_S if victim == "everything" and rng.random() < CALM_SHARE else 0.0
        yield strike


def _lasts_s(rng: Random, way: str) -> float:
    """Say for how long: a restart comes soon, a stop outlasts the lease, now and then that of a look-up too."""
    if way != "stop":
        return rng.uniform(0.0, 1.5)
    return rng.uniform(2.0, 6.0) + (_LOOK_UP_LEASE_S if rng.random() < 0.2 else _LEASE_S)


def _draw(rng: Random, shares: dict[str, int]) -> str:
    return rng.choices(list(shares), list(shares.values()))[0]
