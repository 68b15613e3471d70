"""Tell whether `outreach run` sends each customer one message, once, whatever is done to it."""

import json
import os
import select
import signal
import stat
from pathlib import Path

from outreach_command import Outreach, number, wait_until
from simulator_process import SimulatorProcess


def messages(twilio: SimulatorProcess) -> list[str]:
    return sorted(effect["address"] for effect in twilio.journal("message"))


def test_run_sends_every_customer_one_message(outreach: Outreach, twilio: SimulatorProcess) -> None:
    outreach.write(30)

    summary = outreach.run()

    assert summary["state"] == "finished"
    assert summary["counts"]["accepted"] == 30
    assert summary["exit_code"] == 0
    assert messages(twilio) == sorted(number(row) for row in range(1, 31))
    rows = outreach.rows(summary["id"])
    assert [row["outreach_status"] for row in rows] == ["accepted"] * 30
    assert [row["delivery_status"] for row in rows] == ["delivered"] * 30, "it waits for the last deliveries"
    assert summary["deliveries"]["delivered"] == 30
    assert {row["message_sid"] for row in rows} == {one["message_sid"] for one in twilio.journal("message")}
    assert not outreach.processes()


def test_run_with_rows_that_fail_exits_with_1_and_says_why(outreach: Outreach) -> None:
    outreach.write([number(1), "+12025550180", "12", number(1)])

    done = outreach("run", *outreach.files, code=1)

    assert "21211" in done.stdout
    assert "results file: " in done.stdout
    (results,) = outreach.results.glob("*.csv")
    assert [row["outreach_status"] for row in outreach.rows(results.stem)] == [
        "accepted",
        "failed",
        "invalid",
        "skipped",
    ]


def test_run_waits_for_deliveries_no_longer_than_asked_and_says_how_to_hear_of_them(
    outreach: Outreach, twilio: SimulatorProcess
) -> None:
    outreach.write([number(1), "+12025550188"])  # the second stays `sent`
    running = outreach.start("run", *outreach.files)
    assert running.stderr
    lines = iter(running.stderr.readline, "")
    assert any("waiting up to a minute for the deliveries" in line for line in lines)
    running.send_signal(signal.SIGINT)

    done = outreach.finish(running, 0)

    assert "`outreach worker`" in done.stderr
    (results,) = outreach.results.glob("*.csv")
    watched = outreach("watch", results.stem)
    assert "finished" in watched.stdout
    assert "no worker runs" in watched.stderr


def test_finished_campaign_run_again_sums_up_and_sends_nothing(
    outreach: Outreach, twilio: SimulatorProcess
) -> None:
    outreach.write([number(1), "+12025550180"])
    first = outreach.run(code=1)

    again = outreach.run(code=1)

    assert again["id"] == first["id"]
    assert len(messages(twilio)) == 1


def test_again_begins_a_new_campaign_for_everybody(outreach: Outreach, twilio: SimulatorProcess) -> None:
    outreach.write(3, ('channel = "sms"', 'channel = "sms"\npair_busy = "use"'))
    first = outreach.run()

    second = outreach.run("--again")

    assert second["id"] != first["id"]
    assert messages(twilio) == sorted([number(1), number(2), number(3)] * 2)


def test_edited_file_leaves_out_who_was_contacted(outreach: Outreach, twilio: SimulatorProcess) -> None:
    outreach.write(2)
    outreach.run()
    outreach.write(3)

    summary = outreach.run()

    assert summary["counts"]["skipped"] == 2
    assert messages(twilio) == sorted([number(1), number(2), number(3)])


