"""From a queued row to its Interaction: what Twilio may answer, and what becomes of the row."""

import threading

import pytest
from pipeline_bench import Rig, key, phone, trouble

from worker.ledger.states import Event, Reason, State
from worker.pipeline.bench import Workbench
from worker.pipeline.rescue import rescue
from worker.pipeline.send import send_read_row, send_row

NO_SERVER = "http://127.0.0.1:1"


@pytest.mark.parametrize("fault", ["429", "429_retry_after", "45780"])
def test_interaction_that_twilio_put_off_is_asked_for_again_without_an_attempt_burnt(
    rig: Rig, fault: str
) -> None:
    rig.simulator.settings(fault={fault: 1}, retry_after_s=30.0)
    rig.campaign([phone(1)], pacing="max_attempts = 1")
    before_ms = rig.clock.now_ms()
    rig.drive(until=lambda: rig.row().hand.tries == 2)
    waited_ms = rig.clock.now_ms() - before_ms

    rig.simulator.settings(fault={})
    rig.drive()

    assert waited_ms > (30_000 if fault == "429_retry_after" else 500)
    assert rig.row().record.attempts == 1
    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def test_429_slows_the_pace_of_the_whole_account(rig: Rig) -> None:
    rig.simulator.settings(fault={"429": 1})
    rig.campaign([phone(1)])

    rig.work(rig.dispatch())

    (name,) = rig.client.keys(f"{rig.ledger.prefix}pace:interactions")
    assert float(rig.client.hget(name, "held")) < 20


def test_row_waits_without_an_attempt_burnt_while_twilio_cannot_be_reached(rig: Rig) -> None:
    lost = rig.worker("worker-0", base_url=NO_SERVER)
    rig.campaign([phone(1)], pacing="max_attempts = 1")
    rig.drive(bench=lost, until=lambda: rig.row().hand.tries == 3)
    assert rig.row().record.attempts == 0
    assert rig.row().record.story[-1].code == Reason.NOT_REACHED

    rig.drive()

    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


@pytest.mark.parametrize("last", [170, 191, 192, 193, 194, 195, 178, 179])
def test_interaction_without_an_answer_is_looked_up_and_never_doubled(rig: Rig, last: int) -> None:
    rig.campaign([trouble(last)], pacing="max_attempts = 2")

    rig.drive()

    never = last == 170
    assert rig.states() == ({"FAILED": 1} if never else {"ACCEPTED": 1})
    assert rig.row().record.code == (Reason.NO_ANSWER if never else 0)
    assert len(rig.simulator.journal("interaction")) == (0 if never else 1)
    rig.judge()


@pytest.mark.parametrize(("last", "found"), [(169, Event.ABSENT_OPEN), (196, Event.FOUND_OPEN)])
def test_interaction_that_hangs_is_looked_up_after_the_deadline(rig: Rig, last: int, found: Event) -> None:
    quick = rig.worker("worker-0", request_s=0.5)
    rig.campaign([trouble(last)])

    rig.drive(bench=quick)

    assert found in rig.events()
    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def test_row_that_twilio_rejects_costs_that_row_alone(rig: Rig) -> None:
    rig.campaign([trouble(180), phone(1), trouble(177)])

    rig.drive()

    assert rig.states() == {"ACCEPTED": 1, "FAILED": 2}
    assert (rig.row(1).record.code, rig.row(3).record.code) == (21211, 21408)
    rig.judge()


def test_campaign_that_twilio_rejects_pauses_and_sends_each_row_once_after_resume(rig: Rig) -> None:
    people = [phone(number) for number in range(6)]
    rig.simulator.settings(patterns={one[-7:]: "interaction:reject:21606" for one in people[:3]})
    rig.campaign(people)
    rig.drive()
    assert (rig.info().state, rig.info().reason_code, rig.info().paused_by) == ("paused", 21606, "breaker")
    assert rig.states()["PENDING"] >= 1
    assert "FAILED" not in rig.states()

    rig.simulator.settings(patterns={})
    assert rig.registry.resume("spring-1").ok
    rig.drive()

    assert rig.states() == {"ACCEPTED": 6}
    assert set(rig.messages().values()) == {1}
    rig.judge()


