"""How the simulator misbehaves: by number, by chance, by limit; and that the journal tells the truth of it."""

from collections.abc import Callable

import pytest
import requests
from simulator_calls import INTERACTIONS, Calls, attributes_of, channel_path
from simulator_process import SimulatorProcess

OPEN = "POST flex-api/v1/Interactions"


def number(ending: int) -> str:
    return f"whatsapp:+12025550{ending}"


def outcome(request: Callable[[], requests.Response]) -> str:
    """Return what a client sees: a status, or `cut`, `silent`, `unreadable`."""
    try:
        response = request()
    except requests.exceptions.ChunkedEncodingError:
        return "cut"
    except requests.Timeout:
        return "silent"
    except requests.ConnectionError:
        return "cut"
    try:
        body = response.json()
    except ValueError:
        return "unreadable"
    return f"{response.status_code}" if response.ok else f"{response.status_code} {body['code']}"


@pytest.fixture
def hasty(simulator: SimulatorProcess, connect: Callable[..., Calls]) -> Calls:
    """Return a client that gives up after a second: for those who never answer."""
    return connect(simulator, timeout_s=1.0)


@pytest.mark.parametrize(
    ("ending", "first", "effect"),
    [
        (189, "429 20429", 0),
        (190, "429 20429", 0),
        (191, "500 20500", 0),
        (192, "500 20500", 1),
        (193, "cut", 0),
        (194, "cut", 1),
        (195, "unreadable", 1),
        (196, "silent", 1),
        (169, "silent", 0),
        (178, "cut", 1),
        (179, "503 20503", 0),
    ],
)
def test_number_meets_its_fault_once_at_the_interaction(
    calls: Calls, hasty: Calls, simulator: SimulatorProcess, ending: int, first: str, effect: int
) -> None:
    asked = hasty if first == "silent" else calls

    seen = outcome(lambda: asked.open(number(ending), "spring:1:1"))

    effects = len(simulator.journal("interaction"))
    again = outcome(lambda: calls.open(number(ending), "spring:1:1"))
    assert (seen, effects) == (first, effect)
    assert again == "200"
    assert [one["source"] for one in simulator.journal("fault")] == ["pattern"]


@pytest.mark.parametrize(
    ("ending", "first", "effect"),
    [
        (161, "429 20429", 0),
        (162, "429 20429", 0),
        (163, "500 20500", 0),
        (164, "500 20500", 1),
        (165, "cut", 0),
        (166, "cut", 1),
        (167, "unreadable", 1),
        (168, "silent", 1),
    ],
)
def test_number_meets_its_fault_once_at_the_message(
    calls: Calls, hasty: Calls, simulator: SimulatorProcess, ending: int, first: str, effect: int
) -> None:
    conversation_sid = attributes_of(calls.open(number(ending)).json())["conversationSid"]
    asked = hasty if first == "silent" else calls

    seen = outcome(lambda: asked.send(conversation_sid, "spring:1:1"))

    effects = len(simulator.journal("message"))
    again = outcome(lambda: calls.send(conversation_sid, "spring:1:1"))
    assert (seen, effects) == (first, effect)
    assert again == "201"


@pytest.mark.parametrize(
    ("ending", "seen"), [(180, "400 21211"), (177, "400 21408"), (170, "500 20500"), (183, "409 50416")]
)
def test_number_is_rejected_each_time(calls: Calls, ending: int, seen: str) -> None:
    assert [outcome(lambda: calls.open(number(ending))) for _ in range(2)] == [seen, seen]


@pytest.mark.parametrize(("ending", "seen"), [(181, "400 21610"), (176, "400 21614")])
def test_number_is_rejected_at_its_message(calls: Calls, ending: int, seen: str) -> None:
    conversation_sid = attributes_of(calls.open(number(ending)).json())["conversationSid"]

    assert outcome(lambda: calls.send(conversation_sid)) == seen


@pytest.mark.parametrize(
    ("ending", "status", "customers"),
    [(182, "failed", 0), (184, "active", 0), (197, "failed", 0), (199, "setup", 0)],
)
def test_number_never_gets_into_its_conversation(
    calls: Calls, ending: int, status: str, customers: int
) -> None:
    answer = calls.open(number(ending)).json()

    people = calls.participants(attributes_of(answer)["conversationSid"])
    assert calls.get(channel_path(answer)).json()["status"] == status
    assert sum(one["messaging_binding"] is not None for one in people) == customers


