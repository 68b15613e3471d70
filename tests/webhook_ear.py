"""A server that hears webhooks and keeps them, for tests of who tells them."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class Heard:
    """One request: its headers, its body, and the fields of the form that the body is."""

    headers: dict[str, str]
    body: bytes
    form: dict[str, str]


class WebhookEar:
    """Hear on a port of its own at `url`; answer with `status` once `may_answer`."""

    def __init__(self, status: int = 204) -> None:
        self.heard: list[Heard] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        ear = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                form = dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True))
                ear.heard.append(Heard(dict(self.headers), body, form))
                ear.may_answer.wait(60)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/twilio?from=twilio"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """Hear no more."""
        self.may_answer.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def events(self) -> list[tuple[str, str]]:
        """Return what was heard, in order: the event, and the status of a delivery or the text of a message."""
        return [(one.form["EventType"], one.form.get("Status") or one.form["Body"]) for one in self.heard]

    def wait_for(self, there: Callable[[], Any], timeout_s: float = 60.0) -> None:
        """Wait until something was heard."""
        deadline = time.monotonic() + timeout_s
        while not there():
            assert time.monotonic() < deadline, f"heard only {self.events()}"
            time.sleep(0.02)
