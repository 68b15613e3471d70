"""The simulator's answers against Twilio's own OpenAPI specifications, where these are at hand."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from simulator_calls import AGENT, QUEUE, TEMPLATE, WORKFLOW, WORKSPACE, Calls, attributes_of, messages_path
from simulator_process import PROJECT, SimulatorProcess

SPECS = PROJECT.parent / "shared" / "twilio-openapi"
CONVERSATION = "/v1/Conversations/{ConversationSid}"
CHANNEL = "/v1/Interactions/{InteractionSid}/Channels/{ChannelSid}"
FORMATS = FormatChecker(())

pytestmark = pytest.mark.skipif(
    not SPECS.is_dir(), reason=f"Twilio's OpenAPI specifications are not at {SPECS}"
)


@FORMATS.checks("date-time")
def is_date_time(value: object) -> bool:
    """Tell whether a date is ISO 8601 with a zone."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@FORMATS.checks("uri")
def is_uri(value: object) -> bool:
    """Tell whether a URL is absolute."""
    return not isinstance(value, str) or bool(urlsplit(value).scheme and urlsplit(value).netloc)


@FORMATS.checks("uri-map")
def is_uri_map(value: object) -> bool:
    """Tell whether an object holds absolute URLs only."""
    return not isinstance(value, dict) or all(isinstance(one, str) and is_uri(one) for one in value.values())


@cache
def specification(name: str) -> dict[str, Any]:
    """Return one of Twilio's specifications, turned into JSON Schema and made strict."""
    read: dict[str, Any] = json.loads((SPECS / f"twilio_{name}_v1.json").read_text())
    schemas = read["components"]["schemas"]
    # The description says "or null" where the enumeration doesn't: a message still within Twilio.
    schemas.get("conversation_message_receipt_enum_delivery_status", {})["nullable"] = True
    strict: dict[str, Any] = to_json_schema(read)
    return strict


def to_json_schema(node: Any) -> Any:
    """Return OpenAPI 3.0 as JSON Schema: `nullable` spelt out, every named property required, no other allowed."""
    if isinstance(node, list):
        return [to_json_schema(one) for one in node]
    if not isinstance(node, dict):
        return node
    schema = {name: to_json_schema(value) for name, value in node.items()}
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        schema["required"], schema["additionalProperties"] = list(schema["properties"]), False
    if schema.pop("nullable", False) and ("type" in schema or "enum" in schema):
        return {"anyOf": [schema, {"type": "null"}]}
    return schema


def faults(name: str, method: str, path: str, status: int, body: Any) -> Iterator[str]:
    """Yield what is wrong with an answer, by the specification."""
    document = specification(name)
    answers = document["paths"][path][method]["responses"]
    if str(status) not in answers:
        yield f"{status} is not among {list(answers)}"
        return
    pointer = (
        f"#/paths/{re.sub('/', '~1', path)}/{method}/responses/{status}/content/application~1json/schema"
    )
    validator = Draft202012Validator({**document, "$ref": pointer}, format_checker=FORMATS)
    for error in validator.iter_errors(body):
        yield f"{error.json_path}: {error.message}"


@pytest.fixture
def calls(simulator: SimulatorProcess) -> Iterator[Calls]:
    """Return a client of a simulator that sets channels up at once and delivers at once."""
    simulator.settings(setup_ms=0, sent_s=0, delivered_s=0)
    client = Calls(simulator.url)
    yield client
    client.close()


def opened(calls: Calls) -> dict[str, Any]:
    answer: dict[str, Any] = calls.open("whatsapp:+12025550101", "spring:1:1").json()
    return answer


def flex(calls: Calls) -> Iterator[tuple[str, str, Any]]:
    answer = calls.open("whatsapp:+12025550101", "spring:1:1")
    yield "post", "/v1/Interactions", answer
    sid, channel_sid = answer.json()["sid"], answer.json()["channel"]["sid"]
    root = f"/flex-api/v1/Interactions/{sid}"
    yield "get", "/v1/Interactions/{Sid}", calls.get(root)
    yield "get", "/v1/Interactions/{InteractionSid}/Channels", calls.get(f"{root}/Channels")
    one = "/v1/Interactions/{InteractionSid}/Channels/{Sid}"
    yield "get", one, calls.get(f"{root}/Channels/{channel_sid}")
    yield "get", f"{CHANNEL}/Invites", calls.get(f"{root}/Channels/{channel_sid}/Invites")
    yield "get", f"{CHANNEL}/Participants", calls.get(f"{root}/Channels/{channel_sid}/Participants")
    yield "post", one, calls.post(f"{root}/Channels/{channel_sid}", Status="closed")


