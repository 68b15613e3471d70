"""What the simulator tells by webhook, signed as Twilio signs, and how that can go wrong."""

import base64
import hmac
from collections.abc import Callable, Iterator

import pytest
from simulator_calls import ACCOUNT, Calls, attributes_of
from simulator_process import SimulatorProcess
from webhook_ear import Heard, WebhookEar

ANN = "whatsapp:+12025550101"
CONFIG = "/conversations/v1/Configuration/Webhooks"
BOTH = ["onMessageAdded", "onDeliveryUpdated"]


@pytest.fixture
def ear() -> Iterator[WebhookEar]:
    """Hear webhooks."""
    opened = WebhookEar()
    yield opened
    opened.close()


@pytest.fixture
def told(simulator: SimulatorProcess, ear: WebhookEar) -> WebhookEar:
    """Have everything told to the ear."""
    simulator.settings(webhook_url=ear.url, webhook_token="secret", sent_s=60, delivered_s=120, read_share=0)
    return ear


def conversation_with(calls: Calls, address: str = ANN) -> str:
    return str(attributes_of(calls.open(address).json())["conversationSid"])


def is_signed(heard: Heard, url: str, token: str = "secret") -> bool:
    text = url + "".join(name + heard.form[name] for name in sorted(heard.form))
    wanted = base64.b64encode(hmac.new(token.encode(), text.encode(), "sha1").digest()).decode()
    return heard.headers["X-Twilio-Signature"] == wanted


def test_each_step_of_a_delivery_is_told(calls: Calls, simulator: SimulatorProcess, told: WebhookEar) -> None:
    conversation = conversation_with(calls)
    message = calls.send(conversation).json()["sid"]

    simulator.pass_time(hours=1)

    told.wait_for(lambda: len(told.heard) == 2)
    assert told.events() == [("onDeliveryUpdated", "sent"), ("onDeliveryUpdated", "delivered")]
    for one in told.heard:
        assert is_signed(one, told.url)
        assert (one.form["AccountSid"], one.form["ConversationSid"], one.form["MessageSid"]) == (
            ACCOUNT,
            conversation,
            message,
        )
        assert one.form["ErrorCode"] == "0"
        assert one.form["DateCreated"] < one.form["DateUpdated"]
    noted = simulator.wait_for("webhook", 2)
    assert [(one["event"], one["status"], one["answer"]) for one in noted] == [
        ("onDeliveryUpdated", "sent", 204),
        ("onDeliveryUpdated", "delivered", 204),
    ]


def test_failed_delivery_is_told_with_its_code(
    calls: Calls, simulator: SimulatorProcess, told: WebhookEar
) -> None:
    calls.send(conversation_with(calls, "whatsapp:+12025550171"))

    simulator.pass_time(hours=1)

    told.wait_for(lambda: told.heard)
    assert (told.heard[0].form["Status"], told.heard[0].form["ErrorCode"]) == ("failed", "63003")


def test_customers_message_is_told_and_ours_is_not(
    calls: Calls, simulator: SimulatorProcess, told: WebhookEar
) -> None:
    conversation = conversation_with(calls)
    calls.send(conversation)

    sid = simulator.reply(ANN, "Sí, por favor 🙏")

    told.wait_for(lambda: told.heard)
    (heard,) = told.heard
    assert is_signed(heard, told.url)
    assert heard.form["MessageSid"] == sid
    assert (heard.form["Author"], heard.form["Body"], heard.form["Index"]) == (ANN, "Sí, por favor 🙏", "1")
    assert "por favor" not in str(simulator.journal("webhook"))


def test_only_what_is_asked_for_is_told(calls: Calls, simulator: SimulatorProcess, told: WebhookEar) -> None:
    simulator.settings(webhook_filters=["onMessageAdded"])
    calls.send(conversation_with(calls))
    simulator.pass_time(hours=1)

    simulator.reply(ANN, "Hello")

    told.wait_for(lambda: told.heard)
    assert told.events() == [("onMessageAdded", "Hello")]


def test_account_configures_its_webhooks(calls: Calls, simulator: SimulatorProcess, ear: WebhookEar) -> None:
    assert calls.get(CONFIG).json()["post_webhook_url"] is None

    answer = calls.post(CONFIG, PostWebhookUrl=ear.url, Filters=BOTH, Method="POST")
    again = calls.post(CONFIG, Target="webhook")

    assert answer.status_code == again.status_code == 200
    assert calls.get(CONFIG).json() == again.json() == answer.json()
    assert (answer.json()["post_webhook_url"], answer.json()["filters"]) == (ear.url, BOTH)
    conversation_with(calls)
    simulator.reply(ANN, "Hello")
    ear.wait_for(lambda: ear.heard)
    assert "X-Twilio-Signature" not in ear.heard[0].headers, "there is no token to sign with"
    (noted,) = [one for one in simulator.journal("webhooks_configured") if one["url"] == ear.url][:1]
    assert noted["account"] == ACCOUNT


@pytest.mark.parametrize(
    "form", [{"PostWebhookUrl": "example.com"}, {"PreWebhookUrl": "ftp://x"}, {"Method": "PUT"}, {"Target": "me"}]
)  # fmt: skip
def test_wrong_configuration_is_refused(calls: Calls, form: dict[str, str]) -> None:
    before = calls.get(CONFIG).json()

    response = calls.post(CONFIG, **form)

    assert (response.status_code, response.json()["code"]) == (400, 20001)
    assert calls.get(CONFIG).json() == before


