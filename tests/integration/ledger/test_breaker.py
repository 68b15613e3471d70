"""A campaign that is rejected as a whole stops itself, and gets back the rows it burnt."""

import pytest
from builders import LedgerRig, opened_sids, sid

from worker.ledger.states import Event, Reason, State

ID = "spring-1"
STOP, ROW, OTHER = 63112, 21211, 63016


def failed(rig: LedgerRig) -> int:
    return rig.registry.get(ID).counts[State.FAILED]


def test_campaign_class_code_pauses_at_once_and_puts_the_row_back(rig: LedgerRig) -> None:
    rig.load(ID, 3)

    rig.reject(ID, 1, STOP, stop=True)

    info = rig.registry.get(ID)
    assert (info.state, info.paused_by, info.reason_code) == ("paused", "breaker", STOP)
    record = rig.row(ID).record
    assert (record.state, record.code, record.attempts, record.send) == (State.PENDING, 0, 0, 1)
    assert [(each.event, each.code) for each in record.story][-2:] == [
        (Event.FAILED, STOP),
        (Event.PUT_BACK, STOP),
    ]
    assert rig.ledger.dispatch(ID, fresh=9, old=9).fresh == ()


def test_twenty_rejections_in_a_row_pause_and_all_of_them_go_back(rig: LedgerRig) -> None:
    rig.load(ID, 30)

    for row in range(1, 20):
        rig.reject(ID, row)
    assert (rig.registry.get(ID).state, failed(rig)) == ("running", 19)
    rig.reject(ID, 20)

    info = rig.registry.get(ID)
    assert (info.state, info.reason_code, failed(rig)) == ("paused", ROW, 0)
    assert rig.registry.resume(ID).ok
    assert sorted(rig.ledger.dispatch(ID, fresh=99, old=0).fresh) == list(range(1, 31))


@pytest.mark.parametrize("between", ["acceptance", "found message", "other code"])
def test_anything_between_begins_the_twenty_anew(rig: LedgerRig, between: str) -> None:
    rig.load(ID, 50)
    for row in range(1, 20):
        rig.reject(ID, row)

    if between == "acceptance":
        rig.accept(ID, 20)
    elif between == "found message":
        token = rig.doubt(ID, 20, sending=True)
        assert rig.ledger.adopt_sending(ID, 20, token, sid("IM", 20)).ok
    else:
        rig.reject(ID, 20, OTHER)

    for row in range(21, 40):
        rig.reject(ID, row)
    assert rig.registry.get(ID).state == "running"
    rig.reject(ID, 40)
    assert rig.registry.get(ID).state == "paused"
    # What was rejected with that code before counts, too: nothing else was wrong with it.
    assert failed(rig) == (1 if between == "other code" else 0)


def test_what_was_rejected_before_the_last_resume_stays(rig: LedgerRig) -> None:
    rig.load(ID, 9)
    rig.reject(ID, 1)
    rig.reject(ID, 2, OTHER)
    assert rig.registry.pause(ID, "operator").ok
    assert rig.registry.resume(ID).ok

    rig.reject(ID, 3)
    rig.reject(ID, 4, ROW, stop=True)

    states = [rig.state(ID, row) for row in (1, 2, 3, 4)]
    assert states == [State.FAILED, State.FAILED, State.PENDING, State.PENDING]


def test_rejections_on_their_way_when_it_opened_go_back_too(rig: LedgerRig) -> None:
    rig.load(ID, 30)
    late = {row: rig.opening(ID, row) for row in (21, 22, 23)}
    for row in range(1, 21):
        rig.reject(ID, row)
    assert rig.registry.get(ID).state == "paused"

    rig.ledger.reject_opening(ID, 21, late[21], OTHER, stop=False)
    rig.ledger.reject_opening(ID, 22, late[22], ROW, stop=False)
    rig.ledger.opened(ID, 23, late[23], **opened_sids(23))
    rig.ledger.abandon_open(ID, 23, late[23], State.FAILED, ROW)

    assert [rig.state(ID, row) for row in (21, 22, 23)] == [State.FAILED, State.PENDING, State.PENDING]
    assert rig.registry.get(ID).reason_code == ROW


