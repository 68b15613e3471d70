"""Rows in doubt: found, absent, or left to a person, and never sent blind."""

import json
import time
from itertools import pairwise

import pytest
from pipeline_bench import BODY, ROUTING, SENDER, Rig, key, phone, trouble
from simulator_calls import Calls, channel_path

from worker.ledger.states import Event, Reason, State
from worker.pipeline import pace, reconcile
from worker.pipeline.reconcile import reconcile_rows

UNANSWERED_OPENINGS = [191, 192, 193, 194, 195, 178, 179]
UNANSWERED_MESSAGES = [163, 164, 165, 166, 167]


@pytest.mark.parametrize("last", UNANSWERED_MESSAGES)
def test_message_without_an_answer_is_looked_up_and_never_doubled(rig: Rig, last: int) -> None:
    rig.campaign([trouble(last)])

    rig.drive()

    happened = last in (164, 166, 167)
    assert (Event.FOUND_SENT if happened else Event.ABSENT_SENT) in rig.events()
    assert rig.messages() == {key(): 1}
    rig.judge()


def test_message_that_hangs_is_looked_up_after_the_deadline(rig: Rig) -> None:
    rig.campaign([trouble(168)])

    rig.drive(bench=rig.worker("worker-0", request_s=0.5))

    assert Event.FOUND_SENT in rig.events()
    rig.judge()


def test_all_kinds_of_lost_answers_at_once_double_nothing_though_look_ups_lag(rig: Rig) -> None:
    rig.simulator.settings(lookup_lag_s=0.3)
    people = [trouble(last) for last in UNANSWERED_OPENINGS + UNANSWERED_MESSAGES]
    rig.campaign(people)
    slower = rig.worker("worker-0", settle_s=(0.2, 0.5, 0.8, 1.2))

    rig.drive(bench=slower, jump=False)

    assert rig.states() == {"ACCEPTED": len(people)}
    rig.judge()


@pytest.mark.parametrize("last", [193, 163])
def test_attempts_that_were_all_lost_fail_the_row(rig: Rig, last: int) -> None:
    rig.campaign([trouble(last)], pacing="max_attempts = 1")

    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.FAILED, Reason.NO_ANSWER)
    rig.judge()


@pytest.mark.parametrize(
    "forbidden",
    [
        {"GET conversations/v1/ParticipantConversations": 403},
        {"GET taskrouter": 403},
        {"GET taskrouter": 404},
        {"GET taskrouter": 405, "GET conversations/v1/ParticipantConversations": 405},
    ],
)
def test_one_forbidden_look_up_is_enough_never_to_call_an_interaction_absent(
    rig: Rig, forbidden: dict[str, int]
) -> None:
    rig.simulator.settings(forbidden=forbidden)
    rig.campaign([trouble(193)])

    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.NEEDS_REVIEW, Reason.LOOKUPS_FAILED)
    assert not rig.simulator.journal("interaction")


def test_interaction_is_found_by_key_though_its_address_cannot_be_looked_up(rig: Rig) -> None:
    rig.campaign([trouble(194)])
    rig.work(rig.dispatch())

    rig.simulator.settings(forbidden={"GET conversations/v1/ParticipantConversations": 403})
    rig.drive()

    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def test_forbidden_messages_leave_the_row_to_a_person(rig: Rig) -> None:
    rig.campaign([trouble(164)])
    rig.drive(until=lambda: rig.row().state is State.DOUBT_SENDING)

    rig.simulator.settings(forbidden={"GET conversations": 403})
    rig.drive()

    assert rig.row().state is State.NEEDS_REVIEW
    assert rig.messages() == {key(): 1}


@pytest.mark.parametrize("last", [194, 164])
def test_look_ups_that_fail_for_a_while_are_made_again(rig: Rig, last: int) -> None:
    rig.campaign([trouble(last)])
    rig.drive(until=lambda: rig.row().state.is_doubt)
    rig.simulator.settings(fault_getters={"503": 0.5, "429": 0.2, "truncated": 0.3})
    rig.drive(until=lambda: rig.row().hand.asked >= 4)

    rig.simulator.settings(fault_getters={})
    rig.drive()

    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def test_look_ups_that_go_on_failing_leave_the_row_to_a_person(rig: Rig) -> None:
    rig.campaign([trouble(194)])
    rig.work(rig.dispatch())
    began = rig.clock.now_ms()

    rig.simulator.settings(fault_getters={"503": 1})
    rig.drive()

    assert rig.row().state is State.NEEDS_REVIEW
    assert rig.clock.now_ms() - began >= 60 * 600


