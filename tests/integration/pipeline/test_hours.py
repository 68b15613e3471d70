"""First messages keep to the customer's hours, before the Interaction and again before the message."""

import csv
import io
from datetime import UTC, datetime, time, timedelta

from pipeline_bench import ROUTING, SENDER, Rig, phone

from campaigns.schedule import get_zone
from worker.gateway.outcome import Accepted
from worker.ledger.states import Reason, State
from worker.pipeline.hours import say_opening
from worker.pipeline.results import stream_results
from worker.pipeline.status import snapshot
from worker.pipeline.story import explain


def definition(opens_in_h: int, closes_in_h: int) -> str:
    """Give a campaign whose window opens and closes so many hours from now, in a zone where it is about noon."""
    now = datetime.now(UTC)
    ahead_h = 12 - now.hour
    local = now + timedelta(hours=ahead_h)
    opens, closes = (local + timedelta(hours=hours) for hours in (opens_in_h, closes_in_h))
    # The signs of these zones are turned round: Etc/GMT-3 is three hours ahead of UTC.
    zone = f"Etc/GMT{-ahead_h:+d}"
    head = f'name = "spring"\nchannel = "sms"\nfrom = "{SENDER}"\nto = "{{{{ phone }}}}"\n'
    hours = f'[window]\nfrom = "{opens:%H:%M}"\nuntil = "{closes:%H:%M}"\ntimezone = "{zone}"\n'
    return head + ROUTING + '[message]\nbody = "Hello"\n' + hours


def test_row_waits_for_its_window_and_is_sent_in_it(rig: Rig) -> None:
    rig.campaign([phone(1)], definition=definition(1, 3))
    rig.step()

    row = rig.row()
    assert (row.state, row.record.code, row.record.attempts) == (State.PENDING, Reason.WINDOW, 0)
    assert rig.simulator.journal("interaction") == []
    rig.drive()

    assert rig.states() == {"ACCEPTED": 1}
    assert rig.clock.shift_ms > 58 * 60_000
    rig.judge()


def test_no_row_is_opened_whose_message_would_arrive_after_the_end(rig: Rig) -> None:
    rig.campaign([phone(1)], definition=definition(-1, 1))
    window = rig.bench.campaign("spring-1").campaign.window
    assert window is not None
    now = datetime.now(get_zone(window.timezone))
    closes_at = datetime.combine(now.date(), time.fromisoformat(window.until), now.tzinfo)

    rig.clock.shift_ms += round((closes_at - now).total_seconds() * 1000) - 59_000
    rig.step()

    assert rig.row().record.code == Reason.WINDOW
    assert rig.simulator.journal("interaction") == []


def test_opened_row_whose_window_closes_is_closed_and_begins_anew(rig: Rig) -> None:
    rig.simulator.settings(setup_ms=1_500)
    rig.campaign([phone(1)], definition=definition(-1, 1))
    rig.step()
    assert rig.states() == {"OPEN": 1}
    opened = rig.row().record.conversation_sid
    while rig.bench.gateway.has_participant(opened, phone(1)) != Accepted(True):
        pass

    rig.simulator.settings(setup_ms=0)  # the clock jumps from here on, and the simulator's does not
    rig.clock.shift_ms += 3_600_000
    rig.drive()

    assert rig.states() == {"ACCEPTED": 1}
    assert len(rig.simulator.journal("interaction")) == 2
    rig.judge()


def test_row_that_waits_for_its_window_says_until_when(rig: Rig) -> None:
    rig.campaign([phone(1)], definition=definition(1, 3))
    rig.step()
    rig.registry.see_worker("worker-1", {"host": "host", "pid": 1, "concurrency": 8})

    told = explain(rig.ledger, rig.registry, "spring-1", 1).words
    results = io.StringIO()
    stream_results(rig.ledger, rig.info(), results)
    waiting_for = snapshot(rig.bench, "spring-1")["waiting_for"]

    opens_at = datetime.fromtimestamp(rig.info().next_due_ms / 1000, tz=UTC)
    window = rig.bench.campaign("spring-1").campaign.window
    assert window is not None
    until = say_opening(opens_at, window.timezone)
    assert opens_at.second == 0
    assert f" {window.from_} in {window.timezone}" in until
    assert told.sentence == f"Put off until the customer's window opens, at {until}."
    (row,) = csv.DictReader(io.StringIO(results.getvalue()))
    assert (row["outreach_code"], row["outreach_reason"]) == ("window", told.sentence)
    assert waiting_for.endswith(f"row 1: {told.sentence}")


def test_moment_is_written_by_the_customers_clock_and_in_utc() -> None:
    moment = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)

    assert say_opening(moment, "Asia/Tokyo") == "2026-11-23 08:30 in Asia/Tokyo (2026-11-22 23:30 UTC)"
    assert say_opening(moment, "UTC") == "2026-11-22 23:30 in UTC"
