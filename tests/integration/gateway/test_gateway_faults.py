"""The four outcomes on a real wire that breaks in every way: nothing that may have been processed is called unsent."""

import gc
import gzip
import json
import socket
import threading
import time

import pytest
from gateway_builders import KEY, MESSAGE, RECIPIENT, gateway_over, http_client, sid
from raw_server import answer, drip, hang, raw, reset

from worker.gateway.http import HttpOptions, PooledHttpClient
from worker.gateway.outcome import Accepted, Deferred, Rejected, Unanswered, Unknown
from worker.gateway.seen import TemplateSeen

CREATED = {
    "sid": sid("KD"),
    "channel": {"type": "whatsapp", "sid": sid("UO")},
    "routing": {
        "properties": {"sid": sid("WT"), "attributes": json.dumps({"conversationSid": sid("CH")})},
    },
}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class Closed:
    """A gate that holds every request back."""

    def arrive(self):
        return False


@pytest.fixture
def resting(serve, stack):
    """Give a server that was asked once, a gateway that keeps the connection, and what moves its clock on."""
    server, now_s = serve(answer(200, CREATED)), [100.0]
    http = PooledHttpClient(HttpOptions(base_url=server.url), lambda: now_s[0], time.time)
    stack.callback(http.close)
    gateway = gateway_over(http)
    gateway.create_interaction(RECIPIENT, KEY)

    def rest(seconds):
        now_s[0] += seconds

    return server, gateway, rest


def test_refused_connection_is_deferred(gateway_to):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    outcome = gateway_to(f"http://127.0.0.1:{port}").create_interaction(RECIPIENT, KEY)

    assert outcome == Deferred(0, None, False, "the connection was refused")


def test_host_name_that_cannot_be_resolved_is_deferred(gateway_to):
    outcome = gateway_to("http://nowhere.invalid").create_interaction(RECIPIENT, KEY)

    assert outcome == Deferred(0, None, False, "the host name could not be resolved")


def test_connection_that_is_not_made_in_time_is_deferred(gateway_to):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        started_at = time.monotonic()

        outcome = gateway_to(
            f"http://127.0.0.1:{full.getsockname()[1]}", connect_s=0.3, total_s=60
        ).create_interaction(RECIPIENT, KEY)

        for each in waiting:
            each.close()
    assert outcome == Deferred(0, None, False, "the connection was not made in time")
    assert time.monotonic() - started_at < 30


