"""Twilio's answers of any shape to every call: what comes back is a documented value, and no number gets into a log."""

import copy
import gzip
import json
import logging
import re
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from choices import Choices

sys.path.append(str(Path(__file__).parents[1] / "integration" / "gateway"))

from canned_wire import CannedWire
from gateway_builders import CUSTOMER, KEY, MESSAGE, RECIPIENT, gateway_over, http_client, sid
from raw_server import RawServer, raw

from worker.gateway.outcome import Accepted, Deferred, Rejected, Unanswered, Unknown
from worker.gateway.twilio import TwilioGateway

NUMBER = CUSTOMER.partition("+")[2]
EFFECTS: dict[str, Callable[[TwilioGateway], Any]] = {
    "create_interaction": lambda gateway: gateway.create_interaction(RECIPIENT, KEY),
    "create_message": lambda gateway: gateway.create_message(sid("CH"), MESSAGE, KEY),
    "close_interaction": lambda gateway: gateway.close_interaction(sid("KD"), sid("UO")),
    "set_webhook_config": lambda gateway: gateway.set_webhook_config(
        "https://example.com", ["onMessageAdded"]
    ),
}
LOOK_UPS: dict[str, Callable[[TwilioGateway], Any]] = {
    "find_invite_conversation": lambda gateway: gateway.find_invite_conversation(sid("KD"), sid("UO")),
    "find_flex_task_conversation": lambda gateway: gateway.find_flex_task_conversation(sid("WS"), sid("WT")),
    "fetch_channel": lambda gateway: gateway.fetch_channel(sid("KD")),
    "has_participant": lambda gateway: gateway.has_participant(sid("CH"), CUSTOMER),
    "find_conversations": lambda gateway: gateway.find_conversations(CUSTOMER),
    "find_conversations_of_identity": lambda gateway: gateway.find_conversations_of_identity("ann"),
    "find_flex_tasks": lambda gateway: gateway.find_flex_tasks(sid("WS"), [KEY]),
    "find_flex_tasks_of_conversations": lambda gateway: gateway.find_flex_tasks_of_conversations(sid("WS"), [sid("CH"), sid("CH", 2)]),
    "find_message": lambda gateway: gateway.find_message(sid("CH"), KEY),
    "fetch_conversation_state": lambda gateway: gateway.fetch_conversation_state(sid("CH")),
    "check_credentials": lambda gateway: gateway.check_credentials(),
    "fetch_workspace": lambda gateway: gateway.fetch_workspace(sid("WS")),
    "fetch_workflow": lambda gateway: gateway.fetch_workflow(sid("WS"), sid("WW")),
    "fetch_queue": lambda gateway: gateway.fetch_queue(sid("WS"), sid("WQ")),
    "fetch_worker": lambda gateway: gateway.fetch_worker(sid("WS"), sid("WK")),
    "has_sms_sender": lambda gateway: gateway.has_sender("sms", f"+{NUMBER}"),
    "has_whatsapp_sender": lambda gateway: gateway.has_sender("whatsapp", CUSTOMER),
    "fetch_template": lambda gateway: gateway.fetch_template(sid("HX")),
    "read_conversation": lambda gateway: gateway.read_conversation(sid("CH"), datetime(2026, 4, 1, tzinfo=UTC)),
    "fetch_webhook_config": lambda gateway: gateway.fetch_webhook_config(),
    "fetch_receipt": lambda gateway: gateway.fetch_receipt(sid("CH"), sid("IM")),
}  # fmt: skip
CALLS = {**EFFECTS, **LOOK_UPS}
_NAMES = list(CALLS)

