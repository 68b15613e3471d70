"""What the tests of a module take turns with: it is made anew after a test that failed, so that one failure stays one."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Generic, TypeVar

import pytest

T = TypeVar("T")
FAILED = pytest.StashKey[bool]()
"""Set on a test as soon as a part of it has failed (conftest.py)."""


class Turns(Generic[T]):
    """Holds the present one; `make` gives another."""

    def __init__(self, make: Callable[[], AbstractContextManager[T]]) -> None:
        self._make, self._stack = make, ExitStack()
        self._present: list[T] = []

    @contextmanager
    def turn(self, test: pytest.Item) -> Iterator[T]:
        """Give it to a test; what a test that fails leaves half done is no other's."""
        if not self._present:
            self._present.append(self._stack.enter_context(self._make()))
        try:
            yield self._present[0]
        except BaseException:  # what a fixture found afterwards
            self.close()
            raise
        if test.stash.get(FAILED, False):
            self.close()

    def close(self) -> None:
        """End the present one."""
        self._present.clear()
        self._stack.close()