@pytest.mark.parametrize(
    "act",
    [
        reset,
        raw(b""),
        raw(HEAD + b"Content-Le"),
        raw(HEAD + b'Content-Length: 400\r\n\r\n{"sid": "KD'),
        raw(HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"sid\r\n'),
        raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        raw(HEAD + b"Content-Length: many\r\n\r\n{}"),
        raw(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!"),
        raw(HEAD + b"X-Bad: \r\n" * 300 + b"\r\n"),
        raw(b"\x16\x03\x01 this is no HTTP\r\n\r\n"),
        answer(200, b"<html>Welcome to the hotel</html>"),
        answer(200, b"\xff\xfe\x00"),
        answer(200, b""),
        answer(200, []),
        answer(200, "KD"),
        answer(200, {"sid": "KDxx"}),
        answer(200, b"[" * 100_000),
        answer(302, b"", "Location: http://127.0.0.1:1/"),
        answer(500, {"code": 20500, "message": "Internal"}),
        answer(503, b"down", "Retry-After: 3"),
        answer(409, {"code": 20409, "message": "Conflict"}),
        answer(408),
        answer(400, {"code": 45352, "message": "Downstream"}),
    ],
)
def test_whatever_breaks_after_the_request_went_out_is_unanswered(serve, gateway_to, act):
    server = serve(act)

    outcome = gateway_to(server.url).create_interaction(RECIPIENT, KEY)

    assert isinstance(outcome, Unanswered), outcome
    assert len(server.requests) == 1


def test_connection_reset_before_the_request_was_read_is_unanswered(serve, gateway_to):
    def slam(connection: socket.socket) -> None:
        reset(connection)
        connection.close()
        raise OSError

    server = serve(reset, on_accept=slam)

    outcome = gateway_to(server.url).create_interaction(RECIPIENT, KEY)

    # Either the reset came first (nothing went out, so it may go out again), or it cannot be told.
    assert isinstance(outcome, Deferred | Unanswered)
    assert server.requests == []


@pytest.mark.parametrize(
    "act",
    [
        hang,
        drip(b"", HEAD * 100, 0.05),
        drip(HEAD + b"Content-Length: 1000\r\n\r\n", b" " * 1000, 0.05),
        drip(HEAD + b"Connection: close\r\n\r\n", b" " * 1000, 0.05),
        drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n" * 200, 0.05),
    ],
    ids=["hang", "headers", "body", "body until the end", "chunks"],
)
def test_an_answer_that_takes_too_long_in_all_is_given_up(serve, gateway_to, act):
    server = serve(act)
    started_at = time.monotonic()

    outcome = gateway_to(server.url, total_s=1.0).create_interaction(RECIPIENT, KEY)

    assert outcome == Unanswered("no complete answer came in time")
    assert 0.9 < time.monotonic() - started_at < 15, "the server would go on for longer"


def test_request_that_cannot_be_sent_in_time_is_unanswered(serve, gateway_to):
    def wait_before_reading(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        is_over.wait()

    is_over = threading.Event()
    server = serve(answer(), on_accept=wait_before_reading)
    long = MESSAGE.__class__("a", "x" * 20_000_000, None, {}, None)

    outcome = gateway_to(server.url, total_s=1.0).create_message(sid("CH"), long, KEY)
    is_over.set()

    assert outcome == Unanswered("no complete answer came in time")


@pytest.mark.parametrize(
    "act",
    [
        answer(200, b"x" * 2000),
        answer(200, gzip.compress(b"x" * 2000), "Content-Encoding: gzip"),
        raw(HEAD + b"X-Long: " + b"x" * 70_000),
        raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Long: " + b"x" * 70_000),
        raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 70_000),
    ],
    ids=["body", "unpacked body", "head", "what follows the last chunk", "what is said of a chunk"],
)
def test_answer_without_end_is_given_up(serve, connect, monkeypatch, act):
    monkeypatch.setattr("worker.gateway.wire.MAX_BODY_BYTES", 1000)
    server = serve(act)

    outcome = gateway_over(connect(server.url)).create_interaction(RECIPIENT, KEY)

    assert outcome == Unanswered("the answer was too long to be read")


def test_packed_answer_is_read(serve, gateway_to):
    server = serve(answer(200, gzip.compress(json.dumps(CREATED).encode()), "Content-Encoding: gzip"))

    outcome = gateway_to(server.url).create_interaction(RECIPIENT, KEY)

    assert isinstance(outcome, Accepted)
    assert outcome.value.conversation_sid == sid("CH")
    assert b"Accept-Encoding: gzip" in server.requests[0]


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("Retry-After: 7", 7.0),
        ("Date: Mon, 02 Mar 2026 10:00:00 GMT\r\nRetry-After: Mon, 02 Mar 2026 10:00:30 GMT", 30.0),
        ("Retry-After: soon", None),
        ("X-Other: 1", None),
    ],
)
def test_429_is_deferred_with_the_wait_that_twilio_asks_for(serve, gateway_to, header, wait_s):
    server = serve(answer(429, {"code": 20429, "message": "Too Many Requests", "status": 429}, header))

    outcome = gateway_to(server.url).create_interaction(RECIPIENT, KEY)

    assert outcome == Deferred(20429, wait_s, True, "HTTP 429, code 20429: Too Many Requests")


@pytest.mark.parametrize(
    "body",
    [
        {"code": 21211, "message": "Invalid 'To'", "status": 400, "more_info": "page"},
        {"type": "page", "title": "Invalid 'To'", "status": 400, "code": 21211, "detail": None},
    ],
    ids=["legacy", "RFC 9457"],
)
def test_verdict_is_read_in_both_of_twilios_forms(serve, gateway_to, body):
    server = serve(answer(400, body))

    outcome = gateway_to(server.url).create_interaction(RECIPIENT, KEY)

    assert outcome == Rejected(21211, "HTTP 400, code 21211: Invalid 'To'")


def test_busy_pair_names_the_conversation_that_is_open(serve, gateway_to):
    text = f"A binding for this participant and proxy address already exists in Conversation {sid('CH', 7)}"
    server = serve(answer(409, {"code": 50416, "message": text, "status": 409}))

    outcome = gateway_to(server.url).create_interaction(RECIPIENT, KEY)

    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.conversation_sid) == (50416, sid("CH", 7))


