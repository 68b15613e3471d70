"""Fixtures that several folders of tests share.

`make test` runs three tests at a time, on a machine that may be slow and noisy besides; `pytest FILE` runs them one by one.
So a test

- uses no fixed port, no path outside its `tmp_path`, and ends only processes that it started; it never counts all of a kind;
- waits for conditions, with deadlines that a machine five times slower keeps (they cost nothing where all is well), and
  asserts no time that the machine has a share in: how fast we are is asked in ops/bench;
- has its parameters in an order that is the same in every process: no sets, nothing random;
- leaves what it takes turns with as it found it; where it fails, the next one gets another (turns.py);
- finds fixtures of the whole session once in each of the three processes, not once in all;
- tries the same examples every time, however long they take: `--hypothesis-profile=default` tries others.
"""

import itertools
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from simulator_process import SimulatorProcess
from turns import FAILED

# A shell's background job ignores Ctrl-C, what runs under nohup the end of its terminal, and so would every command that a test
# starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

settings.register_profile(
    "steady", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note on a test that it failed, for the fixtures that are torn down after it."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


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
