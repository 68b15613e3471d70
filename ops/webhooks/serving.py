"""Serve the endpoint for Twilio's webhooks in a process of its own, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock

from aiohttp import web

from ops.webhooks.endpoint import THREADS, make_webhook_app
from worker import wiring
from worker.errors import RedisUnavailableError, RefusedHereError, SettingsError
from worker.gateway.webhooks import DeliveryEvent, Event, SignatureChecker
from worker.logs import configure_logs, get_logger
from worker.pipeline.bench import Workbench
from worker.pipeline.hearing import hear_delivery, hear_message
from worker.settings import Settings

log = get_logger(__name__)

_REDIS_ANSWERS_S = 5.0
_LAST_ANSWERS_S = 5.0
_KEPT_ALIVE_S = 75.0


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C; the first line on stdout says where.

    Raises: SettingsError, RefusedHereError where the address is taken, RedisUnavailableError.
    """
    checker = make_checker(settings)
    configure_logs(settings)
    with wiring.redis_url(settings) as url:
        # A thread that Redis keeps waiting serves nobody else: Twilio has had its answer long before.
        client = wiring.connect(url, connections=THREADS + 2, answer_s=_REDIS_ANSWERS_S)
        bench = wiring.build(settings, client, connections=THREADS)
        app = make_webhook_app(settings.webhook_url, checker, make_hear(bench), settings.account_sid)
        try:
            asyncio.run(_serve(app, host, port))
        finally:
            client.close()


def make_checker(settings: Settings) -> SignatureChecker:
    """Make what tells Twilio's webhooks from others.

    Raises: SettingsError where the settings don't say which address is signed, and with what.
    """
    token = settings.auth_token.get_secret_value()
    if not settings.webhook_url:
        raise SettingsError(
            "OUTREACH_WEBHOOK_URL is not set, so it can't be told which address Twilio signs.",
            "Set it to the address under which this endpoint is seen from outside.",
        )
    if not token and not settings.webhook_secrets:
        raise SettingsError(
            "TWILIO_AUTH_TOKEN is not set, and Twilio signs its webhooks with it: an API key can't check them.",
            "Set it beside the API key, or OUTREACH_WEBHOOK_KEYS where the account signs with shared keys.",
        )
    return SignatureChecker(token, settings.webhook_secrets)


def make_hear(bench: Workbench) -> Callable[[Event], None]:
    """Make what takes an event into the ledger; an embedded Redis that has died is started again."""
    reviving = Lock()

    def hear(event: Event) -> None:
        try:
            _hear(bench, event)
        except RedisUnavailableError:
            if reviving.acquire(blocking=False):
                try:
                    died_of = wiring.revive_redis(bench.settings)
                finally:
                    reviving.release()
                if died_of:
                    log.warning("redis.started_again", why=died_of)
            raise

    return hear


def _hear(bench: Workbench, event: Event) -> None:
    if isinstance(event, DeliveryEvent):
        hear_delivery(bench, event.conversation_sid, event.message_sid, event.status, event.error_code)
    elif event.key is None:  # one with a key is our own
        at = event.created_at or datetime.now(UTC)
        hear_message(bench, event.conversation_sid, event.author, event.body, at)


async def _serve(app: web.Application, host: str, port: int) -> None:
    told = asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, told.set)
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=_LAST_ANSWERS_S, keepalive_timeout=_KEPT_ALIVE_S
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except (OSError, OverflowError) as error:
        await runner.cleanup()
        raise RefusedHereError(
            f"{host}:{port} can't be listened on: {getattr(error, 'strerror', None) or error}.",
            "Name another address with --host and --port.",
        ) from error
    place = runner.addresses[0]
    sys.stdout.write(f"listening on http://{f'[{place[0]}]' if ':' in place[0] else place[0]}:{place[1]}\n")
    sys.stdout.flush()
    log.info("webhooks.started")
    try:
        await told.wait()
    finally:
        await runner.cleanup()
    log.info("webhooks.stopped")
