"""What campaigns there are, how they stand, and who works on them."""

import socket
from collections.abc import Iterator

import pytest
import redis
from builders import LedgerRig

from worker.errors import NotFoundError, RedisUnavailableError
from worker.ledger.ledger import Ledger
from worker.ledger.registry import Registry
from worker.ledger.states import Reason, State

ID = "spring-1"


def test_campaign_is_created_once(rig: LedgerRig) -> None:
    rig.load(ID, 0, start=False)

    assert rig.registry.create(ID, {"name": "other"}).why == "loading"

    info = rig.registry.get(ID)
    assert (info.name, info.columns, info.rows, info.started_at) == ("spring", ("phone",), 0, None)
    assert (rig.registry.ids(), rig.registry.active()) == ([ID], [ID])


def test_campaign_that_is_not_there_is_named(rig: LedgerRig) -> None:
    assert rig.registry.find(ID) is None
    with pytest.raises(NotFoundError, match=ID):
        rig.registry.get(ID)


def test_newest_campaign_is_listed_first(rig: LedgerRig) -> None:
    rig.load("a-1", 0)
    rig.clock.pass_ms(1)
    rig.load("b-2", 0)

    assert rig.registry.ids() == ["b-2", "a-1"]


def test_pause_and_resume_take_turns(rig: LedgerRig) -> None:
    rig.load(ID, 1)

    assert rig.registry.resume(ID).why == "running"
    assert rig.registry.pause(ID, "operator").ok
    assert rig.registry.pause(ID, "operator").why == "paused"
    assert rig.registry.get(ID).paused_by == "operator"
    assert rig.registry.resume(ID).ok
    assert rig.registry.get(ID).paused_by == ""