def test_connection_is_used_again(serve, gateway_to):
    server = serve(answer(200, CREATED))
    gateway = gateway_to(server.url)

    outcomes = [gateway.create_interaction(RECIPIENT, KEY) for _ in range(3)]

    assert all(isinstance(each, Accepted) for each in outcomes)
    assert server.connections == 1


def test_connection_of_a_request_that_was_held_back_serves_the_next_one(serve, gateway_to):
    server = serve(answer(200, CREATED))
    gateway = gateway_to(server.url)

    held = gateway.create_interaction(RECIPIENT, KEY, Closed())
    sent = gateway.create_interaction(RECIPIENT, KEY)

    assert isinstance(held, Deferred)
    assert isinstance(sent, Accepted)
    assert (server.connections, len(server.requests)) == (1, 1)


def test_no_more_connections_rest_than_were_asked_for(serve, gateway_to):
    server = serve(answer(200, CREATED))
    gateway = gateway_to(server.url, pool_size=0)

    outcomes = [gateway.create_interaction(RECIPIENT, KEY) for _ in range(2)]

    assert all(isinstance(each, Accepted) for each in outcomes)
    server.wait_closed()
    assert server.connections == 2


def test_connection_is_closed_with_the_client_that_nobody_has_any_more(serve):
    server = serve(answer(200, CREATED))

    outcome = gateway_over(http_client(server.url)).create_interaction(RECIPIENT, KEY)
    gc.collect()

    assert isinstance(outcome, Accepted)
    server.wait_closed()  # and no warning of a socket that was left open, which would be an error here


def test_connection_that_comes_back_to_a_closed_client_is_closed(serve, connect):
    def close_meanwhile(connection: socket.socket) -> bool:
        http.close()
        return answer(200, CREATED)(connection)

    server = serve(close_meanwhile)
    http = connect(server.url)

    outcome = gateway_over(http).create_interaction(RECIPIENT, KEY)

    assert isinstance(outcome, Accepted)
    server.wait_closed()


def test_connection_with_more_on_it_than_was_asked_for_is_not_used_again(serve, gateway_to):
    body = json.dumps(CREATED).encode()
    told = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    server = serve(raw(told + told.replace(sid("KD").encode(), sid("KD", 66).encode()), keep=True))
    gateway = gateway_to(server.url)

    outcomes = [gateway.create_interaction(RECIPIENT, KEY) for _ in range(2)]

    assert [each.value.interaction_sid for each in outcomes] == [sid("KD"), sid("KD")]
    assert server.connections == 2


def test_connection_that_the_server_closed_while_it_rested_is_not_used(serve, gateway_to):
    # Not announced by a header: the server just closes, as after its own idle time.
    server = serve(
        raw(HEAD + f"Content-Length: {len(json.dumps(CREATED))}\r\n\r\n{json.dumps(CREATED)}".encode())
    )
    gateway = gateway_to(server.url)
    first = gateway.create_interaction(RECIPIENT, KEY)
    server.wait_closed()

    second = gateway.create_interaction(RECIPIENT, KEY)

    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert server.connections == 2


def test_connection_that_has_rested_for_long_is_not_trusted(resting):
    server, gateway, rest = resting
    rest(16)

    outcome = gateway.create_interaction(RECIPIENT, KEY)

    assert isinstance(outcome, Accepted)
    assert server.connections == 2


def test_connection_of_a_request_that_was_held_back_has_rested_all_the_while(resting):
    server, gateway, rest = resting
    rest(14)
    gateway.create_interaction(RECIPIENT, KEY, Closed())
    rest(2)

    outcome = gateway.create_interaction(RECIPIENT, KEY)

    assert isinstance(outcome, Accepted)
    assert server.connections == 2


def test_request_without_credentials_or_form_is_sent_bare(serve, connect):
    server = serve(answer(200, {}))

    response = connect(server.url).request(
        "GET", "https://content.twilio.com/v1/Content", params={"PageSize": 1}
    )

    assert (response.status_code, response.text) == (200, "{}")
    assert server.requests[0].startswith(b"GET /content/v1/Content?PageSize=1 HTTP/1.1\r\n")
    assert b"authorization" not in server.requests[0].lower()


