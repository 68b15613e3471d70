"""What a look-up does not prove: a list that is not seen to its end, another workspace's task, an answer that never comes."""

import json

import pytest
from pipeline_bench import BODY, ROUTING, SENDER, Rig, key, trouble

from worker.gateway import caller
from worker.ledger.states import Event, Reason, State

CHAT = 'name = "spring"\nchannel = "chat"\nto = "{{ phone }}"\n' + ROUTING + BODY
PARTICIPANT_CONVERSATIONS = "GET conversations/v1/ParticipantConversations"


@pytest.mark.parametrize("last", [194, 164])
@pytest.mark.parametrize("fault", ["cut_before", "hang_before", "unreadable"])
def test_look_ups_without_an_answer_are_made_again(rig: Rig, last: int, fault: str) -> None:
    rig.campaign([trouble(last)])
    rig.drive(until=lambda: rig.row().state.is_doubt)
    rig.simulator.settings(fault_getters={fault: 1}, hang_s=5)
    impatient = rig.worker("worker-0", request_s=0.3)
    rig.drive(bench=impatient, until=lambda: rig.row().hand.asked >= 2)
    assert rig.row().record.looks == 0

    rig.simulator.settings(fault_getters={})
    rig.drive()

    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


@pytest.mark.parametrize("status", [404, 405])
def test_messages_that_may_not_be_looked_at_leave_the_row_to_a_person(rig: Rig, status: int) -> None:
    rig.campaign([trouble(164)])
    rig.drive(until=lambda: rig.row().state is State.DOUBT_SENDING)

    rig.simulator.settings(forbidden={"GET conversations": status})
    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.NEEDS_REVIEW, Reason.LOOKUPS_FAILED)
    assert rig.messages() == {key(): 1}


def test_conversation_with_more_messages_than_are_looked_through_proves_no_absence(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller, "MAX_PAGES", 1)
    calls = rig.calls()
    rig.campaign([trouble(163)])
    rig.drive(until=lambda: rig.row().state is State.DOUBT_SENDING)
    for number in range(101):
        assert calls.send(rig.row().record.conversation_sid, f"other:{number}:1", Body="Hello").ok

    rig.drive()

    assert rig.row().state is State.NEEDS_REVIEW
    assert key() not in rig.messages()
    calls.close()


def test_task_with_our_key_in_another_workspace_is_not_taken_for_ours(rig: Rig) -> None:
    calls = rig.calls()
    rig.campaign([trouble(193)])
    rig.work(rig.dispatch())
    participants = [{"address": trouble(193), "proxy_address": SENDER, "type": "sms"}]
    channel = {"type": "sms", "initiated_by": "agent", "participants": participants}
    workspace = {"workspace_sid": "WS" + "2" * 32, "workflow_sid": "WW" + "0" * 32}
    agent = {"queue_sid": "WQ" + "0" * 32, "worker_sid": "WK" + "0" * 32}
    routing = {"properties": {**workspace, **agent, "attributes": {"outreach_key": key()}}}
    assert calls.post(
        "/flex-api/v1/Interactions", Channel=json.dumps(channel), Routing=json.dumps(routing)
    ).ok

    rig.simulator.settings(pair_busy="error")
    rig.drive(until=lambda: rig.row().hand.waiting)
    rig.clock.shift_ms += 301_000
    rig.drive()

    assert Event.FOUND_OPEN not in rig.events()
    assert (rig.row().state, rig.row().record.code) == (State.SKIPPED, Reason.PAIR_BUSY)
    assert not rig.messages()
    calls.close()


@pytest.mark.parametrize("fault", ["interaction.cut_after", "message.cut_after", "message.500_before"])
def test_chat_customers_lost_answer_is_looked_up_by_identity_and_key(rig: Rig, fault: str) -> None:
    rig.campaign([f"ann--{fault}.once"], definition=CHAT)

    rig.drive()

    assert {Event.FOUND_OPEN, Event.FOUND_SENT, Event.ABSENT_SENT} & set(rig.events())
    assert len(rig.simulator.journal("interaction")) == 1
    assert rig.messages() == {key(): 1}
    rig.judge()


def test_chat_interaction_is_not_called_absent_while_its_identity_may_not_be_looked_up(rig: Rig) -> None:
    rig.simulator.settings(forbidden={PARTICIPANT_CONVERSATIONS: 403})
    rig.campaign(["ann--interaction.cut_before.once"], definition=CHAT)

    rig.drive()

    assert rig.row().state is State.NEEDS_REVIEW
    assert not rig.simulator.journal("interaction")
