"""The ledger's campaigns and workers: what there is, what state it is in, and who works on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import redis

from worker.errors import NotFoundError, RedisUnavailableError
from worker.ledger import keys
from worker.ledger.floors import Floors
from worker.ledger.scripts import Reply, Scripts
from worker.ledger.standings import Standing, read_standings
from worker.ledger.states import IN_DOUBT, IN_FLIGHT, STATUS_WORDS, Delivery, State, status_word
from worker.redis_calls import Ask, ask_once


@dataclass(frozen=True, slots=True)
class CampaignInfo:
    """A campaign as the ledger has it. `state` is what was set; `stands` what follows from it and the counts.

    `deliveries`: of the messages accepted, of the rows' present sends; `undelivered`: Twilio's code -> how many of them.
    `cautious`: above 0 where the ledger may be older than what was sent, by at least `behind` steps; each caution has a number.
    """

    id: str
    name: str
    state: str
    definition: str
    version: int
    columns: tuple[str, ...]
    file: str
    file_sha256: str
    rows: int
    loaded: int
    cursor: int
    seq: int
    generation: int
    created_at: datetime
    started_at: datetime | None
    paused_by: str
    reason_code: int
    counts: Mapping[State, int]
    next_due_ms: int | None
    next_later_ms: int | None
    queued: int
    now_ms: int
    putting_back: int = 0
    cautious: int = 0
    behind: int = 0
    is_rebuilt: bool = False
    deliveries: Mapping[Delivery, int] = field(default_factory=dict)
    undelivered: Mapping[int, int] = field(default_factory=dict)
    answered: int = 0
    opted_out: int = 0
    has_follow_ups_stopped: bool = False

    @property
    def left(self) -> int:
        """Count the rows whose send has not ended, and those that the breaker is still putting back."""
        return sum(n for state, n in self.counts.items() if not state.is_ended) + self.putting_back

    @property
    def in_flight(self) -> int:
        """Count the rows opened or being opened."""
        return sum(self.counts.get(state, 0) for state in IN_FLIGHT)

    @property
    def in_doubt(self) -> int:
        """Count the rows whose request went unanswered and is being looked up."""
        return sum(self.counts.get(state, 0) for state in IN_DOUBT)

    @property
    def stands(self) -> str:
        """Tell the campaign's state: loading, running, paused, waiting, finished or cancelled."""
        if self.state in ("loading", "cancelled"):
            return self.state
        if self.left == 0:
            return "finished"
        if self.state == "running" and self.is_idle:
            return "waiting"
        return self.state

    @property
    def is_idle(self) -> bool:
        """Tell whether rows are left but nothing is in hand or due now."""
        if self.queued or self.in_flight > self.waiting_open or self.cursor < self.rows:
            return False
        dues = [due for due in (self.next_due_ms, self.next_later_ms) if due is not None]
        return all(due > self.now_ms for due in dues)

    @property
    def waiting_open(self) -> int:
        """Count the opened rows that nobody holds now (their channel or customer isn't there yet)."""
        return self.counts.get(State.OPEN, 0)

    def status_counts(self) -> dict[str, int]:
        """Count the rows by the results file's words; every word is there, and they add up to the rows."""
        words = dict.fromkeys(STATUS_WORDS, 0)
        for state, n in self.counts.items():
            words[status_word(state)] += n
        return words


@dataclass(frozen=True, slots=True)
class Look:
    """What a worker sees of an account: whose process does its tick now, and what there is to do."""

    leader: str
    active: tuple[str, ...]
    has_polls: bool


