"""A row's sends are numbered, what ended stays on record, and its story stays readable."""

import pytest
from builders import LedgerRig, sid

from worker.ledger.states import Event, Reason, State

ID = "spring-1"


def test_new_send_is_numbered_on_and_the_failed_one_is_kept(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    for send in (1, 2):
        rig.reject(ID, 1, 21211 + send)
        assert rig.ledger.new_send(ID, 1, send).values == (str(send + 1).encode(),)
    rig.accept(ID)

    past, present = rig.ledger.get_past(ID, 1), rig.row(ID).record
    assert [(one.send, one.state, one.code) for one in past] == [
        (1, State.FAILED, 21212),
        (2, State.FAILED, 21213),
    ]
    assert [each.event for each in past[0].story] == [Event.OPENING, Event.FAILED]
    assert (present.send, present.state, present.attempts) == (3, State.ACCEPTED, 1)
    assert present.story[0].event is Event.NEW_SEND
    assert past[0].address_hash == present.address_hash
    assert rig.ledger.get_past(ID, 2) == []


def test_second_request_for_the_same_new_send_does_nothing(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.reject(ID, 1)
    assert rig.ledger.new_send(ID, 1, 1).ok
    rig.reject(ID, 1)

    assert not rig.ledger.new_send(ID, 1, 1).ok

    assert rig.row(ID).record.send == 2


def test_send_number_never_begins_anew(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    for send in range(1, 255):
        rig.queue(ID)
        assert rig.ledger.end_queued(ID, 1, State.FAILED, Reason.UNREADABLE).ok
        assert rig.ledger.new_send(ID, 1, send).ok
    rig.queue(ID)
    assert rig.ledger.end_queued(ID, 1, State.FAILED, Reason.UNREADABLE).ok

    assert rig.ledger.new_send(ID, 1, 255).why == "sends"

    assert len(rig.ledger.get_past(ID, 1)) == 254


def test_new_send_waits_until_the_failed_ones_interaction_is_closed(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.ledger.reject_sending(ID, 1, rig.sending(ID), 63016, stop=False)

    assert rig.ledger.new_send(ID, 1, 1).ok

    assert rig.ledger.dispatch(ID, fresh=9, old=0).fresh == ()
    rig.ledger.closed(ID, sid("KD", 1), done=True)
    assert rig.ledger.dispatch(ID, fresh=9, old=0).fresh == (1,)


def test_new_send_brings_a_finished_campaign_back_into_sight(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.reject(ID, 1)
    rig.registry.set_active(ID, active=False)
    assert rig.registry.active() == []

    assert rig.ledger.new_send(ID, 1, 1).ok

    assert rig.registry.active() == [ID]
    rig.registry.set_active(ID, active=False)  # by a tick that looked just before
    assert rig.registry.active() == [ID]
    assert rig.registry.get(ID).stands == "running"


def test_new_send_in_a_cancelled_campaign_waits_for_the_end_of_the_others(rig: LedgerRig) -> None:
    rig.load(ID, 3)
    rig.reject(ID, 1)
    assert rig.registry.cancel(ID).ok
    assert rig.ledger.new_send(ID, 1, 1).why == "cancelled"

    rig.ledger.cancel_rows(ID)

    assert rig.ledger.new_send(ID, 1, 1).ok
    assert rig.ledger.dispatch(ID, fresh=9, old=0).fresh == (1,)
    assert [rig.state(ID, row) for row in (2, 3)] == [State.CANCELLED] * 2


def test_verdict_sent_with_a_proof_is_an_acceptance(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.bring(ID, State.NEEDS_REVIEW)

    assert rig.ledger.verdict(ID, 1, 1, "sent", message=sid("IM", 5), conversation=sid("CH", 6)).values == (
        b"7",
    )

    record = rig.row(ID).record
    assert (record.message_sid, record.conversation_sid) == (sid("IM", 5), sid("CH", 6))
    assert (record.code, record.arg) == (0, 0)


def test_verdict_sent_without_a_proof_stays_in_review_with_the_operators_word(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.bring(ID, State.NEEDS_REVIEW)

    rig.ledger.verdict(ID, 1, 1, "sent", code=Reason.SENT_SAYS_OPERATOR)

    assert (rig.state(ID), rig.row(ID).record.code) == (State.NEEDS_REVIEW, Reason.SENT_SAYS_OPERATOR)


def test_verdict_not_sent_closes_what_was_opened_and_begins_a_new_send(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.bring(ID, State.NEEDS_REVIEW)
    rig.registry.set_active(ID, active=False)

    assert rig.ledger.verdict(ID, 1, 1, "not_sent").values == (b"0",)

    assert [each.interaction_sid for each in rig.ledger.to_close(ID)] == [sid("KD", 1)]
    (past,) = rig.ledger.get_past(ID, 1)
    assert (past.state, past.arg, past.story[-1].event) == (
        State.NEEDS_REVIEW,
        State.DOUBT_SENDING,
        Event.VERDICT,
    )
    assert (rig.row(ID).record.send, rig.registry.active()) == (2, [ID])
    assert not rig.ledger.verdict(ID, 1, 1, "not_sent").ok


def test_story_tells_of_each_step_with_its_time_and_code(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    token = rig.opening(ID)
    rig.clock.pass_ms(1230)
    rig.ledger.defer_opening(ID, 1, token, 1000, 429)
    rig.clock.pass_ms(1000)
    rig.accept(ID)

    record = rig.row(ID).record
    assert [(each.event, each.code) for each in record.story] == [
        (Event.OPENING, 0),
        (Event.OPENING_DEFERRED, 429),
        (Event.OPENING, 0),
        (Event.OPENED, 0),
        (Event.SENDING, 0),
        (Event.ACCEPTED, 0),
    ]
    assert (record.story[1].at - record.story[0].at).total_seconds() == 1.23
    assert record.attempts == 1  # what was not processed is none
    assert record.finished_at == record.story[-1].at


def test_story_is_bounded_and_keeps_its_beginning_and_its_end(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    for step in range(150):
        token = rig.opening(ID)
        rig.ledger.defer_opening(ID, 1, token, 0, 10_000 + step)
    rig.accept(ID)

    record = rig.row(ID).record
    assert 98 <= len(record.story) <= 156
    assert [each.code for each in record.story[:4]] == [0, 10_000, 0, 10_001]
    assert [each.event for each in record.story[-2:]] == [Event.SENDING, Event.ACCEPTED]
    assert record.story[-5].code == 10_149
    # Still in the compact form.
    assert rig.client.object("encoding", rig.ledger.key(ID, "rw:0")) in (b"listpack", b"ziplist")


def test_times_past_what_a_story_can_hold_stay_at_its_end(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.clock.pass_ms(600 * 24 * 3600 * 1000)

    rig.reject(ID, 1)

    assert (rig.row(ID).record.story[-1].at - rig.registry.get(ID).created_at).days == 497


def test_attempts_and_looks_stop_at_what_a_record_can_hold(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    token = rig.doubt(ID, 1, sending=True)
    for _ in range(260):
        rig.ledger.look_again(ID, 1, token, 0, empty=True, code=0)
        token = rig.take(ID)
    assert rig.row(ID).record.looks == 255
    for _ in range(260):
        rig.ledger.absent_sending(ID, 1, token, 0, max_attempts=1000, code=Reason.NO_ANSWER)
        claim = rig.claim()
        assert rig.ledger.take(ID, 1, claim).ok
        assert rig.ledger.claim_sending(ID, 1, claim, sid("CH", 1)).ok
        assert rig.ledger.doubt_sending(ID, 1, claim.token, 0, 500).ok
        token = rig.take(ID)

    assert rig.row(ID).record.attempts == 255


def test_row_begun_anew_has_nothing_left_of_the_conversation_it_used(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    token = rig.open(ID)
    assert rig.ledger.use_conversation(ID, 1, token, sid("CH", 9)).ok
    hand = rig.row(ID).hand
    assert (hand.used, hand.channel, hand.flex_task) == (True, "", "")

    rig.ledger.abandon_open(ID, 1, token, State.PENDING, Reason.PAIR_BUSY, waits=True)

    row = rig.row(ID)
    assert (row.hand.used, row.hand.opened, row.hand.pair) == (False, 0, "")
    assert row.hand.waiting == rig.clock()
    assert (row.record.interaction_sid, row.record.conversation_sid) == ("", "")


@pytest.mark.parametrize("state", [each for each in State if each.is_ended and each is not State.INVALID])
def test_ended_row_leaves_nothing_in_hand(rig: LedgerRig, state: State) -> None:
    rig.load(ID, 1)

    rig.bring(ID, state)

    for name in ("hand", "lease", "due", "later", "queued"):
        assert not rig.client.exists(rig.ledger.key(ID, name)), name
