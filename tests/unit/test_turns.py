"""Tell whether what tests take turns with is another one after a test that failed, and the same one otherwise."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from turns import FAILED, Turns


class Test:
    """What pytest knows of a test."""

    __test__ = False

    def __init__(self) -> None:
        self.stash = pytest.Stash()


@pytest.fixture
def made() -> list[str]:
    return []


@pytest.fixture
def turns(made: list[str]) -> Turns[int]:
    @contextmanager
    def make() -> Iterator[int]:
        made.append("made")
        yield len(made)
        made.append("ended")

    return Turns(make)


def take(turns: Turns[int], *, fails: bool = False) -> int:
    test = Test()
    with turns.turn(test) as present:  # type: ignore[arg-type]
        test.stash[FAILED] = fails
        return present


def test_tests_that_go_well_share_one(turns: Turns[int], made: list[str]) -> None:
    assert take(turns) == take(turns)

    turns.close()

    assert made == ["made", "ended"]


def test_next_one_after_a_failure_gets_another(turns: Turns[int], made: list[str]) -> None:
    first = take(turns, fails=True)

    assert take(turns) != first
    assert made == ["made", "ended", "made"]


def test_what_a_fixture_finds_wrong_afterwards_counts_as_well(turns: Turns[int], made: list[str]) -> None:
    with pytest.raises(AssertionError), turns.turn(Test()):  # type: ignore[arg-type]
        raise AssertionError

    assert made == ["made", "ended"]
