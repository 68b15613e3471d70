"""A client of Redis that costs a third of the library's own: connections change hands without its pool's locks and checks."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hiredis
import redis
from redis.client import Pipeline


class LeanRedis(redis.Redis):
    """The library's client, but for how a command gets its connection; never repeats a command by itself.

    There are as many connections as threads ask at once. Transactions, locks and subscriptions take theirs from the pool as ever.
    """

    def __init__(self, pool: redis.ConnectionPool) -> None:
        super().__init__(connection_pool=pool)
        # Its ends are safe among threads. The last one used is taken first: few are ever old.
        self._idle: deque[Any] = deque()
        self._pid = os.getpid()

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command and read what Redis answers."""
        with self.borrowed() as connection:
            connection.send_packed_command(connection.pack_command(*args))
            return self.parse_response(connection, args[0], **options)  # type: ignore[no-untyped-call]

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Run a script that Redis knows: nearly all that a row asks for, and so without the library's detours.

        What is left out are health checks, for each connection is looked at before, and callbacks, of which this has none.
        """
        command = hiredis.pack_command(("EVALSHA", sha, numkeys, *keys_and_args))
        connection = self._take()
        try:
            connection.send_packed_command((command,), check_health=False)
            answer = connection._parser.read_response()
        except OSError as error:
            connection.disconnect()
            raise redis.ConnectionError(f"Redis was cut off: {error}") from error
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self._idle.append(connection)
        if isinstance(answer, redis.ResponseError):  # an answer as good as any, and all of it has been read
            raise answer
        return answer

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:
        """Collect commands that are sent together."""
        if transaction or shard_hint:
            return super().pipeline(transaction, shard_hint)
        return _LeanPipeline(self)

    def close(self) -> None:
        """Close all connections."""
        while self._idle:
            self._idle.pop().disconnect()
        super().close()
        self.connection_pool.disconnect()

    @contextmanager
    def borrowed(self) -> Iterator[Any]:
        """Lend a connection; one whose conversation broke off is closed, for what comes over it answers nobody."""
        connection = self._take()
        try:
            yield connection
        except redis.ResponseError:  # an answer as good as any, and all of it has been read
            self._idle.append(connection)
            raise
        except BaseException:
            connection.disconnect()
            self._idle.append(connection)  # not where closing it was interrupted, too
            raise
        self._idle.append(connection)

    def _take(self) -> Any:
        if self._pid != os.getpid():  # these are the parent's: each would read the other's answers
            self._idle, self._pid = deque(), os.getpid()
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


class _LeanPipeline(Pipeline):
    """Commands that are sent together, each for itself."""

    def __init__(self, client: LeanRedis) -> None:
        super().__init__(
            client.connection_pool, client.response_callbacks, transaction=False, shard_hint=None
        )
        self._client = client

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send them and read all the answers."""
        if self.watching or self.explicit_transaction or self.scripts:
            return super().execute(raise_on_error)
        commands, self.command_stack = self.command_stack, []
        answers: list[Any] = []
        with self._client.borrowed() as connection:
            connection.send_packed_command(connection.pack_commands([args for args, _ in commands]))
            for args, options in commands:
                try:
                    answers.append(self.parse_response(connection, args[0], **options))  # type: ignore[no-untyped-call]
                except redis.ResponseError as error:
                    answers.append(error)
        if raise_on_error:
            self.raise_first_error(commands, answers)  # type: ignore[no-untyped-call]
        return answers
