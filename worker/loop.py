"""A thread that works on many rows at once: each is a greenlet, and lets the others on while it waits.

Threads would each take the interpreter's lock, and their processor's caches, anew for every answer. Here whoever can go on
does so in one turn, and what all of them ask of Redis in it is written together (see redis_client.py).

Whatever waits in here waits through this module. No lock may be held meanwhile: the next row to want it would stop the thread
that the holder needs to go on.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from errno import EBADF
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

T = TypeVar("T")

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

_SELECTED_S = 0.001
"""What selectors count in: they would be late by up to one of it for a slot, so its last part is slept."""


class _Here(threading.local):
    loop: Loop | None = None


_here = _Here()


def here() -> Loop | None:
    """Return the loop that this code runs in, if it does."""
    return _here.loop


def sleep(seconds: float) -> None:
    """Sleep; in a loop the other rows go on meanwhile."""
    if _here.loop is None:
        time.sleep(seconds)
    else:
        _here.loop.sleep(seconds)


class Waiter:
    """A greenlet that waits, and what it is to hear."""

    __slots__ = ("_error", "_greenlet", "_value", "is_awake")

    def __init__(self, waiting: greenlet | None = None) -> None:
        self._greenlet: greenlet | None = getcurrent() if waiting is None else waiting
        self._value: Any = None
        self._error: BaseException | None = None
        self.is_awake = False

    def hear(self, value: Any, error: BaseException | None) -> None:
        """Note what woke it; only the first counts."""
        self._value, self._error, self.is_awake = value, error, True

    def go_on(self) -> None:
        """Run it until it waits again."""
        resting, self._greenlet = self._greenlet, None  # its timer may keep this object for a while
        assert resting is not None
        resting.switch()

    def heard(self) -> Any:
        """Return, or raise, what woke it."""
        if self._error is not None:
            raise self._error
        return self._value


class _Watch:
    """A socket that is looked at, and who waits for it."""

    __slots__ = ("events", "read", "sock", "write")

    def __init__(self, sock: Any) -> None:
        self.sock = weakref.ref(sock)
        self.events = 0
        self.read: Waiter | None = None
        self.write: Waiter | None = None


class _Group:
    """Pieces of work that somebody waits for together."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.error: BaseException | None = None
        self.done = threading.Event()


