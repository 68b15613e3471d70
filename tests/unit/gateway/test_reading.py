"""Where a conversation's SID hides, and that nothing of another shape is taken for it."""

import json
from datetime import UTC, datetime

import pytest
from gateway_builders import KEY, sid
from hypothesis import given
from test_answers import JSON
from twilio.base import deserialize

from worker.gateway import caller, reading
from worker.gateway.seen import FlexTaskSeen, Opened

CH = sid("CH", 9)


@pytest.mark.parametrize(
    "attributes",
    [
        {"conversationSid": CH},
        {"conversations": {"media": [{"type": "ChatTranscript", "sid": CH}]}},
        {"conversations": {"media": [{"conversation_sid": CH}]}},
        {"media": [{"conversation_sid": CH}]},
        {"conversationSid": sid("UO"), "conversations": {"media": [None, {"sid": "x"}, {"sid": CH}]}},
    ],
)
@pytest.mark.parametrize("shape", [dict, json.dumps])
def test_conversation_is_found_in_each_place(attributes, shape):
    assert reading.conversation_in_attributes(shape(attributes)) == CH


@pytest.mark.parametrize(
    "attributes",
    [
        None,
        "",
        "{",
        [],
        5,
        {},
        {"conversationSid": None},
        {"conversationSid": CH + "0"},
        {"conversationSid": f"{CH}\n"},
        {"conversationSid": "CHxx"},
        {"conversationSid": sid("UO")},
        {"conversations": [CH]},
        {"conversations": {"media": {"sid": CH}}},
        {"media": [[CH]]},
    ],
)
def test_nothing_else_is_taken_for_a_conversation(attributes):
    assert reading.conversation_in_attributes(attributes) is None


def test_created_interaction_is_read_whole():
    attributes = {"conversationSid": CH, "flexInteractionChannelSid": sid("UO", 2)}
    routing = {"properties": {"sid": sid("WT"), "attributes": json.dumps(attributes)}}

    assert reading.opened(sid("KD"), {"sid": sid("UO")}, routing) == Opened(
        sid("KD"), sid("UO"), sid("WT"), CH
    )
    assert reading.opened(sid("KD"), {}, routing) == Opened(sid("KD"), sid("UO", 2), sid("WT"), CH)
    assert reading.opened(sid("KD"), None, None) == Opened(sid("KD"), None, None, None)
    assert reading.opened("KD", {"sid": sid("UO")}, routing) is None


def test_flex_task_is_read_whole():
    attributes = {
        "outreach_key": KEY,
        "conversationSid": CH,
        "flexInteractionSid": sid("KD"),
        "flexInteractionChannelSid": sid("UO"),
    }

    assert reading.flex_task(sid("WT"), json.dumps(attributes), "pending") == FlexTaskSeen(
        sid("WT"), KEY, CH, sid("KD"), sid("UO"), "pending"
    )
    assert reading.flex_task(sid("WT"), "nonsense", None) == FlexTaskSeen(
        sid("WT"), None, None, None, None, ""
    )
    assert reading.flex_task("WT", "{}", "pending") is None


@pytest.mark.parametrize(
    ("summary", "word"),
    [
        ({"total": 1, "sent": "all", "delivered": "none", "read": "none"}, "sent"),
        ({"sent": "all", "delivered": "all", "read": "none"}, "delivered"),
        ({"sent": "all", "delivered": "some", "read": "some", "failed": "none"}, "read"),
        ({"sent": "all", "read": "some", "undelivered": "some"}, "undelivered"),
        ({"sent": "none", "failed": "all", "undelivered": "some"}, "failed"),
        ({"total": 1, "sent": "none"}, ""),
        ({"sent": "perhaps", "delivered": 1, "held": "all"}, ""),
        (None, ""),
        ([], ""),
    ],
)
def test_delivery_is_the_word_that_counts_most(summary, word):
    assert reading.delivery_of(summary) == word


@pytest.mark.parametrize(
    ("value", "code"),
    [(30003, 30003), ("30003", 30003), (0, 0), ("", 0), (None, 0), (True, 0), (-1, 0), (3.5, 0), ("²", 0), ("9" * 5000, 0), (10**9, 0)],
)  # fmt: skip
def test_error_code_is_a_number_of_twilios_or_none(value, code):
    assert reading.code_of(value) == code


@given(JSON, JSON, JSON)
def test_nothing_in_a_body_raises(first, second, third):
    reading.opened(first, second, third)
    reading.opened(sid("KD"), second, third)
    reading.opened(sid("KD"), second, {"properties": {"attributes": json.dumps(third)}})
    reading.flex_task(sid("WT"), first, second)
    reading.moment_of(first)
    reading.key_of(first)
    reading.delivery_of(first)
    reading.code_of(first)


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-01T10:00:00Z",
        "2026-02-31T25:61:61Z",
        "2026-05-01T10:00:00",
        "Z",
        "never",
        "",
        None,
        5,
        ["2026"],
    ],
)
def test_moments_are_read_as_the_sdk_would_read_them(text):
    try:
        expected = datetime.strptime(text, deserialize.ISO8601_DATETIME_FORMAT).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        expected = None

    assert reading.moment_of(text) == expected
    assert getattr(reading.moment_of(text), "tzinfo", None) == getattr(expected, "tzinfo", None)


def test_sdk_leaves_its_dates_alone():
    assert caller.deserialize.iso8601_datetime("2026-05-01T10:00:00Z") == "2026-05-01T10:00:00Z"