def test_two_empty_looks_too_early_prove_nothing(rig: Rig) -> None:
    rig.campaign([trouble(193)])
    patient = rig.worker("worker-0", settle_s=(2.0, 5.0, 15.0, 45.0))
    rig.work(rig.dispatch(patient), patient)
    began = rig.row().hand.doubt
    looks = []

    rig.points.meanwhile = lambda name: name == "before take" and looks.append(rig.clock.now_ms() - began)
    rig.drive(bench=patient, until=lambda: rig.row().state is not State.DOUBT_OPENING)

    times_ms = (2_000, 5_000, 15_000, 45_000)
    assert [at <= look < then for look, (at, then) in zip(looks, pairwise(times_ms), strict=True)] == [
        True
    ] * 3
    assert rig.events()[-1] is Event.ABSENT_OPEN


def test_customers_older_conversation_with_the_sender_is_not_taken_for_ours(rig: Rig) -> None:
    rig.simulator.settings(pair_busy="silent")
    rig.simulator.occupy(trouble(194), SENDER)
    rig.campaign([trouble(194)], pair_busy="skip")

    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.SKIPPED, Reason.PAIR_BUSY)
    rig.judge()


def test_another_campaigns_interaction_with_the_customer_is_not_taken_for_ours(rig: Rig) -> None:
    calls = rig.calls()
    rig.campaign([trouble(193)])
    rig.work(rig.dispatch())
    open_by_hand(calls, trouble(193), "autumn-1:1:1")
    rig.simulator.settings(pair_busy="error")

    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.SKIPPED, Reason.PAIR_BUSY)
    assert not rig.messages()
    calls.close()


def test_customer_with_many_conversations_is_looked_up_to_the_last_page(rig: Rig) -> None:
    calls = rig.calls()
    rig.simulator.settings(patterns_on=False)
    for number in range(60):
        made = open_by_hand(calls, trouble(194), f"old-1:{number}:1")
        assert calls.post(channel_path(made), Status="closed").ok
    rig.simulator.settings(patterns_on=True)
    rig.campaign([trouble(194)])

    rig.drive()

    assert Event.FOUND_OPEN in rig.events()
    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()
    calls.close()


def test_conversation_with_many_messages_is_looked_through_to_the_last_page(rig: Rig) -> None:
    calls = rig.calls()
    rig.campaign([trouble(164)])
    rig.drive(until=lambda: rig.row().state is State.DOUBT_SENDING)
    for number in range(120):
        assert calls.send(rig.row().record.conversation_sid, f"other:{number}:1", Body="Hello").ok

    rig.drive()

    assert Event.FOUND_SENT in rig.events()
    calls.close()


def test_own_interaction_whose_conversation_was_closed_is_not_adopted(rig: Rig) -> None:
    rig.campaign([trouble(194)])
    rig.work(rig.dispatch())
    rig.simulator.close(rig.simulator.journal("interaction")[0]["conversation_sid"])

    rig.drive()

    assert [Event.ABSENT_OPEN in rig.events(), rig.states()] == [True, {"ACCEPTED": 1}]
    assert len(rig.simulator.journal("interaction")) == 2
    rig.judge()


def test_own_interaction_whose_conversation_cannot_be_looked_at_is_not_called_absent(rig: Rig) -> None:
    rig.campaign([trouble(194)])
    rig.work(rig.dispatch())

    rig.simulator.settings(forbidden={"GET conversations/v1/Conversations/{conversation}": 403})
    rig.drive(until=lambda: rig.row().state is not State.DOUBT_OPENING)

    assert rig.row().state is State.NEEDS_REVIEW
    assert len(rig.simulator.journal("interaction")) == 1


@pytest.mark.parametrize("pair_busy", ["silent", "failed"])
def test_of_two_interactions_with_one_key_the_one_with_the_customer_is_kept(rig: Rig, pair_busy: str) -> None:
    rig.simulator.settings(pair_busy=pair_busy)
    calls = rig.calls()
    rig.campaign([trouble(194)])
    rig.work(rig.dispatch())
    open_by_hand(calls, trouble(194), key())

    rig.drive()

    first, second = rig.simulator.journal("interaction")
    assert rig.row().record.interaction_sid == first["interaction_sid"]
    assert [one["interaction_sid"] for one in rig.simulator.journal("interaction_closed")] == [
        second["interaction_sid"]
    ]
    rig.judge()
    calls.close()


