"""A wire without sockets: urllib3's pool manager played by a table of answers."""

import io
from typing import Any

from gateway_builders import gateway_over, http_client
from urllib3 import HTTPResponse

from worker.gateway import exchange
from worker.gateway.twilio import TwilioGateway


class CannedWire:
    """Answer every request with the same status, body and headers; `asked` holds (method, URL, body)."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.asked: list[tuple[str, str, bytes | None]] = []
        self._answer = (status, body, headers or {})

    def urlopen(self, method: str, url: str, **keywords: Any) -> HTTPResponse:
        current = exchange.last()
        assert current is not None
        current.about_to_send()
        self.asked.append((method, url, keywords["body"]))
        status, body, headers = self.answer_to(method, url)
        return HTTPResponse(io.BytesIO(body), headers, status, preload_content=False)

    def answer_to(self, method: str, url: str) -> tuple[int, bytes, dict[str, str]]:
        """Return status, body and headers for a request."""
        return self._answer

    def clear(self) -> None:
        """Do nothing: there are no connections."""

    def gateway(self, base_url: str = "http://127.0.0.1:1") -> TwilioGateway:
        """Return a gateway that talks over this wire."""
        http = http_client(base_url)
        http._direct = self
        return gateway_over(http)
