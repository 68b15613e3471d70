"""Deadlines on a clock of our own, and where requests may go."""

import socket
import ssl
import threading
from contextlib import suppress

import pytest
from canned_wire import CannedWire
from gateway_builders import KEY, RECIPIENT, gateway_over, http_client
from in_loop import a_loop, in_loop

from worker.gateway import exchange
from worker.gateway.caller import Credentials
from worker.gateway.connections import TimedHTTPConnection
from worker.gateway.deadline import Deadline, TimedSocket
from worker.gateway.exchange import Exchange, NotSentError
from worker.gateway.outcome import Deferred
from worker.gateway.routes import route


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(autouse=True)
def _no_exchange():
    exchange.forget()
    yield
    exchange.forget()


def test_deadline_counts_down_and_holds_nearer_ones():
    clock = Clock()
    deadline = Deadline(clock, 20)
    clock.now_s += 15

    assert deadline.left_s() == 5
    assert deadline.within(2).left_s() == 2
    assert deadline.within(9).left_s() == 5
    clock.now_s += 6
    assert deadline.left_s() == -1
    assert deadline.within(2).left_s() == 0


def test_request_is_not_sent_once_its_time_is_up():
    """A process that was stopped between the start of a request and its first byte must not send it."""
    clock = Clock()
    waiting = Exchange(Deadline(clock, 20))
    clock.now_s += 20

    with pytest.raises(NotSentError):
        waiting.about_to_send()
    assert not waiting.is_sent


def test_request_under_way_is_not_taken_for_unsent():
    clock = Clock()
    under_way = Exchange(Deadline(clock, 20))
    under_way.about_to_send()
    clock.now_s += 20

    under_way.about_to_send()

    assert under_way.is_sent


def test_socket_without_a_deadline_keeps_its_own_time_out():
    one, other = socket.socketpair()
    with one, other, TimedSocket(fileno=one.detach()) as timed:
        other.sendall(b"abc")
        assert timed.recv(1) == b"a"
        timed.deadline = Deadline(Clock(), 7)
        assert timed.recv(1) == b"b"
        assert timed.gettimeout() == 7
        assert timed.send(b"d") == 1
        timed.sendall(b"e")


def test_socket_of_no_loop_and_without_time_waits_for_nothing():
    one, other = socket.socketpair()
    with other, TimedSocket(fileno=one.detach()) as timed:
        timed.setblocking(False)

        with pytest.raises(BlockingIOError):
            timed.recv(1)


@pytest.mark.parametrize(
    "call", [lambda s: s.recv(1), lambda s: s.recv_into(bytearray(1)), lambda s: s.sendall(b"x")]
)
def test_socket_past_its_deadline_neither_reads_nor_writes(call):
    one, other = socket.socketpair()
    with other, TimedSocket(fileno=one.detach()) as timed:
        timed.deadline = Deadline(Clock(), 0)
        other.sendall(b"a")

        with pytest.raises(TimeoutError):
            call(timed)


def test_socket_below_another_gets_the_deadline_too():
    class Layer:
        deadline = None
        socket = None

    below, above = Layer(), Layer()
    above.socket = below
    exchange.arm(above)
    assert above.deadline is None

    current = exchange.begin(Deadline(Clock(), 3))
    exchange.arm(above)
    exchange.arm(None)

    assert above.deadline is below.deadline is current.deadline


def test_connection_outside_of_an_exchange_is_a_mistake():
    with pytest.raises(AssertionError):
        TimedHTTPConnection("127.0.0.1", 1).connect()


@pytest.mark.parametrize(
    ("url", "base", "expected"),
    [
        ("https://flex-api.twilio.com/v1/Interactions", "http://sim", "http://sim/flex-api/v1/Interactions"),
        ("https://flex-api.dublin.ie1.twilio.com/v1/x?a=b", "http://sim/p", "http://sim/p/flex-api/v1/x?a=b"),
        ("https://api.twilio.com/2010-04-01/x.json", "http://sim", "http://sim/api/2010-04-01/x.json"),
        ("http://sim/conversations/v1/x", "http://sim", "http://sim/conversations/v1/x"),
        ("https://content.twilio.com/v1/x", "", "https://content.twilio.com/v1/x"),
        ("https://flex-api.dublin.ie1.twilio.com/v1/x", "", "https://flex-api.dublin.ie1.twilio.com/v1/x"),
    ],
)
def test_sdks_addresses_lead_to_twilio_or_to_the_base_url(url, base, expected):
    assert route(url, base) == expected


