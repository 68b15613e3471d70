"""Tell whether an operator can stop, resume, cancel, repeat and settle a campaign, and see what it does."""

import csv
import io
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from outreach_command import Outreach, command_line, number, wait_until
from simulator_process import SimulatorProcess
from zygote import Forked


@contextmanager
def worker_of(outreach: Outreach) -> Iterator[Forked]:
    """Run `outreach worker` meanwhile."""
    worker = outreach.start("worker")
    wait_until(lambda: outreach("status", code=0) and _workers_alive(outreach))
    yield worker
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=120)


def _workers_alive(outreach: Outreach) -> bool:
    findings = outreach.json("doctor")
    return any(one["name"] == "workers" and one["sentence"].startswith("1 alive") for one in findings)


def test_paused_run_exits_with_3_and_resume_completes_it(
    outreach: Outreach, twilio: SimulatorProcess
) -> None:
    outreach.write(150)
    running = outreach.start("run", *outreach.files, OUTREACH_ACCOUNT_INTERACTIONS_PER_S="4")
    twilio.wait_for("message", 3)
    (campaign,) = outreach.json("status")

    outreach("pause", campaign["id"])
    stopped = outreach.finish(running, 3)

    seen = outreach.json("status", campaign["id"])
    assert seen["state"] == "paused"
    assert seen["in_flight"] + seen["in_doubt"] == 0
    assert len(twilio.journal("message")) == seen["counts"]["accepted"] < 150
    assert f"outreach resume {campaign['id']}" in stopped.stderr
    outreach("run", *outreach.files, code=3)
    summary = outreach.json("resume", campaign["id"])
    assert summary["counts"]["accepted"] == 150
    assert len(twilio.journal("message")) == 150


def test_cancelled_run_exits_with_1_and_sends_no_more(outreach: Outreach, twilio: SimulatorProcess) -> None:
    outreach.write(150)
    running = outreach.start("run", *outreach.files, OUTREACH_ACCOUNT_INTERACTIONS_PER_S="4")
    twilio.wait_for("message", 3)
    (campaign,) = outreach.json("status")

    outreach("cancel", campaign["id"], code=2)
    outreach("cancel", campaign["id"], "--yes")
    outreach.finish(running, 1)

    rows = outreach.rows(campaign["id"])
    sent = sum(row["outreach_status"] == "accepted" for row in rows)
    assert sent == len(twilio.journal("message"))
    assert sum(row["outreach_status"] == "cancelled" for row in rows) == 150 - sent
    outreach("resume", campaign["id"], code=2)
    outreach("run", *outreach.files, code=1)
    assert len(twilio.journal("message")) == sent


def test_retry_shows_its_plan_and_sends_only_what_failed(
    outreach: Outreach, twilio: SimulatorProcess
) -> None:
    bad = "+12025550170"
    outreach.write(
        [number(1), bad, "+12025550180"],
        ('to = "{{ phone }}"', 'to = "{{ phone }}"\n[pacing]\nmax_attempts = 1\n'),
    )
    _move_pacing_to_the_end(outreach)
    summary = outreach.run(code=1)
    twilio.settings(patterns_on=False)

    plan = outreach("retry", summary["id"], "--dry-run")
    refused = outreach("retry", summary["id"], code=2)
    retried = outreach.json("retry", summary["id"], "--yes", code=1)

    assert "1 row to send again" in plan.stdout
    assert "it was accepted" in plan.stdout
    assert "--yes" in refused.stderr
    assert retried["counts"] == {**summary["counts"], "accepted": 2, "failed": 1}
    addresses = [one["address"] for one in twilio.journal("message")]
    assert sorted(addresses) == sorted([number(1), bad])
    story = outreach("explain", summary["id"], "2").stdout
    assert "A new send begins" in story
    assert "send 2: Twilio accepted the message" in story


