"""Tell whether each night of a schedule is acted on once, takes in the new files, and says what came of it; time is passed in."""

import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from outreach_command import wait_until
from pipeline_bench import BODY, ROUTING, SENDER, KilledError, Rig, phone

from worker.errors import NotFoundError, RedisUnavailableError
from worker.ledger.keys import entry as entry_key
from worker.ledger.timetable import Night, Schedule, Timetable, files_entry, follow_ups_entry
from worker.pipeline import timetable
from worker.pipeline.bench import Workbench
from worker.pipeline.nights import has_entries, history, overview

BERLIN = "Europe/Berlin"
EVENING = "0 18 * * *"
DEFINITION = f'name = "renewals"\nchannel = "sms"\nfrom = "{SENDER}"\nto = "{{{{ phone }}}}"\n{ROUTING}{BODY}'


class Nights:
    """A schedule, the folder that its files come into, and the clock."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig = rig
        self.drop = folder / "drop"
        self.drop.mkdir()
        self.definition = folder / "renewals.toml"
        self.definition.write_text(DEFINITION)
        self.table = Timetable(rig.registry)
        self.dead: set[str] = set()
        self.entry = files_entry("nightly")

    def at(self, text: str) -> None:
        """Set the clock to a time in UTC."""
        now_ms = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
        self.rig.clock.shift_ms += now_ms - self.rig.clock.now_ms()

    def pass_(self, **time: float) -> None:
        """Put the clock forward."""
        self.rig.clock.shift_ms += int(timedelta(**time).total_seconds() * 1000)

    def add(self, customers: str = "*.csv", cron: str = EVENING, zone: str = BERLIN, **more: Any) -> None:
        """Add the schedule."""
        campaign, pattern = str(self.definition), str(self.drop / customers)
        assert self.table.put_schedule(Schedule("nightly", campaign, pattern, cron, zone, **more)).ok

    def file(self, name: str, *numbers: int, header: str = "phone,name", age_s: float = 3600) -> Path:
        """Have a file there that was written a while ago."""
        path = self.drop / name
        path.write_text("\n".join([header, *(f"{phone(number)},Ann" for number in numbers)]) + "\n")
        self.touch(path, age_s)
        return path

    def touch(self, path: Path, age_s: float = 3600) -> None:
        """Have a file last changed a while ago."""
        written = self.rig.clock.wall_s() - age_s
        os.utime(path, (written, written))

    def run(self, bench: Workbench | None = None) -> None:
        """Look at the timetable, as the task does."""
        timetable.run(bench or self.rig.bench, self.dead.__contains__, lambda: True)

    def run_now(self) -> Night | None:
        """Carry the schedule out at once."""
        return timetable.run_now(self.rig.bench, "nightly", self.dead.__contains__, lambda: True)

    @property
    def ended(self) -> list[Night]:
        """List the nights that ended, the newest first."""
        return self.table.nights(self.entry)

    @property
    def open(self) -> Night:
        """Give the night that has not ended."""
        night = self.table.state(self.entry).night
        assert night is not None
        return night

    def planned(self) -> list[str]:
        """List when the nights that ended were planned, in UTC, the oldest first."""
        return [f"{timetable.moment(night.planned_ms):%d %H:%M}" for night in reversed(self.ended)]

    def rows(self) -> int:
        """Count the rows of all campaigns."""
        return sum(self.rig.registry.get(each).rows for each in self.rig.registry.ids())

    def finish(self) -> None:
        """Have all that was begun end."""
        for campaign_id in self.rig.registry.active():
            self.rig.registry.cancel(campaign_id)
            self.rig.ledger.cancel_rows(campaign_id)


@pytest.fixture
def nights(rig: Rig, tmp_path: Path) -> Iterator[Nights]:
    found = Nights(rig, tmp_path)
    found.at("2026-11-20T12:00")
    return found


# Once a night -----------------------------------------------------------------------------------------------


def test_night_takes_in_the_files_that_are_there_and_says_so(nights: Nights) -> None:
    nights.add()
    nights.file("monday.csv", 1, 2)
    nights.run()
    assert not nights.ended, "it was not due yet"

    nights.at("2026-11-20T17:00:05")
    nights.run()
    nights.run()

    (night,) = nights.ended
    assert night.state == "done"
    assert night.outcome == "Took in monday.csv: 2 pending."
    assert night.counts["pending"] == 2
    assert list(night.campaigns) == nights.rig.registry.ids()
    assert nights.rig.registry.get(night.campaigns[0]).state == "running"


def test_first_night_is_the_first_after_the_schedule_was_added(nights: Nights) -> None:
    nights.at("2026-11-20T17:00:01")
    nights.add()

    nights.run()
    nights.at("2026-11-21T17:00:01")
    nights.run()

    assert nights.planned() == ["21 17:00"]
    assert has_entries(nights.rig.bench)


@pytest.mark.parametrize(
    ("zone", "cron", "begin", "planned"),
    [
        (BERLIN, "30 2 * * *", "2026-03-28T12:00", ["29 01:00", "30 00:30"]),
        (BERLIN, "30 2 * * *", "2026-10-24T12:00", ["25 00:30", "26 01:30"]),
        ("America/New_York", "30 2 * * *", "2026-03-08T00:00", ["08 07:00", "09 06:30"]),
        ("America/New_York", "30 1 * * *", "2026-11-01T00:00", ["01 05:30", "02 06:30"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T00:00", ["04 14:45", "05 15:15"]),
        ("America/Santiago", "0 0 * * *", "2026-09-06T00:00", ["06 04:00", "07 03:00"]),
    ],
)
def test_night_comes_once_where_clocks_change(
    nights: Nights, zone: str, cron: str, begin: str, planned: list[str]
) -> None:
    nights.at(begin)
    nights.add(cron=cron, zone=zone)

    for _ in range(44):
        nights.pass_(hours=1)
        nights.run()

    assert nights.planned() == planned


def test_outage_of_days_says_how_late_its_night_is(nights: Nights) -> None:
    nights.add(cron="0 18 20 * *")

    nights.at("2026-11-23T19:00:00")
    nights.run()

    assert nights.ended[0].outcome.endswith("It began 3 d 2 h late.")


def test_outage_is_caught_up_with_the_latest_night_only(nights: Nights) -> None:
    nights.add()
    nights.file("monday.csv", 1)

    nights.at("2026-11-23T20:30")
    nights.run()
    nights.run()

    (night,) = nights.ended
    assert nights.planned() == ["23 17:00"]
    assert night.outcome.endswith("It began 3 h 30 min late. 3 earlier nights passed with nothing running.")
    assert nights.rows() == 1


def test_missed_night_is_skipped_where_that_is_the_rule(nights: Nights) -> None:
    nights.add(misfire="skip")
    nights.file("monday.csv", 1)

    nights.at("2026-11-21T17:11")
    nights.run()
    nights.at("2026-11-22T17:09")
    nights.run()

    late, next_one = reversed(nights.ended)
    assert (late.state, next_one.state) == ("skipped", "done")
    assert (
        late.outcome
        == "Skipped: nothing was running at its time. 1 earlier night passed with nothing running."
    )
    assert nights.rows() == 1


def test_missed_night_stays_skipped_where_its_worker_is_killed(nights: Nights, rig: Rig) -> None:
    nights.add(misfire="skip")
    nights.file("monday.csv", 1)
    nights.at("2026-11-20T17:11")
    _kill(nights, "after take_night")
    nights.dead.add("worker-1")

    nights.run(rig.worker("worker-2"))

    assert [night.state for night in nights.ended] == ["skipped"]
    assert nights.rows() == 0


def test_sixty_nights_are_kept(nights: Nights) -> None:
    nights.add(cron="* * * * *")

    for _ in range(62):
        nights.pass_(minutes=1)
        nights.run()

    assert len(nights.ended) == 60
    assert nights.ended[0].outcome == "No file: nothing matches *.csv."


# Files ------------------------------------------------------------------------------------------------------


def _evening(nights: Nights, day: int) -> None:
    nights.at(f"2026-11-{day}T17:00:01")
    nights.run()


def test_file_is_taken_once_by_its_content_whatever_it_is_called(nights: Nights) -> None:
    nights.add()
    first = nights.file("a.csv", 1)
    _evening(nights, 20)
    nights.finish()
    copy = nights.drop / "copy.csv"
    copy.write_bytes(first.read_bytes())
    nights.touch(copy)
    first.rename(nights.drop / "renamed.csv")

    _evening(nights, 21)

    assert nights.ended[0].outcome == "No new file: the 2 that match were taken on earlier nights."
    assert nights.ended[0].state == "nothing"
    (taken,) = history(nights.rig.bench, nights.entry)["taken"]
    assert (taken["file"], len(taken["sha256"])) == ("a.csv", 64)
    assert taken["campaign"] in nights.rig.registry.ids()


def test_path_of_one_file_is_taken_in_anew_each_night_that_it_is_another(nights: Nights) -> None:
    nights.add("customers [daily].csv")  # a path that is there is no glob
    nights.file("customers [daily].csv", 1)
    _evening(nights, 20)
    nights.finish()
    nights.file("customers [daily].csv", 1, 2)

    _evening(nights, 21)

    assert [night.state for night in nights.ended] == ["done", "done"]
    assert len(nights.rig.registry.ids()) == 2


def test_file_that_is_being_written_is_taken_by_a_later_run_of_the_same_night(nights: Nights) -> None:
    nights.add()
    nights.at("2026-11-20T17:00:01")
    nights.file("a.csv", 1, age_s=2)
    nights.run()
    assert nights.open.outcome == "a.csv may still be growing. It is tried again until the next night."
    nights.pass_(seconds=20)
    nights.file("a.csv", 1, 2, age_s=0)
    nights.run()
    nights.pass_(seconds=6)
    nights.run()
    assert nights.open.state == "waiting", "it has changed since the first look"

    nights.pass_(seconds=6)
    nights.run()

    assert nights.ended[0].outcome == "Took in a.csv: 2 pending."
    assert nights.planned() == ["20 17:00"]


def test_file_of_a_server_whose_clock_is_ahead_is_quiet_when_two_looks_saw_it_unchanged(
    nights: Nights,
) -> None:
    nights.add()
    nights.at("2026-11-20T17:00:01")
    nights.file("a.csv", 1, age_s=-7200)
    nights.run()
    assert nights.open.waits_for == "file"

    nights.pass_(seconds=20)
    nights.run()

    assert nights.ended[0].state == "done"


@pytest.mark.parametrize("name", ["a.csv.part", "a.tmp", "a.crdownload"])
def test_file_under_a_passing_name_is_left_until_it_has_its_own(nights: Nights, name: str) -> None:
    nights.add("*")
    (nights.drop / ".hidden.csv").write_text("phone,name\n")
    nights.at("2026-11-20T17:00:01")
    passing = nights.file(name, 1, age_s=1)
    nights.run()
    nights.pass_(seconds=30)
    nights.run()
    assert nights.open.waits_for == "file"

    passing.rename(nights.drop / "a.csv")
    for _ in range(2):
        nights.pass_(seconds=20)
        nights.run()

    assert nights.ended[0].outcome == "Took in a.csv: 1 pending."


def test_file_that_stays_unfinished_is_given_up_when_the_next_night_has_come_and_taken_then(
    nights: Nights,
) -> None:
    nights.add()
    nights.at("2026-11-20T17:00:01")
    nights.file("a.csv", 1, age_s=1)
    nights.run()
    nights.file("a.csv", 1, 2, age_s=-86400)

    nights.at("2026-11-21T17:00:01")
    nights.run()
    nights.pass_(seconds=20)
    nights.run()

    assert [night.state for night in nights.ended] == ["done", "given_up"]
    assert (
        nights.ended[1].outcome
        == "a.csv may still be growing. The next night has come, so this one has ended."
    )


def test_refused_file_is_not_taken_and_a_mended_one_is_tried(nights: Nights) -> None:
    nights.add()
    nights.file("a.csv", 1, header="telephone,name")
    nights.file("b.csv", 2)
    _evening(nights, 20)
    night = nights.ended[0]
    assert (night.state, night.files) == ("refused", ("b.csv",))
    assert night.outcome == "Took in b.csv: 1 pending. a.csv was refused."
    assert night.problems[0].startswith("renewals.toml") or night.problems[0].startswith("a.csv")
    assert not any(str(nights.drop) in line or phone(1) in line for line in night.problems)
    nights.finish()

    nights.file("a.csv", 1)
    _evening(nights, 21)

    assert nights.ended[0].outcome == "Took in a.csv: 1 pending."


def test_problems_of_rows_are_kept_without_customers_data(nights: Nights) -> None:
    nights.add()
    (nights.drop / "a.csv").write_text("phone,name\n12,Ann\n+1999,Bob\n")
    os.utime(nights.drop / "a.csv", (0, 0))

    _evening(nights, 20)

    night = nights.ended[0]
    assert night.state == "refused"
    assert "2 invalid" in night.problems[0]
    assert night.problems[1:] == ("2 problems of rows: `outreach check` tells them",)


def test_definition_that_names_another_account_by_now_is_refused(nights: Nights) -> None:
    nights.add()
    nights.file("monday.csv", 1)
    nights.definition.write_text(f'account = "acme"\n{DEFINITION}')

    nights.at("2026-11-20T17:00:05")
    nights.run()

    (night,) = nights.ended
    assert night.outcome == "The definition renewals.toml was refused."
    assert (
        'renewals.toml:1: account is "acme", and what is begun here is the main account' in night.problems[0]
    )
    assert nights.rig.registry.ids() == []


def test_refused_definition_says_so_and_one_that_this_worker_does_not_see_is_left_to_others(
    nights: Nights,
) -> None:
    nights.add()
    nights.file("a.csv", 1)
    nights.definition.write_text(DEFINITION + "[imagined]\n")
    _evening(nights, 20)
    assert nights.ended[0].outcome == "The definition renewals.toml was refused."
    assert "imagined" in nights.ended[0].problems[0]
    nights.definition.unlink()
    _evening(nights, 21)
    assert nights.open.outcome.startswith("This worker sees no renewals.toml in its folder.")

    nights.definition.write_text(DEFINITION)
    nights.pass_(seconds=20)
    nights.run()

    assert nights.ended[0].state == "done"


def test_folder_that_this_worker_does_not_see_is_left_to_others(nights: Nights) -> None:
    nights.add("*/*.csv")
    nights.drop.rename(nights.drop.with_name("elsewhere"))

    _evening(nights, 20)

    assert nights.open.outcome.startswith("This worker does not see the folder of the customers' files.")


def test_file_waits_while_an_earlier_one_of_the_campaign_is_unfinished(nights: Nights) -> None:
    nights.add()
    nights.file("a.csv", 1)
    nights.file("b.csv", 1, 2)
    _evening(nights, 20)
    assert nights.open.files == ("a.csv",)
    assert "b.csv waits: another file of the campaign renewals is unfinished" in nights.open.outcome
    nights.pass_(seconds=30)
    nights.run()
    assert nights.open.waits_for == "earlier_file"

    nights.finish()
    nights.pass_(seconds=61)
    nights.run()

    night = nights.ended[0]
    assert (night.state, night.files, len(night.campaigns)) == ("done", ("a.csv", "b.csv"), 2)
    assert nights.planned() == ["20 17:00"]


def test_twilio_that_is_away_is_waited_for(nights: Nights, rig: Rig) -> None:
    nights.add()
    nights.file("a.csv", 1)
    away = rig.worker("worker-2", base_url="http://127.0.0.1:9")
    nights.at("2026-11-20T17:00:01")
    nights.run(away)
    assert nights.open.waits_for == "twilio"

    nights.pass_(seconds=61)
    nights.run()

    assert nights.ended[0].state == "done"


def test_sender_that_twilio_lacks_refuses_the_file(nights: Nights) -> None:
    nights.definition.write_text(DEFINITION.replace(SENDER, "+12025550000"))
    nights.rig.simulator.settings(senders=[SENDER])
    nights.add()
    nights.file("a.csv", 1)

    _evening(nights, 20)

    assert nights.ended[0].state == "refused"
    assert nights.rig.registry.ids() == []


# Killed and continued ---------------------------------------------------------------------------------------

_MOMENTS = [
    f"{when} {script}"
    for script in ("take_night", "create", "load_rows", "start", "take_file", "note_night")
    for when in ("before", "after")
]


def _strike(nights: Nights, where: str) -> None:
    """Look at the timetable, with trouble at a moment of the night."""
    points = nights.rig.points
    points.passed.clear()
    points.counts, points.strike_at = where.__eq__, 0
    try:
        nights.run()
    finally:
        points.strike_at = None


def _kill(nights: Nights, where: str) -> None:
    """Have the worker die at a moment of its night."""
    with pytest.raises(KilledError):
        _strike(nights, where)


@pytest.mark.parametrize("where", _MOMENTS)
def test_night_whose_worker_is_killed_is_gone_on_with_by_the_next_run(
    nights: Nights, rig: Rig, where: str
) -> None:
    nights.add()
    nights.file("a.csv", *range(1, 131))
    nights.at("2026-11-20T17:00:01")
    _kill(nights, where)
    nights.dead.add("worker-1")

    nights.run(rig.worker("worker-2"))

    (night,) = nights.ended
    assert night.outcome == "Took in a.csv: 130 pending."
    assert nights.rows() == 130
    assert len(rig.registry.ids()) == 1
    assert len(nights.table.taken(nights.entry)) == 1


def test_night_of_a_worker_that_died_elsewhere_is_gone_on_with_when_its_lease_is_over(
    nights: Nights, rig: Rig
) -> None:
    nights.add()
    nights.file("a.csv", 1)
    nights.at("2026-11-20T17:00:01")
    _kill(nights, "after create")
    other = rig.worker("worker-2")
    nights.run(other)
    assert nights.open.state == "running"

    nights.pass_(milliseconds=timetable.LEASE_MS)
    nights.run(other)

    assert nights.ended[0].state == "done"


def test_night_in_hand_is_left_alone_by_everybody_else(nights: Nights, rig: Rig) -> None:
    nights.add()
    nights.file("a.csv", *range(1, 131))
    nights.at("2026-11-20T17:00:01")
    other, asked = rig.worker("worker-2"), []

    def meanwhile(where: str) -> None:
        if where == "after load_rows" and len(asked) < 1:
            asked.append(nights.table.state(nights.entry).owner)
            nights.run(other)
            assert nights.run_now() is None

    rig.points.meanwhile = meanwhile
    nights.run()

    assert asked == ["worker-1"]
    assert len(nights.ended) == 1
    assert nights.rows() == 130


def test_long_night_is_held_on_to(nights: Nights, rig: Rig) -> None:
    nights.add()
    nights.file("a.csv", *range(1, 193))
    nights.at("2026-11-20T17:00:01")
    rig.bench.clock, leases = rig.clock.wall_s, []

    def meanwhile(where: str) -> None:
        if where == "before load_rows":
            # Rows are written by a thread of their own, and the lease is begun anew by the one that reads them.
            wait_until(lambda: nights.table.state(nights.entry).lease_ms not in leases)
            leases.append(nights.table.state(nights.entry).lease_ms)
            nights.pass_(milliseconds=timetable.LEASE_MS - 5_000)

    rig.points.meanwhile = meanwhile
    nights.run()

    assert len(leases) == 3
    assert leases == sorted(set(leases)), "each was begun anew"
    assert nights.ended[0].state == "done"


def test_night_that_somebody_else_has_by_now_is_left_to_them(nights: Nights, rig: Rig) -> None:
    nights.add()
    nights.file("a.csv", *range(1, 131))
    nights.at("2026-11-20T17:00:01")
    other, stopped = rig.worker("worker-2"), []

    def meanwhile(where: str) -> None:
        if where == "before load_rows" and not stopped:  # this process was stopped for long
            stopped.append(where)
            nights.pass_(milliseconds=timetable.LEASE_MS + 1)
            nights.run(other)

    rig.points.meanwhile = meanwhile
    nights.run()

    (night,) = nights.ended
    assert night.outcome == "Took in a.csv: 130 pending."
    assert nights.rows() == 130


def test_worker_that_is_told_to_stop_leaves_the_night_to_the_next_at_once(nights: Nights, rig: Rig) -> None:
    nights.add()
    nights.file("a.csv", *range(1, 131))
    nights.at("2026-11-20T17:00:01")
    goes_on = iter([True, True, True, False])

    timetable.run(rig.bench, nights.dead.__contains__, lambda: next(goes_on, False))
    assert nights.open.state == "running"
    nights.run(rig.worker("worker-2"))

    assert nights.ended[0].outcome == "Took in a.csv: 130 pending."


def test_fault_that_nobody_foresaw_is_tried_again_and_said(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights.add()
    nights.file("a.csv", 1)
    with monkeypatch.context() as broken:
        broken.setattr("worker.pipeline.new_files.decide", lambda *_: 1 / 0)
        _evening(nights, 20)
    assert "in a way it should not (ZeroDivisionError)" in nights.open.outcome

    nights.pass_(seconds=61)
    nights.run()

    assert nights.ended[0].state == "done"


# What stands in the way ------------------------------------------------------------------------------------


def test_entry_that_is_broken_costs_the_others_nothing(nights: Nights, rig: Rig) -> None:
    campaign, customers = str(nights.definition), str(nights.drop / "*.csv")
    for name, zone in (("broken", BERLIN), ("elsewhere", "Mars/Base")):
        assert nights.table.put_schedule(Schedule(name, campaign, customers, EVENING, zone)).ok
    where = entry_key(rig.registry.prefix, files_entry("broken"))
    rig.client.hset(where, mapping={"night": "{", "night_ms": 1})
    rig.campaign([phone(9)], "later-1", definition=_FOLLOWED_UP.replace("renewals", "later"))
    rig.client.hset(rig.ledger.key("later-1"), "definition", "{")
    nights.add()
    nights.file("a.csv", 1)

    _evening(nights, 20)

    assert nights.ended[0].state == "done"


def test_redis_that_is_away_ends_the_run(nights: Nights, rig: Rig) -> None:
    nights.add()
    nights.at("2026-11-20T17:00:01")
    rig.points.trouble = lambda: RedisUnavailableError("Redis cannot be reached.")

    with pytest.raises(RedisUnavailableError):
        _strike(nights, "before take_night")
    nights.run()

    assert len(nights.ended) == 1


def test_worker_that_is_to_stop_begins_no_night(nights: Nights, rig: Rig) -> None:
    nights.add()
    nights.at("2026-11-20T17:00:01")

    timetable.run(rig.bench, nights.dead.__contains__, lambda: False)

    assert nights.table.state(nights.entry).night is None
    nights.file("a.csv", 1)
    assert timetable.run_now(rig.bench, "nightly", nights.dead.__contains__, lambda: False) is None
    assert nights.open.state == "running"


def test_night_that_another_worker_ends_first_is_not_begun_again(nights: Nights, rig: Rig) -> None:
    nights.add()
    nights.at("2026-11-20T17:00:01")
    other = rig.worker("worker-2")

    def meanwhile(where: str) -> None:
        if where == "before take_night":
            rig.points.meanwhile = lambda _: None
            nights.run(other)

    rig.points.meanwhile = meanwhile
    nights.run()

    assert len(nights.ended) == 1


def test_night_that_another_worker_gives_up_first_is_given_up_once(nights: Nights, rig: Rig) -> None:
    nights.add()
    nights.at("2026-11-20T17:00:01")
    nights.file("a.csv", 1, age_s=1)
    nights.run()
    nights.at("2026-11-21T17:00:01")
    other = rig.worker("worker-2")

    def meanwhile(where: str) -> None:
        if where == "before take_night":
            rig.points.meanwhile = lambda _: None
            nights.run(other)

    rig.points.meanwhile = meanwhile
    nights.run()

    assert [night.state for night in nights.ended] == ["done", "given_up"]


def test_file_that_changes_while_it_is_read_is_still_being_written(nights: Nights, rig: Rig) -> None:
    nights.add()
    path = nights.file("a.csv", *range(1, 131))
    nights.at("2026-11-20T17:00:01")

    def meanwhile(where: str) -> None:
        if where == "after load_rows":
            rig.points.meanwhile = lambda _: None
            nights.file("a.csv", *range(1, 140))

    rig.points.meanwhile = meanwhile
    nights.run()
    assert nights.open.outcome.startswith("a.csv may still be growing.")
    assert rig.registry.ids() == []
    nights.touch(path)
    nights.pass_(seconds=20)
    nights.run()

    assert nights.ended[0].counts["pending"] == 139


def test_file_that_cannot_be_read_is_refused_and_one_that_is_gone_is_none(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights.add()
    for name in ("a.csv", "b.csv"):
        nights.file(name, 1)

    def deny(path: Path) -> str:
        (nights.drop / "b.csv").unlink()
        raise PermissionError(13, "Permission denied", str(path))

    # Whoever runs the tests may be allowed to read everything.
    monkeypatch.setattr("worker.pipeline.new_files.file_sha256", deny)
    _evening(nights, 20)

    assert nights.ended[0].outcome == "a.csv was refused."
    assert nights.ended[0].problems == (
        "a.csv: it can't be read: permission denied, see that workers may read it",
    )


def test_file_whose_name_is_no_text_is_refused_and_the_others_are_taken(nights: Nights) -> None:
    nights.add()
    for number, name in enumerate((os.fsdecode(b"caf\xe9.csv"), "d.csv"), start=1):
        nights.file(name, number)

    _evening(nights, 20)

    (night,) = nights.ended
    assert night.files == ("d.csv",)
    assert night.problems == ("caf?.csv: its name is not UTF-8, rename it",)


def test_load_that_another_command_has_taken_away_is_tried_again(nights: Nights, rig: Rig) -> None:
    nights.add()
    nights.file("a.csv", *range(1, 131))
    nights.at("2026-11-20T17:00:01")

    def meanwhile(where: str) -> None:
        if where == "after load_rows":
            rig.points.meanwhile = lambda _: None
            rig.registry.discard(rig.registry.ids()[0])

    rig.points.meanwhile = meanwhile
    nights.run()
    assert "was taken away by another command. It is tried again" in nights.open.outcome
    nights.pass_(seconds=61)
    nights.run()

    assert nights.ended[0].counts["pending"] == 130


# By hand ----------------------------------------------------------------------------------------------------


def test_schedule_that_is_run_by_hand_counts_as_a_night_and_the_planned_one_comes_all_the_same(
    nights: Nights,
) -> None:
    nights.add()
    nights.file("a.csv", 1)

    night = nights.run_now()
    nights.finish()
    _evening(nights, 20)

    assert night is not None
    assert (night.state, night.by_hand) == ("done", True)
    assert [one.state for one in nights.ended] == ["nothing", "done"]


def test_file_that_was_just_written_is_quiet_at_a_later_look_by_hand(nights: Nights) -> None:
    nights.add()
    nights.file("a.csv", 1, age_s=1)

    looks = []
    for _ in range(3):
        night = nights.run_now()
        assert night is not None
        looks.append(night.state)
        nights.pass_(seconds=6)

    assert looks == ["waiting", "waiting", "done"]


def test_night_that_waits_is_gone_on_with_by_hand_and_what_was_refused_is_tried_again(nights: Nights) -> None:
    nights.add()
    nights.at("2026-11-20T17:00:01")
    bad = nights.file("a.csv", 1, header="telephone,name")
    nights.file("b.csv", 1, age_s=1)
    nights.run()
    nights.pass_(seconds=6)
    nights.run()
    assert len(nights.open.problems) == 1, "it is not tried again by itself"
    nights.definition.write_text(DEFINITION.replace("{{ phone }}", "{{ telephone }}"))
    old = bad.stat().st_mtime
    os.utime(nights.drop / "b.csv", (old, old))

    night = nights.run_now()

    assert night is not None
    assert night.files[:1] == ("a.csv",)


def test_schedule_that_is_not_there_cannot_be_run(nights: Nights) -> None:
    with pytest.raises(NotFoundError, match="no schedule nightly"):
        nights.run_now()


def test_removed_schedule_is_gone_with_all_that_was_known_of_it(nights: Nights, rig: Rig) -> None:
    nights.add()
    nights.file("a.csv", 1)
    _evening(nights, 20)

    assert nights.table.drop_schedule("nightly").ok

    assert not nights.table.drop_schedule("nightly").ok
    assert [name for name in rig.client.keys("*") if b"nightly" in name] == []
    assert overview(rig.bench, has_beat=False)["entries"] == []


def test_overview_says_what_comes_next_and_who_is_missing(nights: Nights) -> None:
    nights.add()
    assert not nights.table.put_schedule(nights.table.schedules()[0]).ok, "names are given once"

    found = overview(nights.rig.bench, has_beat=False)

    (entry,) = found["entries"]
    assert entry["next_at"] == "2026-11-20T18:00:00+01:00"
    assert entry["next_at_utc"] == "2026-11-20T17:00:00+00:00"
    assert entry["last"] is None
    assert (found["beat"], found["workers"], len(found["missing"])) == (False, 0, 2)
    nights.at("2026-11-20T17:30:00")
    assert overview(nights.rig.bench, has_beat=False)["entries"][0]["is_due"]


# Nightly follow-ups -----------------------------------------------------------------------------------------

_FOLLOWED_UP = (
    DEFINITION + '[[follow_up]]\nafter = "2d"\nbody = "Still there?"\n'
    '[nightly]\nat = "18:00"\ntimezone = "Europe/Berlin"\n'
)


def test_follow_ups_begin_in_the_night_in_which_they_are_due_and_once(nights: Nights, rig: Rig) -> None:
    rig.campaign([phone(1), phone(2)], definition=_FOLLOWED_UP)
    rig.drive()
    entry = follow_ups_entry("spring-1")
    for day in (20, 21, 22, 22):
        _evening(nights, day)

    found = nights.table.nights(entry)

    assert [night.state for night in found] == ["done", "nothing", "nothing"]
    assert found[0].outcome == "Follow-ups began for 2 rows."
    assert found[1].outcome == "Nobody was due for a follow-up."
    assert (found[0].counts, found[0].campaigns) == ({"rows": 2}, ("spring-1",))
    described = overview(rig.bench, has_beat=False)["entries"][0]
    assert (described["kind"], described["name"]) == ("follow-ups", "spring-1")


def test_follow_ups_of_a_paused_campaign_wait_and_stopped_ones_have_no_nights(
    nights: Nights, rig: Rig
) -> None:
    rig.campaign([phone(1)], definition=_FOLLOWED_UP)
    rig.drive()
    rig.registry.pause("spring-1", "operator")
    entry = follow_ups_entry("spring-1")
    _evening(nights, 23)
    waiting = nights.table.state(entry).night
    assert waiting is not None
    assert waiting.outcome == "No follow-up began: it is paused. It is tried again until the next night."

    rig.registry.resume("spring-1")
    nights.pass_(seconds=61)
    nights.run()
    assert nights.table.nights(entry)[0].counts == {"rows": 1}
    assert rig.ledger.stop_follow_ups("spring-1", stopped=True).ok
    _evening(nights, 24)

    assert len(nights.table.nights(entry)) == 1
    assert overview(rig.bench, has_beat=False)["entries"] == []


@pytest.mark.parametrize(
    "where", ["after take_night", "after create_wave", "after begin_wave", "before note_night"]
)
def test_follow_ups_that_were_interrupted_go_on_and_begin_once(nights: Nights, rig: Rig, where: str) -> None:
    rig.campaign([phone(number) for number in range(1, 4)], definition=_FOLLOWED_UP)
    rig.drive()
    nights.at("2026-11-23T17:00:01")
    _kill(nights, where)
    nights.dead.add("worker-1")
    other = rig.worker("worker-2")

    nights.run(other)
    rig.drive(bench=other)

    messages = Counter(one["address"] for one in rig.simulator.journal("message"))
    assert messages == {phone(number): 2 for number in range(1, 4)}
    assert nights.table.nights(follow_ups_entry("spring-1"))[0].state in ("done", "nothing")


def test_who_answers_while_the_follow_ups_begin_gets_none_and_is_counted(nights: Nights, rig: Rig) -> None:
    rig.campaign([phone(1), phone(2)], definition=_FOLLOWED_UP)
    rig.drive()

    def meanwhile(where: str) -> None:
        if where == "before begin_wave":
            rig.points.meanwhile = lambda _: None
            rig.ledger.note_answer("spring-1", 1, rig.clock.now_ms())

    rig.points.meanwhile = meanwhile
    _evening(nights, 23)

    night = nights.table.nights(follow_ups_entry("spring-1"))[0]
    assert night.outcome.startswith(
        "Follow-ups began for 1 row. 1 had answered, or were followed up, meanwhile."
    )


def test_follow_ups_that_are_stopped_as_their_night_comes_do_not_begin(nights: Nights, rig: Rig) -> None:
    rig.campaign([phone(1)], definition=_FOLLOWED_UP)
    rig.drive()
    rig.points.meanwhile = lambda where: (
        where == "after take_night" and rig.ledger.stop_follow_ups("spring-1", stopped=True)
    )

    _evening(nights, 23)

    night = nights.table.nights(follow_ups_entry("spring-1"))[0]
    assert night.state == "nothing"
    assert night.outcome.startswith("No follow-up began: its follow-ups were stopped.")
