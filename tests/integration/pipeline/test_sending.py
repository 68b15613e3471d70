"""From an opened Interaction to its message: what Twilio may answer, and what becomes of the row."""

import time

import pytest
from pipeline_bench import Rig, key, phone, trouble

from worker.ledger.states import Event, Reason, State
from worker.pacing import Granted
from worker.pipeline import pace
from worker.pipeline.bench import Workbench
from worker.pipeline.send import send_row


@pytest.mark.parametrize("last", [161, 162])
def test_message_that_twilio_put_off_is_sent_later_without_an_attempt_burnt(rig: Rig, last: int) -> None:
    rig.simulator.settings(retry_after_s=30.0)
    rig.campaign([trouble(last)], pacing="max_attempts = 1")
    began_ms = rig.clock.now_ms()

    rig.drive()

    assert Event.SENDING_DEFERRED in rig.events()
    assert rig.row().record.attempts == 1
    assert rig.clock.now_ms() - began_ms > (30_000 if last == 162 else 500)
    rig.judge()


def test_429_to_a_message_slows_its_sender(rig: Rig) -> None:
    rig.campaign([trouble(161)], pacing="messages_per_second = 5")

    rig.work(rig.dispatch())

    (name,) = rig.client.keys(f"{rig.ledger.prefix}pace:sender:*")
    assert float(rig.client.hget(name, "held")) < 5
    assert rig.ledger.prefix.encode() in name
    assert b"+1" not in name


def test_message_waits_while_twilio_cannot_be_reached(rig: Rig) -> None:
    lost = rig.worker("worker-0", base_url="http://127.0.0.1:1")
    rig.campaign([phone(1)])
    rig.points.meanwhile = lambda name: name == "after claim_sending" and lose_twilio(rig.bench, lost)
    rig.work(rig.dispatch())
    assert rig.row().state is State.OPEN
    assert rig.row().record.story[-1].code == Reason.NOT_REACHED

    rig.points.meanwhile = lambda _: None
    rig.drive(bench=rig.worker("worker-2"))

    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


@pytest.mark.parametrize(("last", "code"), [(176, 21614), (181, 21610)])
def test_message_that_twilio_rejects_costs_that_row_and_closes_its_interaction(
    rig: Rig, last: int, code: int
) -> None:
    rig.campaign([trouble(last), phone(1)])

    rig.drive()

    assert rig.states() == {"ACCEPTED": 1, "FAILED": 1}
    assert rig.row(1).record.code == code
    rig.judge()


def test_messages_rejected_for_the_whole_campaign_pause_it_and_go_out_once_after_resume(rig: Rig) -> None:
    people = [phone(number) for number in range(4)]
    rig.simulator.settings(patterns={one[-7:]: "message:reject:50526" for one in people[:2]})
    rig.campaign(people)
    rig.drive()
    assert (rig.info().state, rig.info().reason_code) == ("paused", 50526)
    assert "FAILED" not in rig.states()

    rig.simulator.settings(patterns={})
    assert rig.registry.resume("spring-1").ok
    rig.drive()

    assert rig.states() == {"ACCEPTED": 4}
    assert set(rig.messages().values()) == {1}
    rig.judge()


def test_opened_row_whose_slot_is_far_off_frees_the_worker_and_sends_later(rig: Rig) -> None:
    rig.campaign([phone(1), phone(2)], pacing="messages_per_second = 0.2")

    rig.work(rig.dispatch())

    assert rig.states() == {"ACCEPTED": 1, "OPEN": 1}
    assert rig.row(2).hand.seen
    asked = len(rig.simulator.requests("GET conversations/v1/Conversations/{conversation}/Participants"))
    rig.drive()
    assert rig.states() == {"ACCEPTED": 2}
    again = rig.simulator.requests("GET conversations/v1/Conversations/{conversation}/Participants")
    assert len(again) == asked
    rig.judge()


def test_no_message_is_sent_where_too_little_of_the_lease_is_left(rig: Rig) -> None:
    rig.campaign([phone(1)])
    stopped = rig.worker("worker-0")
    rig.points.meanwhile = lambda name: name == "after claim_sending" and stop_for_a_minute(stopped)

    rig.work(rig.dispatch(), stopped)

    assert rig.events()[-2:] == [Event.SENDING, Event.GIVEN_UP]
    assert not rig.messages()
    rig.points.meanwhile = lambda _: None
    rig.drive()
    assert rig.states() == {"ACCEPTED": 1}


def test_slot_that_was_missed_for_good_is_taken_anew(rig: Rig) -> None:
    rig.campaign([phone(1)])
    missed = rig.bench.pacer._sleep
    naps = []

    def oversleep(seconds: float) -> None:
        naps.append(seconds)
        missed(seconds)
        if len(naps) == 1:
            rig.client.delete(f"{rig.ledger.prefix}pace:interactions")
            missed(0.1)

    rig.bench.pacer._sleep = oversleep
    rig.drive()

    assert rig.states() == {"ACCEPTED": 1}


def test_request_that_stalls_on_its_way_out_moves_the_free_slots_on(rig: Rig) -> None:
    buckets = [pace.account_bucket(rig.bench)]
    slot = pace.take(rig.bench, buckets)
    assert isinstance(slot, Granted)
    beat = pace.Beat(rig.bench, buckets, slot)

    assert beat.arrive()
    time.sleep(0.05)
    beat.left()

    slipped_us = rig.client.hget(f"{rig.ledger.prefix}pace:interactions", "slipped_us")
    assert int(str(slipped_us, "ascii")) >= 45_000


def test_slots_that_are_missed_again_and_again_give_the_row_back(rig: Rig) -> None:
    rig.campaign([phone(1)])
    late = rig.worker("worker-0")
    late.pacer._late_s = -1.0

    rig.work(rig.dispatch(), late)

    assert rig.events() == [Event.OPENING, Event.GIVEN_UP]
    assert rig.row().state is State.PENDING


def test_slot_taken_anew_that_is_too_far_off_gives_the_row_back(rig: Rig) -> None:
    rig.campaign([phone(1)], pacing="interactions_per_second = 0.2")
    late = rig.worker("worker-0")
    late.pacer._late_s = -1.0

    rig.work(rig.dispatch(), late)

    assert rig.events() == [Event.OPENING, Event.GIVEN_UP]


def test_expired_lease_of_a_dead_worker_is_looked_up_and_sent_once(rig: Rig) -> None:
    rig.campaign([phone(1)])
    found = rig.dispatch()
    assert rig.ledger.claim_opening("spring-1", 1, rig.bench.claim(), "pair").ok

    rig.work(found)
    rig.drive()

    assert Event.LEASE_OVER in rig.events()
    assert rig.messages() == {key(): 1}
    rig.judge()


def test_definition_that_can_no_longer_read_a_held_row_leaves_it_to_its_holder(rig: Rig) -> None:
    rig.simulator.settings(setup_ms=60_000)
    rig.campaign([phone(1)])
    rig.work(rig.dispatch())
    assert rig.ledger.take("spring-1", 1, rig.bench.claim()).ok

    send_row(rig.worker("worker-2"), "spring-1", 1)

    assert rig.row().hand.owner == "worker-1"


def lose_twilio(bench: Workbench, lost: Workbench) -> None:
    """Have a worker reach Twilio no more."""
    bench.gateway = lost.gateway


def stop_for_a_minute(bench: Workbench) -> None:
    """Have a worker's clock go on by a minute, as it does while its process is stopped."""
    clock = bench.clock
    bench.clock = lambda: clock() + 60.0
