"""The gateway against Twilio's own OpenAPI files: what it asks is specified, what they show as answers it can read."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from canned_wire import CannedWire
from gateway_builders import KEY, RECIPIENT, message, recipient, routing, sid
from jsonschema import Draft4Validator

from worker.gateway.outcome import Accepted

SPECS = Path(__file__).parents[2].parent / "shared" / "twilio-openapi"
FILES = {
    "flex-api": "flex",
    "conversations": "conversations",
    "content": "content",
    "taskrouter": "taskrouter",
}

pytestmark = pytest.mark.skipif(
    not SPECS.is_dir(), reason="Twilio's OpenAPI files are not in ../shared/twilio-openapi"
)

FULL = recipient(
    context_sid=sid("HQ"),
    webhook_ttid="flex_interactionwebhook_1",
    routing=routing(priority=5, timeout_s=3600),
)
EMAIL = recipient(
    channel="email",
    address="ann@example.com",
    proxy_address=None,
    from_address="care@example.com",
    from_name="Care",
)
TEXT = message(content_sid=None, body="Hello Ann", subject="News")

CALLS = {
    "interaction": lambda gateway: gateway.create_interaction(RECIPIENT, KEY),
    "interaction with everything": lambda gateway: gateway.create_interaction(FULL, KEY),
    "interaction by e-mail": lambda gateway: gateway.create_interaction(EMAIL, KEY),
    "template message": lambda gateway: gateway.create_message(sid("CH"), RECIPIENT.message, KEY),
    "text message": lambda gateway: gateway.create_message(sid("CH"), TEXT, KEY),
    "close": lambda gateway: gateway.close_interaction(sid("KD"), sid("UO")),
    "invites": lambda gateway: gateway.find_invite_conversation(sid("KD"), sid("UO")),
    "task": lambda gateway: gateway.find_flex_task_conversation(sid("WS"), sid("WT")),
    "channel": lambda gateway: gateway.fetch_channel(sid("KD")),
    "participants": lambda gateway: gateway.has_participant(sid("CH"), "+14155550101"),
    "conversations of an address": lambda gateway: gateway.find_conversations("whatsapp:+14155550101"),
    "tasks by key": lambda gateway: gateway.find_flex_tasks(sid("WS"), [KEY, "c-1:2:1"]),
    "tasks by conversation": lambda gateway: gateway.find_flex_tasks_of_conversations(sid("WS"), [sid("CH")]),
    "messages": lambda gateway: gateway.find_message(sid("CH"), KEY),
    "correspondence": lambda gateway: gateway.read_conversation(sid("CH")),
    "webhooks": lambda gateway: gateway.fetch_webhook_config(),
    "set webhooks": lambda gateway: gateway.set_webhook_config(
        "https://example.com/x?a=1", ["onMessageAdded", "onDeliveryUpdated"]
    ),
    "receipts": lambda gateway: gateway.fetch_receipt(sid("CH"), sid("IM")),
    "conversation": lambda gateway: gateway.fetch_conversation_state(sid("CH")),
    "template": lambda gateway: gateway.fetch_template(sid("HX")),
    "workspace": lambda gateway: gateway.fetch_workspace(sid("WS")),
    "workflow": lambda gateway: gateway.fetch_workflow(sid("WS"), sid("WW")),
    "queue": lambda gateway: gateway.fetch_queue(sid("WS"), sid("WQ")),
    "worker": lambda gateway: gateway.fetch_worker(sid("WS"), sid("WK")),
    "credentials": lambda gateway: gateway.check_credentials(),
}


class Spec:
    """One product's OpenAPI file."""

    def __init__(self, product: str) -> None:
        self._root = json.loads((SPECS / f"twilio_{FILES[product]}_v1.json").read_text(encoding="utf-8"))

    def operation(self, method: str, path: str) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the operation of a request with its path's parameters; a path without parameters goes first."""
        for template in sorted(self._root["paths"], key=lambda each: each.count("{")):
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(template))
            found = re.fullmatch(pattern, path)
            if found and method.lower() in self._root["paths"][template]:
                return self._root["paths"][template][method.lower()], found.groupdict()
        raise AssertionError(f"{method} {path} is not specified")

    def faults(self, schema: dict[str, Any], text: str) -> list[str]:
        """Return what is wrong with a form or query value, which travels as text, a list's items one by one."""
        schema = self._resolved(schema)
        schema = schema["items"] if schema.get("type") == "array" else schema
        read = {"integer": int, "boolean": {"true": True, "false": False}.get, "number": float}
        value = read.get(schema.get("type", ""), str)(text)
        return [error.message for error in Draft4Validator(schema).iter_errors(value)]

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in schema:
            return schema
        return self._root["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]


@cache
def spec_of(product: str) -> Spec:
    return Spec(product)


class SpecifiedWire(CannedWire):
    """Answer each request with the example that Twilio's file gives for it."""

    def __init__(self) -> None:
        super().__init__(500, b"")

    def answer_to(self, method: str, url: str) -> tuple[int, bytes, dict[str, str]]:
        parts = urlsplit(url)
        operation, _ = spec_of(parts.netloc.split(".")[0]).operation(method, parts.path)
        (status,) = operation["responses"]
        examples = operation["responses"][status]["content"]["application/json"]["examples"]
        name = "readFull" if "readFull" in examples else next(iter(examples))
        return int(status), json.dumps(examples[name]["value"]).encode(), {}


@pytest.mark.parametrize("name", CALLS)
def test_every_request_is_as_twilio_specifies_it(name):
    wire = SpecifiedWire()

    CALLS[name](wire.gateway(base_url=""))

    assert wire.asked
    for method, url, body in wire.asked:
        parts = urlsplit(url)
        spec = spec_of(parts.netloc.removesuffix(".twilio.com"))
        operation, path = spec.operation(method, parts.path)
        parameters = {each["name"]: each for each in operation.get("parameters", [])}
        query = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
        for parameter, value in {**path, **query}.items():
            assert parameter in parameters, f"{parameter} is not specified for {method} {parts.path}"
            assert spec.faults(parameters[parameter]["schema"], unquote(value)) == []
        missing = {each for each in parameters if parameters[each].get("required")} - {*path, *query}
        assert not missing
        _check_form(spec, operation, body)


def _check_form(spec: Spec, operation: dict[str, Any], body: bytes | None) -> None:
    form = parse_qsl((body or b"").decode(), strict_parsing=True) if body else []
    if "requestBody" not in operation:
        assert form == []
        return
    schema = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    assert set(schema.get("required", [])) <= {name for name, _ in form}
    for name, value in form:
        assert name in schema["properties"], f"{name} is not specified"
        assert spec.faults(schema["properties"][name], value) == []
        if name in {"Channel", "Routing", "Attributes", "ContentVariables"}:
            assert isinstance(json.loads(value), dict)


@pytest.mark.parametrize("name", CALLS)
def test_twilios_own_examples_of_answers_are_read(name):
    assert isinstance(CALLS[name](SpecifiedWire().gateway(base_url="")), Accepted)


def test_twilios_example_of_an_interaction_names_what_a_send_needs():
    outcome = gateway_over_examples().create_interaction(RECIPIENT, KEY)

    assert isinstance(outcome, Accepted)
    assert outcome.value.interaction_sid.startswith("KD")


def gateway_over_examples():
    return SpecifiedWire().gateway(base_url="")