@pytest.mark.parametrize(
    ("ending", "status", "code"),
    [
        (185, "failed", 63016),
        (186, "failed", 63013),
        (187, "undelivered", 30003),
        (188, "sent", 0),
        (175, "failed", 21610),
    ],
)
def test_number_has_its_own_delivery(
    calls: Calls, simulator: SimulatorProcess, ending: int, status: str, code: int
) -> None:
    simulator.settings(sent_s=0, delivered_s=0, read_s=0)
    conversation_sid = attributes_of(calls.open(number(ending)).json())["conversationSid"]

    message = calls.send(conversation_sid).json()

    path = f"/conversations/v1/Conversations/{conversation_sid}/Messages/{message['sid']}/Receipts"
    receipt = calls.get(path).json()["delivery_receipts"][0]
    assert (receipt["status"], receipt["error_code"]) == (status, code)


def test_retry_after_is_given_where_asked_for(calls: Calls, simulator: SimulatorProcess) -> None:
    simulator.settings(retry_after_s=7)

    assert calls.open(number(190)).headers["Retry-After"] == "7"
    assert "Retry-After" not in calls.open(number(189)).headers


def test_address_that_is_no_number_bears_its_mark_in_its_name(calls: Calls) -> None:
    chat = {"type": "chat", "participants": [{"identity": "ann--interaction.reject.20001"}]}
    mail = {
        "type": "email",
        "properties": {"from": "hello@example.com", "from_name": "Renewals"},
        "participants": [{"level": "to", "address": "ann+interaction.429.once@example.com"}],
    }

    assert outcome(lambda: calls.open("", **chat)) == "400 20001"
    assert [outcome(lambda: calls.open("", **mail)) for _ in range(2)] == ["429 20429", "200"]


def test_patterns_can_be_set_and_switched_off(calls: Calls, simulator: SimulatorProcess) -> None:
    simulator.settings(patterns={"0101": "interaction:reject:21211"})
    with_patterns = outcome(lambda: calls.open(number(101)))
    simulator.settings(patterns_on=False)

    assert with_patterns == "400 21211"
    assert outcome(lambda: calls.open(number(101))) == "200"


def test_faults_by_chance_come_in_their_shares_and_the_same_way_for_the_same_seed(
    start_simulator: Callable[..., SimulatorProcess], connect: Callable[..., Calls]
) -> None:
    def dealt(seed: int) -> list[tuple[str, str]]:
        faults = ("--fault", "500_after=0.2", "--fault", "429=0.2")
        simulator = start_simulator("--seed", str(seed), "--flex-per-s", "0", "--no-patterns", *faults)
        calls = connect(simulator)
        for row in range(200):
            calls.open(f"whatsapp:+1202556{row:04}", f"spring:{row}:1")
        assert len(simulator.journal("interaction")) == 200 - sum(
            one["fault"] == "429" for one in simulator.journal("fault")
        )
        return [(one["key"], one["fault"]) for one in simulator.journal("fault")]

    first, second, other = dealt(1), dealt(1), dealt(2)

    assert first == second != other
    assert 50 < len(first) < 110


def test_getters_and_closing_have_faults_of_their_own(calls: Calls, simulator: SimulatorProcess) -> None:
    answer = calls.open(number(101)).json()
    simulator.settings(fault_getters={"503": 1}, fault_close={"500_after": 1})

    got, closed = (
        outcome(lambda: calls.get(channel_path(answer))),
        calls.post(channel_path(answer), Status="closed"),
    )

    assert (got, closed.status_code) == ("503 20503", 500)
    assert len(simulator.journal("interaction_closed")) == 1


def test_flex_endpoint_takes_twenty_a_second_of_each_account(
    calls: Calls, simulator: SimulatorProcess, connect: Callable[..., Calls]
) -> None:
    statuses = [calls.open(f"whatsapp:+120255500{row:02}").status_code for row in range(30)]
    other = connect(simulator, auth=("AC" + "2" * 32, "secret"))

    assert statuses.count(200) >= 20
    assert statuses[20] == 429
    assert other.open(number(101)).status_code == 200
    assert len(simulator.journal("interaction")) == statuses.count(200) + 1


def test_limit_speaks_as_documented_or_with_flexs_own_code(calls: Calls, simulator: SimulatorProcess) -> None:
    simulator.settings(flex_per_s=1)
    calls.open(number(101))
    documented = calls.open(number(102)).json()
    simulator.settings(limit_code=45780)

    assert documented == {
        "code": 20429,
        "message": "Too Many Requests",
        "more_info": "https://www.twilio.com/docs/errors/20429",
        "status": 429,
    }
    assert calls.open(number(102)).json()["code"] == 45780


def test_errors_can_come_as_problem_details(calls: Calls, simulator: SimulatorProcess) -> None:
    simulator.settings(error_style="rfc9457")

    response = calls.get(f"{INTERACTIONS}/KD{'0' * 32}")

    assert response.headers["Content-Type"].startswith("application/problem+json")
    assert response.json()["code"] == 20404
    assert "title" in response.json()
