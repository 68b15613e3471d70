"""Reads the ledger: rows, notes, earlier sends, leases and what is to be closed; changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import redis

from worker import json_text
from worker.ledger import keys
from worker.ledger.floors import Floors
from worker.ledger.row import Hand, PackedRecord, Record, Row, unpack_past
from worker.ledger.scripts import Reply, Scripts
from worker.ledger.states import State
from worker.redis_calls import Ask, ask_once

_NO_HAND = Hand()
_FIELDS = [str(at).encode() for at in range(keys.BUCKET)]


@dataclass(frozen=True, slots=True)
class ToClose:
    """An Interaction without a message, to be closed; `refused_since` (ms): from when on Twilio has refused it."""

    interaction_sid: str
    row: int
    channel_sid: str
    refusals: int = 0
    refused_since: int = 0


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """An Interaction without a message that Twilio does not let us close: somebody must do it by hand."""

    interaction_sid: str
    row: int
    code: int


class LedgerReader:
    """What the ledger knows of an account's rows. Every method raises RedisUnavailableError where Redis gives no answer."""

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

    def _run(self, script: str, campaign_id: str, **args: Any) -> Reply:
        return self.scripts.run(script, (self.key(campaign_id),), args)

    def key(self, campaign_id: str, suffix: str = "") -> str:
        """Name a key of a campaign."""
        base = keys.campaign(self.prefix, campaign_id)
        return f"{base}:{suffix}" if suffix else base

    def get_row(self, campaign_id: str, number: int) -> Row:
        """Read one row.

        Raises: KeyError where the ledger has no such row.
        """
        for row in self.get_rows(campaign_id, (number,)):
            return row._replace(record=row.record.whole())
        raise KeyError(number)

    def get_rows(self, campaign_id: str, numbers: Sequence[int]) -> list[Row]:
        """Read some rows together, by bucket; those that the ledger does not have are left out."""
        places: dict[int, dict[int, str]] = {}
        for number in numbers:
            bucket, at = keys.place(number)
            places.setdefault(bucket, {})[number] = str(at)
        in_order = [number for each in places.values() for number in each]

        def look(pipe: Any) -> None:
            pipe.hget(self.key(campaign_id), "created_ms")
            pipe.hmget(self.key(campaign_id, "hand"), in_order)
            for bucket, ats in places.items():
                pipe.hmget(self.key(campaign_id, f"rw:{bucket}"), ats.values())
                pipe.hmget(self.key(keys.parent_of(campaign_id), f"in:{bucket}"), ats.values())

        created, hands, *found = self._together(look)
        records, cells = chain.from_iterable(found[::2]), chain.from_iterable(found[1::2])
        return [
            Row(number, PackedRecord(record, int(created)), _hand(hand), tuple(json_text.loads(own)))
            for number, record, hand, own in zip(in_order, records, hands, cells, strict=True)
            if record is not None
        ]

    def get_note(self, campaign_id: str, number: int) -> tuple[str, str, str] | None:
        """Read the words that a row has of its own: code, sentence, advice."""
        bucket, at = keys.place(number)
        note = self._hget(self.key(campaign_id, f"nt:{bucket}"), str(at))
        return None if note is None else _note(note)

    def get_past(self, campaign_id: str, number: int) -> list[Record]:
        """Read the records of a row's earlier sends, oldest first."""
        bucket, at = keys.place(number)

        def look(pipe: Any) -> None:
            pipe.hget(self.key(campaign_id, f"past:{bucket}"), str(at))
            pipe.hget(self.key(campaign_id), "created_ms")

        past, created = self._together(look)
        return [] if past is None else unpack_past(past, int(created))

    def iter_rows(
        self,
        campaign_id: str,
        rows: int,
        *,
        cells: bool = True,
        buckets: int = 16,
    ) -> Iterator[tuple[int, PackedRecord, tuple[str, ...], tuple[str, str, str] | None]]:
        """Read all rows in order, some buckets at a time: number, record, cells, note."""
        created = int(self._hget(self.key(campaign_id), "created_ms") or 0)
        last = (rows + keys.BUCKET - 1) // keys.BUCKET
        names = ("rw", "in", "nt") if cells else ("rw",)
        for begin in range(0, last, buckets):
            wanted = [
                self.key(keys.parent_of(campaign_id) if name == "in" else campaign_id, f"{name}:{bucket}")
                for bucket in range(begin, min(begin + buckets, last))
                for name in names
            ]
            answers = self._together(partial(_look_all, wanted))
            for offset in range(0, len(answers), len(names)):
                bucket = begin + offset // len(names)
                records = answers[offset]
                inputs, notes = (_all_cells(answers[offset + 1]), answers[offset + 2]) if cells else ({}, {})
                for number, field in enumerate(_FIELDS, bucket * keys.BUCKET + 1):
                    if field not in records:
                        continue
                    own_words = notes.get(field)
                    yield (
                        number,
                        PackedRecord(records[field], created),
                        tuple(inputs[field]) if cells else (),
                        _note(own_words) if own_words else None,
                    )

    def read_bucket(self, campaign_id: str, bucket: int) -> Iterator[tuple[int, Record]]:
        """Read the records of one bucket of rows, in order: number, record."""

        def look(pipe: Any) -> None:
            pipe.hgetall(self.key(campaign_id, f"rw:{bucket}"))
            pipe.hget(self.key(campaign_id), "created_ms")

        records, created = self._together(look)
        for number, field in enumerate(_FIELDS, bucket * keys.BUCKET + 1):
            value = records.get(field)
            if value is not None:
                yield number, PackedRecord(value, int(created))

    def read_rows(self, campaign_id: str, numbers: Sequence[int]) -> list[tuple[Record, tuple[str, ...]]]:
        """Read some rows, which are there, together: the record and the cells of each."""

        def look(pipe: Any) -> None:
            for number in numbers:
                bucket, at = keys.place(number)
                pipe.hget(self.key(campaign_id, f"rw:{bucket}"), str(at))
                pipe.hget(self.key(keys.parent_of(campaign_id), f"in:{bucket}"), str(at))
            pipe.hget(self.key(campaign_id), "created_ms")

        *found, created = self._together(look)
        return [
            (PackedRecord(record, int(created)), tuple(json_text.loads(cells)))
            for record, cells in zip(found[::2], found[1::2], strict=True)
        ]

    def address_hashes(self, campaign_id: str, rows: int, *states: State) -> Iterator[bytes]:
        """Read the address hashes of all rows in one of `states`, without their cells."""
        for _, record, _, _ in self.iter_rows(campaign_id, rows, cells=False):
            if record.state in states:
                yield record.address_hash

    def recent_outcomes(self, campaign_id: str, since_ms: int, most: int = 20_000) -> list[tuple[int, State]]:
        """Read the sends that ended, not cancelled, since `since_ms` (Redis's clock), the newest first: when, and how."""
        found = self.scripts.ask(
            lambda: self.client.xrevrange(self.key(campaign_id, "out"), "+", str(since_ms), count=most)
        )
        return [(int(entry.split(b"-")[0]), State(int(fields[b"s"]))) for entry, fields in found]

    def queued_count(self, campaign_id: str) -> int:
        """Count the rows in the broker's window."""
        return int(self.scripts.ask(lambda: self.client.zcard(self.key(campaign_id, "queued"))))

    def leases(self, campaign_id: str, until_ms: float = math.inf) -> list[tuple[int, float]]:
        """List the rows in hand with their lease's end (ms, Redis's clock), of those that end by then."""
        found = self.scripts.ask(
            lambda: self.client.zrangebyscore(
                self.key(campaign_id, "lease"), "-inf", until_ms, withscores=True
            )
        )
        return [(int(member), float(score)) for member, score in found]

    def owners(self, campaign_id: str, rows: Sequence[int]) -> list[str]:
        """Tell who holds each of `rows`; empty where nobody does."""
        if not rows:
            return []
        found = self.scripts.ask(
            lambda: self.client.hmget(self.key(campaign_id, "hand"), [str(row) for row in rows])
        )
        return [json_text.loads(value).get("owner", "") if value else "" for value in found]

    def to_close(self, campaign_id: str, most: int = 50) -> list[ToClose]:
        """List Interactions whose closing is due."""
        now = self.now_ms()
        sids = self.scripts.ask(
            lambda: self.client.zrangebyscore(
                self.key(campaign_id, "closing"), "-inf", now, start=0, num=most
            )
        )
        if not sids:
            return []
        values = self.scripts.ask(lambda: self.client.hmget(self.key(campaign_id, "close"), sids))
        pairs = [
            (sid.decode(), json_text.loads(value)) for sid, value in zip(sids, values, strict=True) if value
        ]
        return [
            ToClose(
                sid,
                int(value["row"]),
                value.get("channel") or "",
                int(value.get("refusals", 0)),
                int(value.get("refused_since", 0)),
            )
            for sid, value in pairs
        ]

    def to_close_count(self, campaign_id: str) -> int:
        """Count the Interactions that are still to be closed."""
        return int(self.scripts.ask(lambda: self.client.hlen(self.key(campaign_id, "close"))))

    def left_open(self, campaign_id: str) -> list[LeftOpen]:
        """List the Interactions whose closing was given up, by row."""
        found = self.scripts.ask(lambda: self.client.hgetall(self.key(campaign_id, "unclosed")))
        values = [(sid.decode(), json_text.loads(value)) for sid, value in found.items()]
        left = [LeftOpen(sid, int(value["row"]), int(value["code"])) for sid, value in values]
        return sorted(left, key=lambda one: (one.row, one.interaction_sid))

    def next_due_ms(self, campaign_id: str) -> tuple[int | None, int | None]:
        """Tell when the next PENDING and the next opened or doubtful row is due (ms, Redis's clock)."""

        def look(pipe: Any) -> None:
            pipe.zrange(self.key(campaign_id, "due"), 0, 0, withscores=True)
            pipe.zrange(self.key(campaign_id, "later"), 0, 0, withscores=True)

        due, later = self._together(look)
        return (int(due[0][1]) if due else None, int(later[0][1]) if later else None)

    def first_due(self, campaign_id: str, *, opened: bool = False) -> Row | None:
        """Read the row that is due first among those put off, or with `opened` among those open or in doubt."""
        index = "later" if opened else "due"
        found = self.scripts.ask(lambda: self.client.zrange(self.key(campaign_id, index), 0, 0))
        return self.get_row(campaign_id, int(found[0])) if found else None

    def now_ms(self) -> int:
        """Read the clock that the scripts go by: Redis's own, unless another was passed in."""
        return self.scripts.now_ms(self.scripts.ask(self.client.time))

    def _hget(self, key: str, name: str) -> bytes | None:
        found: bytes | None = self.scripts.ask(lambda: self.client.hget(key, name))
        return found

    def _together(self, look: Callable[[Any], object]) -> list[Any]:
        """Ask several things in one round trip: what `look` puts into the pipeline it is given."""

        def ask() -> list[Any]:
            with self.client.pipeline(transaction=False) as pipe:
                look(pipe)
                return list(pipe.execute())

        answers: list[Any] = self.scripts.ask(ask)
        return answers


def shown_row(row: Row, reply: Reply) -> Row:
    """Give a row as a script has just shown it to its holder."""
    record, created_ms, hand, *_ = reply.values
    return Row(row.number, PackedRecord(record, created_ms), _hand(hand), row.cells)


def _look_all(wanted: Sequence[str], pipe: Any) -> None:
    for key in wanted:
        pipe.hgetall(key)


def _all_cells(values: dict[bytes, bytes]) -> dict[bytes, list[str]]:
    """Read the cells of a bucket's rows, all at once: that takes a third of the time of one by one."""
    return dict(zip(values, json_text.loads(b"[" + b",".join(values.values()) + b"]"), strict=True))


def _hand(value: bytes | None) -> Hand:
    if not value:  # as of every row that is read before it is claimed for the first time
        return _NO_HAND
    return Hand._make(map(json_text.loads(value).get, Hand._fields, _NO_HAND))


def _note(value: bytes) -> tuple[str, str, str]:
    code, sentence, advice = json_text.loads(value)
    return code, sentence, advice
