"""The Celery application: its broker, its settings, and a worker's parts from start to stop."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from threading import Lock
from typing import Any

from celery import Celery
from celery.exceptions import CPendingDeprecationWarning, WorkerShutdown
from celery.signals import (
    celeryd_after_setup,
    setup_logging,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)
from celery.worker.consumer.gossip import Gossip
from celery.worker.consumer.mingle import Mingle
from kombu.entity import Queue

from worker import wiring
from worker.errors import OutreachError
from worker.ledger.keys import beat_prefix
from worker.logs import configure_logs, get_logger
from worker.pipeline.bench import Workbench
from worker.pipeline.cautious import heed_results
from worker.redis_server import redis_url
from worker.settings import Settings
from worker.tasks.command import PARENT_FD, threads_for
from worker.tasks.sharing import BrokerConnection, Turns
from worker.tasks.stopping import Stopping, rest

QUEUE = "outreach"
WAKE_EVERY_S = 20.0
BEAT_LOCK_S = 25
_SAID_EVERY_S = 60.0

log = get_logger(__name__)


class Account:
    """What a process has open of one account; made when first asked for, whatever the others' Redis does meanwhile."""

    def __init__(self, settings: Settings, url: Callable[[], str]) -> None:
        self.settings = settings
        self._url = url
        self._lock = Lock()
        self._bench: Workbench | None = None
        self._hands: Workbench | None = None

    def bench(self) -> Workbench:
        """Give the workbench."""
        with self._lock:
            if self._bench is None:
                threads = int(app.conf.worker_concurrency or threads_for(parts.settings))
                # The tick's threads, and those that ask for deliveries, need some beside those of the rows.
                connections = threads + 16
                client = wiring.connect(self._url(), connections=connections)
                bench = wiring.build(self.settings, client, connections=connections)
                if self.settings.results_dir is not None:
                    heed_results(bench.registry, self.settings.results_dir)
                self._bench = bench
            return self._bench

    def hands(self) -> Workbench:
        """Give the workbench of threads that work on rows: they wait for a Redis that is away, until this worker leaves."""
        bench = self.bench()
        with self._lock:
            if self._hands is None:
                self._hands = wiring.waiting_for_redis(bench, rest, Stopping.begun.is_set)
            return self._hands


class Parts:
    """What a process has open: settings, Redis and a workbench an account, by the account's tag."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._lock = Lock()
        self._embedded: str | None = None
        self.settings = wiring.read_settings()
        self.accounts = {
            each.account_tag: Account(each, partial(self.url, each)) for each in self.settings.everyone()
        }

    def url(self, settings: Settings) -> str:
        """Give the URL of an account's Redis; the embedded server, which they share, is started where it must be."""
        with self._lock:
            if settings.redis_url is not None:
                return settings.redis_url.get_secret_value()
            if self._embedded is None:
                self._embedded = self._stack.enter_context(redis_url(settings))
            return self._embedded

    def bench(self, tag: str) -> Workbench:
        """Give an account's workbench."""
        return self.accounts[tag].bench()

    def hands(self, tag: str) -> Workbench:
        """Give the workbench of threads that work on an account's rows."""
        return self.accounts[tag].hands()

    def close(self) -> None:
        """Let go of everything; the embedded server stops with its last user."""
        self._stack.close()


def queue_of(tag: str) -> str:
    """Name an account's queue in the broker: only who has its credentials takes its messages."""
    return f"{QUEUE}:{tag}"


