"""Tell whether the endpoint for webhooks hears Twilio and nobody else, and answers whatever happens behind it."""

import asyncio
import base64
import hashlib
import hmac
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from ops.webhooks.endpoint import MOST_BYTES, MOST_IN_HAND, Listener, make_webhook_app
from worker.errors import RedisUnavailableError
from worker.gateway.webhooks import DeliveryEvent, Event, ReplyEvent, SignatureChecker

URL = "https://outreach.example/twilio?a=1"
TOKEN = "secret-token"
ACCOUNT = "AC" + "1" * 32
DELIVERED = {
    "EventType": "onDeliveryUpdated",
    "AccountSid": ACCOUNT,
    "ConversationSid": "CH" + "a" * 32,
    "MessageSid": "IM" + "b" * 32,
    "Status": "delivered",
    "ErrorCode": "0",
}
REPLY = {
    "EventType": "onMessageAdded",
    "AccountSid": ACCOUNT,
    "ConversationSid": "CH" + "a" * 32,
    "MessageSid": "IM" + "c" * 32,
    "Author": "+447900900123",
    "Body": "STOP, please – später",
    "DateCreated": "2026-06-01T10:00:00Z",
    "Source": "SMS",
}


def sign(form: dict[str, str], url: str = URL, token: str = TOKEN) -> str:
    text = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def ask(hear: Callable[[Event], None], *calls: dict[str, Any], answer_s: float = 20.0) -> list[int]:
    """Serve the endpoint and call it, all at once; the statuses."""

    async def call() -> list[int]:
        app = make_webhook_app(URL, [Listener(SignatureChecker(TOKEN), hear, ACCOUNT)], answer_s)
        async with TestServer(app) as server, aiohttp.ClientSession() as session:

            async def one(method: str = "POST", path: str = "/twilio", **rest: Any) -> int:
                async with session.request(method, server.make_url(path), **rest) as answer:
                    return answer.status

            return await asyncio.gather(*(one(**each) for each in calls))

    return asyncio.run(call())


def signed(form: dict[str, str], **how: str) -> dict[str, Any]:
    return {"data": form, "headers": {"X-Twilio-Signature": sign(form, **how)}}


def test_what_twilio_signed_is_heard() -> None:
    heard: list[Event] = []

    statuses = ask(heard.append, signed(DELIVERED), signed(REPLY))

    assert statuses == [200, 200]
    delivery = next(each for each in heard if isinstance(each, DeliveryEvent))
    reply = next(each for each in heard if isinstance(each, ReplyEvent))
    assert (delivery.message_sid, delivery.status) == (DELIVERED["MessageSid"], "delivered")
    assert (reply.author, reply.body) == (REPLY["Author"], REPLY["Body"])


@pytest.mark.parametrize(
    "call",
    [
        pytest.param({"data": DELIVERED}, id="no signature"),
        pytest.param(signed(DELIVERED, token="guessed"), id="another secret"),
        pytest.param(signed(DELIVERED, url="https://outreach.example/other"), id="another address"),
        pytest.param(signed(DELIVERED) | {"data": DELIVERED | {"Status": "read"}}, id="changed on the way"),
        pytest.param(signed({}) | {"data": b"\xff\xfe"}, id="no form"),
        pytest.param({"data": b"", "headers": {"X-Twilio-Signature": ""}}, id="nothing"),
        pytest.param(signed(DELIVERED) | {"json": DELIVERED, "data": None}, id="JSON"),
    ],
)
def test_what_twilio_did_not_sign_is_refused_and_not_heard(call: dict[str, Any]) -> None:
    heard: list[Event] = []

    assert ask(heard.append, call) == [403]

    assert heard == []


def test_refusals_are_logged_once_a_minute_without_what_they_hold() -> None:
    with capture_logs() as logs:
        ask(lambda _: None, *[{"data": REPLY}] * 5, signed(REPLY, token="outdated"))

    assert [(log["event"], log["is_signed"]) for log in logs] == [
        ("webhooks.refused", False),
        ("webhooks.refused", True),
    ]
    assert not any(REPLY[name] in str(logs) for name in ("Author", "Body", "ConversationSid"))


@pytest.mark.parametrize(
    "form",
    [
        {"EventType": "onConversationAdded", "AccountSid": ACCOUNT, "ConversationSid": "CH" + "a" * 32},
        DELIVERED | {"Status": "queued"},
    ],
)
def test_signed_events_that_are_none_of_ours_are_taken_and_not_heard(form: dict[str, str]) -> None:
    heard: list[Event] = []

    assert ask(heard.append, signed(form)) == [200]

    assert heard == []


