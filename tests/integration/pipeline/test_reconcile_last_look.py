"""What was called absent and shows after all: one more look goes before the next request."""

import pytest
from pipeline_bench import BODY, ROUTING, Rig, key, phone, trouble

from worker.ledger.states import Event, State

LATE_S = 3600.0
CHAT = 'name = "spring"\nchannel = "chat"\nto = "{{ phone }}"\n' + ROUTING + BODY
TASKS = "GET taskrouter/v1/Workspaces/{workspace}/Tasks"
ADDRESSES = "GET conversations/v1/ParticipantConversations"
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


def test_row_whose_requests_were_all_answered_costs_no_last_look(rig: Rig) -> None:
    rig.campaign([phone(1), trouble(189), trouble(161)])

    rig.drive()

    assert rig.states() == {"ACCEPTED": 3}
    assert not any(rig.simulator.requests(each) for each in (ADDRESSES, TASKS, MESSAGES))
