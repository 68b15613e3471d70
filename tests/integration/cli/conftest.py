"""Fixtures of tests that give single commands in processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from outreach_command import Outreach
from quick_command import QuickCommands
from zygote import Zygote


@pytest.fixture
def outreach(tmp_path: Path) -> Iterator[Outreach]:
    """Return an installation with a campaign of three customers, and nobody in Twilio's place."""
    folder = tmp_path / "outreach"
    folder.mkdir()
    # The discard port: nothing listens there.
    installation = Outreach(folder, "http://127.0.0.1:9")
    installation.write()
    yield installation
    installation.close()


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """Hold the process that commands are forked from."""
    with Zygote() as process:
        yield process


@pytest.fixture
def give(outreach: Outreach, zygote: Zygote) -> Iterator[QuickCommands]:
    """Give commands of the installation, one after the other."""
    with QuickCommands(outreach, zygote) as commands:
        yield commands
