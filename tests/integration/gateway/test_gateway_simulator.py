"""The gateway's story of one send, through the official SDK over HTTP against the simulator."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from gateway_builders import (
    CUSTOMER,
    KEY,
    MESSAGE,
    RECIPIENT,
    SENDER,
    gateway_over,
    message,
    recipient,
    sid,
)
from in_loop import InLoop, a_loop

from worker.gateway.outcome import Accepted, Deferred, Rejected, Unanswered, Unknown
from worker.gateway.reading import key_of
from worker.gateway.seen import ConversationSeen, MessageSeen, TemplateSeen


@pytest.fixture
def gateway_to(connect):
    """Make a gateway that is asked from inside a loop, as the rows of a worker ask."""
    return lambda base_url, **options: InLoop(a_loop(), gateway_over(connect(base_url, **options)))


@pytest.fixture
def gateway(simulator, gateway_to):
    return gateway_to(simulator.url)


def until(look, is_there, timeout_s=60.0):
    """Ask until the answer is there: channels are set up, and look-ups catch up, in their own time."""
    deadline = time.monotonic() + timeout_s
    while not is_there(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.02)
    return seen


def open_one(gateway, one=RECIPIENT, key=KEY):
    outcome = gateway.create_interaction(one, key)
    assert isinstance(outcome, Accepted), outcome
    return outcome.value


def test_customer_is_reached_and_the_message_is_found_again(simulator, gateway):
    opened = open_one(gateway)
    until(
        lambda: gateway.has_participant(opened.conversation_sid, CUSTOMER),
        lambda seen: seen == Accepted(True),
    )

    sent = gateway.create_message(opened.conversation_sid, MESSAGE, KEY)

    assert isinstance(sent, Accepted)
    assert gateway.find_message(opened.conversation_sid, KEY) == sent
    assert gateway.find_message(opened.conversation_sid, "another:1:1") == Accepted(None)
    (effect,) = simulator.journal("message")
    assert (effect["message_sid"], effect["key"]) == (sent.value, KEY)


def test_message_of_a_rows_earliest_send_is_found_among_those_of_other_rows_and_sends(gateway):
    conversation = open_one(gateway).conversation_sid
    keys = ("spring-1:1:1", "spring-1:1:3", "spring-1:12:2", "spring-1:1:4", "summer-1:1:2", "spring-1:1:x")
    sids = {key: gateway.create_message(conversation, MESSAGE, key).value for key in keys}

    found = [gateway.find_message_from(conversation, "spring-1:1:", least) for least in (1, 2, 4, 5)]

    assert found == [
        Accepted(MessageSeen(sids["spring-1:1:1"], 1)),
        Accepted(MessageSeen(sids["spring-1:1:3"], 3)),
        Accepted(MessageSeen(sids["spring-1:1:4"], 4)),
        Accepted(None),
    ]


def test_interaction_is_found_by_address_and_by_key(gateway):
    opened = open_one(gateway)

    by_address = until(lambda: gateway.find_conversations(CUSTOMER), lambda seen: seen != Accepted([]))
    by_key = until(
        lambda: gateway.find_flex_tasks(sid("WS"), [KEY, "another:2:1"]), lambda seen: seen != Accepted([])
    )

    assert isinstance(by_address, Accepted)
    (conversation,) = by_address.value
    assert isinstance(conversation, ConversationSeen)
    assert (conversation.sid, conversation.proxy_address) == (opened.conversation_sid, SENDER)
    assert conversation.created_at is not None
    assert isinstance(by_key, Accepted)
    (task,) = by_key.value
    assert (task.sid, task.key, task.conversation_sid) == (opened.flex_task_sid, KEY, opened.conversation_sid)
    assert (task.interaction_sid, task.channel_sid) == (opened.interaction_sid, opened.channel_sid)
    assert task.assignment_status


def test_flex_task_is_found_by_its_conversation(gateway):
    opened = open_one(gateway)

    seen = until(
        lambda: gateway.find_flex_tasks_of_conversations(sid("WS"), [opened.conversation_sid]),
        lambda seen: seen != Accepted([]),
    )

    assert [task.key for task in seen.value] == [KEY]


def test_what_does_not_exist_is_absent(gateway):
    assert gateway.find_conversations("whatsapp:+14155550123") == Accepted([])
    assert gateway.find_flex_tasks(sid("WS"), ["nobody:1:1"]) == Accepted([])
    assert gateway.fetch_conversation_state(sid("CH", 99)) == Accepted(None)
    assert isinstance(gateway.has_participant(sid("CH", 99), CUSTOMER), Unknown)


def test_conversation_that_the_answer_does_not_name_is_found_in_invites_and_task(gateway):
    opened = open_one(gateway, recipient(address="whatsapp:+14155550160"))
    assert opened.conversation_sid is None

    invited = until(
        lambda: gateway.find_invite_conversation(opened.interaction_sid, opened.channel_sid),
        lambda seen: isinstance(seen, Accepted) and seen.value,
    )
    routed = gateway.find_flex_task_conversation(sid("WS"), opened.flex_task_sid)

    assert invited == routed
    assert gateway.fetch_conversation_state(invited.value) == Accepted("active")


def test_channel_is_seen_to_become_active_and_to_close(simulator, gateway):
    opened = open_one(gateway)
    channel = until(
        lambda: gateway.fetch_channel(opened.interaction_sid),
        lambda seen: seen.value and seen.value.status == "active",
    )

    first = gateway.close_interaction(opened.interaction_sid, opened.channel_sid)
    again = gateway.close_interaction(opened.interaction_sid, opened.channel_sid)

    assert channel.value.sid == opened.channel_sid
    assert channel.value.error_code is None
    assert (first, again) == (Accepted(None), Accepted(None))
    assert gateway.fetch_channel(opened.interaction_sid).value.status == "closed"
    assert gateway.fetch_conversation_state(opened.conversation_sid) == Accepted("closed")


def test_closing_what_never_was_is_done(gateway):
    assert gateway.close_interaction(sid("KD", 99), sid("UO", 99)) == Accepted(None)


def test_channel_that_failed_names_the_code(gateway):
    opened = open_one(gateway, recipient(address="whatsapp:+14155550182"))

    seen = until(
        lambda: gateway.fetch_channel(opened.interaction_sid),
        lambda seen: seen.value and seen.value.status == "failed",
    )

    assert seen.value.error_code == 50407


def test_busy_pair_names_the_open_conversation(simulator, gateway):
    simulator.settings(pair_busy="error")
    open_sid = simulator.occupy(CUSTOMER, SENDER)

    outcome = gateway.create_interaction(RECIPIENT, KEY)

    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.conversation_sid) == (50416, open_sid)


def test_conversation_without_the_customer_is_recognised(simulator, gateway):
    simulator.occupy(CUSTOMER, SENDER)
    opened = open_one(gateway)
    until(
        lambda: gateway.fetch_channel(opened.interaction_sid),
        lambda seen: seen.value and seen.value.status == "active",
    )

    assert gateway.has_participant(opened.conversation_sid, CUSTOMER) == Accepted(False)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("429", Deferred),
        ("429_retry_after", Deferred),
        ("45780", Deferred),
        ("403", Rejected),
        ("404", Rejected),
        ("500_before", Unanswered),
        ("500_after", Unanswered),
        ("503", Unanswered),
        ("503_after", Unanswered),
        ("cut_before", Unanswered),
        ("cut_after", Unanswered),
        ("hang_before", Unanswered),
        ("hang_after", Unanswered),
        ("truncated", Unanswered),
        ("unreadable", Unanswered),
    ],
)
@pytest.mark.parametrize("style", ["legacy", "rfc9457"])
def test_each_fault_comes_to_its_outcome(simulator, gateway_to, fault, kind, style):
    gateway = gateway_to(simulator.url, **({"total_s": 1.0} if fault.startswith("hang") else {}))
    conversation_sid = open_one(gateway_to(simulator.url)).conversation_sid
    simulator.settings(fault={fault: 1.0}, error_style=style)

    opened = gateway.create_interaction(RECIPIENT, KEY)
    sent = gateway.create_message(conversation_sid, MESSAGE, KEY)

    assert type(opened) is kind
    assert type(sent) is kind
    if fault == "429_retry_after":
        assert opened.retry_after_s == sent.retry_after_s == 1.0
    if kind is Deferred:
        assert opened.throttled


def test_forbidden_getters_prove_nothing(simulator, gateway):
    simulator.settings(fault_getters={"403": 0.3, "404": 0.3, "405": 0.4})

    seen = [gateway.find_conversations(f"whatsapp:+1415555{number:04}") for number in range(100, 110)]

    assert [each for each in seen if not isinstance(each, Unknown)] == []


def test_limit_on_task_look_ups_is_seen(simulator, gateway):
    simulator.settings(task_lookups_per_s=1)

    seen = [gateway.find_flex_tasks(sid("WS"), [KEY]) for _ in range(3)]

    assert Unknown(20429, seen[-1].detail, None, True) == seen[-1]


def test_template_is_read_with_its_approval(simulator, gateway):
    simulator.settings(
        template={"status": "Paused", "category": "MARKETING", "rejection_reason": "complaints"}
    )

    seen = gateway.fetch_template(sid("HX"))

    assert isinstance(seen, Accepted)
    assert isinstance(seen.value, TemplateSeen)
    assert (seen.value.approval_status, seen.value.category) == ("paused", "MARKETING")
    assert seen.value.rejection_reason == "complaints"
    assert seen.value.types == ("twilio/text",)
    assert seen.value.body.startswith("Hello {{1}}")
    assert set(seen.value.variables) == {"1", "2"}


def test_template_that_does_not_exist_is_absent(gateway):
    assert gateway.fetch_template("HX" + "0" * 28 + "dead") == Accepted(None)


def test_sids_of_a_campaign_exist_or_not(simulator, gateway):
    simulator.settings(missing_sids=[sid("WW", 2), sid("WQ", 2), sid("WK", 2)])

    assert gateway.fetch_workspace(sid("WS")) == Accepted(True)
    assert gateway.fetch_workspace("WS" + "0" * 28 + "dead") == Accepted(False)
    for fetch, prefix in (
        (gateway.fetch_workflow, "WW"),
        (gateway.fetch_queue, "WQ"),
        (gateway.fetch_worker, "WK"),
    ):
        assert fetch(sid("WS"), sid(prefix)) == Accepted(True)
        assert fetch(sid("WS"), sid(prefix, 2)) == Accepted(False)


def test_senders_exist_or_not_where_twilio_lists_them(simulator, gateway):
    simulator.settings(senders=["+14155550009", SENDER])

    assert gateway.has_sender("sms", "+14155550009") == Accepted(True)
    assert gateway.has_sender("sms", "+14155550008") == Accepted(False)
    assert gateway.has_sender("whatsapp", SENDER) == Accepted(True)
    assert gateway.has_sender("whatsapp", "whatsapp:+14155550008") == Accepted(False)
    for channel, address in (("sms", "12345"), ("email", "care@example.com"), ("chat", "")):
        assert isinstance(gateway.has_sender(channel, address), Unknown)


def test_credentials_are_accepted_or_not(simulator, gateway):
    assert gateway.check_credentials() == Accepted(True)

    simulator.settings(credentials=["ACother:secret"])

    assert gateway.check_credentials() == Accepted(False)


def test_text_message_reaches_the_conversation(simulator, gateway):
    one = recipient(channel="sms", address="+14155550101", proxy_address="+14155550009")
    opened = open_one(gateway, one)
    until(
        lambda: gateway.has_participant(opened.conversation_sid, one.address),
        lambda seen: seen == Accepted(True),
    )

    sent = gateway.create_message(opened.conversation_sid, message(content_sid=None, body="Hello Ann"), KEY)

    assert isinstance(sent, Accepted)


def test_long_lists_are_followed_to_their_end(simulator, gateway):
    opened = open_one(gateway)
    until(
        lambda: gateway.has_participant(opened.conversation_sid, CUSTOMER),
        lambda seen: seen == Accepted(True),
    )
    first = gateway.create_message(opened.conversation_sid, MESSAGE, KEY)
    for number in range(101):
        gateway.create_message(opened.conversation_sid, MESSAGE, f"other:{number}:1")

    assert gateway.find_message(opened.conversation_sid, KEY) == first
    assert gateway.find_message(opened.conversation_sid, "absent:1:1") == Accepted(None)


def test_answers_of_many_threads_are_not_mixed_up(simulator, gateway_to):
    simulator.settings(flex_per_s=100_000, patterns_on=False)
    gateway = gateway_to(simulator.url, total_s=30.0, pool_size=32)
    start = threading.Barrier(32)

    def story(thread: int) -> list[bool]:
        start.wait(60)
        results = []
        for number in range(6):
            key = f"threads-{thread}:{number}:1"
            one = recipient(address=f"whatsapp:+1415{5550000 + thread * 10 + number}")
            opened = open_one(gateway, one, key)
            tasks = simulator_task(gateway, opened)
            results.append(tasks == key)
        return results

    with ThreadPoolExecutor(32) as pool:
        assert all(all(results) for results in pool.map(story, range(32)))


def simulator_task(gateway, opened):
    """Return the key that the opened Interaction's task carries, asked by its own SID."""
    seen = gateway.find_flex_task_conversation(sid("WS"), opened.flex_task_sid)
    assert seen == Accepted(opened.conversation_sid)
    task = gateway._client.taskrouter.v1.workspaces(sid("WS")).tasks(opened.flex_task_sid).fetch()
    return key_of(task.attributes)


class Gate:
    """A gate that notes what passed it."""

    def __init__(self, is_open: bool) -> None:
        self.is_open, self.passed = is_open, []

    def arrive(self) -> bool:
        self.passed.append("arrived")
        return self.is_open

    def left(self) -> None:
        self.passed.append("left")


def test_gate_hears_of_a_request_before_its_first_byte_and_after_its_last(gateway):
    gate = Gate(is_open=True)

    gateway.create_interaction(RECIPIENT, KEY, gate)

    assert gate.passed == ["arrived", "left"]


def test_gate_holds_a_request_back_before_its_first_byte(simulator, gateway):
    gate = Gate(is_open=False)

    outcome = gateway.create_interaction(RECIPIENT, KEY, gate)

    assert gate.passed == ["arrived"]

    assert isinstance(outcome, Deferred)
    assert not outcome.throttled
    assert simulator.requests("POST flex-api/v1/Interactions") == []
    open_one(gateway)  # a gate holds back its own request only
