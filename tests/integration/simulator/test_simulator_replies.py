"""How customers of the simulator write, and what follows from it."""

from collections.abc import Callable
from typing import Any

import pytest
from simulator_calls import ACCOUNT, SENDER, Calls, attributes_of, messages_path
from simulator_process import SimulatorProcess

ANN, BO = "whatsapp:+12025550101", "whatsapp:+12025550102"
PLAIN = "+12025550103"
PLAIN_SENDER = "+12025550199"


def by_sms(address: str) -> dict[str, Any]:
    return {"type": "sms", "participants": [{"address": address, "proxy_address": PLAIN_SENDER}]}


def conversation_with(calls: Calls, address: str) -> str:
    channel = {} if address.startswith("whatsapp:") else by_sms(address)
    return str(attributes_of(calls.open(address, **channel).json())["conversationSid"])


def messages(calls: Calls, conversation_sid: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = calls.get(messages_path(conversation_sid)).json()["messages"]
    return found


def outcome(calls: Calls, conversation_sid: str, **form: str) -> tuple[str, int]:
    """Send a message; return its receipt's status and code."""
    sid = calls.send(conversation_sid, **form).json()["sid"]
    (receipt,) = calls.get(f"{messages_path(conversation_sid)}/{sid}/Receipts").json()["delivery_receipts"]
    return receipt["status"], receipt["error_code"]


@pytest.fixture(autouse=True)
def at_once(simulator: SimulatorProcess) -> None:
    """Have messages delivered at once."""
    simulator.settings(sent_s=0, delivered_s=0, read_share=0)


def test_customer_writes_into_the_open_conversation(calls: Calls, simulator: SimulatorProcess) -> None:
    conversation = conversation_with(calls, ANN)

    sid = simulator.reply(ANN, "Who is this?")

    (message,) = messages(calls, conversation)
    assert (message["sid"], message["author"], message["body"]) == (sid, ANN, "Who is this?")
    assert message["delivery"] is None
    seen = {one["sid"]: one["messaging_binding"] for one in calls.participants(conversation)}
    assert seen[message["participant_sid"]]["address"] == ANN
    (noted,) = simulator.journal("reply")
    assert (noted["address"], noted["conversation_sid"], noted["message_sid"]) == (ANN, conversation, sid)
    assert "Who is this?" not in str(noted)


def test_customer_writes_to_the_sender_and_account_that_are_named(
    calls: Calls, simulator: SimulatorProcess, connect: Callable[..., Calls]
) -> None:
    ours = conversation_with(calls, ANN)
    other = simulator.occupy(ANN, "whatsapp:+19251230000", ACCOUNT)
    others = conversation_with(connect(simulator, auth=("AC" + "2" * 32, "secret")), ANN)

    simulator.reply(ANN, "one", proxy_address=SENDER, account=ACCOUNT)
    simulator.reply(ANN, "two", proxy_address="whatsapp:+19251230000")
    simulator.reply(ANN, "three", account="AC" + "2" * 32)

    assert [one["conversation_sid"] for one in simulator.journal("reply")] == [ours, other, others]


def test_customer_without_an_open_conversation_cannot_write(
    calls: Calls, simulator: SimulatorProcess
) -> None:
    simulator.close(conversation_with(calls, ANN))

    with pytest.raises(ValueError, match="in no open conversation"):
        simulator.reply(ANN, "Hello?")
    with pytest.raises(ValueError, match="in no open conversation"):
        simulator.reply(BO, "Hello?")
    with pytest.raises(ValueError, match="needs an address and a body"):
        simulator.reply(ANN, "")

    assert simulator.journal("reply") == []


def test_customer_who_is_not_in_yet_cannot_write(calls: Calls, simulator: SimulatorProcess) -> None:
    simulator.settings(setup_ms=3_600_000)
    conversation_with(calls, ANN)

    with pytest.raises(ValueError, match="in no open conversation"):
        simulator.reply(ANN, "Hello?")


def test_whatsapp_is_open_for_a_day_after_the_customer_wrote(
    calls: Calls, simulator: SimulatorProcess
) -> None:
    conversation = conversation_with(calls, ANN)
    assert outcome(calls, conversation, Body="Hello") == ("failed", 63016)
    simulator.reply(ANN, "Yes?")

    assert outcome(calls, conversation, Body="Hello") == ("delivered", 0)
    simulator.pass_time(hours=23)
    assert outcome(calls, conversation, Body="Hello") == ("delivered", 0)
    simulator.pass_time(hours=1)

    assert outcome(calls, conversation, Body="Hello") == ("failed", 63016)
    assert outcome(calls, conversation) == ("delivered", 0)


@pytest.mark.parametrize("word", ["STOP", " stop ", "Unsubscribe", "QUIT"])
def test_stop_by_text_message_is_heeded_by_twilio_itself(
    calls: Calls, simulator: SimulatorProcess, word: str
) -> None:
    conversation = conversation_with(calls, PLAIN)
    simulator.reply(PLAIN, word)

    assert outcome(calls, conversation, Body="Hello") == ("failed", 21610)
    simulator.close(conversation)
    again = conversation_with(calls, PLAIN)
    assert outcome(calls, again, Body="Hello") == ("failed", 21610)

    simulator.reply(PLAIN, "Start")

    assert outcome(calls, again, Body="Hello") == ("delivered", 0)


def test_stop_is_only_a_word_elsewhere(calls: Calls, simulator: SimulatorProcess) -> None:
    plain, whatsapp = conversation_with(calls, PLAIN), conversation_with(calls, ANN)

    simulator.reply(PLAIN, "Stop it, you are too kind")
    simulator.reply(ANN, "STOP")

    assert outcome(calls, plain, Body="Hello") == ("delivered", 0)
    assert outcome(calls, whatsapp) == ("delivered", 0)


@pytest.mark.parametrize(("last", "text"), [("150", "Yes please"), ("151", "STOP")])
def test_some_numbers_answer_by_themselves(
    calls: Calls, simulator: SimulatorProcess, last: str, text: str
) -> None:
    customer = f"whatsapp:+12025550{last}"
    simulator.settings(reply_s=3600)
    conversation = conversation_with(calls, customer)
    calls.send(conversation)
    assert len(messages(calls, conversation)) == 1

    simulator.pass_time(hours=2)

    ours, theirs = messages(calls, conversation)
    assert (theirs["author"], theirs["body"]) == (customer, text)
    assert ours["date_created"] < theirs["date_created"] < calls.send(conversation).json()["date_created"]


def test_message_that_does_not_arrive_is_not_answered(calls: Calls, simulator: SimulatorProcess) -> None:
    simulator.settings(reply_s=1, receipt_failures={"30008": 1.0})
    calls.send(conversation_with(calls, "whatsapp:+12025550150"))

    simulator.pass_time(hours=1)

    assert simulator.journal("reply") == []


def test_customer_whose_conversation_was_closed_does_not_answer(
    calls: Calls, simulator: SimulatorProcess
) -> None:
    simulator.settings(reply_s=60)
    conversation = conversation_with(calls, "whatsapp:+12025550150")
    calls.send(conversation)
    simulator.close(conversation)

    simulator.pass_time(hours=1)

    assert simulator.journal("reply") == []


def test_chance_has_the_same_customers_answer_again(calls: Calls, simulator: SimulatorProcess) -> None:
    simulator.settings(reply_s=1, replies={"Yes": 0.4, "STOP": 0.2}, seed=7, flex_per_s=0)

    def who_answered() -> list[tuple[str, str]]:
        conversations = [conversation_with(calls, f"whatsapp:+120255501{last:02}") for last in range(20)]
        for each in conversations:
            calls.send(each)
        simulator.pass_time(hours=1)
        theirs = [one for each in conversations for one in messages(calls, each)[1:]]
        return [(one["author"], one["body"]) for one in theirs]

    first = who_answered()
    simulator.reset()

    assert who_answered() == first
    assert {text for _, text in first} == {"Yes", "STOP"}
    assert 5 < len(first) < 18


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"replies": {"Yes": 1.5}}, "between 0 and 1"),
        ({"webhook_faults": {"late": 0.5}}, "there is no fault 'late'"),
        ({"patterns": {"5550100": "reply:"}}, "is not known"),
    ],
)
def test_impossible_reply_is_refused(
    simulator: SimulatorProcess, setting: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        simulator.settings(**setting)


def test_identity_bears_its_answer_in_its_name(calls: Calls, simulator: SimulatorProcess) -> None:
    simulator.settings(reply_s=0)
    channel = {"type": "chat", "participants": [{"identity": "ann--reply.stop"}]}
    conversation = str(attributes_of(calls.open("", **channel).json())["conversationSid"])

    calls.send(conversation, Body="Hello")

    assert [one["body"] for one in messages(calls, conversation)] == ["Hello", "stop"]
