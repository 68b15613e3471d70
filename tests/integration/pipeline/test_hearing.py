"""What is heard of a message is noted once, on the row it belongs to, whoever tells it, how often and in which order."""

from datetime import UTC, datetime, timedelta

import pytest
from follow_up_scenes import DAY, definition, entry, now, pass_time, send_first
from pipeline_bench import ACCOUNT, Rig, phone, sms, whatsapp

from worker.ledger.keys import wave_id
from worker.ledger.states import Delivery, Event
from worker.pipeline import waves
from worker.pipeline.hearing import hear_delivery, hear_message

WAVE = wave_id("spring-1", 1, 1)


@pytest.fixture
def sent(rig: Rig) -> Rig:
    """Give a rig with a message accepted."""
    send_first(rig, sms())
    return rig


def tell(rig: Rig, status: str, code: int = 0, campaign_id: str = "spring-1") -> int:
    record = rig.row(1, campaign_id).record
    return hear_delivery(rig.bench, record.conversation_sid, record.message_sid, status, code)


def write(rig: Rig, body: str, author: str = phone(1), at: datetime | None = None) -> int:
    return hear_message(rig.bench, rig.row().record.conversation_sid, author, body, at or now(rig))


def test_later_news_stays_whatever_comes_after_it_and_however_often(sent: Rig) -> None:
    told = [tell(sent, word) for word in ("delivered", "sent", "delivered", "read", "queued", "delivered")]

    assert told == [1, 0, 0, 1, 0, 0]
    assert sent.row().record.delivery is Delivery.READ
    assert sent.info().deliveries == {**dict.fromkeys(list(Delivery)[1:], 0), Delivery.READ: 1}
    assert sent.events().count(Event.DELIVERED) == 1


def test_message_that_the_ledger_does_not_know_changes_nothing(sent: Rig) -> None:
    record = sent.row().record
    before = sent.info().seq

    assert hear_delivery(sent.bench, record.conversation_sid, "IM" + "e" * 32, "delivered") == 0
    assert hear_delivery(sent.bench, "CH" + "e" * 32, record.message_sid, "delivered") == 0
    assert hear_message(sent.bench, "CH" + "e" * 32, phone(1), "Hello", now(sent)) == 0

    assert sent.info().seq == before


def test_first_answer_counts_and_the_same_webhook_twice_is_one(sent: Rig) -> None:
    at = now(sent) + timedelta(seconds=5)

    assert [write(sent, "Yes", at=at), write(sent, "Yes", at=at), write(sent, "And?")] == [1, 0, 0]

    assert sent.info().answered == 1
    answered_at = sent.row().record.answered_at
    assert answered_at
    assert abs(answered_at - at) < timedelta(milliseconds=20)


@pytest.mark.parametrize("author", ["agent-7", "Team", phone(2), ""])
def test_words_of_anybody_else_are_no_answer(sent: Rig, author: str) -> None:
    assert write(sent, "STOP", author) == 0

    assert (sent.info().answered, sent.info().opted_out) == (0, 0)


def test_message_that_is_told_of_once_more_from_long_before_is_no_answer(sent: Rig) -> None:
    assert write(sent, "STOP", at=now(sent) - timedelta(hours=1)) == 0

    assert sent.client.hlen(f"{sent.ledger.prefix}dnc") == 0


@pytest.mark.parametrize("author", [f"whatsapp:{phone(1)}", phone(1)])
def test_stop_on_whatsapp_puts_the_number_on_the_list_after_an_answer_too(rig: Rig, author: str) -> None:
    send_first(rig, whatsapp())

    assert [write(rig, "Hello", author), write(rig, "Stop.", author), write(rig, "STOP", author)] == [1, 1, 0]

    assert (rig.info().answered, rig.info().opted_out) == (1, 1)
    assert list(rig.client.hgetall(f"{rig.ledger.prefix}dnc")) == [f"whatsapp|{phone(1)}".encode()]


def test_delivery_of_a_wave_is_the_waves_and_an_answer_to_it_the_campaigns(rig: Rig) -> None:
    send_first(rig, definition(entry("1d", "always")))
    waves.begin(rig.bench, "spring-1", pass_time(rig, DAY))
    rig.drive(WAVE)

    assert tell(rig, "undelivered", 30003, WAVE) == 1
    wrote = hear_message(rig.bench, rig.row(1, WAVE).record.conversation_sid, phone(1), "Yes", now(rig))

    assert wrote == 1
    assert rig.row(1, WAVE).record.delivery is Delivery.UNDELIVERED
    assert rig.row().record.delivery is Delivery.NONE
    assert (rig.info().answered, rig.info(WAVE).answered) == (1, 0)


def test_wave_is_polled_as_a_campaign_is(rig: Rig) -> None:
    rig.simulator.settings(sent_s=0, delivered_s=0)
    send_first(rig, definition(entry("1d", "always")))
    waves.begin(rig.bench, "spring-1", pass_time(rig, DAY))
    rig.drive(WAVE)
    rig.simulator.reply(phone(1), "Yes", account=ACCOUNT)

    rig.pass_s(1.1)
    rig.poll()

    assert rig.row(1, WAVE).record.delivery is Delivery.DELIVERED
    assert rig.info().answered == 1


def test_answer_to_an_earlier_send_is_one_while_its_retry_has_been_sent(sent: Rig) -> None:
    tell(sent, "undelivered", 30003)
    first = sent.row().record.conversation_sid
    assert sent.ledger.new_send("spring-1", 1, 1).ok
    sent.drive()
    began_at = sent.ledger.get_past("spring-1", 1)[0].finished_at
    assert began_at

    assert hear_message(sent.bench, first, phone(1), "Yes", began_at.astimezone(UTC)) == 1


@pytest.mark.parametrize(("code", "state"), [(63041, "paused"), (63018, "paused"), (63024, "running")])
def test_only_a_code_that_speaks_against_the_campaign_opens_the_breaker(
    rig: Rig, code: int, state: str
) -> None:
    rig.campaign([phone(1), phone(2)], pacing="interactions_per_second = 1")
    rig.drive(until=lambda: rig.states().get("ACCEPTED") == 1, unpaced=False)
    first = next(number for number in (1, 2) if rig.row(number).record.message_sid)
    record = rig.row(first).record

    assert hear_delivery(rig.bench, record.conversation_sid, record.message_sid, "failed", code) == 1

    assert rig.info().state == state
