"""Tell whether what a campaign names is asked about at Twilio, and what comes of each answer."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gateway_builders import http_client
from intake_desk import ACCOUNT
from simulator_process import SimulatorProcess

from campaigns.definition import parse_definition
from campaigns.problems import Problem
from campaigns.recipients import Recipient, compile_campaign
from worker.errors import TwilioUnavailableError
from worker.gateway.caller import Credentials
from worker.gateway.twilio import TwilioGateway
from worker.pipeline.preflight import MOST_OF_A_KIND, ask_twilio, see_all

TEMPLATE = "HX" + "0" * 31 + "1"
DEFINITION = f"""
name = "renewals"
channel = "whatsapp"
from = "whatsapp:+12025550199"
to = "{{{{ phone }}}}"
[routing]
workspace_sid = "WS00000000000000000000000000000001"
workflow_sid = "WW00000000000000000000000000000001"
queue_sid = "WQ00000000000000000000000000000001"
worker_sid = "{{{{ agent }}}}"
[message]
content_sid = "{TEMPLATE}"
[message.variables]
1 = "{{{{ name }}}}"
2 = "1 March"
"""

CHAT = (
    DEFINITION.replace('whatsapp"\nfrom = "whatsapp:+12025550199"', 'chat"').partition("[message]")[0]
    + '[message]\nbody = "Hello"\n'
)


@pytest.fixture
def gateways() -> Iterator[Callable[[str], TwilioGateway]]:
    """Make gateways; all are closed at the end."""
    clients = []

    def make(url: str) -> TwilioGateway:
        clients.append(http_client(url))
        return TwilioGateway(Credentials(account_sid=ACCOUNT, auth_token="secret"), clients[-1], time.time)

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def ask(
    simulator: SimulatorProcess, gateways: Callable[[str], TwilioGateway]
) -> Callable[..., list[Problem]]:
    """Ask the simulator about a campaign of some rows, each with its agent."""
    simulator.settings(senders=["whatsapp:+12025550199"])

    def run(agents: int = 1, url: str = simulator.url, text: str = DEFINITION) -> list[Problem]:
        campaign = parse_definition(text, "campaign.toml")
        compiled = compile_campaign(campaign, ("phone", "name", "agent"), "customers.csv")
        recipients = []
        for number in range(1, agents + 1):
            recipient = compiled.recipient(number, ("+12025550101", "Ann", f"WK{number:032x}"))
            assert isinstance(recipient, Recipient)
            recipients.append(recipient)
        return ask_twilio(gateways(url), campaign, see_all(recipients), lambda _: None, "campaign.toml")

    return run


def said(problems: list[Problem], severity: str = "error") -> list[str]:
    return [str(problem) for problem in problems if problem.severity == severity]


def test_campaign_that_stands_has_no_problems(ask: Callable[..., list[Problem]]) -> None:
    assert ask() == []


@pytest.mark.parametrize(
    ("kind", "key"), [("WS", "workspace"), ("WW", "workflow"), ("WQ", "queue"), ("WK", "worker")]
)
def test_missing_sid_is_an_error_with_its_key(
    ask: Callable[..., list[Problem]], simulator: SimulatorProcess, kind: str, key: str
) -> None:
    missing = f"{kind}{1:032x}"
    simulator.settings(missing_sids=[missing])

    (error,) = said(ask())

    assert error.startswith(f"campaign.toml: routing.{key}_sid: ")
    assert f"{missing} does not exist" in error


def test_template_that_is_not_approved_is_refused_with_the_reason(
    ask: Callable[..., list[Problem]], simulator: SimulatorProcess
) -> None:
    simulator.settings(templates={TEMPLATE: {"status": "rejected", "rejection_reason": "INVALID_FORMAT"}})

    (error,) = said(ask())

    assert "it is rejected, with the reason: INVALID_FORMAT" in error


def test_missing_template_is_an_error(ask: Callable[..., list[Problem]], simulator: SimulatorProcess) -> None:
    simulator.settings(strict_templates=True)

    (error,) = said(ask())

    assert f"the template {TEMPLATE} does not exist" in error


def test_variable_of_the_template_that_is_not_set_is_an_error(
    ask: Callable[..., list[Problem]], simulator: SimulatorProcess
) -> None:
    simulator.settings(templates={TEMPLATE: {"variables": {"1": "Jane", "2": "1 March", "3": "9 am"}}})

    (error,) = said(ask())

    assert "variable 3" in error


LATER = "HX" + "0" * 31 + "2"
FOLLOW_UP = f"""
[[follow_up]]
after = "3d"
content_sid = "{LATER}"
[follow_up.variables]
1 = "{{{{ name }}}}"
"""


@pytest.mark.parametrize(
    ("template", "begins"),
    [
        ({"status": "paused", "variables": {"1": "Jane"}}, f"content_sid of follow-up 1: WhatsApp has not approved the template {LATER}; it is paused"),
        ({"variables": {"1": "Jane", "2": "x"}}, "the template of follow-up 1 has the variable 2, and the campaign does not set it"),
        ({"variables": {}}, "variables.1 of follow-up 1 is no variable of the template"),
    ],
)  # fmt: skip
def test_template_of_a_follow_up_is_checked_before_the_first_message(
    ask: Callable[..., list[Problem]], simulator: SimulatorProcess, template: dict[str, object], begins: str
) -> None:
    simulator.settings(templates={LATER: template})

    (error,) = said(ask(text=DEFINITION + FOLLOW_UP))

    assert error.startswith(f"campaign.toml: {begins}")


def test_template_of_a_follow_up_that_each_row_names_is_warned_of(
    ask: Callable[..., list[Problem]], simulator: SimulatorProcess
) -> None:
    text = DEFINITION + FOLLOW_UP.replace(LATER, "{{ agent }}")

    assert ask(text=text) == [
        Problem(
            "campaign.toml",
            None,
            None,
            "content_sid of follow-up 1 is taken from the file, and was not checked at Twilio",
            "",
            "warning",
        )
    ]


def test_sender_of_another_account_is_an_error(
    ask: Callable[..., list[Problem]], simulator: SimulatorProcess
) -> None:
    simulator.settings(senders=["whatsapp:+12025550188"])

    (error,) = said(ask())

    assert error.startswith("campaign.toml: from: ")


def test_answers_that_are_forbidden_are_warnings(
    ask: Callable[..., list[Problem]], simulator: SimulatorProcess
) -> None:
    simulator.settings(forbidden={"GET taskrouter/v1/Workspaces/{workspace}": 403})

    problems = ask()

    assert said(problems) == []
    warnings = said(problems, "warning")
    assert warnings
    assert all("could not be checked" in warning for warning in warnings)


def test_credentials_that_cannot_be_checked_are_a_warning(
    ask: Callable[..., list[Problem]], simulator: SimulatorProcess
) -> None:
    simulator.settings(forbidden={"GET conversations/v1/ParticipantConversations": 403})

    (warning,) = said(ask(), "warning")

    assert "the credentials could not be checked" in warning


def test_campaign_with_neither_template_nor_sender_asks_for_neither(
    ask: Callable[..., list[Problem]], simulator: SimulatorProcess
) -> None:
    assert ask(text=CHAT) == []
    assert not [
        each
        for each in simulator.requests()
        if "content" in each["request"] or "messaging" in each["request"]
    ]


def test_wrong_credentials_end_the_command_as_unavailable(
    ask: Callable[..., list[Problem]], simulator: SimulatorProcess
) -> None:
    simulator.settings(credentials=["AC" + "9" * 32 + ":other"])

    with pytest.raises(TwilioUnavailableError, match="refuses the credentials"):
        ask()


def test_credentials_that_are_refused_are_asked_about_no_more_than_the_first_few(
    ask: Callable[..., list[Problem]], simulator: SimulatorProcess
) -> None:
    simulator.settings(credentials=["AC" + "9" * 32 + ":other"])

    with pytest.raises(TwilioUnavailableError):
        ask(agents=40)

    assert len(simulator.requests()) <= 20


def test_twilio_that_cannot_be_reached_is_unavailable(ask: Callable[..., list[Problem]]) -> None:
    with pytest.raises(TwilioUnavailableError, match="cannot be reached"):
        ask(url="http://127.0.0.1:9")


def test_agents_of_a_column_are_checked_up_to_a_bound(
    ask: Callable[..., list[Problem]], simulator: SimulatorProcess, tmp_path: Path
) -> None:
    missing = f"WK{MOST_OF_A_KIND:032x}"
    simulator.settings(missing_sids=[missing])

    problems = ask(agents=MOST_OF_A_KIND + 5)

    assert [missing in error for error in said(problems)] == [True]
    assert [
        f"first {MOST_OF_A_KIND} different agents" in warning for warning in said(problems, "warning")
    ] == [True]


def test_passing_faults_are_asked_again(
    ask: Callable[..., list[Problem]], simulator: SimulatorProcess
) -> None:
    simulator.settings(fault_getters={"500_before": 0.2}, seed=7)

    assert said(ask()) == []
