"""How the simulator takes messages on, delivers them, and is asked about them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from simulator_calls import SENDER, TEMPLATE, Calls, attributes_of, messages_path
from simulator_process import SimulatorProcess

ANN = "whatsapp:+12025550101"
BY_SMS = {"type": "sms", "participants": [{"address": "+12025550101", "proxy_address": "+12025550199"}]}


@pytest.fixture
def conversation_sid(calls: Calls) -> str:
    """Return a conversation with Ann on WhatsApp."""
    return str(attributes_of(calls.open(ANN).json())["conversationSid"])


def receipts(calls: Calls, message: dict[str, Any]) -> list[dict[str, Any]]:
    path = f"{messages_path(message['conversation_sid'])}/{message['sid']}/Receipts"
    found: list[dict[str, Any]] = calls.get(path).json()["delivery_receipts"]
    return found


def test_template_is_rendered_with_its_variables(
    calls: Calls, simulator: SimulatorProcess, conversation_sid: str
) -> None:
    response = calls.send(conversation_sid, "spring:1:1")

    message = response.json()
    assert response.status_code == 201
    assert message["body"].startswith("Hello Ann, your policy is due for renewal on 1 May.")
    assert (message["author"], message["content_sid"]) == ("Team", TEMPLATE)
    assert json.loads(message["attributes"]) == {"outreach_key": "spring:1:1"}
    noted = simulator.journal("message")[0]
    assert (noted["key"], noted["author"], noted["content_sid"]) == ("spring:1:1", "Team", TEMPLATE)
    assert noted["variables"] == {"1": "Ann", "2": "1 May"}
    assert noted["customer_in"] is True


def test_variable_left_out_falls_back_to_the_sample_value(calls: Calls, conversation_sid: str) -> None:
    message = calls.send(conversation_sid, ContentVariables='{"1":"Ann"}').json()

    assert "1 March" in message["body"]


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"Body": "x" * 1601}, 50504),
        ({"Body": ""}, 20001),
        ({"ContentSid": "HX12"}, 50526),
        ({"ContentVariables": "{"}, 50527),
        ({"ContentVariables": '{"1":2}'}, 50527),
        ({"ContentVariables": json.dumps({"1": "x" * 1601})}, 50529),
        ({"Body": "Hello", "ContentVariables": '{"1":"Ann"}'}, 50528),
        ({"Attributes": "no JSON"}, 20001),
        ({"Attributes": json.dumps({"x": "y" * 5000})}, 20001),
    ],
)
def test_message_that_is_wrong_is_refused(
    calls: Calls, simulator: SimulatorProcess, conversation_sid: str, form: dict[str, str], code: int
) -> None:
    response = calls.send(conversation_sid, **form)

    assert (response.status_code, response.json()["code"]) == (400, code)
    assert simulator.journal("message") == []


def test_message_to_an_unknown_conversation_is_not_found(calls: Calls) -> None:
    response = calls.send("CH" + "0" * 32)

    assert (response.status_code, response.json()["code"]) == (404, 20404)


def test_delivery_advances_from_nothing_over_sent_and_delivered_to_read(
    calls: Calls, simulator: SimulatorProcess, eventually: Callable[..., None], conversation_sid: str
) -> None:
    simulator.settings(sent_s=0.3, delivered_s=0.6, read_s=0.9, read_share=1)
    message = calls.send(conversation_sid).json()
    seen: list[str | None] = []

    def is_read() -> bool:
        status = receipts(calls, message)[0]["status"]
        if status not in seen:
            seen.append(status)
        return bool(status == "read")

    eventually(is_read)

    delivery = calls.get(f"{messages_path(conversation_sid)}/{message['sid']}").json()["delivery"]
    assert seen == [None, "sent", "delivered", "read"]
    assert delivery == {
        "total": 1,
        "sent": "all",
        "delivered": "all",
        "read": "all",
        "failed": "none",
        "undelivered": "none",
    }


@pytest.mark.parametrize(
    ("settings", "form", "code"),
    [
        ({}, {"Body": "Hello Ann"}, 63016),
        ({}, {"ContentVariables": '{"1":"","2":"x"}'}, 63013),
        ({}, {"ContentVariables": '{"1":"Ann\\n","2":"x"}'}, 63013),
        ({}, {"ContentVariables": '{"1":"Ann     Bo","2":"x"}'}, 63013),
        ({}, {"ContentVariables": json.dumps({"1": "x" * 1000, "2": "x"})}, 63021),
        ({"template": {"status": "paused"}}, {}, 63041),
        ({"template": {"status": "Rejected"}}, {}, 63040),
        ({"template": {"status": "disabled"}}, {}, 63042),
        ({"template": {"status": "pending"}}, {}, 63016),
        ({"receipt_failures": {"63049": 1}}, {}, 63049),
    ],
)
def test_whatsapp_rules_show_in_the_receipt_and_not_in_the_answer(
    calls: Calls,
    simulator: SimulatorProcess,
    conversation_sid: str,
    settings: dict[str, Any],
    form: dict[str, str],
    code: int,
) -> None:
    simulator.settings(sent_s=0, **settings)

    response = calls.send(conversation_sid, **form)

    receipt = receipts(calls, response.json())[0]
    assert response.status_code == 201
    assert (receipt["status"], receipt["error_code"]) == ("failed", code)


def test_sms_takes_a_body_and_is_never_read(calls: Calls, simulator: SimulatorProcess) -> None:
    simulator.settings(sent_s=0, delivered_s=0, read_s=0, read_share=1)
    conversation_sid = attributes_of(calls.open("", **BY_SMS).json())["conversationSid"]

    message = calls.send(conversation_sid, Body="Hello Ann").json()

    receipt = receipts(calls, message)[0]
    assert (receipt["status"], receipt["error_code"]) == ("delivered", 0)
    assert receipt["channel_message_sid"].startswith("SM")


def test_unreachable_handset_is_undelivered(calls: Calls, simulator: SimulatorProcess) -> None:
    simulator.settings(sent_s=0, delivered_s=0, receipt_failures={"30003": 1})
    conversation_sid = attributes_of(calls.open("", **BY_SMS).json())["conversationSid"]

    message = calls.send(conversation_sid, Body="Hello Ann").json()

    assert receipts(calls, message)[0]["status"] == "undelivered"


def test_message_into_a_conversation_without_its_customer_goes_to_nobody(
    calls: Calls, simulator: SimulatorProcess, conversation_sid: str
) -> None:
    empty = attributes_of(calls.open(ANN).json())["conversationSid"]

    message = calls.send(empty).json()

    assert message["delivery"] is None
    assert receipts(calls, message) == []
    assert simulator.journal("message")[0]["customer_in"] is False


def test_messages_are_listed_in_either_order_over_pages(calls: Calls, conversation_sid: str) -> None:
    sids = [calls.send(conversation_sid).json()["sid"] for _ in range(5)]

    path, found, sizes = messages_path(conversation_sid), [], []
    page = calls.get(path, Order="desc", PageSize=2).json()
    while True:
        sizes.append(len(page["messages"]))
        found += [one["sid"] for one in page["messages"]]
        if page["meta"]["next_page_url"] is None:
            break
        page = calls.get(page["meta"]["next_page_url"]).json()

    assert found == sids[::-1]
    assert sizes == [2, 2, 1]
    assert [one["sid"] for one in calls.get(path).json()["messages"]] == sids


def test_conversations_of_an_address_show_binding_state_and_date(calls: Calls, conversation_sid: str) -> None:
    row = calls.conversations_of(ANN)[0]

    assert (row["conversation_sid"], row["conversation_state"]) == (conversation_sid, "active")
    assert row["participant_messaging_binding"] == {
        "type": "whatsapp",
        "address": ANN,
        "proxy_address": SENDER,
    }
    assert row["conversation_date_created"].endswith("Z")


def test_look_ups_lag_behind_the_effects(
    calls: Calls, simulator: SimulatorProcess, eventually: Callable[..., None]
) -> None:
    simulator.settings(lookup_lag_s=0.5)
    conversation_sid = attributes_of(calls.open(ANN, "spring:1:1").json())["conversationSid"]
    calls.send(conversation_sid)

    at_once = (
        calls.conversations_of(ANN),
        calls.tasks('outreach_key == "spring:1:1"').json()["tasks"],
        calls.get(messages_path(conversation_sid)).json()["messages"],
    )

    assert at_once == ([], [], [])
    eventually(lambda: calls.conversations_of(ANN))
    eventually(lambda: calls.get(messages_path(conversation_sid)).json()["messages"])
    eventually(lambda: calls.tasks('outreach_key == "spring:1:1"').json().get("tasks"))


def test_taken_conversation_is_refused_to_a_second_participant(calls: Calls, conversation_sid: str) -> None:
    other = calls.post("/conversations/v1/Conversations").json()["sid"]
    binding = {"MessagingBinding.Address": ANN, "MessagingBinding.ProxyAddress": SENDER}

    refused = calls.post(f"/conversations/v1/Conversations/{other}/Participants", **binding)

    assert refused.json()["code"] == 50416
    assert conversation_sid in refused.json()["message"]
