"""A campaign is loaded once, whoever loads it and whoever is killed in the middle of it."""

import pytest
from builders import LedgerRig, load_row

from worker.errors import NotFoundError
from worker.ledger.states import Reason, State

ID = "spring-1"
ROWS = 150


def chunk(first: int) -> list:
    return [load_row(row) for row in range(first, min(first + 64, ROWS + 1))]


@pytest.fixture
def empty(rig: LedgerRig) -> LedgerRig:
    """Give a campaign without rows."""
    rig.load(ID, 0, start=False)
    return rig


def test_second_loader_of_the_same_rows_is_told_how_far_the_first_is(empty: LedgerRig) -> None:
    assert empty.ledger.load_rows(ID, 1, chunk(1)).values == (b"64",)
    before = empty.dump()

    reply = empty.ledger.load_rows(ID, 1, chunk(1))

    assert (reply.ok, reply.why) == (False, "64")
    assert empty.dump() == before


def test_two_loaders_in_turn_load_every_row_once(empty: LedgerRig) -> None:
    reached = {"one": 0, "two": 0}
    while min(reached.values()) < ROWS:
        for loader, loaded in reached.items():
            if loaded < ROWS:
                reply = empty.ledger.load_rows(ID, loaded + 1, chunk(loaded + 1))
                reached[loader] = int(reply.values[0]) if reply.ok else int(reply.why)

    assert empty.registry.start(ID, ROWS).ok
    assert empty.registry.get(ID).counts[State.PENDING] == ROWS
    assert [number for number, *_ in empty.ledger.iter_rows(ID, ROWS)] == list(range(1, ROWS + 1))


def test_load_that_was_killed_half_way_goes_on_where_it_was(empty: LedgerRig) -> None:
    empty.ledger.load_rows(ID, 1, chunk(1))
    assert not empty.registry.start(ID, ROWS).ok
    assert not empty.registry.create(ID, {}).ok

    first = empty.registry.get(ID).loaded + 1
    for begin in range(first, ROWS + 1, 64):
        assert empty.ledger.load_rows(ID, begin, chunk(begin)).ok

    assert empty.registry.start(ID, ROWS).ok


def test_gap_is_refused(empty: LedgerRig) -> None:
    assert empty.ledger.load_rows(ID, 65, chunk(65)).why == "0"


def test_rows_that_begin_within_a_bucket_are_refused_for_they_would_take_others_places(
    empty: LedgerRig,
) -> None:
    assert empty.ledger.load_rows(ID, 1, chunk(1)[:10]).ok
    before = empty.dump()

    assert not empty.ledger.load_rows(ID, 11, chunk(1)[10:20]).ok

    assert empty.dump() == before


def test_nothing_is_loaded_into_a_campaign_that_has_started(empty: LedgerRig) -> None:
    assert empty.ledger.load_rows(ID, 1, chunk(1)).ok
    assert empty.registry.start(ID, 64).ok

    assert not empty.ledger.load_rows(ID, 65, chunk(65)).ok


@pytest.mark.parametrize("state", ["loading", "paused", "cancelled"])
def test_no_row_is_given_out_unless_the_campaign_runs(rig: LedgerRig, state: str) -> None:
    rig.load(ID, 3, start=False)
    if state != "loading":
        rig.registry.start(ID, 3)
        {"paused": lambda: rig.registry.pause(ID, "operator"), "cancelled": lambda: rig.registry.cancel(ID)}[
            state
        ]()

    assert rig.ledger.dispatch(ID, fresh=9, old=9).fresh == ()
    assert rig.registry.get(ID).cursor == 0


@pytest.mark.parametrize("state", ["paused", "cancelled"])
def test_what_is_opened_or_doubtful_goes_on_when_no_new_row_does(rig: LedgerRig, state: str) -> None:
    rig.load(ID, 4)
    opened, doubtful = rig.open(ID, 1), rig.doubt(ID, 2)
    rig.ledger.wait_open(ID, 1, opened, 0)
    rig.ledger.look_again(ID, 2, doubtful, 0, empty=True, code=0)
    sending = rig.sending(ID, 3)
    assert (rig.registry.pause(ID, "operator") if state == "paused" else rig.registry.cancel(ID)).ok

    due = rig.ledger.dispatch(ID, fresh=9, old=9)

    assert (due.fresh, due.open, due.doubt) == ((), (1,), (2,))
    assert rig.ledger.accepted(ID, 3, sending, "IM" + "0" * 32).ok
    rig.take(ID, 1)
    token = rig.take(ID, 2)
    assert rig.ledger.absent_opening(ID, 2, token, 0, max_attempts=5, code=0).ok
    assert rig.state(ID, 2) is (State.PENDING if state == "paused" else State.CANCELLED)