def test_of_two_interactions_none_is_chosen_while_the_customer_is_in_neither(rig: Rig) -> None:
    rig.simulator.settings(pair_busy="silent", setup_ms=500)
    calls = rig.calls()
    rig.campaign([trouble(194)])
    rig.work(rig.dispatch())
    open_by_hand(calls, trouble(194), key())

    rig.drive(bench=rig.worker("worker-0", settle_s=(0.2, 0.4, 0.7, 1.5)), jump=False)

    assert rig.row().record.interaction_sid == rig.simulator.journal("interaction")[0]["interaction_sid"]
    rig.judge()
    calls.close()


def test_of_two_interactions_one_is_chosen_in_the_end_though_the_customer_is_in_neither(rig: Rig) -> None:
    rig.simulator.settings(setup_ms=600_000)
    calls = rig.calls()
    rig.campaign([trouble(194)])
    rig.work(rig.dispatch())
    open_by_hand(calls, trouble(194), key())

    rig.drive(until=lambda: rig.row().state is State.OPEN)

    assert len(rig.ledger.to_close("spring-1")) == 1
    calls.close()


@pytest.mark.parametrize("by_address", [True, False])
def test_of_two_interactions_none_is_chosen_while_nothing_tells_where_the_customer_is(
    rig: Rig, by_address: bool
) -> None:
    rig.simulator.settings(pair_busy="silent")
    calls = rig.calls()
    rig.campaign([trouble(194)])
    rig.work(rig.dispatch())
    open_by_hand(calls, trouble(194), key())
    forbidden = {"GET conversations/v1/Conversations/{conversation}/Participants": 403}
    if not by_address:
        forbidden["GET conversations/v1/ParticipantConversations"] = 403
    rig.simulator.settings(forbidden=forbidden)

    rig.drive(until=lambda: rig.row().state is not State.DOUBT_OPENING)

    first, second = (one["interaction_sid"] for one in rig.simulator.journal("interaction"))
    to_close = [one.interaction_sid for one in rig.ledger.to_close("spring-1")]
    if by_address:
        assert (rig.row().record.interaction_sid, to_close) == (first, [second])
    else:
        assert (rig.row().state, to_close) == (State.NEEDS_REVIEW, [])
    calls.close()


def test_worker_who_lost_the_row_closes_nothing(rig: Rig) -> None:
    calls = rig.calls()
    rig.campaign([trouble(194)])
    rig.work(rig.dispatch())
    open_by_hand(calls, trouble(194), key())

    lose_row_at(rig, "after GET Participants")
    rig.clock.shift_ms += 1_000
    reconcile_rows(rig.bench, "spring-1", [1])

    assert rig.row().state is State.DOUBT_OPENING
    assert not rig.ledger.to_close_count("spring-1")
    rig.drive()
    rig.judge()
    calls.close()


def test_worker_who_lost_the_row_leaves_a_closed_conversations_interaction_to_the_next(rig: Rig) -> None:
    rig.campaign([trouble(194)])
    rig.work(rig.dispatch())
    conversation = rig.simulator.journal("interaction")[0]["conversation_sid"]
    rig.simulator.close(conversation)

    lose_row_at(rig, f"after GET {conversation}")
    rig.clock.shift_ms += 1_000
    reconcile_rows(rig.bench, "spring-1", [1])

    assert not rig.ledger.to_close_count("spring-1")
    rig.drive()
    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def lose_row_at(rig: Rig, moment: str) -> None:
    """Have the row's lease run out, and another worker take it, at a moment."""

    def lose(name: str) -> None:
        if name == moment:
            rig.points.meanwhile = lambda _: None
            rig.clock.shift_ms += 600_000
            assert rig.ledger.expire("spring-1", 1, 0, 0).ok
            assert rig.ledger.take("spring-1", 1, rig.worker("worker-2").claim()).ok

    rig.points.meanwhile = lose


