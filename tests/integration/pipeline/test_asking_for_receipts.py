"""Deliveries and replies are asked for while they are worth it, at the account's pace, and noted once."""

from contextlib import closing

import pytest
from pipeline_bench import SENDER, Rig, phone, sms, trouble, whatsapp

from worker.ledger.states import Delivery, Event
from worker.pipeline import receipts
from worker.pipeline.receipts import STEPS_S
from worker.pipeline.status import snapshot

H = 3600


@pytest.fixture
def prompt(rig: Rig) -> Rig:
    """Give a rig whose Twilio delivers at once."""
    rig.simulator.settings(sent_s=0, delivered_s=0, read_s=0, read_share=0.0)
    return rig


def accepted(rig: Rig, people: list[str], definition: str = "") -> None:
    rig.campaign(people, definition=definition)
    rig.drive()


def looks(rig: Rig) -> int:
    return sum(
        one["request"].startswith("GET") and one["request"].endswith("Messages")
        for one in rig.simulator.requests()
    )


def test_delivery_is_learnt_and_asked_for_no_more_often_than_replies_need(prompt: Rig) -> None:
    accepted(prompt, [phone(1), phone(2)])

    prompt.pass_s(1.1)
    assert prompt.poll() == 2

    assert prompt.info().deliveries[Delivery.DELIVERED] == 2
    assert prompt.row().record.delivery is Delivery.DELIVERED
    assert prompt.events()[-1] is Event.DELIVERED
    prompt.pass_s(500)
    assert prompt.poll() == 0


def test_message_that_stays_sent_is_asked_for_at_each_age_and_never_after_the_last(rig: Rig) -> None:
    accepted(rig, [trouble(188)], whatsapp())
    began_ms, ages = rig.clock.now_ms(), []

    while rig.ledger.polling():
        ((_, due),) = rig.client.zrange(rig.ledger.key("spring-1", "polls"), 0, 0, withscores=True)
        rig.pass_s(max(0.001, (due - rig.clock.now_ms()) / 1000))
        ages += [round((rig.clock.now_ms() - began_ms) / 1000)] * rig.poll()

    assert ages == pytest.approx(STEPS_S, rel=0.5, abs=2)
    assert rig.row().record.delivery is Delivery.SENT
    assert rig.info().counts[rig.row().state] == 1


@pytest.mark.parametrize(
    ("last", "delivery", "code"),
    [(187, Delivery.UNDELIVERED, 30003), (172, Delivery.FAILED, 63024), (174, Delivery.UNDELIVERED, 30007)],
)
def test_code_of_what_was_not_delivered_is_fetched_and_nothing_is_asked_any_more(
    prompt: Rig, last: int, delivery: Delivery, code: int
) -> None:
    accepted(prompt, [trouble(last)])

    prompt.pass_s(1.1)
    prompt.poll()

    record = prompt.row().record
    assert (record.delivery, record.delivery_code) == (delivery, code)
    assert prompt.info().undelivered == {code: 1}
    assert prompt.ledger.polling() == []


def test_reply_is_noted_with_its_time_and_an_agents_words_are_none(prompt: Rig) -> None:
    accepted(prompt, [phone(1), phone(2)])
    prompt.pass_s(30)
    prompt.writes("I shall", number=1)
    prompt.writes("Anything else?", number=2, author="agent-7")
    wrote_ms = prompt.clock.now_ms()

    prompt.pass_s(700)
    prompt.poll()

    assert prompt.info().answered == 1
    answered_at = prompt.row(1).record.answered_at
    assert answered_at
    assert abs(answered_at.timestamp() * 1000 - wrote_ms) < 5_000
    assert prompt.row(2).record.answered_at is None


def test_who_opts_out_is_on_the_list_and_is_asked_for_no_more(prompt: Rig) -> None:
    accepted(prompt, [phone(1)], sms(message='[message]\nbody = "Hi"\n[replies]\nopt_out_words = ["BAJA"]\n'))
    prompt.pass_s(30)
    prompt.writes("thanks")
    prompt.writes(" baja. ")

    prompt.pass_s(700)
    prompt.poll()

    record = prompt.row().record
    assert (record.has_opted_out, prompt.info().answered, prompt.info().opted_out) == (True, 1, 1)
    assert prompt.client.hlen(f"{prompt.ledger.prefix}dnc") == 1
    assert prompt.ledger.polling() == []


