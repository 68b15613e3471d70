"""The timetable: see which nights are due, claim each once, have it carried out, and write down what came of it.

An entry is a schedule, which takes in new files, or the nightly follow-ups of a campaign. Whoever is woken looks at all of
them; the ledger sees to it that a night is acted on by one, goes on where that one has died, and ends once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import uuid4

from campaigns.campaign import Campaign, Nightly
from worker.errors import (
    NotFoundError,
    OutreachError,
    RedisUnavailableError,
    RefusedHereError,
    TwilioUnavailableError,
)
from worker.ledger.scripts import Reply
from worker.ledger.timetable import (
    EntryState,
    Misfire,
    Night,
    Schedule,
    Timetable,
    WaitsFor,
    files_entry,
    follow_ups_entry,
)
from worker.logs import get_logger
from worker.pipeline import waves
from worker.pipeline.bench import Workbench
from worker.pipeline.cron import Cron, daily
from worker.pipeline.new_files import TRIED_AGAIN, load_new_files

log = get_logger(__name__)

LEASE_MS = 120_000
HOLD_EVERY_S = 10.0
MISSED_AFTER_MS = 600_000
"""So late a night is a missed one: `catch_up` or `skip` says what becomes of it."""
AGAIN_MS: dict[WaitsFor, int] = {"file": 5_000, "definition": 5_000}
AGAIN_OTHERWISE_MS = 60_000

_NEXT_NIGHT_HAS_COME = "The next night has come, so this one has ended."


class LeftError(Exception):
    """Report that a night is left where it is: this process is to stop, or somebody else has the night by now."""


@dataclass
class Hold:
    """A night that this process has claimed; `go_on` is called often while it is being carried out."""

    bench: Workbench
    table: Timetable
    entry: str
    token: str
    night: Night
    goes_on: Callable[[], bool]
    held_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.held_at = self.bench.clock()

    def go_on(self) -> None:
        """Hold on to the night.

        Raises: LeftError where it is to be left.
        """
        if not self.goes_on():
            self.table.leave_night(self.entry, self.night, self.token, 0)
            raise LeftError
        if self.bench.clock() - self.held_at >= HOLD_EVERY_S:
            self.held_at = self.bench.clock()
            self.unless_lost(self.table.hold_night(self.entry, self.night, self.token, LEASE_MS))

    @staticmethod
    def unless_lost(reply: Reply) -> None:
        """Leave the night where the ledger refused what was to be written of it."""
        if not reply.ok:
            raise LeftError


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be done, on which nights, from when on."""

    key: str
    cron: Cron
    misfire: Misfire
    since_ms: int
    act: Callable[[Hold], Night]
    schedule: Schedule | None = None
    campaign_id: str = ""

    def next_night(self, state: EntryState, now: datetime) -> datetime:
        """Tell when its next night is, in UTC; one that is due and not begun counts."""
        since = max(state.settled_ms, self.since_ms)
        due = None if state.night else self.cron.latest(moment(since), now)
        return due or self.cron.next_after(now)


def run(bench: Workbench, is_dead: Callable[[str], bool], goes_on: Callable[[], bool]) -> None:
    """Look at every entry, and carry out what is due; what is wrong with one of them costs the others nothing.

    `is_dead` tells whether the process of an owner is certainly gone. Raises: RedisUnavailableError.
    """
    table = Timetable(bench.registry)
    for entry in entries(bench, table):
        if not goes_on():
            return
        try:
            _look(bench, table, entry, is_dead, goes_on)
        except LeftError:
            log.info("night.left", entry=entry.key)
        except RedisUnavailableError:
            raise
        except Exception:
            log.exception("timetable.entry_failed", entry=entry.key)


def run_now(
    bench: Workbench, name: str, is_dead: Callable[[str], bool], goes_on: Callable[[], bool]
) -> Night | None:
    """Carry out a schedule at once, or go on with its night that waits; None where somebody is at it.

    Raises: NotFoundError, RedisUnavailableError.
    """
    table = Timetable(bench.registry)
    schedule = table.find_schedule(name)
    if schedule is None:
        raise NotFoundError(
            f"There is no schedule {name}.", "`outreach schedule list` lists those there are."
        )
    entry = _of_schedule(schedule)
    state, now_ms = table.state(entry.key), bench.ledger.now_ms()
    fresh = Night(planned_ms=now_ms, began_ms=now_ms, by_hand=True)
    night = _mended(state.night) if state.night else fresh
    try:
        return _carry_out(bench, table, entry, night, state, is_dead, goes_on, at_once=True)
    except LeftError:
        return None


def _mended(night: Night) -> Night:
    """Have what was refused tried again: whoever goes on with a night by hand has mended something."""
    seen = {key: file for key, file in night.seen.items() if "refused" not in file}
    return replace(night, problems=(), seen=seen)


