"""Tell whether every command of the README does what stands beside it, and its tables are the program's own."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from outreach_command import Outreach, number, wait_until
from quick_command import QuickCommands
from simulator_process import SimulatorProcess

from worker import wiring
from worker.ledger.registry import Registry
from worker.ledger.timetable import Timetable
from worker.redis_server import redis_url
from worker.settings import describe_settings, load_settings

PROJECT = Path(__file__).resolve().parents[2]
README = (PROJECT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
# Those of several accounts are tried by test_two_accounts.py.
COMMANDS = [line for block in BLOCKS if "--account" not in block for line in block.splitlines()]
STAND_IN = "renewal-reminder-1a2b3c4d5e"
APART = (
    "outreach suppress ",
    "outreach webhooks ",
    "outreach schedule ",
    "outreach beat",
    "outreach follow-up ",
)


@pytest.fixture
def desk(outreach: Outreach) -> Outreach:
    """Return an installation whose folder holds the files that the README speaks of."""
    outreach.write([*(number(row) for row in range(1, 30)), "+12025550180"])
    outreach.definition.rename(outreach.folder / "campaign.toml")
    outreach.definition = outreach.folder / "campaign.toml"
    return outreach


def give(desk: Outreach, line: str, campaign_id: str, *codes: int) -> str:
    """Give a command as it stands in the README; return what it answers."""
    words = shlex.split(line.replace(STAND_IN, campaign_id))
    assert words[0] == "outreach"
    process = desk.start_cold(*words[1:])  # with its own imports, all of them
    out, err = process.communicate(timeout=180)
    assert process.returncode in codes, f"{line}: exit code {process.returncode}\n{out}\n{err}"
    return out


def begin_and_interrupt(desk: Outreach, twilio: SimulatorProcess) -> str:
    """Leave a campaign unfinished; return its id."""
    running = desk.start("run", *desk.files, OUTREACH_ACCOUNT_INTERACTIONS_PER_S="5")
    before = len(twilio.journal("message"))
    wait_until(lambda: len(twilio.journal("message")) > before + 1)
    running.send_signal(signal.SIGINT)
    desk.finish(running, 3)
    return str(desk.json("status")[0]["id"])


def test_commands_of_a_working_day_do_what_they_say(desk: Outreach, twilio: SimulatorProcess) -> None:
    day = iter(line for line in COMMANDS if line.startswith("outreach ") and not line.startswith(APART))

    def next_line(beginning: str) -> str:
        line = next(day)
        assert line.startswith(f"outreach {beginning}"), line
        return line

    assert "30 rows: 30 ready" in give(desk, next_line("check"), "", 0)
    assert (desk.folder / "problems.csv").is_file()
    assert "results file: " in give(desk, next_line("run"), "", 1)
    ran = str(desk.json("status")[0]["id"])
    assert ran in give(desk, next_line("status"), ran, 0)
    assert "29 accepted" in give(desk, next_line("status"), ran, 0)
    assert "finished" in give(desk, next_line("watch"), ran, 1)
    assert "Twilio accepted the message" in give(desk, next_line("explain"), ran, 0)
    stops = [next_line("pause"), next_line("resume"), next_line("cancel")]
    assert "Left out" in give(desk, next_line("retry"), ran, 0)
    assert "1 row to send again" in give(desk, next_line("retry"), ran, 1)
    shutil.copy(desk.results / f"{ran}.csv", desk.folder / "edited.csv")
    assert "1 row to send again" in give(desk, next_line("retry"), ran, 0)
    assert "No row" in give(desk, next_line("review"), ran, 0)
    assert "results file: results.csv" in give(desk, next_line("results"), ran, 0)
    assert give(desk, next_line("results"), ran, 0).startswith("phone,name,outreach_row")
    assert "python" in give(desk, next_line("doctor"), ran, 0)

    with desk.customers.open("a") as file:
        file.writelines(f"{number(row)},Late\n" for row in range(31, 60))
    unfinished = begin_and_interrupt(desk, twilio)
    assert "is paused" in give(desk, stops[0], unfinished, 0)
    assert "finished" in give(desk, stops[1], unfinished, 1)
    with desk.customers.open("a") as file:
        file.writelines(f"{number(row)},Later\n" for row in range(61, 90))
    unfinished = begin_and_interrupt(desk, twilio)
    assert "cancelled" in give(desk, stops[2], unfinished, 0, 1)

    worker, load, simulator = next_line("worker"), next_line("load"), next_line("simulator")
    assert next(day, None) is None
    _serve_and_load(desk, worker, load)
    process = desk.start(*shlex.split(simulator)[1:-1], "0")
    assert process.stdout
    assert process.stdout.readline().startswith("listening on ")
    process.terminate()


def test_commands_of_the_do_not_contact_list_do_what_they_say(desk: Outreach) -> None:
    lines = [line for line in COMMANDS if line.startswith("outreach suppress ")]
    (desk.folder / "optouts.csv").write_text(f"phone,reason\n{number(5)},complained\n{number(6)},\n")

    with QuickCommands(desk) as quickly:
        said = [quickly(*shlex.split(line)[1:]) for line in lines]

    added, imported, listed, exported, removed, hashed = said
    assert added == "1 address put on the do-not-contact list.\n"
    assert imported == "2 addresses put on the do-not-contact list.\n"
    assert "3 addresses on the do-not-contact list" in listed
    assert "asked on the phone" in listed
    assert exported.startswith("3 addresses in do-not-contact.csv")
    assert removed == "1 address taken off the do-not-contact list.\n"
    assert hashed == "Only hashes are kept from now on; 2 addresses turned into such.\n"


def test_commands_of_every_night_do_what_they_say(desk: Outreach) -> None:
    lines = [line for line in COMMANDS if line.startswith(("outreach schedule ", "outreach beat"))]
    add, listed, run_now, shown, remove, beat = (shlex.split(line)[1:] for line in lines)
    (desk.folder / "drop").mkdir()
    os.utime(desk.customers.rename(desk.folder / "drop" / "monday.csv"), (0, 0))
    with QuickCommands(desk) as quickly:
        services = [desk.start("worker"), desk.start(*beat)]

        added = quickly(*add)
        with _registry(desk) as registry:
            wait_until(lambda: registry.workers() and Timetable(registry).has_beat())
        assert "A beat and 1 worker are running." in quickly(*listed)
        ran, nights, removed = quickly(*run_now), quickly(*shown), quickly(*remove)

        for service in services:
            service.terminate()
            desk.finish(service)
    assert "renewals: next on " in added
    assert "18:00 Europe/Berlin (" in added
    assert "renewals: Took in monday.csv: 30 pending." in ran
    assert "monday.csv" in nights.partition("SHA-256")[2]
    assert "by hand" in nights
    assert removed == "The schedule renewals is removed.\n"


def test_commands_of_follow_ups_do_what_they_say(desk: Outreach) -> None:
    lines = [line for line in COMMANDS if line.startswith("outreach follow-up ")]
    with desk.definition.open("a") as definition:
        definition.write('[[follow_up]]\nafter = "1s"\nif = "always"\nbody = "Still there?"\n')
    ran = str(desk.run(code=1)["id"])
    preview, run, stop = (shlex.split(line.replace(STAND_IN, ran))[1:] for line in lines)
    wait_until(lambda: "29 rows due for a follow-up" in desk(*preview).stdout)

    assert "29 accepted" in desk(*run).stdout.partition("Follow-ups")[2]
    assert desk(*stop).stdout == f"The follow-ups of {ran} are stopped.\n"


@contextmanager
def _registry(desk: Outreach) -> Iterator[Registry]:
    """Look into the ledger beside the commands, which would each cost a process."""
    settings = load_settings(desk.environ, None)
    with redis_url(settings) as url:
        yield wiring.build(settings, wiring.connect(url)).registry


def test_commands_of_webhooks_do_what_they_say(desk: Outreach) -> None:
    serving, setting_up, status = (line for line in COMMANDS if line.startswith("outreach webhooks "))
    desk.environ["OUTREACH_WEBHOOK_URL"] = url = "https://127.0.0.1:9/twilio"
    process = desk.start(*shlex.split(serving)[1:-1], "0")
    assert process.stdout
    assert process.stdout.readline().startswith("listening on http://127.0.0.1:")

    assert f"PostWebhookUrl: nothing -> {url}" in give(desk, setting_up, "", 0)
    assert give(desk, status, "", 0).startswith("address: none\n")

    process.terminate()
    assert process.wait(60) == 0


def test_plain_celery_is_a_worker(desk: Outreach) -> None:
    (line,) = (line for line in COMMANDS if line.startswith("celery "))
    command = [sys.executable, "-m", *shlex.split(line)]
    process = subprocess.Popen(
        command,
        cwd=desk.folder,
        env=desk.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    said = ""
    while "ready." not in said:
        said = process.stderr.readline()
        assert said, "it ended"
    process.terminate()
    process.communicate(timeout=120)

    assert process.returncode == 0


def _serve_and_load(desk: Outreach, worker: str, load: str) -> None:
    with desk.customers.open("a") as file:
        file.write(f"{number(100)},Last\n")
    serving = desk.start(*shlex.split(worker)[1:])
    wait_until(lambda: "1 alive" in str(desk.json("doctor")))
    campaign_id = give(desk, load, "", 0).strip()
    desk("watch", campaign_id, code=1)
    assert campaign_id == desk.json("status")[0]["id"]
    serving.send_signal(signal.SIGTERM)
    serving.communicate(timeout=120)


def test_every_other_command_is_known_to_be_tried_elsewhere() -> None:
    tried_here = ("outreach ", "celery ")

    others = [line for line in COMMANDS if not line.startswith(tried_here)]

    # Docker's are tried, as plain processes, by test_compose.py.
    assert [line.split()[0] for line in others] == ["cp", "docker", "docker", "docker"]
    assert (PROJECT / ".env.example").is_file()


def test_settings_are_the_programs_own() -> None:
    rows = [f"| `{one.name}` | {one.meaning} | {one.default} |" for one in describe_settings()]

    # A cell that is empty has one blank less.
    assert [row.replace("|  |", "| |") for row in rows] == [
        line.replace("|  |", "| |") for line in README.splitlines() if re.match(r"\| `[A-Z_]+` \|", line)
    ]


def test_two_commands_are_targets_of_make() -> None:
    makefile = (PROJECT / "Makefile").read_text()

    assert re.findall(r"^    make (\w+)", README, re.MULTILINE) == ["demo", "test"]
    targets = " ".join(re.findall(r"^([a-z ]+):", makefile, re.MULTILINE)).split()
    assert {"demo", "test", "lint", "unit", "integration", "acceptance"} <= set(targets)
