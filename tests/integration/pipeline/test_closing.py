"""Interactions that got no message are closed, again and again until Twilio confirms it."""

import pytest
from pipeline_bench import Rig, phone, trouble

from worker.ledger.states import State
from worker.pipeline.closing import close_some
from worker.pipeline.status import snapshot

CLOSING = "POST flex-api/v1/Interactions/{interaction}/Channels/{channel}"
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


@pytest.mark.parametrize(("fault", "code"), [("403", "20403"), ("405", "20004")])
def test_closing_that_twilio_refuses_is_tried_less_often_and_left_to_a_person_after_a_day(
    rig: Rig, fault: str, code: str
) -> None:
    rig.simulator.settings(fault_close={fault: 1})
    rejected(rig)
    name, waits = rig.ledger.key("spring-1", "closing"), []
    for _ in range(9):
        ((sid, due),) = rig.client.zrange(name, 0, 0, withscores=True)
        rig.clock.shift_ms += max(0, int(due) - rig.clock.now_ms()) + 1
        assert close_some(rig.bench, "spring-1") == 0
        waits.append(round((rig.client.zscore(name, sid) - rig.clock.now_ms()) / 10_000))
        rig.forget_pace()

    rig.clock.shift_ms += 24 * 3_600_000
    assert close_some(rig.bench, "spring-1") == 0

    assert waits[2:] == [2, 4, 8, 16, 30, 30, 30]  # tens of seconds
    assert snapshot(rig.bench, "spring-1")["left_open"] == [
        {"row": 1, "interaction_sid": rig.row().record.interaction_sid, "code": code}
    ]
    rig.registry.set_active("spring-1", active=False)
    assert rig.registry.active() == []


def test_closing_that_credentials_do_not_allow_is_never_given_up(rig: Rig) -> None:
    rejected(rig)
    rig.simulator.settings(credentials=["AC0:other"])

    for _ in range(8):
        rig.clock.shift_ms += 24 * 3_600_000
        assert close_some(rig.bench, "spring-1") == 0
    rig.simulator.settings(credentials=[])
    rig.drive()

    assert rig.ledger.left_open("spring-1") == []
    rig.judge()


def test_row_that_waits_for_a_closing_goes_on_when_that_is_given_up(rig: Rig) -> None:
    rejected(rig)
    rig.simulator.settings(fault_close={"403": 1}, patterns_on=False, pair_busy="error")
    assert rig.ledger.new_send("spring-1", 1, 1).ok
    rig.registry.set_active("spring-1", active=True)
    rig.clock.shift_ms += 6_000
    close_some(rig.bench, "spring-1")
    assert not rig.dispatch()

    rig.clock.shift_ms += 24 * 3_600_000
    close_some(rig.bench, "spring-1")
    rig.drive()

    assert rig.messages() == {"spring-1:1:2": 1}
    assert len(rig.simulator.journal("interaction")) == 1


def test_closing_waits_for_its_turn_in_the_pace(rig: Rig) -> None:
    rig.simulator.settings(fault_close={"429_retry_after": 1}, retry_after_s=30.0)
    rejected(rig)
    rig.clock.shift_ms += 6_000
    close_some(rig.bench, "spring-1")
    asked = len(rig.simulator.requests(CLOSING))

    rig.clock.shift_ms += 6_000
    assert close_some(rig.bench, "spring-1") == 0

    again = len(rig.simulator.requests(CLOSING))
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
