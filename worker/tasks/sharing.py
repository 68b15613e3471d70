"""How a worker's threads are shared among its accounts: one that hangs, or whose Redis is away, leaves the others some.

A message is left in the broker rather than taken and put back: whose account has its share of the threads is not asked for any.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from celery.worker import state
from kombu.connection import Connection
from kombu.transport import redis
from kombu.utils.scheduling import round_robin_cycle

_LOOK_AGAIN_S = 0.1
"""How long the broker is asked for a message of the other accounts, before it is seen whether one has threads again."""

SEND_ROWS = "send_rows"
"""The task whose rows have a thread each."""

away: set[str] = set()
"""The queues of accounts whose Redis is away: who takes a message of theirs could only wait."""


def most_threads(threads: int, accounts: int) -> int:
    """Say how many threads an account may have: half of them are anybody's, and each has its part of the other half."""
    kept_for_each = max(1, threads // (2 * accounts))
    return max(1, threads - kept_for_each * (accounts - 1))


class Turns(round_robin_cycle):
    """Asks the accounts' queues in turn, and not those of accounts that have enough in hand."""

    threads = 0
    holds_back = False

    def consume(self, n: int) -> list[str]:
        """List the queues to take the next message from, the first one first."""
        names: list[str] = super().consume(n)  # type: ignore[no-untyped-call]
        if len(names) < 2:
            return names
        in_hand, most = _rows_in_hand(), most_threads(self.threads, len(names))
        free = [name for name in names if name not in away and in_hand[name] < most]
        self.holds_back = len(free) < len(names)
        return free


def _rows_in_hand() -> Counter[str]:
    """Count, by queue, what was taken and is not done, that included which no thread has begun yet."""
    found: Counter[str] = Counter()
    for one in tuple(state.requests.values()):
        rows = one.args[2] if one.name == SEND_ROWS else ()
        found[str(one.delivery_info.get("routing_key"))] += max(1, len(rows))
    return found


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
        wait_s = _LOOK_AGAIN_S if self._queue_cycle.holds_back else timeout
        super()._brpop_start(wait_s)  # type: ignore[no-untyped-call]


class _Transport(redis.Transport):
    Channel = _Channel


class BrokerConnection(Connection):
    """Asks for a broker that is away every two seconds; Celery's own waits grow to half a minute."""

    def get_transport_cls(self) -> type[Any]:
        """Give the transport whose queues are shared as said above."""
        return _Transport

    def ensure_connection(self, *args: Any, **named: Any) -> Any:
        """Connect, however long that takes."""
        waits = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2}
        return super().ensure_connection(*args, **named, **waits)  # type: ignore[no-untyped-call]
