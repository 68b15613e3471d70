"""Only what Twilio has signed is believed, and only what is well formed is heard."""

import base64
import hmac
import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from gateway_builders import ACCOUNT, CUSTOMER, KEY, sid
from hypothesis import given
from hypothesis import strategies as st

from worker.gateway.webhooks import (
    MAX_AUTHOR,
    MAX_BODY,
    MAX_FIELDS,
    MAX_FORM_BYTES,
    DeliveryEvent,
    ReplyEvent,
    SignatureChecker,
    read_event,
    read_form,
)

URL = "https://outreach.example.com/twilio/events?a=1"
TOKEN, SECRET, KEY_ID = "auth-token", "shared-secret", "webhooks_sharedkey_1"
DELIVERY = {
    "EventType": "onDeliveryUpdated",
    "AccountSid": ACCOUNT,
    "ConversationSid": sid("CH"),
    "MessageSid": sid("IM"),
    "DeliveryReceiptSid": sid("DY"),
    "Status": "undelivered",
    "ErrorCode": "30003",
}
REPLY = {
    "EventType": "onMessageAdded",
    "AccountSid": ACCOUNT,
    "ConversationSid": sid("CH"),
    "MessageSid": sid("IM"),
    "Author": CUSTOMER,
    "Body": "Yes please",
    "Attributes": "{}",
    "DateCreated": "2026-03-02T10:00:00.123Z",
    "Source": "WHATSAPP",
}


def sign(form, url=URL, secret=TOKEN, algorithm="sha1"):
    """Sign as Twilio describes it: the URL, then each name and value in the names' order."""
    text = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), algorithm).digest()).decode()


def signed(form, **how):
    return {"X-Twilio-Signature": sign(form, **how)}


def with_key(form, algorithm="HMAC_SHA256", key=KEY_ID, secret=SECRET):
    digest = {"HMAC_SHA256": "sha256", "HMAC_SHA1": "sha1"}.get(algorithm, "sha512")
    settings = {"X-Twilio-Webhooks-Signature-Settings": f"key={key},algorithm={algorithm}"}
    return {**settings, **signed(form, secret=secret, algorithm=digest)}


@pytest.fixture
def checker():
    return SignatureChecker(TOKEN, {KEY_ID: SECRET, "empty": ""})


# Signatures -------------------------------------------------------------------------------------------------


def test_example_of_twilios_page_is_genuine():
    form = {"CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234", "From": "+14158675309", "To": "+18005551212"}  # fmt: skip
    headers = {"X-Twilio-Signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="}

    assert SignatureChecker("12345").is_genuine("https://mycompany.com/myapp.php?foo=1&bar=2", form, headers)


@pytest.mark.parametrize("form", [DELIVERY, REPLY, {}, {**REPLY, "Body": "Sí, por favor 🙏"}])
def test_what_twilio_signed_is_genuine(checker, form):
    assert checker.is_genuine(URL, form, signed(form))


def test_same_request_is_genuine_again(checker):
    assert all(checker.is_genuine(URL, REPLY, signed(REPLY)) for _ in range(2)), "a signature has no time"


@pytest.mark.parametrize("name", ["x-twilio-signature", "X-TWILIO-SIGNATURE"])
def test_header_is_found_in_any_case(checker, name):
    assert checker.is_genuine(URL, REPLY, {name: sign(REPLY)})


@pytest.mark.parametrize(
    ("signed_url", "own_url"),
    [
        ("https://a.example:443/x", "https://a.example/x"),
        ("https://a.example/x", "https://a.example:443/x"),
        ("http://a.example:80/x", "http://a.example/x"),
    ],
)
def test_port_may_be_signed_or_not(checker, signed_url, own_url):
    assert checker.is_genuine(own_url, REPLY, signed(REPLY, url=signed_url))


@pytest.mark.parametrize("algorithm", ["HMAC_SHA256", "HMAC_SHA1"])
def test_what_was_signed_with_a_shared_key_is_genuine(checker, algorithm):
    assert checker.is_genuine(URL, REPLY, with_key(REPLY, algorithm))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Twilio-Signature": ""},
        {"X-Twilio-Signature": " "},
        {"X-Twilio-Signature": "AAAA"},
        {"X-Twilio-Signature": sign(REPLY)[:-1]},
        {"X-Twilio-Signature": sign(REPLY) + "="},
        {"X-Twilio-Signature": "\ud800"},
        {"X-Twilio-Signature": "é" * 28},
        signed(REPLY, secret="another"),
        signed(REPLY, secret=""),
        signed(REPLY, algorithm="sha256"),
        signed(REPLY, url="https://outreach.example.com/twilio/events"),
        signed(REPLY, url="http://outreach.example.com/twilio/events?a=1"),
        signed({**REPLY, "Body": "STOP"}),
        signed({name: value for name, value in REPLY.items() if name != "Source"}),
        with_key(REPLY, secret="another"),
        with_key(REPLY, key="unknown"),
        with_key(REPLY, key="empty", secret=""),
        with_key(REPLY, key=""),
        with_key(REPLY, key="unknown", secret=TOKEN),
        with_key(REPLY, secret=TOKEN, algorithm="HMAC_SHA1"),
        with_key(REPLY, algorithm="HMAC_SHA512"),
        {**with_key(REPLY), "X-Twilio-Webhooks-Signature-Settings": "algorithm=HMAC_SHA256"},
        {**with_key(REPLY), "X-Twilio-Webhooks-Signature-Settings": f"key={KEY_ID},key=empty,algorithm=HMAC_SHA256"},
        {**with_key(REPLY), "X-Twilio-Webhooks-Signature-Settings": f"key={KEY_ID}"},
        {**with_key(REPLY), "X-Twilio-Webhooks-Signature-Settings": ",,=,"},
    ],
    ids=str,
)  # fmt: skip
def test_all_else_is_not_genuine(checker, headers):
    assert not checker.is_genuine(URL, REPLY, headers)


