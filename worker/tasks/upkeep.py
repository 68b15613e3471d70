"""The tick of every worker: dispatch, rescue, closing, finishing, each done by one worker at a time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kombu.exceptions import BatchPublishError, OperationalError

from worker import wiring
from worker.effects import effect
from worker.errors import OutreachError, RedisUnavailableError
from worker.ledger.registry import Look
from worker.logs import get_logger
from worker.pipeline import closing, rescue
from worker.pipeline.bench import Workbench
from worker.pipeline.dispatch import Dispatcher
from worker.pipeline.refresh import ResultsRefresher
from worker.settings import Settings
from worker.tasks.app import Account, app, parts, queue_of
from worker.tasks.command import OPEN_NO_MORE
from worker.tasks.receipts import BEHIND, read_receipts
from worker.tasks.send import reconcile_rows, send_rows
from worker.tasks.sharing import away
from worker.tasks.stopping import Stopping, open_no_more, watch

log = get_logger(__name__)

TICK_S = 0.1
"""How often who leads an account looks after its active campaigns: half as often where it has just queued rows, for they last."""
IDLE_S = 0.25
"""How often it looks whether there are any."""
FRESH_S, FRESH_LOOK_S = 15.0, 0.05
"""How long after its start, and how often, a worker that has seen nothing active looks: somebody waits for a first message."""
STANDBY_S = 0.5
"""How often the others look: that they have seen how far campaigns came, and whether anybody leads."""
DORMANT_S = 1.0
"""How often the other threads look whether there is anything for them; they ask nobody."""
LEAD_S = 1.5
"""How long nobody else leads where who did has died elsewhere; on this machine it is seen at once."""
SEEN_S = 4.0
RESCUE_S = 1.0
TIDY_S = 5.0
"""How often workers that are gone are looked for where nothing is active, and rows of workers that have not been seen to go."""
CLOSING_S = 0.5
RESULTS_S = 1.0
POLL_S = 0.25
POLL_LEASE_S = 75.0
"""How long a bucket of rows is left to whom it was given to be asked for: its 64 look-ups at the pace, and slow ones among them."""
POLLS_AHEAD = 8
"""How many buckets are given out at once, and may wait in the broker."""
STALE_WORKER_S = 3600
WAITING_S = 0.5
FAILED_S = 2.0
"""How long a thread pauses after a fault that nobody foresaw: ten tracebacks a second would fill the disk."""
HELD_BACK_S = 1.5
"""How long no row is opened after Redis was away: by then each worker has ticked, and any that has seen more has said so."""
DIED_S = 2.0
"""How long after a worker was seen dead its rows are taken back sooner: it may have got some just before."""
PARENT_GONE_S = 30.0
QUEUED_MS = "queued_ms"
"""The header of a message that says when it was queued (ms, Redis's clock)."""
TICK_ENDS_S = 3.0
SIGN_OFF_S = 5.0
START_AGAIN_S = 2.0

_BROKER_AWAY = (OperationalError, BatchPublishError)

_reviving = threading.Lock()


@dataclass
class Upkeep:
    """The tick's threads of one account in one worker process: what holds them up holds up no other account's.

    One process at a time leads an account: it does all that is to be done for it, and the others only look.
    """

    bench: Workbench
    stopped: threading.Event = field(default_factory=threading.Event)
    seen: Look = field(default_factory=partial(Look, "", (), has_polls=False))
    leads: bool = False
    renewed_at: float = 0.0
    has_queued: bool = False
    polls: int = 0
    seen_at: float = 0.0
    rescued_at: float = 0.0
    opens_from: float = 0.0
    died_at: float = float("-inf")
    searched_at: float = float("-inf")
    fresh_until: float = field(default_factory=lambda: time.monotonic() + FRESH_S)
    waits: dict[str, str] = field(default_factory=dict)
    tag: str = field(init=False)
    dispatcher: Dispatcher = field(init=False)
    ticking: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.tag = self.bench.settings.account_tag
        self.dispatcher = Dispatcher(self.bench)
        self.ticking = threading.Thread(target=self._tick_loop, name="tick", daemon=True)

    def start(self) -> None:
        """Start the threads."""
        self.ticking.start()
        loops = [self._closing_loop, self._polling_loop]
        if self.bench.settings.results_dir is not None:
            loops.append(self._results_loop)
        for target in loops:
            threading.Thread(target=target, name=target.__name__, daemon=True).start()

    def sign_off(self) -> None:
        """Say that this worker is gone."""
        # Between the ledger's queue and the broker: rows that are QUEUED without a message would wait to be rescued.
        self.ticking.join(TICK_ENDS_S)
        try:
            self.bench.registry.forget_worker(self.bench.owner)
        except OutreachError:
            log.warning("upkeep.not_signed_off")

    def _tick_loop(self) -> None:
        self._loop(self._tick_pause_s, self._tick)
        if self.leads:
            with contextlib.suppress(OutreachError):
                self.bench.registry.unlead()

    def _tick_pause_s(self) -> float:
        if not self.leads:
            return STANDBY_S
        if self.seen.active and Stopping.opens:
            self.fresh_until = 0.0
            return 2 * TICK_S if self.has_queued else TICK_S
        return FRESH_LOOK_S if time.monotonic() < self.fresh_until else IDLE_S

    def _closing_loop(self) -> None:
        self._loop(lambda: CLOSING_S if self.leads and self.seen.active else DORMANT_S, self._close)

    def _polling_loop(self) -> None:
        self._loop(lambda: POLL_S if self.leads and self.seen.has_polls else DORMANT_S, self._poll_if_due)

    def _results_loop(self) -> None:
        assert self.bench.settings.results_dir is not None, "only workers with a folder write results"
        refresher = ResultsRefresher(self.bench, self.bench.settings.results_dir)
        self._loop(lambda: RESULTS_S, refresher.tick)

    def _loop(self, every_s: Callable[[], float], act: Callable[[], object]) -> None:
        # At once, the first time: somebody may be waiting for the first message.
        pause_s, me = 0.0, threading.current_thread().name
        while not self.stopped.wait(pause_s):
            try:
                act()
                self._say_back(me)
                pause_s = every_s()
            except (OutreachError, *_BROKER_AWAY) as error:
                self._say_waits(me, error)
                pause_s = max(every_s(), WAITING_S)
            except Exception:
                log.exception("upkeep.failed")
                pause_s = max(every_s(), FAILED_S)

    def _say_waits(self, who: str, error: Exception) -> None:
        """Say what is waited for, once for all threads: it goes on by itself."""
        if isinstance(error, RedisUnavailableError):
            away.add(queue_of(self.tag))
        why = str(error) if isinstance(error, OutreachError) else "The broker takes no messages."
        if why not in self.waits.values():
            log.warning("upkeep.waits", error=why)
        self.waits[who] = why

    def _say_back(self, who: str) -> None:
        if self.waits.pop(who, None) and not self.waits:
            away.discard(queue_of(self.tag))
            log.info("upkeep.back")

    def _tick(self) -> None:
        try:
            self._work()
        except Exception as error:
            is_redis = isinstance(error, RedisUnavailableError)
            if is_redis:
                self.opens_from = time.monotonic() + HELD_BACK_S
            else:
                self._pass_the_lead_on()
            # This very process, leaving, may have been the last to use the embedded Redis.
            if (is_redis or isinstance(error, _BROKER_AWAY)) and not self.stopped.is_set():
                # It may be the account's or the broker's, and nobody else there to start it again.
                for settings in (self.bench.settings, parts.settings):
                    _revive(settings)
            raise

    def _pass_the_lead_on(self) -> None:
        """Let another worker lead: what fails here, where no connection is left for instance, may well work there."""
        if self.leads:
            self.leads = False
            with contextlib.suppress(OutreachError):
                self.bench.registry.unlead()

    def _work(self) -> None:
        bench, now = self.bench, time.monotonic()
        if now - self.seen_at >= SEEN_S:
            self.seen_at = now
            bench.registry.see_worker(bench.owner, _facts())
        self._look(now)
        if self.seen.active:
            # By every worker, whoever leads: what one alone has seen would be gone with it.
            bench.registry.watch(self.seen.active)
        self.has_queued = False
        if self.leads and self.seen.active:
            opens = Stopping.opens and now >= self.opens_from
            with _Outbox(self.tag, bench.ledger.now_ms) as outbox:
                self.has_queued = self.dispatcher.dispatch(outbox.put, opens=opens) > 0
        if self.leads and now - self.rescued_at >= (RESCUE_S if self.seen.active else TIDY_S):
            self.rescued_at = now
            self._rescue()

    def _look(self, now: float) -> None:
        registry, me, opens = self.bench.registry, self.bench.owner, Stopping.opens
        if self.leads and not opens and self.renewed_at:
            # Others may open rows. Where there are none, this one leads by the tick.
            self.renewed_at = 0.0
            registry.unlead()
        renew = self.leads and opens and now - self.renewed_at >= LEAD_S / 3
        lead_ms = int((LEAD_S if opens else TICK_S) * 1000)
        seen = registry.look(me, lead_ms, renew=renew)
        if seen.leader not in (me, "") and wiring.is_gone(seen.leader):
            registry.unlead()
            seen = registry.look(me, lead_ms)
        leads = seen.leader == me
        if renew or (leads and not self.leads):
            self.renewed_at = now if opens else 0.0
        self.seen, self.leads = seen, leads

    def _rescue(self) -> None:
        bench = self.bench
        lag_ms = _broker_lag_ms(self.tag, bench.ledger.now_ms()) if bench.registry.active() else None
        workers = bench.registry.workers()
        gone = [
            owner
            for owner, facts in workers.items()
            if facts["age_s"] > STALE_WORKER_S or wiring.is_gone(owner)
        ]
        self.dispatcher.crew = [
            int(facts["concurrency"])
            for owner, facts in workers.items()
            if owner not in gone and facts["age_s"] <= 2 * SEEN_S
        ]
        now = time.monotonic()
        if gone:
            self.died_at = now
        has_died = now - self.died_at < DIED_S
        # Nobody knows by heart whose the rows in hand are: it is asked where it may matter.
        searches = has_died or now - self.searched_at >= TIDY_S
        if searches:
            self.searched_at = now
        self._for_each_campaign(
            lambda campaign_id: self._rescue_campaign(campaign_id, lag_ms, searches, has_died)
        )
        for owner in gone:
            bench.registry.forget_worker(owner)

    def _rescue_campaign(
        self, campaign_id: str, broker_lag_ms: int | None, searches: bool, has_died: bool
    ) -> None:
        bench = self.bench
        info = bench.registry.find(campaign_id)
        if info is None:
            bench.registry.set_active(campaign_id, active=False)
            return
        if info.state == "cancelled" and info.left:
            bench.ledger.cancel_rows(campaign_id)
        rescued = rescue.rescue(
            bench,
            campaign_id,
            broker_lag_ms=broker_lag_ms,
            is_dead=_is_dead if searches else None,
            has_died=has_died,
        )
        if rescued:
            log.info("rows.rescued", campaign=campaign_id, rows=rescued)
        if info.state != "loading" and not info.left and not bench.ledger.to_close_count(campaign_id):
            bench.registry.set_active(campaign_id, active=False)

    def _close(self) -> None:
        bench = self.bench
        if self.leads and self.seen.active:
            self._for_each_campaign(lambda campaign_id: closing.close_some(bench, campaign_id))

    def _poll_if_due(self) -> None:
        if self.leads and self.seen.has_polls:
            self._poll()

    def _poll(self) -> None:
        """Give out what is to be asked for of deliveries and replies, the campaigns in turn."""
        if Stopping.opens:
            names = self.bench.ledger.polling()
            if names and (room := POLLS_AHEAD - _polls_waiting(self.tag)) > 0:
                self.polls += 1
                first = self.polls % len(names)
                self._give_out([*names[first:], *names[:first]], room)

    def _give_out(self, names: Sequence[str], room: int) -> None:
        for name in names:
            taken = self.bench.ledger.take_polls(name, room, int(POLL_LEASE_S * 1000))
            room -= len(taken)
            for poll in taken:
                asked = (self.tag, name, poll.bucket, poll.last_ms, poll.until_ms)
                how = {"queue": queue_of(self.tag), "priority": BEHIND, "retry": False, "declare": ()}
                with effect("publish"):
                    read_receipts.apply_async(asked, argsrepr="", kwargsrepr="", **how)
            if room <= 0:
                return

    def _for_each_campaign(self, act: Callable[[str], object]) -> None:
        """Do a duty for every active campaign; what is wrong with one of them costs the others nothing."""
        for campaign_id in self.bench.registry.active():
            try:
                act(campaign_id)
            except OutreachError:
                raise
            except Exception:
                log.exception("upkeep.campaign_failed", campaign=campaign_id)


class _Outbox:
    """Collects a tick's messages and sends them in one batch: a round trip a message would cost the pace."""

    def __init__(self, tag: str, now_ms: Callable[[], int]) -> None:
        self._tag = tag
        self._now_ms = now_ms
        self._messages: list[tuple[str, str, list[int]]] = []

    def put(self, task: str, campaign_id: str, rows: Sequence[int]) -> None:
        self._messages.append((task, campaign_id, list(rows)))

    def __enter__(self) -> _Outbox:
        return self

    def __exit__(self, *exc: object) -> None:
        # What the ledger calls QUEUED is sent even if the tick stopped midway; what gets lost is rescued.
        if not self._messages:
            return
        tasks = {"send_rows": send_rows, "reconcile_rows": reconcile_rows}
        headers = {QUEUED_MS: self._now_ms()}
        with effect("publish"), app.producer_or_acquire() as producer, producer.batch(500):
            for task, campaign_id, rows in self._messages:
                tasks[task].apply_async(
                    (self._tag, campaign_id, rows),
                    queue=queue_of(self._tag),
                    producer=producer,
                    retry=False,
                    argsrepr="",
                    kwargsrepr="",
                    headers=headers,
                    declare=(),  # the workers have done so
                )


def _facts() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": os.uname().nodename, "concurrency": app.conf.worker_concurrency}


def _is_dead(owner: str, _facts: object) -> bool:
    return wiring.is_gone(owner)


def _broker_lag_ms(tag: str, now_ms: int) -> int | None:
    """Tell how long the oldest message in the broker has waited, by Redis's clock; 0: none waits, None: it doesn't say."""
    with _broker() as channel:
        oldest = channel.client.lindex(queue_of(tag), -1)
    if oldest is None:
        return 0
    try:
        return max(0, now_ms - int(json.loads(oldest)["headers"][QUEUED_MS]))
    except (ValueError, LookupError, TypeError):  # another version's
        return None


def _polls_waiting(tag: str) -> int:
    """Count the buckets in the broker that nobody has begun to ask for."""
    with _broker() as channel:
        return int(channel.client.llen(channel._q_for_pri(queue_of(tag), BEHIND)))


@contextlib.contextmanager
def _broker() -> Iterator[Any]:
    """Ask the broker over a connection that is kept."""
    with app.pool.acquire(block=True) as connection:
        try:
            yield connection.default_channel
        except (*connection.connection_errors, *connection.channel_errors) as error:
            raise OperationalError(str(error)) from error


def _revive(settings: Settings) -> None:
    with _reviving:
        died_of = wiring.revive_redis(settings)
    if died_of:
        log.warning("redis.started_again", why=died_of)


_running: list[Upkeep] = []
_leaving = threading.Event()
_starting = threading.RLock()
"""Held again by its own thread where a signal comes in the midst of it."""


def start(accounts: Sequence[Account], parent_fd: str | None) -> None:
    """Start this worker's ticks, one an account; with `parent_fd`, end the worker when its parent is gone.

    Raises: OutreachError where the only account can't be served; one among several is tried again.
    """
    if len(accounts) == 1:
        _begin(accounts[0])
    else:
        for account in accounts:
            threading.Thread(target=_begin_patiently, args=(account,), name="start", daemon=True).start()
    watch()
    if parent_fd is not None:
        # In place of Celery's own handler, which would write all stacks to the log.
        signal.signal(OPEN_NO_MORE, lambda *_: open_no_more())
        threading.Thread(target=_watch_parent, args=(int(parent_fd),), name="parent", daemon=True).start()


def _begin(account: Account) -> None:
    bench = account.bench()
    with _starting:
        if not _leaving.is_set():
            _running.append(Upkeep(bench))
            _running[-1].start()


def _begin_patiently(account: Account) -> None:
    queue = queue_of(account.settings.account_tag)
    while not _leaving.is_set():
        try:
            _begin(account)
        except Exception as error:
            away.add(queue)
            if isinstance(error, OutreachError):
                log.warning("upkeep.waits", account=account.settings.account_tag, error=str(error))
            else:
                log.exception("upkeep.failed", account=account.settings.account_tag)
            _leaving.wait(START_AGAIN_S)
        else:
            away.discard(queue)
            return


def stopping() -> None:
    """Leave the account's ticks to others."""
    with _starting:
        _leaving.set()
    for upkeep in _running:
        upkeep.stopped.set()


def stop() -> None:
    """Say that this worker is gone."""
    stopping()
    # At once: one whose Redis does not answer keeps the others from nothing.
    signing = [threading.Thread(target=upkeep.sign_off, daemon=True) for upkeep in _running]
    for each in signing:
        each.start()
    until = time.monotonic() + SIGN_OFF_S
    for each in signing:
        each.join(max(0.0, until - time.monotonic()))
    _running.clear()


def _watch_parent(fd: int) -> None:
    """Wait for the end of the pipe that the parent holds open, whatever ends the parent."""
    while os.read(fd, 1):
        pass
    log.warning("parent.gone")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PARENT_GONE_S)
    os._exit(1)
