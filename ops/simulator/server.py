"""Serve the imitated API over HTTP: who may ask, how fast, and which faults come between."""

import asyncio
import base64
import binascii
import itertools
import json
import re
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp import web
from multidict import MultiDict

from ops.simulator import account, conversations, flex, taskrouter, webhooks
from ops.simulator.behaviour import chance
from ops.simulator.call import Call, Endpoint
from ops.simulator.control import control_routes
from ops.simulator.errors import SENTENCES, Refused, sentence, too_many
from ops.simulator.faults import fault_for
from ops.simulator.twin import Twin

ENDPOINTS = (
    *flex.ENDPOINTS,
    *conversations.ENDPOINTS,
    *webhooks.ENDPOINTS,
    *taskrouter.ENDPOINTS,
    *account.ENDPOINTS,
)
_ACCOUNT = re.compile("AC[0-9a-fA-F]{32}")


def build_app(twin: Twin) -> web.Application:
    """Return the application that serves `twin`."""
    app = web.Application()
    server = _Server(twin)
    for endpoint in ENDPOINTS:
        app.router.add_route(endpoint.method, endpoint.path, server.handler(endpoint))
    app.router.add_routes(control_routes(twin))
    app.router.add_route("*", "/{rest:.*}", server.unknown)
    app.cleanup_ctx.append(server.live)
    return app


class _Cut(Exception):  # noqa: N818  a way out, not an error
    """The connection is to be cut without an answer."""