def entries(bench: Workbench, table: Timetable) -> Iterator[Entry]:
    """Go through all entries: the schedules, then the campaigns with nightly follow-ups."""
    for schedule in table.schedules():
        try:
            yield _of_schedule(schedule)
        except RefusedHereError as error:  # a zone that this machine does not know
            log.warning("timetable.entry_unusable", entry=files_entry(schedule.name), error=error.sentence)
    for campaign_id, version in table.versions().items():
        try:
            entry = _of_campaign(bench, campaign_id, version)
        except (ValueError, RefusedHereError):  # a definition of another version of ours, an unknown zone
            log.warning("timetable.entry_unusable", entry=follow_ups_entry(campaign_id))
        else:
            if entry is not None:
                yield entry


def moment(ms: int) -> datetime:
    """Give a time of the ledger's clock as an aware one."""
    return datetime.fromtimestamp(ms / 1000, tz=UTC)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _of_schedule(schedule: Schedule) -> Entry:
    return Entry(
        key=files_entry(schedule.name),
        cron=Cron(schedule.cron, schedule.timezone),
        misfire=schedule.misfire,
        since_ms=schedule.made_ms,
        act=lambda hold: load_new_files(hold, schedule),
        schedule=schedule,
    )


def _look(
    bench: Workbench,
    table: Timetable,
    entry: Entry,
    is_dead: Callable[[str], bool],
    goes_on: Callable[[], bool],
) -> None:
    """Carry out the night of an entry that is due, if there is one and nobody is at it."""
    state, now_ms = table.state(entry.key), bench.ledger.now_ms()
    if state.night is not None:
        if state.token and state.lease_ms > now_ms and not is_dead(state.owner):
            return
        if entry.cron.next_after(moment(state.night.planned_ms)) > moment(now_ms):
            if state.again_ms <= now_ms:
                _carry_out(bench, table, entry, state.night, state, is_dead, goes_on)
            return
        if not _give_up(bench, table, entry, state, is_dead):
            return
        state = table.state(entry.key)
    since = moment(max(state.settled_ms, entry.since_ms))
    planned = entry.cron.latest(since, moment(now_ms))
    if planned is not None:
        missed = entry.cron.count(since, planned)
        night = Night(planned_ms=_ms(planned), began_ms=now_ms, missed=missed)
        _carry_out(bench, table, entry, night, state, is_dead, goes_on)


def _carry_out(
    bench: Workbench,
    table: Timetable,
    entry: Entry,
    night: Night,
    state: EntryState,
    is_dead: Callable[[str], bool],
    goes_on: Callable[[], bool],
    *,
    at_once: bool = False,
) -> Night | None:
    """Claim a night, do what is to be done, and write down what came of it; None where it is somebody else's."""
    hold = _claim(bench, table, entry, night, state, is_dead, goes_on, at_once=at_once)
    if hold is None:
        return None
    if at_once:  # the night as it was left, without what was refused
        hold.night = replace(hold.night, problems=night.problems, seen=night.seen)
    is_missed = night.began_ms - night.planned_ms > MISSED_AFTER_MS
    # Not `at_once`: whoever has it done by hand wants it done.
    if is_missed and entry.misfire == "skip" and not at_once:
        done = replace(hold.night, state="skipped", outcome="Skipped: nothing was running at its time.")
    else:
        done = _act(entry, hold)
    if done.state == "waiting":
        again_in_ms = AGAIN_MS.get(done.waits_for, AGAIN_OTHERWISE_MS)
        hold.unless_lost(table.leave_night(entry.key, done, hold.token, again_in_ms))
        log.info("night.waits", entry=entry.key, waits_for=done.waits_for)
        return done
    return _end(hold, done)


def _claim(
    bench: Workbench,
    table: Timetable,
    entry: Entry,
    night: Night,
    state: EntryState,
    is_dead: Callable[[str], bool],
    goes_on: Callable[[], bool],
    *,
    at_once: bool,
) -> Hold | None:
    dead = state.token if state.token and is_dead(state.owner) else ""
    token = uuid4().hex
    taken = table.take_night(entry.key, night, token, bench.owner, LEASE_MS, instead_of=dead, at_once=at_once)
    return None if isinstance(taken, str) else Hold(bench, table, entry.key, token, taken, goes_on)


