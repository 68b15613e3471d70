"""A ledger that has not come as far as somebody has seen it is an older one: noticed at once, and told to all."""

from builders import LedgerRig, sid
from older_ledger import Backup

from worker.ledger.ledger import Ledger, Looks
from worker.ledger.registry import Registry
from worker.ledger.row import NOT_LOOKED
from worker.ledger.states import Event, State

ID = "spring-1"
LATER_MS = 12_000


def test_the_first_who_has_seen_more_makes_the_campaign_cautious(rig: LedgerRig) -> None:
    rig.load(ID, 3)
    backup = Backup(rig.client)
    rig.accept(ID, 1)
    seen = rig.registry.get(ID).seq

    backup.put_back()
    rig.queue(ID, 2)

    info = rig.registry.get(ID)
    assert info.cautious == seen + 1
    assert info.behind > 0
    assert info.seq > info.cautious, "the numbers go on above those that were seen"


def test_nobody_is_opened_on_a_ledger_that_was_put_back_under_the_claim(rig: LedgerRig) -> None:
    rig.load(ID, 2)
    rig.queue(ID, 1)
    backup = Backup(rig.client)
    rig.accept(ID, 2)
    backup.put_back()

    reply = rig.ledger.claim_opening(ID, 1, rig.claim(), rig.pair())

    row = rig.row(ID)
    assert (reply.ok, reply.why) == (False, "cautious")
    assert (row.state, row.record.attempts) == (State.DOUBT_OPENING, 0)
    assert row.hand.looking == rig.registry.get(ID).cautious
    assert row.record.story[-1].event is Event.LOOKING_FIRST


def test_looking_begins_when_no_request_from_before_can_leave_any_more(rig: LedgerRig) -> None:
    rig.load(ID, 2)
    rig.queue(ID, 1)
    backup = Backup(rig.client)
    rig.accept(ID, 2)
    backup.put_back()

    rig.ledger.claim_opening(ID, 1, rig.claim(), rig.pair())

    assert rig.row(ID).hand.doubt == rig.clock.ms + LATER_MS
    assert rig.registry.get(ID).next_later_ms >= rig.clock.ms + LATER_MS