def test_cursor_skips_rows_that_have_ended_already(rig: LedgerRig) -> None:
    states = {1: State.INVALID, 2: State.SKIPPED, 4: State.INVALID}
    rig.load(ID, 5, states)

    assert rig.ledger.dispatch(ID, fresh=1, old=0).fresh == (3,)
    assert rig.ledger.dispatch(ID, fresh=9, old=0).fresh == (5,)

    counts = rig.registry.get(ID).status_counts()
    assert (counts["invalid"], counts["skipped"], counts["pending"]) == (2, 1, 2)
    assert rig.ledger.get_note(ID, 1) == ("bad_number", "This is no phone number.", "Correct it.")
    assert rig.ledger.get_note(ID, 3) is None


def test_row_put_back_behind_the_cursor_is_due_at_its_time_and_once(rig: LedgerRig) -> None:
    rig.load(ID, 2)
    rig.ledger.dispatch(ID, fresh=1, old=0)
    rig.ledger.defer_queued(ID, 1, 5000)

    assert rig.ledger.dispatch(ID, fresh=9, old=0).fresh == (2,)
    assert rig.ledger.next_due_ms(ID) == (rig.clock() + 5000, None)
    rig.clock.pass_ms(5000)
    assert rig.ledger.dispatch(ID, fresh=9, old=0).fresh == (1,)
    assert rig.ledger.dispatch(ID, fresh=9, old=0).fresh == ()


def test_campaign_is_cancelled_in_pieces_whatever_else_is_in_the_window(rig: LedgerRig) -> None:
    rig.load(ID, 20)
    for row in (1, 2):
        rig.ledger.wait_open(ID, row, rig.open(ID, row), 0)
    rig.ledger.dispatch(ID, fresh=3, old=9)  # two opened ones, three queued
    rig.ledger.defer_queued(ID, 3, 60_000)
    assert rig.registry.cancel(ID).ok

    left = [int(rig.ledger.cancel_rows(ID, 2).values[0]) for _ in range(9)]

    assert left == [16, 14, 12, 10, 8, 6, 4, 2, 0]
    counts = rig.registry.get(ID).counts
    assert (counts[State.OPEN], counts[State.CANCELLED]) == (2, 18)
    assert rig.row(ID, 3).record.code == Reason.NONE


def test_cancelling_what_is_finished_is_refused(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.accept(ID)

    assert rig.registry.cancel(ID).why == "finished"

    assert rig.registry.get(ID).stands == "finished"


def test_rows_the_broker_lost_are_due_again(rig: LedgerRig) -> None:
    rig.load(ID, 3)
    rig.ledger.wait_open(ID, 1, rig.open(ID), 0)
    rig.ledger.dispatch(ID, fresh=1, old=1)
    rig.clock.pass_ms(5000)
    rig.ledger.dispatch(ID, fresh=1, old=0)

    assert rig.ledger.rescue_queued(ID, older_ms=5000) == 2

    assert (rig.state(ID, 1), rig.state(ID, 2), rig.state(ID, 3)) == (
        State.OPEN,
        State.PENDING,
        State.QUEUED,
    )
    due = rig.ledger.dispatch(ID, fresh=9, old=9)
    assert (due.fresh, due.open) == ((2,), (1,))


def test_holder_keeps_its_row_until_its_lease_is_over(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.opening(ID)
    rig.clock.pass_ms(59_999)
    assert rig.ledger.expire(ID, 1, 0, Reason.WORKER_LOST).why == "held"
    assert rig.ledger.expire(ID, 1, 0, Reason.WORKER_LOST, owner="worker-2").why == "held"

    rig.clock.pass_ms(1)

    assert rig.ledger.expire(ID, 1, 0, Reason.WORKER_LOST).values == (b"3",)
    record = rig.row(ID).record
    assert (record.attempts, record.story[-1].code) == (1, Reason.WORKER_LOST)


def test_dead_holder_loses_its_row_at_once(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.sending(ID)
    assert rig.ledger.owners(ID, [1]) == ["worker-1"]

    assert rig.ledger.expire(ID, 1, 0, Reason.WORKER_LOST, owner="worker-1").ok

    assert rig.state(ID) is State.DOUBT_SENDING
    assert rig.ledger.leases(ID) == []
    assert rig.ledger.owners(ID, [1]) == [""]
    assert rig.ledger.owners(ID, []) == []


def test_discarded_campaign_leaves_nothing(rig: LedgerRig) -> None:
    rig.load(ID, 100, {7: State.INVALID}, start=False)

    rig.registry.discard(ID)

    assert rig.dump() == {}
    with pytest.raises(NotFoundError, match="outreach status"):
        rig.registry.discard(ID)


def test_started_campaign_is_not_discarded(rig: LedgerRig) -> None:
    rig.load(ID, 2)
    before = rig.dump()

    rig.registry.discard(ID)

    assert rig.dump() == before