def _act(entry: Entry, hold: Hold) -> Night:
    """Do what an entry is there for; what stops it for now is waited for.

    Raises: LeftError, RedisUnavailableError.
    """
    waits: WaitsFor = "fault"
    try:
        return entry.act(hold)
    except (LeftError, RedisUnavailableError):
        raise
    except TwilioUnavailableError as error:
        waits, why = "twilio", error.sentence
    except OutreachError as error:
        why = error.sentence
    except Exception as error:
        log.exception("night.failed", entry=entry.key)
        why = f"This failed in a way it should not ({type(error).__name__}); the worker's log says more."
    outcome = f"{why} {TRIED_AGAIN}"
    return replace(hold.night, state="waiting", waits_for=waits, outcome=outcome)


def _give_up(
    bench: Workbench, table: Timetable, entry: Entry, state: EntryState, is_dead: Callable[[str], bool]
) -> bool:
    """End a night that waited or was interrupted until the next one came; False where somebody is at it."""
    assert state.night is not None
    hold = _claim(bench, table, entry, state.night, state, is_dead, lambda: True, at_once=True)
    if hold is None:
        return False
    so_far = state.night.outcome.removesuffix(f" {TRIED_AGAIN}")
    outcome = f"{so_far or 'It was interrupted.'} {_NEXT_NIGHT_HAS_COME}"
    _end(hold, replace(hold.night, state="given_up", outcome=outcome))
    return True


def _end(hold: Hold, night: Night) -> Night:
    """Write down what came of a night. Raises: LeftError."""
    late_ms = night.began_ms - night.planned_ms
    words = [night.outcome]
    if late_ms > MISSED_AFTER_MS and not night.by_hand and night.state != "skipped":
        words.append(f"It began {_span(late_ms)} late.")
    if night.missed:
        nights = "night" if night.missed == 1 else "nights"
        words.append(f"{night.missed} earlier {nights} passed with nothing running.")
    ended = replace(
        night, outcome=" ".join(words), waits_for="", ended_ms=hold.bench.ledger.now_ms(), seen={}
    )
    hold.unless_lost(hold.table.end_night(hold.entry, ended, hold.token))
    log.info("night.ended", entry=hold.entry, state=ended.state, campaigns=ended.campaigns)
    return ended


def _span(ms: int) -> str:
    minutes = ms // 60_000
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"{days} d {hours % 24} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


# Nightly follow-ups -----------------------------------------------------------------------------------------

_Nightly: TypeAlias = tuple[Cron, Misfire, int] | None
# Read once: definitions are long, there may be hundreds of campaigns, and they are asked for every 20 s.
_nightlies: dict[tuple[str, str], _Nightly] = {}


def _of_campaign(bench: Workbench, campaign_id: str, version: str) -> Entry | None:
    """Give the entry of a campaign's follow-ups; None where it has none. `version` changes with its definition."""
    known = (campaign_id, version)
    if known not in _nightlies:
        _nightlies[known] = _read_nightly(bench, campaign_id)
    nightly = _nightlies[known]
    if nightly is None:
        return None
    cron, misfire, since_ms = nightly
    key = follow_ups_entry(campaign_id)
    return Entry(key, cron, misfire, since_ms, _begin_waves, campaign_id=campaign_id)


def _read_nightly(bench: Workbench, campaign_id: str) -> _Nightly:
    info = bench.registry.get(campaign_id)
    assert info.started_at is not None, "only those that have started are asked about"
    campaign = Campaign.from_canonical_json(info.definition)
    if not campaign.follow_ups:
        return None
    nightly = campaign.nightly or Nightly()
    cron = Cron(daily(nightly.at), nightly.timezone)
    return cron, nightly.misfire, _ms(info.started_at)


def _begin_waves(hold: Hold) -> Night:
    """Have those followed up who are due at the planned time."""
    night, campaign_id = hold.night, hold.entry.removeprefix(follow_ups_entry(""))
    begun = waves.begin(hold.bench, campaign_id, moment(night.planned_ms), hold.go_on)
    if begun.why:
        return _not_begun(hold, campaign_id, begun.why)
    rows = "1 row" if begun.rows == 1 else f"{begun.rows:,} rows"
    words = [f"Follow-ups began for {rows}." if begun.rows else "Nobody was due for a follow-up."]
    if begun.overtaken:
        words.append(f"{begun.overtaken:,} had answered, or were followed up, meanwhile.")
    return replace(
        night,
        state="done" if begun.rows else "nothing",
        outcome=" ".join(words),
        campaigns=(campaign_id,),
        counts={"rows": begun.rows},
    )


def _not_begun(hold: Hold, campaign_id: str, why: str) -> Night:
    night = replace(hold.night, campaigns=(campaign_id,), outcome=f"No follow-up began: {why}.")
    if hold.bench.registry.get(campaign_id).state != "paused":
        return replace(night, state="nothing")
    return replace(night, state="waiting", waits_for="paused", outcome=f"{night.outcome} {TRIED_AGAIN}")
