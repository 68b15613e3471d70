"""What was called absent and shows after all: one more look goes before the next request."""

import pytest
from pipeline_bench import BODY, ROUTING, SENDER, Rig, key, phone, trouble

from worker.gateway.outcome import Accepted
from worker.ledger.states import Event, State

LATE_S = 3600.0
CHAT = 'name = "spring"\nchannel = "chat"\nto = "{{ phone }}"\n' + ROUTING + BODY
TASKS = "GET taskrouter/v1/Workspaces/{workspace}/Tasks"
ADDRESSES = "GET conversations/v1/ParticipantConversations"
ASKS_WHO_HOLDS = "before GET ParticipantConversations"
MESSAGES = "GET conversations/v1/Conversations/{conversation}/Messages"


def drive_until_called_absent(rig: Rig, event: Event) -> None:
    """Have the look-ups lag until a request that had its effect is called absent; then they show it."""
    rig.simulator.settings(lookup_lag_s=LATE_S)
    rig.drive(until=lambda: event in rig.events())
    rig.simulator.settings(lookup_lag_s=0)


def test_message_that_shows_after_the_last_look_is_not_sent_again(rig: Rig) -> None:
    rig.campaign([trouble(164)])

    drive_until_called_absent(rig, Event.ABSENT_SENT)
    rig.drive()

    assert rig.messages() == {key(): 1}
    assert rig.events()[-2:] == [Event.FOUND_SENT, Event.ACCEPTED]
    rig.judge()


def test_message_that_shows_while_the_last_look_fails_is_waited_for(rig: Rig) -> None:
    rig.campaign([trouble(164)])

    drive_until_called_absent(rig, Event.ABSENT_SENT)
    rig.simulator.settings(fault_getters={"503": 1})
    rig.drive(until=lambda: rig.row().hand.checks >= 3)
    rig.simulator.settings(fault_getters={})
    rig.drive()

    assert rig.messages() == {key(): 1}
    rig.judge()


@pytest.mark.parametrize("rule", ["use", "skip"])
def test_message_that_shows_in_a_conversation_that_the_customer_has_left_is_not_sent_again(
    rig: Rig, rule: str
) -> None:
    rig.campaign([trouble(164)], pair_busy=rule)
    rig.simulator.settings(lookup_lag_s=LATE_S)
    rig.drive(until=lambda: Event.ABSENT_SENT in rig.events())
    rig.simulator.leave(rig.row().record.conversation_sid)
    holds_another(rig, rule)
    rig.pass_s(60)  # the customer's absence has lasted

    rig.points.meanwhile = lambda name: name == ASKS_WHO_HOLDS and rig.simulator.settings(lookup_lag_s=0)
    rig.drive()

    assert rig.messages() == {key(): 1}
    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


@pytest.mark.parametrize("rule", ["use", "skip"])
def test_message_lost_in_a_conversation_that_the_customer_has_left_goes_to_the_next(
    rig: Rig, rule: str
) -> None:
    rig.campaign([trouble(163)], pair_busy=rule)
    rig.drive(until=lambda: Event.ABSENT_SENT in rig.events())
    rig.simulator.leave(rig.row().record.conversation_sid)
    other = holds_another(rig, rule)
    rig.pass_s(60)

    rig.drive()

    assert [one["conversation_sid"] for one in rig.simulator.journal("message")] == [other]
    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def holds_another(rig: Rig, rule: str) -> str:
    """Have the row's customer be in another conversation: somebody else's, or (no rule needed) the row's own; its SID."""
    address = rig.row().cells[0]
    if rule == "use":
        return rig.simulator.occupy(address, SENDER)
    recipient = rig.bench.campaign("spring-1").compiled.recipient(1, rig.row().cells)
    assert isinstance(rig.bench.gateway.create_interaction(recipient, key()), Accepted)
    return str(rig.simulator.journal("interaction")[-1]["conversation_sid"])


@pytest.mark.parametrize("status", [403, 404])
def test_last_look_that_is_forbidden_by_now_leaves_it_at_what_was_seen(rig: Rig, status: int) -> None:
    rig.campaign([trouble(163)])

    rig.drive(until=lambda: Event.ABSENT_SENT in rig.events())
    rig.simulator.settings(forbidden={MESSAGES: status})
    rig.drive()

    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def test_interaction_that_shows_after_the_last_look_is_adopted(rig: Rig) -> None:
    rig.campaign([trouble(194)])

    drive_until_called_absent(rig, Event.ABSENT_OPEN)
    rig.drive()

    assert len(rig.simulator.journal("interaction")) == 1
    assert Event.FOUND_OPEN in rig.events()
    rig.judge()


def test_chat_interaction_that_shows_after_the_last_look_is_adopted(rig: Rig) -> None:
    rig.campaign(["ann--interaction.cut_after.once"], definition=CHAT)

    drive_until_called_absent(rig, Event.ABSENT_OPEN)
    rig.drive()

    assert len(rig.simulator.journal("interaction")) == 1
    rig.judge()