def test_stop_that_comes_after_an_answer_is_heard(prompt: Rig) -> None:
    accepted(prompt, [phone(1)])
    prompt.pass_s(5)
    prompt.writes("who is this?")
    prompt.pass_s(700)
    prompt.poll()
    prompt.writes("STOP")

    prompt.pass_s(H)
    prompt.poll()

    assert prompt.row().record.has_opted_out


def test_what_was_written_before_our_message_is_no_answer(prompt: Rig) -> None:
    prompt.campaign([phone(1)], definition=sms(pair_busy="use"))
    conversation = prompt.simulator.occupy(phone(1), "+19252210100", "AC" + "0" * 31 + "1")
    with closing(prompt.calls()) as calls:
        calls.send(conversation, Author=phone(1), Body="STOP")
    prompt.pass_s(300)
    prompt.drive()
    assert prompt.row().record.conversation_sid == conversation

    prompt.pass_s(700)
    prompt.poll()

    assert prompt.row().record.answered_at is None
    assert prompt.info().opted_out == 0


def test_receipt_that_speaks_against_the_campaign_pauses_it(prompt: Rig) -> None:
    prompt.simulator.settings(patterns={"5550161": "receipt:failed:63041"})
    prompt.campaign([trouble(161), phone(1)], pacing="interactions_per_second = 1")
    prompt.drive(until=lambda: prompt.states().get("ACCEPTED") == 1, unpaced=False)

    prompt.pass_s(1.1)
    prompt.poll()

    info = prompt.info()
    assert (info.state, info.paused_by, info.reason_code) == ("paused", "breaker", 63041)


def test_opt_out_that_a_receipt_tells_of_puts_the_customer_on_the_list(prompt: Rig) -> None:
    accepted(prompt, [trouble(175)])

    prompt.pass_s(1.1)
    prompt.poll()

    assert list(prompt.client.hgetall(f"{prompt.ledger.prefix}dnc")) == [f"sms|{trouble(175)}".encode()]


def test_look_ups_that_twilio_forbids_are_made_once_in_five_minutes_for_all(prompt: Rig) -> None:
    quick = prompt.worker("quick", account_interactions_per_s=1000.0)
    prompt.campaign([phone(at) for at in range(1, 66)])
    prompt.drive(bench=quick)
    prompt.simulator.settings(forbidden={"GET conversations": 403})
    prompt.pass_s(1.1)
    before = looks(prompt)
    buckets = prompt.ledger.take_polls("spring-1", 100, 600_000)
    assert len(buckets) == 2

    for taken in buckets:
        receipts.poll(quick, "spring-1", taken)

    assert looks(prompt) - before <= receipts.AT_ONCE, "the first answer is for all"
    prompt.simulator.settings(forbidden={})
    prompt.forget_pace()
    prompt.pass_s(301)
    prompt.poll(quick)
    assert prompt.info().deliveries[Delivery.DELIVERED] == 65


def test_trouble_at_twilio_leaves_all_that_was_due_for_later(prompt: Rig) -> None:
    accepted(prompt, [phone(at) for at in range(1, 11)])
    prompt.simulator.settings(fault_getters={"503": 1.0})
    prompt.pass_s(1.1)

    assert receipts.FAILURES <= prompt.poll() < receipts.FAILURES + receipts.AT_ONCE

    prompt.simulator.settings(fault_getters={})
    prompt.pass_s(31)
    assert prompt.poll() == 10


def test_429_slows_the_looks_and_costs_no_delivery(prompt: Rig) -> None:
    accepted(prompt, [phone(1)])
    prompt.simulator.settings(fault_getters={"429": 1.0})
    prompt.pass_s(1.1)
    (taken,) = prompt.ledger.take_polls("spring-1", 1, 600_000)

    receipts.poll(prompt.bench, "spring-1", taken)

    (state,) = prompt.bench.pacer.peek([receipts.bucket_of_looks(prompt.bench)])
    assert state.per_s < receipts.LOOKS_PER_S
    prompt.simulator.settings(fault_getters={})
    prompt.pass_s(3)
    prompt.poll()
    assert prompt.row().record.delivery is Delivery.DELIVERED


