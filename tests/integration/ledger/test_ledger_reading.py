"""What reports read from the ledger."""

import pytest
import redis
from builders import LedgerRig

from worker.ledger.ledger import Ledger
from worker.ledger.registry import Registry
from worker.ledger.states import State

ID = "spring-1"


def test_address_hashes_are_those_of_the_rows_in_a_state(rig: LedgerRig) -> None:
    rig.load(ID, 70)
    for row in (2, 70):
        rig.accept(ID, row)

    hashes = list(rig.ledger.address_hashes(ID, 70, State.ACCEPTED))

    assert hashes == [row.to_bytes(8) for row in (2, 70)]


def test_recent_outcomes_are_told_newest_first(rig: LedgerRig) -> None:
    rig.load(ID, 3)
    rig.accept(ID, 1)
    rig.reject(ID, 2)

    outcomes = rig.ledger.recent_outcomes(ID, 0)

    assert [state for _, state in outcomes] == [State.FAILED, State.ACCEPTED]
    assert rig.ledger.recent_outcomes(ID, outcomes[0][0] + 60_000) == []


def test_window_is_counted(rig: LedgerRig) -> None:
    rig.load(ID, 3)
    rig.ledger.dispatch(ID, fresh=2, old=0)

    assert rig.ledger.queued_count(ID) == 2
    assert rig.registry.get(ID).queued == 2


def test_rows_are_read_together_as_they_are_one_by_one(rig: LedgerRig) -> None:
    rig.load(ID, 70, {2: State.INVALID})
    rig.open(ID, 65)
    rig.accept(ID, 1)

    read = rig.ledger.get_rows(ID, [65, 1, 99, 2, 70])

    assert sorted(row.number for row in read) == [1, 2, 65, 70]
    assert [row._replace(record=row.record.whole()) for row in read] == [
        rig.row(ID, row.number) for row in read
    ]
    with pytest.raises(KeyError):
        rig.ledger.get_row(ID, 99)


def test_row_that_is_held_is_not_taken_by_another(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.open(ID)
    before = rig.dump()

    assert rig.ledger.take(ID, 1, rig.claim("worker-2")).why == "held"

    assert rig.dump() == before


def test_fault_that_is_no_outage_is_raised_as_it_is(ledger_redis: "redis.Redis") -> None:
    ledger_redis.flushall()
    ledger, registry = Ledger(ledger_redis, "0badcafe"), Registry(ledger_redis, "0badcafe")
    ledger_redis.set(ledger.key(ID, "queued"), "no set")
    ledger_redis.set("o:{0badcafe}:active", "no set")
    ledger_redis.set(ledger.key(ID), "no hash")

    for ask in (
        lambda: ledger.queued_count(ID),
        registry.active,
        lambda: registry.pause(ID, "operator"),
    ):
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            ask()
