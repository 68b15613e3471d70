"""What an answer means for the row: a table, and no exception from anything."""

import json

import pytest
from gateway_builders import sid
from hypothesis import given
from hypothesis import strategies as st

from worker.gateway.answers import error_in, refusal, retry_after_s, unknown
from worker.gateway.exchange import Received
from worker.gateway.outcome import Deferred, Rejected, Unanswered

NOW = 1_700_000_000.0


def received(status, body=None, **headers):
    text = body if isinstance(body, str) else json.dumps(body)
    return Received(status, {name.replace("_", "-"): value for name, value in headers.items()}, text)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (429, 20429, Deferred),
        (429, None, Deferred),
        (429, 20409, Deferred),
        (429, 21211, Deferred),
        (400, 45780, Deferred),
        (400, 45719, Deferred),
        (400, 59004, Deferred),
        (403, 20429, Deferred),
        (400, 21211, Rejected),
        (400, 50416, Rejected),
        (401, 20003, Rejected),
        (403, None, Rejected),
        (404, 20404, Rejected),
        (400, 99999, Rejected),
        (418, None, Rejected),
        (400, 45352, Unanswered),
        (409, 20409, Unanswered),
        (409, None, Unanswered),
        (408, None, Unanswered),
        (500, 20500, Unanswered),
        (503, 45780, Unanswered),
        (502, None, Unanswered),
        (599, None, Unanswered),
        (302, None, Unanswered),
        (304, None, Unanswered),
        (101, None, Unanswered),
        (600, None, Unanswered),
    ],
)
def test_answer_with_an_effect_comes_to_one_of_the_four(status, code, kind):
    body = {"code": code, "message": "words"} if code else "<html>"

    outcome = refusal(received(status, body), NOW)

    assert type(outcome) is kind
    assert outcome.code == (code or status)
    assert not isinstance(outcome, Deferred) or outcome.throttled


def test_rejection_names_the_conversation_of_a_busy_pair():
    text = f"already exists in {sid('CH', 5)}, so no"

    outcome = refusal(received(409, {"code": 50416, "message": text}), NOW)

    assert isinstance(outcome, Rejected)
    assert outcome.conversation_sid == sid("CH", 5)


def test_conversation_in_another_refusal_is_not_an_open_one():
    outcome = refusal(received(404, {"code": 20404, "message": f"{sid('CH')} was not found"}), NOW)

    assert outcome == Rejected(20404, f"HTTP 404, code 20404: {sid('CH')} was not found", None)


@pytest.mark.parametrize("text", ["", "CH12", f"X{'CH' + '0' * 32}", f"{'CH' + '0' * 33}"])
def test_rejection_without_a_conversation_names_none(text):
    outcome = refusal(received(409, {"code": 50425, "message": text}), NOW)

    assert isinstance(outcome, Rejected)
    assert outcome.conversation_sid is None


def test_detail_is_one_short_line_and_stays_out_of_the_repr():
    outcome = refusal(
        received(400, {"code": 21211, "message": "a\n\u2028\x07b +14155550101 " + "x" * 999}), NOW
    )

    assert outcome.detail.startswith("HTTP 400, code 21211: a b +14155550101 x")
    assert len(outcome.detail) < 350
    assert "+1415" not in repr(outcome)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"code": 21211, "message": "m", "status": 400}, 21211, "m"),
        ({"type": "t", "title": "T", "status": 400, "code": 21211, "detail": "d"}, 21211, "d"),
        ({"type": "t", "title": "T", "status": 400, "code": 21211}, 21211, "T"),
        ({"code": "21211", "message": 5}, 400, ""),
        ({"code": True}, 400, ""),
        ({"code": -1}, 400, ""),
        ({"code": 10**30}, 400, ""),
        ({"code": 1.5}, 400, ""),
        ([1], 400, ""),
        ("not json", 400, ""),
        ("[" * 100_000, 400, ""),
        ("", 400, ""),
    ],
)
def test_code_is_read_in_both_of_twilios_forms_or_is_the_status(body, code, message):
    assert error_in(received(400, body)) == (code, message)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry_after": ""}, None),
        ({"retry_after": "5"}, 5.0),
        ({"retry_after": " 0.5 "}, 0.5),
        ({"retry_after": "-3"}, 0.0),
        ({"retry_after": "1e300"}, 86400.0),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "later"}, None),
        ({"retry_after": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        ({"retry_after": "Tue, 14 Nov 2023 22:13:50 -0000"}, 30.0),
        ({"retry_after": "Tue, 14 Nov 2023 22:13:10 GMT"}, 0.0),
        ({"retry_after": "Mon, 02 Mar 2026 10:00:09 GMT", "date": "Mon, 02 Mar 2026 10:00:00 GMT"}, 9.0),
        ({"retry_after": "Mon, 02 Mar 99999 10:00:09 GMT"}, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(headers, wait_s):
    assert retry_after_s(received(429, {}, **headers).headers, NOW) == wait_s


@pytest.mark.parametrize(
    ("status", "code", "throttled"),
    [(429, 20429, True), (429, None, True), (400, 45780, True), (503, 45780, False), (403, None, False)],
)
def test_look_up_knows_when_it_was_throttled(status, code, throttled):
    seen = unknown(received(status, {"code": code} if code else "", retry_after="2"), NOW)

    assert (seen.code, seen.throttled, seen.retry_after_s) == (code or status, throttled, 2.0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.just("code"), children, max_size=3)
    ),
    max_leaves=5,
)


@given(
    st.integers(100, 599),
    JSON.map(json.dumps) | st.text(),
    st.dictionaries(st.sampled_from(["retry-after", "date"]), st.text()),
)
def test_nothing_in_an_answer_raises(status, text, headers):
    refusal(Received(status, headers, text), NOW)
    unknown(Received(status, headers, text), NOW)
