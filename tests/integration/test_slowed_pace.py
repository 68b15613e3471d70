"""Tell how the pace follows a limit that Twilio lowers and raises again, in a time that only the test passes on."""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from random import Random

import pytest
from passed_time import PREFIX, PassedTime

from worker.pacing import Bucket, Granted, Pacer
from worker.redis_server import EmbeddedRedis

PROCESSES, AHEAD_MS = 4, 600


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedRedis(tmp_path_factory.mktemp("home")).hold() as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[PassedTime]:
    client = PassedTime.from_url(url)
    client.begin()
    yield client
    client.close()


class Line:
    """Calls at a pace by several processes, each with slots ahead, and a Twilio that takes so many within any second."""

    def __init__(
        self, client: PassedTime, per_s: float, limit: Callable[[float], int], latency_s: float
    ) -> None:
        self._client, self._limit, self._latency_s = client, limit, latency_s
        self._bucket = Bucket("calls", per_s)
        self._pacers = [
            Pacer(client, PREFIX, clock=client.monotonic_s, sleep=client.sleep) for _ in range(PROCESSES)
        ]
        self._began_s = client.monotonic_s()
        self._chance, self._numbers = Random(5), count()
        self._plan: list[tuple[float, int, Callable[[float], None]]] = []
        self._taken: deque[float] = deque()
        self.refuses_too: Callable[[float], bool] = lambda _: False
        self.accepted: list[float] = []
        self.refused: list[float] = []
        for pacer in self._pacers:
            self._at(self._began_s, partial(self._acquire, pacer))

    def run(self, until_s: float) -> None:
        """Let time pass."""
        while self._plan[0][0] < self._began_s + until_s:
            at_s, _, act = heapq.heappop(self._plan)
            self._client.pass_s(max(0.0, at_s - self._client.monotonic_s()))
            act(at_s)

    def accepted_in(self, begin_s: float, end_s: float) -> int:
        """Count what Twilio accepted between two moments."""
        return sum(begin_s <= at_s < end_s for at_s in self.accepted)

    @property
    def refused_share(self) -> float:
        """Give the refused calls' share of all."""
        return len(self.refused) / (len(self.refused) + len(self.accepted))

    def _at(self, at_s: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._plan, (at_s, next(self._numbers), act))

    def _acquire(self, pacer: Pacer, at_s: float) -> None:
        taken = pacer.acquire([self._bucket], AHEAD_MS)
        if isinstance(taken, Granted):
            self._at(taken.slot_s, lambda _: self._call(pacer, taken))
            again_s = at_s
        else:
            again_s = at_s + taken.ms / 1000 + self._chance.uniform(0, 0.02)
        self._at(again_s, partial(self._acquire, pacer))

    def _call(self, pacer: Pacer, slot: Granted) -> None:
        if not pacer.wait(slot):
            return
        now_s = self._client.monotonic_s() - self._began_s
        while self._taken and self._taken[0] <= now_s - 1:
            self._taken.popleft()
        if len(self._taken) < self._limit(now_s) and not self.refuses_too(now_s):
            self._taken.append(now_s)
            self.accepted.append(now_s)
            return
        self.refused.append(now_s)
        answered_s = slot.slot_s + self._latency_s * self._chance.uniform(0.7, 1.3)
        self._at(answered_s, lambda _: pacer.slow_down(self._bucket, None, slot.slot_us))


@pytest.mark.parametrize(("low", "latency_s"), [(10, 0.2), (18, 0.8)])
def test_lowered_limit_is_followed_with_few_refusals_and_left_when_it_is_raised(
    client: PassedTime, low: int, latency_s: float
) -> None:
    line = Line(client, 20, lambda now_s: low if 10 <= now_s < 50 else 20, latency_s)

    line.run(100)

    assert line.accepted_in(2, 10) >= 0.98 * 8 * 20
    assert line.accepted_in(15, 50) >= 0.85 * 35 * low, "what is left is used"
    assert sum(at_s >= 15 for at_s in line.refused) <= 10, "it does not feel for it again and again"
    assert line.refused_share < 0.015, "of Interactions, a third of all calls: half a percent of these"
    assert line.accepted_in(95, 100) >= 0.98 * 5 * 20, "it is back"


def test_limit_that_was_low_for_long_is_used_within_a_minute_of_being_raised(client: PassedTime) -> None:
    bucket, pacer = Bucket("calls", 20.0), Pacer(client, PREFIX, clock=client.monotonic_s, sleep=client.sleep)

    def pace() -> float:
        return pacer.peek([bucket])[0].per_s

    def passed_s(per_s: float) -> float:
        began_s = client.monotonic_s()
        while pace() < per_s:
            client.pass_s(0.1)
        return client.monotonic_s() - began_s

    for _ in range(10):
        for _ in range(10):
            pacer.slow_down(bucket, None)
        client.pass_s(1.1)
    client.pass_s(10)  # it has climbed to what held
    for _ in range(6):
        passed_s(pace() + 0.5)
        pacer.slow_down(bucket, None)  # it is one too many: the limit is as low as before

    assert pace() < 10
    assert passed_s(0.95 * 20) < 60


def test_stray_refusal_costs_a_fraction_of_a_second(client: PassedTime) -> None:
    line = Line(client, 20, lambda _: 20, 0.2)
    stray = iter([True])
    line.refuses_too = lambda now_s: now_s > 5 and next(stray, False)

    line.run(30)

    assert len(line.refused) == 1
    assert line.accepted_in(2, 30) >= 0.98 * 28 * 20 - 10


def test_strays_all_the_time_leave_most_of_the_pace(client: PassedTime) -> None:
    line, chance = Line(client, 20, lambda _: 20, 0.2), Random(3)
    line.refuses_too = lambda _: chance.random() < 0.01

    line.run(40)

    assert len(line.refused) > 3
    assert line.accepted_in(0, 40) >= 0.8 * 40 * 20


def test_low_limit_is_used_though_nothing_was_taken_before(client: PassedTime) -> None:
    """At so few calls a second a refusal says little: what it takes off is a part of the pace, not a whole call a second."""
    line = Line(client, 2, lambda now_s: 0 if 10 <= now_s < 20 else 1, 0.2)

    line.run(200)

    assert line.accepted_in(100, 200) >= 0.6 * 100
