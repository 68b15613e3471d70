"""A worker dies, or loses Redis's answer, at every single point of a row's way: the row is sent exactly once."""

from collections.abc import Callable

import pytest
import redis
from pipeline_bench import KilledError, Points, Rig, phone, trouble

from worker.ledger.states import State


def _is_script(name: str) -> bool:
    return name.split()[1].islower()


def _close_first(rig: Rig) -> Callable[[str], object]:
    """Have an agent close the row's first conversation right before its message."""

    def meanwhile(name: str) -> None:
        if name == "before claim_sending" and len(found := rig.simulator.journal("interaction")) == 1:
            rig.simulator.close(found[0]["conversation_sid"])

    return meanwhile


def _unpaced(rig: Rig, meanwhile: Callable[[str], object]) -> Callable[[str], object]:
    """Free the pace after each look-up, too: three a second would be most of these tests' time."""

    def free_and_go_on(name: str) -> None:
        if name.startswith("after GET"):
            rig.forget_pace()
        meanwhile(name)

    return free_and_go_on


WAYS: dict[str, tuple[str, str]] = {
    "usual": (phone(1), "skip"),
    "opened, answer lost": (trouble(194), "skip"),
    "not opened, answer lost": (trouble(193), "skip"),
    "sent, answer lost": (trouble(164), "skip"),
    "not sent, answer lost": (trouble(163), "skip"),
    "opening deferred": (trouble(189), "skip"),
    "message deferred": (trouble(161), "skip"),
    "conversation named late": (trouble(160), "skip"),
    "message rejected": (trouble(176), "skip"),
    "channel failed": (trouble(182), "skip"),
    "pair busy, skip": (trouble(183), "skip"),
    "pair busy, use": (trouble(183), "use"),
    "pair silent, use": (trouble(184), "use"),
    "pair silent, skip": (trouble(184), "skip"),
    "conversation closed": (phone(1), "skip"),
}

LOST_IN = ("usual", "opened, answer lost", "sent, answer lost", "message rejected", "pair silent, use")


def _send_one(rig: Rig, way: str, name: str, points: Points) -> None:
    """Send one row the given way, with trouble at one point."""
    address, pair_busy = WAYS[way]
    rig.simulator.reset()
    rig.client.flushdb()
    rig.dead.clear()
    rig.campaign([address], name, pair_busy=pair_busy)
    if way == "conversation closed":
        points.meanwhile = _close_first(rig)
    points.meanwhile = _unpaced(rig, points.meanwhile)
    rig.points.__dict__.update(points.__dict__)
    try:
        rig.drive(name)
    except KilledError:
        rig.dead.add("worker-1")
        rig.drive(name, bench=rig.worker("worker-2"))
    rig.points.__dict__.update(Points(passed=rig.points.passed).__dict__)


def _moments(passed: list[str], kind: str = "") -> list[int]:
    """Choose the moments of a kind to strike at: the first of those that come again and again."""
    return sorted({passed.index(name) for name in passed if name.startswith(kind)})


def _outcome(rig: Rig, name: str) -> tuple[State, int]:
    record = rig.row(1, name).record
    return record.state, record.code


@pytest.mark.parametrize("way", WAYS)
def test_row_survives_the_death_of_its_worker_at_every_point(rig: Rig, way: str) -> None:
    _send_one(rig, way, "clean", Points())
    passed, outcome = list(rig.points.passed), _outcome(rig, "clean")
    rig.judge("clean")

    # Right after an effect is right before the next: nothing lies between that could be lost.
    for at in _moments(passed, "before"):
        _send_one(rig, way, f"killed-{at}", Points(strike_at=at))

        assert _outcome(rig, f"killed-{at}") == outcome, passed[at]
        rig.judge(f"killed-{at}")


@pytest.mark.parametrize("way", LOST_IN)
def test_row_survives_the_loss_of_every_answer_of_redis(rig: Rig, way: str) -> None:
    _send_one(rig, way, "clean", Points(counts=_is_script))
    passed, outcome = list(rig.points.passed), _outcome(rig, "clean")

    for at in _moments(passed):
        lost = Points(strike_at=at, trouble=redis.ConnectionError, counts=_is_script)
        _send_one(rig, way, f"lost-{at}", lost)

        assert _outcome(rig, f"lost-{at}") == outcome, passed[at]
        rig.judge(f"lost-{at}")
