"""Opened rows whose channel, customer or conversation isn't there: waited for, told apart, and given up in the end."""

import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from pipeline_bench import Rig, key, phone, trouble

from worker.ledger.states import Event, Reason, State


def test_conversation_that_the_answer_does_not_name_is_found_by_the_invites(rig: Rig) -> None:
    rig.simulator.settings(setup_ms=100)
    rig.campaign([trouble(160)])

    rig.drive(jump=False)

    assert rig.states() == {"ACCEPTED": 1}
    requests = [one["request"].rpartition("/")[2] for one in rig.simulator.requests()]
    assert requests[:3] == ["Interactions", "Invites", "{task}"]
    assert requests[-3:] == ["Invites", "Participants", "Messages"]
    rig.judge()


def test_conversation_is_found_by_the_flex_task_where_invites_are_forbidden(rig: Rig) -> None:
    rig.simulator.settings(forbidden={"GET flex-api": 405}, setup_ms=100)
    rig.campaign([trouble(160)])

    rig.drive(jump=False)

    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def test_conversation_that_only_the_address_leads_to_is_found_by_it(rig: Rig) -> None:
    one_task = "GET taskrouter/v1/Workspaces/{workspace}/Tasks/{task}"
    rig.simulator.settings(
        forbidden={"GET flex-api": 405, one_task: 403}, no_conversation_share=1, setup_ms=100
    )
    rig.campaign([phone(1)])

    rig.drive(until=lambda: rig.row().hand.checks >= 1)
    time.sleep(0.1)
    rig.drive()

    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def test_row_of_which_twilio_tells_nothing_fails_and_is_closed(rig: Rig) -> None:
    forbidden = {"GET flex-api": 405, "GET taskrouter": 403, "GET conversations": 403}
    rig.simulator.settings(forbidden=forbidden, setup_ms=60_000)
    rig.campaign([trouble(160)])

    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.FAILED, Reason.CUSTOMER_MISSING)
    rig.judge()


def test_customer_who_comes_in_later_gets_the_message_then(rig: Rig) -> None:
    rig.simulator.settings(setup_ms=400)
    rig.campaign([phone(1)])

    rig.drive(jump=False)

    assert rig.states() == {"ACCEPTED": 1}
    assert rig.row().record.attempts == 1
    rig.judge()


def test_channel_that_stays_in_set_up_fails_after_ten_minutes_and_is_closed(rig: Rig) -> None:
    rig.campaign([trouble(199)])
    began = rig.clock.now_ms()

    rig.drive()

    assert rig.row().record.code == Reason.CHANNEL_TIMEOUT
    assert 600_000 < rig.clock.now_ms() - began < 660_000
    rig.judge()


@pytest.mark.parametrize(("failures", "code"), [({"50407": 1}, 50407), ({"45357": 1}, 45357)])
def test_channel_that_fails_costs_the_row_with_twilios_code(
    rig: Rig, failures: dict[str, float], code: int
) -> None:
    rig.simulator.settings(channel_failures=failures)
    rig.campaign([phone(1)])

    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.FAILED, code)
    rig.judge()


def test_channel_that_fails_without_a_code_says_so(rig: Rig) -> None:
    rig.simulator.settings(channel_failures={"0": 1})
    rig.campaign([phone(1)])

    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.FAILED, Reason.CHANNEL_FAILED)
    rig.judge()


def test_channel_that_fails_for_the_whole_campaign_pauses_it_and_costs_no_row(rig: Rig) -> None:
    rig.simulator.settings(channel_failures={"21606": 1})
    rig.campaign([phone(1), phone(2)])
    rig.drive()
    assert (rig.info().state, rig.info().reason_code) == ("paused", 21606)
    assert rig.states() == {"PENDING": 2}

    rig.simulator.settings(channel_failures={})
    rig.registry.resume("spring-1")
    rig.drive()

    assert rig.states() == {"ACCEPTED": 2}
    rig.judge()


def test_customer_who_never_comes_in_costs_the_row_though_the_channel_is_up(rig: Rig) -> None:
    rig.campaign([trouble(184)])

    rig.drive(until=lambda: rig.row().state is State.OPEN)
    rig.simulator.close(rig.simulator.journal("pair_occupied")[0]["conversation_sid"])
    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.FAILED, Reason.CUSTOMER_MISSING)
    rig.judge()


