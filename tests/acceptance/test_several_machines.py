"""Tell whether workers with nothing in common but a Redis over TCP send a campaign as one, though one of them is killed.

Each has a home, a working folder and, where the kernel lets anybody have them, process numbers of its own: then none can see
whether another still lives, as on another machine, and what it held is taken over when its lease is over.
"""

import contextlib
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from outreach_command import Outreach, number, wait_until
from redis_process import RedisProcess
from simulator_process import SimulatorProcess

from worker.ledger.registry import Registry
from worker.settings import load_settings
from worker.tasks.command import worker_command
from worker.wiring import connect

ROWS, PER_S = 90, 15
SETTINGS = {"OUTREACH_ACCOUNT_INTERACTIONS_PER_S": str(PER_S), "OUTREACH_SETTLE_S": "0.5,1.5"}
APART = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc")


class Machine:
    """A worker with a home and a folder of its own."""

    def __init__(self, folder: Path, twilio_url: str, redis_url: str) -> None:
        folder.mkdir()
        place = Outreach(folder, twilio_url, OUTREACH_REDIS_URL=redis_url, **SETTINGS)
        environ = {name: value for name, value in place.environ.items() if name != "OUTREACH_RESULTS_DIR"}
        self._log = (folder / "worker.log").open("wb")
        self._worker = subprocess.Popen(
            [*(APART if can_be_apart() else ()), *worker_command(16, "WARNING")],
            env=environ,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def kill(self) -> None:
        """End it at once, with all it has in hand."""
        self._worker.kill()
        self._worker.wait()
        self._log.close()


def can_be_apart() -> bool:
    with contextlib.suppress(FileNotFoundError):
        return subprocess.run([*APART, "true"], capture_output=True, check=False).returncode == 0
    return False


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    server = RedisProcess(tmp_path / "redis")
    yield server
    server.client.close()
    server.stop()


def test_nobody_is_forgotten_or_told_twice_by_workers_of_which_one_is_killed(
    tmp_path: Path, redis: RedisProcess, simulator: SimulatorProcess
) -> None:
    simulator.settings(latency_ms=300, setup_ms=20)
    desk = Outreach(tmp_path / "desk", simulator.url, OUTREACH_REDIS_URL=redis.url, **SETTINGS)
    desk.folder.mkdir()
    desk.write(ROWS)
    with contextlib.ExitStack() as stack, contextlib.closing(desk):
        client = connect(redis.url)
        stack.callback(client.close)
        registry = Registry(client, load_settings(desk.environ, None).account_tag)
        machines = [Machine(tmp_path / f"machine-{each}", simulator.url, redis.url) for each in (1, 2)]
        for machine in machines:
            stack.callback(machine.kill)
        wait_until(lambda: len(registry.workers()) == 2)
        hosts = {owner.split("/")[0] for owner in registry.workers()}
        campaign_id = desk("load", *desk.files).stdout.strip()
        simulator.wait_for("interaction", ROWS // 2)

        machines[0].kill()
        wait_until(lambda: registry.get(campaign_id).left == 0, timeout_s=180)
        desk("results", campaign_id)

    assert len(hosts) == (2 if can_be_apart() else 1)
    assert Counter(row["outreach_status"] for row in desk.rows(campaign_id)) == {"accepted": ROWS}
    told = Counter(message["address"] for message in simulator.journal("message"))
    assert told == dict.fromkeys((number(row) for row in range(1, ROWS + 1)), 1)
    begun = [one["at"] for one in simulator.requests("POST flex-api/v1/Interactions")][: ROWS // 2]
    # Two workers that don't share the pace take half the time.
    assert begun[-1] - begun[0] > 0.7 * (len(begun) - 1) / PER_S
