"""A server that answers bytes as told, to misbehave in ways that no HTTP library would."""

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable

Act = Callable[[socket.socket], bool]


def answer(status: int = 200, body: object = b"", *headers: str, close: bool = False) -> Act:
    """Answer well; `body` that isn't bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Words", f"Content-Length: {len(content)}", *headers]
    if close:
        lines.append("Connection: close")
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + content, keep=not close)


def raw(content: bytes, keep: bool = False) -> Act:
    """Send these bytes, then close unless told to `keep`."""

    def act(connection: socket.socket) -> bool:
        connection.sendall(content)
        return keep

    return act


def reset(connection: socket.socket) -> bool:
    """Reset the connection instead of answering."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def hang(connection: socket.socket) -> bool:
    """Say nothing until the client leaves."""
    connection.settimeout(20)
    connection.recv(1)
    return False


def drip(before: bytes, content: bytes, every_s: float) -> Act:
    """Send `before` at once, then `content` byte by byte."""

    def act(connection: socket.socket) -> bool:
        connection.sendall(before)
        for byte in content:
            time.sleep(every_s)
            connection.sendall(bytes([byte]))
        return False

    return act


class RawServer:
    """Serve each request with the next act; the last one repeats. `requests` holds what came, complete."""

    def __init__(
        self,
        *acts: Act,
        tls: ssl.SSLContext | None = None,
        on_accept: Callable[[socket.socket], None] | None = None,
    ) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._acts = list(acts)
        self._tls = tls
        self._on_accept = on_accept
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._start(self._accept)

    def close(self) -> None:
        """Stop, and wait for its threads."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def wait_closed(self) -> None:
        """Wait until it has closed every connection that was made so far."""
        for thread in self._threads[1:]:
            thread.join(60)
            assert not thread.is_alive()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            if self._on_accept:
                self._on_accept(connection)
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            while self._one(connection):
                pass
        except OSError:
            pass
        finally:
            connection.close()

    def _one(self, connection: socket.socket) -> bool:
        request = b""
        while not _is_complete(request):
            chunk = connection.recv(65536)
            if not chunk:
                return False
            request += chunk
        with self._lock:
            self.requests.append(request)
            act = self._acts.pop(0) if len(self._acts) > 1 else self._acts[0]
        return act(connection)


def _is_complete(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    if not end:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return True
