"""Fixtures that several folders of tests share."""

import itertools
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from simulator_process import SimulatorProcess

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would every command that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def start_simulator(tmp_path: Path) -> Iterator[Callable[..., SimulatorProcess]]:
    """Start simulators with given arguments: `start_simulator("--fault", "429=0.1")`; all are stopped at the end."""
    running: list[SimulatorProcess] = []
    numbers = itertools.count(1)

    def start(*arguments: str) -> SimulatorProcess:
        folder = tmp_path / f"simulator-{next(numbers)}"
        folder.mkdir()
        running.append(SimulatorProcess(folder, *arguments))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture(scope="session")
def shared_simulator() -> Iterator[list[SimulatorProcess]]:
    """Hold the one simulator that tests take turns with; starting one for each would be most of their time."""
    running: list[SimulatorProcess] = []
    yield running
    for one in running:
        one.stop()


@pytest.fixture
def simulator(
    shared_simulator: list[SimulatorProcess], tmp_path_factory: pytest.TempPathFactory
) -> SimulatorProcess:
    """Return a running simulator that has forgotten everything, with its default settings.

    A test may kill it; the next one gets a new one.
    """
    if not shared_simulator or shared_simulator[-1].process.poll() is not None:
        shared_simulator.append(SimulatorProcess(tmp_path_factory.mktemp("simulator")))
    shared_simulator[-1].reset(settings=True)
    return shared_simulator[-1]
