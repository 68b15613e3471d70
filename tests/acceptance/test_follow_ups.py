"""Follow-ups by command: foretold, sent in the foreground once, seen, held back and stopped."""

import csv
from collections import Counter

from outreach_command import Outreach, wait_until
from simulator_process import SimulatorProcess

FOLLOW_UPS = """
[[follow_up]]
after = "1s"
if = "always"
body = "Still there?"

[[follow_up]]
after = "90d"
body = "Good bye"
"""


def sent(outreach: Outreach, rows: int = 3) -> str:
    """Run a campaign with follow-ups to its end; its id."""
    outreach.write(rows)
    with outreach.definition.open("a") as definition:
        definition.write(FOLLOW_UPS)
    outreach("run", *outreach.files, code=0)
    (campaign,) = outreach.json("status")
    campaign_id: str = campaign["id"]
    wait_until(lambda: outreach.json("follow-up", "preview", campaign_id)["due"] == rows)
    return campaign_id


def test_follow_ups_that_are_due_are_sent_here_once(outreach: Outreach, twilio: SimulatorProcess) -> None:
    campaign_id = sent(outreach)
    seen = outreach("follow-up", "preview", campaign_id, code=0)
    assert "3 rows due for a follow-up" in seen.stdout
    assert "outreach beat" in seen.stderr
    assert "outreach worker" in seen.stderr
    outreach("follow-up", "run", campaign_id, code=2)

    summary = outreach.json("follow-up", "run", campaign_id, "--yes")

    (wave,) = summary["follow_ups"]
    assert (wave["follow_up"], wave["state"], wave["counts"]["accepted"]) == (1, "finished", 3)
    assert summary["exit_code"] == 0
    messages = twilio.journal("message")
    assert Counter(one["body"] for one in messages)["Still there?"] == 3
    assert len(twilio.journal("interaction")) == 3
    again = outreach("follow-up", "run", campaign_id, "--yes", code=0)
    assert "0 rows due for a follow-up" in again.stdout
    assert len(twilio.journal("message")) == len(messages) == 6
    with (outreach.results / f"{campaign_id}.csv").open(newline="") as file:
        assert [row["follow_ups"] for row in csv.DictReader(file)] == ["1"] * 3
    assert "follow-up:   number 1: finished, 3 accepted" in outreach("status", campaign_id).stdout
    assert "follow-up 1, send 2: Twilio accepted the message." in outreach("explain", campaign_id, "2").stdout


def test_finished_campaign_whose_follow_ups_go_on_is_paused_resumed_and_stopped(
    outreach: Outreach, twilio: SimulatorProcess
) -> None:
    campaign_id = sent(outreach)

    outreach("pause", campaign_id, code=0)
    refused = outreach("follow-up", "run", campaign_id, "--yes", code=2)
    assert f"outreach resume {campaign_id}" in refused.stderr
    outreach("resume", campaign_id, code=0)
    outreach("cancel", campaign_id, "--yes", code=0)
    stopped = outreach("follow-up", "run", campaign_id, "--yes", code=2)

    assert f"outreach follow-up stop {campaign_id} --undo" in stopped.stderr
    outreach("follow-up", "stop", campaign_id, "--undo", code=0)
    assert outreach.json("follow-up", "preview", campaign_id)["due"] == 3
    assert outreach.json("follow-up", "stop", campaign_id)["state"] == "finished"
    outreach("cancel", campaign_id, "--yes", code=2)
    assert len(twilio.journal("message")) == 3