def test_event_is_heard_by_the_account_that_it_names_if_that_one_signed_it() -> None:
    other, other_token = "AC" + "2" * 32, "another-token"
    heard: list[str] = []
    listeners = [
        Listener(SignatureChecker(TOKEN), lambda _: heard.append("main"), ACCOUNT),
        Listener(SignatureChecker(other_token), lambda _: heard.append("other"), other),
    ]
    theirs, nobodys = (DELIVERED | {"AccountSid": sid} for sid in (other, "AC" + "3" * 32))

    async def call() -> list[int]:
        async with TestServer(make_webhook_app(URL, listeners)) as server, aiohttp.ClientSession() as session:
            calls = [
                signed(DELIVERED),
                signed(theirs, token=other_token),
                signed(theirs),
                signed(nobodys),
                signed(DELIVERED, token="guessed"),
            ]
            answers = [await session.post(server.make_url("/"), **each) for each in calls]
            assert len({await each.text() for each in answers[2:]}) == 1
            return [each.status for each in answers]

    assert asyncio.run(call()) == [200, 200, 403, 403, 403]
    assert heard == ["main", "other"]


def test_body_beyond_bounds_is_refused_unread() -> None:
    large = {"data": urlencode(REPLY | {"Body": "x" * MOST_BYTES})}

    assert ask(lambda _: None, large) == [413]


def test_page_says_what_this_is() -> None:
    assert ask(lambda _: None, {"method": "GET", "path": "/"}, {"method": "HEAD"}, {"method": "PUT"}) == [
        200,
        200,
        405,
    ]


def test_answer_comes_though_the_ledger_gives_none_and_what_was_said_is_still_heard() -> None:
    answered, heard = threading.Event(), threading.Event()

    def wait(_: Event) -> None:
        assert answered.wait(60)
        heard.set()

    async def call() -> int:
        app = make_webhook_app(URL, [Listener(SignatureChecker(TOKEN), wait)], answer_s=0.05)
        async with (
            TestServer(app) as server,
            aiohttp.ClientSession() as session,
            session.post(server.make_url("/"), **signed(DELIVERED)) as answer,
        ):
            answered.set()
            return answer.status

    assert asyncio.run(call()) == 503
    assert heard.is_set()


def test_burst_waits_for_a_thread_and_only_what_is_beyond_bounds_is_turned_away() -> None:
    release = threading.Event()

    def wait(_: Event) -> None:
        assert release.wait(60)

    async def call() -> list[int]:
        app = make_webhook_app(URL, [Listener(SignatureChecker(TOKEN), wait)], answer_s=60)
        connector = aiohttp.TCPConnector(limit=0)
        async with TestServer(app) as server, aiohttp.ClientSession(connector=connector) as session:

            async def one() -> int:
                async with session.post(server.make_url("/"), **signed(DELIVERED)) as answer:
                    return answer.status

            asked = [asyncio.create_task(one()) for _ in range(MOST_IN_HAND + 1)]
            # The one that nobody has room for is the only one that is answered now.
            refused, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            release.set()
            return [*(each.result() for each in refused), *sorted(await asyncio.gather(*asked))]

    assert asyncio.run(call()) == [503, *[200] * MOST_IN_HAND, 503]


def test_redis_away_is_told_as_such_and_a_fault_of_ours_as_ours() -> None:
    errors = iter([RedisUnavailableError("Redis cannot be reached."), RuntimeError("+447900900123")])

    def fail(_: Event) -> None:
        raise next(errors)

    with capture_logs() as logs:
        assert [ask(fail, signed(DELIVERED))[0], ask(fail, signed(DELIVERED))[0]] == [503, 500]

    assert [each["event"] for each in logs] == ["webhooks.not_heard", "webhooks.failed"]


@pytest.mark.parametrize(
    "said",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n+447900900123\r\n",
    ],
)
def test_outsider_who_sends_no_http_leaves_no_traceback(
    said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def call() -> None:
        app = make_webhook_app(URL, [Listener(SignatureChecker(TOKEN), lambda _: None, ACCOUNT)])
        async with TestServer(app) as server:
            assert server.port
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(said)
            writer.write_eof()
            await reader.read()
            writer.close()

    asyncio.run(call())

    assert caplog.text == ""
