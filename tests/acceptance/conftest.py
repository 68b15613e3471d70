"""Fixtures of tests that give the command `outreach` in processes of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from outreach_command import Outreach
from simulator_process import SimulatorProcess


@pytest.fixture
def twilio(simulator: SimulatorProcess) -> SimulatorProcess:
    """Return a simulator that is quick and has no limits; its deliveries are quick too, for `run` waits for them."""
    simulator.settings(setup_ms=20, flex_per_s=0, sent_s=0, delivered_s=0)
    return simulator


@pytest.fixture
def outreach(tmp_path: Path, twilio: SimulatorProcess) -> Iterator[Outreach]:
    """Return an installation with a campaign of three customers; nothing of it runs after the test."""
    folder = tmp_path / "outreach"
    folder.mkdir()
    installation = Outreach(folder, twilio.url)
    installation.write()
    yield installation
    installation.close()