def test_poll_that_died_comes_again_after_its_lease(prompt: Rig) -> None:
    accepted(prompt, [phone(1)])
    prompt.pass_s(1.1)
    (lost,) = prompt.ledger.take_polls("spring-1", 10, 150_000)

    assert prompt.poll() == 0
    prompt.pass_s(151)
    assert receipts.poll(prompt.bench, "spring-1", lost).looked == 0, "it woke after its lease"
    assert prompt.poll() == 1

    assert prompt.row().record.delivery is Delivery.DELIVERED


def test_poll_that_is_cut_short_leaves_the_rest_due(prompt: Rig) -> None:
    accepted(prompt, [phone(1), phone(2), phone(3)])
    prompt.pass_s(1.1)
    (taken,) = prompt.ledger.take_polls("spring-1", 10, 600_000)
    goes_on = iter([True, True, False, False])

    polled = receipts.poll(prompt.bench, "spring-1", taken, lambda: next(goes_on))

    assert polled.cut_short
    prompt.pass_s(1)
    prompt.poll()
    assert prompt.info().deliveries[Delivery.DELIVERED] == 3


RECEIPTS = "GET conversations/v1/Conversations/{conversation}/Messages/{message}/Receipts"


def test_code_that_cannot_be_had_now_is_asked_for_again_before_anything_is_noted(prompt: Rig) -> None:
    accepted(prompt, [trouble(187)])
    prompt.simulator.settings(forbidden={RECEIPTS: 503})
    prompt.pass_s(1.1)
    prompt.poll()
    assert prompt.row().record.delivery is Delivery.NONE

    prompt.simulator.settings(forbidden={})
    prompt.pass_s(3)
    prompt.poll()

    assert prompt.row().record.delivery_code == 30003


def test_code_that_twilio_does_not_give_away_costs_only_the_code(prompt: Rig) -> None:
    accepted(prompt, [trouble(187), phone(1)])
    prompt.simulator.settings(forbidden={RECEIPTS: 403})

    prompt.pass_s(1.1)
    prompt.poll()

    record = prompt.row().record
    assert (record.delivery, record.delivery_code) == (Delivery.UNDELIVERED, 0)
    assert prompt.row(2).record.delivery is Delivery.DELIVERED


def test_code_that_there_was_no_time_for_stays_due(prompt: Rig) -> None:
    accepted(prompt, [trouble(187)])
    prompt.pass_s(1.1)
    (taken,) = prompt.ledger.take_polls("spring-1", 10, 600_000)
    goes_on = iter([True, False, False])

    assert receipts.poll(prompt.bench, "spring-1", taken, lambda: next(goes_on)).cut_short

    prompt.pass_s(1)
    prompt.poll()
    assert prompt.row().record.delivery_code == 30003


@pytest.mark.parametrize(("blocked_s", "looked"), [(1.0, 1), (20.0, 0)])
def test_pace_that_is_held_back_is_waited_for_unless_it_is_long(
    prompt: Rig, blocked_s: float, looked: int
) -> None:
    accepted(prompt, [phone(1)])
    prompt.pass_s(1.1)
    prompt.bench.pacer.slow_down(receipts.bucket_of_looks(prompt.bench), blocked_s)

    assert prompt.poll() == looked

    prompt.pass_s(25)
    assert prompt.poll() == 1 - looked


def test_on_chat_only_replies_are_looked_for(rig: Rig) -> None:
    accepted(rig, ["ann-1"], sms().replace('"sms"', '"chat"').replace(f'from = "{SENDER}"\n', ""))
    rig.pass_s(30)
    assert rig.poll() == 0
    assert snapshot(rig.bench, "spring-1")["deliveries_awaited"] == 0

    rig.writes("Hello")
    rig.pass_s(600)
    rig.poll()

    assert rig.info().answered == 1
