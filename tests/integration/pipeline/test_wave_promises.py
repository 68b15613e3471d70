"""What waves must not break: nobody is contacted twice, nobody is forgotten, whatever is done beside them."""

from datetime import timedelta

from follow_up_scenes import DAY, answer, definition, deliver, entry, now, pass_time, send_first
from pipeline_bench import Rig, phone

from worker.ledger.states import Delivery, Reason, State
from worker.pipeline import retry, waves
from worker.pipeline.hearing import hear_message

WAVE = "spring-1.f1-1"


def test_row_whose_follow_up_goes_on_is_not_retried_beside_it(rig: Rig) -> None:
    send_first(rig, definition(entry("1d", "undelivered")))
    deliver(rig, Delivery.UNDELIVERED)
    waves.begin(rig.bench, "spring-1", pass_time(rig, 2 * DAY))

    plan = retry.plan(rig.ledger, rig.registry, "spring-1", rows=[1])
    retry.begin(rig.ledger, rig.registry, plan)
    rig.drive("spring-1", WAVE)

    assert sum(rig.messages().values()) == 2


def test_retry_takes_no_row_by_itself_that_a_follow_up_was_sent_to_instead(rig: Rig) -> None:
    send_first(rig, definition(entry("1d", "undelivered")), [phone(1), phone(2)])
    deliver(rig, Delivery.UNDELIVERED, 1)
    waves.begin(rig.bench, "spring-1", pass_time(rig, 2 * DAY))
    rig.drive()
    deliver(rig, Delivery.UNDELIVERED, 2)

    by_itself = retry.plan(rig.ledger, rig.registry, "spring-1")
    named = retry.plan(rig.ledger, rig.registry, "spring-1", rows=[1])

    assert (list(by_itself.rows), list(named.rows)) == ([2], [1])
    (left_out,) = by_itself.left_out
    assert "a follow-up of it has begun since" in left_out.why


def test_two_runs_that_find_different_follow_ups_due_begin_one(rig: Rig) -> None:
    send_first(rig, definition(entry("2d", text="First"), entry("1d", text="Second")))
    night, other = pass_time(rig, timedelta(days=1, hours=12)), rig.worker("worker-2")
    beside = []

    def meanwhile(name: str) -> None:
        if name == "before begin_wave" and not beside:
            beside.append(None)
            beside[0] = waves.begin(other, "spring-1", night + DAY)

    rig.points.meanwhile = meanwhile
    begun = waves.begin(rig.bench, "spring-1", night)

    assert (begun.rows, begun.overtaken, beside[0].rows) == (0, 1, 1)


def test_answer_stays_known_when_the_row_is_sent_again(rig: Rig) -> None:
    send_first(rig, definition(entry("1d")))
    deliver(rig, Delivery.UNDELIVERED)
    answer(rig)
    plan = retry.plan(rig.ledger, rig.registry, "spring-1", rows=[1])
    retry.begin(rig.ledger, rig.registry, plan)
    rig.drive()

    begun = waves.begin(rig.bench, "spring-1", pass_time(rig, 2 * DAY))

    assert begun.rows == 0
    assert rig.info().answered == 1
    assert rig.row().record.answered_at


def test_answer_that_comes_while_the_row_is_sent_again_is_noted(rig: Rig) -> None:
    send_first(rig, definition(entry("1d")))
    deliver(rig, Delivery.UNDELIVERED)
    plan = retry.plan(rig.ledger, rig.registry, "spring-1", rows=[1])
    retry.begin(rig.ledger, rig.registry, plan)
    first = rig.ledger.get_past("spring-1", 1)[0].conversation_sid
    assert hear_message(rig.bench, first, phone(1), "Yes", now(rig)) == 1
    rig.drive()

    begun = waves.begin(rig.bench, "spring-1", pass_time(rig, 2 * DAY))

    assert begun.rows == 0
    assert rig.info().answered == 1


def test_follow_up_that_was_sent_by_an_operators_word_holds_up_no_later_one(rig: Rig) -> None:
    send_first(rig, definition(entry("1d"), entry("1d", text="Then")))
    waves.begin(rig.bench, "spring-1", pass_time(rig, 2 * DAY))
    rig.simulator.settings(forbidden={"GET conversations/v1/Conversations/{conversation}/Messages": 403})
    rig.simulator.settings(fault={"cut_after": 1.0})
    rig.drive()
    rig.simulator.settings(fault={}, forbidden={})
    assert rig.row(1, WAVE).state is State.NEEDS_REVIEW
    said = rig.ledger.verdict(WAVE, 1, 2, "sent", code=Reason.SENT_SAYS_OPERATOR)
    assert said.ok

    early = waves.begin(rig.bench, "spring-1", pass_time(rig, timedelta(hours=20)))
    begun = waves.begin(rig.bench, "spring-1", pass_time(rig, DAY))

    assert (early.rows, begun.waves) == (0, {"spring-1.f2-1": 1})
