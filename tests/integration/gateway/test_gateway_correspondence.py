"""What became of a message, read through the official SDK over HTTP from the simulator."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from canned_wire import CannedWire
from gateway_builders import CUSTOMER, KEY, MESSAGE, RECIPIENT, recipient, sid

from worker.gateway.outcome import Accepted, Unknown
from worker.gateway.seen import ReceiptSeen


@pytest.fixture
def gateway(simulator, gateway_to):
    simulator.settings(setup_ms=0)
    return gateway_to(simulator.url)


def open_conversation(gateway, one=RECIPIENT):
    opened = gateway.create_interaction(one, KEY)
    assert isinstance(opened, Accepted), opened
    return opened.value.conversation_sid


def until(look, is_there, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    while not is_there(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.02)
    return seen


def test_conversation_is_read_newest_first_with_key_and_delivery(simulator, gateway):
    simulator.settings(sent_s=0, delivered_s=0, read_share=0.0)
    conversation = open_conversation(gateway)
    first = gateway.create_message(conversation, MESSAGE, KEY).value
    second = gateway.create_message(conversation, MESSAGE, "renewals-1a2b3c4d:1:2").value

    seen = gateway.read_conversation(conversation)

    assert isinstance(seen, Accepted)
    assert [each.sid for each in seen.value] == [second, first]
    assert [each.key for each in seen.value] == ["renewals-1a2b3c4d:1:2", KEY]
    assert {each.delivery for each in seen.value} == {"delivered"}
    newest = seen.value[0]
    assert newest.author == MESSAGE.author
    assert newest.body.startswith("Hello Ann")
    assert newest.created_at.tzinfo is not None
    assert CUSTOMER not in repr(seen)
    assert "Ann" not in repr(seen)


def test_conversation_is_read_no_further_back_than_asked(simulator, gateway):
    conversation = open_conversation(gateway)
    for number in range(101):
        gateway.create_message(conversation, MESSAGE, f"renewals-1a2b3c4d:{number}:1")
    simulator.settings(clock_skew_s=3600)
    newest = gateway.create_message(conversation, MESSAGE, KEY).value
    since = datetime.now(UTC) + timedelta(minutes=30)
    before = len(simulator.requests())

    seen = gateway.read_conversation(conversation, since)

    assert [each.sid for each in seen.value] == [newest]
    assert len(simulator.requests()) == before + 1
    assert len(gateway.read_conversation(conversation).value) == 102


def test_what_was_written_within_the_second_asked_for_is_read(gateway):
    conversation = open_conversation(gateway)
    gateway.create_message(conversation, MESSAGE, KEY)
    (message,) = gateway.read_conversation(conversation).value

    again = gateway.read_conversation(conversation, message.created_at + timedelta(milliseconds=999))

    assert again == Accepted((message,))
    assert gateway.read_conversation(conversation, message.created_at + timedelta(seconds=1)) == Accepted(())


def test_conversation_that_is_not_there_holds_nothing(gateway):
    assert gateway.read_conversation(sid("CH", 99)) == Accepted(())
    assert gateway.fetch_receipt(sid("CH", 99), sid("IM", 99)) == Accepted(None)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("101", ReceiptSeen("delivered", 0)),
        ("174", ReceiptSeen("undelivered", 30007)),
        ("171", ReceiptSeen("failed", 63003)),
        ("188", ReceiptSeen("sent", 0)),
    ],
)
def test_receipt_names_the_code_of_what_failed(simulator, gateway, last, expected):
    simulator.settings(sent_s=0, delivered_s=0, read_share=0.0)
    conversation = open_conversation(gateway, recipient(address=f"whatsapp:+14155550{last}"))
    message = gateway.create_message(conversation, MESSAGE, KEY).value

    seen = gateway.fetch_receipt(conversation, message)

    assert seen == Accepted(expected)
    assert gateway.read_conversation(conversation).value[0].delivery == expected.status


def test_message_still_within_twilio_has_no_receipt_to_speak_of(simulator, gateway):
    simulator.settings(sent_s=3600)
    conversation = open_conversation(gateway)
    message = gateway.create_message(conversation, MESSAGE, KEY).value

    assert gateway.fetch_receipt(conversation, message) == Accepted(None)
    assert gateway.read_conversation(conversation).value[0].delivery == ""


def test_forbidden_getters_tell_nothing_of_messages(simulator, gateway):
    simulator.settings(forbidden={"GET conversations": 403})

    assert isinstance(gateway.read_conversation(sid("CH")), Unknown)
    assert isinstance(gateway.fetch_receipt(sid("CH"), sid("IM")), Unknown)


def _page(key, *records):
    return json.dumps({key: records, "meta": {"key": key, "page": 0, "next_page_url": None}}).encode()


def test_unknown_words_of_a_delivery_are_no_news():
    receipts = [{"sid": sid("DY"), "status": word, "error_code": 7} for word in (None, "queued", ["read"])]
    wire = CannedWire(200, _page("delivery_receipts", *receipts))

    assert wire.gateway().fetch_receipt(sid("CH"), sid("IM")) == Accepted(None)


def test_receipt_that_counts_most_is_taken_of_several():
    receipts = [
        {"sid": sid("DY", 1), "status": "read", "error_code": None},
        {"sid": sid("DY", 2), "status": "undelivered", "error_code": 30003},
        {"sid": sid("DY", 3), "status": "sent", "error_code": 0},
    ]
    wire = CannedWire(200, _page("delivery_receipts", *receipts))

    assert wire.gateway().fetch_receipt(sid("CH"), sid("IM")) == Accepted(ReceiptSeen("undelivered", 30003))


@pytest.mark.parametrize(
    "message", [{"sid": "IM", "date_created": "2026-03-02T10:00:00Z"}, {"sid": sid("IM")}, {"sid": sid("IM"), "date_created": "soon"}]
)  # fmt: skip
def test_message_without_sid_or_date_makes_the_answer_unreadable(message):
    wire = CannedWire(200, _page("messages", message))

    assert isinstance(wire.gateway().read_conversation(sid("CH")), Unknown)
