"""Fixtures that several folders of tests share."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from simulator_process import SimulatorProcess


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


@pytest.fixture
def simulator(start_simulator: Callable[..., SimulatorProcess]) -> SimulatorProcess:
    """Return a running simulator with its default settings."""
    return start_simulator()
