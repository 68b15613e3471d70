"""Tell whether answers are on stdout, everything else on stderr, and both suit who reads them."""

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from outreach_command import COMMAND, Outreach
from redis_process import RedisProcess
from simulator_process import SimulatorProcess

from worker.ledger.ledger import Ledger
from worker.ledger.registry import Registry
from worker.pipeline.intake import take_in
from worker.redis_server import EmbeddedRedis
from worker.settings import load_settings


def test_help_loads_nothing_heavy() -> None:
    script = "import sys, ops.cli.app; print(*sorted(set(sys.modules) & {'twilio', 'celery', 'phonenumbers', 'redis', 'jinja2', 'aiohttp', 'pydantic', 'rich'}))"

    loaded = subprocess.run([COMMAND[0], "-c", script], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == ""


def test_check_says_what_and_where_and_writes_all_of_it(
    outreach: Outreach, start_simulator: Callable[..., SimulatorProcess]
) -> None:
    twilio = start_simulator()
    outreach.write(["+12025550100", *["12"] * 30])

    done = outreach(
        *("check", *outreach.files, "--problems", str(outreach.folder / "problems.csv")),
        code=1,
        OUTREACH_TWILIO_BASE_URL=twilio.url,
    )

    lines = [line for line in done.stderr.splitlines() if line.startswith(f"{outreach.customers}:")]
    assert len(lines) == 20
    assert lines[0].startswith(f"{outreach.customers}:3:1: ")
    assert "31 rows: 1 ready, 30 invalid, 0 skipped" in done.stdout
    assert "Forecast: " in done.stdout
    assert "Segments: 1" in done.stdout
    assert "Twilio has what the campaign names." in done.stdout
    problems = outreach.folder / "problems.csv"
    assert len(problems.read_text().splitlines()) == 31
    assert problems.stat().st_mode & 0o077 == 0
    assert not twilio.journal()


def test_check_that_finds_nothing_wrong_exits_with_0(
    outreach: Outreach, start_simulator: Callable[..., SimulatorProcess]
) -> None:
    outreach.environ["OUTREACH_TWILIO_BASE_URL"] = start_simulator().url

    answer = outreach.json("check", *outreach.files)

    assert (answer["ready"], answer["exit_code"], answer["twilio_asked"]) == (3, 0, True)


def test_check_exits_with_2_where_twilio_lacks_what_is_named(
    outreach: Outreach, start_simulator: Callable[..., SimulatorProcess]
) -> None:
    twilio = start_simulator("--missing-sid", "WQ00000000000000000000000000000001")

    done = outreach("check", *outreach.files, code=2, OUTREACH_TWILIO_BASE_URL=twilio.url)

    assert "routing.queue_sid" in done.stderr


def test_check_without_credentials_checks_the_file_and_says_that_twilio_was_not_asked(
    outreach: Outreach,
) -> None:
    done = outreach("check", *outreach.files, TWILIO_ACCOUNT_SID="", TWILIO_AUTH_TOKEN="")

    assert "3 ready" in done.stdout
    assert "Twilio was not asked" in done.stdout


def test_doctor_finds_what_is_wrong(outreach: Outreach) -> None:
    outreach.home.mkdir(mode=0o755)
    outreach.home.chmod(0o755)

    findings = outreach.json("doctor", code=4)
    shown = outreach("doctor", code=4, OUTREACH_SETTLED_S="3").stdout

    verdicts = {(one["name"], one["verdict"]) for one in findings}
    assert {("python", "well"), ("home", "doubtful"), ("redis", "well"), ("twilio", "wrong")} <= verdicts
    assert "OUTREACH_SETTLED_S is no setting." in shown


def test_doctor_finds_a_redis_that_takes_no_changes(outreach: Outreach, tmp_path: Path) -> None:
    server = RedisProcess(tmp_path / "full")
    try:
        server.client.config_set("maxmemory", 1)

        findings = json.loads(
            outreach("doctor", "--json", code=4, OUTREACH_REDIS_URL=server.url).stdout
        )  # 4: no Twilio is there
    finally:
        server.stop()

    wrong = [one["sentence"] for one in findings if (one["name"], one["verdict"]) == ("redis", "wrong")]
    assert wrong == ["Redis is full: it has used all the memory that its `maxmemory` allows."]


def test_reader_that_has_enough_is_no_fault(outreach: Outreach) -> None:
    process = outreach.start("simulator", "--help")
    assert process.stdout
    process.stdout.close()
    process.wait(60)

    command = f"{' '.join(COMMAND)} --help | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)

    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("no_color", [False, True])
def test_colour_is_for_terminals_that_want_it(outreach: Outreach, no_color: bool) -> None:
    drawn = on_terminal(outreach, "doctor", **({"NO_COLOR": "1"} if no_color else {}))
    piped = outreach("doctor", code=4).stdout

    assert ("\x1b[31m" in drawn) is not no_color
    assert "\x1b" not in piped


def on_terminal(outreach: Outreach, *arguments: str, **environ: str) -> str:
    """Give a command at a terminal; return all that was drawn."""
    ours, theirs = pty.openpty()
    environ = outreach.environ | {"TERM": "xterm-256color"} | environ
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=outreach.folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    drawn, deadline = b"", time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            drawn += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    process.wait(60)
    os.close(ours)
    return drawn.decode(errors="replace")


def test_status_in_json_is_a_list_without_an_id(outreach: Outreach) -> None:
    assert json.loads(outreach("status", "--json").stdout) == []


def test_watch_waits_for_a_redis_that_is_lost_meanwhile(outreach: Outreach) -> None:
    settings, embedded = load_settings(outreach.environ, None), EmbeddedRedis(outreach.home)
    with embedded.hold() as url, redis.Redis.from_url(url) as client:
        tag = settings.account_tag
        take_in(Ledger(client, tag), Registry(client, tag), settings, *map(Path, outreach.files))
        watching = outreach.start("watch", "--json")
        assert watching.stdout
        first = json.loads(watching.stdout.readline())
        status = embedded.status()
        assert status

        os.kill(status.pid, signal.SIGKILL)
        next_but_one = [json.loads(watching.stdout.readline()) for _ in range(2)][-1]
        watching.send_signal(signal.SIGINT)
        done = outreach.finish(watching, code=3)

    assert first["counts"] == next_but_one["counts"]
    assert "Redis is lost; waiting for it." in done.stderr


def test_run_whose_ledger_is_lost_says_so_and_can_go_on(
    outreach: Outreach, start_simulator: Callable[..., SimulatorProcess]
) -> None:
    twilio = start_simulator()
    outreach.environ |= {"OUTREACH_TWILIO_BASE_URL": twilio.url, "OUTREACH_ACCOUNT_INTERACTIONS_PER_S": "2"}
    outreach.write(40)
    running = outreach.start("run", *outreach.files)
    twilio.wait_for("message", 1, timeout_s=90)
    status = EmbeddedRedis(outreach.home).status()
    assert status

    with redis.Redis.from_url(status.url) as client:
        client.flushall()
    done = outreach.finish(running, code=3)

    assert "any more, though it was being sent." in done.stderr
    assert "--rebuild" in done.stderr


def test_older_ledger_is_told_of_by_status_and_by_cancel(outreach: Outreach) -> None:
    settings = load_settings(outreach.environ, None)
    with EmbeddedRedis(outreach.home).hold() as url, redis.Redis.from_url(url) as client:
        ledger, registry = Ledger(client, settings.account_tag), Registry(client, settings.account_tag)
        campaign_id = take_in(ledger, registry, settings, *map(Path, outreach.files)).campaign_id
        registry.heed(campaign_id, 500)

        status = outreach("status", campaign_id).stdout
        cancelled = outreach("cancel", campaign_id, "--yes")

    assert "behind what was seen of this campaign" in " ".join(status.split())
    assert "may have been sent" in " ".join(cancelled.stderr.split())
    assert "3 cancelled" in cancelled.stdout
