"""Answer Twilio's webhooks: whoever isn't Twilio is refused, and whatever Redis does, an answer comes within a second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from worker.errors import OutreachError
from worker.gateway.webhooks import Event, SignatureChecker, read_event, read_form
from worker.logs import get_logger

log = get_logger(__name__)

THREADS = 16
MOST_IN_HAND = 128
"""Events that wait for a thread or have one: more than are heard within ANSWER_S by far would only wait in vain."""
ANSWER_S = 0.8
"""Twilio gives up after some seconds, and asks no second time: polling finds what was not heard."""
MOST_BYTES = 64 * 1024
"""A message of 4,096 characters, each of four bytes and every byte percent-encoded, is 48 KB."""
_MOST_READING = 128
_READ_S = 5.0
_SAID_EVERY_S = 60.0

Hear = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Listener:
    """Who listens for an account: `checker` tells its events from what anybody sends, `hear` takes them into its ledger.

    `account_sid`: empty where only an API key is known of the account; then the signature alone tells.
    `hear`: is called in threads, with what Twilio has said; harmless for what was heard before.
    """

    checker: SignatureChecker
    hear: Hear
    account_sid: str = ""


def make_webhook_app(url: str, listeners: Sequence[Listener], answer_s: float = ANSWER_S) -> web.Application:
    """Make the application that takes Twilio's webhooks, at any path: to be served alone or inside another.

    `url`: the public address that is registered at Twilio, which is what it signs, whatever a proxy makes of it.
    """
    app = web.Application(client_max_size=MOST_BYTES)
    endpoint = _Endpoint(url, listeners, answer_s)
    app.router.add_get("/{rest:.*}", _say_what_this_is)
    app.router.add_post("/{rest:.*}", endpoint.take)
    app.on_cleanup.append(endpoint.close)
    logging.getLogger("aiohttp.server").addFilter(_NO_OUTSIDERS)
    return app


class _NoOutsiders(logging.Filter):
    """Keeps the tracebacks of requests that are no HTTP, or are broken off, out of the log: anybody can send as many as he likes."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the fault may be ours."""
        fault = record.exc_info[1] if record.exc_info else None
        return not isinstance(fault, HttpProcessingError | ConnectionError)


# One for all: a logger takes the same filter once.
_NO_OUTSIDERS = _NoOutsiders()


async def _say_what_this_is(_: web.Request) -> web.Response:
    return web.Response(text="outreach webhooks\n")


class _Endpoint:
    def __init__(self, url: str, listeners: Sequence[Listener], answer_s: float) -> None:
        self._url = url
        self._says = _Sparingly()
        self._desks = [_Desk(each, answer_s, self._says) for each in listeners]
        self._reading = 0

    async def take(self, request: web.Request) -> web.Response:
        """Take one webhook."""
        if self._reading >= _MOST_READING:
            return _busy(self._says, "readers")
        self._reading += 1
        try:
            async with asyncio.timeout(_READ_S):
                body = await request.read()
        except TimeoutError:
            return web.Response(status=408)
        finally:
            self._reading -= 1
        form = read_form(body)
        desk = None if form is None else self._find_desk(form, request.headers)
        if form is None or desk is None:
            self._says("webhooks.refused", is_signed="X-Twilio-Signature" in request.headers)
            return web.Response(status=403)
        event = read_event(form, desk.listener.account_sid)
        # What is signed and none of ours is none of our business: another filter of the same address.
        return web.Response() if event is None else await desk.tell(event)

    def _find_desk(self, form: Mapping[str, str], headers: Mapping[str, str]) -> _Desk | None:
        """Find the account that the form names, if that account's secrets signed it."""
        for desk in self._desks:
            one = desk.listener
            if one.account_sid in ("", form.get("AccountSid")) and one.checker.is_genuine(
                self._url, form, headers
            ):
                return desk
        return None

    async def close(self, _: web.Application) -> None:
        """Let the threads finish what they are at; what waits for one is found by polling."""
        await asyncio.gather(*(asyncio.to_thread(desk.close) for desk in self._desks))


class _Desk:
    """Has an account's events heard in threads of its own: those of one whose Redis hangs keep no other's waiting."""

    def __init__(self, listener: Listener, answer_s: float, says: _Sparingly) -> None:
        self.listener = listener
        self._answer_s, self._says = answer_s, says
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="hearing")
        self._hearing = 0

    def close(self) -> None:
        """Let the threads finish what they are at."""
        self._threads.shutdown(cancel_futures=True)

    async def tell(self, event: Event) -> web.Response:
        """Have an event heard, and answer in time."""
        if self._hearing >= MOST_IN_HAND:
            return _busy(self._says, "threads")
        self._hearing += 1
        told = asyncio.get_running_loop().run_in_executor(self._threads, self.listener.hear, event)
        told.add_done_callback(self._done)
        try:
            # The thread goes on where this gives up: what it writes then is as good.
            await asyncio.wait_for(asyncio.shield(told), self._answer_s)
        except (TimeoutError, OutreachError):
            return web.Response(status=503)
        except Exception:  # noqa: BLE001  told in _done, for it may come after the answer
            return web.Response(status=500)
        return web.Response()

    def _done(self, told: asyncio.Future[None]) -> None:
        self._hearing -= 1
        error = None if told.cancelled() else told.exception()
        if isinstance(error, OutreachError):
            self._says("webhooks.not_heard", error=str(error))
        elif error is not None:
            log.error("webhooks.failed", exc_info=error)


def _busy(says: _Sparingly, with_what: str) -> web.Response:
    says("webhooks.busy", all_taken=with_what)
    return web.Response(status=503)


class _Sparingly:
    """Says each thing once a minute, and how often it was so since: anybody can send what is refused."""

    def __init__(self) -> None:
        self._said_at: dict[tuple[str, object], float] = {}
        self._times: dict[tuple[str, object], int] = {}

    def __call__(self, event: str, **facts: object) -> None:
        # What is signed and refused speaks of a wrong token or address: it must not be hidden by what anybody sends.
        thing = (event, facts.get("is_signed"))
        self._times[thing] = self._times.get(thing, 0) + 1
        now = time.monotonic()
        if now - self._said_at.get(thing, float("-inf")) >= _SAID_EVERY_S:
            self._said_at[thing] = now
            log.warning(event, times=self._times.pop(thing), **facts)
