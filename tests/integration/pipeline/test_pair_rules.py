"""A customer who has an open conversation with the sender already: found out both ways, and the campaign's three rules."""

import pytest
from pipeline_bench import SENDER, Rig, key, phone

from worker.ledger.states import Event, Reason, State

WAYS = ("error", "silent", "failed")


def occupy(rig: Rig, number: int = 1) -> str:
    """Open somebody else's conversation with a customer."""
    return rig.simulator.occupy(phone(number), SENDER, None)


@pytest.fixture(params=WAYS)
def busy(rig: Rig, request: pytest.FixtureRequest) -> str:
    """Have a busy pair show in each of the ways; the SID of the conversation that holds it."""
    rig.simulator.settings(pair_busy=request.param)
    return occupy(rig)


def test_busy_pair_is_skipped_by_default(rig: Rig, busy: str) -> None:
    rig.campaign([phone(1)])

    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.SKIPPED, Reason.PAIR_BUSY)
    rig.judge()


def test_busy_pairs_conversation_is_used_where_the_rule_says_so(rig: Rig, busy: str) -> None:
    rig.campaign([phone(1)], pair_busy="use")

    rig.drive()

    assert (rig.row().state, rig.row().record.conversation_sid) == (State.ACCEPTED, busy)
    assert rig.messages() == {key(): 1}
    rig.judge()


def test_busy_pair_is_waited_for_and_reached_once_it_is_free(rig: Rig, busy: str) -> None:
    rig.campaign([phone(1)], pair_busy="wait")
    rig.drive(until=lambda: len(rig.simulator.requests("GET conversations/v1/ParticipantConversations")) >= 5)
    assert rig.events().count(Event.WAITING) == 1, "told once, however often it is looked at"
    asked = len(rig.simulator.requests("POST flex-api/v1/Interactions"))

    rig.simulator.close(busy)
    rig.drive()

    assert asked == 1
    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def test_wait_for_a_pair_is_over_after_the_longest_wait(rig: Rig, busy: str) -> None:
    rig.campaign([phone(1)], pair_busy="wait", pair_wait_max="2m")

    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.SKIPPED, Reason.PAIR_WAIT_OVER)
    rig.judge()


@pytest.mark.parametrize("way", ["error", "silent"])
def test_wait_is_over_when_a_freed_pair_is_taken_again(rig: Rig, way: str) -> None:
    rig.simulator.settings(pair_busy=way)
    first = occupy(rig)
    rig.campaign([phone(1)], pair_busy="wait", pair_wait_max="1m")
    rig.drive(until=lambda: rig.row().hand.waiting > 0)

    rig.clock.shift_ms += 70_000
    rig.simulator.close(first)
    rig.points.meanwhile = lambda name: name == "after claim_opening" and occupy(rig)
    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.SKIPPED, Reason.PAIR_WAIT_OVER)
    rig.judge()


def test_pair_of_a_waiting_row_that_cannot_be_looked_up_is_asked_after_till_the_wait_is_over(
    rig: Rig,
) -> None:
    rig.simulator.settings(pair_busy="error")
    occupy(rig)
    rig.campaign([phone(1)], pair_busy="wait", pair_wait_max="1m")
    rig.drive(until=lambda: rig.row().hand.waiting > 0)

    rig.simulator.settings(forbidden={"GET conversations": 403})
    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.SKIPPED, Reason.PAIR_WAIT_OVER)


def test_busy_pair_is_settled_by_the_rule_where_its_task_cannot_be_looked_up(rig: Rig) -> None:
    rig.simulator.settings(pair_busy="error", forbidden={"GET taskrouter": 403})
    occupy(rig)
    rig.campaign([phone(1)])
    began = rig.clock.now_ms()

    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.SKIPPED, Reason.PAIR_BUSY)
    assert rig.clock.now_ms() - began > 300_000


def test_channel_refused_for_a_pair_that_nobody_holds_any_more_costs_the_row(rig: Rig) -> None:
    rig.simulator.settings(channel_failures={"50416": 1})
    rig.campaign([phone(1)])

    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.FAILED, Reason.CUSTOMER_MISSING)
    rig.judge()


def test_own_conversation_that_keeps_the_pair_busy_is_adopted(rig: Rig) -> None:
    rig.simulator.settings(pair_busy="error")
    rig.campaign([phone(1)])
    rig.ledger.dispatch("spring-1", fresh=1, old=0)
    made = sent_before(rig)

    rig.work([("send_rows", "spring-1", [1])])
    rig.drive()

    assert Event.FOUND_OPEN in rig.events()
    assert rig.row().record.interaction_sid == made
    assert len(rig.simulator.journal("interaction")) == 1
    rig.judge()


