"""Fixtures of tests that give the command `outreach` in processes of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from outreach_command import Outreach
from simulator_process import SimulatorProcess


@pytest.fixture
def twilio(start_simulator: Callable[..., SimulatorProcess]) -> SimulatorProcess:
    """Return a simulator that is quick and has no limits."""
    return start_simulator("--setup-ms", "20", "--flex-per-s", "0")


@pytest.fixture
def outreach(tmp_path: Path, twilio: SimulatorProcess) -> Iterator[Outreach]:
    """Return an installation with a campaign of three customers; nothing of it runs after the test."""
    folder = tmp_path / "outreach"
    folder.mkdir()
    installation = Outreach(folder, twilio.url)
    installation.write()
    yield installation
    installation.close()
