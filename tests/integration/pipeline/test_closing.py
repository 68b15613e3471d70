"""Interactions that got no message are closed, again and again until Twilio confirms it."""

import pytest
from pipeline_bench import Rig, phone, trouble

from worker.ledger.states import State
from worker.pipeline.closing import close_some

FAULTS = ["429", "403", "405", "500_before", "500_after", "cut_before", "cut_after", "unreadable"]


def rejected(rig: Rig, *people: str) -> None:
    """Have rows end whose messages are refused, so that their Interactions are to be closed."""
    rig.campaign(people or [trouble(176)])
    rig.drive(until=lambda: not rig.info().left)


@pytest.mark.parametrize("fault", FAULTS)
def test_closing_is_repeated_until_it_is_confirmed(rig: Rig, fault: str) -> None:
    rig.simulator.settings(fault_close={fault: 1})
    rejected(rig)
    for _ in range(2):
        rig.clock.shift_ms += 6_000
        assert close_some(rig.bench, "spring-1") == 0
        rig.forget_pace()
    assert rig.ledger.to_close_count("spring-1") == 1

    rig.simulator.settings(fault_close={})
    rig.drive()

    assert rig.ledger.to_close_count("spring-1") == 0
    rig.judge()


def test_closing_waits_for_its_turn_in_the_pace(rig: Rig) -> None:
    rig.simulator.settings(fault_close={"429_retry_after": 1}, retry_after_s=30.0)
    rejected(rig)
    rig.clock.shift_ms += 6_000
    close_some(rig.bench, "spring-1")
    asked = len(rig.simulator.requests("POST flex-api/v1/Interactions/{interaction}/Channels/{channel}"))

    rig.clock.shift_ms += 6_000
    assert close_some(rig.bench, "spring-1") == 0

    again = len(rig.simulator.requests("POST flex-api/v1/Interactions/{interaction}/Channels/{channel}"))
    assert again == asked
    assert rig.ledger.to_close_count("spring-1") == 1


def test_channel_that_is_not_known_is_found_first(rig: Rig) -> None:
    made = open_without_channel(rig)
    rig.simulator.settings(forbidden={"GET flex-api": 405})
    assert close_some(rig.bench, "spring-1") == 0

    rig.simulator.settings(forbidden={})
    rig.clock.shift_ms += 6_000
    assert close_some(rig.bench, "spring-1") == 1

    assert [one["interaction_sid"] for one in rig.simulator.journal("interaction_closed")] == [made]
    assert rig.ledger.to_close_count("spring-1") == 0


def test_interaction_that_twilio_does_not_know_needs_no_closing(rig: Rig) -> None:
    owe(rig, "KD" + "0" * 32)

    assert close_some(rig.bench, "spring-1") == 1

    assert rig.ledger.to_close_count("spring-1") == 0


def test_closing_in_hand_is_tried_by_no_other_worker(rig: Rig) -> None:
    rejected(rig, trouble(176), trouble(176, 212))
    rig.clock.shift_ms += 6_000
    other = rig.worker("worker-2")
    closed_meanwhile = []

    def meanwhile(name: str) -> None:
        if name.startswith("before POST"):
            rig.points.meanwhile = lambda _: None
            closed_meanwhile.append(close_some(other, "spring-1"))

    rig.points.meanwhile = meanwhile
    close_some(rig.bench, "spring-1", most=1)

    assert closed_meanwhile == [1]
    rig.drive()
    rig.judge()


def open_without_channel(rig: Rig) -> str:
    """Open an Interaction that is to be closed and whose channel is not known; its SID."""
    rig.campaign([phone(1)], "other-1")
    recipient = rig.bench.campaign("other-1").compiled.recipient(1, rig.row(1, "other-1").cells)
    made = rig.bench.gateway.create_interaction(recipient, "spring-1:1:1").value.interaction_sid
    owe(rig, made)
    return made


def owe(rig: Rig, interaction: str) -> None:
    """Have a row in doubt note an Interaction that is to be closed, its channel unknown."""
    rig.campaign([trouble(193)])
    rig.drive("spring-1", until=lambda: rig.row().state is State.DOUBT_OPENING)
    claim = rig.bench.claim()
    assert rig.ledger.take("spring-1", 1, claim).ok
    assert rig.ledger.owe_close("spring-1", 1, claim.token, interaction, "").ok
