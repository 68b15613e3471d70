"""Turns the bytes of a fuzzer into choices, so that both engines can build what has a structure."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Hand out the bytes from the front; where none is left every choice is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_spent(self) -> bool:
        """Tell whether all bytes are used."""
        return self._at >= len(self._data)

    def number(self, below: int) -> int:
        """Choose a number from 0 up to 65,535 at most."""
        taken = self.take(1 if below <= 256 else 2)
        return int.from_bytes(taken) % below if taken else 0

    def one_of(self, options: Sequence[T]) -> T:
        """Choose one of the options."""
        return options[self.number(len(options))]

    def take(self, size: int) -> bytes:
        """Take some bytes as they are."""
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def rest(self) -> bytes:
        """Take all that is left."""
        return self.take(len(self._data))
