"""A worker dies at every single point of a follow-up's way: it is sent exactly once, and nobody's conversation is closed."""

from collections import Counter

import pytest
import redis
from follow_up_scenes import DAY, ONE, pass_time, send_first
from pipeline_bench import KilledError, Points, Rig, key

from worker.errors import RedisUnavailableError
from worker.ledger.states import State
from worker.pipeline import waves

WAYS: dict[str, tuple[bool, str]] = {
    "into the open conversation": (True, ""),
    "into the open conversation, answer lost": (True, "cut_after"),
    "into a new conversation": (False, ""),
}
"""Whether the first message's conversation is still open, and what becomes of the answer about the follow-up."""


def _follow_up(rig: Rig, way: str, name: str, points: Points) -> None:
    """Send one row's follow-up the given way, with trouble at one point."""
    is_open, fault = WAYS[way]
    rig.simulator.reset(settings=True)
    rig.simulator.settings(setup_ms=0, flex_per_s=0, task_lookups_per_s=0)
    rig.client.flushdb()
    rig.dead.clear()
    send_first(rig, ONE, campaign_id=name)
    if not is_open:
        rig.simulator.close(rig.row(1, name).record.conversation_sid)
    night = pass_time(rig, 4 * DAY)
    left = [{fault: 1.0}, {}] if fault else []

    def meanwhile(moment: str) -> None:
        """Have the first answer about the message lost, and free the pace after look-ups."""
        if moment.startswith("after GET"):
            rig.forget_pace()
        if left and (moment == "before POST Messages" or len(left) == 1):
            rig.simulator.settings(fault=left.pop(0))

    points.meanwhile = meanwhile
    rig.points.__dict__.update(points.__dict__)
    bench = rig.bench
    for _ in range(2):
        try:
            waves.begin(bench, name, night)
            rig.drive(name, f"{name}.f1-1", bench=bench)
            break
        except KilledError:
            rig.dead.add(bench.owner)
            bench = rig.worker("worker-2")
        except RedisUnavailableError:  # the night is tried again
            continue
    rig.points.__dict__.update(Points(passed=rig.points.passed).__dict__)


def _judge(rig: Rig, way: str, name: str) -> None:
    record = rig.row(1, f"{name}.f1-1").record
    assert record.state is State.ACCEPTED
    assert rig.messages() == Counter({key(1, 1, name): 1, key(1, 2, name): 1})
    messages = {one["key"]: one for one in rig.simulator.journal("message")}
    mine = messages[key(1, 2, name)]
    assert (mine["message_sid"], mine["customer_in"]) == (record.message_sid, True)
    first = rig.row(1, name).record
    assert (mine["conversation_sid"] == first.conversation_sid) is WAYS[way][0]
    closed = {one["interaction_sid"] for one in rig.simulator.journal("interaction_closed")}
    assert not closed & {first.interaction_sid, record.interaction_sid}, "an agent has that conversation"


def _moments(passed: list[str], kind: str) -> list[int]:
    return sorted({passed.index(name) for name in passed if name.startswith(kind)})


@pytest.mark.parametrize("way", WAYS)
def test_follow_up_survives_the_death_of_its_worker_at_every_point(rig: Rig, way: str) -> None:
    _follow_up(rig, way, "clean", Points())
    passed = list(rig.points.passed)
    _judge(rig, way, "clean")

    for at in _moments(passed, "before"):
        _follow_up(rig, way, f"killed-{at}", Points(strike_at=at))

        _judge(rig, way, f"killed-{at}")


def test_follow_up_survives_the_loss_of_every_answer_of_redis(rig: Rig) -> None:
    def is_script(name: str) -> bool:
        return name.split()[1].islower()

    way = "into the open conversation"
    _follow_up(rig, way, "clean", Points(counts=is_script))

    for at in _moments(list(rig.points.passed), "after"):
        lost = Points(strike_at=at, trouble=redis.ConnectionError, counts=is_script)
        _follow_up(rig, way, f"lost-{at}", lost)

        _judge(rig, way, f"lost-{at}")
