"""The timetable: what is to be done on which nights, each night done once, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from worker.ledger import keys
from worker.ledger.registry import Registry
from worker.ledger.scripts import Reply

NightState = Literal["running", "waiting", "done", "nothing", "refused", "skipped", "given_up"]
Misfire = Literal["catch_up", "skip"]
WaitsFor = Literal["", "file", "earlier_file", "twilio", "definition", "paused", "fault"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A campaign that takes in the new files of a path or glob at a cron time in a zone; paths are absolute."""

    name: str
    campaign: str
    customers: str
    cron: str
    timezone: str
    misfire: Misfire = "catch_up"
    made_ms: int = 0


@dataclass(frozen=True, slots=True)
class Night:
    """What happened at one planned time. `outcome` is a sentence; `files` are names without their folder.

    `missed`: earlier planned times that passed since the night before, with nobody there to act. `seen` is what is known of
    files that may still be written: name's digest -> [stamp, since when it is that].
    """

    planned_ms: int
    began_ms: int
    ended_ms: int | None = None
    state: NightState = "running"
    outcome: str = ""
    waits_for: WaitsFor = ""
    by_hand: bool = False
    missed: int = 0
    campaigns: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    seen: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """Write it as the ledger keeps it."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Night:
        """Read what `as_json` wrote."""
        found = json.loads(text)
        lists = {name: tuple(found[name]) for name in ("campaigns", "files", "problems")}
        return cls(**{**found, **lists})


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that a schedule has taken; `stamp` tells it from others of its name without reading it."""

    file: str
    stamp: str
    night_ms: int
    campaign: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class EntryState:
    """How an entry stands: `settled_ms` is the last night that ended, `night` the one that has not."""

    settled_ms: int = 0
    night: Night | None = None
    token: str = ""
    owner: str = ""
    lease_ms: int = 0
    again_ms: int = 0


