"""What `check` foretells of a campaign that is kept to windows."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from campaigns.definition import parse_definition
from ops.cli import check
from ops.cli.checking import Checking
from worker.settings import load_settings

DEFINITION = """
name = "spring"
channel = "sms"
from = "+19252210100"
to = "{{ phone }}"
[routing]
workspace_sid = "WS5f1d2c3b4a59687766554433221100ff"
workflow_sid = "WW0a1b2c3d4e5f60718293a4b5c6d7e8f9"
queue_sid = "WQ9f8e7d6c5b4a39281706f5e4d3c2b1a0"
worker_sid = "WK11223344556677889900aabbccddeeff"
[message]
body = "Hello"
[pacing]
messages_per_second = 0.001
"""
WINDOW = '[window]\nfrom = "{{ opens }}"\nuntil = "21:01"\ntimezone = "Europe/London"\n'
MONDAY = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)


def forecast(folder: Path, window: str, opens: list[str]) -> str:
    """Give what `check` says after the bare duration, for rows whose windows open so."""
    customers = folder / "customers.csv"
    rows = "".join(f"+1202555{n:04d},{at}\n" for n, at in enumerate(opens))
    customers.write_text("phone,opens\n" + rows)
    definition = parse_definition(DEFINITION + window, "campaign.toml")
    settings = load_settings({}, None)
    checking = Checking(settings, definition, folder / "campaign.toml", customers, None, time.sleep, MONDAY)
    assert list(checking.problems(lambda *_: None)) == []
    return check._kept_to_hours(checking)


@pytest.mark.parametrize(
    ("window", "opens", "said"),
    [
        ("", ["08:00"], ""),
        (WINDOW, ["06:00"] * 10, ""),
        (
            WINDOW,
            ["08:00"] * 2,
            "; the window is open 13 h 01 min a day: begun now, about 1 h 33 min, until 2026-11-23 08:33 UTC",
        ),
        (
            WINDOW,
            ["08:00"] * 108,
            "; the window is open 13 h 01 min a day: begun now, about 3 days, until 2026-11-25 12:00 UTC",
        ),
        (
            WINDOW,
            ["08:00", "20:00"],
            "; their windows are open 1 h 01 min to 13 h 01 min a day: begun now, about 13 h 16 min, "
            "until 2026-11-23 20:16 UTC",
        ),
        (
            WINDOW + 'days = ["mon"]\n',
            ["20:00"] * 100,
            "; the window is open 1 h 01 min a day, and 90 days are not enough for all",
        ),
    ],
)
def test_forecast_names_the_hours_that_are_too_few(
    tmp_path: Path, window: str, opens: list[str], said: str
) -> None:
    assert forecast(tmp_path, window, opens) == said