def test_participants_that_are_asked_in_vain_for_a_while_are_asked_again(rig: Rig) -> None:
    rig.simulator.settings(fault_getters={"503": 1})
    rig.campaign([phone(1)])
    rig.drive(until=lambda: rig.row().hand.checks >= 3)

    rig.simulator.settings(fault_getters={})
    rig.drive()

    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def test_participants_that_twilio_forbids_for_good_pause_the_campaign_and_cost_no_row(rig: Rig) -> None:
    rig.simulator.settings(forbidden={"GET conversations": 403})
    rig.campaign([phone(1)])

    rig.drive()

    assert (rig.info().state, rig.info().reason_code) == ("paused", 20403)
    assert rig.states() == {"PENDING": 1}
    assert not rig.simulator.journal("message")
    assert len(rig.simulator.journal("interaction_closed")) == 1


@pytest.mark.parametrize("pair_busy", ["skip", "use"])
def test_pair_is_found_busy_though_channels_are_forbidden(rig: Rig, pair_busy: str) -> None:
    rig.simulator.settings(forbidden={"GET flex-api": 405})
    rig.campaign([trouble(184)], pair_busy=pair_busy)

    rig.drive()

    assert rig.states() == ({"SKIPPED": 1} if pair_busy == "skip" else {"ACCEPTED": 1})
    rig.judge()


def test_conversation_closed_under_a_row_is_begun_anew(rig: Rig) -> None:
    rig.campaign([phone(1)])
    rig.points.meanwhile = close_under(rig, times=1)

    rig.drive()

    assert rig.states() == {"ACCEPTED": 1}
    assert Event.REOPENED in rig.events()
    assert rig.messages() == {key(): 1}
    rig.judge()


def test_conversation_closed_under_a_row_every_time_uses_its_attempts_up(rig: Rig) -> None:
    rig.campaign([phone(1)], pacing="max_attempts = 3")
    rig.points.meanwhile = close_under(rig, times=99)

    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.FAILED, Reason.CONVERSATION_CLOSED)
    assert len(rig.simulator.journal("interaction")) == 3
    rig.judge()


def test_row_whose_interaction_nobody_names_fails_in_the_end(rig: Rig) -> None:
    rig.campaign([phone(1)])
    rig.dispatch()
    claim = rig.bench.claim()
    assert rig.ledger.claim_opening("spring-1", 1, claim, "pair").ok
    unknown = {"interaction": "", "conversation": "", "channel": "", "flex_task": ""}
    assert rig.ledger.adopt_opening("spring-1", 1, claim.token, **unknown).ok

    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.FAILED, Reason.CHANNEL_TIMEOUT)


@pytest.mark.parametrize("script", ["use_conversation", "claim_sending"])
def test_holder_who_lost_the_row_in_mid_way_does_no_more_with_it(rig: Rig, script: str) -> None:
    rig.campaign([trouble(184)], pair_busy="use")
    lost = []

    def lose_once(name: str) -> None:
        if name == f"before {script}" and not lost:
            lost.append(rig.ledger.expire("spring-1", 1, 0, 0, owner="worker-1").ok)

    rig.points.meanwhile = lose_once
    rig.drive()

    assert lost == [True]
    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def close_under(rig: Rig, times: int) -> Callable[[str], object]:
    """Have an agent close each of the first `times` conversations right before its message."""

    def meanwhile(name: str) -> None:
        if name == "before claim_sending" and len(found := rig.simulator.journal("interaction")) <= times:
            rig.simulator.close(found[-1]["conversation_sid"])

    return meanwhile


def test_rows_before_a_slow_sender_come_back_one_by_one(rig: Rig) -> None:
    people = [phone(number) for number in range(10)]
    rig.campaign(people, pacing="messages_per_second = 1")
    rig.campaign([phone(number) for number in range(10, 20)], "summer-1", pacing="messages_per_second = 1")

    rig.work(rig.dispatch())
    rig.work(rig.dispatch())

    dues = [
        due
        for name in ("spring-1", "summer-1")
        for _, due in rig.client.zrange(rig.ledger.key(name, "later"), 0, -1, withscores=True)
    ]
    waiting = sorted(dues)
    assert len(waiting) >= 8
    assert all(late - early >= 999 for early, late in pairwise(waiting))
    assert waiting[-1] <= rig.ledger.now_ms() + 1_000 * (len(waiting) + 3)
