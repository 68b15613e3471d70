"""Fixtures of tests that give single commands in processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from outreach_command import Outreach


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