@pytest.mark.parametrize(
    "url",
    [
        "http://api.twilio.com/x",
        "https://twilio.com.example/x",
        "https://evil.example/x",
        "https://evil.example\\.twilio.com/x",
        "https://evil.example#.twilio.com/x",
        "https://api.twilio.com/x\\y",
        "https://user@api.twilio.com/x",
        "https://api.twilio.com:8443/x",
        "https://a.b.c.d.twilio.com/x",
        "http://sim.example/x",
        "http://simx/x",
        "http://sim@evil.example/x",
        "",
    ],
)
def test_credentials_go_nowhere_else(url):
    for base in ("", "http://sim"):
        with pytest.raises(NotSentError):
            route(url, base)


def test_base_url_may_end_with_a_slash():
    wire = CannedWire(500, b"")
    http = wire.under(http_client("http://sim/"))

    gateway_over(http).create_interaction(RECIPIENT, KEY)

    assert wire.asked[0][1] == "http://sim/flex-api/v1/Interactions"


def test_region_and_edge_are_in_the_host_name():
    wire = CannedWire(500, b"")
    http = wire.under(http_client(""))

    gateway_over(http, region="ie1", edge="dublin").create_interaction(RECIPIENT, KEY)

    assert wire.asked[0][1] == "https://flex-api.dublin.ie1.twilio.com/v1/Interactions"


def test_environment_of_the_process_does_not_reach_the_sdk(monkeypatch):
    monkeypatch.setenv("TWILIO_REGION", "au1")
    monkeypatch.setenv("TWILIO_EDGE", "sydney")
    wire = CannedWire(500, b"")
    http = wire.under(http_client(""))

    gateway_over(http).create_interaction(RECIPIENT, KEY)

    assert wire.asked[0][1] == "https://flex-api.twilio.com/v1/Interactions"


def test_secrets_stay_out_of_every_repr():
    credentials = Credentials(account_sid="AC", auth_token="tok-1", api_key="SK", api_secret="sec-2")
    http = http_client("http://sim", https_proxy="http://jo:pw-3@proxy:1")

    shown = repr((credentials, http, http._options, gateway_over(http, credentials=credentials)))

    for secret in ("tok-1", "sec-2", "pw-3"):
        assert secret not in shown


def test_mistake_before_the_request_is_not_taken_for_an_answer():
    class Broken(CannedWire):
        def converse(self, *arguments):
            raise KeyError("ours")

    with pytest.raises(KeyError):
        Broken(200, b"").gateway().create_interaction(RECIPIENT, KEY)
    with pytest.raises(KeyError):
        Broken(200, b"").gateway().has_participant("CH", "x")


def test_unforeseen_failure_after_the_request_went_out_is_unanswered():
    class Failing(CannedWire):
        def converse(self, *arguments):
            super().converse(*arguments)
            raise KeyError("a library's")

    outcome = Failing(200, b"").gateway().create_interaction(RECIPIENT, KEY)
    seen = Failing(200, b"").gateway().has_participant("CH", "x")

    assert type(outcome).__name__ == "Unanswered"
    assert type(seen).__name__ == "Unknown"


def test_url_that_cannot_be_used_is_deferred():
    outcome = gateway_over(http_client("ftp://nowhere")).create_interaction(RECIPIENT, KEY)

    assert outcome == Deferred(0, None, False, "the address cannot be used")


def test_rest_of_a_request_does_not_go_out_after_its_time_in_a_loop():
    clock = Clock()
    one, theirs = socket.socketpair()
    theirs.setblocking(False)

    def be_late_and_read():
        clock.now_s += 61
        with suppress(BlockingIOError):
            while True:
                theirs.recv(65_536)

    with theirs, TimedSocket(fileno=one.detach()) as ours:
        ours.deadline = Deadline(clock, 60)
        threading.Timer(0.1, be_late_and_read).start()

        with pytest.raises(TimeoutError):
            in_loop(a_loop(), lambda: ours.sendall(b"x" * 5_000_000))
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


@pytest.mark.parametrize("call", [lambda s: s.recv(1), lambda s: s.recv_into(bytearray(1))])
def test_read_in_a_loop_waits_for_what_is_to_come(call):
    one, theirs = socket.socketpair()
    with theirs, TimedSocket(fileno=one.detach()) as ours:
        ours.deadline = Deadline(Clock(), 60)
        threading.Timer(0.1, theirs.sendall, [b"a"]).start()

        assert in_loop(a_loop(), lambda: call(ours)) in (b"a", 1)


def test_read_in_a_loop_waits_for_a_write_where_tls_says_so():
    class Renegotiating(socket.socket):
        has_written = False

        def recv(self, *_):
            if not self.has_written:
                self.has_written = True
                raise ssl.SSLWantWriteError
            return b"a"

    class Ours(TimedSocket, Renegotiating):
        pass

    one, theirs = socket.socketpair()
    with theirs, Ours(fileno=one.detach()) as ours:
        ours.deadline = Deadline(Clock(), 60)

        assert in_loop(a_loop(), lambda: ours.recv(1)) == b"a"
