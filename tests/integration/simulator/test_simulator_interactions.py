"""How the simulator takes Interactions on, refuses them, sets their channels up and closes them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from simulator_calls import (
    ACCOUNT,
    INTERACTIONS,
    SENDER,
    WORKSPACE,
    Calls,
    attributes_of,
    channel_path,
    routing_properties,
)
from simulator_process import SimulatorProcess

ANN = "whatsapp:+12025550101"


def participant(**changes: Any) -> dict[str, Any]:
    return {"address": ANN, "proxy_address": SENDER, **changes}


def test_answer_names_the_conversation_only_inside_the_tasks_attributes(calls: Calls) -> None:
    response = calls.open(ANN, "spring:1:1")

    answer = response.json()
    attributes = attributes_of(answer)
    assert response.status_code == 200
    assert set(answer) == {
        "sid",
        "channel",
        "routing",
        "interaction_context_sid",
        "webhook_ttid",
        "url",
        "links",
    }
    assert attributes["outreach_key"] == "spring:1:1"
    assert attributes["customerName"] == "Ann"
    assert attributes["conversationSid"].startswith("CH")
    assert attributes["flexInteractionSid"] == answer["sid"]
    assert attributes["flexInteractionChannelSid"] == answer["channel"]["sid"]
    assert attributes["flexChannelInviteSid"].startswith("KG")


def test_answer_bears_twilios_headers(calls: Calls) -> None:
    response = calls.open(ANN)

    assert response.headers["Twilio-Request-Id"].startswith("RQ")
    assert response.headers["Content-Type"].startswith("application/json")
    assert "Date" in response.headers


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"type": None}, 45366),
        ({"type": "telegram"}, 45366),
        ({"initiated_by": None}, 45366),
        ({"participants": []}, 45366),
        ({"participants": "all"}, 45366),
        ({"participants": [participant(identity="ann")]}, 45351),
        ({"participants": [participant(address="")]}, 45351),
        ({"participants": [participant(proxy_address="")]}, 50412),
        ({"participants": [participant(address="whatsapp:+1202-555-0101")]}, 50407),
        ({"participants": [participant(proxy_address="whatsapp:renewals")]}, 50408),
        ({"participants": [participant(address=SENDER)]}, 50409),
        ({"participants": [participant(address="+12025550101")]}, 50414),
        ({"initiated_by": "customer"}, 45366),
        ({"type": "chat", "participants": [{"address": "ann"}]}, 45351),
        ({"type": "email", "participants": [{"address": "ann@example.com", "level": "to"}]}, 45366),
    ],
)
def test_channel_that_lacks_something_is_refused(
    calls: Calls, simulator: SimulatorProcess, changes: dict[str, Any], code: int
) -> None:
    response = calls.open(ANN, **changes)

    assert response.status_code == 400
    assert response.json() | {"message": ""} == {
        "code": code,
        "message": "",
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": 400,
    }
    assert simulator.journal("interaction") == []


@pytest.mark.parametrize("missing", ["workspace_sid", "queue_sid", "worker_sid"])
def test_agent_initiated_routing_must_name_workspace_queue_and_worker(calls: Calls, missing: str) -> None:
    properties = {name: value for name, value in routing_properties().items() if name != missing}
    channel = {"type": "whatsapp", "initiated_by": "agent", "participants": [participant()]}

    response = calls.post(
        INTERACTIONS, Channel=json.dumps(channel), Routing=json.dumps({"properties": properties})
    )

    assert (response.status_code, response.json()["code"]) == (400, 45366)
    assert missing in response.json()["message"]


@pytest.mark.parametrize(
    "form", [{}, {"Channel": "{"}, {"Channel": "[]"}, {"Channel": '{"type":"sms"}', "Routing": "x"}]
)
def test_forms_that_are_no_json_are_refused(calls: Calls, form: dict[str, str]) -> None:
    assert calls.post(INTERACTIONS, **form).status_code == 400


@pytest.mark.parametrize(
    "channel",
    [
        {"type": "sms", "participants": [{"address": "+12025550101", "proxy_address": "+12025550199"}]},
        {"type": "chat", "participants": [{"identity": "ann"}]},
        {"type": "web", "participants": [{"identity": "ann"}]},
        {
            "type": "email",
            "properties": {"from": "hello@example.com", "from_name": "Renewals"},
            "participants": [{"level": "to", "name": "Ann", "address": "ann@example.com"}],
        },
        {"type": "messenger", "participants": [{"address": "messenger:1"}]},
    ],
    ids=lambda channel: channel["type"],
)
def test_customer_of_every_channel_is_in_the_conversation(calls: Calls, channel: dict[str, Any]) -> None:
    answer = calls.open("", **channel).json()

    found = calls.participants(attributes_of(answer)["conversationSid"])

    given = channel["participants"][0]
    addresses = [one["identity"] or one["messaging_binding"]["address"] for one in found]
    assert (given.get("identity") or given["address"]) in addresses
    assert answer["channel"]["type"] == channel["type"]


def test_customer_is_in_only_when_the_channel_is_set_up(
    calls: Calls, simulator: SimulatorProcess, eventually: Callable[..., None]
) -> None:
    simulator.settings(setup_ms=400)
    answer = calls.open(ANN).json()
    conversation_sid = attributes_of(answer)["conversationSid"]

    before = calls.get(channel_path(answer)).json()["status"], calls.participants(conversation_sid)
    eventually(lambda: calls.participants(conversation_sid))

    assert before == ("setup", [])
    assert calls.get(channel_path(answer)).json()["status"] == "active"


def test_conversation_missing_from_the_answer_is_found_through_invites_and_task(
    calls: Calls, simulator: SimulatorProcess, eventually: Callable[..., None]
) -> None:
    simulator.settings(no_conversation_share=1, setup_ms=200)
    answer = calls.open(ANN).json()

    def by_invite() -> str | None:
        invites = calls.get(f"{channel_path(answer)}/Invites").json()["invites"]
        return attributes_of(invites[0]).get("conversationSid")

    eventually(by_invite)

    task = calls.get(
        f"/taskrouter/v1/Workspaces/{WORKSPACE}/Tasks/{answer['routing']['properties']['sid']}"
    ).json()
    assert "conversationSid" not in attributes_of(answer)
    assert json.loads(task["attributes"])["conversationSid"] == by_invite()


def test_failed_channel_says_why_and_has_no_customer(calls: Calls, simulator: SimulatorProcess) -> None:
    simulator.settings(channel_failures={"50407": 1})
    answer = calls.open(ANN).json()

    channel = calls.get(channel_path(answer)).json()

    assert (channel["status"], channel["error_code"]) == ("failed", 50407)
    assert channel["error_message"]
    assert {one["identity"] for one in calls.participants(attributes_of(answer)["conversationSid"])} != {None}
    assert simulator.journal("interaction")[0]["customer_in"] is False


def test_closing_ends_channel_conversation_and_task_and_frees_the_pair(
    calls: Calls, simulator: SimulatorProcess
) -> None:
    answer = calls.open(ANN, "spring:1:1").json()
    conversation_sid, task_sid = (
        attributes_of(answer)["conversationSid"],
        answer["routing"]["properties"]["sid"],
    )

    closed = calls.post(channel_path(answer), Status="closed", Routing='{"status":"closed"}')

    again = calls.post(channel_path(answer), Status="closed")
    task = calls.get(f"/taskrouter/v1/Workspaces/{WORKSPACE}/Tasks/{task_sid}").json()
    assert closed.json()["status"] == again.json()["status"] == "closed"
    assert calls.get(f"/conversations/v1/Conversations/{conversation_sid}").json()["state"] == "closed"
    assert task["assignment_status"] == "completed"
    assert calls.send(conversation_sid).json()["code"] == 50377
    assert [one["customer_in"] for one in (calls.open(ANN), simulator.journal("interaction"))[1]] == [
        True,
        True,
    ]
    assert [one["key"] for one in simulator.journal("interaction_closed")] == ["spring:1:1"]


def test_busy_pair_stays_silently_without_its_customer(calls: Calls, simulator: SimulatorProcess) -> None:
    calls.open(ANN, "spring:1:1")

    second = calls.open(ANN, "spring:1:2")

    people = calls.participants(attributes_of(second.json())["conversationSid"])
    assert second.status_code == 200
    assert [one["messaging_binding"] for one in people] == [None]
    assert [one["customer_in"] for one in simulator.journal("interaction")] == [True, False]


def test_busy_pair_can_be_an_error_that_names_the_conversation(
    calls: Calls, simulator: SimulatorProcess
) -> None:
    simulator.settings(pair_busy="error")
    first = attributes_of(calls.open(ANN).json())["conversationSid"]

    refused = calls.open(ANN)

    assert (refused.status_code, refused.json()["code"]) == (409, 50416)
    assert first in refused.json()["message"]
    assert len(simulator.journal("interaction")) == 1


def test_busy_pair_can_fail_the_channel(calls: Calls, simulator: SimulatorProcess) -> None:
    simulator.settings(pair_busy="failed")
    simulator.occupy(ANN, SENDER, ACCOUNT)

    answer = calls.open(ANN).json()

    assert calls.get(channel_path(answer)).json()["error_code"] == 50416


def test_pair_held_by_somebody_else_is_free_once_that_conversation_closes(
    calls: Calls, simulator: SimulatorProcess
) -> None:
    held = simulator.occupy(ANN, SENDER, ACCOUNT)
    assert [one["conversation_sid"] for one in calls.conversations_of(ANN)] == [held]

    simulator.close(held)
    calls.open(ANN)

    assert simulator.journal("interaction")[-1]["customer_in"] is True


def test_customer_who_left_an_open_conversation_can_be_reached_in_another(
    calls: Calls, simulator: SimulatorProcess
) -> None:
    calls.open(ANN)

    simulator.leave(simulator.journal("interaction")[-1]["conversation_sid"])
    assert calls.conversations_of(ANN) == []
    calls.open(ANN)

    assert simulator.journal("interaction")[-1]["customer_in"] is True


def test_another_account_sees_nothing(
    calls: Calls, simulator: SimulatorProcess, connect: Callable[..., Calls]
) -> None:
    answer = calls.open(ANN).json()
    other = connect(simulator, auth=("AC" + "2" * 32, "secret"))

    assert other.get(f"{INTERACTIONS}/{answer['sid']}").json()["code"] == 20404
    assert other.conversations_of(ANN) == []
    assert other.open(ANN).status_code == 200


def test_conversation_brought_along_is_used(calls: Calls) -> None:
    own = calls.post("/conversations/v1/Conversations", UniqueName="spring-1").json()["sid"]

    answer = calls.open("", participants=[], properties={"media_channel_sid": own}).json()

    assert attributes_of(answer)["conversationSid"] == own


def test_sids_that_end_in_dead_do_not_exist(calls: Calls) -> None:
    root = f"/taskrouter/v1/Workspaces/{WORKSPACE}"

    assert calls.get(f"{root}/Workers/WK{'a' * 32}").status_code == 200
    assert calls.get(f"{root}/Workers/WK{'a' * 28}dead").json()["code"] == 20404
    assert calls.get(f"/taskrouter/v1/Workspaces/WS{'a' * 28}dead/TaskQueues/WQ{'a' * 32}").status_code == 404