def test_breaker_names_its_reason_where_an_operator_had_paused(rig: LedgerRig) -> None:
    rig.load(ID, 2)
    token = rig.opening(ID)
    assert rig.registry.pause(ID, "operator").ok

    rig.ledger.reject_opening(ID, 1, token, STOP, stop=True)

    info = rig.registry.get(ID)
    assert (info.state, info.paused_by, info.reason_code) == ("paused", "breaker", STOP)
    assert rig.state(ID) is State.PENDING


def test_rejection_in_a_cancelled_campaign_stays_with_its_reason(rig: LedgerRig) -> None:
    rig.load(ID, 2)
    token = rig.opening(ID)
    assert rig.registry.cancel(ID).ok

    rig.ledger.reject_opening(ID, 1, token, STOP, stop=True)

    assert (rig.state(ID), rig.row(ID).record.code) == (State.FAILED, STOP)
    assert rig.registry.get(ID).state == "cancelled"


def test_row_put_back_is_not_claimed_before_its_interaction_is_closed(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    token = rig.sending(ID)
    assert rig.ledger.reject_sending(ID, 1, token, STOP, stop=True).ok
    assert rig.registry.resume(ID).ok
    assert rig.ledger.dispatch(ID, fresh=9, old=0).fresh == ()

    rig.clock.pass_ms(30_000)  # it isn't forgotten, were nobody ever to close it
    assert rig.ledger.dispatch(ID, fresh=9, old=0).fresh == (1,)
    assert rig.ledger.claim_opening(ID, 1, rig.claim(), rig.pair()).why == "closing"

    assert rig.ledger.closed(ID, sid("KD", 1), done=True).ok
    assert rig.ledger.dispatch(ID, fresh=9, old=0).fresh == (1,)
    assert rig.ledger.claim_opening(ID, 1, rig.claim(), rig.pair()).ok
    # Kept, so that a look-up tells the earlier Interaction from a new one with the same key.
    assert rig.row(ID).hand.closing == sid("KD", 1)


def test_many_rows_go_back_in_pieces_and_none_is_lost(rig: LedgerRig) -> None:
    rig.load(ID, 12)
    for row in range(1, 10):
        rig.reject(ID, row)
    rejected = rig.ledger.key(ID, f"rej:{ROW}")
    rig.client.lpush(rejected, *([99] * 1250))  # as many more, of rows that have gone back before
    rig.reject(ID, 10, ROW, stop=True)
    assert failed(rig) == 10, "not in one script"
    assert rig.registry.get(ID).left == 2 + 760, "what is still to go back is left"

    assert rig.registry.resume(ID).ok  # in the middle of it
    rig.reject(ID, 11, ROW)  # a new one, after it
    rig.ledger.rescue_queued(ID, older_ms=60_000)
    rig.ledger.dispatch(ID, fresh=0, old=0)

    assert [rig.state(ID, row) for row in (1, 10, 11)] == [State.PENDING, State.PENDING, State.FAILED]
    assert rig.registry.get(ID).left == 11
    assert rig.client.lrange(rejected, 0, -1) == [b"11"]
    assert not rig.client.exists(rig.ledger.key(ID, "back"))


def test_cancelling_ends_the_putting_back(rig: LedgerRig) -> None:
    rig.load(ID, 2)
    rig.client.rpush(rig.ledger.key(ID, f"rej:{ROW}"), *([1] * 5000))
    rig.reject(ID, 1, ROW, stop=True)
    assert rig.registry.get(ID).putting_back > 0

    assert rig.registry.cancel(ID).ok

    assert rig.registry.get(ID).putting_back == 0


def test_giving_up_twenty_rows_in_a_row_is_a_reason_too(rig: LedgerRig) -> None:
    rig.load(ID, 25)
    for row in range(1, 21):
        token = rig.doubt(ID, row)
        assert rig.ledger.absent_opening(ID, row, token, 0, max_attempts=1, code=Reason.NO_ANSWER).ok

    info = rig.registry.get(ID)
    assert (info.state, info.reason_code, failed(rig)) == ("paused", Reason.NO_ANSWER, 0)
