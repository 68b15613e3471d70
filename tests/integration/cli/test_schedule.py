"""Tell whether `outreach schedule` says how nights stand, and ends with the exit code that goes with it."""

import json
import os
from collections.abc import Iterator

import pytest
from outreach_command import Outreach
from quick_command import QuickCommands

from worker import wiring
from worker.redis_server import redis_url
from worker.settings import load_settings

DAILY = ("--cron", "0 18 * * *")


@pytest.fixture
def give(outreach: Outreach) -> Iterator[QuickCommands]:
    """Give commands of the installation."""
    with QuickCommands(outreach) as commands:
        yield commands


def show_a_worker(outreach: Outreach) -> None:
    """Have it look as if a worker ran."""
    settings = load_settings(outreach.environ, None)
    with redis_url(settings) as url:
        bench = wiring.build(settings, wiring.connect(url))
        bench.registry.see_worker(wiring.owner_name(), {"pid": 1, "host": "here", "concurrency": 1})


def test_schedule_says_what_is_missing_and_how_its_nights_went(
    give: QuickCommands, outreach: Outreach
) -> None:
    drop = outreach.folder / "drop"
    added = give("schedule", "add", "evening", str(outreach.definition), "drop/*.csv", *DAILY)
    again = give("schedule", "add", "evening", *outreach.files, *DAILY, code=2)
    unserved = give("schedule", "run-now", "evening", code=2)
    show_a_worker(outreach)
    drop.mkdir()

    outreach.customers.rename(drop / "a.csv").write_text("telephone\n1\n")
    os.utime(drop / "a.csv", (0, 0))
    refused = give("schedule", "run-now", "evening", code=2)
    outreach.write(2)
    os.utime(outreach.customers.rename(drop / "a.csv"), (0, 0))
    away = json.loads(give("schedule", "run-now", "evening", "--json", code=4))

    assert f"nothing matches {drop / '*.csv'} now" in added
    assert "start `outreach beat`" in added
    assert "start `outreach worker`" in added
    assert "There is a schedule evening already." in again
    assert "No worker is running" in unserved
    assert "evening: a.csv was refused." in refused
    assert "phone" in refused.splitlines()[0]
    assert (away["state"], away["campaigns"]) == ("waiting", [])
    listed = give("schedule", "list")
    assert "It is tried again until the next night." in listed
    assert "start `outreach worker`" not in listed
    doctor = {one["name"]: one for one in json.loads(give("doctor", "--json", code=4))}
    assert doctor["beat"]["advice"] == "Start `outreach beat`."


def test_schedule_of_a_folder_or_of_what_is_no_text_is_refused(
    give: QuickCommands, outreach: Outreach
) -> None:
    campaign, no_text = str(outreach.definition), os.fsdecode(b"caf\xe9")

    folder = give("schedule", "add", "evening", campaign, str(outreach.folder), *DAILY, code=2)
    pattern = give("schedule", "add", "evening", campaign, f"{no_text}/*.csv", *DAILY, code=2)
    for command in ("remove", "run-now", "list"):
        assert "There is no schedule" in give("schedule", command, no_text, code=2)

    assert "is a folder. Name its files" in folder
    assert "not UTF-8" in pattern


def test_campaign_that_is_taken_for_a_schedule_is_referred_to_its_follow_ups(
    give: QuickCommands, outreach: Outreach
) -> None:
    settings = load_settings(outreach.environ, None)
    with redis_url(settings) as url:
        fields = {"name": "spring", "definition": "{}", "columns": "[]", "file_sha256": "0" * 64}
        wiring.build(settings, wiring.connect(url)).registry.create("spring-1", fields)

    assert "`outreach follow-up stop spring-1`" in give("schedule", "remove", "spring-1", code=2)
    assert "`outreach follow-up run spring-1`" in give("schedule", "run-now", "spring-1", code=2)