def _make() -> tuple[Celery, Parts]:
    try:
        parts = Parts()
        broker = wiring.broker_url(parts.url(parts.settings))
    except OutreachError as error:
        print(f"outreach: {error}", file=sys.stderr)  # noqa: T201  there is no log yet
        raise SystemExit(error.exit_code) from None
    made = Celery(
        "outreach",
        broker=broker,
        include=[
            "worker.tasks.send",
            "worker.tasks.receipts",
            "worker.tasks.upkeep",
            "worker.tasks.timetable",
        ],
    )
    made.amqp.Connection = BrokerConnection
    made.conf.update(
        worker_concurrency=threads_for(parts.settings),
        worker_pool="threads",
        task_default_queue=queue_of(next(iter(parts.accounts))),
        task_queues=[_queue(tag) for tag in parts.accounts],
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_eta_task_limit=1000,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A Redis that is full, or a replica for a while, answers with errors of these: Celery's default is to end the worker.
        broker_channel_error_retry=True,
        broker_transport_options={
            "visibility_timeout": 600,
            "queue_order_strategy": Turns,
            "max_connections": 1000,
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        # Else beat would add a task of its own that clears results away, of which there are none.
        result_expires=None,
        **_beat_settings(parts),
    )
    return made, parts


def _queue(tag: str) -> Queue:
    return Queue(queue_of(tag), routing_key=queue_of(tag))  # type: ignore[no-untyped-call]


def _beat_settings(parts: Parts) -> dict[str, Any]:
    """Give what `celery -A worker.tasks beat` goes by: RedBeat, on the ledger's own Redis, so that one beat acts."""
    timeouts = {"socket_timeout": 15, "socket_connect_timeout": 5}
    wakes = {f"timetable-{tag}": _wake(tag) for tag in parts.accounts}
    return {
        "beat_scheduler": "worker.tasks.beat:PatientScheduler",
        "beat_schedule": wakes,
        # A beat that stands by asks as often as this whether it is to act.
        "beat_max_loop_interval": 5,
        # Not the broker's form of it: RedBeat's client knows no redis+socket.
        "redbeat_redis_url": parts.url(parts.settings),
        "redbeat_redis_options": timeouts,
        "redbeat_key_prefix": beat_prefix(parts.settings.account_tag),
        # Its default is 25 minutes, in which nobody would take the place of a beat that was killed.
        "redbeat_lock_timeout": BEAT_LOCK_S,
    }


def _wake(tag: str) -> dict[str, Any]:
    """Say how an account's timetable is woken: by a message in its own queue, so that it waits for no other account."""
    # No longer than until the next one: workers look at the ledger, so a late message is worth no more than none.
    how = {"queue": queue_of(tag), "expires": 300, "retry": False}
    return {"task": "run_timetable", "args": (tag,), "schedule": WAKE_EVERY_S, "options": how}


# Workers have nothing to say to each other: asking around costs each start a second, in which nothing is sent.
Mingle.compatible_transports = Gossip.compatible_transports = frozenset()

app, parts = _make()
atexit.register(parts.close)


@setup_logging.connect  # type: ignore[untyped-decorator]
def _set_up_logs(**_: object) -> None:
    configure_logs(parts.settings)
    # Two lines a row would drown what matters; the ledger tells every row's story.
    for name in ("celery.app.trace", "celery.worker.strategy", "celery.beat"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("consumer.consumer", "request", "loops", "components"):
        logging.getLogger(f"celery.worker.{name}").addFilter(_Sparingly())


class _Sparingly(logging.Filter):
    """Let Celery say the same of a broker in trouble once a minute, in a line: it would five times a second, for hours."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the traceback off, and tell whether the line is to be written."""
        record.exc_info = None
        what, now = str(record.msg), time.monotonic()
        is_new = now - self._said_at.get(what, float("-inf")) >= _SAID_EVERY_S
        if is_new:
            self._said_at[what] = now
        return is_new


@celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def _share_threads(instance: Any, **_: object) -> None:
    # Celery keeps what its command line says to itself.
    app.conf.worker_concurrency = instance.concurrency
    accounts = parts.accounts.items()
    paces = {queue_of(tag): account.settings.account_interactions_per_s for tag, account in accounts}
    Turns.share(instance.concurrency, paces)


@worker_ready.connect  # type: ignore[untyped-decorator]
def _start_upkeep(**_: object) -> None:
    from worker.tasks import upkeep

    # With each loss of the broker, about a setting that is made above; Celery itself asks for it at its start.
    warnings.simplefilter("ignore", CPendingDeprecationWarning)
    # A thread that wakes for its slot must not wait 5 ms for another's turn to end.
    sys.setswitchinterval(0.001)
    # What is there by now stays, and what rows make is gone with them: to look for cycles each 700 objects took an eighth of the CPU.
    gc.freeze()
    gc.set_threshold(20_000)
    try:
        upkeep.start(list(parts.accounts.values()), os.environ.get(PARENT_FD))
    except OutreachError as error:
        # Celery only logs what a signal's receiver raises: this worker would take rows for ever and do none.
        log.error("worker.cannot_start", error=str(error))  # noqa: TRY400  the sentence says it all
        raise WorkerShutdown(error.exit_code) from None


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def _stop_upkeep(**_: object) -> None:
    from worker.tasks import upkeep

    upkeep.stop()


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _begin_no_more(**_: object) -> None:
    from worker.tasks import stopping, upkeep

    stopping.begin()
    upkeep.stopping()
