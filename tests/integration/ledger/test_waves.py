"""Waves in the ledger: a row is in a wave once, no two sends have one number, and the campaign is heeded."""

import json

import pytest
from builders import LedgerRig, sid

from worker.ledger.keys import is_wave, parent_of, place_in_wave, wave_id
from worker.ledger.states import Delivery, Reason, State

ID = "spring-1"
WAVE = wave_id(ID, 1, 1)
SECOND = wave_id(ID, 2, 1)


@pytest.fixture
def campaign(rig: LedgerRig) -> LedgerRig:
    """A campaign of 70 rows, of which the first and the last were accepted, with an empty wave."""
    rig.load(ID, 70)
    for row in (1, 70):
        rig.accept(ID, row)
    assert rig.ledger.create_wave(WAVE, "{}").ok
    return rig


def test_names_of_waves() -> None:
    assert (WAVE, parent_of(WAVE), parent_of(ID)) == ("spring-1.f1-1", ID, ID)
    assert (is_wave(WAVE), is_wave(ID), place_in_wave("a-f3.f2-10")) == (True, False, (2, 10))


def test_row_goes_through_a_wave_beside_its_campaign(campaign: LedgerRig) -> None:
    before = campaign.row(ID, 70)

    reply = campaign.ledger.begin_wave(WAVE, 70, 1, sid("CH", 70))

    assert (reply.ok, int(reply.values[0])) == (True, 2)
    row = campaign.row(WAVE, 70)
    assert (row.state, row.record.send, row.cells, row.hand.adopt) == (
        State.PENDING,
        2,
        before.cells,
        sid("CH", 70),
    )
    assert row.record.address_hash == before.record.address_hash
    assert WAVE in campaign.registry.active()
    assert WAVE not in campaign.registry.ids()
    campaign.accept(WAVE, 70)
    assert campaign.registry.get(WAVE).stands == "finished"
    assert campaign.row(ID, 70) == before
    assert campaign.ledger.waves(ID) == [WAVE]
    rows = list(campaign.ledger.iter_rows(WAVE, 70))
    assert [(number, cells) for number, _, cells, _ in rows] == [(70, before.cells)]


def test_row_is_in_a_wave_once_whatever_is_restarted(campaign: LedgerRig) -> None:
    assert campaign.ledger.begin_wave(WAVE, 1, 1).ok

    assert campaign.ledger.create_wave(WAVE, "{}").why == "there"
    assert campaign.ledger.begin_wave(WAVE, 1, 1).why == "there"
    campaign.accept(WAVE, 1)
    assert campaign.ledger.begin_wave(WAVE, 1, 1).why == "there"
    assert campaign.registry.get(WAVE).counts[State.ACCEPTED] == 1


def test_no_send_of_a_row_has_the_number_of_another(campaign: LedgerRig) -> None:
    campaign.ledger.create_wave(SECOND, "{}")
    campaign.ledger.note_delivery(ID, 1, sid("IM", 1), Delivery.UNDELIVERED, 30003)

    numbers = [int(campaign.ledger.begin_wave(each, 1, 1).values[0]) for each in (WAVE, SECOND)]
    for wave in (WAVE, SECOND):
        campaign.accept(wave, 1)
    numbers.append(int(campaign.ledger.new_send(ID, 1, 1).values[0]))

    assert numbers == [2, 3, 4]


def test_retry_in_a_wave_has_a_number_of_its_own_too(campaign: LedgerRig) -> None:
    campaign.ledger.create_wave(SECOND, "{}")
    campaign.ledger.note_delivery(ID, 1, sid("IM", 1), Delivery.UNDELIVERED, 30003)
    for wave in (WAVE, SECOND):
        assert campaign.ledger.begin_wave(wave, 1, 1).ok
        campaign.reject(wave, 1)
    assert int(campaign.ledger.new_send(ID, 1, 1).values[0]) == 4

    numbers = [
        int(campaign.ledger.new_send(wave, 1, send).values[0]) for wave, send in ((WAVE, 2), (SECOND, 3))
    ]

    assert numbers == [5, 6]


@pytest.fixture
def undelivered(campaign: LedgerRig) -> LedgerRig:
    """The campaign, whose row 1 was not delivered, with that row in the wave."""
    campaign.ledger.note_delivery(ID, 1, sid("IM", 1), Delivery.UNDELIVERED, 30003)
    assert campaign.ledger.begin_wave(WAVE, 1, 1).ok
    return campaign