class Registry:
    """The campaigns and workers of one account."""

    def __init__(
        self,
        client: redis.Redis,
        account_tag: str,
        now_ms: Callable[[], int] | None = None,
        floors: Floors | None = None,
        ask: Ask = ask_once,
    ) -> None:
        self.client = client
        self.prefix = keys.prefix(account_tag)
        self.scripts = Scripts(client, now_ms, floors, ask)

    # Campaigns ----------------------------------------------------------------------------------------------

    def create(
        self, campaign_id: str, fields: Mapping[str, str], *, seen: int = 0, created_ms: int = 0
    ) -> Reply:
        """Create an empty campaign that is `loading`; refused where it exists.

        `seen`: how far it had come when it was here before, created at `created_ms`; it is cautious then.
        """
        where = (keys.campaign(self.prefix, campaign_id), f"{self.prefix}campaigns", f"{self.prefix}active")
        args = {
            "id": campaign_id,
            "fields": dict(fields),
            "seen": seen or None,
            "created_ms": created_ms or None,
            "birth": uuid4().hex[:12],
        }
        return self.scripts.run("create", where, args)

    def heed(self, campaign_id: str, seen: int) -> None:
        """Take notice of how far somebody has seen a campaign come; where Redis is behind that, it goes on cautious."""
        self._run("heed", campaign_id, floor=seen, born=None)

    def watch(self, active: Iterable[str] | None = None) -> None:
        """Learn how far the active campaigns have come; where Redis is behind what was seen before, have it noticed."""
        # A wave that an older ledger does not know is begun anew by its campaign, which is finished, most likely.
        active = self.active() if active is None else active
        ids = {each for name in active for each in (name, keys.parent_of(name))}
        names = [keys.campaign(self.prefix, each) for each in sorted(ids)]
        floors = [self.scripts.floors.of(name) for name in names]

        def read() -> list[Any]:
            with self.client.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.hmget(name, "born", "seq")
                return list(pipe.execute())

        for name, floor, (born, seq) in zip(
            names, floors, self.scripts.ask(read) if names else (), strict=True
        ):
            if born is None:
                continue
            if born.decode() == floor[0] and int(seq) < floor[1]:
                self.scripts.run("heed", (name,), {})
            else:
                self.scripts.floors.note(name, born.decode(), int(seq))

    def seen(self, campaign_id: str) -> int:
        """Tell how far this process has seen a campaign come."""
        return self.scripts.floors.of(keys.campaign(self.prefix, campaign_id))[1]

    def start(self, campaign_id: str, rows: int, known: Iterable[str] | None = None) -> Reply:
        """Start a campaign whose rows are all loaded.

        `known`: those of this name that have started, as far as was known; refused as `other`, with its id, where there
        is one more.
        """
        where = (keys.campaign(self.prefix, campaign_id), f"{self.prefix}campaigns")
        others = None if known is None else dict.fromkeys(known, True)
        return self.scripts.run("start", where, {"rows": rows, "known": others})

    def pause(self, campaign_id: str, by: str) -> Reply:
        """Pause a running campaign."""
        return self._run("pause", campaign_id, by=by)

    def resume(self, campaign_id: str) -> Reply:
        """Let a paused campaign go on."""
        return self._run("resume", campaign_id)

    def cancel(self, campaign_id: str) -> Reply:
        """Cancel a campaign; its rows are ended by `Ledger.cancel_rows`."""
        return self._run("cancel", campaign_id)

    def update_definition(self, campaign_id: str, definition: str, version: int) -> Reply:
        """Apply a changed definition to the rows not opened yet."""
        return self._run("update_definition", campaign_id, definition=definition, version=version)

    def definition(self, campaign_id: str, version: int) -> str:
        """Read an earlier version of a campaign's definition, or the present one where it is that.

        Raises: NotFoundError where there is no such campaign.
        """
        name = keys.campaign(self.prefix, campaign_id)
        kept, present = self.scripts.ask(
            lambda: self.client.hmget(name, [f"definition:{version}", "definition"])
        )
        if present is None:
            self.get(campaign_id)
        return str((kept or present).decode())

    def find(self, campaign_id: str) -> CampaignInfo | None:
        """Read a campaign; None where there is none of this id."""
        base = keys.campaign(self.prefix, campaign_id)

        def read() -> list[Any]:
            with self.client.pipeline(transaction=False) as pipe:
                pipe.hgetall(base)
                pipe.zrange(f"{base}:due", 0, 0, withscores=True)
                pipe.zrange(f"{base}:later", 0, 0, withscores=True)
                pipe.zcard(f"{base}:queued")
                pipe.zrange(f"{base}:back", 0, -1, withscores=True)
                pipe.time()
                pipe.hmget(keys.campaign(self.prefix, keys.parent_of(campaign_id)), _HEEDED)
                return list(pipe.execute())

        found, due, later, queued, back, moment, above = self.scripts.ask(read)
        if not found:
            return None
        texts = {name.decode(): value.decode() for name, value in found.items()}
        if keys.is_wave(campaign_id):
            texts |= _from_above(dict(zip(_HEEDED, above, strict=True)))
        caution = above[0]
        self.scripts.floors.note(base, texts.get("born", ""), int(texts["seq"]))
        return CampaignInfo(
            id=campaign_id,
            name=texts["name"],
            state=texts["state"],
            definition=texts["definition"],
            version=int(texts["version"]),
            columns=tuple(json.loads(texts["columns"])),
            file=texts.get("file", ""),
            file_sha256=texts["file_sha256"],
            rows=int(texts["rows"]) or int(texts["loaded"]),
            loaded=int(texts["loaded"]),
            cursor=int(texts["cursor"]),
            seq=int(texts["seq"]),
            generation=int(texts.get("generation", 0)),
            created_at=_moment(texts["created_ms"]),
            started_at=_moment(texts["started_ms"]) if "started_ms" in texts else None,
            paused_by=texts.get("paused_by", ""),
            reason_code=int(texts.get("reason_code", 0)),
            counts={state: int(texts.get(f"n{state:d}", 0)) for state in State},
            next_due_ms=int(due[0][1]) if due else None,
            next_later_ms=int(later[0][1]) if later else None,
            queued=int(queued),
            now_ms=self.scripts.now_ms(moment),
            putting_back=sum(int(rows) for _, rows in back),
            cautious=max(int(texts.get("cautious", 0)), int(caution or 0)),
            behind=int(texts.get("behind", 0)),
            is_rebuilt="rebuilt" in texts,
            deliveries={each: int(texts.get(f"d{each:d}", 0)) for each in Delivery if each},
            undelivered=_undelivered(texts),
            answered=int(texts.get("answered", 0)),
            opted_out=int(texts.get("opted_out", 0)),
            has_follow_ups_stopped=texts.get("follow_ups") == "stopped",
        )

    def standings(self) -> list[Standing]:
        """Read how all active campaigns stand that have anything to be queued, in the window, or in doubt."""
        return read_standings(self.scripts, self.prefix)

    def get(self, campaign_id: str) -> CampaignInfo:
        """Read a campaign.

        Raises: NotFoundError where there is none of this id.
        """
        info = self.find(campaign_id)
        if info is None:
            raise NotFoundError(
                f"There is no campaign {campaign_id}.", "`outreach status` lists those there are."
            )
        return info

    def ids(self) -> list[str]:
        """List the ids of all campaigns, the newest first."""
        found = self.scripts.ask(lambda: self.client.zrevrange(f"{self.prefix}campaigns", 0, -1))
        return [name.decode() for name in found]

    def seqs(self) -> dict[str, int]:
        """Read the sequence number of every campaign, which each of its transitions raises."""
        ids = self.ids()

        def read() -> list[Any]:
            with self.client.pipeline(transaction=False) as pipe:
                for campaign_id in ids:
                    pipe.hget(keys.campaign(self.prefix, campaign_id), "seq")
                return list(pipe.execute())

        return {
            name: int(seq) for name, seq in zip(ids, self.scripts.ask(read), strict=True) if seq is not None
        }

    def active(self) -> list[str]:
        """List the ids of campaigns that may have rows or closings left, in a fixed order."""
        return sorted(
            name.decode() for name in self.scripts.ask(lambda: self.client.smembers(f"{self.prefix}active"))
        )

    def set_active(self, campaign_id: str, *, active: bool) -> None:
        """Note whether a campaign has anything left for the tick to look after; where it has, it stays active."""
        name = f"{self.prefix}active"
        if active:
            self.scripts.ask(lambda: self.client.sadd(name, campaign_id))
        else:
            where = (keys.campaign(self.prefix, campaign_id), name)
            self.scripts.run("deactivate", where, {"id": campaign_id})

    def discard(self, campaign_id: str) -> Reply:
        """Remove a campaign that never started, with all its rows; refused where it has.

        Raises: NotFoundError where there is none of this id.
        """
        self.get(campaign_id)
        where = (keys.campaign(self.prefix, campaign_id), f"{self.prefix}campaigns", f"{self.prefix}active")
        return self.scripts.run("discard", where, {"id": campaign_id})

    def write_trouble(self) -> str:
        """Say why Redis takes no changes now, though it answers; empty where it does take them."""
        try:
            self.scripts.ask(lambda: self.client.set(f"{self.prefix}probe", "", px=1_000))
        except RedisUnavailableError as error:
            return error.sentence
        return ""

    # Workers ------------------------------------------------------------------------------------------------

    def see_worker(self, owner: str, facts: Mapping[str, Any]) -> None:
        """Note that a worker is alive, with its host, pid and threads."""
        seconds, _ = self.scripts.ask(self.client.time)
        text = json.dumps({**facts, "seen_s": int(seconds)})
        self.scripts.ask(lambda: self.client.hset(f"{self.prefix}workers", owner, text))

    def forget_worker(self, owner: str) -> None:
        """Note that a worker is gone."""
        self.scripts.ask(lambda: self.client.hdel(f"{self.prefix}workers", owner))

    def workers(self) -> dict[str, dict[str, Any]]:
        """List the workers: owner -> facts, with `age_s` since they were last seen."""
        found = self.scripts.ask(lambda: self.client.hgetall(f"{self.prefix}workers"))
        seconds, _ = self.scripts.ask(self.client.time)
        workers = {name.decode(): json.loads(value) for name, value in found.items()}
        return {name: {**facts, "age_s": int(seconds) - facts["seen_s"]} for name, facts in workers.items()}

    def look(self, owner: str, lead_ms: int, *, renew: bool = False) -> Look:
        """See in one round trip what there is to do, and lead the account for `lead_ms` where nobody does.

        `renew`: by who leads already, so that he goes on to. Two that lead do no harm: every transition is guarded.
        """
        *_, leader, active, has_polls = self.scripts.ask(lambda: self._look(owner, lead_ms, renew=renew))
        names = tuple(sorted(each.decode() for each in active))
        return Look(leader=(leader or b"").decode(), active=names, has_polls=bool(has_polls))

    def _look(self, owner: str, lead_ms: int, *, renew: bool) -> list[Any]:
        name = f"{self.prefix}tick"
        with self.client.pipeline(transaction=False) as pipe:
            pipe.set(name, owner, nx=True, px=lead_ms)
            if renew:
                pipe.pexpire(name, lead_ms)
            pipe.get(name)
            pipe.smembers(f"{self.prefix}active")
            pipe.exists(f"{self.prefix}polling")
            return list(pipe.execute())

    def unlead(self) -> None:
        """Let the next one lead at once, for who did leaves, or is gone."""
        self.scripts.ask(lambda: self.client.delete(f"{self.prefix}tick"))

    def _run(self, script: str, campaign_id: str, **args: Any) -> Reply:
        return self.scripts.run(script, (keys.campaign(self.prefix, campaign_id),), args)


_HEEDED = ("cautious", "state", "paused_by", "reason_code", "follow_ups")
"""What a wave heeds of its campaign."""


def _from_above(campaign: Mapping[str, bytes | None]) -> dict[str, str]:
    """Give what a wave has of its campaign's state, as the scripts see it: its pause, its end, that follow-ups were stopped."""
    known = {name: value.decode() for name, value in campaign.items() if value is not None}
    if known.get("state") == "cancelled" or known.get("follow_ups") == "stopped":
        return {"state": "cancelled"}
    if known.get("state") == "paused":
        return {name: known.get(name, "") for name in ("state", "paused_by", "reason_code")}
    return {}


def _undelivered(fields: Mapping[str, str]) -> dict[int, int]:
    return {
        int(name[2:]): int(n) for name, n in fields.items() if name.startswith("dc") and name[2:].isdecimal()
    }


def _moment(ms: str) -> datetime:
    return datetime.fromtimestamp(int(ms) / 1000, tz=UTC)
