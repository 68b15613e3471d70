"""A client of Redis that costs a third of the library's own: connections change hands without its pool's locks and checks."""

from __future__ import annotations

from collections import deque
from typing import Any

import redis


class LeanRedis(redis.Redis):
    """The library's client, but for how a command gets its connection; never repeats a command by itself.

    There are as many connections as threads ask at once. Pipelines, locks and subscriptions take theirs from the pool as ever.
    """

    def __init__(self, pool: redis.ConnectionPool) -> None:
        super().__init__(connection_pool=pool)
        # Its ends are safe among threads. The last one used is taken first: few are ever old.
        self._idle: deque[Any] = deque()

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command and read what Redis answers."""
        connection = self._take()
        try:
            connection.send_packed_command(connection.pack_command(*args))
            return self.parse_response(connection, args[0], **options)  # type: ignore[no-untyped-call]
        except redis.ResponseError:  # an answer as good as any, and all of it has been read
            raise
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self._idle.append(connection)

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Run a script that Redis knows."""
        return self.execute_command("EVALSHA", sha, numkeys, *keys_and_args)

    def close(self) -> None:
        """Close all connections."""
        while self._idle:
            self._idle.pop().disconnect()
        super().close()
        self.connection_pool.disconnect()

    def _take(self) -> Any:
        try:
            connection = self._idle.pop()
        except IndexError:
            return self.connection_pool.make_connection()
        try:
            # A server that was away meanwhile has closed it; to ask there would lose the question.
            is_stale = connection.is_connected and connection.can_read()
        except redis.ConnectionError:
            is_stale = True
        if is_stale:
            connection.disconnect()
        return connection