@pytest.mark.parametrize("secret", ["", TOKEN])
def test_nothing_is_genuine_without_a_token(secret):
    assert not SignatureChecker("").is_genuine(URL, REPLY, signed(REPLY, secret=secret))
    assert not SignatureChecker("", {KEY_ID: SECRET}).is_genuine(URL, REPLY, signed(REPLY, secret=secret))


@pytest.mark.parametrize("url", ["https://a.example:port/x", "https://[::1", "", "\ud800"])
def test_url_that_is_none_makes_nothing_genuine(checker, url):
    assert not checker.is_genuine(url, REPLY, signed(REPLY))


def test_half_a_character_cannot_have_been_signed(checker):
    assert not checker.is_genuine(URL, {**REPLY, "Body": "\ud800"}, signed(REPLY))


# Forms ------------------------------------------------------------------------------------------------------


def test_form_is_read_as_it_was_written():
    form = {**REPLY, "Body": "Sí & no = 🙏 + 1%", "Media": ""}

    assert read_form(urlencode(form).encode()) == form


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(REPLY).encode(),
        b"\xff\xfe=1",
        b"Body=%ff%fe",
        b"Body=%ed%a0%80",
        b"Body",
        b"Body=a&Body=b",
        b"&".join(b"a%d=1" % number for number in range(MAX_FIELDS + 1)),
        b"Body=" + b"x" * MAX_FORM_BYTES,
        b"&" * MAX_FORM_BYTES,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_form_of_twilios_is_not_read(body):
    assert read_form(body) is None


# Events -----------------------------------------------------------------------------------------------------


def test_delivery_is_heard():
    assert read_event(DELIVERY) == DeliveryEvent(sid("CH"), sid("IM"), "undelivered", 30003)
    assert read_event({**DELIVERY, "Status": "read", "ErrorCode": ""}) == DeliveryEvent(
        sid("CH"), sid("IM"), "read", 0
    )


def test_reply_is_heard():
    moment = datetime(2026, 3, 2, 10, 0, 0, 123000, UTC)

    heard = read_event(REPLY)

    assert heard == ReplyEvent(sid("CH"), sid("IM"), CUSTOMER, "Yes please", moment, None, "WHATSAPP")
    assert CUSTOMER not in repr(heard)
    assert "Yes please" not in repr(heard)


def test_message_of_ours_is_told_by_its_key():
    heard = read_event({**REPLY, "Attributes": json.dumps({"outreach_key": KEY}), "Author": "Team"})

    assert isinstance(heard, ReplyEvent)
    assert heard.key == KEY


@pytest.mark.parametrize(
    "date", ["", "soon", "2026-02-31T00:00:00Z", "0001-01-01T00:00:00+14:00", "9" * 5000]
)
def test_reply_is_heard_though_its_date_is_none(date):
    heard = read_event({**REPLY, "DateCreated": date, "Body": "STOP"})

    assert isinstance(heard, ReplyEvent)
    assert (heard.created_at, heard.body) == (None, "STOP")


@pytest.mark.parametrize("form", [DELIVERY, REPLY])
@pytest.mark.parametrize(
    "changes",
    [
        {"EventType": "onMessageUpdated"},
        {"EventType": ""},
        {"ConversationSid": ""},
        {"ConversationSid": sid("IM")},
        {"ConversationSid": sid("CH") + "\n"},
        {"MessageSid": sid("IM")[:-1]},
        {"MessageSid": "IM" + "g" * 32},
        {"AccountSid": "AC" + "9" * 32},
        {"AccountSid": ""},
    ],
)
def test_what_is_malformed_or_of_others_is_not_heard(form, changes):
    assert read_event({**form, **changes}, ACCOUNT) is None


@pytest.mark.parametrize("name", ["EventType", "ConversationSid", "MessageSid", "AccountSid"])
@pytest.mark.parametrize("form", [DELIVERY, REPLY])
def test_what_lacks_a_name_is_not_heard(form, name):
    assert read_event({each: value for each, value in form.items() if each != name}, ACCOUNT) is None


def test_account_is_not_asked_for_where_it_is_unknown():
    assert read_event({**DELIVERY, "AccountSid": "AC" + "9" * 32}) is not None


@pytest.mark.parametrize("status", ["", "queued", "SENT", "sent\n", "x" * 5000])
def test_unknown_word_of_a_delivery_is_no_news(status):
    assert read_event({**DELIVERY, "Status": status}) is None


def test_author_without_end_is_not_heard_and_a_text_without_end_is_cut():
    assert read_event({**REPLY, "Author": ""}) is None
    assert read_event({**REPLY, "Author": "x" * (MAX_AUTHOR + 1)}) is None
    heard = read_event({**REPLY, "Body": "x" * 100_000, "Source": "y" * 1000})
    assert isinstance(heard, ReplyEvent)
    assert (len(heard.body), len(heard.source)) == (MAX_BODY, 32)


@given(
    st.dictionaries(st.sampled_from([*REPLY, *DELIVERY]), st.text()),
    st.dictionaries(
        st.sampled_from(["X-Twilio-Signature", "X-Twilio-Webhooks-Signature-Settings"]), st.text()
    ),
    st.text(),
)
def test_nothing_raises_and_nothing_unsigned_is_genuine(changes, headers, url):
    checker = SignatureChecker(TOKEN, {KEY_ID: SECRET})

    assert not checker.is_genuine(url, {**REPLY, **changes}, headers)
    read_event({**DELIVERY, **changes}, ACCOUNT)
    read_event({**REPLY, **changes})