def test_row_that_was_looked_up_is_opened_and_not_looked_up_again(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.registry.heed(ID, 1000)
    rig.queue(ID)
    assert rig.ledger.claim_opening(ID, 1, rig.claim(), rig.pair()).why == "cautious"
    token = rig.take(ID)

    assert rig.ledger.absent_opening(ID, 1, token, 0, max_attempts=1, code=7).ok
    rig.accept(ID)

    assert rig.row(ID).record.attempts == 1


def test_open_row_is_looked_up_before_its_message_and_then_goes_on(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    claim = rig.claim()
    rig.open(ID, 1, claim)
    rig.registry.heed(ID, 1000)

    assert rig.ledger.claim_sending(ID, 1, claim, sid("CH", 1)).why == "cautious"
    assert rig.state(ID) is State.DOUBT_SENDING
    token = rig.take(ID)
    assert rig.ledger.absent_sending(ID, 1, token, 0, max_attempts=1, code=7).ok
    token = rig.take(ID)

    row = rig.row(ID)
    assert (row.state, row.record.attempts, row.hand.looking) == (State.OPEN, 1, NOT_LOOKED)
    again = rig.claim()
    assert rig.ledger.wait_open(ID, 1, token, 0).ok
    assert rig.ledger.take(ID, 1, again).ok
    assert rig.ledger.claim_sending(ID, 1, again, sid("CH", 1)).ok


def test_whoever_comes_only_to_look_opens_nothing(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    rig.queue(ID)

    reply = rig.ledger.claim_opening(ID, 1, rig.claim(), rig.pair(), looks=Looks(only=True))

    assert (reply.ok, reply.why, rig.state(ID)) == (False, "looked", State.PENDING)
    claim = rig.claim()
    rig.open(ID, 1, claim)
    reply = rig.ledger.claim_sending(ID, 1, claim, "", Looks(only=True))
    assert (reply.ok, reply.why, rig.state(ID)) == (False, "looked", State.OPEN)


def test_an_older_ledger_put_back_twice_is_looked_up_twice(rig: LedgerRig) -> None:
    rig.load(ID, 2)
    rig.registry.heed(ID, 1000)
    rig.queue(ID)
    rig.ledger.claim_opening(ID, 1, rig.claim(), rig.pair())
    rig.ledger.absent_opening(ID, 1, rig.take(ID), 0, max_attempts=5, code=7)
    rig.queue(ID)
    backup = Backup(rig.client)
    assert rig.ledger.claim_opening(ID, 1, rig.claim(), rig.pair()).ok

    backup.put_back()

    assert rig.ledger.claim_opening(ID, 1, rig.claim(), rig.pair()).why == "cautious"


def test_attempts_are_not_used_up_while_the_older_ledger_has_not_been_looked_through(rig: LedgerRig) -> None:
    rig.load(ID, 2)
    token = rig.doubt(ID, 1)
    rig.registry.heed(ID, 1000)

    assert rig.ledger.absent_opening(ID, 1, token, 0, max_attempts=1, code=7).ok

    assert rig.state(ID) is State.PENDING


def test_worker_that_only_watches_has_seen_as_much_and_notices_as_well(rig: LedgerRig) -> None:
    watcher = Registry(rig.client, rig.tag, rig.clock)
    rig.load(ID, 3)
    backup = Backup(rig.client)
    rig.accept(ID, 1)
    watcher.watch()
    assert watcher.seen(ID) == rig.registry.get(ID).seq

    backup.put_back()
    watcher.watch()

    assert Registry(rig.client, rig.tag, rig.clock).get(ID).cautious == watcher.seen(ID)


def test_watching_nothing_and_the_same_is_quiet(rig: LedgerRig) -> None:
    rig.registry.watch()
    rig.load(ID, 1)
    rig.registry.set_active("gone", active=True)
    before = rig.dump()

    rig.registry.watch()
    rig.registry.watch()

    assert rig.dump() == before


def test_campaign_created_anew_is_measured_by_nothing_that_was_seen_before(rig: LedgerRig) -> None:
    rig.load(ID, 200, start=False)
    seen = rig.registry.get(ID).seq
    rig.registry.discard(ID)

    rig.load(ID, 1, start=False)

    assert rig.registry.get(ID).seq < seen
    assert rig.registry.get(ID).cautious == 0


def test_what_others_have_seen_counts_too_and_less_than_there_is_changes_nothing(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    stranger = Registry(rig.client, rig.tag, rig.clock)

    stranger.heed(ID, 2)
    assert rig.registry.get(ID).cautious == 0
    stranger.heed(ID, 500)

    assert rig.registry.get(ID).cautious == 501
    Ledger(rig.client, rig.tag, rig.clock).dispatch(ID, fresh=1, old=0)
    assert rig.registry.get(ID).seq == 502


def test_heeding_makes_no_campaign_where_there_is_none(rig: LedgerRig) -> None:
    rig.registry.heed("gone", 500)

    assert rig.dump() == {}


def test_message_found_elsewhere_leaves_the_own_interaction_to_be_closed(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    claim = rig.claim()
    rig.open(ID, 1, claim)
    rig.registry.heed(ID, 1000)
    rig.ledger.claim_sending(ID, 1, claim, sid("CH", 1))
    token = rig.take(ID)

    found = {"send": 2, "message": sid("IM", 5), "conversation": sid("CH", 5), "interaction": sid("KD", 5)}
    assert rig.ledger.adopt_sent(ID, 1, token, **found).ok

    record = rig.row(ID).record
    assert (record.state, record.send, record.message_sid) == (State.ACCEPTED, 2, sid("IM", 5))
    assert (record.interaction_sid, record.conversation_sid) == (sid("KD", 5), sid("CH", 5))
    assert [each.interaction_sid for each in rig.ledger.to_close(ID)] == [sid("KD", 1)]
