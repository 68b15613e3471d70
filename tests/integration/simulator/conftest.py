"""Fixtures of the simulator's own tests: clients without an SDK."""

import time
from collections.abc import Callable, Iterator

import pytest
from simulator_calls import Calls
from simulator_process import SimulatorProcess


@pytest.fixture
def connect() -> Iterator[Callable[..., Calls]]:
    """Make clients of a simulator; all are closed at the end."""
    made: list[Calls] = []

    def make(simulator: SimulatorProcess, **options: object) -> Calls:
        made.append(Calls(simulator.url, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def calls(connect: Callable[..., Calls], simulator: SimulatorProcess) -> Calls:
    """Return a client of a simulator that sets channels up at once."""
    simulator.settings(setup_ms=0)
    return connect(simulator)


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Wait until something is so; the condition is asked again and again, so that no time is guessed."""

    def wait(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "it never came about"
            time.sleep(0.02)

    return wait
