"""Builds the parts from the settings; the only place where time, chance, Redis and Twilio come from."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from threading import Lock
from typing import Any

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker import loop
from worker.effects import CRASH_AT, arm
from worker.errors import RedisUnavailableError
from worker.gateway.caller import Credentials
from worker.gateway.http import HttpOptions, PooledHttpClient
from worker.gateway.twilio import TwilioGateway
from worker.ledger.floors import Floors
from worker.ledger.keys import prefix
from worker.ledger.ledger import Ledger
from worker.ledger.registry import Registry
from worker.pacing.pacer import Pacer
from worker.pipeline.bench import Workbench
from worker.redis_calls import AskPatiently
from worker.redis_client import LeanRedis
from worker.redis_server import EmbeddedRedis
from worker.settings import Settings, load_settings

CONNECTIONS = 64
BROKER_DB = 1


def read_settings() -> Settings:
    """Read the settings of this process from its environment and `.env` in its folder."""
    return load_settings(os.environ, Path(".env"))


_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)
steady_clock: Callable[[], float] = (
    time.monotonic if _BOOTTIME is None else partial(time.clock_gettime, _BOOTTIME)
)
"""Gives seconds that go on while the machine is suspended, so that a lease is never taken for longer than it is."""


def revive_redis(settings: Settings) -> str:
    """Start the embedded Redis again if it has died under this process, and say what of; anybody else's is its owner's.

    Raises: RedisUnavailableError if it does not start.
    """
    return EmbeddedRedis(settings.home).revive() if settings.redis_url is None else ""


def connect(url: str, connections: int = CONNECTIONS, answer_s: float = 15.0) -> redis.Redis:
    """Connect to Redis; threads wait for one of `connections` rather than fail, and `answer_s` for an answer.

    Raises: RedisUnavailableError if it does not answer.
    """
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=20,
        socket_timeout=answer_s,
        socket_connect_timeout=5,
        retry=Retry(NoBackoff(), 0),
        # Else each connection looks up the library's version among its files, and tells it Redis: 1 ms of CPU.
        driver_info=None,
    )
    client = LeanRedis(pool)
    try:
        client.time()  # PING is refused by a server that cannot write to its disk, and yet can be read
    except redis.RedisError as error:
        raise RedisUnavailableError(
            f"Redis does not answer: {(str(error) or type(error).__name__).rstrip('.')}.",
            "Check OUTREACH_REDIS_URL, and that the server runs.",
        ) from error
    return client


def broker_url(url: str) -> str:
    """Give Celery's form of a Redis URL: the next database of the same server."""
    base, _, query = url.partition("?")
    if base.startswith("unix://"):
        return f"redis+socket://{base.removeprefix('unix://')}?virtual_host={BROKER_DB}"
    # Celery knows none of the other options.
    options = [option for option in query.split("&") if option.startswith("ssl_")]
    if base.startswith("rediss://") and not any(each.startswith("ssl_cert_reqs=") for each in options):
        # Its default is to trust any certificate; the ledger's client trusts none that it cannot check.
        options.append("ssl_cert_reqs=required")
    head, _, last = base.rpartition("/")
    numbered = f"{head}/{int(last) + 1}" if last.isdigit() else f"{base.rstrip('/')}/{BROKER_DB}"
    return "?".join(filter(None, (numbered, "&".join(options))))


def owner_name() -> str:
    """Name this process for good: no other process, on no machine, ever has the same name."""
    return f"{host_name()}/{os.getpid()}/{_started(os.getpid())}"


def host_name() -> str:
    """Name this boot of this machine (or container): only here can be told whether a process still lives."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return f"{os.uname().nodename}-{psutil.boot_time():.0f}"
    return f"{boot}-{space}"


def is_gone(owner: str) -> bool:
    """Tell whether an owner's process is certainly dead: it was on this machine, and its process is no more."""
    host, pid, started = owner.split("/")
    if host != host_name():
        return False
    now = _started(int(pid))
    # A system may hide what belongs to other users: that there is nothing to be read does not mean that nobody is there.
    return now != started if now else not _is_there(int(pid))


def _is_there(pid: int) -> bool:
    """Tell whether a process has this number that may not be looked at: a signal to it is refused, not lost."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _started(pid: int) -> str:
    """Tell when a process began, by a clock that nobody can set; empty where there is none, or only its remains."""
    try:
        stat = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
        return "" if stat[0] in "ZX" else stat[19]
    except OSError:
        pass
    try:
        return "" if Path("/proc/self").exists() else f"{psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess:
        return ""


def build_gateway(settings: Settings, connections: int = CONNECTIONS) -> TwilioGateway:
    """Build the way to Twilio."""
    if settings.base_url:  # never on the way to Twilio itself
        arm(os.environ.get(CRASH_AT))
    secret = settings.https_proxy.get_secret_value() if settings.https_proxy else ""
    options = HttpOptions(
        pool_size=connections,
        base_url=settings.twilio_base_url,
        ca_file=settings.ssl_cert_file,
        https_proxy=secret,
        no_proxy=settings.no_proxy,
    )
    credentials = Credentials(
        account_sid=settings.account_sid,
        auth_token=settings.auth_token.get_secret_value(),
        api_key=settings.api_key,
        api_secret=settings.api_secret.get_secret_value(),
    )
    http = PooledHttpClient(options, steady_clock, time.time)
    return TwilioGateway(credentials, http, time.time, settings.region, settings.edge)


def waiting_for_redis(
    bench: Workbench, sleep: Callable[[float], Any], gives_up: Callable[[], bool]
) -> Workbench:
    """Give the workbench to whoever has a row in hand: while Redis is away they wait, until `gives_up` says no more.

    What they let fall would stay held by a worker that lives, until its lease is over.
    """
    client, tag = bench.ledger.client, bench.settings.account_tag
    floors = bench.ledger.scripts.floors
    ask = AskPatiently(sleep, gives_up)
    return replace(
        bench,
        # Of their own: one that waits for Redis while it holds this must not keep the tick from noticing that Redis is away.
        _lock=Lock(),
        ledger=Ledger(client, tag, floors=floors, ask=ask),
        registry=Registry(client, tag, floors=floors, ask=ask),
        pacer=Pacer(client, prefix(tag), clock=bench.clock, sleep=bench.sleep, ask=ask),
    )


def build(settings: Settings, client: redis.Redis, connections: int = CONNECTIONS) -> Workbench:
    """Put the workbench together."""
    tag, floors = settings.account_tag, Floors()
    return Workbench(
        settings=settings,
        ledger=Ledger(client, tag, floors=floors),
        registry=Registry(client, tag, floors=floors),
        pacer=Pacer(client, prefix(tag), clock=steady_clock, sleep=loop.sleep),
        gateway=build_gateway(settings, connections),
        owner=owner_name(),
        request_s=HttpOptions().total_s,
        clock=steady_clock,
        sleep=loop.sleep,
        rng=Random(),
    )
