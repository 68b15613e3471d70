"""A claim takes its slot of the shared pace in the same script: where either is refused, neither is there."""

import time
from collections.abc import Callable

import pytest
from builders import LedgerRig, sid

from worker.ledger.ledger import Looks
from worker.ledger.scripts import Reply
from worker.ledger.states import State
from worker.ledger.suppression import contact
from worker.pacing import Bucket, Granted, Order, Pacer, Wait

ID = "spring-1"
ANN = contact("sms", "+12025550100")
ACCOUNT, CEILING = Bucket("interactions", 20.0), Bucket("campaign:spring-1", 5.0)

Act = Callable[[Order], Reply]


@pytest.fixture
def pacer(rig: LedgerRig) -> Pacer:
    return Pacer(rig.client, rig.ledger.prefix, clock=time.monotonic, sleep=time.sleep)


def last_us(rig: LedgerRig, bucket: Bucket = ACCOUNT) -> int:
    return int(rig.client.hget(f"{rig.ledger.prefix}pace:{bucket.name}", "last_us") or 0)


def opening(rig: LedgerRig) -> Act:
    """Claim a queued row."""
    rig.queue(ID)
    claim = rig.claim()
    return lambda order: rig.ledger.claim_opening(ID, 1, claim, rig.pair(), contact=ANN, slot=order)


def sending(rig: LedgerRig) -> Act:
    """Claim an opened row."""
    claim = rig.claim()
    rig.open(ID, 1, claim)
    return lambda order: rig.ledger.claim_sending(ID, 1, claim, sid("CH", 1), contact=ANN, slot=order)


CLAIMS = pytest.mark.parametrize(
    ("ready", "claimed"), [(opening, State.OPENING), (sending, State.SENDING)], ids=["opening", "sending"]
)


@CLAIMS
def test_claim_takes_the_next_slot_of_all_its_buckets(
    rig: LedgerRig, pacer: Pacer, ready: Callable[[LedgerRig], Act], claimed: State
) -> None:
    rig.load(ID)
    act, order = ready(rig), pacer.order([ACCOUNT, CEILING])
    before = pacer.acquire([ACCOUNT])
    assert isinstance(before, Granted)

    reply = act(order)

    slot = pacer.read(order, reply.values[-1])
    assert reply.ok
    assert isinstance(slot, Granted)
    assert rig.state(ID) is claimed
    assert slot.slot_us >= before.slot_us + 50_000
    assert last_us(rig) == last_us(rig, CEILING) == slot.slot_us
    assert slot.buckets == (ACCOUNT, CEILING)


@CLAIMS
def test_claim_whose_slot_is_too_far_off_changes_nothing_and_says_when_to_come_back(
    rig: LedgerRig, pacer: Pacer, ready: Callable[[LedgerRig], Act], claimed: State
) -> None:
    rig.load(ID)
    act = ready(rig)
    pacer.slow_down(ACCOUNT, 30)
    before, order = rig.dump(), pacer.order([ACCOUNT, CEILING])

    reply = act(order)

    wait = pacer.read(order, reply.values[-1])
    assert (reply.ok, reply.why) == (False, "wait")
    assert isinstance(wait, Wait)
    assert wait.bucket == ACCOUNT
    assert 25_000 < wait.ms <= 30_000
    assert rig.dump() == before


@CLAIMS
def test_claim_that_is_made_again_has_the_slot_of_the_first_time_and_no_second_one(
    rig: LedgerRig, pacer: Pacer, ready: Callable[[LedgerRig], Act], claimed: State
) -> None:
    rig.load(ID)
    act, order = ready(rig), pacer.order([ACCOUNT, CEILING])
    lost = pacer.read(order, act(order).values[-1])
    taken = last_us(rig), last_us(rig, CEILING)

    order = pacer.order([ACCOUNT, CEILING])
    reply = act(order)

    again = pacer.read(order, reply.values[-1])
    assert reply.ok
    assert isinstance(lost, Granted)
    assert isinstance(again, Granted)
    assert (again.slot_us, again.granted_us) == (lost.slot_us, lost.granted_us)
    assert (last_us(rig), last_us(rig, CEILING)) == taken
    assert rig.state(ID) is claimed
    assert pacer.wait(again)


