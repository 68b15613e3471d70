"""What is heard of a message after its end: deliveries in any order, answers, and when to ask for them."""

from datetime import UTC, datetime

import pytest
from builders import LedgerRig, sid

from worker.ledger.keys import BUCKET
from worker.ledger.states import Delivery, Event
from worker.ledger.suppression import contact

ID = "spring-1"
CONTACT = contact("whatsapp", "whatsapp:+12025550100")


def test_later_news_replaces_earlier_whatever_order_it_comes_in(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.accept(ID)
    message = sid("IM", 1)

    answers = [
        rig.ledger.note_delivery(ID, 1, message, each).why
        for each in (Delivery.DELIVERED, Delivery.SENT, Delivery.DELIVERED, Delivery.READ, Delivery.DELIVERED)
    ]

    assert answers == ["", "old", "old", "", "old"]
    info = rig.registry.get(ID)
    assert {each: n for each, n in info.deliveries.items() if n} == {Delivery.READ: 1}
    assert [each.event.name for each in rig.row(ID).record.story][-2:] == ["DELIVERED", "READ"]


def test_a_lost_message_is_counted_by_its_code(rig: LedgerRig) -> None:
    rig.load(ID, 2)
    for row in (1, 2):
        rig.accept(ID, row)
        assert rig.ledger.note_delivery(ID, row, sid("IM", row), Delivery.UNDELIVERED, 30003).ok

    assert rig.registry.get(ID).undelivered == {30003: 2}
    assert rig.ledger.new_send(ID, 1, 1).ok
    assert rig.registry.get(ID).undelivered == {30003: 1}
    assert rig.row(ID).hand.adopt == sid("CH", 1)


def test_news_of_an_earlier_send_goes_into_its_own_record(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.accept(ID)
    rig.ledger.note_delivery(ID, 1, sid("IM", 1), Delivery.FAILED, 30003)
    rig.ledger.new_send(ID, 1, 1)

    assert rig.ledger.note_delivery(ID, 1, sid("IM", 1), Delivery.READ).ok

    (earlier,) = rig.ledger.get_past(ID, 1)
    assert (earlier.delivery, rig.row(ID).record.delivery) == (Delivery.READ, Delivery.NONE)
    assert not any(rig.registry.get(ID).deliveries.values())
    assert rig.ledger.note_delivery(ID, 1, sid("IM", 1), Delivery.READ).why == "old"
    assert rig.ledger.note_delivery(ID, 1, sid("IM", 7), Delivery.READ).why == "message"


def test_what_comes_after_the_end_leaves_the_end_as_it_was(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.accept(ID)
    ended = rig.row(ID).record.finished_at
    rig.clock.pass_ms(5_000)
    rig.ledger.note_delivery(ID, 1, sid("IM", 1), Delivery.DELIVERED)
    rig.clock.pass_ms(5_000)

    assert rig.ledger.note_answer(ID, 1, rig.clock() - 1_000).ok
    assert rig.ledger.note_answer(ID, 1, rig.clock()).why == "old"

    ((_, read, _, _),) = rig.ledger.iter_rows(ID, 1)
    for record in (rig.row(ID).record, read):
        assert record.finished_at == ended
        assert record.answered_at == datetime.fromtimestamp((rig.clock() - 1_000) / 1000, tz=UTC)
    assert (rig.registry.get(ID).answered, rig.registry.get(ID).opted_out) == (1, 0)


def test_whoever_opts_out_is_on_the_list_from_then_on(rig: LedgerRig) -> None:
    rig.load(ID, 2)
    rig.accept(ID)
    rig.ledger.note_answer(ID, 1, rig.clock())

    assert rig.ledger.note_answer(ID, 1, rig.clock(), opted_out=True, contact=CONTACT).ok

    assert rig.row(ID).record.has_opted_out
    assert rig.suppression.find([CONTACT, contact("sms", "+12025550100")]) == [True, False]
    rig.queue(ID, 2)
    assert rig.ledger.claim_opening(ID, 2, rig.claim(), rig.pair(2), contact=CONTACT).why == "suppressed"


@pytest.mark.parametrize("code", [21610, 63014])
def test_a_code_of_somebody_who_wants_nothing_puts_him_on_the_list(rig: LedgerRig, code: int) -> None:
    rig.load(ID, 3)
    rig.accept(ID)

    rig.ledger.note_delivery(ID, 1, sid("IM", 1), Delivery.UNDELIVERED, code, contact=contact("sms", "+1"))
    token = rig.opening(ID, 2)
    rig.ledger.reject_opening(ID, 2, token, code, stop=False, contact=contact("sms", "+2"))
    token = rig.sending(ID, 3)
    rig.ledger.reject_sending(ID, 3, token, code, stop=False, contact=contact("sms", "+3"))

    assert all(rig.suppression.find([contact("sms", f"+{number}") for number in (1, 2, 3)]))


@pytest.mark.parametrize("is_early", [True, False])
def test_answer_is_the_rows_whatever_is_sent_to_it_again(rig: LedgerRig, is_early: bool) -> None:
    rig.load(ID, 1)
    rig.accept(ID)
    rig.ledger.note_delivery(ID, 1, sid("IM", 1), Delivery.FAILED, 30003)
    answered_at = rig.clock()
    if is_early:
        assert rig.ledger.note_answer(ID, 1, answered_at).ok
    rig.ledger.new_send(ID, 1, 1)
    if not is_early:
        assert rig.ledger.note_answer(ID, 1, answered_at).ok
    assert rig.row(ID).record.story[-1].event is Event.NEW_SEND, "its last event says what it waits for"
    rig.clock.pass_ms(5_000)
    rig.accept(ID)

    assert rig.ledger.note_answer(ID, 1, rig.clock()).why == "old"

    ((_, read, _, _),) = rig.ledger.iter_rows(ID, 1)
    for record in (rig.row(ID).record, read):
        assert record.answered_at
        assert round(record.answered_at.timestamp() * 1000) == answered_at
        assert record.finished_at
        assert record.finished_at > record.answered_at
    assert rig.registry.get(ID).answered == 1
    assert rig.ledger.get_past(ID, 1)[0].answered_at is None


def test_opt_out_while_a_new_send_of_the_row_goes_on_counts_at_once(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.accept(ID)
    rig.ledger.note_delivery(ID, 1, sid("IM", 1), Delivery.FAILED, 30003)
    rig.ledger.new_send(ID, 1, 1)
    rig.ledger.note_answer(ID, 1, rig.clock())

    assert rig.ledger.note_answer(ID, 1, rig.clock(), opted_out=True, contact=CONTACT).ok

    assert rig.row(ID).record.has_opted_out
    assert rig.suppression.find([CONTACT]) == [True]


def test_rows_are_found_by_their_conversation(rig: LedgerRig) -> None:
    rig.load(ID, 150)
    rig.load("summer-2", 2)
    for campaign_id, row in ((ID, 1), (ID, 140), ("summer-2", 1)):
        rig.accept(campaign_id, row)

    assert sorted(rig.ledger.find_by_conversation(sid("CH", 1))) == [(ID, 1), ("summer-2", 1)]
    assert rig.ledger.find_by_conversation(sid("CH", 140)) == [(ID, 140)]
    assert rig.ledger.find_by_conversation(sid("CH", 141)) == []
    # Its last bytes are those of row 1's, the others are not.
    assert rig.ledger.find_by_conversation(f"CH{'0' * 15}1{'0' * 15}1") == []


def test_row_of_an_earlier_conversation_is_found_too(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.accept(ID)
    rig.ledger.note_delivery(ID, 1, sid("IM", 1), Delivery.FAILED, 30003)
    rig.ledger.new_send(ID, 1, 1)

    assert rig.ledger.find_by_conversation(sid("CH", 1)) == [(ID, 1)]


def test_buckets_of_accepted_rows_are_asked_for_in_their_time(rig: LedgerRig) -> None:
    rig.load(ID, 2 * BUCKET)
    rig.accept(ID, 1)
    assert rig.ledger.polling() == [ID]
    assert rig.ledger.take_polls(ID, 9, 60_000) == []
    rig.clock.pass_ms(1_000)

    (poll,) = rig.ledger.take_polls(ID, 9, 60_000)

    assert (poll.bucket, poll.last_ms, poll.rows[0], poll.rows[-1]) == (0, 0, 1, BUCKET)
    assert rig.ledger.take_polls(ID, 9, 60_000) == []
    asked = rig.clock()
    rig.ledger.poll_again(ID, poll, asked, 10_000)
    rig.clock.pass_ms(9_999)
    assert rig.ledger.take_polls(ID, 9, 60_000) == []
    rig.clock.pass_ms(1)
    (again,) = rig.ledger.take_polls(ID, 9, 60_000)
    assert again.last_ms == asked
    rig.ledger.poll_again(ID, again, rig.clock(), None)
    assert rig.ledger.polling() == []


def test_bucket_of_a_poller_that_died_comes_again(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.accept(ID)
    rig.clock.pass_ms(1_000)
    (poll,) = rig.ledger.take_polls(ID, 9, 60_000)

    rig.clock.pass_ms(60_000)

    (again,) = rig.ledger.take_polls(ID, 9, 60_000)
    assert (again.bucket, again.last_ms) == (poll.bucket, 0)


@pytest.mark.parametrize("in_ms", [None, 3_600_000])
def test_message_accepted_while_its_bucket_is_asked_about_has_its_turn(
    rig: LedgerRig, in_ms: int | None
) -> None:
    rig.load(ID, 2)
    rig.accept(ID, 1)
    rig.clock.pass_ms(1_000)
    (poll,) = rig.ledger.take_polls(ID, 9, 60_000)

    rig.accept(ID, 2)
    rig.ledger.poll_again(ID, poll, rig.clock(), in_ms)

    rig.clock.pass_ms(1_000)
    assert [each.bucket for each in rig.ledger.take_polls(ID, 9, 60_000)] == [0]


@pytest.mark.parametrize("in_ms", [None, 3_600_000])
def test_bucket_that_somebody_else_has_taken_meanwhile_is_left_to_him(
    rig: LedgerRig, in_ms: int | None
) -> None:
    rig.load(ID, 2)
    rig.accept(ID, 1)
    rig.clock.pass_ms(1_000)
    (poll,) = rig.ledger.take_polls(ID, 9, 60_000)
    rig.accept(ID, 2)
    rig.clock.pass_ms(1_000)
    assert rig.ledger.take_polls(ID, 9, 60_000), "by somebody who dies"

    rig.ledger.poll_again(ID, poll, rig.clock(), in_ms)

    rig.clock.pass_ms(60_000)
    assert [each.bucket for each in rig.ledger.take_polls(ID, 9, 60_000)] == [0]