def conversations(calls: Calls) -> Iterator[tuple[str, str, Any]]:
    sid = attributes_of(opened(calls))["conversationSid"]
    root = f"/conversations/v1/Conversations/{sid}"
    yield "get", "/v1/Conversations/{Sid}", calls.get(root)
    yield "get", f"{CONVERSATION}/Participants", calls.get(f"{root}/Participants")
    yield "post", f"{CONVERSATION}/Messages", (answer := calls.send(sid, "spring:1:1"))
    message = f"{messages_path(sid)}/{answer.json()['sid']}"
    yield "get", f"{CONVERSATION}/Messages", calls.get(messages_path(sid), Order="desc", PageSize=5)
    yield "get", f"{CONVERSATION}/Messages/{{Sid}}", calls.get(message)
    yield "get", f"{CONVERSATION}/Messages/{{MessageSid}}/Receipts", calls.get(f"{message}/Receipts")
    by_address = calls.get("/conversations/v1/ParticipantConversations", Address="whatsapp:+12025550101")
    assert by_address.json()["conversations"]
    yield "get", "/v1/ParticipantConversations", by_address
    webhooks = "/conversations/v1/Configuration/Webhooks"
    filters = ["onMessageAdded", "onDeliveryUpdated"]
    yield "post", "/v1/Configuration/Webhooks", calls.post(webhooks, PreWebhookUrl="https://example.com/pre", PostWebhookUrl="https://example.com/post", Filters=filters, Method="GET", Target="flex")  # fmt: skip
    yield "get", "/v1/Configuration/Webhooks", calls.get(webhooks)
    yield "post", "/v1/Conversations", calls.post("/conversations/v1/Conversations", UniqueName="spring")
    yield "post", "/v1/Conversations/{Sid}", calls.post(root, State="closed")


def taskrouter(calls: Calls) -> Iterator[tuple[str, str, Any]]:
    task_sid = opened(calls)["routing"]["properties"]["sid"]
    root, path = f"/taskrouter/v1/Workspaces/{WORKSPACE}", "/v1/Workspaces/{WorkspaceSid}"
    found = calls.tasks('outreach_key == "spring:1:1"')
    assert found.json()["tasks"]
    yield "get", f"{path}/Tasks", found
    yield "get", f"{path}/Tasks/{{Sid}}", calls.get(f"{root}/Tasks/{task_sid}")
    yield "get", "/v1/Workspaces/{Sid}", calls.get(root)
    yield "get", f"{path}/Workflows/{{Sid}}", calls.get(f"{root}/Workflows/{WORKFLOW}")
    yield "get", f"{path}/TaskQueues/{{Sid}}", calls.get(f"{root}/TaskQueues/{QUEUE}")
    yield "get", f"{path}/Workers/{{Sid}}", calls.get(f"{root}/Workers/{AGENT}")


def content(calls: Calls) -> Iterator[tuple[str, str, Any]]:
    root = f"/content/v1/Content/{TEMPLATE}"
    yield "get", "/v1/Content/{Sid}", calls.get(root)
    yield "get", "/v1/Content/{Sid}/ApprovalRequests", calls.get(f"{root}/ApprovalRequests")


@pytest.mark.parametrize("tour", [flex, conversations, taskrouter, content], ids=lambda tour: tour.__name__)
def test_answers_are_what_the_specification_says(
    calls: Calls, tour: Callable[[Calls], Iterator[tuple[str, str, Any]]]
) -> None:
    wrong = [
        f"{method} {path}: {fault}"
        for method, path, answer in tour(calls)
        for fault in faults(tour.__name__, method, path, answer.status_code, answer.json())
    ]

    assert wrong == []


def test_channel_that_failed_is_as_the_specification_says(calls: Calls) -> None:
    answer = calls.open("whatsapp:+12025550182").json()

    channels = calls.get(f"/flex-api/v1/Interactions/{answer['sid']}/Channels").json()

    assert list(faults("flex", "get", "/v1/Interactions/{InteractionSid}/Channels", 200, channels)) == []
    assert channels["channels"][0]["error_code"] == 50407


def test_customers_message_is_as_the_specification_says(calls: Calls, simulator: SimulatorProcess) -> None:
    sid = attributes_of(opened(calls))["conversationSid"]
    simulator.reply("whatsapp:+12025550101", "Yes please")

    messages = calls.get(messages_path(sid)).json()

    assert list(faults("conversations", "get", f"{CONVERSATION}/Messages", 200, messages)) == []
    assert messages["messages"][0]["body"] == "Yes please"


def test_the_check_itself_finds_a_wrong_answer() -> None:
    body = {"sid": "KD1", "channel": None, "url": "no-url", "extra": 1}

    found = "\n".join(faults("flex", "post", "/v1/Interactions", 200, body))

    assert all(word in found for word in ("KD1", "no-url", "extra", "'webhook_ttid' is a required property"))