def test_other_accounts_hear_nothing(
    calls: Calls, simulator: SimulatorProcess, ear: WebhookEar, connect: Callable[..., Calls]
) -> None:
    other = connect(simulator, auth=("AC" + "2" * 32, "secret"))
    other.post(CONFIG, PostWebhookUrl=ear.url, Filters=BOTH)
    conversation_with(calls)
    conversation_with(other)

    simulator.reply(ANN, "ours", account=ACCOUNT)
    simulator.reply(ANN, "theirs", account="AC" + "2" * 32)

    ear.wait_for(lambda: ear.heard)
    assert ear.events() == [("onMessageAdded", "theirs")]


def test_event_is_told_twice(calls: Calls, simulator: SimulatorProcess, told: WebhookEar) -> None:
    simulator.settings(webhook_faults={"duplicate": 1.0})
    conversation_with(calls)

    simulator.reply(ANN, "Hello")

    told.wait_for(lambda: len(told.heard) == 2)
    assert told.heard[0].body == told.heard[1].body


def test_event_is_lost(calls: Calls, simulator: SimulatorProcess, told: WebhookEar) -> None:
    conversation_with(calls)
    simulator.settings(webhook_faults={"drop": 1.0})
    simulator.reply(ANN, "lost")
    simulator.settings(webhook_faults={})

    simulator.reply(ANN, "told")

    told.wait_for(lambda: told.heard)
    assert told.events() == [("onMessageAdded", "told")]
    noted = simulator.wait_for("webhook", 2)
    assert [(one["fault"], one["answer"]) for one in noted] == [("drop", None), (None, 204)]


def test_event_is_told_after_the_next_one(
    calls: Calls, simulator: SimulatorProcess, told: WebhookEar
) -> None:
    conversation_with(calls)
    simulator.settings(webhook_faults={"reorder": 1.0}, webhook_late_s=3600.0)

    for text in ("first", "second", "third", "fourth"):
        simulator.reply(ANN, text)

    told.wait_for(lambda: len(told.heard) == 4)
    assert [text for _, text in told.events()] == ["second", "first", "fourth", "third"]


def test_event_that_none_overtakes_is_told_late(
    calls: Calls, simulator: SimulatorProcess, told: WebhookEar
) -> None:
    conversation_with(calls)
    simulator.settings(webhook_faults={"reorder": 1.0}, webhook_late_s=0.1)

    simulator.reply(ANN, "alone")

    told.wait_for(lambda: told.heard)
    assert told.events() == [("onMessageAdded", "alone")]


def test_customer_answers_by_themselves_and_that_is_told(
    calls: Calls, simulator: SimulatorProcess, told: WebhookEar
) -> None:
    simulator.settings(reply_s=0.1, webhook_filters=["onMessageAdded"])

    calls.send(conversation_with(calls, "whatsapp:+12025550150"))

    told.wait_for(lambda: told.heard)
    assert told.events() == [("onMessageAdded", "Yes please")]


def test_slow_listener_delays_no_answer_of_the_api(
    calls: Calls, simulator: SimulatorProcess, told: WebhookEar
) -> None:
    told.may_answer.clear()
    conversation = conversation_with(calls)
    simulator.reply(ANN, "one")
    told.wait_for(lambda: told.heard)

    sid = simulator.reply(ANN, "two")

    assert calls.get(f"/conversations/v1/Conversations/{conversation}/Messages/{sid}").status_code == 200
    assert len(told.heard) == 1, "what one conversation has to tell waits its turn"
    told.may_answer.set()
    told.wait_for(lambda: len(told.heard) == 2)


def test_listener_that_is_not_there_is_noted(
    calls: Calls, simulator: SimulatorProcess, told: WebhookEar
) -> None:
    told.close()
    conversation_with(calls)

    simulator.reply(ANN, "Hello")

    (noted,) = simulator.wait_for("webhook")
    assert noted["answer"] == 0


def test_reset_forgets_what_was_configured_and_what_is_on_its_way(
    calls: Calls, simulator: SimulatorProcess, ear: WebhookEar
) -> None:
    calls.post(CONFIG, PostWebhookUrl=ear.url, Filters=BOTH)
    simulator.settings(webhook_faults={"reorder": 1.0}, webhook_late_s=0.2)
    conversation_with(calls)
    simulator.reply(ANN, "before")

    simulator.reset()

    assert calls.get(CONFIG).json()["post_webhook_url"] is None
    calls.post(CONFIG, PostWebhookUrl=ear.url, Filters=BOTH)
    conversation_with(calls)
    simulator.reply(ANN, "after")
    ear.wait_for(lambda: ear.heard)
    assert ear.events() == [("onMessageAdded", "after")]


def test_reset_drops_what_waits_for_a_slow_listener(
    calls: Calls, simulator: SimulatorProcess, told: WebhookEar
) -> None:
    told.may_answer.clear()
    conversation_with(calls)
    simulator.reply(ANN, "heard")
    simulator.reply(ANN, "waiting")
    told.wait_for(lambda: told.heard)

    simulator.reset()

    told.may_answer.set()
    conversation_with(calls)
    simulator.reply(ANN, "after")
    told.wait_for(lambda: len(told.heard) == 2)
    assert [text for _, text in told.events()] == ["heard", "after"]
    assert len(simulator.wait_for("webhook")) == 1, "what was told before the reset is forgotten"
