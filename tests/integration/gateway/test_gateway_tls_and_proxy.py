"""TLS and a company's proxy: one trusted context, and nothing sent to a server that is not trusted."""

import base64
import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest
from gateway_builders import KEY, MESSAGE, sid
from raw_server import Act, answer, drip, hang, raw
from urllib3.util.ssltransport import SSLTransport

from worker.errors import SettingsError
from worker.gateway import exchange, wire
from worker.gateway.deadline import Deadline, TimedSocket
from worker.gateway.http import tls_context
from worker.gateway.outcome import Accepted, Deferred, Unanswered

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="needs the openssl command for a certificate"
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Make a certificate for 127.0.0.1 that signs itself: `(certificate file, server's context)`."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


class Proxy:
    """A proxy that answers CONNECT with `status` and then passes bytes both ways, or does as `act` says."""

    def __init__(
        self, status: str = "200 Established", tls: ssl.SSLContext | None = None, act: Act | None = None
    ) -> None:
        self.asked: list[bytes] = []
        self._act = act
        self._tls = tls
        self._status = status
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(client,), daemon=True))
            self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with self._tls.wrap_socket(client, server_side=True) if self._tls else client as plain:
            request = plain.recv(65536)
            self.asked.append(request)
            if self._act:
                with contextlib.suppress(OSError):  # the client has left
                    self._act(plain)
                return
            plain.sendall(f"HTTP/1.1 {self._status}\r\n\r\n".encode())
            if not self._status.startswith("200"):
                return
            host, port = request.split()[1].decode().split(":")
            with socket.create_connection((host, int(port))) as server:
                back = threading.Thread(target=_pass_on, args=(server, plain), daemon=True)
                back.start()
                _pass_on(plain, server)
                back.join(10)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.fixture
def proxy(stack):
    """Start a proxy with a given answer to CONNECT."""

    def start(*arguments, **options) -> Proxy:
        started = Proxy(*arguments, **options)
        stack.callback(started.close)
        return started

    return start


ANSWER = answer(201, {"sid": sid("IM")})


def send(gateway):
    return gateway.create_message(sid("CH"), MESSAGE, KEY)


def test_own_certificate_authority_is_trusted(serve, gateway_to, certificate):
    cert, context = certificate
    server = serve(ANSWER, tls=context)
    gateway = gateway_to(server.url, ca_file=cert)

    outcomes = [send(gateway) for _ in range(3)]

    assert outcomes == [Accepted(sid("IM"))] * 3
    assert server.connections == 1


def test_nothing_is_sent_to_a_server_that_is_not_trusted(serve, gateway_to, certificate):
    server = serve(ANSWER, tls=certificate[1])

    outcome = send(gateway_to(server.url))

    assert outcome == Deferred(0, None, False, "TLS failed")
    assert server.requests == []


def test_nothing_is_sent_where_no_tls_is_spoken(serve, gateway_to, certificate):
    server = serve(ANSWER)

    outcome = send(gateway_to(server.url.replace("http:", "https:"), ca_file=certificate[0], total_s=0.5))

    assert isinstance(outcome, Deferred)


