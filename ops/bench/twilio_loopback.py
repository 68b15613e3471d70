"""A lean HTTP(S) server on loopback for the benchmarks: it plays the three requests of a row, and counts the messages.

It keeps nothing of a row: a conversation's SID holds its customer's digits. Other look-ups are forbidden, by a 403, unless
it is told to say how messages fared.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import certifi

_REQUEST = re.compile(rb"([A-Z]+) ([^ ?]+)\S* HTTP/1\.1\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CONVERSATION = re.compile(rb"/v1/Conversations/CH(\w{32})/(Participants|Messages)")
_TOO_MANY = {"code": 20429, "message": "Too Many Requests", "status": 429}
_NOW = "2026-03-01T12:00:00Z"


class TwilioLoopback:
    """The server, in a thread of its own; `url` is where it listens, `bundle` the certificates to trust."""

    def __init__(
        self, folder: Path, latency_s: tuple[float, float] = (0.05, 0.2), *, is_secure: bool = True
    ) -> None:
        self.bundle = folder / "bundle.pem"
        self.messages = 0
        self.open: set[asyncio.Transport] = set()
        self.tells_deliveries = False
        self._latency_s = latency_s
        self._chance = random.Random(1)
        self._marks: list[tuple[int, Callable[[], None]]] = []
        self._context: ssl.SSLContext | None = None
        if is_secure:
            certificate, key = _make_certificate(folder)
            self.bundle.write_text(Path(certifi.where()).read_text() + certificate.read_text())
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate, key)
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(self._listen())
        self.url = f"http{'s' if is_secure else ''}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @contextmanager
    def up(self) -> Iterator[TwilioLoopback]:
        """Serve meanwhile."""
        thread = threading.Thread(target=self._loop.run_forever, name="loopback", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.run_until_complete(self._hang_up())
            self._loop.close()

    def at_message(self, count: int, act: Callable[[], None]) -> None:
        """Call `act`, in the server's thread, when so many messages more have been answered."""
        self._marks.append((self.messages + count, act))

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(
            lambda: _Connection(self), "127.0.0.1", 0, ssl=self._context, backlog=1024
        )

    def refuses(self, method: bytes, path: bytes) -> bool:  # noqa: ARG002  for those that have a limit
        """Tell of a request that arrives just now whether it is one too many."""
        return False

    async def _hang_up(self) -> None:
        self._server.close()
        for transport in list(self.open):
            transport.abort()
        while self.open:
            await asyncio.sleep(0.01)

    def latency_s(self) -> float:
        """Draw how long an answer takes."""
        return self._chance.uniform(*self._latency_s)

    def answer(self, method: bytes, path: bytes, body: bytes) -> tuple[int, dict[str, Any]]:
        """Give status and JSON of an answer."""
        if method == b"POST" and path.endswith(b"/Interactions"):
            return 200, _interaction(self._chance, body)
        found = _CONVERSATION.search(path)
        if found and method == b"POST" and found[2] == b"Messages":
            self.messages += 1
            while self._marks and self._marks[0][0] <= self.messages:
                self._marks.pop(0)[1]()
            return 201, _message(self._chance, found[1].decode(), body)
        if found and found[2] == b"Participants":
            return 200, _page("participants", [_participant(found[1].decode())])
        if found and self.tells_deliveries:
            return 200, _page("messages", [_message(self._chance, found[1].decode(), b"Author=us")])
        return 403, {"code": 20403, "message": "Forbidden", "status": 403}


class _Connection(asyncio.Protocol):
    def __init__(self, server: TwilioLoopback) -> None:
        self._server = server
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.open.add(transport)

    def connection_lost(self, _: Exception | None) -> None:
        self._server.open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        request = _REQUEST.match(head + b"\r\n")
        if end and request and len(body) >= size:
            self._received = body[size:]
            refused = self._server.refuses(request[1], request[2])
            asyncio.get_running_loop().call_later(
                self._server.latency_s(), self._reply, request[1], request[2], body[:size], refused
            )

    def _reply(self, method: bytes, path: bytes, body: bytes, refused: bool) -> None:
        status, answer = (429, _TOO_MANY) if refused else self._server.answer(method, path, body)
        text = json.dumps(answer).encode()
        head = (
            f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        )
        if not self._transport.is_closing():
            self._transport.write(head.encode() + text)


