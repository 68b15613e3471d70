"""How a worker's threads are shared among its accounts: one that hangs, or whose Redis is away, leaves the others some.

A message is left in the broker rather than taken and put back: whose account has its share of the threads is not asked for any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from celery.worker import state
from kombu.connection import Connection, ConnectionPool, PooledConnection
from kombu.transport import redis
from kombu.utils.scheduling import round_robin_cycle

_LOOK_AGAIN_S = 0.1
"""How long the broker is asked for a message of the other accounts, before it is seen whether one has threads again."""

SEND_ROWS = "send_rows"
"""The task whose rows are worked on at once; it counts as so many threads."""

away: set[str] = set()
"""The queues of accounts whose Redis is away: who takes a message of theirs could only wait."""


NOBODYS = "outreach:nobody"
"""A queue that nothing is put into. It is asked where no account may have more, and so soon seen when one may again."""


class Turns(round_robin_cycle):
    """Asks the accounts' queues in turn, and not those of accounts that have enough in hand.

    Half of the threads are anybody's, and of the other half each account has its part, by its pace, whatever the others hold
    on to. A message with several rows may take an account a little beyond that: its rows are in no other account's way.
    """

    threads = 0
    kept: Mapping[str, int] = {}
    _free: tuple[str, ...] = ()

    @classmethod
    def share(cls, threads: int, paces: Mapping[str, float]) -> None:
        """Share so many threads among queues whose accounts have these paces."""
        total = sum(paces.values())
        cls.threads = threads
        cls.kept = {name: max(1, int(threads / 2 * pace / total)) for name, pace in paces.items()}

    def look(self) -> bool:
        """See whose turn it may be; tell whether somebody is held back."""
        names = tuple(self.items)
        self._free = self._find_free(names) if len(names) > 1 else names
        return self._free != names

    def consume(self, n: int) -> list[str]:  # noqa: ARG002  kombu gives it
        """List the queues to take the next message from, the first one first, as of the latest look."""
        return list(self._free or [NOBODYS])

    def _find_free(self, names: tuple[str, ...]) -> tuple[str, ...]:
        in_hand, kept = _rows_in_hand(), {name: self.kept.get(name, 1) for name in names}
        is_any_left = sum(max(kept[name], in_hand[name]) for name in names) < self.threads
        return tuple(
            name for name in names if name not in away and (is_any_left or in_hand[name] < kept[name])
        )


def _rows_in_hand() -> Counter[str]:
    """Count, by queue, what was taken and is not done, that included which no thread has begun yet."""
    found: Counter[str] = Counter()
    # A copy, made in one go: threads that are done take theirs away meanwhile.
    for one in state.requests.copy().values():
        found[str(one.delivery_info.get("routing_key"))] += _threads_of(one)
    return found


def _threads_of(one: Any) -> int:
    try:
        return max(1, len(one.args[2])) if one.name == SEND_ROWS else 1
    except (LookupError, TypeError):  # a message that no version of ours has written
        return 1


class _Channel(redis.Channel):
    """Waits less where an account is held back, and keeps a client: kombu makes one, in 0.2 ms of CPU, for whatever it asks."""

    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:  # each of these holds a connection that waits
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call]
        # With a pool that was replaced goes its client.
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()  # type: ignore[no-untyped-call]
        return self._kept

    def _brpop_start(self, timeout: float | None = None) -> None:
        wait_s = _LOOK_AGAIN_S if self._queue_cycle.look() else timeout
        super()._brpop_start(wait_s)  # type: ignore[no-untyped-call]


class _Transport(redis.Transport):
    Channel = _Channel


class _PooledConnection(PooledConnection):
    def get_transport_cls(self) -> type[Any]:
        return _Transport


class _Pool(ConnectionPool):
    def new(self) -> _PooledConnection:
        return _PooledConnection(self, **dict(self.connection._info(resolve=False)))  # type: ignore[no-untyped-call]


class BrokerConnection(Connection):
    """Asks for a broker that is away every two seconds; Celery's own waits grow to half a minute."""

    def get_transport_cls(self) -> type[Any]:
        """Give the transport whose queues are shared as said above."""
        return _Transport

    def Pool(self, limit: int | None = None, **named: Any) -> _Pool:  # noqa: N802  kombu's name
        """Give a pool of connections, those that messages are sent over, whose channels keep a client, too."""
        return _Pool(self, limit, **named)  # type: ignore[no-untyped-call]

    def ensure_connection(self, *args: Any, **named: Any) -> Any:
        """Connect, however long that takes."""
        waits = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2}
        return super().ensure_connection(*args, **named, **waits)  # type: ignore[no-untyped-call]