class Timetable:
    """The entries of one account: `files:<schedule>` and `follow-ups:<campaign id>`."""

    def __init__(self, registry: Registry) -> None:
        self.client = registry.client
        self.prefix = registry.prefix
        self.scripts = registry.scripts
        self._names = f"{self.prefix}schedules"

    # Schedules ----------------------------------------------------------------------------------------------

    def put_schedule(self, schedule: Schedule) -> Reply:
        """Add a schedule; refused where there is one of its name."""
        text = json.dumps(asdict(schedule))
        return self._run(
            "put_schedule", files_entry(schedule.name), self._names, id=schedule.name, schedule=text
        )

    def drop_schedule(self, name: str) -> Reply:
        """Remove a schedule and all that is known of its nights."""
        return self._run("drop_schedule", files_entry(name), self._names, id=name)

    def schedules(self) -> list[Schedule]:
        """List the schedules by name."""
        names = sorted(self.scripts.ask(lambda: self.client.smembers(self._names)))
        found = (self.find_schedule(name.decode()) for name in names)
        return [schedule for schedule in found if schedule is not None]

    def find_schedule(self, name: str) -> Schedule | None:
        """Find a schedule."""
        where = self._key(files_entry(name))
        text, made_ms = self.scripts.ask(lambda: self.client.hmget(where, "schedule", "made_ms"))
        return None if text is None else replace(Schedule(**json.loads(text)), made_ms=int(made_ms))

    # Nights -------------------------------------------------------------------------------------------------

    def take_night(
        self,
        entry: str,
        night: Night,
        token: str,
        owner: str,
        lease_ms: int,
        *,
        instead_of: str = "",
        at_once: bool = False,
    ) -> Night | str:
        """Claim a night, or go on with it; why not, where that is refused."""
        reply = self._run(
            "take_night",
            entry,
            planned_ms=night.planned_ms,
            night=night.as_json(),
            token=token,
            owner=owner,
            lease_ms=lease_ms,
            made=entry.startswith(_FILES) or None,
            instead_of=instead_of or None,
            at_once=at_once or None,
        )
        return Night.from_json(reply.values[0]) if reply.ok else reply.why

    def hold_night(self, entry: str, night: Night, token: str, lease_ms: int) -> Reply:
        """Hold on to a night for `lease_ms` from now."""
        return self._run("note_night", entry, token=token, night=night.as_json(), lease_ms=lease_ms)

    def leave_night(self, entry: str, night: Night, token: str, again_in_ms: int) -> Reply:
        """Leave a night to be tried again."""
        return self._run("note_night", entry, token=token, night=night.as_json(), again_in_ms=again_in_ms)

    def end_night(self, entry: str, night: Night, token: str) -> Reply:
        """Write down what came of a night."""
        return self._run("note_night", entry, token=token, night=night.as_json())

    def state(self, entry: str) -> EntryState:
        """Tell how an entry stands."""
        names = ("settled_ms", "night", "token", "owner", "lease_ms", "again_ms")
        found = self.scripts.ask(lambda: self.client.hmget(self._key(entry), *names))
        settled, night, token, owner, lease, again = found
        return EntryState(
            settled_ms=int(settled or 0),
            night=Night.from_json(night) if night else None,
            token=(token or b"").decode(),
            owner=(owner or b"").decode(),
            lease_ms=int(lease or 0),
            again_ms=int(again or 0),
        )

    def nights(self, entry: str, most: int = 60) -> list[Night]:
        """List the nights that ended, the newest first."""
        found = self.scripts.ask(lambda: self.client.lrange(f"{self._key(entry)}:nights", 0, most - 1))
        return [Night.from_json(text) for text in found]

    # Files --------------------------------------------------------------------------------------------------

    def take_file(self, entry: str, night: Night, token: str, file: Taken) -> Reply:
        """Note that a file has been taken, and the night as it stands with it."""
        kept = asdict(file)
        sha256 = kept.pop("sha256")
        text = json.dumps(kept)
        return self._run("take_file", entry, token=token, night=night.as_json(), sha256=sha256, file=text)

    def taken(self, entry: str) -> dict[str, Taken]:
        """Give the files that were taken, by SHA-256."""
        found = self.scripts.ask(lambda: self.client.hgetall(f"{self._key(entry)}:taken"))
        return {
            sha256.decode(): Taken(**json.loads(text), sha256=sha256.decode())
            for sha256, text in found.items()
        }

    # Beats --------------------------------------------------------------------------------------------------

    def has_beat(self) -> bool:
        """Tell whether a beat acts, or did until some seconds ago."""
        return bool(self.scripts.ask(lambda: self.client.exists(keys.beat_lock(self.prefix))))

    def versions(self) -> dict[str, str]:
        """Give what the definition of each campaign is known by that may be followed up; it changes with the definition."""
        ids = self.scripts.ask(lambda: self.client.zrange(f"{self.prefix}campaigns", 0, -1))
        fields = ("born", "version", "state", "follow_ups")

        def read() -> list[Any]:
            with self.client.pipeline(transaction=False) as pipe:
                for each in ids:
                    pipe.hmget(keys.campaign(self.prefix, each.decode()), *fields)
                return list(pipe.execute())

        found = zip(ids, self.scripts.ask(read), strict=True)
        return {
            each.decode(): f"{born.decode()}.{version.decode()}"
            for each, (born, version, state, follow_ups) in found
            if born and state not in (None, b"loading", b"cancelled") and follow_ups != b"stopped"
        }

    def _key(self, entry: str) -> str:
        return keys.entry(self.prefix, entry)

    def _run(self, script: str, entry: str, *more: str, **args: Any) -> Reply:
        return self.scripts.run(script, (self._key(entry), *more), args)


_FILES, _FOLLOW_UPS = "files:", "follow-ups:"


def files_entry(schedule: str) -> str:
    """Name the entry of a schedule."""
    return f"{_FILES}{schedule}"


def follow_ups_entry(campaign_id: str) -> str:
    """Name the entry of a campaign's nightly follow-ups."""
    return f"{_FOLLOW_UPS}{campaign_id}"
