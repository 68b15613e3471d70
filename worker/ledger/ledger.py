"""The ledger's rows: one method a transition, each the Lua file of the same name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import redis

from worker.ledger import keys
from worker.ledger.row import Hand, Record, Row, unpack, unpack_past
from worker.ledger.scripts import Reply, Scripts, unavailable
from worker.ledger.states import State

PAIR_LEASE_MS = 600_000
AGAIN_MS = 2_000
_HAND_FIELDS = {f.name for f in fields(Hand)}


@dataclass(frozen=True, slots=True)
class Claim:
    """Who holds a row, and for how long: every later write names the token (fencing)."""

    token: str
    owner: str
    lease_ms: int


@dataclass(frozen=True, slots=True)
class LoadRow:
    """A row to be loaded: its record, the customer's cells, and words of its own if it needs some."""

    cells: Sequence[str]
    record: bytes
    note: tuple[str, str, str] | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """What one dispatch has put into the window."""

    fresh: tuple[int, ...]
    open: tuple[int, ...]
    doubt: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ToClose:
    """An Interaction without a message, to be closed."""

    interaction_sid: str
    row: int
    channel_sid: str


class Ledger:
    """The rows of an account's campaigns. Every method raises RedisUnavailableError where Redis gives no answer."""

    def __init__(
        self, client: redis.Redis, account_tag: str, now_ms: Callable[[], int] | None = None
    ) -> None:
        self.client = client
        self.prefix = keys.prefix(account_tag)
        self.scripts = Scripts(client, now_ms)

    def key(self, campaign_id: str, suffix: str = "") -> str:
        """Name a key of a campaign."""
        base = keys.campaign(self.prefix, campaign_id)
        return f"{base}:{suffix}" if suffix else base

    def _run(self, script: str, campaign_id: str, **args: Any) -> Reply:
        return self.scripts.run(script, (self.key(campaign_id),), **args)

    # Loading ------------------------------------------------------------------------------------------------

    def load_rows(self, campaign_id: str, first: int, rows: Sequence[LoadRow]) -> Reply:
        """Load rows `first`… of one bucket; refused, with the rows loaded so far as `why`, where another loader was here.

        `first` begins a bucket, and only the last bucket may be short.
        """
        counts: dict[str, int] = {}
        rest: list[bytes | str | int] = [len(rows)]
        for at, row in enumerate(rows):
            state = str(row.record[0])
            counts[state] = counts.get(state, 0) + 1
            note = json.dumps(row.note, ensure_ascii=False) if row.note else ""
            rest += (at, json.dumps(row.cells, ensure_ascii=False, separators=(",", ":")), row.record, note)
        return self.scripts.run("load_rows", (self.key(campaign_id),), rest, first=first, counts=counts)

    # The window ---------------------------------------------------------------------------------------------

    def dispatch(self, campaign_id: str, *, fresh: int, old: int) -> Due:
        """Put due rows into the broker's window: at most `fresh` PENDING ones and `old` opened or doubtful ones."""
        new, opened, doubt = self._run("dispatch", campaign_id, fresh=fresh, old=old).values
        return Due(tuple(new), tuple(opened), tuple(doubt))

    def defer_queued(
        self, campaign_id: str, row: int, due_in_ms: int, code: int = 0, *, waits: bool = False
    ) -> Reply:
        """Give a queued row back: PENDING, due later. `waits`: it waits for its pair, since now or before."""
        return self._run(
            "defer_queued",
            campaign_id,
            row=row,
            due_in_ms=due_in_ms,
            code=code or None,
            waiting_since=waits or None,
        )

    def end_queued(self, campaign_id: str, row: int, state: State, code: int, arg: int = 0) -> Reply:
        """End a queued row without a call: SKIPPED by a rule, or FAILED."""
        return self._run("end_queued", campaign_id, row=row, state=int(state), code=code, arg=arg)

    def rescue_queued(self, campaign_id: str, *, older_ms: int, most: int = 500) -> int:
        """Make rows due again that have been in the window for `older_ms` or longer; how many."""
        return int(self._run("rescue_queued", campaign_id, older_ms=older_ms, most=most).values[0])

    # Opening ------------------------------------------------------------------------------------------------

    def claim_opening(
        self, campaign_id: str, row: int, claim: Claim, pair_key: str, version: int = 1
    ) -> Reply:
        """Claim a queued row before its Interaction is asked for; refused with the reason (`paused`, `pair`, …).

        `version`: of the definition that the row is opened with, and finished with.
        """
        args: dict[str, Any] = {
            "row": row,
            "token": claim.token,
            "owner": claim.owner,
            "lease_ms": claim.lease_ms,
        }
        args |= {"pair_ms": PAIR_LEASE_MS, "again_ms": AGAIN_MS, "version": version}
        return self.scripts.run("claim_opening", (self.key(campaign_id), pair_key), **args)

    def opened(
        self,
        campaign_id: str,
        row: int,
        token: str,
        *,
        interaction: str,
        conversation: str,
        channel: str,
        flex_task: str,
    ) -> Reply:
        """Record that Twilio took the Interaction on; SIDs that are not known yet are empty."""
        sids = {
            "interaction": interaction,
            "conversation": conversation,
            "channel": channel,
            "flex_task": flex_task,
        }
        return self._run("opened", campaign_id, row=row, token=token, **sids)

    def defer_opening(self, campaign_id: str, row: int, token: str, due_in_ms: int, code: int) -> Reply:
        """Put a row back whose Interaction was not processed."""
        return self._run("defer_opening", campaign_id, row=row, token=token, due_in_ms=due_in_ms, code=code)

    def give_up_slot(self, campaign_id: str, row: int, token: str, due_in_ms: int) -> Reply:
        """Put a claimed row back before anything was sent."""
        return self._run("give_up_slot", campaign_id, row=row, token=token, due_in_ms=due_in_ms)

    def reject_opening(self, campaign_id: str, row: int, token: str, code: int, *, stop: bool) -> Reply:
        """Record that Twilio refused the Interaction; `stop` opens the breaker at once."""
        return self._run("reject_opening", campaign_id, row=row, token=token, code=code, stop=stop)

    def skip_opening(self, campaign_id: str, row: int, token: str, code: int) -> Reply:
        """Record that the customer's pair is taken, and the rule is to skip."""
        return self._run("skip_opening", campaign_id, row=row, token=token, code=code)

    def wait_opening(self, campaign_id: str, row: int, token: str, code: int, due_in_ms: int) -> Reply:
        """Put a row back to wait until its pair is free."""
        return self._run("wait_opening", campaign_id, row=row, token=token, code=code, due_in_ms=due_in_ms)

    def doubt_opening(self, campaign_id: str, row: int, token: str, due_in_ms: int, code: int) -> Reply:
        """Record that the Interaction's request went unanswered; first look in `due_in_ms`."""
        return self._run("doubt_opening", campaign_id, row=row, token=token, due_in_ms=due_in_ms, code=code)

    # Opened -------------------------------------------------------------------------------------------------

    def take(self, campaign_id: str, row: int, claim: Claim) -> Reply:
        """Hold an opened or doubtful row while it is looked after."""
        args = {"token": claim.token, "owner": claim.owner, "lease_ms": claim.lease_ms}
        return self._run("take", campaign_id, row=row, **args)

    def wait_open(
        self,
        campaign_id: str,
        row: int,
        token: str,
        due_in_ms: int,
        *,
        conversation: str = "",
        counted: bool = False,
        seen: bool = False,
    ) -> Reply:
        """Let an opened row go until `due_in_ms`.

        `counted`: a check found that it isn't ready; `seen`: the customer is in it, only the message's slot is far off.
        """
        args = {"conversation": conversation, "counted": counted or None, "seen": seen or None}
        return self._run("wait_open", campaign_id, row=row, token=token, due_in_ms=due_in_ms, **args)

    def use_conversation(self, campaign_id: str, row: int, token: str, conversation: str) -> Reply:
        """Send into a conversation that was open before; an empty Interaction of our own is to be closed."""
        return self._run("use_conversation", campaign_id, row=row, token=token, conversation=conversation)

    def switch_interaction(
        self,
        campaign_id: str,
        row: int,
        token: str,
        *,
        interaction: str,
        conversation: str,
        channel: str,
        flex_task: str,
    ) -> Reply:
        """Go on with another Interaction of the same send: the one that holds the customer."""
        sids = {
            "interaction": interaction,
            "conversation": conversation,
            "channel": channel,
            "flex_task": flex_task,
        }
        return self._run("switch_interaction", campaign_id, row=row, token=token, **sids)

    def abandon_open(
        self,
        campaign_id: str,
        row: int,
        token: str,
        state: State,
        code: int,
        *,
        stop: bool = False,
        due_in_ms: int = 0,
        waits: bool = False,
    ) -> Reply:
        """End (FAILED, SKIPPED) or begin anew (PENDING) a row whose Interaction can't carry the message."""
        args = {
            "state": int(state),
            "code": code,
            "stop": stop,
            "due_in_ms": due_in_ms,
            "waiting": waits or None,
        }
        return self._run("abandon_open", campaign_id, row=row, token=token, **args)

    # Sending ------------------------------------------------------------------------------------------------

    def claim_sending(self, campaign_id: str, row: int, claim: Claim, conversation: str) -> Reply:
        """Claim an opened row, held with the same token, before its message is asked for."""
        args = {"token": claim.token, "owner": claim.owner, "lease_ms": claim.lease_ms}
        return self._run("claim_sending", campaign_id, row=row, conversation=conversation, **args)

    def accepted(self, campaign_id: str, row: int, token: str, message: str) -> Reply:
        """Record that Twilio answered with a message SID."""
        return self._run("accepted", campaign_id, row=row, token=token, message=message)

    def defer_sending(self, campaign_id: str, row: int, token: str, due_in_ms: int, code: int) -> Reply:
        """Put an opened row off whose message was not processed."""
        return self._run("defer_sending", campaign_id, row=row, token=token, due_in_ms=due_in_ms, code=code)

    def reject_sending(self, campaign_id: str, row: int, token: str, code: int, *, stop: bool) -> Reply:
        """Record that Twilio refused the message; the Interaction is to be closed."""
        return self._run("reject_sending", campaign_id, row=row, token=token, code=code, stop=stop)

    def reopen_sending(self, campaign_id: str, row: int, token: str, code: int, due_in_ms: int) -> Reply:
        """Begin anew with a row whose conversation was closed before its message."""
        return self._run("reopen_sending", campaign_id, row=row, token=token, code=code, due_in_ms=due_in_ms)

    def doubt_sending(self, campaign_id: str, row: int, token: str, due_in_ms: int, code: int) -> Reply:
        """Record that the message's request went unanswered; first look in `due_in_ms`."""
        return self._run("doubt_sending", campaign_id, row=row, token=token, due_in_ms=due_in_ms, code=code)

    # Doubt --------------------------------------------------------------------------------------------------

    def look_again(
        self, campaign_id: str, row: int, token: str, due_in_ms: int, *, empty: bool, code: int
    ) -> Reply:
        """Note a look that did not settle a doubt; `empty`: it was usable and found nothing."""
        args = {"due_in_ms": due_in_ms, "empty": empty or None, "code": code}
        return self._run("look_again", campaign_id, row=row, token=token, **args)

    def adopt_opening(
        self,
        campaign_id: str,
        row: int,
        token: str,
        *,
        interaction: str,
        conversation: str,
        channel: str,
        flex_task: str,
    ) -> Reply:
        """Record that the Interaction in doubt was found by our own key."""
        sids = {
            "interaction": interaction,
            "conversation": conversation,
            "channel": channel,
            "flex_task": flex_task,
        }
        return self._run("adopt_opening", campaign_id, row=row, token=token, **sids)

    def absent_opening(
        self, campaign_id: str, row: int, token: str, due_in_ms: int, *, max_attempts: int, code: int
    ) -> Reply:
        """Record that the Interaction in doubt was never created."""
        args = {"due_in_ms": due_in_ms, "max_attempts": max_attempts, "code": code, "stop": False}
        return self._run("absent_opening", campaign_id, row=row, token=token, **args)

    def adopt_sending(self, campaign_id: str, row: int, token: str, message: str) -> Reply:
        """Record that the message in doubt was found by our own key."""
        return self._run("adopt_sending", campaign_id, row=row, token=token, message=message)

    def absent_sending(
        self, campaign_id: str, row: int, token: str, due_in_ms: int, *, max_attempts: int, code: int
    ) -> Reply:
        """Record that the message in doubt was never taken."""
        args = {"due_in_ms": due_in_ms, "max_attempts": max_attempts, "code": code, "stop": False}
        return self._run("absent_sending", campaign_id, row=row, token=token, **args)

    def review(self, campaign_id: str, row: int, token: str, code: int) -> Reply:
        """Leave a doubt to a person."""
        return self._run("review", campaign_id, row=row, token=token, code=code)

    def expire(
        self, campaign_id: str, row: int, due_in_ms: int, code: int, *, owner: str | None = None
    ) -> Reply:
        """Take a row from a holder whose lease is over, or whose process (`owner`) is known to be dead."""
        return self._run("expire", campaign_id, row=row, due_in_ms=due_in_ms, code=code, owner=owner)

    # After the end ------------------------------------------------------------------------------------------

    def new_send(self, campaign_id: str, row: int, send: int) -> Reply:
        """Begin a new send of a row whose send number `send` failed; the earlier record is kept."""
        return self._run("new_send", campaign_id, row=row, send=send)

    def verdict(
        self,
        campaign_id: str,
        row: int,
        send: int,
        verdict: str,
        *,
        message: str = "",
        conversation: str = "",
        code: int = 0,
    ) -> Reply:
        """Record an operator's verdict (`sent` or `not_sent`) on a row that needs review."""
        args = {"verdict": verdict, "message": message, "conversation": conversation, "code": code}
        return self._run("verdict", campaign_id, row=row, send=send, **args)

    def cancel_rows(self, campaign_id: str, most: int = 1000) -> Reply:
        """End some more rows of a cancelled campaign; the first value is how many are left."""
        return self._run("cancel_rows", campaign_id, most=most)

    # Closing ------------------------------------------------------------------------------------------------

    def owe_close(self, campaign_id: str, row: int, interaction: str, channel: str) -> Reply:
        """Note an Interaction of ours that is to be closed beside the one that was kept."""
        return self._run("owe_close", campaign_id, row=row, interaction=interaction, channel=channel)

    def closed(self, campaign_id: str, interaction: str, *, done: bool, due_in_ms: int = 0) -> Reply:
        """Record what came of closing an Interaction."""
        return self._run(
            "closed", campaign_id, interaction=interaction, done=done or None, due_in_ms=due_in_ms
        )

    # Reading ------------------------------------------------------------------------------------------------

    def get_row(self, campaign_id: str, number: int) -> Row:
        """Read one row.

        Raises: KeyError where the ledger has no such row.
        """
        bucket, at = keys.place(number)
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hget(self.key(campaign_id, f"rw:{bucket}"), str(at))
            pipe.hget(self.key(campaign_id, f"in:{bucket}"), str(at))
            pipe.hget(self.key(campaign_id, "hand"), str(number))
            pipe.hget(self.key(campaign_id), "created_ms")
            record, cells, hand, created = self._execute(pipe)
        if record is None:
            raise KeyError(number)
        return Row(number, unpack(record, int(created)), _hand(hand), tuple(json.loads(cells)))

    def get_note(self, campaign_id: str, number: int) -> tuple[str, str, str] | None:
        """Read the words that a row has of its own: code, sentence, advice."""
        bucket, at = keys.place(number)
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hget(self.key(campaign_id, f"nt:{bucket}"), str(at))
            (note,) = self._execute(pipe)
        return None if note is None else _note(note)

    def get_past(self, campaign_id: str, number: int) -> list[Record]:
        """Read the records of a row's earlier sends, oldest first."""
        bucket, at = keys.place(number)
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hget(self.key(campaign_id, f"past:{bucket}"), str(at))
            pipe.hget(self.key(campaign_id), "created_ms")
            past, created = self._execute(pipe)
        return [] if past is None else unpack_past(past, int(created))

    def iter_rows(
        self,
        campaign_id: str,
        rows: int,
        *,
        cells: bool = True,
        whole_story: bool = True,
        buckets: int = 16,
    ) -> Iterator[tuple[int, Record, tuple[str, ...], tuple[str, str, str] | None]]:
        """Read all rows in order, some buckets at a time: number, record, cells, note.

        Without `whole_story` a record has only the last event of its story.
        """
        created = int(self._hget(self.key(campaign_id), "created_ms") or 0)
        last = (rows + keys.BUCKET - 1) // keys.BUCKET
        names = ("rw", "in", "nt") if cells else ("rw",)
        for begin in range(0, last, buckets):
            with self.client.pipeline(transaction=False) as pipe:
                for bucket in range(begin, min(begin + buckets, last)):
                    for name in names:
                        pipe.hgetall(self.key(campaign_id, f"{name}:{bucket}"))
                answers = self._execute(pipe)
            for offset in range(0, len(answers), len(names)):
                bucket = begin + offset // len(names)
                records = answers[offset]
                inputs, notes = (answers[offset + 1], answers[offset + 2]) if cells else ({}, {})
                for at in range(keys.BUCKET):
                    field = str(at).encode()
                    if field not in records:
                        continue
                    own_words = notes.get(field)
                    yield (
                        bucket * keys.BUCKET + at + 1,
                        unpack(records[field], created, whole_story=whole_story),
                        tuple(json.loads(inputs[field].decode())) if cells else (),
                        _note(own_words) if own_words else None,
                    )

    def address_hashes(self, campaign_id: str, rows: int, state: State) -> Iterator[bytes]:
        """Read the address hashes of all rows in `state`, without their cells."""
        for _, record, _, _ in self.iter_rows(campaign_id, rows, cells=False, whole_story=False):
            if record.state is state:
                yield record.address_hash

    def recent_outcomes(self, campaign_id: str, since_ms: int, most: int = 20_000) -> list[tuple[int, State]]:
        """Read the sends that ended since `since_ms` (Redis's clock), the newest first: when, and how."""
        found = self._call(
            lambda: self.client.xrevrange(self.key(campaign_id, "out"), "+", str(since_ms), count=most)
        )
        return [(int(entry.split(b"-")[0]), State(int(fields[b"s"]))) for entry, fields in found]

    def queued_count(self, campaign_id: str) -> int:
        """Count the rows in the broker's window."""
        return int(self._call(lambda: self.client.zcard(self.key(campaign_id, "queued"))))

    def leases(self, campaign_id: str) -> list[tuple[int, float]]:
        """List the rows in hand with their lease's end (ms, Redis's clock)."""
        found = self._call(lambda: self.client.zrange(self.key(campaign_id, "lease"), 0, -1, withscores=True))
        return [(int(member), float(score)) for member, score in found]

    def owners(self, campaign_id: str, rows: Sequence[int]) -> list[str]:
        """Tell who holds each of `rows`; empty where nobody does."""
        if not rows:
            return []
        found = self._call(
            lambda: self.client.hmget(self.key(campaign_id, "hand"), [str(row) for row in rows])
        )
        return [_hand(value).owner for value in found]

    def to_close(self, campaign_id: str, most: int = 50) -> list[ToClose]:
        """List Interactions whose closing is due."""
        now = self.now_ms()
        sids = self._call(
            lambda: self.client.zrangebyscore(
                self.key(campaign_id, "closing"), "-inf", now, start=0, num=most
            )
        )
        if not sids:
            return []
        values = self._call(lambda: self.client.hmget(self.key(campaign_id, "close"), sids))
        pairs = [(sid.decode(), json.loads(value)) for sid, value in zip(sids, values, strict=True) if value]
        return [ToClose(sid, int(value["row"]), value.get("channel") or "") for sid, value in pairs]

    def to_close_count(self, campaign_id: str) -> int:
        """Count the Interactions that are still to be closed."""
        return int(self._call(lambda: self.client.hlen(self.key(campaign_id, "close"))))

    def next_due_ms(self, campaign_id: str) -> tuple[int | None, int | None]:
        """Tell when the next PENDING and the next opened or doubtful row is due (ms, Redis's clock)."""
        with self.client.pipeline(transaction=False) as pipe:
            pipe.zrange(self.key(campaign_id, "due"), 0, 0, withscores=True)
            pipe.zrange(self.key(campaign_id, "later"), 0, 0, withscores=True)
            due, later = self._execute(pipe)
        return (int(due[0][1]) if due else None, int(later[0][1]) if later else None)

    def now_ms(self) -> int:
        """Read the clock that the scripts go by: Redis's own, unless another was passed in."""
        return self.scripts.now_ms(self._call(self.client.time))

    def _hget(self, key: str, name: str) -> bytes | None:
        found: bytes | None = self._call(lambda: self.client.hget(key, name))
        return found

    def _execute(self, pipe: Any) -> list[Any]:
        answers: list[Any] = self._call(pipe.execute)
        return answers

    def _call(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except redis.RedisError as error:
            wrapped = unavailable(error)
            if wrapped is None:
                raise
            raise wrapped from error


def _hand(value: bytes | None) -> Hand:
    known: dict[str, Any] = {}
    for name, item in json.loads(value or b"{}").items():
        if name in _HAND_FIELDS:
            known[name] = int(item) if isinstance(item, float) else item
    return Hand(**known)


def _note(value: bytes) -> tuple[str, str, str]:
    code, sentence, advice = json.loads(value)
    return code, sentence, advice
