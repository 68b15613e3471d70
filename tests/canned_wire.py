"""A wire without sockets: a table of answers in the place of connections."""

from gateway_builders import gateway_over, http_client

from worker.gateway.exchange import Exchange
from worker.gateway.http import PooledHttpClient
from worker.gateway.twilio import TwilioGateway
from worker.gateway.wire import Answer


class CannedWire:
    """Answer every request with the same status, body and headers; `asked` holds (method, URL, body)."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.asked: list[tuple[str, str, bytes]] = []
        self._answer = (status, body, headers or {})

    def converse(self, origin: str, request: bytes, current: Exchange) -> Answer:
        """Answer a request that would go to `origin`."""
        current.about_to_send()
        head, _, body = request.partition(b"\r\n\r\n")
        method, target, _ = head.decode().split(" ", 2)
        self.asked.append((method, origin + target, body))
        status, content, headers = self.answer_to(method, origin + target)
        answer = Answer()
        answer.status, answer.content = status, bytearray(content)
        answer.headers = {name.lower(): value for name, value in headers.items()}
        return answer

    def answer_to(self, method: str, url: str) -> tuple[int, bytes, dict[str, str]]:
        """Return status, body and headers for a request."""
        return self._answer

    def under(self, http: PooledHttpClient) -> PooledHttpClient:
        """Put this wire in the place of the client's connections."""
        http._converse = self.converse  # type: ignore[method-assign]
        return http

    def gateway(self, base_url: str = "http://127.0.0.1:1") -> TwilioGateway:
        """Return a gateway that talks over this wire."""
        return gateway_over(self.under(http_client(base_url)))
