"""The broker's window: bounded, fair, kept filled, and shut while there is too much doubt."""

import time
from concurrent.futures import ThreadPoolExecutor
from math import ceil

import pytest
from pipeline_bench import Rig, phone, set_count, sms, trouble

from campaigns.definition import parse_definition
from worker.errors import NotFoundError, RedisUnavailableError
from worker.ledger.registry import CampaignInfo
from worker.ledger.states import State
from worker.pipeline.dispatch import AHEAD_S, LEAST_UNSENT, MOST_DOUBTS
from worker.pipeline.pace import account_bucket
from worker.pipeline.rescue import QUEUED_MS

MANY = [phone(number) for number in range(300)]
WINDOW = round(20 * AHEAD_S)
"""How many rows the account's pace of 20 a second can use in that time."""


def fresh_rows(found: list[tuple[str, str, list[int]]], campaign_id: str = "spring-1") -> list[int]:
    """List the rows of a campaign that were queued for sending."""
    return [
        row
        for name, campaign, rows in found
        if name == "send_rows" and campaign == campaign_id
        for row in rows
    ]


def test_window_holds_no_more_than_the_next_moment_of_the_accounts_pace(rig: Rig) -> None:
    rig.campaign(MANY)

    found = [fresh_rows(rig.dispatch()) for _ in range(3)]

    assert [len(rows) for rows in found] == [WINDOW, 0, 0]
    assert rig.info().queued == WINDOW


def test_campaigns_share_the_window_evenly(rig: Rig) -> None:
    names = ["spring-1", "summer-1", "winter-1"]
    for name in names:
        rig.campaign(MANY, name)

    found = rig.dispatch()

    shares = sorted(len(fresh_rows(found, name)) for name in names)
    assert sum(shares) == WINDOW
    assert shares[-1] - shares[0] <= 1


def test_small_campaign_leaves_its_share_to_the_others(rig: Rig) -> None:
    rig.campaign(MANY)
    rig.campaign([phone(1)], "summer-1")

    found = rig.dispatch()

    assert (len(fresh_rows(found)), len(fresh_rows(found, "summer-1"))) == (WINDOW - 1, 1)


def test_campaigns_own_ceiling_bounds_its_share_of_the_window(rig: Rig) -> None:
    rig.campaign(MANY, pacing="interactions_per_second = 3")
    rig.campaign(MANY, "summer-1")
    ceiling = ceil(3 * AHEAD_S)

    found = rig.dispatch()

    assert (len(fresh_rows(found)), len(fresh_rows(found, "summer-1"))) == (ceiling, WINDOW - ceiling)


def test_campaign_of_a_higher_priority_goes_first_and_leaves_the_rest(rig: Rig) -> None:
    rig.campaign(MANY)
    rig.campaign(MANY[:3], "urgent-1", pacing="priority = 2")

    found = rig.dispatch()

    assert (len(fresh_rows(found)), len(fresh_rows(found, "urgent-1"))) == (WINDOW - 3, 3)


def test_priority_can_be_changed_while_the_campaign_runs(rig: Rig) -> None:
    rig.campaign(MANY)
    rig.campaign(MANY, "summer-1")
    rig.dispatch()
    changed = parse_definition(sms(pacing="priority = 1"), "campaign.toml")
    assert rig.registry.update_definition("summer-1", changed.canonical_json(), 1).ok
    clock = rig.bench.clock
    rig.bench.clock = lambda: clock() + 1.1
    assert rig.ledger.rescue_queued("spring-1", older_ms=0) + rig.ledger.rescue_queued("summer-1", older_ms=0)

    found = rig.dispatch()

    assert fresh_rows(found) == []
    assert len(fresh_rows(found, "summer-1")) >= WINDOW


@pytest.mark.parametrize("per_s", [0.2, 0.5, 1.0])
def test_slow_pace_has_one_row_in_the_window_for_each_slot_and_none_too_early(rig: Rig, per_s: float) -> None:
    rig.campaign(MANY, pacing=f"interactions_per_second = {per_s}")
    first = rig.dispatch()
    rig.work(first)

    too_early = rig.dispatch()
    pass_slots(rig, 1 / per_s - AHEAD_S / 2)
    in_time = rig.dispatch()

    assert [len(fresh_rows(found)) for found in (first, too_early, in_time)] == [1, 0, 1]


def pass_slots(rig: Rig, seconds: float) -> None:
    """Have all slots that were taken lie so much further back."""
    for name in rig.client.scan_iter(f"{rig.ledger.prefix}pace:*"):
        rig.client.hincrby(name, "last_us", -int(seconds * 1e6))


def test_slots_that_are_reserved_already_count_as_work_ahead(rig: Rig) -> None:
    rig.campaign(MANY)
    rig.client.hset(
        f"{rig.ledger.prefix}pace:interactions", "last_us", int((time.time() + AHEAD_S / 2) * 1e6)
    )

    assert WINDOW / 2 - 1 <= len(fresh_rows(rig.dispatch())) <= WINDOW / 2 + 2


