"""Three beats and two workers side by side: each night is acted on once, and a beat that is killed is replaced."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign_files import number
from installation import Installation
from outreach_command import wait_until
from simulator_process import SimulatorProcess
from zygote import Forked, Zygote

from worker.ledger import keys
from worker.ledger.timetable import Night, Schedule, Timetable, files_entry
from worker.tasks.command import beat_command, worker_command


@pytest.fixture
def one(tmp_path: Path, twilio: SimulatorProcess) -> Iterator[Installation]:
    with Zygote() as zygote, Installation(tmp_path, twilio.url, zygote, "beats").up() as installation:
        yield installation


class Evening:
    """Schedules whose night is due, and the beats."""

    def __init__(self, one: Installation) -> None:
        self.one = one
        self.table = Timetable(one.registry)
        self.client = one.registry.client
        self._people = iter(range(1, 100))
        self.names: list[str] = []

    def plan(self, name: str) -> None:
        """Add a schedule that was made an hour ago, with a file of two customers: its latest night is due at once."""
        self.one.write(
            [number(next(self._people)) for _ in range(2)], ('name = "spring"', f'name = "{name}"')
        )
        folder = self.one.folder / name
        folder.mkdir()
        definition, customers = (
            path.rename(folder / path.name) for path in (self.one.definition, self.one.customers)
        )
        os.utime(customers, (0, 0))
        schedule = Schedule(name, str(definition), str(folder / "*.csv"), "0 * * * *", "Europe/Berlin")
        made_ms = int(self.table.put_schedule(schedule).values[0]) - 3_600_000
        where = keys.entry(self.table.prefix, files_entry(name))
        self.client.hset(where, "made_ms", made_ms)
        self.names.append(name)

    def beat(self, at: int) -> Forked:
        """Start a beat with a log of its own."""
        self.one.log = self.log(at)
        return self.one.fork(*beat_command())

    def log(self, at: int) -> Path:
        return self.one.folder / f"beat-{at}.log"

    def said(self, what: str) -> list[int]:
        """Tell which beats have said something."""
        logs = {at: self.log(at) for at in range(3)}
        return [at for at, log in logs.items() if log.exists() and what in log.read_text()]

    def nights(self) -> dict[str, list[Night]]:
        """Give the nights that have ended, by schedule."""
        return {name: self.table.nights(files_entry(name)) for name in self.names}

    def all_over(self) -> bool:
        """Tell whether each schedule's night has ended, and all that came of it."""
        ids = self.one.registry.ids()
        return all(self.nights().values()) and not any(self.one.info(each).left for each in ids)


def test_each_night_is_acted_on_once_and_a_killed_beat_is_replaced(
    one: Installation, twilio: SimulatorProcess
) -> None:
    evening = Evening(one)
    for at in range(4):
        evening.plan(f"schedule-{at}")
    beats = [evening.beat(at) for at in range(3)]
    wait_until(lambda: evening.said("beat.waits_for_a_worker") and len(evening.said("beat.stands_by")) == 2)
    assert "db1" not in evening.client.info("keyspace"), "messages pile up where no worker takes them"

    workers = [one.fork(*worker_command(4)) for _ in range(2)]
    wait_until(evening.all_over)
    (acting,) = evening.said("beat.acts")

    beats[acting].kill()
    lock = keys.beat_lock(evening.table.prefix)
    assert 0 < evening.client.pttl(lock) <= 25_000, "by then another one may act"
    evening.client.delete(lock)  # rather than wait for that
    evening.plan("schedule-4")
    wait_until(evening.all_over)

    assert len(evening.said("beat.acts")) == 2
    for name, nights in evening.nights().items():
        assert [night.state for night in nights if night.files] == ["done"], name
        assert len({night.planned_ms for night in nights}) == len(nights)
    told = Counter(message["address"] for message in twilio.journal("message"))
    assert set(told.values()) == {1}
    assert len(told) == 10
    evening.client.delete(lock)
    wait_until(lambda: evening.said("beat.lost_its_lock"))
    wait_until(evening.table.has_beat)
    left = [beat for at, beat in enumerate(beats) if at != acting]
    for process in (*left, *workers):
        process.send_signal(signal.SIGTERM)
    assert [process.wait(60) for process in (*left, *workers)] == [0] * 4
    assert not evening.table.has_beat(), "a beat that leaves gives the lock back"
    assert evening.said("Traceback") == []