def test_interrupted_run_exits_with_3_and_the_next_one_completes_it(
    outreach: Outreach, twilio: SimulatorProcess
) -> None:
    outreach.write(60)
    running = outreach.start("run", *outreach.files, OUTREACH_ACCOUNT_INTERACTIONS_PER_S="5")
    twilio.wait_for("message", 5)

    running.send_signal(signal.SIGINT)
    stopped = outreach.finish(running, 3)

    (results,) = outreach.results.glob("*.csv")
    sent = len(messages(twilio))
    assert 5 <= sent < 60
    assert "the same command again goes on" in stopped.stderr
    assert sum(row["outreach_status"] == "accepted" for row in outreach.rows(results.stem)) == sent
    assert not outreach.processes()
    assert outreach.run()["counts"]["accepted"] == 60
    assert messages(twilio) == sorted(number(row) for row in range(1, 61))


def test_interrupted_run_leaves_no_customer_in_a_conversation_without_a_message(
    outreach: Outreach, twilio: SimulatorProcess
) -> None:
    outreach.write(60)
    twilio.settings(setup_ms=1500)
    running = outreach.start("run", *outreach.files, OUTREACH_ACCOUNT_INTERACTIONS_PER_S="5")
    twilio.wait_for("message", 3)

    running.send_signal(signal.SIGINT)
    outreach.finish(running, 3)

    sent = messages(twilio)
    assert 3 <= len(sent) < 60
    assert sent == sorted(effect["address"] for effect in twilio.journal("interaction"))


def test_second_interrupt_ends_at_once_and_nothing_is_doubled(
    outreach: Outreach, twilio: SimulatorProcess
) -> None:
    outreach.write(20)
    twilio.settings(fault={"hang_after": 1.0})
    running = outreach.start("run", *outreach.files)
    twilio.wait_for("interaction", 10)

    running.send_signal(signal.SIGINT)
    wait_until(lambda: "Ctrl-C again" in _peek(running))
    running.send_signal(signal.SIGINT)
    outreach.finish(running, 3, timeout_s=15)  # less than its requests would take to be given up

    assert not outreach.workers()
    twilio.settings(fault={})
    assert outreach.run()["counts"]["accepted"] == 20
    assert messages(twilio) == sorted(number(row) for row in range(1, 21))


def test_workers_end_when_the_run_is_killed(outreach: Outreach, twilio: SimulatorProcess) -> None:
    outreach.write(60)
    running = outreach.start("run", *outreach.files, OUTREACH_ACCOUNT_INTERACTIONS_PER_S="4")
    twilio.wait_for("message", 2)

    running.kill()
    running.wait()

    wait_until(lambda: not outreach.processes(), timeout_s=120)
    assert outreach.run()["counts"]["accepted"] == 60
    assert messages(twilio) == sorted(number(row) for row in range(1, 61))


def test_worker_that_dies_is_started_again(outreach: Outreach, twilio: SimulatorProcess) -> None:
    outreach.write(60)
    outreach.environ["OUTREACH_ACCOUNT_INTERACTIONS_PER_S"] = "10"
    running = outreach.start("run", *outreach.files)
    twilio.wait_for("message", 3)

    (worker,) = outreach.workers()
    worker.kill()
    done = outreach.finish(running)

    assert "was started again" in done.stderr
    assert messages(twilio) == sorted(number(row) for row in range(1, 61))


def test_second_run_beside_the_first_watches_and_exits_alike(
    outreach: Outreach, twilio: SimulatorProcess
) -> None:
    outreach.write([*(number(row) for row in range(1, 80)), "+12025550180"])
    outreach.environ["OUTREACH_ACCOUNT_INTERACTIONS_PER_S"] = "5"
    first = outreach.start("run", *outreach.files, "--json")
    twilio.wait_for("message", 2)

    second = outreach.start("run", *outreach.files, "--json")
    wait_until(lambda: "goes on where it was" in _peek(second))
    twilio.wait_for("message", len(messages(twilio)) + 5)
    workers = outreach.workers()
    ends = [outreach.finish(process, 1) for process in (first, second)]

    assert len(workers) == 1
    summaries = [json.loads(end.stdout) for end in ends]
    assert summaries[0]["counts"] == summaries[1]["counts"]
    assert messages(twilio) == sorted(number(row) for row in range(1, 80))