def test_nothing_is_queued_while_twilio_asked_to_wait(rig: Rig) -> None:
    rig.campaign(MANY)
    rig.bench.pacer.slow_down(account_bucket(rig.bench), 30.0)

    assert rig.dispatch() == []


def test_no_new_row_is_opened_while_too_many_are_in_doubt_in_any_campaign(rig: Rig) -> None:
    rig.campaign(MANY)
    rig.campaign([trouble(193)], "summer-1")
    rig.work([one for one in rig.dispatch() if one[1] == "summer-1"])
    assert rig.ledger.rescue_queued("spring-1", older_ms=0)
    set_count(rig, State.DOUBT_SENDING, MOST_DOUBTS, "summer-1")

    rig.clock.shift_ms += 1_000
    found = rig.dispatch()

    assert found == [("reconcile_rows", "summer-1", [1])]


def test_slow_sender_has_no_crowd_of_opened_rows_before_it(rig: Rig) -> None:
    rig.campaign(MANY, pacing="messages_per_second = 0.5")
    set_count(rig, State.OPEN, LEAST_UNSENT - 3)

    assert len(fresh_rows(rig.dispatch())) == 3
    assert fresh_rows(rig.dispatch()) == []


def test_rows_in_doubt_are_looked_up_together(rig: Rig) -> None:
    people = [trouble(194, area) for area in (415, 212, 310, 202, 305)]
    rig.campaign(people)
    rig.work(rig.dispatch())

    rig.clock.shift_ms += 1_000
    found = rig.dispatch()

    assert [(name, sorted(rows)) for name, _, rows in found] == [("reconcile_rows", [1, 2, 3, 4, 5])]


def test_paused_and_cancelled_and_loading_campaigns_queue_nothing_new(rig: Rig) -> None:
    for name in ("spring-1", "summer-1"):
        rig.campaign(MANY, name)
    rig.registry.pause("spring-1", "an operator")
    rig.registry.cancel("summer-1")

    assert rig.dispatch() == []


def test_campaign_that_is_gone_is_passed_over(rig: Rig) -> None:
    rig.campaign([phone(1)])
    rig.registry.set_active("gone-1", active=True)

    assert fresh_rows(rig.dispatch()) == [1]
    with pytest.raises(NotFoundError):
        rig.bench.campaign("gone-1")


def test_campaign_that_this_version_cannot_read_stops_no_other(rig: Rig) -> None:
    rig.campaign([phone(1)])
    rig.campaign([phone(2)], "summer-1")
    rig.client.hset(rig.ledger.key("spring-1"), "definition", '{"name": "spring"}')

    found = rig.dispatch()

    assert [(name, campaign) for name, campaign, _ in found] == [("send_rows", "summer-1")]


def test_dispatch_that_loses_redis_says_so(rig: Rig) -> None:
    rig.campaign([phone(1)])
    rig.bench.registry.get = lost_redis

    with pytest.raises(RedisUnavailableError):
        rig.dispatch()


def test_rows_that_are_due_later_are_not_wished_for(rig: Rig) -> None:
    rig.simulator.settings(fault={"429": 1})
    rig.campaign([phone(1)])
    rig.work(rig.dispatch())

    assert rig.dispatch() == []
    rig.clock.shift_ms += 61_000
    rig.forget_pace()
    assert fresh_rows(rig.dispatch()) == [1]


def test_rows_whose_message_the_broker_lost_are_queued_again_and_sent_once(rig: Rig) -> None:
    rig.campaign([phone(1), phone(2)])
    rig.dispatch()

    rig.clock.shift_ms += QUEUED_MS + 1
    rig.drive()

    assert rig.states() == {"ACCEPTED": 2}
    rig.judge()


def test_changed_definition_is_seen_within_a_second(rig: Rig) -> None:
    rig.campaign([phone(1)])
    first = rig.bench.campaign("spring-1")
    changed = first.campaign.model_copy(update={"pair_busy": "wait"})
    rig.registry.update_definition("spring-1", changed.canonical_json(), 1)
    clock = rig.bench.clock

    assert rig.bench.campaign("spring-1") is first
    rig.bench.clock = lambda: clock() + 1.1

    assert rig.bench.campaign("spring-1").campaign.pair_busy == "wait"
    rig.bench.clock = lambda: clock() + 2.2
    assert rig.bench.campaign("spring-1").compiled is not first.compiled


def test_campaign_is_read_once_for_all_threads_that_ask_at_once(rig: Rig) -> None:
    rig.campaign([phone(1)])
    bench = rig.worker("worker-0")
    bench._lock.acquire()
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(bench.campaign, "spring-1") for _ in range(4)]
        time.sleep(0.05)
        bench._lock.release()

    assert len({id(one.result()) for one in asked}) == 1


def lost_redis(_: str) -> CampaignInfo:
    """Answer as the registry does where Redis is away."""
    raise RedisUnavailableError("Redis gives no answer.")
