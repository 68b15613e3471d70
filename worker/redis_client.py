"""A client of Redis that costs a third of the library's own: connections change hands without its pool's locks and checks.

Rows of a loop (see loop.py) share one connection: what they ask in one turn is written together, and Redis answers in order. It
wakes once for all of them then, and syncs its file once.
"""

from __future__ import annotations

import os
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import hiredis
import redis
from redis.client import Pipeline

from worker import loop

_CHUNK_BYTES = 64 * 1024
_LOOK_S = 1.0
"""How often it is looked whether an answer is overdue."""
_MORE = object()


class LeanRedis(redis.Redis):
    """The library's client, but for how a command gets its connection; never repeats a command by itself.

    There are as many connections as threads ask at once. Transactions, locks and subscriptions take theirs from the pool as ever.
    """

    def __init__(self, pool: redis.ConnectionPool) -> None:
        super().__init__(connection_pool=pool)
        # Its ends are safe among threads. The last one used is taken first: few are ever old.
        self._idle: deque[Any] = deque()
        self._pid = os.getpid()
        self._shared: dict[loop.Loop, _Shared] = {}

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command and read what Redis answers."""
        here = loop.here()
        if here is not None:
            (answer,) = self.shared(here).ask(_packed(args), 1)
            return self.parse_response(_Answered(answer), args[0], **options)  # type: ignore[no-untyped-call]
        with self.borrowed() as connection:
            connection.send_packed_command(connection.pack_command(*args))
            return self.parse_response(connection, args[0], **options)  # type: ignore[no-untyped-call]

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Run a script that Redis knows: nearly all that a row asks for, and so without the library's detours.

        What is left out are health checks, for each connection is looked at before, and callbacks, of which this has none.
        """
        command = hiredis.pack_command(("EVALSHA", sha, numkeys, *keys_and_args))
        here = loop.here()
        if here is not None:
            (answer,) = self.shared(here).ask(command, 1)
        else:
            answer = self._converse(command)
        if isinstance(answer, redis.ResponseError):  # an answer as good as any, and all of it has been read
            raise answer
        return answer

    def _converse(self, command: bytes) -> Any:
        connection = self._take()
        try:
            connection.send_packed_command((command,), check_health=False)
            return connection._parser.read_response()
        except OSError as error:
            connection.disconnect()
            raise redis.ConnectionError(f"Redis was cut off: {error}") from error
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self._idle.append(connection)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:
        """Collect commands that are sent together."""
        if transaction or shard_hint:
            return super().pipeline(transaction, shard_hint)
        return _LeanPipeline(self)

    def shared(self, here: loop.Loop) -> _Shared:
        """Give the connection that the rows of a loop share."""
        found = self._shared.get(here)
        if found is None:
            found = self._shared[here] = _Shared(here, self._make)
        return found

    def _make(self) -> Any:
        # Not the pool's own way, which keeps hold of each: while Redis is away every try makes one.
        return self.connection_pool.connection_class(**self.connection_pool.connection_kwargs)

    def close(self) -> None:
        """Close all connections but those of loops, which end with their process."""
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
        if not commands:  # there is no answer to come, and another's is not to be taken for it
            return []
        here = loop.here()
        if here is not None:
            together = b"".join(_packed(args) for args, _ in commands)
            raw = self._client.shared(here).ask(together, len(commands))
            answers = self._read(commands, map(_Answered, raw))
        else:
            with self._client.borrowed() as connection:
                connection.send_packed_command(connection.pack_commands([args for args, _ in commands]))
                answers = self._read(commands, repeat(connection))
        if raise_on_error:
            self.raise_first_error(commands, answers)  # type: ignore[no-untyped-call]
        return answers

    def _read(self, commands: Sequence[Any], sources: Iterable[Any]) -> list[Any]:
        """Read the answer to each command from what stands beside it; a refusal is an answer, too."""
        answers: list[Any] = []
        for (args, options), source in zip(commands, sources, strict=False):
            try:
                answers.append(self.parse_response(source, args[0], **options))  # type: ignore[no-untyped-call]
            except redis.ResponseError as error:
                answers.append(error)
        return answers


def _packed(args: Sequence[Any]) -> bytes:
    # The library's names of commands may be two words.
    packed: bytes = hiredis.pack_command((*str(args[0]).split(), *args[1:]))
    return packed


@dataclass(frozen=True, slots=True)
class _Answered:
    """An answer in the place of the connection that the library would read it from."""

    answer: Any

    def read_response(self, **_: Any) -> Any:
        if isinstance(self.answer, redis.RedisError):
            raise self.answer
        return self.answer


