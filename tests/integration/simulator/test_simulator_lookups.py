"""How the simulator answers what a preflight and a reconciliation ask."""

import json
from collections.abc import Callable

import pytest
from simulator_calls import ACCOUNT, INTERACTIONS, TEMPLATE, WORKSPACE, Calls, attributes_of
from simulator_process import SimulatorProcess

TASKS = f"/taskrouter/v1/Workspaces/{WORKSPACE}/Tasks"


@pytest.fixture
def keys(calls: Calls, simulator: SimulatorProcess) -> list[str]:
    """Open an Interaction each for three keys, with no limit on looking their tasks up."""
    simulator.settings(task_lookups_per_s=0)
    keys = [f"spring:{row}:1" for row in (1, 2, 3)]
    for row, key in enumerate(keys):
        calls.open(f"whatsapp:+1202555010{row}", key)
    return keys


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ('outreach_key == "spring:2:1"', [2]),
        ("outreach_key == 'spring:2:1'", [2]),
        ('outreach_key IN ["spring:1:1","spring:3:1"]', [1, 3]),
        ('outreach_key in ["spring:1:1", "spring:1:1", "other"]', [1]),
        ('outreach_key == "spring:1:1" OR outreach_key == "spring:2:1"', [1, 2]),
        ('outreach_key == "spring:1:1" AND channelType == "whatsapp"', [1]),
        ('outreach_key == "spring:1:1" AND channelType == "sms"', []),
        (
            'channelType == "whatsapp" AND (outreach_key == "spring:1:1" OR outreach_key == "spring:3:1")',
            [1, 3],
        ),
        ('outreach_key != "spring:1:1"', [2, 3]),
        ('outreach_key CONTAINS ":2:"', [2]),
        ('conversations.initiated_by == "agent"', [1, 2, 3]),
        ("priority > 3", []),
    ],
)
def test_tasks_are_found_by_their_attributes(
    calls: Calls, keys: list[str], expression: str, rows: list[int]
) -> None:
    tasks = calls.tasks(expression).json()["tasks"]

    assert [json.loads(one["attributes"])["outreach_key"] for one in tasks] == [keys[row - 1] for row in rows]


def test_task_is_found_by_its_conversation(calls: Calls) -> None:
    conversation_sid = attributes_of(calls.open("whatsapp:+12025550101", "spring:1:1").json())[
        "conversationSid"
    ]

    tasks = calls.tasks(f'conversationSid == "{conversation_sid}"').json()["tasks"]

    assert len(tasks) == 1


@pytest.mark.parametrize(
    "expression", ["outreach_key", "outreach_key ==", "== 3", "(a == 1", "a IN 3", "a == 1 b", "a ~ 1"]
)
def test_expression_that_cannot_be_read_is_refused(
    calls: Calls, simulator: SimulatorProcess, expression: str
) -> None:
    simulator.settings(task_lookups_per_s=0)

    assert calls.tasks(expression).status_code == 400


def test_task_look_ups_have_a_limit_of_three_a_second(calls: Calls) -> None:
    statuses = [calls.tasks('outreach_key == "x"').status_code for _ in range(5)]

    assert statuses == [200, 200, 200, 429, 429]
    assert calls.get(TASKS).status_code == 200


def test_tasks_are_paged_by_token_only(calls: Calls, keys: list[str]) -> None:
    page = calls.get(TASKS, PageSize=2).json()

    rest = calls.get(page["meta"]["next_page_url"]).json()

    assert (len(page["tasks"]), len(rest["tasks"])) == (2, 1)
    assert calls.get(TASKS, Page=1).json()["code"] == 40153
    assert calls.get(TASKS, PageToken="nonsense").status_code == 400
    assert calls.get(TASKS, PageSize="all").status_code == 400


def test_any_template_is_known_and_approved_by_default(calls: Calls) -> None:
    template = calls.get(f"/content/v1/Content/{TEMPLATE}").json()
    approval = calls.get(f"/content/v1/Content/{TEMPLATE}/ApprovalRequests").json()

    assert list(template["variables"]) == ["1", "2"]
    assert "{{1}}" in template["types"]["twilio/text"]["body"]
    assert (approval["whatsapp"]["status"], approval["whatsapp"]["category"]) == ("approved", "UTILITY")