@pytest.mark.parametrize(
    "act",
    [hang, raw(b"HTTP/1.1 200"), drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", b" " * 99, 0.05)],
)
def test_tls_answer_that_breaks_or_takes_too_long_is_unanswered(serve, gateway_to, certificate, act):
    cert, context = certificate
    server = serve(act, tls=context)

    outcome = send(gateway_to(server.url, ca_file=cert, total_s=0.5))

    assert isinstance(outcome, Unanswered)


def test_certificate_file_that_is_missing_or_wrong_is_explained(tmp_path):
    (tmp_path / "empty.pem").write_text("nothing")

    for name in ("absent.pem", "empty.pem"):
        with pytest.raises(SettingsError, match="SSL_CERT_FILE must name"):
            tls_context(tmp_path / name)


def test_proxy_is_used_with_its_credentials(serve, gateway_to, certificate, proxy):
    cert, context = certificate
    server, between = serve(ANSWER, tls=context), proxy()

    outcome = send(gateway_to(server.url, ca_file=cert, https_proxy=f"http://jo:p%40ss@{between.address}"))

    assert outcome == Accepted(sid("IM"))
    assert between.asked[0].startswith(f"CONNECT 127.0.0.1:{server.port} ".encode())
    assert base64.b64encode(b"jo:p@ss") in between.asked[0]
    assert KEY.encode() not in between.asked[0]


@pytest.mark.parametrize(
    "act", [ANSWER, drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", b" " * 99, 0.05)]
)
def test_proxy_that_speaks_tls_itself_keeps_to_the_deadline(serve, gateway_to, certificate, proxy, act):
    cert, context = certificate
    server, between = serve(act, tls=context), proxy(tls=context)

    outcome = send(
        gateway_to(server.url, ca_file=cert, https_proxy=f"https://{between.address}", total_s=1.0)
    )

    expected = Accepted(sid("IM")) if act is ANSWER else Unanswered("no complete answer came in time")
    assert outcome == expected


def test_connection_within_tls_with_more_on_it_than_was_asked_for_is_not_used_again(certificate):
    cert, context = certificate
    ours, theirs = socket.socketpair()
    seen, told = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(seen, told, server_side=True)

    def serve_two_answers_at_once() -> None:
        def until_done(step):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    theirs.sendall(told.read())
                    seen.write(theirs.recv(65536))

        until_done(server.do_handshake)
        until_done(lambda: server.read(65536))
        for _ in range(2):  # two records, and one packet
            server.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        theirs.sendall(told.read())

    serving = threading.Thread(target=serve_two_answers_at_once)
    serving.start()
    with TimedSocket(fileno=ours.detach()) as below, theirs:
        transport = SSLTransport(below, ssl.create_default_context(cafile=str(cert)), "127.0.0.1")
        current = exchange.begin(Deadline(time.monotonic, 60))
        answered = wire.converse(SimpleNamespace(sock=transport), b"GET / HTTP/1.1\r\n\r\n", current)
        serving.join(60)

    assert answered.content == b"{}"
    assert not answered.keeps_alive


@pytest.mark.parametrize("by_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "act",
    [drip(b"HTTP/1.1 200 Established\r\n", b"X: y\r\n" * 20, 0.05),
     drip(b"HTTP/1.1 200 Established\r\n\r\n", b"\x16\x03\x03\x20\x00" + b"\x02\x00\x1f\xfc" + bytes(120), 0.05)],
    ids=["answer to CONNECT", "handshake"],
)  # fmt: skip
def test_proxy_that_drips_its_answer_keeps_to_the_deadline(gateway_to, certificate, proxy, by_tls, act):
    cert, context = certificate
    between = proxy(tls=context if by_tls else None, act=act)
    proxy_url = f"http{'s' if by_tls else ''}://{between.address}"

    started_at = time.monotonic()
    outcome = send(gateway_to("https://127.0.0.1:1", ca_file=cert, https_proxy=proxy_url, total_s=1.0))

    assert isinstance(outcome, Deferred)
    assert time.monotonic() - started_at < 4, "the proxy would go on for longer"


def test_proxy_is_left_out_for_hosts_named_in_no_proxy(serve, gateway_to, certificate, proxy):
    cert, context = certificate
    server, between = serve(ANSWER, tls=context), proxy()
    proxy_url = f"http://{between.address}"

    outcome = send(
        gateway_to(server.url, ca_file=cert, https_proxy=proxy_url, no_proxy="example.com,127.0.0.1")
    )

    assert outcome == Accepted(sid("IM"))
    assert between.asked == []


def test_proxy_is_left_out_for_a_base_url_without_tls(serve, gateway_to, proxy):
    server, between = serve(ANSWER), proxy()

    outcome = send(gateway_to(server.url, https_proxy=f"http://{between.address}"))

    assert outcome == Accepted(sid("IM"))
    assert between.asked == []


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway"])
def test_proxy_that_refuses_means_that_nothing_was_sent(serve, gateway_to, certificate, proxy, status):
    cert, context = certificate
    server, between = serve(ANSWER, tls=context), proxy(status)

    outcome = send(gateway_to(server.url, ca_file=cert, https_proxy=f"http://{between.address}"))

    assert outcome == Deferred(0, None, False, "the proxy could not be used")
    assert server.requests == []


def test_proxy_that_is_not_there_means_that_nothing_was_sent(serve, gateway_to, certificate):
    cert, context = certificate
    server = serve(ANSWER, tls=context)

    outcome = send(gateway_to(server.url, ca_file=cert, https_proxy="http://127.0.0.1:1"))

    assert outcome == Deferred(0, None, False, "the proxy could not be used")