_ATTRIBUTES = {"outreach_key": KEY, "conversationSid": sid("CH"), "customerAddress": CUSTOMER, "flexInteractionSid": sid("KD"), "flexInteractionChannelSid": sid("UO")}  # fmt: skip
_ROUTING = {"properties": {"sid": sid("WT"), "attributes": json.dumps(_ATTRIBUTES)}, "status": "accepted"}
_DATE = "2026-05-01T10:00:00Z"
_BINDING = {"type": "whatsapp", "address": CUSTOMER, "proxy_address": "whatsapp:+14155550009"}
_TASK = {"sid": sid("WT"), "attributes": json.dumps(_ATTRIBUTES), "assignment_status": "assigned", "date_created": _DATE, "age": 5, "priority": 0, "timeout": 86400}  # fmt: skip
_WEBHOOKS = {"account_sid": sid("AC"), "post_webhook_url": "https://example.com", "pre_webhook_url": None, "filters": ["onMessageAdded"], "method": "POST", "target": "webhook"}  # fmt: skip
_FETCHED: dict[str, Any] = {
    "create_interaction": {"sid": sid("KD"), "channel": {"sid": sid("UO"), "type": "whatsapp"}, "routing": _ROUTING},
    "create_message": {"sid": sid("IM"), "conversation_sid": sid("CH"), "body": "Hi", "index": 0, "date_created": _DATE, "attributes": json.dumps({"outreach_key": KEY})},
    "close_interaction": {"sid": sid("UO"), "interaction_sid": sid("KD"), "status": "closed", "type": "whatsapp"},
    "set_webhook_config": _WEBHOOKS,
    "fetch_webhook_config": _WEBHOOKS,
    "find_flex_task_conversation": _TASK,
    "fetch_conversation_state": {"sid": sid("CH"), "state": "active", "date_created": _DATE, "bindings": {}},
    "fetch_workspace": {"sid": sid("WS"), "friendly_name": "Flex", "date_created": _DATE},
    "fetch_workflow": {"sid": sid("WW"), "friendly_name": "Assign", "task_reservation_timeout": 120},
    "fetch_queue": {"sid": sid("WQ"), "max_reserved_workers": 1},
    "fetch_worker": {"sid": sid("WK"), "available": True, "date_created": _DATE},
    "fetch_template": {"sid": sid("HX"), "types": {"twilio/text": {"body": "Hi {{1}}"}}, "variables": {"1": "Ann"}, "whatsapp": {"status": "approved", "category": "UTILITY", "rejection_reason": ""}, "date_created": _DATE},
}  # fmt: skip
_LISTED: dict[str, tuple[str, Any]] = {
    "find_invite_conversation": ("invites", {"sid": sid("KG"), "routing": _ROUTING}),
    "fetch_channel": ("channels", {"sid": sid("UO"), "status": "active", "error_code": 63016, "error_message": f"for {CUSTOMER}"}),
    "has_participant": ("participants", {"sid": sid("MB"), "identity": None, "messaging_binding": _BINDING, "date_created": _DATE}),
    "find_conversations": ("conversations", {"conversation_sid": sid("CH"), "conversation_state": "active", "conversation_date_created": _DATE, "participant_messaging_binding": _BINDING}),
    "find_flex_tasks": ("tasks", _TASK),
    "find_message": ("messages", {"sid": sid("IM"), "attributes": json.dumps({"outreach_key": KEY}), "index": 0}),
    "read_conversation": ("messages", {"sid": sid("IM"), "author": CUSTOMER, "body": f"Call {CUSTOMER}", "attributes": json.dumps({"outreach_key": KEY}), "date_created": _DATE, "delivery": {"total": 1, "sent": "all", "delivered": "none"}}),
    "fetch_receipt": ("delivery_receipts", {"sid": sid("DY"), "status": "failed", "error_code": 63016, "date_created": _DATE}),
    "check_credentials": ("conversations", {"conversation_sid": sid("CH")}),
    "has_sms_sender": ("incoming_phone_numbers", {"phone_number": f"+{NUMBER}", "sid": sid("PN"), "capabilities": {}}),
    "has_whatsapp_sender": ("senders", {"sid": sid("XE"), "sender_id": CUSTOMER, "status": "ONLINE"}),
}  # fmt: skip
_LISTED["find_conversations_of_identity"] = _LISTED["find_conversations"]
_LISTED["find_flex_tasks_of_conversations"] = _LISTED["find_flex_tasks"]
_ERROR = {"code": 21211, "message": f"The 'To' number {CUSTOMER} is not valid ({sid('CH')})", "status": 400, "more_info": "https://www.twilio.com/docs/errors/21211"}  # fmt: skip
_PROBLEM = {"type": "about:blank", "title": "Bad Request", "detail": f"Pair busy: {sid('CH')}", "code": 50416, "params": {}}  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1e308, -0.0, 2**63, 10**40, "", " ", "null", "{}", "[]", "[[", "\0", "\ud800", "é" * 9, [], {}, [None], {"": None},
    [[[[[[[]]]]]]], {"sid": {}}, sid("CH"), sid("IM"), sid("KD"), sid("UO"), sid("WT") + "\n", "CH" + "g" * 32, CUSTOMER, KEY,
    "2026-02-31T25:61:61Z", "Thu, 01 Jan 1970 00:00:00 +9999", "https://conversations.twilio.com/v1/x?Page=1", "https://evil.example/x",
    "http://[", "//", "https://conversations.twilio.com\\@evil.example/", json.dumps(_ATTRIBUTES), '{"conversationSid": 5}', "[" * 5000,
    float("nan"), float("inf"), "x" * 5000, "9" * 5000,
)  # fmt: skip
_NUMBERS = ("1" * 5000, "-" + "9" * 6000, "1e999999")
_STATUSES = (200, 201, 202, 204, 206, 301, 302, 304, 400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 422, 429, 451, 500, 502, 503, 504, 520, 599, 100, 999, 0)  # fmt: skip
_HEADERS: tuple[dict[str, str], ...] = (
    {}, {"Content-Type": "application/json"}, {"Content-Type": "text/html"}, {"Content-Encoding": "gzip"}, {"Content-Encoding": "deflate"}, {"Content-Encoding": "br, zstd, gzip"},
    {"Retry-After": "5"}, {"Retry-After": "-5"}, {"Retry-After": "nan"}, {"Retry-After": "1e999"}, {"Retry-After": "9" * 400},
    {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, {"Retry-After": "Fri, 31 Dec 9999 23:59:59 -2359", "Date": "Sat, 01 Jan 0001 00:00:00 +2359"},
    {"Retry-After": "Thu, 01 Jan 1970 00:00:00 " + "9" * 30}, {"Date": "Mon, 99 Foo 2026 99:99:99 GMT"}, {"Date": "Sat, 01 Jan 0001 00:00:00 +2300"}, {"Date": "Thu, 1 Jan " + "9" * 5000 + " 00:00:00 GMT"},
    {"Location": "https://evil.example/"}, {"Transfer-Encoding": "chunked"}, {"Content-Length": "5"}, {"Connection": "close"},
)  # fmt: skip


class _Heard(logging.Handler):
    """Keep the lines that were logged anywhere."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


_heard = _Heard()


def answer(data: bytes) -> None:
    """Let one call be answered with any status, headers and body, over a wire without sockets."""
    choices = Choices(data)
    name = choices.one_of(_NAMES)
    status = choices.one_of(_STATUSES)
    headers = choices.one_of(_HEADERS)
    body = _body(name, status, choices)
    if choices.number(8) == 1 and "Content-Encoding" not in headers:
        body, headers = gzip.compress(body), {**headers, "Content-Encoding": "gzip"}
    _judge(name, status, CannedWire(status, body, headers).gateway())


def wire(data: bytes) -> None:
    """Let one call be answered with any bytes at all, over a real connection."""
    name = _NAMES[(data or b"\0")[0] % len(_NAMES)]
    server = _server()
    server._acts = [raw(data[1:])]
    http = http_client(server.url, connect_s=2.0, total_s=4.0)
    try:
        _judge(name, None, gateway_over(http))
    finally:
        http.close()


def answered(name: str, status: int, body: bytes = b"", headers: str = "") -> bytes:
    """Write the bytes with which `wire` answers the call `name`."""
    head = f"HTTP/1.1 {status} Words\r\n{headers}\r\n".encode()
    return bytes([_NAMES.index(name)]) + head + body


def true_body(name: str) -> Any:
    """Return what Twilio really answers to the call `name`."""
    if name in _FETCHED:
        return copy.deepcopy(_FETCHED[name])
    key, one = _LISTED[name]
    meta = {"key": key, "page": 0, "page_size": 50, "next_page_url": None, "previous_page_url": None}
    return {"meta": meta, key: [copy.deepcopy(one), copy.deepcopy(one)]}


def _server() -> RawServer:
    if not _servers:
        _servers.append(RawServer(raw(b"")))
    return _servers[0]


_servers: list[RawServer] = []


def stop_serving() -> None:
    """Stop the server that answers `wire`."""
    while _servers:
        _servers.pop().close()


def _body(name: str, status: int, choices: Choices) -> bytes:
    kind = choices.number(8)
    if kind == 7:
        return choices.rest()
    if kind == 6:
        return _bomb(choices)
    is_error = status >= 400 and choices.number(8) < 6
    value = copy.deepcopy(choices.one_of((_ERROR, _PROBLEM))) if is_error else true_body(name)
    for _ in range(choices.number(6)):
        value = _mutate(value, choices)
    text = json.dumps(value)
    if kind == 5:
        text = re.sub(r"\b\d+\b", choices.one_of(_NUMBERS), text, count=1)
    body = text.encode("utf-8", "surrogatepass")
    return body[: choices.number(len(body) + 1)] if kind == 4 else body


def _bomb(choices: Choices) -> bytes:
    many = choices.one_of((10, 1_000, 100_000))
    opening, inside, closing = choices.one_of((("[", "", "]"), ('{"a":', "1", "}"), ("", "[],", ""), ("", "9", ""), ("", " ", ""), ("", "\\ud800", "")))  # fmt: skip
    if opening:
        return (opening * many + inside + closing * many).encode()
    return f'{{"meta": {{"key": "messages"}}, "messages": [{(inside * many).rstrip(",")}]}}'.encode()


def _mutate(value: Any, choices: Choices, depth: int = 0) -> Any:
    """Replace one value somewhere in a JSON document; text that is JSON itself is gone into as well."""
    if isinstance(value, str) and value[:1] == "{" and choices.number(4):
        return json.dumps(_mutate(json.loads(value), choices, depth + 1))
    if isinstance(value, dict) and value and (depth == 0 or choices.number(4)):
        key = choices.one_of(sorted(value))
        if not choices.number(8):
            del value[key]
        else:
            value[key] = _mutate(value[key], choices, depth + 1)
        return value
    if isinstance(value, list) and value and choices.number(4):
        place = choices.number(len(value))
        value[place] = _mutate(value[place], choices, depth + 1)
        return value
    return copy.deepcopy(choices.one_of(_VALUES))


def _judge(name: str, status: int | None, gateway: TwilioGateway) -> None:
    root = logging.getLogger()
    root.addHandler(_heard)
    level = root.level
    root.setLevel(logging.DEBUG)
    _heard.lines.clear()
    try:
        outcome = CALLS[name](gateway)
    finally:
        root.setLevel(level)
        root.removeHandler(_heard)
    kinds = (Accepted, Deferred, Rejected, Unanswered) if name in EFFECTS else (Accepted, Unknown)
    assert isinstance(outcome, kinds), outcome
    if status is not None and not 200 <= status < 300 and status not in (401, 404):
        assert not isinstance(outcome, Accepted), (name, status, outcome)
    if name in EFFECTS and status is not None and status >= 500:
        assert isinstance(outcome, Unanswered), (name, status, outcome)
    said = [repr(outcome) if not isinstance(outcome, Accepted) else "", *_heard.lines]
    assert not any(NUMBER in line for line in said), said
    if isinstance(outcome, Accepted):
        _expect_shape(name, outcome.value)
        return
    detail = outcome.detail
    assert detail.isprintable(), detail
    assert len(detail) < 500
    detail.encode()
    retry_after_s = getattr(outcome, "retry_after_s", None)
    assert retry_after_s is None or 0 <= retry_after_s <= 86_400
    _expect_sids(outcome)


def _expect_shape(name: str, value: Any) -> None:
    for each in value if isinstance(value, list | tuple) else [value]:
        assert each is None or isinstance(each, bool | str) or is_dataclass(each), value
        if is_dataclass(each):
            _expect_sids(each)
        elif isinstance(each, str) and name != "fetch_conversation_state":
            prefix = "IM" if "message" in name else "CH"
            assert re.fullmatch(rf"{prefix}[0-9a-fA-F]{{32}}", each), each


def _expect_sids(seen: Any) -> None:
    for field in fields(seen):
        value = getattr(seen, field.name)
        repr(value).encode()
        if isinstance(value, str):
            value.encode()  # as the ledger and the log do
        if (field.name == "sid" or field.name.endswith("_sid")) and value is not None:
            assert re.fullmatch(r"[A-Z]{2}[0-9a-fA-F]{32}", value), (field.name, value)
        if isinstance(value, datetime):
            assert value.tzinfo is not None