def test_row_queued_before_a_pause_goes_back_when_it_is_claimed(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.queue(ID)
    rig.registry.pause(ID, "operator")

    assert rig.ledger.claim_opening(ID, 1, rig.claim(), rig.pair()).why == "paused"

    rig.registry.resume(ID)
    assert rig.ledger.dispatch(ID, fresh=1, old=0).fresh == (1,)


def test_definition_is_changed_once_for_each_comparison(rig: LedgerRig) -> None:
    rig.load(ID, 1)

    assert rig.registry.update_definition(ID, '{"new":1}', 1).values == (b"2",)
    assert rig.registry.update_definition(ID, '{"late":1}', 1).why == "2"

    info = rig.registry.get(ID)
    assert (info.definition, info.version) == ('{"new":1}', 2)


def test_campaign_stands_as_its_counts_say(rig: LedgerRig) -> None:
    rig.load(ID, 3, {3: State.INVALID}, start=False)
    assert rig.registry.get(ID).stands == "loading"
    rig.registry.start(ID, 3)
    assert rig.registry.get(ID).stands == "running"
    rig.accept(ID, 1)
    token = rig.opening(ID, 2)
    assert rig.registry.get(ID).stands == "running"
    rig.ledger.defer_opening(ID, 2, token, 60_000, 429)
    rig.ledger.dispatch(ID, fresh=1, old=0)
    assert rig.registry.get(ID).stands == "waiting"
    rig.clock.pass_ms(60_000)
    assert rig.registry.get(ID).stands == "running"
    rig.registry.pause(ID, "operator")
    assert rig.registry.get(ID).stands == "paused"
    rig.registry.resume(ID)
    token = rig.doubt(ID, 2)
    info = rig.registry.get(ID)
    assert (info.in_doubt, info.in_flight, info.left) == (1, 0, 1)
    rig.ledger.review(ID, 2, token, Reason.LOOKUPS_FAILED)

    info = rig.registry.get(ID)
    assert info.stands == "finished"
    counts = info.status_counts()
    assert sum(counts.values()) == 3
    assert (counts["accepted"], counts["needs_review"], counts["invalid"]) == (1, 1, 1)


def test_every_transition_raises_the_sequence_number(rig: LedgerRig) -> None:
    rig.load(ID, 2)
    seen = [rig.registry.get(ID).seq]

    for act in (
        lambda: rig.opening(ID),
        lambda: rig.ledger.expire(ID, 1, 0, 0, owner="worker-1"),
        lambda: rig.take(ID),
        lambda: rig.reject(ID, 2, 63112, stop=True),
        lambda: rig.registry.resume(ID),
        lambda: rig.registry.cancel(ID),
    ):
        act()
        seen.append(rig.registry.get(ID).seq)

    assert seen == sorted(set(seen))


def test_campaign_with_nothing_left_leaves_the_ticks_sight_and_can_come_back(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.registry.set_active(ID, active=False)
    assert rig.registry.active() == [ID]
    rig.accept(ID)

    rig.registry.set_active(ID, active=False)

    assert rig.registry.active() == []
    rig.registry.set_active(ID, active=True)
    assert rig.registry.active() == [ID]


def test_worker_is_seen_and_forgotten(rig: LedgerRig) -> None:
    rig.registry.see_worker("worker-1", {"host": "here", "pid": 5})

    (facts,) = rig.registry.workers().values()
    assert (facts["host"], facts["pid"]) == ("here", 5)
    assert 0 <= facts["age_s"] <= 2
    rig.registry.forget_worker("worker-1")
    assert rig.registry.workers() == {}


def test_one_worker_at_a_time_leads_until_it_gives_that_up(rig: LedgerRig) -> None:
    assert rig.registry.look("worker-1", 60_000).leader == "worker-1"
    assert rig.registry.look("worker-2", 60_000).leader == "worker-1"

    rig.registry.unlead()

    assert rig.registry.look("worker-2", 60_000).leader == "worker-2"


def test_who_leads_goes_on_where_he_says_so(rig: LedgerRig) -> None:
    name = f"{rig.registry.prefix}tick"
    rig.registry.look("worker-1", 30_000)

    rig.registry.look("worker-1", 60_000)
    kept_ms = rig.client.pttl(name)
    rig.registry.look("worker-1", 60_000, renew=True)

    assert kept_ms <= 30_000 < rig.client.pttl(name)


def test_look_sees_what_there_is_to_do(rig: LedgerRig) -> None:
    before = rig.registry.look("worker-1", 60_000)
    rig.load(ID, 1)
    rig.client.sadd(f"{rig.registry.prefix}polling", ID)

    after = rig.registry.look("worker-1", 60_000)

    assert (before.active, before.has_polls) == ((), False)
    assert (after.active, after.has_polls) == ((ID,), True)


def test_without_a_passed_clock_redis_tells_the_time(ledger_redis: "redis.Redis") -> None:
    ledger_redis.flushall()
    rig = LedgerRig(ledger_redis)
    rig.ledger, rig.registry = Ledger(ledger_redis, rig.tag), Registry(ledger_redis, rig.tag)
    rig.load(ID, 1)

    seconds, _ = ledger_redis.time()
    assert abs(rig.ledger.now_ms() - seconds * 1000) < 5000
    assert abs(rig.registry.get(ID).created_at.timestamp() - seconds) < 5


@pytest.fixture
def nobody() -> Iterator["redis.Redis"]:
    """Give a client of a Redis that isn't there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with redis.Redis(port=port, retry=None) as client:
        yield client


def test_redis_that_is_away_is_one_error_whatever_is_asked(nobody: "redis.Redis") -> None:
    ledger, registry = Ledger(nobody, "0badcafe"), Registry(nobody, "0badcafe")

    for ask in (
        lambda: registry.find(ID),
        registry.active,
        lambda: registry.pause(ID, "operator"),
        lambda: ledger.get_row(ID, 1),
        lambda: ledger.dispatch(ID, fresh=1, old=1),
        lambda: list(ledger.iter_rows(ID, 1)),
        ledger.now_ms,
    ):
        with pytest.raises(RedisUnavailableError):
            ask()
