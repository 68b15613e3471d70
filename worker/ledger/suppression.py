"""The do-not-contact list of an account: who must not be written to, on which channel, since when and why."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import redis

from worker.ledger import keys
from worker.ledger.scripts import Scripts
from worker.redis_calls import Ask, ask_once

ANY = "*"
_PIECE = 500


@dataclass(frozen=True, slots=True)
class Suppressed:
    """An entry of the list; `address` is empty where only its hash is kept."""

    channel: str
    address: str
    reason: str
    date: datetime
    field: str


def contact(channel: str, address: str) -> tuple[str, str]:
    """Give the fields under which a customer may stand on the list: his channel's, and that of any channel."""
    bare = address.removeprefix("whatsapp:")
    bare = bare.lower() if "@" in bare else bare
    return f"{channel}|{bare}", f"{ANY}|{bare}"


class Suppression:
    """The list, shared by all campaigns of an account. Every method raises RedisUnavailableError where Redis gives no answer."""

    def __init__(self, client: redis.Redis, account_tag: str, ask: Ask = ask_once) -> None:
        self.client = client
        self.key = f"{keys.prefix(account_tag)}dnc"
        self.scripts = Scripts(client, None, None, ask)

    def add(self, entries: Sequence[tuple[str, str, datetime]]) -> int:
        """Put fields on the list, with the reason and the date; how many are new. Those on it stay as they are."""
        new = 0
        for piece in _pieces(entries):
            rows = [[field, reason, round(date.timestamp() * 1000)] for field, reason, date in piece]
            new += int(self.scripts.run("suppress", (self.key,), {"entries": rows}).values[0])
        return new

    def remove(self, fields: Sequence[str]) -> int:
        """Take fields off the list; how many were on it."""
        return sum(
            int(self.scripts.run("unsuppress", (self.key,), {"fields": list(piece)}).values[0])
            for piece in _pieces(fields)
        )

    def find(self, contacts: Sequence[Sequence[str]]) -> list[bool]:
        """Tell for each contact, a customer's fields, whether he is on the list."""
        salt, entries = self.scripts.ask(self._look)
        if not entries:
            return [False] * len(contacts)
        named = [
            (at, name)
            for at, fields in enumerate(contacts)
            for field in fields
            for name in {field, _salted(salt, field)}
        ]
        if not named:
            return [False] * len(contacts)
        found = self.scripts.ask(lambda: self.client.hmget(self.key, [name for _, name in named]))
        listed = {at for (at, _), entry in zip(named, found, strict=True) if entry is not None}
        return [at in listed for at in range(len(contacts))]

    def entries(self) -> Iterator[Suppressed]:
        """Read the whole list, a piece at a time, in no order; one that changes meanwhile may be missed or read twice."""
        cursor = 0
        while True:
            cursor, found = self.scripts.ask(partial(self.client.hscan, self.key, cursor, count=_PIECE))
            for field, value in found.items():
                yield _entry(field.decode(), json.loads(value))
            if not cursor:
                return

    def count(self) -> int:
        """Count the entries."""
        return int(self.scripts.ask(lambda: self.client.hlen(self.key)))

    @property
    def is_hashed(self) -> bool:
        """Tell whether only salted hashes are kept."""
        return bool(self._salt())

    def hash(self) -> int:
        """Keep salted hashes only, from now on and of all that is on the list; how many were turned. There is no way back."""
        salt, turned = secrets.token_hex(16), 0
        turned += int(
            self.scripts.run("hash_suppressed", (self.key,), {"salt": salt, "fields": []}).values[0]
        )
        for piece in _pieces([each.field for each in self.entries() if each.address]):
            reply = self.scripts.run("hash_suppressed", (self.key,), {"salt": salt, "fields": list(piece)})
            turned += int(reply.values[0])
        return turned

    def _look(self) -> tuple[str, int]:
        """Read the salt, and how many entries there are."""
        with self.client.pipeline(transaction=False) as pipe:
            pipe.get(f"{self.key}:salt")
            pipe.hlen(self.key)
            salt, entries = pipe.execute()
        return (salt or b"").decode(), int(entries)

    def _salt(self) -> str:
        return str((self.scripts.ask(lambda: self.client.get(f"{self.key}:salt")) or b"").decode())


def _salted(salt: str, field: str) -> str:
    # It is the script's own, `redis.sha1hex`, and hides rather than proves.
    return hashlib.sha1((salt + field).encode(), usedforsecurity=False).hexdigest() if salt else field


def _entry(field: str, value: dict[str, Any]) -> Suppressed:
    channel, _, address = field.partition("|")
    date = datetime.fromtimestamp(value["date_ms"] / 1000, tz=UTC)
    return Suppressed("" if not address else channel, address, value["reason"], date, field)


def _pieces(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for first in range(0, len(items), _PIECE):
        yield items[first : first + _PIECE]
