"""A customer is reached by one row at a time, and no agent keeps an Interaction without a message."""

from builders import LedgerRig, opened_sids, sid

from worker.ledger.states import Event, Reason, State

ONE, TWO = "autumn-1", "winter-2"


def both(rig: LedgerRig) -> None:
    rig.load(ONE, 1)
    rig.load(TWO, 1)


def is_free(rig: LedgerRig) -> bool:
    """Tell whether the other campaign gets the pair."""
    rig.queue(TWO)
    claim = rig.claim()
    reply = rig.ledger.claim_opening(TWO, 1, claim, rig.pair())
    if reply.ok:
        assert rig.ledger.give_up_slot(TWO, 1, claim.token, 0).ok
    else:
        assert reply.why == "pair"
    return reply.ok


def test_second_campaign_waits_while_the_first_has_the_pair(rig: LedgerRig) -> None:
    both(rig)
    token = rig.opening(ONE)
    assert not is_free(rig)
    assert rig.state(TWO) is State.PENDING

    rig.ledger.doubt_opening(ONE, 1, token, 0, 500)
    assert not is_free(rig)
    token = rig.take(ONE)
    rig.ledger.adopt_opening(ONE, 1, token, **opened_sids())
    assert not is_free(rig)
    rig.ledger.wait_open(ONE, 1, token, 0)
    assert not is_free(rig)

    record = rig.row(TWO).record
    assert (record.attempts, record.code) == (0, Reason.PAIR_IN_HAND)
    assert [event.event for event in record.story] == [Event.WAITING], "told once"


def test_row_that_waited_for_a_pair_goes_on_without_that_reason(rig: LedgerRig) -> None:
    both(rig)
    token = rig.opening(ONE)
    assert not is_free(rig)
    rig.ledger.skip_opening(ONE, 1, token, Reason.PAIR_BUSY)

    rig.opening(TWO)

    assert rig.row(TWO).record.code == 0


def test_pair_is_free_at_every_end_and_whenever_the_row_is_put_back(rig: LedgerRig) -> None:
    ends = {
        "accepted": lambda: rig.accept(ONE),
        "rejected": lambda: rig.reject(ONE, 1),
        "skipped": lambda: rig.bring(ONE, State.SKIPPED),
        "review": lambda: rig.bring(ONE, State.NEEDS_REVIEW),
        "deferred": lambda: rig.ledger.defer_opening(ONE, 1, rig.opening(ONE), 0, 429),
        "given up": lambda: rig.ledger.give_up_slot(ONE, 1, rig.opening(ONE), 0),
        "absent": lambda: rig.ledger.absent_opening(ONE, 1, rig.doubt(ONE), 0, max_attempts=5, code=0),
        "stopped": lambda: rig.ledger.reject_opening(ONE, 1, rig.opening(ONE), 63112, stop=True),
    }
    for name, end in ends.items():
        rig.client.flushall()
        both(rig)
        end()
        assert is_free(rig), name


def test_pair_stays_taken_until_the_interaction_without_a_message_is_closed(rig: LedgerRig) -> None:
    both(rig)
    rig.ledger.reject_sending(ONE, 1, rig.sending(ONE), 63016, stop=False)
    assert rig.state(ONE) is State.FAILED
    assert not is_free(rig)

    rig.ledger.closed(ONE, sid("KD", 1), done=False, due_in_ms=1000)
    assert not is_free(rig)
    rig.ledger.closed(ONE, sid("KD", 1), done=True)

    assert is_free(rig)


def test_lock_has_a_lease_that_begins_anew_with_every_hold(rig: LedgerRig) -> None:
    both(rig)
    token = rig.open(ONE)
    assert 590_000 < rig.client.pttl(rig.pair()) <= 600_000
    rig.ledger.wait_open(ONE, 1, token, 0)
    rig.client.pexpire(rig.pair(), 5000)

    rig.take(ONE)

    assert rig.client.pttl(rig.pair()) > 590_000


def test_lock_that_ran_out_and_was_taken_by_another_stays_that_others(rig: LedgerRig) -> None:
    both(rig)
    token = rig.open(ONE)
    rig.ledger.wait_open(ONE, 1, token, 0)
    rig.client.delete(rig.pair())  # its lease was over
    rig.opening(TWO)
    rig.client.pexpire(rig.pair(), 5000)

    token = rig.take(ONE)
    rig.ledger.abandon_open(ONE, 1, token, State.SKIPPED, Reason.PAIR_BUSY)
    rig.ledger.closed(ONE, sid("KD", 1), done=True)

    assert rig.client.get(rig.pair()) == f"{rig.ledger.key(TWO)}:1".encode()
    assert rig.client.pttl(rig.pair()) <= 5000


def test_interaction_without_a_message_is_to_be_closed_until_that_is_confirmed(rig: LedgerRig) -> None:
    rig.load(ONE, 1)
    rig.ledger.abandon_open(ONE, 1, rig.open(ONE), State.FAILED, Reason.CHANNEL_FAILED)
    (each,) = rig.ledger.to_close(ONE)
    assert (each.interaction_sid, each.row, each.channel_sid) == (sid("KD", 1), 1, sid("UO", 1))

    rig.ledger.closed(ONE, each.interaction_sid, done=False, due_in_ms=5000)
    assert (rig.ledger.to_close(ONE), rig.ledger.to_close_count(ONE)) == ([], 1)
    rig.registry.set_active(ONE, active=False)
    assert rig.registry.active() == [ONE], "somebody has still to come for it"
    rig.clock.pass_ms(5000)
    assert rig.ledger.to_close(ONE) == [each]

    rig.ledger.closed(ONE, each.interaction_sid, done=True)
    rig.ledger.closed(ONE, each.interaction_sid, done=False, due_in_ms=0)  # a second closer, late
    assert (rig.ledger.to_close(ONE), rig.ledger.to_close_count(ONE)) == ([], 0)