def test_holder_who_lost_the_row_while_it_was_found_does_no_more_with_it(rig: Rig) -> None:
    rig.campaign([trouble(194)])
    lost = []

    def lose_once(name: str) -> None:
        if name == "before adopt_opening" and not lost:
            lost.append(rig.ledger.expire("spring-1", 1, 0, 0, owner="worker-1").ok)

    rig.points.meanwhile = lose_once
    rig.drive()

    assert lost == [True]
    assert rig.events().count(Event.FOUND_OPEN) == 1
    rig.judge()


def test_found_interaction_whose_conversation_is_not_named_yet_is_adopted(rig: Rig) -> None:
    rig.simulator.settings(no_conversation_share=1, setup_ms=800)
    rig.campaign([trouble(194)])

    rig.drive(jump=False)

    assert Event.FOUND_OPEN in rig.events()
    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def test_failed_search_for_tasks_proves_nothing_of_the_rows_it_was_made_for(rig: Rig) -> None:
    rig.simulator.occupy(trouble(193), SENDER)
    rig.campaign([trouble(193), trouble(193, 212)])
    rig.work(rig.dispatch())
    rig.points.meanwhile = lambda name: (
        name == "before GET ParticipantConversations"
        and rig.simulator.settings(forbidden={"GET taskrouter": 403})
    )

    rig.clock.shift_ms += 1_000
    reconcile_rows(rig.bench, "spring-1", [1, 2])

    assert (rig.row(1).record.looks, rig.row(2).record.looks) == (0, 1)


def test_task_search_that_twilio_throttles_slows_its_own_pace(rig: Rig) -> None:
    rig.campaign([trouble(193)])
    rig.work(rig.dispatch())
    rig.simulator.settings(fault_getters={"429": 1})

    rig.clock.shift_ms += 1_000
    reconcile_rows(rig.bench, "spring-1", [1])

    (look_ups,) = rig.bench.pacer.peek([pace.task_look_ups()])
    assert look_ups.per_s < pace.LOOK_UPS_PER_S
    assert rig.row().record.looks == 0


def test_batch_that_gets_slow_gives_back_what_it_has_no_time_for(rig: Rig) -> None:
    rig.campaign([trouble(194, area) for area in (415, 212, 310)])
    rig.work(rig.dispatch())
    slow = rig.worker("worker-0")
    clock, late = slow.clock, []
    slow.clock = lambda: clock() + sum(late)
    rig.points.meanwhile = lambda name: name == "after GET ParticipantConversations" and late.append(10.0)

    rig.clock.shift_ms += 1_000
    reconcile_rows(slow, "spring-1", [1, 2, 3])
    rig.points.meanwhile = lambda _: None

    assert len(rig.simulator.requests("GET conversations/v1/ParticipantConversations")) < 3
    assert all(not rig.row(number).hand.token for number in (1, 2, 3))
    rig.drive()
    assert rig.states() == {"ACCEPTED": 3}
    rig.judge()


def test_found_interaction_is_left_for_the_next_look_where_no_time_is_left_to_see_its_conversation(
    rig: Rig,
) -> None:
    rig.campaign([trouble(194)])
    rig.work(rig.dispatch())
    slow = rig.worker("worker-0")
    clock = slow.clock

    def stop(name: str) -> None:
        if name == "after GET Tasks":
            slow.clock = lambda: clock() + 600.0

    rig.points.meanwhile = stop
    rig.clock.shift_ms += 1_000
    reconcile_rows(slow, "spring-1", [1])

    assert rig.row().state is State.DOUBT_OPENING
    rig.drive()
    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def test_one_bad_row_of_a_batch_costs_that_row_alone(rig: Rig) -> None:
    rig.campaign([trouble(194), trouble(194, 212), trouble(164)])
    rig.drive(until=lambda: rig.info().in_doubt == 3)
    cells = rig.ledger.key("spring-1", "in:0")
    good = rig.client.hget(cells, "0")
    rig.client.hset(cells, "0", "{")

    rig.drive(until=lambda: rig.states().get("ACCEPTED") == 2)
    rig.client.hset(cells, "0", good)
    rig.drive()

    assert rig.states() == {"ACCEPTED": 3}
    rig.judge()