def test_row_is_not_retried_while_its_follow_up_is_under_way(undelivered: LedgerRig) -> None:
    assert undelivered.ledger.new_send(ID, 1, 1).why == "follow_up"

    undelivered.reject(WAVE, 1)

    assert undelivered.ledger.new_send(ID, 1, 1).ok


def test_row_is_not_retried_while_its_follow_up_needs_review(undelivered: LedgerRig) -> None:
    token = undelivered.doubt(WAVE, 1)
    assert undelivered.ledger.review(WAVE, 1, token, int(Reason.LOOKUPS_FAILED)).ok

    assert undelivered.ledger.new_send(ID, 1, 1).why == "follow_up"

    assert undelivered.ledger.verdict(WAVE, 1, 2, "sent", code=Reason.SENT_SAYS_OPERATOR).ok

    assert undelivered.ledger.new_send(ID, 1, 1).ok


@pytest.mark.parametrize("malformed", ["CH123", "x" * 34, "CH" + "g" * 32])
def test_malformed_conversation_begins_nothing(campaign: LedgerRig, malformed: str) -> None:
    before = campaign.dump()

    with pytest.raises(Exception, match="SID"):
        campaign.ledger.begin_wave(WAVE, 1, 1, malformed)

    assert campaign.dump() == before


def test_row_that_another_run_has_put_into_another_wave_is_left_to_it(campaign: LedgerRig) -> None:
    campaign.ledger.create_wave(SECOND, "{}")
    assert campaign.ledger.begin_wave(WAVE, 1, 1, latest=1).ok

    assert campaign.ledger.begin_wave(SECOND, 1, 1, latest=1).why == "changed"
    assert campaign.ledger.begin_wave(SECOND, 1, 1, latest=2).ok


@pytest.mark.parametrize("end", ["cancel", "stop"])
def test_rows_of_a_wave_that_is_to_end_are_cancelled(campaign: LedgerRig, end: str) -> None:
    campaign.ledger.begin_wave(WAVE, 1, 1)
    campaign.ledger.begin_wave(WAVE, 70, 1)
    token = campaign.doubt(WAVE, 70)
    assert not campaign.ledger.cancel_rows(WAVE).ok
    if end == "stop":
        assert campaign.ledger.stop_follow_ups(ID).ok
    else:
        assert campaign.registry.cancel(ID).ok

    assert campaign.registry.get(WAVE).stands == "cancelled"
    assert campaign.ledger.cancel_rows(WAVE).ok
    assert campaign.ledger.absent_opening(WAVE, 70, token, 0, max_attempts=5, code=7).ok

    assert [campaign.state(WAVE, row) for row in (1, 70)] == [State.CANCELLED] * 2
    assert campaign.ledger.new_send(WAVE, 1, 2).why == str(int(State.CANCELLED))


def test_failed_row_of_a_wave_that_is_to_end_is_not_sent_again(campaign: LedgerRig) -> None:
    campaign.ledger.begin_wave(WAVE, 1, 1)
    campaign.reject(WAVE, 1)
    campaign.ledger.stop_follow_ups(ID)

    assert campaign.ledger.new_send(WAVE, 1, 2).why == "cancelled"


@pytest.mark.parametrize("state", [each for each in State if each not in (State.ACCEPTED, State.INVALID)])
def test_only_an_accepted_row_goes_into_a_wave(rig: LedgerRig, state: State) -> None:
    rig.load(ID, 2)
    rig.ledger.create_wave(WAVE, "{}")
    rig.bring(ID, state)

    assert rig.ledger.begin_wave(WAVE, 1, 1).why in ("changed", "stopped")
    assert rig.ledger.begin_wave(WAVE, 9, 1).why in ("changed", "stopped")


def test_row_that_was_answered_meanwhile_is_left_alone(campaign: LedgerRig) -> None:
    campaign.ledger.note_answer(ID, 1, campaign.clock())
    campaign.ledger.note_answer(ID, 70, campaign.clock(), opted_out=True, contact=("sms|+1",))

    assert campaign.ledger.begin_wave(WAVE, 1, 1, unless_answered=True).why == "answered"
    assert campaign.ledger.begin_wave(WAVE, 1, 1).ok
    assert campaign.ledger.begin_wave(WAVE, 70, 1).why == "opted_out"