def test_second_run_takes_over_when_the_first_is_killed(outreach: Outreach, twilio: SimulatorProcess) -> None:
    outreach.write(50)
    first = outreach.start("run", *outreach.files, OUTREACH_ACCOUNT_INTERACTIONS_PER_S="2")
    twilio.wait_for("message", 2)
    second = outreach.start("run", *outreach.files)
    wait_until(lambda: "goes on where it was" in _peek(second))

    first.kill()
    outreach.finish(second)

    assert messages(twilio) == sorted(number(row) for row in range(1, 51))


def test_run_says_that_its_workers_go_on_with_an_unfinished_campaign_too(
    outreach: Outreach, twilio: SimulatorProcess
) -> None:
    _interrupt_after(outreach, twilio, 2)
    (unfinished,) = outreach.json("status")
    outreach.write([number(60)], ('name = "spring"', 'name = "summer"'))

    done = outreach("run", *outreach.files, code=0)

    assert f"{unfinished['id']} is unfinished too" in done.stderr
    assert f"`outreach pause {unfinished['id']}`" in done.stderr


def test_changed_definition_is_refused_with_the_difference_until_update(
    outreach: Outreach, twilio: SimulatorProcess
) -> None:
    _interrupt_after(outreach, twilio, 3)
    outreach.write(40, ("Hello {{ name }}", "Good day {{ name }}"))

    refused = outreach("run", *outreach.files, code=2)
    updated = outreach.run("--update")

    assert "message.body: 'Hello {{ name }}' -> 'Good day {{ name }}'" in refused.stderr
    assert "--update" in refused.stderr
    assert updated["counts"]["accepted"] == 40
    bodies = [one["body"].split(" Name")[0] for one in twilio.journal("message")]
    assert set(bodies) == {"Hello", "Good day"}


def test_files_of_customers_are_for_their_owner_only(outreach: Outreach) -> None:
    os.umask(0o022)

    summary = outreach.run()

    def rights(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert rights(outreach.home) == 0o700
    assert rights(outreach.results) == 0o700
    assert rights(outreach.results / f"{summary['id']}.csv") == 0o600
    for path in outreach.home.rglob("*"):
        assert rights(path) & 0o077 == 0, path


def test_run_on_a_terminal_shows_progress_and_takes_it_away(outreach: Outreach) -> None:
    outreach.write(40)
    outreach.environ["OUTREACH_ACCOUNT_INTERACTIONS_PER_S"] = "20"

    code, screen = _on_a_terminal(outreach, "run", *outreach.files)

    assert code == 0
    assert "%" in screen
    assert "of 40" in screen
    assert "running" in screen
    assert "results file: " in screen


def _interrupt_after(outreach: Outreach, twilio: SimulatorProcess, sent: int) -> None:
    outreach.write(40)
    running = outreach.start("run", *outreach.files, OUTREACH_ACCOUNT_INTERACTIONS_PER_S="4")
    twilio.wait_for("message", sent)
    running.send_signal(signal.SIGINT)
    outreach.finish(running, 3)


def _peek(process: object) -> str:
    """Read what a running command has said so far, without waiting."""
    stream = process.stderr  # type: ignore[attr-defined]
    is_there, _, _ = select.select([stream], [], [], 0)
    piece = os.read(stream.fileno(), 65536).decode() if is_there else ""
    process.said = getattr(process, "said", "") + piece  # type: ignore[attr-defined]
    return str(process.said)  # type: ignore[attr-defined]


def _on_a_terminal(outreach: Outreach, *arguments: str) -> tuple[int, str]:
    """Give a command at a terminal of its own; return its exit code and all that was drawn."""
    import pty

    from outreach_command import COMMAND

    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(outreach.folder)
        os.execve(COMMAND[0], [*COMMAND, *arguments], outreach.environ | {"TERM": "xterm-256color"})
    drawn = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        drawn += piece
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), drawn.decode(errors="replace")