def test_no_number_and_no_secret_reaches_the_log(serve, gateway_to, caplog):
    caplog.set_level("DEBUG")
    broken = raw(HEAD + b"no colon in this header\r\nContent-Length: 2\r\n\r\n{}")
    server = serve(answer(200, CREATED), answer(200, {}), answer(429, {"message": "+14155550101"}), broken)
    gateway = gateway_to(server.url)

    gateway.create_interaction(RECIPIENT, KEY)
    for _ in range(4):
        gateway.find_conversations("whatsapp:+14155550101")

    assert "1415555" not in caplog.text
    assert "secret-token" not in caplog.text


def test_channel_that_is_not_there_yet_is_absent(serve, gateway_to):
    server = serve(answer(200, {"meta": {"key": "channels", "next_page_url": None}, "channels": []}))

    assert gateway_to(server.url).fetch_channel(sid("KD")) == Accepted(None)


def test_template_that_whatsapp_was_never_asked_about_has_no_verdict(serve, gateway_to):
    content = {"sid": sid("HX"), "types": {"twilio/text": {"body": "Hi"}}, "variables": {}}
    missing = answer(404, {"code": 20404, "message": "not found"})
    server = serve(answer(200, content), missing, answer(200, content), answer(500))

    seen = gateway_to(server.url).fetch_template(sid("HX"))
    failed = gateway_to(server.url).fetch_template(sid("HX"))

    assert seen == Accepted(TemplateSeen(sid("HX"), {}, ("twilio/text",), "Hi", None, "", ""))
    assert isinstance(failed, Unknown)


@pytest.mark.parametrize("status", [400, 403, 404, 405, 500, 503, 302])
def test_look_up_that_fails_or_is_forbidden_proves_nothing(serve, gateway_to, status):
    server = serve(answer(status, {"participants": []}))
    gateway = gateway_to(server.url)

    seen = [
        gateway.has_participant(sid("CH"), "x"),
        gateway.find_message(sid("CH"), KEY),
        gateway.find_conversations("x"),
        gateway.find_flex_tasks(sid("WS"), [KEY]),
        gateway.fetch_channel(sid("KD")),
        gateway.find_invite_conversation(sid("KD"), sid("UO")),
        gateway.find_flex_task_conversation(sid("WS"), sid("WT")),
        gateway.fetch_conversation_state(sid("CH")),
        gateway.fetch_template(sid("HX")),
    ]

    assert [each for each in seen if not isinstance(each, Unknown)] == []
    assert {each.code for each in seen} == {status}


def test_look_up_that_hangs_or_is_refused_proves_nothing(serve, gateway_to):
    server = serve(hang)

    assert gateway_to(server.url, total_s=0.2).find_message(sid("CH"), KEY) == Unknown(
        0, "no complete answer came in time"
    )
    assert isinstance(gateway_to("http://127.0.0.1:1").find_message(sid("CH"), KEY), Unknown)


def test_throttled_look_up_says_how_long_to_wait(serve, gateway_to):
    server = serve(answer(429, {"code": 20429, "message": "Slow"}, "Retry-After: 2"))

    seen = gateway_to(server.url).find_flex_tasks(sid("WS"), [KEY])

    assert seen == Unknown(20429, "HTTP 429, code 20429: Slow", 2.0, True)


def test_next_page_on_a_foreign_host_is_not_fetched(serve, gateway_to):
    page = {"meta": {"key": "messages", "next_page_url": "https://collector.example/v1/x"}, "messages": []}
    server = serve(answer(200, page))

    seen = gateway_to(server.url).find_message(sid("CH"), KEY)

    assert seen == Unknown(0, "the address is neither Twilio's nor the configured base URL's")


def test_list_without_end_proves_no_absence(serve, gateway_to):
    page = {
        "meta": {"key": "messages", "next_page_url": "https://conversations.twilio.com/v1/next"},
        "messages": [],
    }
    server = serve(answer(200, page))

    seen = gateway_to(server.url).find_message(sid("CH"), KEY)

    assert isinstance(seen, Unknown)
    assert len(server.requests) == 20
    assert server.requests[1].startswith(b"GET /conversations/v1/next HTTP/1.1\r\n")


def test_clock_skew_is_read_from_the_date_of_an_answer(serve, gateway_to):
    server = serve(
        answer(200, CREATED, "Date: Thu, 01 Jan 1970 00:00:10 GMT"), answer(200, CREATED, "Date: never")
    )
    gateway = gateway_to(server.url)

    gateway.create_interaction(RECIPIENT, KEY)
    gateway.create_interaction(RECIPIENT, KEY)

    assert gateway.clock_skew_s == pytest.approx(10.5 - time.time(), abs=5)
