"""Rows for the benchmarks of the ledger: loaded as intake does, and worked off the usual way by one client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from itertools import count
from pathlib import Path

import redis

from worker.ledger.keys import BUCKET, pair
from worker.ledger.ledger import Claim, Ledger, LoadRow
from worker.ledger.registry import Registry
from worker.ledger.row import pack_new
from worker.ledger.states import Delivery, State
from worker.redis_server import EmbeddedRedis

ID = "bench-0badcafe"
COLUMNS = ("phone", "name", "due", "zone")
FIELDS = {"name": "bench", "definition": "{}", "columns": json.dumps(COLUMNS), "file_sha256": "0" * 64}
TRANSITIONS_A_ROW = 5
"""dispatch, claim_opening, opened, claim_sending, accepted."""
_tokens = count(1)


@contextmanager
def open_ledger(home: Path, *, appendfsync: str = "no") -> Iterator[tuple[redis.Redis, Ledger, Registry]]:
    """Start the embedded server of its own home; what is not measured here is the disk."""
    with EmbeddedRedis(home).hold() as url, redis.Redis.from_url(url) as client:
        client.config_set("appendfsync", appendfsync)
        yield client, Ledger(client, "0badcafe"), Registry(client, "0badcafe")


def load(ledger: Ledger, registry: Registry, rows: int) -> str:
    """Load and start a campaign of `rows` rows with four columns each."""

    registry.create(ID, FIELDS)
    for first in range(1, rows + 1, BUCKET):
        chunk = [_row(number) for number in range(first, min(first + BUCKET, rows + 1))]
        ledger.load_rows(ID, first, chunk)
    registry.start(ID, rows)
    return ID


def work_off(ledger: Ledger, campaign_id: str, rows: int, window: int = 64) -> None:
    """Let `rows` rows go the usual way, `window` of them dispatched at once."""
    done = 0
    while done < rows:
        for row in ledger.dispatch(campaign_id, fresh=min(window, rows - done), old=window).fresh:
            accept(ledger, campaign_id, row)
            done += 1


def accept(ledger: Ledger, campaign_id: str, row: int) -> None:
    """Let a queued row go the usual way."""
    claim = Claim(f"{next(_tokens):016x}", "bench:1", 60_000)
    lock = pair(ledger.prefix, f"{row}")
    assert ledger.claim_opening(campaign_id, row, claim, lock).ok
    # As Twilio's are: without an order, so that they spread over the index.
    conversation = f"CH{md5(str(row).encode(), usedforsecurity=False).hexdigest()}"
    opened = ledger.opened(
        campaign_id,
        row,
        claim.token,
        interaction=f"KD{row:032x}",
        conversation=conversation,
        channel=f"UO{row:032x}",
        flex_task=f"WT{row:032x}",
    )
    assert opened.ok
    assert ledger.claim_sending(campaign_id, row, claim, conversation).ok
    assert ledger.accepted(campaign_id, row, claim.token, f"IM{row:032x}").ok


def _row(number: int) -> LoadRow:
    cells = (f"+1202555{number:07d}", f"Customer {number}", "2026-12-01", "Europe/Berlin")
    return LoadRow(cells, pack_new(State.PENDING, number.to_bytes(8)))


def hear(ledger: Ledger, campaign_id: str, rows: int) -> None:
    """Note of every row that its message was delivered and read, and of a tenth that they were answered."""
    for number in range(1, rows + 1):
        message = ledger.get_row(campaign_id, number).record.message_sid
        for delivery in (Delivery.SENT, Delivery.DELIVERED, Delivery.READ):
            assert ledger.note_delivery(campaign_id, number, message, delivery).ok
        if number % 10 == 0:
            assert ledger.note_answer(campaign_id, number, ledger.now_ms()).ok


def load_ended(ledger: Ledger, registry: Registry, rows: int, *, left: int = 0) -> str:
    """Load rows as if all but the last `left` had been sent, delivered and read: their records are the first row's, with SIDs of
    their own. That one goes the usual way.

    It takes too long to have a million go it; what is measured is what they cost once they lie there.
    """
    registry.create(ID, FIELDS)
    ledger.load_rows(ID, 1, [_row(1)])
    registry.start(ID, 1)
    work_off(ledger, ID, 1)
    hear(ledger, ID, 1)
    _, raw = ledger.client.hgetall(ledger.key(ID, "rw:0")).popitem()
    _remove(ledger)
    registry.create(ID, FIELDS)
    for first in range(1, rows + 1, BUCKET):
        numbers = range(first, min(first + BUCKET, rows + 1))
        chunk = [_ended(number, raw) if number <= rows - left else _row(number) for number in numbers]
        ledger.load_rows(ID, first, chunk, in_all=rows)
    registry.start(ID, rows)
    return ID


def _ended(number: int, like: bytes) -> LoadRow:
    sids = b"".join(md5(f"{kind}{number}".encode(), usedforsecurity=False).digest() for kind in "KCI")
    return LoadRow(_row(number).cells, like[:11] + sids + number.to_bytes(8) + like[67:])


def _remove(ledger: Ledger) -> None:
    for name in list(ledger.client.scan_iter(count=1000)):
        ledger.client.delete(name)
