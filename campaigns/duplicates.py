"""Finds addresses that came before, exactly, without holding a million of them in memory."""

import sqlite3
from array import array
from bisect import bisect_left
from collections.abc import Container, Iterable
from types import TracebackType

from campaigns.identity import address_hash

_CACHE_KIB = 24_576


class AddressHashes:
    """Eight-byte hashes of addresses that an earlier campaign accepted, in eight bytes each."""

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self._sorted = array("Q", sorted(array("Q", (int.from_bytes(each) for each in hashes))))

    def __contains__(self, hashed: object) -> bool:
        if not isinstance(hashed, bytes):
            return False
        number = int.from_bytes(hashed)
        place = bisect_left(self._sorted, number)
        return place < len(self._sorted) and self._sorted[place] == number

    def __len__(self) -> int:
        return len(self._sorted)


class Duplicates:
    """The addresses seen so far in one file, with the row of each; kept in a private file that the system removes.

    `contacted`: hashes (`address_hash`) of addresses that an earlier campaign of this name accepted.
    """

    def __init__(self, contacted: Container[bytes] | None = None) -> None:
        self._contacted = contacted
        # An empty name is a private database that spills to an unnamed file when its cache is full.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for line in (
            f"PRAGMA cache_size = -{_CACHE_KIB}",
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
        ):
            self._database.execute(line)
        self._database.execute("CREATE TABLE seen (address TEXT PRIMARY KEY, row INTEGER) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def __enter__(self) -> "Duplicates":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget everything."""
        self._database.close()

    def find_first(self, key: str, row: int) -> int | None:
        """Remember `key` for `row`; return the earlier row that has it, if one has."""
        if self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, row)).rowcount:
            return None
        found = self._database.execute("SELECT row FROM seen WHERE address = ?", (key,)).fetchone()
        return int(found[0])

    def is_contacted(self, address: str) -> bool:
        """Tell whether an earlier campaign of this name had `address` accepted."""
        return self._contacted is not None and address_hash(address) in self._contacted