def test_twenty_rejections_in_a_row_with_one_code_pause_the_campaign(rig: Rig) -> None:
    people = [phone(number) for number in range(25)]
    rig.simulator.settings(patterns={one[-7:]: "interaction:reject:21211" for one in people})
    rig.campaign(people)

    rig.drive()

    assert (rig.info().state, rig.info().reason_code) == ("paused", 21211)
    assert rig.states() == {"PENDING": 25}


def test_paused_row_is_given_back_and_an_opened_one_gets_its_message(rig: Rig) -> None:
    rig.simulator.settings(setup_ms=300)
    rig.campaign([phone(1), phone(2)])
    first, second = rig.dispatch()
    rig.work([first])
    assert rig.registry.pause("spring-1", "an operator").ok

    rig.work([second])
    rig.drive(jump=False)

    assert rig.states() == {"ACCEPTED": 1, "PENDING": 1}
    rig.judge()


def test_cancelled_campaign_finishes_what_is_open_and_ends_the_rest(rig: Rig) -> None:
    rig.simulator.settings(setup_ms=300)
    rig.campaign([phone(1), trouble(193), phone(2), phone(3)])
    found = rig.dispatch()
    rig.work(found[:2])
    assert rig.registry.cancel("spring-1").ok

    rig.work(found[2:])
    rig.drive(jump=False)

    assert rig.states() == {"ACCEPTED": 1, "CANCELLED": 3}
    assert Event.ABSENT_OPEN in rig.events(2)
    rig.judge()


def test_pair_that_another_campaign_has_in_hand_is_waited_for(rig: Rig) -> None:
    rig.simulator.settings(setup_ms=300)
    rig.campaign([phone(1)])
    rig.work(rig.dispatch())
    rig.campaign([phone(1)], "spring-2")

    rig.drive("spring-1", jump=False)
    rig.drive()

    assert rig.states("spring-1") == {"ACCEPTED": 1}
    assert rig.states("spring-2") == {"SKIPPED": 1}
    assert len(rig.simulator.journal("message")) == 1
    rig.judge()


def test_slot_that_is_far_off_gives_the_row_back_unclaimed(rig: Rig) -> None:
    rig.campaign([phone(1), phone(2)], pacing="interactions_per_second = 0.1")
    rig.ledger.dispatch("spring-1", fresh=2, old=0)

    rig.work([("send_rows", "spring-1", [1, 2])])

    assert rig.row(1).state is State.ACCEPTED
    assert rig.row(2).state is State.PENDING
    assert rig.row(2).record.attempts == 0
    next_due_ms, _ = rig.ledger.next_due_ms("spring-1")
    assert next_due_ms
    assert 5_000 < next_due_ms - rig.clock.now_ms() <= 11_000


def test_nothing_is_sent_where_too_little_of_the_lease_is_left(rig: Rig) -> None:
    rig.campaign([phone(1)])
    stopped = rig.worker("worker-0")
    rig.points.meanwhile = lambda name: name == "after claim_opening" and stop_for_a_minute(stopped)

    rig.work(rig.dispatch(), stopped)

    assert rig.row().state is State.PENDING
    assert rig.events() == [Event.OPENING, Event.GIVEN_UP]
    assert not rig.simulator.journal()


def test_late_write_of_a_stopped_worker_is_refused_and_its_interaction_adopted(rig: Rig) -> None:
    rig.simulator.settings(latency_ms=800)
    rig.campaign([phone(1)])
    found = rig.dispatch()
    slow = threading.Thread(target=rig.work, args=(found,))
    slow.start()
    while rig.row().state is not State.OPENING:
        pass

    rescue(rig.bench, "spring-1", broker_lag_ms=0, is_dead=lambda owner, _: owner == "worker-1")
    slow.join()
    assert rig.row().state is State.DOUBT_OPENING
    rig.simulator.settings(latency_ms=0)
    rig.drive()

    assert Event.FOUND_OPEN in rig.events()
    assert rig.messages() == {key(): 1}
    rig.judge()


