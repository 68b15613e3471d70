"""The loop that rows run in: who waits lets the others on, and nobody is forgotten."""

from __future__ import annotations

import contextvars
import queue
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
from in_loop import a_loop, in_loop

from worker import loop as loops
from worker.loop import READ, WRITE, Loop


def test_all_wait_at_once_in_one_thread() -> None:
    loop, began, seen = a_loop(), time.monotonic(), []

    def rest(_: int) -> None:
        loops.sleep(0.2)
        seen.append(threading.current_thread().name)

    loop.work([partial(rest, number) for number in range(300)])

    assert seen == ["rows of a test"] * 300
    assert time.monotonic() - began < 60, "one after another they would have slept for a minute"


def test_whose_time_comes_first_goes_on_first() -> None:
    loop, seen = a_loop(), []

    def rest(seconds: float) -> None:
        loops.sleep(seconds)
        seen.append(seconds)

    loop.work([partial(rest, seconds) for seconds in (0.3, 0.1, 0.2, 0.0)])

    assert seen == [0.0, 0.1, 0.2, 0.3]


def test_no_more_than_so_many_are_at_work_at_once() -> None:
    loop, at_work, most = a_loop(most=3), [], []

    def rest(number: int) -> None:
        at_work.append(number)
        most.append(len(at_work))
        loops.sleep(0.01)
        at_work.remove(number)

    threads = [
        threading.Thread(target=loop.work, args=([partial(rest, number) for number in range(10)],))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (max(most), len(most)) == (3, 20)


def test_what_goes_wrong_is_raised_where_it_is_waited_for_and_costs_nobody_else() -> None:
    loop, done = a_loop(), []

    with pytest.raises(ZeroDivisionError):
        loop.work([lambda: 1 / 0, lambda: done.append("the other")])

    assert done == ["the other"]


def test_where_there_is_nothing_to_do_nobody_waits() -> None:
    waiting = threading.Thread(target=a_loop().work, args=([],), daemon=True)

    waiting.start()
    waiting.join(10)

    assert not waiting.is_alive()


def test_outside_of_a_loop_one_just_sleeps() -> None:
    loops.sleep(0)

    assert loops.here() is None


def test_each_has_a_context_of_its_own_and_a_helper_has_it_too() -> None:
    loop, seen = a_loop(), []
    mine: contextvars.ContextVar[int] = contextvars.ContextVar("mine", default=-1)

    def act(number: int) -> None:
        before = mine.get()
        mine.set(number)
        loops.sleep(0.01)
        here = loops.here()
        assert here is not None
        seen.append((before, mine.get(), here.aside(mine.get), number))

    loop.work([partial(act, number) for number in range(5)])

    assert sorted(seen) == [(-1, number, number, number) for number in range(5)]


def test_what_a_helper_raises_is_raised_where_it_is_waited_for() -> None:
    loop = a_loop()

    with pytest.raises(ZeroDivisionError):
        in_loop(loop, lambda: loop.aside(lambda: 1 / 0))


def test_helper_that_comes_too_late_wakes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, late = Loop("rows", 1, print), threading.Event()
    submit = loop._helpers.submit

    def submit_and_fail(act: Callable[[], object]) -> None:
        submit(act)
        raise RuntimeError("can't start new thread")  # as it is raised once the work has been noted

    monkeypatch.setattr(loop._helpers, "submit", submit_and_fail)

    def act() -> float:
        with pytest.raises(RuntimeError):
            loop.aside(lambda: late.wait(10))
        before = time.monotonic()
        late.set()
        loop.sleep(0.3)
        return time.monotonic() - before

    assert in_loop(loop, act) >= 0.3


def test_nobody_waits_until_a_helper_is_free() -> None:
    loop, all_there = Loop("rows", 40, print), threading.Barrier(40)

    loop.work([lambda: loop.aside(lambda: all_there.wait(10))] * 40)

    assert not all_there.broken


def test_socket_is_waited_for_until_it_can_be_read() -> None:
    loop = a_loop()
    ours, theirs = socket.socketpair()

    def read() -> bytes:
        assert not loop.wait_for(ours, READ, 0.01)
        threading.Timer(0.05, theirs.send, [b"there"]).start()
        assert loop.wait_for(ours, READ, 60)
        return ours.recv(10)

    with ours, theirs:
        assert in_loop(loop, read) == b"there"


def test_socket_is_waited_for_until_it_can_be_written() -> None:
    loop = a_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    def write() -> bool:
        with suppress(BlockingIOError):
            while True:
                ours.send(b"x" * 65_536)
        assert not loop.wait_for(ours, WRITE, 0.01)
        threading.Timer(0.05, theirs.recv, [1_000_000]).start()
        return loop.wait_for(ours, WRITE, 60)

    with ours, theirs:
        assert in_loop(loop, write)


def test_what_comes_while_one_waits_to_write_keeps_nobody_busy() -> None:
    loop = a_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    def write() -> float:
        with suppress(BlockingIOError):
            while True:
                ours.send(b"x" * 65_536)
        theirs.send(b"an answer before the whole question")
        before = time.thread_time()
        assert not loop.wait_for(ours, WRITE, 0.3)
        return time.thread_time() - before

    with ours, theirs:
        assert in_loop(loop, write) < 0.1
        assert in_loop(loop, lambda: loop.wait_for(ours, READ, 60)), "it is seen once somebody comes"


def test_number_of_a_closed_socket_serves_the_next_one() -> None:
    loop, numbers = a_loop(), set()

    def converse() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            numbers.add(ours.fileno())
            theirs.send(b"!")
            assert loop.wait_for(ours, READ, 60)

    for _ in range(5):
        in_loop(loop, converse)

    assert len(numbers) < 5, "else this has shown nothing"


def test_socket_that_ends_while_nobody_waits_keeps_nobody_busy() -> None:
    loop = a_loop()
    ours, theirs = socket.socketpair()

    def wait_then_rest() -> float:
        assert not loop.wait_for(ours, READ, 0.01)
        theirs.close()
        before = time.thread_time()
        loops.sleep(0.3)
        return time.thread_time() - before

    with ours:
        assert in_loop(loop, wait_then_rest) < 0.1
        assert in_loop(loop, lambda: loop.wait_for(ours, READ, 60)), "it is seen once somebody comes"


def test_time_that_was_set_for_what_came_earlier_wakes_nobody() -> None:
    loop = a_loop(most=2)  # a loop that nobody else uses
    ours, theirs = socket.socketpair()
    waits: list[float | None] = []

    def converse_then_rest() -> None:
        for number in range(20):
            theirs.send(b"!")
            assert loop.wait_for(ours, READ, 0.1 + number / 100)
            ours.recv(1)
        select = loop._selector.select
        loop._selector.select = lambda wait: (waits.append(wait), select(wait))[1]  # type: ignore[func-returns-value]
        loops.sleep(0.5)
        loop._selector.select = select

    with ours, theirs:
        in_loop(loop, converse_then_rest)

    assert len(waits) < 10


def test_closed_socket_is_refused_and_costs_nobody_else() -> None:
    loop = a_loop()
    ours, theirs = socket.socketpair()
    ours.close()

    with theirs, pytest.raises(OSError, match="closed"):
        in_loop(loop, lambda: loop.wait_for(ours, READ, 60))

    assert in_loop(loop, lambda: "on") == "on"


def test_loop_that_could_not_begin_begins_with_the_next_work(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, done = Loop("rows", 1, print), []
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socketpair", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            loop.work([lambda: done.append("too early")])

    loop.work([lambda: done.append("begun")])

    assert done == ["begun"]


def test_fault_of_the_loop_itself_is_told() -> None:
    told: queue.Queue[str] = queue.Queue()
    loop = Loop("rows", 1, told.put)

    loop.call(lambda: loop.before_waiting(lambda: 1 / 0))

    assert "failed, by ZeroDivisionError at test_loop.py:" in told.get(timeout=60)
    with pytest.raises(OSError, match="Bad file descriptor"):
        loop.work([lambda: None])