@pytest.mark.parametrize("getter", [ADDRESSES, TASKS, "GET conversations/v1/Conversations/{conversation}"])
def test_nothing_is_opened_while_the_last_look_fails(rig: Rig, getter: str) -> None:
    rig.campaign([trouble(194)])

    drive_until_called_absent(rig, Event.ABSENT_OPEN)
    rig.simulator.settings(forbidden={getter: 503})
    asked = len(rig.simulator.requests(getter))
    rig.drive(until=lambda: len(rig.simulator.requests(getter)) >= asked + 3)
    rig.simulator.settings(forbidden={})
    rig.drive()

    assert len(rig.simulator.journal("interaction")) == 1
    rig.judge()


def test_interaction_whose_conversation_was_closed_meanwhile_is_left_alone(rig: Rig) -> None:
    rig.campaign([trouble(194)])

    drive_until_called_absent(rig, Event.ABSENT_OPEN)
    (first,) = rig.simulator.journal("interaction")
    rig.simulator.close(first["conversation_sid"])
    rig.drive()

    assert len(rig.simulator.journal("interaction")) == 2
    assert rig.messages() == {key(): 1}


def test_interaction_of_a_send_that_an_operator_called_not_sent_is_adopted(rig: Rig) -> None:
    rig.simulator.settings(forbidden={TASKS: 403})
    rig.campaign([trouble(194)])
    rig.drive()
    assert rig.row().state is State.NEEDS_REVIEW

    rig.simulator.settings(forbidden={})
    assert rig.ledger.verdict("spring-1", 1, 1, "not_sent").ok
    rig.registry.set_active("spring-1", active=True)
    rig.drive()

    assert rig.messages() == {key(send=2): 1}
    assert len(rig.simulator.journal("interaction")) == 1


def test_interaction_of_a_send_that_was_given_up_is_adopted_by_the_retry(rig: Rig) -> None:
    rig.simulator.settings(lookup_lag_s=LATE_S)
    rig.campaign([trouble(194)], pacing="max_attempts = 1")
    rig.drive()
    assert rig.row().state is State.FAILED

    rig.simulator.settings(lookup_lag_s=0)
    assert rig.ledger.new_send("spring-1", 1, 1).ok
    rig.registry.set_active("spring-1", active=True)
    rig.drive()

    assert rig.messages() == {key(send=2): 1}
    assert len(rig.simulator.journal("interaction")) == 1


@pytest.fixture
def given_up(rig: Rig) -> Rig:
    """Have a row fail because the look-ups lag: the customer has its message, and now they show it."""
    rig.simulator.settings(lookup_lag_s=LATE_S)
    rig.campaign([trouble(164)], pacing="max_attempts = 1")
    rig.drive()
    assert rig.row().state is State.FAILED
    rig.simulator.settings(lookup_lag_s=0)
    return rig


def test_message_of_a_send_that_was_given_up_is_found_by_the_retry(given_up: Rig) -> None:
    assert given_up.ledger.new_send("spring-1", 1, 1).ok

    given_up.drive()

    assert given_up.states() == {"ACCEPTED": 1}
    assert given_up.messages() == {key(): 1}
    assert given_up.row().record.send == 2
    given_up.judge()


def test_retry_waits_while_nobody_says_whether_the_message_has_shown(given_up: Rig) -> None:
    given_up.simulator.settings(forbidden={MESSAGES: 503})
    asked = len(given_up.simulator.requests(MESSAGES))
    assert given_up.ledger.new_send("spring-1", 1, 1).ok

    given_up.drive(until=lambda: len(given_up.simulator.requests(MESSAGES)) >= asked + 3)
    given_up.simulator.settings(forbidden={})
    given_up.drive()

    assert given_up.messages() == {key(): 1}
    given_up.judge()


def test_message_of_a_send_that_failed_for_another_reason_since_is_found_by_the_retry(rig: Rig) -> None:
    rig.simulator.settings(lookup_lag_s=LATE_S)
    rig.campaign([trouble(164)])
    rig.drive(until=lambda: Event.ABSENT_SENT in rig.events())
    rig.simulator.settings(patterns={trouble(164)[-7:]: "message:reject:21614"})
    rig.drive()
    assert rig.row().state is State.FAILED
    rig.simulator.settings(lookup_lag_s=0, patterns={})

    assert rig.ledger.new_send("spring-1", 1, 1).ok
    rig.drive()

    assert rig.states() == {"ACCEPTED": 1}
    assert rig.messages() == {key(): 1}
    rig.judge()


def test_messages_that_show_after_the_breaker_has_put_their_rows_back_are_found(rig: Rig) -> None:
    rig.simulator.settings(lookup_lag_s=LATE_S)
    people = [trouble(164, area) for area in range(201, 221)]
    rig.campaign(people, pacing="max_attempts = 1")
    rig.drive()
    assert rig.info().state == "paused", "twenty in a row were given up"

    rig.simulator.settings(lookup_lag_s=0)
    assert rig.registry.resume("spring-1").ok
    rig.drive()

    assert rig.states() == {"ACCEPTED": 20}
    assert set(rig.messages().values()) == {1}
    rig.judge()


def test_row_whose_requests_were_all_answered_costs_no_last_look(rig: Rig) -> None:
    rig.campaign([phone(1), trouble(189), trouble(161)])

    rig.drive()

    assert rig.states() == {"ACCEPTED": 3}
    assert not any(rig.simulator.requests(each) for each in (ADDRESSES, TASKS, MESSAGES))