def test_message_of_the_broker_that_came_twice_does_nothing_more(rig: Rig) -> None:
    rig.campaign([phone(1)])
    found = rig.dispatch()

    rig.work(found + found)

    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def test_send_that_began_between_the_look_and_the_claim_carries_its_own_key(rig: Rig) -> None:
    rig.simulator.settings(patterns={"5550101": "interaction:reject:21211"})
    rig.campaign([phone(1)])
    (first,) = rig.dispatch()
    stale = rig.worker("worker-0")

    def meanwhile(name: str) -> None:
        if name == "before claim_opening" and rig.row().record.send == 1 and rig.row().state is State.QUEUED:
            rig.points.meanwhile = lambda _: None
            rig.work([first])
            rig.simulator.settings(patterns={})
            assert rig.ledger.new_send("spring-1", 1, 1).ok
            rig.dispatch()

    rig.points.meanwhile = meanwhile
    rig.work([first], stale)

    assert rig.states() == {"ACCEPTED": 1}
    assert rig.messages() == {key(send=2): 1}
    assert [one["key"] for one in rig.simulator.journal("interaction")] == [key(send=2)]


@pytest.mark.parametrize("opened", [False, True])
def test_row_that_a_changed_definition_cannot_read_ends_without_a_message(rig: Rig, opened: bool) -> None:
    rig.simulator.settings(setup_ms=60_000)
    rig.campaign([phone(1)])
    if opened:
        rig.work(rig.dispatch())
    rig.client.hset(rig.ledger.key("spring-1", "in:0"), "0", '["no number","Ann"]')

    rig.drive()

    assert (rig.row().state, rig.row().record.code) == (State.FAILED, Reason.INVALID)
    rig.judge()


def test_row_that_somebody_else_holds_is_left_alone(rig: Rig) -> None:
    rig.simulator.settings(setup_ms=60_000)
    rig.campaign([phone(1)])
    rig.work(rig.dispatch())
    assert rig.ledger.take("spring-1", 1, rig.bench.claim()).ok
    rig.client.hset(rig.ledger.key("spring-1", "in:0"), "0", '["no number","Ann"]')

    send_row(rig.worker("worker-2"), "spring-1", 1)

    assert rig.row().state is State.OPEN


def stop_for_a_minute(bench: Workbench) -> None:
    """Have a worker's clock go on by a minute, as it does while its process is stopped."""
    clock = bench.clock
    bench.clock = lambda: clock() + 60.0


def test_row_that_was_read_before_others_sent_it_is_not_sent_again(rig: Rig) -> None:
    rig.campaign([phone(1), phone(2)])
    found = rig.dispatch()
    read = rig.ledger.get_rows("spring-1", [1, 2])
    rig.work(found)

    for row in read:
        send_read_row(rig.worker("worker-2"), "spring-1", row)

    assert rig.states() == {"ACCEPTED": 2}
    assert set(rig.messages().values()) == {1}
    rig.judge()


def test_row_whose_request_was_lost_after_it_was_read_is_looked_for_before_another(rig: Rig) -> None:
    rig.campaign([trouble(193)])  # not opened, and no answer
    found = rig.dispatch()
    (read,) = rig.ledger.get_rows("spring-1", [1])
    rig.work(found)
    rig.drive(until=lambda: rig.row().hand.lost and rig.row().state is State.PENDING)
    rig.pass_s(120)
    assert rig.dispatch()
    asked = len(rig.simulator.requests("POST flex-api/v1/Interactions"))

    send_read_row(rig.bench, "spring-1", read)

    assert rig.events()[-1] is Event.GIVEN_UP
    assert len(rig.simulator.requests("POST flex-api/v1/Interactions")) == asked
    rig.drive()
    assert rig.states() == {"ACCEPTED": 1}
    rig.judge()


def test_opened_row_is_sent_as_it_is_by_then(rig: Rig) -> None:
    rig.campaign([phone(1), phone(2)], pacing="messages_per_second = 0.2")
    rig.work(rig.dispatch())
    (read,) = rig.ledger.get_rows("spring-1", [2])
    assert read.state is State.OPEN
    rig.drive()

    send_read_row(rig.bench, "spring-1", read)

    assert set(rig.messages().values()) == {1}
    rig.judge()
