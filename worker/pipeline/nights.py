"""How the timetable stands, for people and programs: each entry's next night, what came of the last, who is there to act."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from worker.ledger.timetable import EntryState, Night, Taken, Timetable
from worker.pipeline.bench import Workbench
from worker.pipeline.status import alive_workers
from worker.pipeline.timetable import Entry, entries, moment

NO_BEAT = "No beat is running, so nothing happens at its time: start `outreach beat`."


def overview(bench: Workbench, *, has_beat: bool) -> dict[str, Any]:
    """Describe all entries of an account; `missing` says in sentences who is not there to act on them."""
    table = Timetable(bench.registry)
    now = moment(bench.ledger.now_ms())
    found = [_describe(table, entry, now) for entry in entries(bench, table)]
    return {"entries": found, **attendance(bench, has_beat=has_beat, needed=bool(found))}


def attendance(bench: Workbench, *, has_beat: bool, needed: bool) -> dict[str, Any]:
    """Tell whether a beat and workers are there; where they are `needed` and are not, `missing` says so.

    `has_beat` is told by whoever knows: one beat, beside the main account's ledger, wakes the workers for every account.
    """
    workers, missing = len(alive_workers(bench)), []
    if needed and not has_beat:
        missing.append(NO_BEAT)
    if needed and not workers:
        missing.append("No worker is running, so nothing is carried out: start `outreach worker`.")
    return {"beat": has_beat, "workers": workers, "missing": missing}


def has_entries(bench: Workbench) -> bool:
    """Tell whether there is anything in the timetable."""
    return next(entries(bench, Timetable(bench.registry)), None) is not None


def history(bench: Workbench, entry: str) -> dict[str, Any]:
    """Describe the nights of an entry, the newest first, and the files it has taken, the latest first."""
    table = Timetable(bench.registry)
    state, nights = table.state(entry), table.nights(entry)
    shown = [state.night, *nights] if state.night else nights
    taken = sorted(table.taken(entry).values(), key=lambda file: file.night_ms, reverse=True)
    return {"nights": [describe_night(night) for night in shown], "taken": [_file(file) for file in taken]}


def describe_night(night: Night) -> dict[str, Any]:
    """Describe what happened in one night."""
    return {
        "planned_at": moment(night.planned_ms).isoformat(),
        "began_at": moment(night.began_ms).isoformat(),
        "ended_at": moment(night.ended_ms).isoformat() if night.ended_ms else None,
        "state": night.state,
        "outcome": night.outcome,
        "by_hand": night.by_hand,
        "missed": night.missed,
        "campaigns": list(night.campaigns),
        "files": list(night.files),
        "counts": dict(night.counts),
        "problems": list(night.problems),
    }


def _describe(table: Timetable, entry: Entry, now: datetime) -> dict[str, Any]:
    state = table.state(entry.key)
    next_at = entry.next_night(state, now)
    schedule = entry.schedule
    return {
        "kind": "files" if schedule else "follow-ups",
        "name": schedule.name if schedule else entry.campaign_id,
        "campaign": schedule.campaign if schedule else None,
        "customers": schedule.customers if schedule else None,
        "cron": entry.cron.expression,
        "timezone": entry.cron.zone.key,
        "misfire": entry.misfire,
        "next_at": next_at.astimezone(entry.cron.zone).isoformat(),
        "next_at_utc": next_at.isoformat(),
        "is_due": next_at <= now,
        "last": _last(table, entry.key, state),
    }


def _last(table: Timetable, entry: str, state: EntryState) -> dict[str, Any] | None:
    night = state.night or next(iter(table.nights(entry, 1)), None)
    return describe_night(night) if night else None


def _file(file: Taken) -> dict[str, Any]:
    return {
        "file": file.file,
        "sha256": file.sha256,
        "night": moment(file.night_ms).isoformat(),
        "campaign": file.campaign,
    }
