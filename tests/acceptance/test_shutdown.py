"""Tell whether workers end in time with nothing lost, however they are told to, and whether replacing them holds anything up."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from installation import CELERY, Installation, elapsed, longest_gap, report, times
from outreach_command import wait_until
from simulator_process import SimulatorProcess
from zygote import Forked, Zygote

from worker.ledger.states import IN_DOUBT, State

OPENINGS = "POST flex-api/v1/Interactions"
SLOW_MS = 4_000
Install = Callable[..., Installation]


@pytest.fixture
def install(tmp_path: Path, twilio: SimulatorProcess) -> Iterator[Install]:
    """Make installations, each with an account and a Redis of its own."""
    with ExitStack() as stack, Zygote() as zygote:
        yield lambda name, **environ: stack.enter_context(
            Installation(tmp_path, twilio.url, zygote, name, **environ).up()
        )


def told(twilio: SimulatorProcess, account: str) -> Counter[str]:
    """Count the messages of an account's customers."""
    effects = twilio.journal("message")
    return Counter(one["address"] for one in effects if one["account"] == account)


def stop(*workers: Forked) -> float:
    """Stop workers softly; how long that took."""
    began = time.monotonic()
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    for worker in workers:
        assert worker.wait(60) == 0
    return elapsed(began)


def start(one: Installation, workers: int = 1) -> list[Forked]:
    """Start workers, and wait until they are ready."""
    before = one.ready()
    started = [one.fork(*CELERY) for _ in range(workers)]
    wait_until(lambda: one.ready() >= before + workers, timeout_s=60)
    return started


@pytest.mark.timeout(180)
def test_replacing_workers_pauses_nothing_longer_than_their_own_stop_and_start(
    install: Install, twilio: SimulatorProcess
) -> None:
    one = install("redeploy", OUTREACH_ACCOUNT_INTERACTIONS_PER_S="20")
    campaign_id = one.load(3_000)
    workers = start(one, 2)
    twilio.wait_for("message", 10, timeout_s=60)

    phases: dict[str, float] = {}
    for way in ("the new one first", "the old one first", "all at once"):
        begins = time.monotonic()
        since = len(twilio.requests(OPENINGS))
        if way == "all at once":
            stop(*workers)
            workers = start(one, 2)
        for old in list(workers) if way != "all at once" else ():
            new = start(one) if way == "the new one first" else []
            stop(old)
            workers = [*(each for each in workers if each is not old), *(new or start(one))]
        # The old ones' stop and the new ones' start are the machine's; what may come on top is ours.
        took = elapsed(begins)
        wait_until(lambda since=since: len(twilio.requests(OPENINGS)) > since + 20)
        phases[way] = longest_gap(times(twilio.requests(OPENINGS))[max(0, since - 1) :])
        report(f"{way}: nothing was opened for at most {phases[way]:.2f} s; replacing took {took:.2f} s")
        phases[way] -= took if way == "all at once" else 0

    assert one.registry.cancel(campaign_id).ok
    wait_until(lambda: not one.info(campaign_id).left)
    stop(*workers)
    # Whoever waits for a lease, for the broker's patience or for a worker that is gone waits longer than this.
    assert max(phases.values()) < 10, phases
    assert "mingle" not in one.said(), "a second of each start"
    sent = told(twilio, one.account)
    assert max(sent.values()) == 1
    assert one.states(campaign_id) == {State.ACCEPTED: len(sent), State.CANCELLED: 3_000 - len(sent)}


@pytest.mark.timeout(180)
def test_rows_in_hand_are_finished_within_half_a_minute_and_no_other_is_begun(
    install: Install, twilio: SimulatorProcess
) -> None:
    kinds = ("celery", "worker", "run")
    ones = {kind: install(kind, OUTREACH_ACCOUNT_INTERACTIONS_PER_S="5") for kind in kinds}
    ids = {kind: one.load(60) for kind, one in ones.items()}
    # These take their time to start; the others must not be through by then.
    started = {"worker": ones["worker"].fork("worker"), "run": ones["run"].fork("run", *ones["run"].files)}
    wait_until(lambda: all(told(twilio, ones[kind].account) for kind in started))
    started["celery"] = ones["celery"].fork(*CELERY)
    wait_until(lambda: told(twilio, ones["celery"].account))
    twilio.settings(latency_ms=SLOW_MS)
    wait_until(lambda: all(one.info(ids[kind]).in_flight >= 4 for kind, one in ones.items()))

    in_hand = {kind: _in_hand(one, ids[kind]) for kind, one in ones.items()}
    began = time.monotonic()
    for process in started.values():
        process.send_signal(signal.SIGTERM)
    took, codes = {}, {}
    for kind, process in started.items():
        codes[kind] = process.wait(60)
        took[kind] = elapsed(began)
    left = {kind: one.states(ids[kind]) for kind, one in ones.items()}

    report(f"ended after {took}, leaving {left}")
    assert codes == {"celery": 0, "worker": 0, "run": 3}
    assert max(took.values()) < 30
    for kind, one in ones.items():
        assert {one.ledger.get_row(ids[kind], row).state for row in in_hand[kind]} == {State.ACCEPTED}
        # A message may have left the broker for a worker that takes none any more; all the others went back.
        assert left[kind].get(State.QUEUED, 0) <= 1
    twilio.settings(latency_ms=0)
    for one in ones.values():
        one.environ["OUTREACH_ACCOUNT_INTERACTIONS_PER_S"] = "80"
    ends = [one.fork("run", *one.files) for one in ones.values()]
    for one, end in zip(ones.values(), ends, strict=True):
        assert end.wait(60) == 0, one.said()
        assert Counter(told(twilio, one.account).values()) == {1: 60}


def _in_hand(one: Installation, campaign_id: str) -> list[int]:
    """List the rows whose Interaction or message is being asked for."""
    rows = one.ledger.iter_rows(campaign_id, 60)
    return [row for row, record, _, _ in rows if record.state in (State.OPENING, State.SENDING)]


@pytest.mark.timeout(120)
def test_second_signal_ends_a_worker_at_once_and_nothing_is_lost(
    install: Install, twilio: SimulatorProcess
) -> None:
    ways: dict[str, Sequence[signal.Signals]] = {
        "terminated": (signal.SIGTERM, signal.SIGTERM),
        "interrupted": (signal.SIGINT, signal.SIGINT),
        "quit": (signal.SIGQUIT,),
    }
    ones = {way: install(way) for way in ways}
    ids = {way: one.load(30) for way, one in ones.items()}
    twilio.settings(fault={"hang_after": 1.0})
    workers = {way: one.fork(*CELERY) for way, one in ones.items()}
    wait_until(lambda: all(one.info(ids[way]).in_flight >= 10 for way, one in ones.items()), timeout_s=60)

    took = {}
    for way, (first, *second) in ways.items():
        workers[way].send_signal(first)
        if second:
            wait_until(lambda way=way: "Warm shutdown" in ones[way].said())
            assert workers[way].poll() is None, "it waits for the answers about its rows in hand"
            workers[way].send_signal(second[0])
        began = time.monotonic()
        assert workers[way].wait(15) == 1
        took[way] = elapsed(began)

    report(f"gone after {took}")
    twilio.settings(fault={})
    ends = [one.fork("run", *one.files) for one in ones.values()]
    for way, end in zip(ones, ends, strict=True):
        assert end.wait(60) == 0, ones[way].said()
        assert not any(ones[way].states(ids[way]).get(state) for state in IN_DOUBT)
        assert Counter(told(twilio, ones[way].account).values()) == {1: 30}
