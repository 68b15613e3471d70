"""Tell whether a command that dies while it loads leaves what the next one completes, and nothing that starts half."""

import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from campaign_files import number
from installation import CELERY, Installation
from outreach_command import wait_until
from sheet_files import write_xlsx
from simulator_process import SimulatorProcess
from zygote import Forked, Zygote

from worker.ledger.states import State
from worker.pipeline.intake import decide

ROWS = 100


@pytest.fixture(scope="module")
def twilio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """Return a simulator that is quick and has no limits."""
    made = SimulatorProcess(tmp_path_factory.mktemp("twilio"), "--setup-ms", "20", "--flex-per-s", "0")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, twilio: SimulatorProcess) -> Iterator[Installation]:
    """Return an installation with a worker that is there all the while; each test has customers of its own."""
    folder = tmp_path_factory.mktemp("half-loads")
    with Zygote() as zygote, Installation(folder, twilio.url, zygote, "loads").up() as made:
        made.fork(*CELERY)
        wait_until(made.ready, timeout_s=60)
        yield made


def write(one: Installation, campaign: str, first: int, rows: int = ROWS) -> None:
    """Write a definition of this name, and a file of so many customers."""
    one.customers = one.folder / "customers.csv"
    one.write(
        [number(row) for row in range(first, first + rows)], ('name = "spring"', f'name = "{campaign}"')
    )


def effects(twilio: SimulatorProcess, campaign_id: str) -> list[dict[str, Any]]:
    """List the Interactions and messages of a campaign."""
    return [one for one in twilio.journal() if str(one.get("key", "")).startswith(f"{campaign_id}:")]


def name(one: Installation) -> str:
    """Name the campaign that the files in place are, by whichever command."""
    return decide(one.registry, one.settings, one.definition, one.customers).campaign_id


def die(one: Installation, point: str, *command: str) -> str:
    """Have a command die at a crash point; the campaign's id."""
    (one.folder / "crash").write_text(point)
    campaign_id = name(one)
    assert one.fork(*command, OUTREACH_CRASH_AT=str(one.folder / "crash")).wait(60) == -signal.SIGKILL, (
        one.said()
    )
    return campaign_id


def stop(one: Installation, point: str, *command: str) -> Forked:
    """Have a command stop at a crash point, until a signal lets it go on."""
    file = one.folder / "crash"
    file.write_text(f"stop {point}")
    stopped = one.fork(*command, OUTREACH_CRASH_AT=str(file))
    wait_until(stopped.is_stopped, timeout_s=60)
    return stopped


def judge(one: Installation, twilio: SimulatorProcess, campaign_id: str, rows: int) -> None:
    """See that every customer got one message, and none anything before the campaign had started."""
    wait_until(lambda: not one.info(campaign_id).left, timeout_s=60)
    found = effects(twilio, campaign_id)
    info = one.info(campaign_id)
    assert one.states(campaign_id) == {State.ACCEPTED: rows}
    assert Counter(each["address"] for each in found if each["effect"] == "message") == Counter(
        cells[0] for _, _, cells, _ in one.ledger.iter_rows(campaign_id, rows)
    )
    assert info.started_at is not None
    assert min(each["date"] for each in found) >= info.started_at.strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.timeout(120)
def test_commands_that_die_at_any_point_of_loading_are_completed_by_the_next(
    one: Installation, twilio: SimulatorProcess
) -> None:
    cases = (("create", "run"), ("load_rows", "load"), ("start", "run"))
    for at, (point, command) in enumerate(cases):
        write(one, f"spring-{at}", at * ROWS)

        campaign_id = die(one, f"after {point}", command, *one.files)

        info = one.info(campaign_id)
        if point != "start":
            assert (info.stands, info.loaded) == ("loading", 0 if point == "create" else 64)
            assert not effects(twilio, campaign_id)
        assert one.fork("load", *one.files).wait(60) == 0, one.said()
        judge(one, twilio, campaign_id, ROWS)
    assert one.said().count("its loading goes on") == 2


@pytest.mark.timeout(120)
def test_spreadsheet_that_was_half_loaded_is_completed(one: Installation, twilio: SimulatorProcess) -> None:
    write(one, "sheet", 0)
    lines = [("phone", "name"), *((number(1_000 + row), f"Name {row}") for row in range(ROWS))]
    one.customers = write_xlsx(one.folder / "customers.xlsx", lines)

    campaign_id = die(one, "after load_rows", "run", *one.files)

    assert one.info(campaign_id).loaded == 64
    assert one.fork("run", *one.files).wait(60) == 0, one.said()
    judge(one, twilio, campaign_id, ROWS)


@pytest.mark.timeout(120)
def test_refused_load_that_dies_leaves_nothing_that_could_start(
    one: Installation, twilio: SimulatorProcess
) -> None:
    for at, point in enumerate(("load_rows", "discard")):
        write(one, f"refused-{at}", 0)
        one.customers.write_text("phone,name\n12,Ann\n13,Bob\n")

        campaign_id = die(one, f"after {point}", "load", *one.files)

        assert (campaign_id in one.registry.ids()) == (point == "load_rows")
        assert one.fork("load", *one.files).wait(60) == 2
        assert campaign_id not in one.registry.ids()
        assert not effects(twilio, campaign_id)


@pytest.mark.timeout(120)
def test_half_load_of_a_file_that_changed_stands_in_nobodys_way_and_can_be_ended(
    one: Installation, twilio: SimulatorProcess
) -> None:
    write(one, "changed", 2_000)
    half = die(one, "after load_rows", "load", *one.files)
    write(one, "changed", 2_000, ROWS - 10)

    whole = name(one)
    assert one.fork("run", *one.files).wait(60) == 0, one.said()
    judge(one, twilio, whole, ROWS - 10)
    seen = one.json("status", half)
    refused = one("cancel", half, code=2)
    ended = one("cancel", half, "--yes")

    assert (seen["state"], seen["rows"]) == ("loading", 64)
    assert f"outreach cancel {half}" in seen["waiting_for"]
    assert "--yes" in refused.stderr
    assert "never loaded to its end: it is gone, with the 64 rows loaded so far" in ended.stdout
    assert half not in (*one.registry.ids(), *one.registry.active())
    assert not effects(twilio, half)
    assert not list(one.results.glob(f"*{half}*"))


@pytest.mark.timeout(120)
def test_command_that_is_terminated_while_it_loads_says_how_to_go_on(
    one: Installation, twilio: SimulatorProcess
) -> None:
    rows = 1_000  # a command writes a few buckets before it heeds its signal
    write(one, "terminated", 10_000, rows)
    campaign_id = name(one)
    ways = (("run", signal.SIGTERM), ("load", signal.SIGHUP), ("run", signal.SIGINT))
    for at, (command, by) in enumerate(ways, start=1):
        loading = stop(one, "after load_rows", command, *one.files)
        loading.send_signal(by)
        loading.send_signal(signal.SIGCONT)

        assert loading.wait(60) == 3, one.said()
        assert one.said().count("interrupted: the same command again goes on.") == at
        assert one.info(campaign_id).stands == "loading"

    die(one, "after load_rows", "load", *one.files)
    assert one.info(campaign_id).stands == "loading"
    assert not effects(twilio, campaign_id)
    assert one.fork("load", *one.files).wait(60) == 0, one.said()
    assert one.info(campaign_id).rows == rows
    cells = [cells[0] for _, _, cells, _ in one.ledger.iter_rows(campaign_id, rows)]
    assert cells == [number(row) for row in range(10_000, 10_000 + rows)]
    assert one.registry.cancel(campaign_id).ok