def test_row_in_need_of_review_is_settled_by_a_verdict(outreach: Outreach, twilio: SimulatorProcess) -> None:
    # The answers are lost and every look-up is forbidden: nobody but a person can know.
    outreach.write(["+12025550192", number(2)])
    _forbid_look_ups(twilio)
    summary = outreach.run(code=1)
    assert summary["counts"]["needs_review"] == 1
    twilio.settings(forbidden={})

    listed = outreach.json("review", summary["id"])
    outreach("review", summary["id"], "--row", "1", code=2)
    verdict = outreach.json("review", summary["id"], "--row", "1", "--not-sent")

    assert [one["row"] for one in listed] == [1]
    assert listed[0]["address"] == "+12025550192"
    assert verdict["status"] == "pending"


def test_results_can_be_written_anywhere_and_read_back(outreach: Outreach) -> None:
    outreach.write([number(1), "=1+1", "+12025550180"])
    summary = outreach.run(code=1)
    elsewhere = outreach.folder / "elsewhere.csv"

    outreach("results", summary["id"], "-o", str(elsewhere))
    piped = outreach("results", "-o", "-").stdout

    kept = (outreach.results / f"{summary['id']}.csv").read_bytes()
    assert elsewhere.read_bytes() == kept
    rows = list(csv.DictReader(io.StringIO(piped, newline="")))
    assert [row["phone"] for row in rows] == ["'" + number(1), "'=1+1", "'+12025550180"]
    checked = json.loads(outreach("check", str(outreach.definition), str(elsewhere), "--json", code=1).stdout)
    assert (checked["ready"], checked["invalid"]) == (2, 1)


def test_loaded_campaign_is_sent_by_a_worker_elsewhere(outreach: Outreach, twilio: SimulatorProcess) -> None:
    outreach.write(5)
    refused = outreach("load", *outreach.files, code=2)
    with worker_of(outreach):
        loaded = outreach("load", *outreach.files)

        watched = outreach("watch")

    campaign_id = loaded.stdout.strip()
    assert "outreach worker" in refused.stderr
    assert loaded.stdout == f"{campaign_id}\n"
    assert f"{campaign_id}: finished, 5 accepted" in watched.stdout
    assert len(twilio.journal("message")) == 5


def test_demo_runs_the_example_to_its_end(outreach: Outreach) -> None:
    done = outreach("demo")

    line = done.stdout.strip().splitlines()[-1]
    assert line.startswith("results file: ")
    assert line == f"results file: results/{Path(line).name}"
    with (outreach.results / Path(line).name).open(newline="", encoding="utf-8") as file:
        statuses = [row["outreach_status"] for row in csv.DictReader(file)]
    assert len(statuses) >= 200
    assert statuses.count("accepted") > 180
    assert {"failed", "invalid", "skipped"} <= set(statuses)
    assert "pending" not in statuses
    assert "http://127.0.0.1:" in done.stderr


def _move_pacing_to_the_end(outreach: Outreach) -> None:
    text = outreach.definition.read_text()
    part = "[pacing]\nmax_attempts = 1\n"
    outreach.definition.write_text(text.replace(part, "") + "\n" + part)


def _forbid_look_ups(twilio: SimulatorProcess) -> None:
    twilio.settings(
        forbidden={
            "GET conversations/v1/ParticipantConversations": 403,
            "GET taskrouter/v1/Workspaces/{workspace}/Tasks": 403,
        }
    )


def test_demo_can_be_interrupted_and_leaves_nothing_behind(outreach: Outreach) -> None:
    temporary = outreach.folder / "tmp"
    temporary.mkdir()
    demo = outreach.start("demo", TMPDIR=str(temporary))
    wait_until(lambda: any("celery" in command_line(child) for child in _children(demo)))
    family = _children(demo)

    demo.send_signal(signal.SIGINT)
    outreach.finish(demo, 3)

    assert not any(process.is_running() for process in family)
    assert not list(temporary.iterdir())


def _children(process: Forked) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)