class Loop:
    """Works on at most `most` pieces of work at once; its thread begins with the first.

    `fails` hears of a fault of the loop itself: nobody in it goes on any more.
    """

    def __init__(self, name: str, most: int, fails: Callable[[str], object]) -> None:
        self._name, self._most, self._fails = name, most, fails
        self._lock = threading.Lock()
        self._is_begun = False
        self._active = 0
        self._waiting: deque[tuple[Callable[[], object], _Group]] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._ready: deque[Waiter] = deque()
        self._timers: list[tuple[float, int, Waiter]] = []
        self._count = itertools.count()
        self._before_waiting: list[Callable[[], None]] = []
        self._watches: dict[int, _Watch] = {}
        # For what can only be waited for by a thread: looking names up, connecting. One for each who may ask, Redis included:
        # a name server that is away holds each for half a minute, and who waited for its turn behind would outlive its lease.
        self._helpers = ThreadPoolExecutor(most + 1, thread_name_prefix=f"{name} helper")

    # From any thread ----------------------------------------------------------------------------------------

    def work(self, pieces: Sequence[Callable[[], object]]) -> None:
        """Do all `pieces`, and wait until they are done.

        Raises: what the first of them raised that raised anything.
        """
        if not pieces:
            return
        group = _Group(len(pieces))
        self.call(partial(self._add, pieces, group))
        group.done.wait()
        if group.error is not None:
            raise group.error

    def call(self, act: Callable[[], None]) -> None:
        """Have the loop's thread call `act`, which must not wait."""
        with self._lock:
            if not self._is_begun:
                self._nudged, self._nudge = socket.socketpair()
                self._nudged.setblocking(False)
                self._nudge.setblocking(False)
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
                self._is_begun = True  # a thread or a socket that cannot be had now is asked for again
        self._calls.append(act)
        with suppress(BlockingIOError):  # then it is nudged already, more than enough
            self._nudge.send(b"!")

    # From a greenlet of this loop ---------------------------------------------------------------------------

    def wait(self, waiter: Waiter) -> Any:
        """Let the others on until `waiter`, this greenlet's own, is woken; return what with."""
        while not waiter.is_awake:  # not by what an earlier wait of its own was for, and was broken off
            self._hub.switch()
        return waiter.heard()

    def wake(self, waiter: Waiter, value: Any = None, error: BaseException | None = None) -> None:
        """Let a waiter go on soon; nothing happens to one that is awake already."""
        if not waiter.is_awake:
            waiter.hear(value, error)
            self._ready.append(waiter)

    def sleep(self, seconds: float) -> None:
        """Let the others on for so long."""
        waiter = Waiter()
        self._wake_at(time.monotonic() + seconds, waiter)
        self.wait(waiter)

    def wait_for(self, sock: Any, event: int, timeout_s: float) -> bool:
        """Wait until `sock` can be read or written; False where it cannot within `timeout_s`.

        Raises: OSError if it is closed.
        """
        waiter, watch = Waiter(), self._watch(sock)
        if event == READ:
            watch.read = waiter
        else:
            watch.write = waiter
        self._look_for(sock.fileno(), watch)
        self._wake_at(time.monotonic() + timeout_s, waiter)
        if self.wait(waiter):
            return True
        if watch.read is waiter:
            watch.read = None
        elif watch.write is waiter:
            watch.write = None
        return False

    def aside(self, act: Callable[[], T]) -> T:
        """Have another thread do what can only be waited for by one, in this greenlet's context."""
        waiter, context = Waiter(), copy_context()

        def run() -> None:
            value: T | None = None
            failure: BaseException | None = None
            try:
                value = context.run(act)
            except BaseException as error:  # noqa: BLE001  raised where it is waited for
                failure = error
            self.call(partial(self.wake, waiter, value, failure))

        self._helpers.submit(run)
        found: T = self.wait(waiter)
        return found

    def spawn(self, act: Callable[[], None]) -> None:
        """Begin a greenlet of the loop's own, which must not raise."""
        self._begin(greenlet(act, parent=self._hub))

    def before_waiting(self, act: Callable[[], None]) -> None:
        """Call `act`, which must not wait, once nobody can go on any more."""
        self._before_waiting.append(act)

    # Its thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        _here.loop = self
        self._hub = getcurrent()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._nudged, READ)
        try:
            self._go_round()
        except BaseException as error:  # noqa: BLE001  told by its kind and place: its words may hold anything
            self._selector.close()
            self._nudged.close()  # whoever calls from now on is told so, rather than wait for ever
            self._nudge.close()
            place = traceback.extract_tb(error.__traceback__)[-1]
            at = f"{Path(place.filename).name}:{place.lineno}"
            self._fails(f"the loop of its rows has failed, by {type(error).__name__} at {at}")

    def _go_round(self) -> None:
        while True:
            self._take_turn()
            for key, events in self._selector.select(self._idle_s()):
                if key.fd == self._nudged.fileno():
                    self._take_calls()
                else:
                    self._tell(key.fd, events)

    def _take_turn(self) -> None:
        """Let all go on that can; whose time has come first, for they have a slot to reach."""
        self._wake_due()
        while self._ready:
            self._ready.popleft().go_on()
            self._wake_due()
        acts, self._before_waiting = self._before_waiting, []
        for act in acts:
            act()

    def _idle_s(self) -> float | None:
        """Say how long nobody can go on; less than the selector can count is slept right here."""
        if self._ready or self._before_waiting:
            return 0
        # Most timers are for what has come in time: nobody is to wake for those.
        while self._timers and self._timers[0][2].is_awake:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        idle_s = max(0.0, self._timers[0][0] - time.monotonic())
        whole = int(idle_s / _SELECTED_S)
        if idle_s and not whole:
            time.sleep(idle_s)
        return whole * _SELECTED_S - 1e-6  # a hair less: the selector rounds up

    def _take_calls(self) -> None:
        self._nudged.recv(4096)
        while self._calls:
            self._calls.popleft()()

    def _add(self, pieces: Sequence[Callable[[], object]], group: _Group) -> None:
        self._waiting.extend((each, group) for each in pieces)
        self._begin_more()

    def _begin_more(self) -> None:
        while self._waiting and self._active < self._most:
            self._active += 1
            self._begin(greenlet(partial(self._do, *self._waiting.popleft()), parent=self._hub))

    def _begin(self, new: greenlet) -> None:
        self._ready.append(Waiter(new))

    def _do(self, piece: Callable[[], object], group: _Group) -> None:
        try:
            piece()
        except BaseException as error:  # noqa: BLE001  raised where it is waited for
            group.error = group.error or error
        group.left -= 1
        if not group.left:
            group.done.set()
        self._active -= 1
        self._begin_more()

    def _wake_at(self, when_s: float, waiter: Waiter) -> None:
        heapq.heappush(self._timers, (when_s, next(self._count), waiter))

    def _wake_due(self) -> None:
        timers = self._timers
        if not timers:
            return
        now_s, due = time.monotonic(), []
        while timers and timers[0][0] <= now_s:
            waiter = heapq.heappop(timers)[2]
            if not waiter.is_awake:
                waiter.hear(False, None)
                due.append(waiter)
        self._ready.extendleft(reversed(due))

    def _watch(self, sock: Any) -> _Watch:
        number = sock.fileno()
        if number < 0:
            raise OSError(EBADF, "closed by somebody else")
        watch = self._watches.get(number)
        if watch is None or watch.sock() is not sock:
            if watch is not None:  # a closed socket's: the number is another's now
                self._selector.unregister(number)
            watch = self._watches[number] = _Watch(sock)
            self._selector.register(number, READ)
            watch.events = READ
        return watch

    def _look_for(self, number: int, watch: _Watch) -> None:
        """See to it that what somebody waits for is looked for; reading is where nobody waits, for nearly everybody will for that."""
        reads, writes = watch.read is not None, watch.write is not None
        events = (READ if reads or not writes else 0) | (WRITE if writes else 0)
        if events != watch.events:
            self._selector.modify(number, events)
            watch.events = events

    def _tell(self, number: int, events: int) -> None:
        watch = self._watches[number]
        waiters = []
        if events & READ and watch.read is not None:
            waiters.append(watch.read)
            watch.read = None
        if events & WRITE and watch.write is not None:
            waiters.append(watch.write)
            watch.write = None
        for waiter in waiters:
            self.wake(waiter, True)
        if waiters or watch.read is not None or watch.write is not None:
            self._look_for(number, watch)
        else:  # it has been closed by the other side, and nobody has come for it yet
            self._selector.unregister(number)
            del self._watches[number]
