"""A ledger for the benchmarks, of any size: rows loaded as they come, or as they are once they were sent, and rows worked off."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import md5
from itertools import count
from pathlib import Path
from typing import Any

import redis

from campaigns.definition import parse_definition
from ops.bench.customers import COLUMNS, DEFINITION
from worker.ledger.keys import BUCKET, pair
from worker.ledger.ledger import Claim, Ledger, LoadRow
from worker.ledger.registry import Registry
from worker.ledger.row import pack_new
from worker.ledger.states import Delivery, State
from worker.redis_server import EmbeddedRedis
from worker.setting_values import SecretStr
from worker.settings import Settings

ID = "bench-0badcafe"
TRANSITIONS_A_ROW = 5
"""dispatch, claim_opening, opened, claim_sending, accepted."""
_KINDS = 10
_tokens = count(1)


@dataclass(frozen=True, slots=True)
class Place:
    """A ledger on a server of its own."""

    url: str
    client: redis.Redis
    settings: Settings
    ledger: Ledger
    registry: Registry

    def server_cpu_s(self) -> float:
        """Tell how much CPU time the server has taken so far."""
        info = self.client.info("cpu")
        return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


@contextmanager
def open_place(home: Path, *, appendfsync: str) -> Iterator[Place]:
    """Start the embedded server of a home of its own."""
    home.mkdir(exist_ok=True)
    settings = Settings(home=home, account_sid=f"AC{0:032x}", auth_token=SecretStr("none"))
    with EmbeddedRedis(home).hold() as url, redis.Redis.from_url(url) as client:
        client.config_set("appendfsync", appendfsync)
        tag = settings.account_tag
        yield Place(url, client, settings, Ledger(client, tag), Registry(client, tag))


def fields() -> dict[str, str]:
    """Give what the campaign is created with."""
    definition = parse_definition(DEFINITION, "bench.toml").canonical_json()
    columns = json.dumps(COLUMNS)
    return {"name": "bench", "definition": definition, "columns": columns, "file_sha256": "0" * 64}


def load_ended(place: Place, rows: int, *, left: int = 0) -> None:
    """Load and start a campaign of which all but the last `left` rows were sent, delivered and read, and a tenth answered.

    Ten rows go the usual way, and the others are given their records, with SIDs and addresses of their own: a million would
    take hours to go it, and what is measured is what they cost once they lie there.
    """
    ledger = place.ledger
    like = _records_of_sent_rows(place)
    place.registry.create(ID, fields())
    for first in range(1, rows + 1, BUCKET):
        numbers = range(first, min(first + BUCKET, rows + 1))
        chunk = [_ended(number, like) if number <= rows - left else _fresh(number) for number in numbers]
        assert ledger.load_rows(ID, first, chunk, in_all=rows).ok
    with place.client.pipeline(transaction=False) as pipe:  # the latest outcomes, of which no more are kept
        for _ in range(min(rows - left, 20_000)):
            pipe.xadd(ledger.key(ID, "out"), {"s": int(State.ACCEPTED)})
        pipe.execute()
    assert place.registry.start(ID, rows).ok
    while left and not place.registry.get(ID).queued:  # past the rows that have ended
        ledger.dispatch(ID, fresh=1, old=0)
    ledger.rescue_queued(ID, older_ms=0)


def work_off(ledger: Ledger, rows: int, window: int = 64) -> None:
    """Let `rows` rows go the usual way, `window` of them dispatched at once."""
    done = 0
    while done < rows:
        for row in ledger.dispatch(ID, fresh=min(window, rows - done), old=window).fresh:
            accept(ledger, row)
            done += 1


def accept(ledger: Ledger, row: int) -> None:
    """Let a queued row go the usual way."""
    claim = Claim(f"{next(_tokens):016x}", "bench:1", 60_000)
    lock = pair(ledger.prefix, f"{row}")
    assert ledger.claim_opening(ID, row, claim, lock).ok
    interaction, conversation, message = _sids(row)
    flex = {"channel": f"UO{row:032x}", "flex_task": f"WT{row:032x}"}
    opened = ledger.opened(
        ID, row, claim.token, interaction=f"KD{interaction}", conversation=f"CH{conversation}", **flex
    )
    assert opened.ok
    assert ledger.claim_sending(ID, row, claim, f"CH{conversation}").ok
    assert ledger.accepted(ID, row, claim.token, f"IM{message}").ok


def _records_of_sent_rows(place: Place) -> list[bytes]:
    ledger, name = place.ledger, place.ledger.key(ID, "rw:0")
    place.registry.create(ID, fields())
    ledger.load_rows(ID, 1, [_fresh(number) for number in range(1, _KINDS + 1)])
    place.registry.start(ID, _KINDS)
    work_off(ledger, _KINDS)
    for number in range(1, _KINDS + 1):
        message = ledger.get_row(ID, number).record.message_sid
        for delivery in (Delivery.SENT, Delivery.DELIVERED, Delivery.READ):
            assert ledger.note_delivery(ID, number, message, delivery).ok
    assert ledger.note_answer(ID, _KINDS, ledger.now_ms()).ok
    kept: dict[Any, Any] = place.client.hgetall(name)
    records = [kept[str(at).encode()] for at in range(_KINDS)]
    place.client.flushdb()
    return records


def _fresh(number: int) -> LoadRow:
    cells = (f"C{number:07d}", f"+1202555{number:07d}", f"Name{number % 997}", f"{number % 28 + 1} May")
    return LoadRow(cells, pack_new(State.PENDING, number.to_bytes(8)))


def _ended(number: int, like: list[bytes]) -> LoadRow:
    record = like[(number - 1) % _KINDS]
    sids = b"".join(map(bytes.fromhex, _sids(number)))
    return LoadRow(_fresh(number).cells, record[:11] + sids + number.to_bytes(8) + record[67:])


def _sids(number: int) -> list[str]:
    # As Twilio's are: without an order, so that they spread over the index.
    return [md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest() for kind in ("KD", "CH", "IM")]