@CLAIMS
@pytest.mark.parametrize("slowed", [ACCOUNT, CEILING], ids=["the first bucket", "the second bucket"])
def test_slot_that_was_voided_before_its_claim_was_made_again_is_not_used(
    rig: LedgerRig,
    pacer: Pacer,
    ready: Callable[[LedgerRig], Act],
    claimed: State,
    slowed: Bucket,
) -> None:
    rig.load(ID)
    act, order = ready(rig), pacer.order([ACCOUNT, CEILING])
    act(order)  # its answer is lost
    elsewhere = Pacer(rig.client, rig.ledger.prefix, clock=time.monotonic, sleep=time.sleep)
    elsewhere.slow_down(slowed, 30)

    again = pacer.read(order, act(order).values[-1])

    assert rig.state(ID) is claimed
    assert isinstance(again, Granted)
    assert pacer.wait(again) is None


def test_answer_of_an_earlier_claim_tells_nothing_of_the_clock(rig: LedgerRig, pacer: Pacer) -> None:
    rig.load(ID)
    act, order = opening(rig), pacer.order([ACCOUNT])
    (*_, told) = act(order).values
    before = pacer.read(order, told)
    assert isinstance(before, Granted)

    order.asked_s += 3_600
    order.answered_s += 3_600
    again = pacer.read(order, [b"again", *told[1:]])

    assert isinstance(again, Granted)
    assert again.slot_s == pytest.approx(before.slot_s, abs=0.01)


def refuse_paused(rig: LedgerRig) -> None:
    rig.registry.pause(ID, "operator")


def refuse_suppressed(rig: LedgerRig) -> None:
    rig.client.hset(f"{rig.ledger.prefix}dnc", ANN[0], "{}")


def refuse_pair(rig: LedgerRig) -> None:
    rig.client.set(rig.pair(), f"{rig.ledger.key('other-1')}:1")


def refuse_done(rig: LedgerRig) -> None:
    rig.ledger.end_queued(ID, 1, State.FAILED, 1)


@pytest.mark.parametrize("refuse", [refuse_paused, refuse_suppressed, refuse_pair, refuse_done])
def test_row_that_may_not_be_opened_costs_no_slot(
    rig: LedgerRig, pacer: Pacer, refuse: Callable[[LedgerRig], None]
) -> None:
    rig.load(ID)
    act = opening(rig)
    refuse(rig)

    reply = act(pacer.order([ACCOUNT]))

    assert not reply.ok
    assert reply.why != "wait"
    assert not last_us(rig)
    assert not rig.client.hget(rig.ledger.key(ID), "slots")


def test_message_that_may_not_be_sent_costs_no_slot(rig: LedgerRig, pacer: Pacer) -> None:
    rig.load(ID)
    act = sending(rig)
    refuse_suppressed(rig)

    assert act(pacer.order([ACCOUNT])).why == "suppressed"

    assert not last_us(rig)


def test_row_that_is_looked_up_first_costs_no_slot(rig: LedgerRig, pacer: Pacer) -> None:
    rig.load(ID)
    rig.queue(ID)

    reply = rig.ledger.claim_opening(
        ID, 1, rig.claim(), rig.pair(), looks=Looks(always=True), slot=pacer.order([ACCOUNT])
    )

    assert reply.why == "cautious"
    assert not last_us(rig)


def test_slots_are_counted_for_the_campaign_once_each(rig: LedgerRig, pacer: Pacer) -> None:
    rig.load(ID)
    act = opening(rig)

    for _ in range(2):  # the second time its first answer was lost
        assert act(pacer.order([ACCOUNT])).ok

    assert rig.client.hget(rig.ledger.key(ID), "slots") == b"1"