@dataclass(slots=True)
class _Question:
    waiter: loop.Waiter
    left: int
    asked_s: float
    answers: list[Any] = field(default_factory=list)


class _Shared:
    """One connection for all the rows of a loop; all of it happens in the loop's thread."""

    def __init__(self, here: loop.Loop, make: Callable[[], Any]) -> None:
        self._loop, self._make = here, make
        self._connection: Any = None
        self._unsent: list[bytes] = []
        self._questions: deque[_Question] = deque()
        self._is_due = self._is_busy = False

    def ask(self, commands: bytes, count: int) -> list[Any]:
        """Send so many commands, and let the other rows go on until all are answered.

        Raises: redis.ConnectionError, redis.TimeoutError, as the library does.
        """
        question = _Question(loop.Waiter(), count, time.monotonic())
        self._questions.append(question)
        self._unsent.append(commands)
        if not self._is_due:
            self._is_due = True
            self._loop.before_waiting(self._write)
        answers: list[Any] = self._loop.wait(question.waiter)
        return answers

    def _write(self) -> None:
        """Write what has been asked in this turn; where that takes more than one go, a greenlet does it."""
        self._is_due = False
        if self._is_busy or not self._unsent:
            return
        if self._connection is None or not self._push():
            self._is_busy = True
            self._loop.spawn(self._write_patiently)

    def _write_patiently(self) -> None:
        connection = None
        try:
            if self._connection is None:
                self._connect()
            connection = self._connection
            # The reader may see its end meanwhile: all who waited have been told so then.
            while self._connection is connection and not self._push():
                if not self._loop.wait_for(connection._sock, loop.WRITE, _LOOK_S):
                    self._see_overdue()
        except (redis.RedisError, OSError) as error:
            if self._connection is connection:
                self._fail(error)
        finally:
            self._is_busy = False
            if self._unsent:  # asked since that end
                self._loop.before_waiting(self._write)

    def _connect(self) -> None:
        connection = self._make()
        self._loop.aside(connection.connect)
        connection._sock.setblocking(False)
        self._patience_s = float(connection.socket_timeout or 3600.0)
        self._connection = connection
        self._loop.spawn(self._read)

    def _push(self) -> bool:
        """Write what the socket takes; False where something is left. One that is broken is seen where it is read."""
        data = b"".join(self._unsent)
        try:
            sent = self._connection._sock.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent = 0
        except OSError as error:
            self._fail(error)
            return True
        self._unsent = [data[sent:]] if sent < len(data) else []
        return not self._unsent

    def _read(self) -> None:
        """Read answers as long as this connection lasts."""
        connection, sock = self._connection, self._connection._sock
        reader = hiredis.Reader(
            protocolError=redis.exceptions.InvalidResponse,
            replyError=connection._parser.parse_error,
            notEnoughData=_MORE,
        )
        # What TLS has unpacked already does not show on the socket.
        is_more_likely = isinstance(sock, ssl.SSLSocket)
        try:
            while self._connection is connection:
                if not is_more_likely and not self._loop.wait_for(sock, loop.READ, _LOOK_S):
                    self._see_overdue()
                    continue
                try:
                    chunk = sock.recv(_CHUNK_BYTES)
                except (BlockingIOError, ssl.SSLWantReadError):
                    is_more_likely = False
                    continue
                is_more_likely = isinstance(sock, ssl.SSLSocket) or len(chunk) == _CHUNK_BYTES
                if not chunk:
                    raise ConnectionError("closed by the server")
                reader.feed(chunk)
                while (answer := reader.gets()) is not _MORE:
                    self._tell(answer)
        except (redis.RedisError, OSError) as error:
            if self._connection is connection:
                self._fail(error)

    def _tell(self, answer: Any) -> None:
        if isinstance(answer, hiredis.PushNotification):
            return
        if isinstance(answer, redis.ConnectionError):
            raise answer  # the library takes these words of Redis for the connection's end
        question = self._questions[0]
        question.answers.append(answer)
        question.left -= 1
        if not question.left:
            self._questions.popleft()
            self._loop.wake(question.waiter, question.answers)

    def _see_overdue(self) -> None:
        if self._questions and time.monotonic() - self._questions[0].asked_s > self._patience_s:
            raise redis.TimeoutError("Redis gives no answer")

    def _fail(self, error: Exception) -> None:
        """Tell all who wait that nobody knows whether they were heard."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
        kind = redis.TimeoutError if isinstance(error, redis.TimeoutError) else redis.ConnectionError
        questions, self._questions, self._unsent = self._questions, deque(), []
        for question in questions:
            self._loop.wake(question.waiter, error=kind(f"Redis was cut off: {error}"))