def test_row_that_turns_bad_while_it_is_taken_costs_that_row_alone(rig: Rig) -> None:
    rig.campaign([trouble(194), trouble(194, 212)])
    rig.work(rig.dispatch())
    cells = rig.ledger.key("spring-1", "in:0")
    good = rig.client.hget(cells, "0")
    rig.points.meanwhile = lambda name: name == "before take" and rig.client.hset(cells, "0", "{")

    rig.clock.shift_ms += 1_000
    reconcile_rows(rig.bench, "spring-1", [1, 2])
    rig.points.meanwhile = lambda _: None
    rig.client.hset(cells, "0", good)

    assert rig.row(2).state is State.OPEN
    rig.drive()
    rig.judge()


@pytest.mark.parametrize("last", [194, 164])
def test_doubt_that_a_changed_definition_cannot_read_is_left_to_a_person(rig: Rig, last: int) -> None:
    rig.campaign([trouble(last)])
    rig.drive(until=lambda: rig.row().state.is_doubt)
    rig.client.hset(rig.ledger.key("spring-1", "in:0"), "0", '["no number","Ann"]')

    rig.drive()

    assert rig.row().state is State.NEEDS_REVIEW


def test_rows_that_are_settled_or_held_by_another_are_left_alone(rig: Rig) -> None:
    rig.campaign([phone(1), trouble(194), trouble(164)])
    rig.drive(until=lambda: rig.info().in_doubt == 2)
    for number in (2, 3):
        assert rig.ledger.take("spring-1", number, rig.bench.claim()).ok

    reconcile_rows(rig.worker("worker-2"), "spring-1", [1, 2, 3])

    assert rig.states() == {"ACCEPTED": 1, "DOUBT_OPENING": 1, "DOUBT_SENDING": 1}
    assert not rig.simulator.requests("GET conversations/v1/ParticipantConversations")


def test_look_that_our_own_pace_forbids_is_made_soon_and_counts_for_nothing(rig: Rig) -> None:
    people = [trouble(193, area) for area in (415, 212, 310, 202, 305, 312)]
    rig.campaign(people)
    rig.work(rig.dispatch())
    rig.clock.shift_ms += 1_000

    for number in range(1, 7):  # one look-up each, where three a second are allowed
        reconcile.reconcile_rows(rig.worker(f"worker-{number}"), "spring-1", [number])
        rig.client.hset(f"{rig.ledger.prefix}pace:task_look_ups", "blocked_us", int((time.time() + 9) * 1e6))
        rig.client.hset(f"{rig.ledger.prefix}pace:task_look_ups", "blocked_for_us", int(9e6))

    assert [rig.row(number).record.looks for number in range(1, 7)] == [1, 0, 0, 0, 0, 0]
    assert rig.row(2).record.story[-1].code == Reason.THROTTLED
    rig.drive()
    assert rig.states() == {"ACCEPTED": 6}
    rig.judge()


def test_doubts_of_two_workspaces_are_looked_up_in_their_own(rig: Rig) -> None:
    routing = ROUTING.replace("WS5f1d2c3b4a59687766554433221100ff", "{{ name }}")
    head = f'name = "spring"\nchannel = "sms"\nfrom = "{SENDER}"\nto = "{{{{ phone }}}}"\n'
    rig.campaign(
        [trouble(194), trouble(194, 212)], definition=head + routing + BODY.replace("{{ name }}", "you")
    )
    for at, workspace in enumerate(("WS" + "1" * 32, "WS" + "2" * 32)):
        cells = f'["{trouble(194, 415 if not at else 212)}","{workspace}"]'
        rig.client.hset(rig.ledger.key("spring-1", "in:0"), str(at), cells)

    rig.drive()

    assert rig.states() == {"ACCEPTED": 2}
    rig.judge()


def open_by_hand(calls: Calls, address: str, outreach_key: str) -> dict[str, object]:
    """Open an Interaction as another program would, or as a stopped worker of ours."""
    participants = [{"address": address, "proxy_address": SENDER, "type": "sms"}]
    channel = {"type": "sms", "initiated_by": "agent", "participants": participants}
    workspace = {"workspace_sid": "WS5f1d2c3b4a59687766554433221100ff", "workflow_sid": "WW" + "0" * 32}
    agent = {"queue_sid": "WQ" + "0" * 32, "worker_sid": "WK" + "0" * 32}
    routing = {"properties": {**workspace, **agent, "attributes": {"outreach_key": outreach_key}}}
    answer = calls.post("/flex-api/v1/Interactions", Channel=json.dumps(channel), Routing=json.dumps(routing))
    assert answer.ok, answer.text
    made: dict[str, object] = answer.json()
    return made