@pytest.mark.parametrize("way", ["silent", "failed"])
def test_of_two_own_interactions_the_one_with_the_customer_is_kept(rig: Rig, way: str) -> None:
    rig.simulator.settings(pair_busy=way)
    rig.campaign([phone(1)])
    rig.ledger.dispatch("spring-1", fresh=1, old=0)
    made = sent_before(rig)

    rig.work([("send_rows", "spring-1", [1])])
    rig.drive()

    assert rig.row().record.interaction_sid == made
    assert len(rig.simulator.journal("interaction")) == 2
    rig.judge()


def sent_before(rig: Rig) -> str:
    """Open the row's Interaction as a worker would that was stopped before it could say so; its SID."""
    loaded = rig.bench.campaign("spring-1")
    recipient = loaded.compiled.recipient(1, rig.row().cells)
    outcome = rig.bench.gateway.create_interaction(recipient, key())
    return str(outcome.value.interaction_sid)


def test_own_conversation_that_look_ups_lag_behind_is_not_taken_for_somebody_elses(rig: Rig) -> None:
    rig.simulator.settings(pair_busy="error", fault={"500_after": 1.0}, lookup_lag_s=3600)
    rig.campaign([phone(1)])
    rig.drive(until=lambda: rig.states() == {"DOUBT_OPENING": 1})
    rig.simulator.settings(fault={})
    rig.drive(until=lambda: Event.WAITING in rig.events())

    rig.simulator.settings(lookup_lag_s=0)
    rig.drive()

    assert Event.ABSENT_OPEN in rig.events()
    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def test_own_conversation_is_not_waited_for_as_if_it_were_somebody_elses(rig: Rig) -> None:
    rig.simulator.settings(pair_busy="error", fault={"500_after": 1.0}, lookup_lag_s=3600)
    rig.campaign([phone(1)], pair_busy="wait")
    rig.drive(until=lambda: rig.states() == {"DOUBT_OPENING": 1})
    rig.simulator.settings(fault={})
    rig.drive(until=lambda: Event.WAITING in rig.events())

    rig.simulator.settings(lookup_lag_s=0)
    rig.drive()

    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def test_retry_does_not_take_its_own_conversation_for_somebody_elses(rig: Rig) -> None:
    rig.simulator.settings(pair_busy="error", fault={"500_after": 1.0}, lookup_lag_s=3600)
    rig.campaign([phone(1)], pacing="max_attempts = 1")
    rig.drive()
    assert rig.states() == {"FAILED": 1}
    rig.simulator.settings(fault={})

    assert rig.ledger.new_send("spring-1", 1, 1).ok
    rig.drive(until=lambda: Event.WAITING in rig.events())
    rig.simulator.settings(lookup_lag_s=0)
    rig.drive()

    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


@pytest.mark.parametrize("way", WAYS)
def test_lost_interaction_of_an_earlier_send_is_used_by_the_next(rig: Rig, way: str) -> None:
    rig.simulator.settings(pair_busy=way, fault={"500_after": 1.0}, fault_getters={"403": 1.0})
    rig.campaign([phone(1)])
    rig.drive()
    assert rig.states() == {"NEEDS_REVIEW": 1}

    rig.simulator.settings(fault={}, fault_getters={})
    assert rig.ledger.verdict("spring-1", 1, 1, "not_sent").ok
    rig.drive()

    assert rig.messages() == {key(1, send=2): 1}
    rig.judge()


def test_row_that_waits_for_another_campaigns_row_takes_no_slot_of_the_pace(rig: Rig) -> None:
    rig.simulator.settings(setup_ms=3_600_000)
    for name in ("one-1", "two-2"):
        rig.campaign([phone(1)], name)
    rig.drive(until=lambda: any(_waits(rig, name) for name in ("one-1", "two-2")), unpaced=False)
    second = "one-1" if _waits(rig, "one-1") else "two-2"
    before = _pace(rig)

    rig.clock.shift_ms += 2_000
    rig.work([one for one in rig.dispatch() if one[1] == second])

    assert rig.row(1, second).state is State.PENDING
    assert _pace(rig) == before


def test_busy_pair_is_found_though_nobody_can_look_its_flex_task_up(rig: Rig) -> None:
    occupy(rig)
    rig.simulator.settings(forbidden={"GET taskrouter/v1/Workspaces/{workspace}/Tasks": 403})
    rig.campaign([phone(1)])

    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.SKIPPED, Reason.PAIR_BUSY)
    rig.judge()


def _waits(rig: Rig, campaign_id: str) -> bool:
    return rig.row(1, campaign_id).record.code == Reason.PAIR_IN_HAND


def _pace(rig: Rig) -> dict[bytes, bytes]:
    return {name: rig.client.dump(name) for name in rig.client.scan_iter(f"{rig.ledger.prefix}pace:*")}
