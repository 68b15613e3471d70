"""Whatever a server answers, the gateway answers with a value, and never with a wrong one."""

import json

import pytest
from canned_wire import CannedWire
from gateway_builders import KEY, MESSAGE, RECIPIENT, sid
from hypothesis import given, settings
from hypothesis import strategies as st
from test_answers import JSON

from worker.gateway.outcome import Accepted, Deferred, Rejected, Unanswered, Unknown

CALLS = {
    "create_interaction": lambda gateway: gateway.create_interaction(RECIPIENT, KEY),
    "create_message": lambda gateway: gateway.create_message(sid("CH"), MESSAGE, KEY),
    "close_interaction": lambda gateway: gateway.close_interaction(sid("KD"), sid("UO")),
}
LOOK_UPS = {
    "find_invite_conversation": lambda gateway: gateway.find_invite_conversation(sid("KD"), sid("UO")),
    "find_flex_task_conversation": lambda gateway: gateway.find_flex_task_conversation(sid("WS"), sid("WT")),
    "fetch_channel": lambda gateway: gateway.fetch_channel(sid("KD")),
    "has_participant": lambda gateway: gateway.has_participant(sid("CH"), "+14155550101"),
    "find_conversations": lambda gateway: gateway.find_conversations("+14155550101"),
    "find_flex_tasks": lambda gateway: gateway.find_flex_tasks(sid("WS"), [KEY]),
    "find_flex_tasks_of_conversations": lambda gateway: gateway.find_flex_tasks_of_conversations(
        sid("WS"), [sid("CH")]
    ),
    "find_message": lambda gateway: gateway.find_message(sid("CH"), KEY),
    "fetch_conversation_state": lambda gateway: gateway.fetch_conversation_state(sid("CH")),
    "fetch_template": lambda gateway: gateway.fetch_template(sid("HX")),
    "fetch_workspace": lambda gateway: gateway.fetch_workspace(sid("WS")),
    "fetch_workflow": lambda gateway: gateway.fetch_workflow(sid("WS"), sid("WW")),
    "fetch_queue": lambda gateway: gateway.fetch_queue(sid("WS"), sid("WQ")),
    "fetch_worker": lambda gateway: gateway.fetch_worker(sid("WS"), sid("WK")),
    "has_sms_sender": lambda gateway: gateway.has_sender("sms", "+14155550009"),
    "has_whatsapp_sender": lambda gateway: gateway.has_sender("whatsapp", "whatsapp:+14155550009"),
    "check_credentials": lambda gateway: gateway.check_credentials(),
}
LISTS = ["invites", "channels", "participants", "conversations", "tasks", "messages", "senders"]

PAGES = st.builds(
    lambda key, rows, more: {"meta": {"key": key, "next_page_url": more}, key: rows},
    st.sampled_from(LISTS),
    st.lists(JSON) | JSON,
    st.none() | st.just("https://conversations.twilio.com/v1/x") | JSON,
)
RESOURCES = st.dictionaries(
    st.sampled_from(
        ["sid", "channel", "routing", "attributes", "status", "state", "types", "variables", "whatsapp"]
    ),
    JSON | st.sampled_from([sid("KD"), sid("IM"), sid("WT"), sid("HX")]),
)
BODIES = st.binary() | (JSON | PAGES | RESOURCES).map(lambda body: json.dumps(body).encode())
STATUSES = st.sampled_from(
    [200, 201, 204, 301, 304, 400, 401, 403, 404, 405, 409, 429, 500, 503]
) | st.integers(200, 599)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(CALLS)), STATUSES, BODIES)
def test_no_answer_to_an_effect_raises(name, status, body):
    outcome = CALLS[name](CannedWire(status, body).gateway())

    assert isinstance(outcome, Accepted | Deferred | Rejected | Unanswered)
    if not 200 <= status < 300 and not (name == "close_interaction" and status == 404):
        assert not isinstance(outcome, Accepted)
    if status >= 500:
        assert isinstance(outcome, Unanswered)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(LOOK_UPS)), STATUSES, BODIES)
def test_no_answer_to_a_look_up_raises(name, status, body):
    seen = LOOK_UPS[name](CannedWire(status, body).gateway())

    assert isinstance(seen, Accepted | Unknown)
    if not 200 <= status < 300 and status not in {401, 404}:
        assert isinstance(seen, Unknown)


@pytest.mark.parametrize("name", LOOK_UPS)
def test_missing_page_of_something_in_between_is_no_absence(name):
    assert isinstance(LOOK_UPS[name](CannedWire(404, b"<html>Not found</html>").gateway()), Unknown)


@pytest.mark.parametrize("body", [b"{}", b'{"items": []}', b'{"meta": {"key": "items"}, "items": []}'])
@pytest.mark.parametrize("name", ["has_participant", "find_conversations", "find_flex_tasks", "find_message"])
def test_list_of_something_else_is_no_absence(name, body):
    assert isinstance(LOOK_UPS[name](CannedWire(200, body).gateway()), Unknown)


@pytest.mark.parametrize(
    ("name", "key", "row"),
    [
        ("fetch_channel", "channels", {"sid": "UO"}),
        ("find_conversations", "conversations", {"conversation_sid": "CH"}),
        ("find_flex_tasks", "tasks", {"sid": "WT"}),
        ("find_message", "messages", {"sid": "IM", "attributes": json.dumps({"outreach_key": KEY})}),
    ],
)
def test_row_of_a_list_without_a_usable_sid_is_no_answer(name, key, row):
    page = {"meta": {"key": key, "next_page_url": None}, key: [row]}

    assert isinstance(LOOK_UPS[name](CannedWire(200, json.dumps(page).encode()).gateway()), Unknown)


@pytest.mark.parametrize("name", ["fetch_conversation_state", "fetch_workspace", "fetch_template"])
def test_resource_without_its_fields_is_no_answer(name):
    assert isinstance(LOOK_UPS[name](CannedWire(200, b"{}").gateway()), Unknown)


def test_flex_tasks_of_several_sends_are_asked_for_at_once():
    wire = CannedWire(200, b'{"meta": {"key": "tasks"}, "tasks": []}')

    wire.gateway().find_flex_tasks(sid("WS"), ["c-1:1:1", "c-1:2:1"])

    assert wire.asked[0][1].endswith(
        "/taskrouter/v1/Workspaces/" + sid("WS") + "/Tasks"
        "?EvaluateTaskAttributes=outreach_key+IN+%5B%22c-1%3A1%3A1%22%2C%22c-1%3A2%3A1%22%5D&PageSize=1000"
    )


def test_flex_task_of_one_send_is_asked_for_by_equality():
    wire = CannedWire(200, b'{"meta": {"key": "tasks"}, "tasks": []}')

    wire.gateway().find_flex_tasks(sid("WS"), ["c-1:1:1"])

    assert "EvaluateTaskAttributes=outreach_key+%3D%3D+%22c-1%3A1%3A1%22&" in wire.asked[0][1]


def test_more_keys_than_fit_into_a_url_are_a_mistake_of_the_caller():
    wire = CannedWire(200, b"{}")

    with pytest.raises(AssertionError):
        wire.gateway().find_flex_tasks(sid("WS"), ["k"] * 51)

    assert wire.asked == []