def _make_certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def _sid(chance: random.Random, prefix: str) -> str:
    return f"{prefix}{chance.getrandbits(128):032x}"


def _interaction(chance: random.Random, body: bytes) -> dict[str, Any]:
    form = parse_qs(body.decode())
    asked = json.loads(form["Routing"][0])["properties"]
    address = json.loads(form["Channel"][0])["participants"][0]["address"]
    interaction, channel = _sid(chance, "KD"), _sid(chance, "UO")
    conversation = f"CH{int(address.rpartition('+')[2]):032d}"
    attributes = asked["attributes"]
    known = attributes if isinstance(attributes, dict) else json.loads(attributes)
    known |= {
        "flexInteractionSid": interaction,
        "flexInteractionChannelSid": channel,
        "flexChannelInviteSid": _sid(chance, "KG"),
        "conversationSid": conversation,
        "channelType": "whatsapp",
        "initiatedBy": "agent",
        "direction": "outbound",
        "conversations": {
            "initiated_by": "agent",
            "media": [{"type": "ChatTranscript", "sid": conversation}],
        },
    }
    properties = asked | {
        "account_sid": "AC" + "0" * 32,
        "sid": _sid(chance, "WT"),
        "date_created": 1772366400,
        "assignment_status": "pending",
        "attributes": json.dumps(known),
        "reason": None,
        "age": 0,
    }
    url = f"https://flex-api.twilio.com/v1/Interactions/{interaction}"
    return {
        "sid": interaction,
        "channel": {"type": "whatsapp", "sid": channel},
        "routing": {"reservation": None, "properties": properties},
        "interaction_context_sid": None,
        "webhook_ttid": None,
        "url": url,
        "links": {"channels": f"{url}/Channels"},
    }


def _participant(digits: str) -> dict[str, Any]:
    url = f"https://conversations.twilio.com/v1/Conversations/CH{digits}"
    return {
        "sid": "MB" + digits,
        "account_sid": "AC" + "0" * 32,
        "conversation_sid": "CH" + digits,
        "identity": None,
        "attributes": "{}",
        "messaging_binding": {
            "type": "whatsapp",
            "address": f"whatsapp:+{int(digits)}",
            "proxy_address": "whatsapp:+19252210100",
        },
        "role_sid": "RL" + "0" * 32,
        "date_created": _NOW,
        "date_updated": _NOW,
        "url": f"{url}/Participants/MB{digits}",
        "last_read_message_index": None,
        "last_read_timestamp": None,
    }


def _message(chance: random.Random, digits: str, body: bytes) -> dict[str, Any]:
    form = parse_qs(body.decode())
    sid, url = _sid(chance, "IM"), f"https://conversations.twilio.com/v1/Conversations/CH{digits}"
    words = dict.fromkeys(("sent", "delivered", "read"), "all") | {"failed": "none", "undelivered": "none"}
    return {
        "sid": sid,
        "account_sid": "AC" + "0" * 32,
        "conversation_sid": "CH" + digits,
        "index": 0,
        "author": form.get("Author", [""])[0],
        "body": None,
        "media": None,
        "attributes": form.get("Attributes", ["{}"])[0],
        "participant_sid": None,
        "date_created": _NOW,
        "date_updated": _NOW,
        "delivery": {"total": 1, **words},
        "content_sid": form.get("ContentSid", [None])[0],
        "url": f"{url}/Messages/{sid}",
        "links": {"delivery_receipts": f"{url}/Messages/{sid}/Receipts", "channel_metadata": None},
    }


def _page(key: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    url = "https://conversations.twilio.com/v1/Conversations?PageSize=100&Page=0"
    meta = {"page": 0, "page_size": 100, "first_page_url": url, "url": url, "next_page_url": None}
    return {"meta": {**meta, "previous_page_url": None, "key": key}, key: records}
