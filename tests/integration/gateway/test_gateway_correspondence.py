"""What became of a message, read through the official SDK over HTTP from the simulator."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from canned_wire import CannedWire
from gateway_builders import ACCOUNT, CUSTOMER, KEY, MESSAGE, RECIPIENT, recipient, sid
from webhook_ear import WebhookEar

from worker.gateway.outcome import Accepted, Rejected, Unanswered, Unknown
from worker.gateway.seen import ReceiptSeen, WebhookConfig
from worker.gateway.webhooks import DeliveryEvent, SignatureChecker, read_event, read_form

BOTH = ["onMessageAdded", "onDeliveryUpdated"]


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


def test_webhooks_are_set_and_seen(simulator, gateway):
    before = gateway.fetch_webhook_config()

    outcome = gateway.set_webhook_config("https://example.com/twilio?a=1", BOTH)

    assert before == Accepted(WebhookConfig("", tuple(BOTH), "POST", "webhook"))
    assert outcome == Accepted(
        WebhookConfig("https://example.com/twilio?a=1", tuple(BOTH), "POST", "webhook")
    )
    assert gateway.fetch_webhook_config() == outcome
    assert "example.com" not in repr(outcome), "a URL may hold a secret"


def test_webhooks_that_are_refused_stay_as_they_were(gateway):
    outcome = gateway.set_webhook_config("example.com", BOTH)

    assert isinstance(outcome, Rejected)
    assert outcome.code == 20001
    assert gateway.fetch_webhook_config().value.post_url == ""


def test_answer_that_names_no_account_says_nothing_of_webhooks():
    gateway = CannedWire(200, b"{}").gateway()

    assert isinstance(gateway.fetch_webhook_config(), Unknown)
    assert isinstance(gateway.set_webhook_config("https://example.com", BOTH), Unanswered)


@pytest.mark.parametrize("filters", [None, "onMessageAdded", 5, {"a": 1}])
def test_filters_that_are_no_list_are_none(filters):
    body = {"account_sid": sid("AC"), "filters": filters, "method": None, "target": 5}

    seen = CannedWire(200, json.dumps(body).encode()).gateway().fetch_webhook_config()

    assert seen == Accepted(WebhookConfig("", (), "", ""))


@pytest.fixture
def ear():
    opened = WebhookEar()
    yield opened
    opened.close()


def test_what_the_simulator_tells_is_believed_and_read(simulator, gateway, ear):
    simulator.settings(webhook_token="secret-token", sent_s=60, delivered_s=120, read_share=0.0)
    gateway.set_webhook_config(ear.url, BOTH)
    conversation = open_conversation(gateway)
    message = gateway.create_message(conversation, MESSAGE, KEY).value
    simulator.pass_time(hours=1)
    reply = simulator.reply(CUSTOMER, "Sí, por favor 🙏")

    ear.wait_for(lambda: len(ear.heard) == 3)

    forms = [read_form(one.body) for one in ear.heard]
    checker, stranger = SignatureChecker("secret-token"), SignatureChecker("another-token")
    for form, one in zip(forms, ear.heard, strict=True):
        assert checker.is_genuine(ear.url, form, one.headers)
        assert not stranger.is_genuine(ear.url, form, one.headers)
        assert not checker.is_genuine(ear.url, {**form, "MessageSid": sid("IM", 7)}, one.headers)
    sent, delivered, answer = (read_event(form, ACCOUNT) for form in forms)
    assert (sent, delivered) == (
        DeliveryEvent(conversation, message, "sent", 0),
        DeliveryEvent(conversation, message, "delivered", 0),
    )
    assert (answer.conversation_sid, answer.message_sid, answer.author) == (conversation, reply, CUSTOMER)
    assert (answer.body, answer.key, answer.source) == ("Sí, por favor 🙏", None, "WHATSAPP")
    seen = gateway.read_conversation(conversation).value
    assert [each.sid for each in seen] == [reply, message]
    assert abs(answer.created_at - seen[0].created_at) <= timedelta(seconds=1)


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