def test_templates_are_set_one_by_one(calls: Calls, simulator: SimulatorProcess) -> None:
    own = "HX" + "b" * 32
    simulator.settings(
        templates={own: {"body": "Hi {{name}}", "variables": {"name": "Jo"}, "status": "paused"}}
    )

    approval = calls.get(f"/content/v1/Content/{own}/ApprovalRequests").json()

    assert calls.get(f"/content/v1/Content/{own}").json()["variables"] == {"name": "Jo"}
    assert approval["whatsapp"]["status"] == "paused"


def test_strict_simulator_knows_only_the_templates_it_was_given(
    calls: Calls, simulator: SimulatorProcess
) -> None:
    simulator.settings(strict_templates=True)

    response = calls.get(f"/content/v1/Content/{TEMPLATE}")

    assert (response.status_code, response.json()["code"]) == (404, 20404)


def test_account_answers_to_its_own_credentials(calls: Calls) -> None:
    account = calls.get(f"/api/2010-04-01/Accounts/{ACCOUNT}.json").json()

    assert (account["sid"], account["status"]) == (ACCOUNT, "active")
    assert calls.get(f"/api/2010-04-01/Accounts/AC{'9' * 32}.json").status_code == 404


def test_credentials_are_required_and_can_be_told_apart(
    simulator: SimulatorProcess, connect: Callable[..., Calls]
) -> None:
    good, bad, none = (
        connect(simulator, auth=auth) for auth in ((ACCOUNT, "right"), (ACCOUNT, "wrong"), None)
    )
    path = f"/api/2010-04-01/Accounts/{ACCOUNT}.json"

    before = [one.get(path).status_code for one in (good, bad, none)]
    simulator.settings(credentials=[f"{ACCOUNT}:right"])
    after = [one.get(path) for one in (good, bad, none)]

    assert before == [200, 200, 401]
    assert [one.status_code for one in after] == [200, 401, 401]
    assert after[1].json() | {"more_info": ""} == {
        "code": 20003,
        "message": "Authenticate",
        "more_info": "",
        "status": 401,
    }


def test_api_key_belongs_to_the_account_that_is_set(
    simulator: SimulatorProcess, connect: Callable[..., Calls]
) -> None:
    account = "AC" + "7" * 32
    simulator.settings(account_sid=account)
    calls = connect(simulator, auth=("SK" + "1" * 32, "secret"))

    assert calls.get(f"/api/2010-04-01/Accounts/{account}.json").status_code == 200


def test_numbers_and_senders_can_be_listed(calls: Calls, simulator: SimulatorProcess) -> None:
    numbers, senders = (
        f"/api/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers.json",
        "/messaging/v2/Channels/Senders",
    )

    def found(number: str) -> int:
        return len(calls.get(numbers, PhoneNumber=number).json()["incoming_phone_numbers"])

    by_default = found("+12025550101"), calls.get(senders, Channel="whatsapp").status_code
    simulator.settings(senders=["+12025550102", "whatsapp:+19251235555"])

    assert by_default == (1, 403)
    assert (found("+12025550101"), found("+12025550102")) == (0, 1)
    listed = calls.get(senders, Channel="whatsapp").json()["senders"]
    assert [(one["sender_id"], one["status"]) for one in listed] == [("whatsapp:+19251235555", "ONLINE")]


def test_getters_can_be_forbidden(calls: Calls, simulator: SimulatorProcess) -> None:
    answer = calls.open("whatsapp:+12025550101").json()
    simulator.settings(forbidden={"GET flex-api": 405})

    assert calls.get(f"{INTERACTIONS}/{answer['sid']}").status_code == 405
    assert calls.open("whatsapp:+12025550102").status_code == 200


def test_what_is_not_imitated_is_not_found(calls: Calls) -> None:
    assert calls.get("/chat/v2/Services").json()["code"] == 20404
