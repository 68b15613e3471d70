"""The embedded Redis dies under whoever uses it, its disk gets full, everything is killed at once, or clocks are wrong."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import redis
from installation import elapsed, report
from outreach_command import COMMAND, Outreach, number, wait_until
from redis_scene import RESUMED_S, Scene
from simulator_process import SimulatorProcess
from zygote import Zygote

from worker.ledger.ledger import Ledger
from worker.ledger.registry import Registry
from worker.redis_server import EmbeddedRedis
from worker.settings import load_settings
from worker.tasks.command import worker_command

ROWS = 50
# Replaces the wall clock before anything else is imported that might keep the real one.
SHIFTED_WORKER = """
import sys, time, datetime
shift_s, sys.argv = float(sys.argv[1]), ["celery", *sys.argv[2:]]
wall, wall_ns, moment = time.time, time.time_ns, datetime.datetime
time.time = lambda: wall() + shift_s
time.time_ns = lambda: wall_ns() + int(shift_s * 1e9)
class Shifted(moment):
    @classmethod
    def now(cls, tz=None):
        return moment.now(tz) + datetime.timedelta(seconds=shift_s)
    @classmethod
    def utcnow(cls):
        return moment.utcnow() + datetime.timedelta(seconds=shift_s)
datetime.datetime = Shifted
from celery.__main__ import main
main()
"""


@pytest.fixture
def here(outreach: Outreach) -> Outreach:
    """Return an installation with the embedded Redis, a campaign of ROWS customers, and a pace that leaves time to act."""
    outreach.environ["OUTREACH_ACCOUNT_INTERACTIONS_PER_S"] = "15"
    outreach.write(ROWS)
    return outreach


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Undo at the end what a test has begun."""
    with ExitStack() as undone:
        yield undone


def told(twilio: SimulatorProcess) -> list[str]:
    """List the customers that were written to."""
    return sorted(one["address"] for one in twilio.journal("message"))


def everybody() -> list[str]:
    return sorted(number(row) for row in range(1, ROWS + 1))


def server_of(outreach: Outreach) -> int:
    """Give the process number of the embedded server, once it answers."""
    return int(wait_until(lambda: EmbeddedRedis(outreach.home).status()).pid)


@pytest.mark.timeout(180)
def test_run_starts_its_killed_redis_again_and_says_so(here: Outreach, twilio: SimulatorProcess) -> None:
    running = here.start("run", *here.files)

    for sent in (5, 20):
        twilio.wait_for("message", sent, timeout_s=60)
        os.kill(server_of(here), signal.SIGKILL)
    done = here.finish(running, timeout_s=120)

    # By the command or by its worker, whoever noticed first.
    assert "The embedded Redis had stopped and was started again." in done.stderr + here.logs()
    assert told(twilio) == everybody()


