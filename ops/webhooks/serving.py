"""Serve the endpoint for Twilio's webhooks in a process of its own, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from threading import Lock

from aiohttp import web

from ops.webhooks.endpoint import THREADS, Hear, Listener, make_webhook_app
from worker import wiring
from worker.errors import RedisUnavailableError, RefusedHereError, SettingsError
from worker.gateway.webhooks import DeliveryEvent, Event, SignatureChecker
from worker.logs import configure_logs, get_logger
from worker.pipeline.bench import Workbench
from worker.pipeline.hearing import hear_delivery, hear_message
from worker.redis_server import redis_url
from worker.setting_values import SecretStr
from worker.settings import Settings

log = get_logger(__name__)

_REDIS_ANSWERS_S = 5.0
_LAST_ANSWERS_S = 5.0
_KEPT_ALIVE_S = 75.0


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C; the first line on stdout says where.

    Raises: SettingsError, RefusedHereError where the address is taken, RedisUnavailableError.
    """
    checkers = _make_checkers(settings)
    configure_logs(settings)
    urls: dict[SecretStr | None, str] = {}
    with ExitStack() as stack:
        listeners = [
            Listener(checker, _make_hear_of(one, stack, urls, is_only=len(checkers) == 1), one.account_sid)
            for one, checker in checkers
        ]
        asyncio.run(_serve(make_webhook_app(settings.webhook_url, listeners), host, port))


def _make_checkers(settings: Settings) -> list[tuple[Settings, SignatureChecker]]:
    """Make what checks each account's signatures; accounts without a secret for that are left to polling."""
    checkers = []
    refusals = []
    for one in settings.everyone():
        try:
            checkers.append((one, make_checker(one)))
        except SettingsError as error:
            refusals.append(error)
    if not checkers:
        raise refusals[0]
    for each in refusals:
        log.warning("webhooks.account_left_out", why=each.sentence)
    return checkers


def _make_hear_of(
    settings: Settings, stack: ExitStack, urls: dict[SecretStr | None, str], *, is_only: bool
) -> Hear:
    """Make what takes an account's events into its ledger; where its Redis is away at the start, with its first event.

    `urls`: of the servers that are held open already, by what the settings say of them: accounts share the embedded one.
    """
    lock = Lock()
    made: list[Hear] = []

    def make() -> Hear:
        with lock:
            if not made:
                url = urls.get(settings.redis_url) or stack.enter_context(redis_url(settings))
                urls[settings.redis_url] = url
                # A thread that Redis keeps waiting serves nobody else: Twilio has had its answer long before.
                client = wiring.connect(url, connections=THREADS + 2, answer_s=_REDIS_ANSWERS_S)
                stack.callback(client.close)
                made.append(make_hear(wiring.build(settings, client, connections=THREADS)))
            return made[0]

    try:
        return make()
    except RedisUnavailableError as error:
        if is_only:
            raise
        log.warning("webhooks.waits", account=settings.account_tag, error=str(error))

    def hear(event: Event) -> None:
        make()(event)

    return hear


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
            f"{settings.variable('TWILIO_AUTH_TOKEN')} is not set, and Twilio signs its webhooks with it: "
            "an API key can't check them.",
            f"Set it beside the API key, or {settings.variable('OUTREACH_WEBHOOK_KEYS')} where the account signs "
            "with shared keys.",
        )
    return SignatureChecker(token, settings.webhook_secrets)


def make_hear(bench: Workbench) -> Hear:
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
