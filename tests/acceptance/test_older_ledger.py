"""A real Redis gets older data back, or none, under a campaign of real workers: nobody twice, nobody forgotten."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest
from campaign_files import CampaignFiles
from outreach_command import wait_until
from simulator_process import SimulatorProcess
from test_truth import judge
from zygote import Forked

from worker.redis_server import EmbeddedRedis

ROWS = 60
PER_S = 20.0


class Server:
    """A Redis of the test's own, whose data are copied and put back as an operator would."""

    def __init__(self, home: Path) -> None:
        self._home, self._copy = home, home.parent / "backup"
        self._redis = EmbeddedRedis(home)
        self._held = self._redis.hold()
        self.url = self._held.__enter__()

    def close(self) -> None:
        """Stop it."""
        self._held.__exit__(None, None, None)

    def back_up(self) -> None:
        """Copy what is on disk just now, while it is written to."""
        shutil.copytree(self._home / "redis" / "appendonlydir", self._copy)

    def put_back(self) -> None:
        """Kill the server, put the copy in the place of the newer data, and start it."""
        status = self._redis.status()
        assert status is not None
        os.kill(status.pid, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(status.pid))
        data = self._home / "redis" / "appendonlydir"
        shutil.rmtree(data)
        shutil.copytree(self._copy, data)
        self._redis.ensure_running()


@contextmanager
def simulating(folder: Path) -> Iterator[SimulatorProcess]:
    """Run a simulator that keeps to the pace and answers slowly enough for a campaign to be in the middle of things."""
    arguments = ("--no-patterns", "--seed", "8", "--flex-per-s", "100", "--latency-ms", "30")
    simulator = SimulatorProcess(folder, *arguments)
    try:
        yield simulator
    finally:
        simulator.stop()


def campaign(folder: Path, simulator: SimulatorProcess, **more: str) -> CampaignFiles:
    settings = {"OUTREACH_SETTLE_S": "0.5,1,2", "OUTREACH_CONCURRENCY": "16", **more}
    return CampaignFiles(folder, simulator.url, rows=ROWS, per_s=PER_S, **settings)


def kill(files: CampaignFiles, process: Forked) -> None:
    """Kill a command, and wait until its workers have followed it."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(map(_is_of(files), psutil.process_iter())), timeout_s=60)


def _is_of(files: CampaignFiles) -> Callable[[psutil.Process], bool]:
    home = files.environment["OUTREACH_HOME"]

    def is_ours(process: psutil.Process) -> bool:
        try:
            is_there = process.status() != psutil.STATUS_ZOMBIE
            return is_there and process.environ().get("OUTREACH_HOME") == home
        except psutil.Error:
            return False

    return is_ours


def finish(files: CampaignFiles, process: Forked, simulator: SimulatorProcess) -> None:
    """Wait until a command is through, and judge what came of the campaign."""
    assert process.wait(timeout=150) == 0, files.said()[-3000:]
    judge(files, simulator, ROWS)


def older_data_under_live_workers(folder: Path) -> str:
    with simulating(folder) as simulator, closing(Server(folder / "server")) as server:
        files = campaign(folder, simulator, OUTREACH_REDIS_URL=server.url)
        process = files.run()
        simulator.wait_for("message", count=ROWS // 6, timeout_s=60)
        server.back_up()
        simulator.wait_for("message", count=ROWS // 2, timeout_s=60)

        server.put_back()

        finish(files, process, simulator)
        return files.said()


def older_data_while_everything_was_stopped(folder: Path) -> str:
    with simulating(folder) as simulator, closing(Server(folder / "server")) as server:
        files = campaign(folder, simulator, OUTREACH_REDIS_URL=server.url)
        process = files.run()
        simulator.wait_for("message", count=ROWS // 6, timeout_s=60)
        server.back_up()
        simulator.wait_for("message", count=ROWS // 2, timeout_s=60)
        kill(files, process)

        server.put_back()

        finish(files, files.run(), simulator)
        return files.said()


def no_data_any_more(folder: Path) -> str:
    with simulating(folder) as simulator:
        files = campaign(folder, simulator)
        files.environment["OUTREACH_ACCOUNT_INTERACTIONS_PER_S"] = "3"
        process = files.run()
        simulator.wait_for("message", count=3, timeout_s=60)
        assert files.start("results").wait(timeout=60) == 0
        known = sum(row["outreach_status"] == "accepted" for row in files.results())
        simulator.wait_for("message", count=known + 3, timeout_s=60)
        kill(files, process)
        sent = len(simulator.journal("message"))
        assert 0 < known < sent < ROWS, "Twilio knows of more than the file, and not all were sent"
        files.environment["OUTREACH_ACCOUNT_INTERACTIONS_PER_S"] = str(PER_S)
        shutil.rmtree(files.environment["OUTREACH_HOME"])

        assert files.run().wait(timeout=60) == 2
        assert len(simulator.journal("message")) == sent
        said = files.said()

        finish(files, files.start("run", str(files.definition), str(files.customers), "--rebuild"), simulator)
        return said


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, "Future[str]"]]:
    """Let all of it happen side by side, for most of it is waiting; what each said, once it went well."""
    told = (older_data_under_live_workers, older_data_while_everything_was_stopped, no_data_any_more)
    with ThreadPoolExecutor(len(told)) as pool:
        yield {story.__name__: pool.submit(story, tmp_path_factory.mktemp("story")) for story in told}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("story", "said"),
    [
        ("older_data_under_live_workers", "the ledger is behind what was seen"),
        ("older_data_while_everything_was_stopped", "the ledger is behind what was seen"),
        ("no_data_any_more", "`--rebuild` makes it anew from the results file"),
    ],
)
def test_nobody_is_contacted_twice_and_nobody_is_forgotten(
    stories: dict[str, "Future[str]"], story: str, said: str
) -> None:
    assert said in stories[story].result()