class _Server:
    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._numbers = itertools.count(1)
        self._running = 0

    def handler(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return the aiohttp handler of one endpoint."""

        async def handle(request: web.Request) -> web.StreamResponse:
            arrived, generation = self._twin.clock.steady(), self._twin.journal.generation
            status, call_account = 0, ""
            self._running += 1
            try:
                form: Any = await request.post() if endpoint.method == "POST" else MultiDict()
                call = self._call(endpoint, request, form, arrived)
                call_account = self._authenticated(request, call)
                response = await self._answer(request, call)
                status = response.status
            except Refused as refused:
                status = refused.status
                response = self._refusal(request, refused)
            except _Cut:
                _reset(request)
                return web.Response()
            finally:
                self._running -= 1
                if generation == self._twin.journal.generation:
                    self._twin.journal.request(arrived, endpoint.name, status, call_account)
            return response

        return handle

    async def live(self, _: web.Application) -> AsyncIterator[None]:
        """Have happen, as long as the server runs, what happens by itself."""
        tasks = [asyncio.create_task(self._keep_time()), asyncio.create_task(self._twin.webhooks.deliver())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_time(self) -> None:
        agenda, clock, changed = self._twin.agenda, self._twin.clock, asyncio.Event()
        agenda.changed = changed.set
        while True:
            changed.clear()
            agenda.catch_up(clock.now())
            moment = agenda.next_moment()
            left_s = None if moment is None else max(0.0, moment - clock.now())
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), left_s)

    async def unknown(self, request: web.Request) -> web.StreamResponse:
        """Answer 404 to what isn't imitated."""
        refused = Refused(404, 20404, f"The requested resource {request.path} was not found")
        self._twin.journal.request(self._twin.clock.steady(), f"{request.method} (unknown)", 404, "")
        return self._refusal(request, refused)

    def _call(self, endpoint: Endpoint, request: web.Request, form: Any, arrived: float) -> Call:
        base = f"http://{request.host}"
        query = {name: ",".join(request.query.getall(name)) for name in request.query}
        params = dict(request.match_info)
        now, number = self._twin.clock.now(), next(self._numbers)
        return Call(endpoint, "", base, request.path, params, query, form, arrived, now, number)

    def _authenticated(self, request: web.Request, call: Call) -> str:
        """Return the account, by Basic authentication; an API key belongs to the one configured."""
        settings = self._twin.settings
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        try:
            pair = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            pair = ""
        user, _, secret = pair.partition(":")
        known = not settings.credentials or pair in settings.credentials
        if scheme.lower() != "basic" or not user or not secret or not known:
            raise Refused(401, 20003, "Authenticate")
        call.account = user if _ACCOUNT.fullmatch(user) else settings.account_sid
        return call.account

    async def _answer(self, request: web.Request, call: Call) -> web.StreamResponse:
        twin = self._twin
        self._check_limits(call)
        pause_s, generation = self._pause_s(call), twin.journal.generation
        if pause_s:
            await asyncio.sleep(pause_s / 2)
            call.now = twin.clock.now()
            if twin.journal.generation != generation:  # what was asked before a reset is forgotten, too
                raise _Cut
        self._check_allowed(call)
        fault = fault_for(twin, call)
        if fault:
            await self._before(request, fault)
        twin.agenda.catch_up(call.now)
        status, body = call.endpoint.handler(twin, call)
        response = self._response(status, body)
        if fault:
            response = await self._after(request, fault, response)
        if pause_s:
            await asyncio.sleep(pause_s / 2)
        return response

    def _pause_s(self, call: Call) -> float:
        settings = self._twin.settings
        if not settings.latency_ms and not settings.jitter_ms:
            return 0.0
        spread = 2 * chance(settings.seed, "jitter", call.number) - 1
        return max(0.0, settings.latency_ms + settings.jitter_ms * spread) / 1000

    def _check_limits(self, call: Call) -> None:
        """Raise 429 where the account asks this endpoint too often; what is refused doesn't count."""
        settings = self._twin.settings
        if settings.max_concurrent and self._running > settings.max_concurrent:
            raise too_many(settings.limit_code, settings.limit_retry_after_s)
        if not call.endpoint.path.startswith("/flex-api/"):
            return
        if not self._twin.take(call.endpoint.name, call.account, call.arrived, settings.flex_per_s):
            raise too_many(settings.limit_code, settings.limit_retry_after_s)

    def _check_allowed(self, call: Call) -> None:
        for name, status in self._twin.settings.forbidden.items():
            if call.endpoint.name.startswith(name):
                code = {403: 20403, 404: 20404, 405: 20004}.get(status, 20001)
                raise Refused(status, code, sentence(code) if code in SENTENCES else "Method not allowed")

    async def _before(self, request: web.Request, fault: str) -> None:
        """Raise or hang if the fault strikes before the effect."""
        settings = self._twin.settings
        if fault in {"429", "429_retry_after"}:
            raise too_many(retry_after_s=settings.retry_after_s if fault == "429_retry_after" else None)
        if fault == "45780":
            raise too_many(45780)
        if fault in {"403", "404", "405"}:
            raise Refused(int(fault), {"403": 20403, "404": 20404}.get(fault, 20004), "Not accessible")
        if fault in {"500_before", "503"}:
            raise _broken(500 if fault == "500_before" else 503)
        if fault == "cut_before":
            raise _Cut
        if fault == "hang_before":
            await self._hang(request)

    async def _after(self, request: web.Request, fault: str, response: web.Response) -> web.Response:
        """Spoil the answer if the fault strikes after the effect."""
        if fault in {"500_after", "503_after"}:
            raise _broken(int(fault[:3]))
        if fault == "cut_after":
            raise _Cut
        if fault == "hang_after":
            await self._hang(request)
        if fault == "unreadable":
            text = "<html><body>upstream connect error or disconnect/reset before headers</body></html>"
            return self._response(response.status, text)
        if fault == "truncated":
            await _send_half(request, response)
            raise _Cut
        return response

    async def _hang(self, request: web.Request) -> None:
        """Say nothing until the client gives up, or for `hang_s`."""
        until = self._twin.clock.steady() + self._twin.settings.hang_s
        while (
            self._twin.clock.steady() < until
            and (transport := request.transport)
            and not transport.is_closing()
        ):
            await asyncio.sleep(0.05)
        raise _Cut

    def _response(self, status: int, body: dict[str, Any] | str) -> web.Response:
        text = body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))
        response = web.Response(status=status, text=text, content_type="application/json")
        response.headers["Twilio-Request-Id"] = "RQ" + secrets.token_hex(16)
        response.headers["Twilio-Concurrent-Requests"] = str(self._running)
        if self._twin.settings.clock_skew_s:
            response.headers["Date"] = self._twin.clock.rfc2822(self._twin.clock.now())
        return response

    def _refusal(self, request: web.Request, refused: Refused) -> web.Response:
        style = self._twin.settings.error_style
        response = self._response(refused.status, refused.body(style, request.path))
        if style == "rfc9457":
            response.content_type = "application/problem+json"
        if refused.retry_after_s is not None:
            response.headers["Retry-After"] = f"{refused.retry_after_s:g}"
        if refused.status == 401:
            response.headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
        return response


def _broken(status: int) -> Refused:
    if status == 503:
        return Refused(503, 20503, "Service unavailable")
    return Refused(500, 20500, "An internal server error has occurred")


def _reset(request: web.Request) -> None:
    """Cut the connection at once: the client sees a reset."""
    if (transport := request.transport) is not None:
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


async def _send_half(request: web.Request, response: web.Response) -> None:
    """Send the head and half the body of an answer, with the length of the whole."""
    body = response.body if isinstance(response.body, bytes) else b"{}"
    half = web.StreamResponse(status=response.status, headers={"Content-Type": "application/json"})
    half.content_length = len(body)
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    await asyncio.sleep(0.02)
