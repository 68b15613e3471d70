"""Tell what a worker does that was stopped past its leases and wakes: it sends nothing, and what it writes is refused."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from campaign_files import CampaignFiles
from outreach_command import wait_until
from simulator_process import SimulatorProcess
from test_truth import judge
from zygote import Forked, Zygote

from worker.ledger.ledger import Ledger
from worker.ledger.registry import Registry
from worker.ledger.row import Record
from worker.ledger.states import AFTER_END, IN_DOUBT, Delivery, State
from worker.redis_server import EmbeddedRedis
from worker.settings import load_settings
from worker.tasks.command import worker_command
from worker.wiring import connect

ROWS = 80
LATENCY_MS = 1500


class Desk:
    """A campaign, the workers that send it, and a look into their ledger."""

    def __init__(self, folder: Path, simulator: SimulatorProcess, zygote: Zygote, url: str) -> None:
        self.simulator, self._folder, self._zygote = simulator, folder, zygote
        self.files = CampaignFiles(folder, simulator.url, rows=ROWS, per_s=6, OUTREACH_SETTLE_S="0.5,1.5,3")
        tag = load_settings(self.files.environment, None).account_tag
        client = connect(url)
        self.ledger, self.registry = Ledger(client, tag), Registry(client, tag)

    def start_worker(self, per_s: float = 6) -> Forked:
        environ = self.files.environment | {"OUTREACH_ACCOUNT_INTERACTIONS_PER_S": str(per_s)}
        log = self._folder / "workers.log"
        return self._zygote.start(worker_command(16, "WARNING"), environ, cwd=self._folder, log=log)

    def load(self) -> str:
        wait_until(self.registry.workers, timeout_s=60)
        assert self.files.start("load", str(self.files.definition), str(self.files.customers)).wait(60) == 0
        (campaign_id,) = self.registry.ids()
        return campaign_id

    def held(self, campaign_id: str, worker: Forked) -> dict[int, State]:
        """Return the rows that a worker holds, with their states."""
        rows = [row for row, _ in self.ledger.leases(campaign_id)]
        owners = self.ledger.owners(campaign_id, rows)
        own = [row for row, owner in zip(rows, owners, strict=True) if f"/{worker.pid}/" in owner]
        return {row: self.ledger.get_row(campaign_id, row).state for row in own}

    def records(self, campaign_id: str) -> list[Record]:
        """Give how the rows' sends ended: of what is heard of them later others write."""
        records = [self.ledger.get_row(campaign_id, row).record for row in range(1, ROWS + 1)]
        return [
            replace(
                record,
                delivery=Delivery.NONE,
                delivery_code=0,
                story=tuple(each for each in record.story if each.event not in AFTER_END),
            )
            for record in records
        ]

    def rows_of(self, effect: str) -> Counter[int]:
        return Counter(int(each["key"].split(":")[1]) for each in self.simulator.journal(effect))


@pytest.fixture
def desk(tmp_path: Path, start_simulator: Callable[..., SimulatorProcess]) -> Iterator[Desk]:
    simulator = start_simulator(
        *("--no-patterns", "--setup-ms", "20", "--flex-per-s", "0"),
        *("--latency-ms", str(LATENCY_MS), "--lookup-lag-s", "1"),
    )
    with EmbeddedRedis(tmp_path / "home").hold() as url, Zygote() as zygote:
        yield Desk(tmp_path, simulator, zygote, url)


@pytest.mark.timeout(240)
def test_stopped_holder_that_wakes_writes_nothing_and_nobody_is_contacted_twice(desk: Desk) -> None:
    early, late = desk.start_worker(), desk.start_worker()
    wait_until(lambda: len(desk.registry.workers()) == 2, timeout_s=60)
    campaign_id = desk.load()
    held = stop_amid_all_steps(desk, campaign_id, [early, late])
    desk.simulator.settings(latency_ms=10)

    desk.start_worker(per_s=50)
    wait_until(lambda: any(desk.ledger.get_row(campaign_id, row).state in IN_DOUBT for row in held), 90)
    # While its rows are being looked up: nothing that it knows may get in between.
    wake_and_end(early)
    wait_until(lambda: desk.registry.get(campaign_id).left == 0, 90)
    records, effects = desk.records(campaign_id), len(desk.simulator.journal())
    wake_and_end(late)

    assert desk.records(campaign_id) == records
    assert len(desk.simulator.journal()) == effects
    assert desk.files.run().wait(60) == 0, desk.files.said()
    judge(desk.files, desk.simulator, ROWS)


def stop_amid_all_steps(desk: Desk, campaign_id: str, workers: list[Forked]) -> set[int]:
    """Stop workers that hold rows before, in and after each of their requests; return these rows."""

    def are_amid() -> bool:
        states = [set(desk.held(campaign_id, worker).values()) for worker in workers]
        return all({State.OPENING, State.SENDING} <= each for each in states)

    def stop() -> set[int]:
        wait_until(are_amid, timeout_s=60)
        for worker in workers:
            worker.send_signal(signal.SIGSTOP)
        # What is on the wire takes effect without them.
        time.sleep(1.5 * LATENCY_MS / 1000)
        held = {row: state for worker in workers for row, state in desk.held(campaign_id, worker).items()}
        opened, told = desk.rows_of("interaction"), desk.rows_of("message")
        seen = {(state, row in (opened if state is State.OPENING else told)) for row, state in held.items()}
        # One that waited for its slot, and of each request one whose answer was on its way.
        if seen >= {(State.OPENING, False), (State.OPENING, True), (State.SENDING, True)}:
            return set(held)
        for worker in workers:
            worker.send_signal(signal.SIGCONT)
        return set()

    return set(wait_until(stop, timeout_s=60))


def wake_and_end(worker: Forked) -> None:
    """Continue a worker, and let it finish what it believes to have in hand."""
    worker.send_signal(signal.SIGCONT)
    worker.terminate()
    assert worker.wait(60) == 0
