"""Tell whether webhooks are registered at Twilio as the command says, and `doctor` finds what is wrong with them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from outreach_command import Outreach
from quick_command import QuickCommands
from simulator_process import SimulatorProcess
from webhook_ear import WebhookEar

from ops.cli.webhook_findings import endpoint, signing
from worker.settings import load_settings

URL = "http://127.0.0.1:9/twilio?a=1"  # nobody listens there


@pytest.fixture
def twilio(start_simulator: Callable[..., SimulatorProcess], outreach: Outreach) -> SimulatorProcess:
    """Return Twilio's stand-in, which the commands go to."""
    simulator = start_simulator()
    outreach.environ |= {"OUTREACH_TWILIO_BASE_URL": simulator.url, "OUTREACH_WEBHOOK_URL": URL}
    return simulator


def registered(twilio: SimulatorProcess) -> list[str]:
    return [one["url"] for one in twilio.journal("webhooks_configured")]


def test_set_up_says_what_it_changes_and_does_it_once(give: QuickCommands, twilio: SimulatorProcess) -> None:
    planned = give("webhooks", "set-up", "--dry-run")
    assert registered(twilio) == []

    done = give("webhooks", "set-up")
    again = give("webhooks", "set-up")

    assert f"PostWebhookUrl: nothing -> {URL}" in planned
    assert planned.endswith("Nothing was changed.\n")
    assert done.endswith("Registered at Twilio.\n")
    assert again == "All is registered at Twilio as it should be.\n"
    assert registered(twilio) == [URL]
    shown = json.loads(give("webhooks", "status", "--json"))
    assert (shown["url"], shown["fault"]) == (URL, "")
    findings = [one for one in json.loads(give("doctor", "--json")) if one["name"] == "webhooks"]
    assert [one["verdict"] for one in findings] == ["doubtful", "well"]
    assert "can't be reached from this machine" in findings[0]["sentence"]


def test_address_of_somebody_else_is_shown_and_stays(
    give: QuickCommands, outreach: Outreach, twilio: SimulatorProcess
) -> None:
    give("webhooks", "set-up")
    outreach.environ["OUTREACH_WEBHOOK_URL"] = other = "http://127.0.0.1:9/other"

    refused = give("webhooks", "set-up", code=2)
    shown = give("webhooks", "status")
    findings = json.loads(give("doctor", "--json", code=1))

    assert f"Another address is registered at Twilio: {URL}." in refused
    assert f"Another address is registered at Twilio: {URL}. `outreach webhooks set-up --replace`" in shown
    assert ("webhooks", "wrong") in [(one["name"], one["verdict"]) for one in findings]
    assert registered(twilio) == [URL]
    give("webhooks", "set-up", "--replace")
    assert registered(twilio) == [URL, other]


def test_registration_that_twilio_refuses_or_does_not_answer_says_so(
    give: QuickCommands, outreach: Outreach, twilio: SimulatorProcess
) -> None:
    twilio.settings(forbidden={"GET conversations": 403})
    assert "Twilio refuses this" in give("webhooks", "set-up", code=2)

    outreach.environ["OUTREACH_TWILIO_BASE_URL"] = "http://127.0.0.1:9"

    assert "Twilio gives no answer that helps" in give("webhooks", "set-up", code=4)


# What `doctor` finds of the endpoint ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "verdict", "said"),
    [
        (403, "well", "refuses what Twilio has not signed"),
        (204, "wrong", "takes what nobody signed (204)"),
        (302, "wrong", "answers 302"),
        (502, "wrong", "answers 502"),
    ],
)
def test_endpoint_must_refuse_what_is_not_signed(
    tmp_path: Path, status: int, verdict: str, said: str
) -> None:
    ear = WebhookEar(status)
    try:
        environ = {"OUTREACH_WEBHOOK_URL": ear.url, "TWILIO_AUTH_TOKEN": "t", "OUTREACH_HOME": str(tmp_path)}

        found = endpoint(load_settings(environ, None))
    finally:
        ear.close()

    assert (found.verdict, said in found.sentence) == (verdict, True)
    assert len(ear.heard) == 1
    assert "X-Twilio-Signature" not in ear.heard[0].headers


def test_settings_without_a_secret_or_an_address_are_told_of() -> None:
    without, settings = load_settings({}, None), load_settings({"OUTREACH_WEBHOOK_URL": URL}, None)

    nothing, unheard = endpoint(without), endpoint(settings)
    (no_secret,) = signing(settings)

    assert nothing.verdict == "well"
    assert (no_secret.verdict, unheard.verdict) == ("wrong", "doubtful")
    assert no_secret.sentence == "Without TWILIO_AUTH_TOKEN no signature can be checked."
