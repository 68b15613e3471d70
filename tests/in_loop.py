"""Calls things inside a loop, as the rows of a worker do."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from worker.loop import Loop

T = TypeVar("T")


def in_loop(loop: Loop, act: Callable[[], T]) -> T:
    """Return what `act` returns, or raise what it raises, in a loop."""
    found: list[T] = []
    loop.work([lambda: found.append(act())])
    return found[0]


class InLoop:
    """Something whose methods are all called inside a loop."""

    def __init__(self, loop: Loop, inner: Any) -> None:
        self._loop, self._inner = loop, inner

    def __getattr__(self, name: str) -> Any:
        """Give a method that is called inside the loop."""
        found = getattr(self._inner, name)
        if not callable(found):
            return found
        return lambda *args, **kwargs: in_loop(self._loop, lambda: found(*args, **kwargs))


@cache
def a_loop(most: int = 1_000) -> Loop:
    """Give a loop; one for all tests that want as much at once, for its thread ends with the process."""

    def fail(why: str) -> None:
        raise AssertionError(why)

    return Loop("rows of a test", most, fail)