@pytest.mark.timeout(180)
def test_lone_worker_starts_its_killed_redis_again(
    here: Outreach, twilio: SimulatorProcess, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with Zygote() as zygote:
        zygote.start(worker_command(8), here.environ, cwd=here.folder, log=log)
        wait_until(lambda: log.exists() and "ready" in log.read_text(), timeout_s=60)
        # It is ready a moment before it shows itself, and without a worker the load is refused.
        wait_until(
            lambda: any(one["sentence"].startswith("1 alive") for one in here.json("doctor")), timeout_s=60
        )
        campaign_id = here("load", *here.files).stdout.strip()

        for sent in (5, 20):
            twilio.wait_for("message", sent, timeout_s=60)
            os.kill(server_of(here), signal.SIGKILL)
            back_s = time.monotonic()
            sent_before = len(told(twilio))
            wait_until(lambda before=sent_before: len(told(twilio)) > before, timeout_s=60)
            report(f"resumed {elapsed(back_s):.2f} s after Redis was killed")
        twilio.wait_for("message", ROWS, timeout_s=60)
        wait_until(lambda: here.json("status", campaign_id)["state"] == "finished", timeout_s=60)
        file = here.results / f"{campaign_id}.csv"
        wait_until(lambda: file.exists() and "pending" not in file.read_text(), timeout_s=60)

    assert "redis.started_again" in log.read_text()
    assert told(twilio) == everybody()
    assert {row["outreach_status"] for row in here.rows(campaign_id)} == {"accepted"}


@pytest.mark.timeout(240)
def test_run_names_the_full_disk_under_its_redis_and_goes_on_when_there_is_room(
    here: Outreach, twilio: SimulatorProcess, stack: ExitStack
) -> None:
    # No file of these processes may outgrow this, neither that of the server nor those of one that is started for it.
    limited = 'trap "" XFSZ; ulimit -S -f 100; exec "$@"'
    command = ["/bin/sh", "-c", limited, "limited", *COMMAND, "run", *here.files]
    said = here.folder / "said.txt"
    with said.open("w") as file:
        running = subprocess.Popen(
            command,
            cwd=here.folder,
            env=here.environ,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    stack.callback(running.wait)
    stack.callback(running.kill)

    wait_until(lambda: "The disk is full" in said.read_text(), timeout_s=60)
    sent = len(told(twilio))
    # Until it has room: one that is being started just now has the limit of who starts it.
    wait_until(lambda: _give_room(here) and len(told(twilio)) > sent, timeout_s=60)

    assert running.wait(120) == 0, said.read_text()
    assert told(twilio) == everybody()


@pytest.mark.timeout(240)
def test_after_everything_was_killed_at_once_run_goes_on_at_once(
    here: Outreach, twilio: SimulatorProcess
) -> None:
    here.start("run", *here.files)
    twilio.wait_for("message", 8, timeout_s=60)
    for process in here.processes():
        process.kill()
    wait_until(lambda: not here.processes())
    sent = len(told(twilio))

    began = time.monotonic()
    running = here.start("run", *here.files)
    settings = load_settings(here.environ, None)
    with EmbeddedRedis(here.home).hold() as url, redis.Redis.from_url(url) as client:
        ledger, registry = Ledger(client, settings.account_tag), Registry(client, settings.account_tag)
        (campaign_id,) = registry.ids()
        held = dict(ledger.leases(campaign_id))
        dead = set(registry.workers())
        wait_until(lambda: set(registry.workers()) - dead, timeout_s=60)
        ready_s = elapsed(began)
        wait_until(lambda: len(told(twilio)) > sent, timeout_s=60)
        resumed_s = elapsed(began)
        # Those who held them are dead: their rows are gone on with before the leases are over.
        wait_until(lambda: not _still_held(ledger, campaign_id, held), timeout_s=60)
        taken_ms = ledger.now_ms()
    here.finish(running, timeout_s=120)

    report(
        f"{len(held)} rows in hand; workers ready {ready_s:.1f} s, next message {resumed_s:.1f} s after the start"
    )
    assert resumed_s - ready_s < RESUMED_S
    assert not held or taken_ms < max(held.values())
    assert told(twilio) == everybody()


@pytest.mark.timeout(240)
def test_workers_whose_clocks_are_an_hour_wrong_do_as_all_others(tmp_path: Path, stack: ExitStack) -> None:
    pace = {"OUTREACH_ACCOUNT_INTERACTIONS_PER_S": "10"}
    scene = Scene(tmp_path / "scene", workers=0, OUTREACH_SETTLE_S="0.3,0.6", **pace)
    launcher = tmp_path / "shifted_worker.py"
    launcher.write_text(SHIFTED_WORKER)
    scene.twilio.settings(fault={"cut_after": 0.1, "cut_before": 0.1})
    # Open for half an hour to either side, so that nobody whose own clock counts would send.
    now = datetime.now(UTC)
    early, late = ("11", "12") if now.minute < 30 else ("12", "13")  # where it is noon and some minutes
    half = f"{(now.minute + 30) % 60:02}"
    hours = f'[window]\nfrom = "{early}:{half}"\nuntil = "{late}:{half}"\ntimezone = "Etc/GMT{now.hour - 12:+d}"\n\n[message]'
    stack.callback(scene.close)
    for shift_s in (-3_600, 3_600):
        _start_shifted(stack, scene, launcher, shift_s)
    wait_until(lambda: len(scene.bench.registry.workers()) == 2, timeout_s=60)
    campaign_id = scene.begin(60, 1, ("[message]", hours))

    scene.judge(campaign_id, 60)

    hours_said = {f"{now + timedelta(hours=by):%Y-%m-%dT%H}" for by in (-1, 1)}
    assert all(f"\n{hour}" in scene.said() for hour in hours_said), "nobody's clock was wrong"
    assert "Traceback" not in scene.said()
    moments = sorted(one["at"] for one in scene.effects(campaign_id, "interaction"))
    # Twice the pace where each kept its own time; some calls the machine may bunch on their way to Twilio.
    assert max(sum(begin <= at < begin + 1 for at in moments) for begin in moments) <= 15


def _start_shifted(stack: ExitStack, scene: Scene, launcher: Path, shift_s: int) -> None:
    _, _, _, *arguments = worker_command(8)
    with scene.log.open("ab") as log:
        worker = subprocess.Popen(
            [sys.executable, str(launcher), str(shift_s), *arguments],
            cwd=scene.site.folder,
            env=scene.site.environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    stack.callback(worker.wait)
    stack.callback(worker.kill)


def _give_room(outreach: Outreach) -> bool:
    for process in outreach.processes():
        try:
            process.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except psutil.Error:
            continue
    return True


def _still_held(ledger: Ledger, campaign_id: str, held: dict[int, float]) -> bool:
    """Tell whether a row is still held as it was, until the same moment."""
    return any(held.get(row) == until for row, until in ledger.leases(campaign_id))