def test_row_begun_anew_waits_for_its_time_and_for_the_closing(rig: LedgerRig) -> None:
    rig.load(ONE, 1)
    rig.ledger.reopen_sending(ONE, 1, rig.sending(ONE), Reason.CONVERSATION_CLOSED, 2000)

    rig.ledger.closed(ONE, sid("KD", 1), done=True)
    assert rig.ledger.dispatch(ONE, fresh=9, old=0).fresh == ()
    rig.clock.pass_ms(2000)
    assert rig.ledger.dispatch(ONE, fresh=9, old=0).fresh == (1,)


def test_row_that_uses_a_conversation_keeps_the_pair_and_its_own_interaction_is_closed(
    rig: LedgerRig,
) -> None:
    both(rig)
    token = rig.open(ONE)

    rig.ledger.use_conversation(ONE, 1, token, sid("CH", 9))

    assert [each.interaction_sid for each in rig.ledger.to_close(ONE)] == [sid("KD", 1)]
    rig.ledger.closed(ONE, sid("KD", 1), done=True)
    assert not is_free(rig)
    record = rig.row(ONE).record
    assert (record.interaction_sid, record.conversation_sid) == ("", sid("CH", 9))


def test_row_that_switches_leaves_the_other_interaction_to_be_closed(rig: LedgerRig) -> None:
    both(rig)
    token = rig.open(ONE)

    assert rig.ledger.switch_interaction(ONE, 1, token, **opened_sids(2)).ok

    assert [each.interaction_sid for each in rig.ledger.to_close(ONE)] == [sid("KD", 1)]
    rig.ledger.closed(ONE, sid("KD", 1), done=True)
    assert not is_free(rig)
    assert rig.row(ONE).record.interaction_sid == sid("KD", 2)
    token = rig.take(ONE)
    assert rig.ledger.switch_interaction(ONE, 1, token, **opened_sids(2)).ok  # the same again
    assert rig.ledger.to_close(ONE) == []


def test_another_interaction_of_a_row_in_doubt_is_noted_to_be_closed_by_its_holder(rig: LedgerRig) -> None:
    rig.load(ONE, 1)
    token = rig.doubt(ONE)

    assert not rig.ledger.owe_close(ONE, 1, "another", sid("KD", 8), "").ok
    assert rig.ledger.owe_close(ONE, 1, token, sid("KD", 8), "").ok

    (each,) = rig.ledger.to_close(ONE)
    assert (each.interaction_sid, each.channel_sid) == (sid("KD", 8), "")


def test_of_several_interactions_all_but_the_adopted_one_are_noted_to_be_closed(rig: LedgerRig) -> None:
    rig.load(ONE, 1)
    token = rig.doubt(ONE)
    others = [(sid("KD", number), sid("UO", number)) for number in (1, 2, 3)]

    assert not rig.ledger.adopt_opening(ONE, 1, "another", **opened_sids(2), others=others).ok
    assert rig.ledger.to_close_count(ONE) == 0
    assert rig.ledger.adopt_opening(ONE, 1, token, **opened_sids(2), others=others).ok

    assert {each.interaction_sid for each in rig.ledger.to_close(ONE)} == {sid("KD", 1), sid("KD", 3)}


def test_interaction_that_is_to_be_closed_is_not_gone_on_with(rig: LedgerRig) -> None:
    rig.load(ONE, 1)
    token = rig.doubt(ONE)
    assert rig.ledger.owe_close(ONE, 1, token, sid("KD", 8), "").ok

    reply = rig.ledger.adopt_opening(ONE, 1, token, **opened_sids(8))

    assert (reply.ok, reply.why) == (False, "closing")
    assert rig.ledger.adopt_opening(ONE, 1, token, **opened_sids(9)).ok
    assert rig.ledger.switch_interaction(ONE, 1, token, **opened_sids(8)).why == "closing"


def test_interaction_that_is_to_be_closed_already_keeps_its_turn(rig: LedgerRig) -> None:
    rig.load(ONE, 1)
    token = rig.doubt(ONE)
    assert rig.ledger.owe_close(ONE, 1, token, sid("KD", 8), "").ok
    rig.ledger.closed(ONE, sid("KD", 8), done=False, due_in_ms=5000)

    assert rig.ledger.owe_close(ONE, 1, token, sid("KD", 8), "").ok

    assert (rig.ledger.to_close(ONE), rig.ledger.to_close_count(ONE)) == ([], 1)


def test_row_that_failed_again_while_its_interaction_was_to_be_closed_still_waits_for_that(
    rig: LedgerRig,
) -> None:
    rig.load(ONE, 1)
    token = rig.open(ONE)
    assert rig.ledger.abandon_open(ONE, 1, token, State.PENDING, Reason.PAIR_BUSY).ok
    rig.queue(ONE)
    assert rig.ledger.end_queued(ONE, 1, State.FAILED, Reason.INVALID).ok
    assert rig.ledger.new_send(ONE, 1, 1).ok

    rig.queue(ONE)
    reply = rig.ledger.claim_opening(ONE, 1, rig.claim(), rig.pair())

    assert (reply.ok, reply.why) == (False, "closing")
    rig.ledger.closed(ONE, sid("KD", 1), done=True)
    assert rig.opening(ONE)