def test_wave_heeds_its_campaigns_pause_and_end(campaign: LedgerRig) -> None:
    campaign.ledger.begin_wave(WAVE, 1, 1)
    campaign.queue(WAVE, 1)
    campaign.registry.pause(ID, "operator")

    refused = campaign.ledger.claim_opening(WAVE, 1, campaign.claim(), campaign.pair(1))

    assert (refused.why, campaign.state(WAVE, 1)) == ("paused", State.PENDING)
    assert not campaign.ledger.dispatch(WAVE, fresh=9, old=9).fresh
    campaign.registry.resume(ID)
    campaign.queue(WAVE, 1)
    campaign.registry.cancel(ID)
    assert campaign.ledger.claim_opening(WAVE, 1, campaign.claim(), campaign.pair(1)).why == "cancelled"
    assert campaign.state(WAVE, 1) is State.CANCELLED
    assert campaign.ledger.create_wave(SECOND, "{}").why == "cancelled"


def test_wave_raises_its_campaigns_number_and_heeds_its_caution(campaign: LedgerRig) -> None:
    before = campaign.registry.get(ID).seq
    campaign.ledger.begin_wave(WAVE, 1, 1)
    assert campaign.registry.get(ID).seq > before
    campaign.queue(WAVE, 1)

    campaign.registry.heed(ID, campaign.registry.get(ID).seq + 50)

    assert campaign.registry.get(WAVE).cautious == campaign.registry.get(ID).cautious > 0
    assert campaign.ledger.claim_opening(WAVE, 1, campaign.claim(), campaign.pair(1)).why == "cautious"
    assert campaign.state(WAVE, 1) is State.DOUBT_OPENING


def test_stopped_follow_ups_begin_no_more(campaign: LedgerRig) -> None:
    assert campaign.ledger.stop_follow_ups(ID).ok

    assert campaign.ledger.begin_wave(WAVE, 1, 1).why == "stopped"
    assert campaign.ledger.create_wave(SECOND, "{}").why == "stopped"
    assert campaign.registry.get(ID).has_follow_ups_stopped
    assert not campaign.ledger.stop_follow_ups(ID).ok
    assert campaign.ledger.stop_follow_ups(ID, stopped=False).ok
    assert campaign.ledger.begin_wave(WAVE, 1, 1).ok
    assert not campaign.ledger.stop_follow_ups("nobody-9").ok


def test_wave_that_is_not_there_takes_no_row(campaign: LedgerRig) -> None:
    before = campaign.dump()

    assert campaign.ledger.begin_wave(SECOND, 1, 1).why == "there"

    assert campaign.dump() == before


def test_sends_of_a_row_end_at_255(campaign: LedgerRig) -> None:
    campaign.client.hset(campaign.ledger.key(ID, "waved"), "1", "255")

    assert campaign.ledger.begin_wave(WAVE, 1, 1).why == "sends"
    campaign.ledger.note_delivery(ID, 1, sid("IM", 1), Delivery.UNDELIVERED, 30003)
    assert campaign.ledger.new_send(ID, 1, 1).why == "sends"


def test_breaker_of_a_wave_pauses_the_wave(campaign: LedgerRig) -> None:
    campaign.ledger.begin_wave(WAVE, 1, 1)

    campaign.reject(WAVE, 1, 63112, stop=True)

    assert (campaign.registry.get(WAVE).state, campaign.registry.get(ID).state) == ("paused", "running")
    assert campaign.state(WAVE, 1) is State.PENDING
    assert json.loads(campaign.registry.get(WAVE).definition) == {}
    assert campaign.row(WAVE, 1).record.code == Reason.NONE


@pytest.mark.parametrize("how", ["put back", "sent again", "not sent"])
def test_row_of_a_wave_that_begins_anew_still_knows_its_conversation(campaign: LedgerRig, how: str) -> None:
    first = campaign.row(ID, 70).record.conversation_sid
    assert campaign.ledger.begin_wave(WAVE, 70, 1, first).ok
    if how == "put back":
        token = campaign.opening(WAVE, 70)
        assert campaign.ledger.reject_opening(WAVE, 70, token, 63112, stop=True).ok
    elif how == "sent again":
        campaign.reject(WAVE, 70)
        assert campaign.ledger.new_send(WAVE, 70, 2).ok
    else:
        token = campaign.doubt(WAVE, 70)
        assert campaign.ledger.review(WAVE, 70, token, int(Reason.LOOKUPS_FAILED)).ok
        assert campaign.ledger.verdict(WAVE, 70, 2, "not_sent").ok

    row = campaign.row(WAVE, 70)
    assert (row.state, row.hand.adopt) == (State.PENDING, first)
