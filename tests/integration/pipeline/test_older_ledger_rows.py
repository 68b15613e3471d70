"""Whatever a row came to after an older ledger was copied: put back, it finds out at Twilio, and sends nothing twice."""

from collections import Counter

import pytest
from older_ledger import Backup
from pipeline_bench import Rig, key, phone, sms, trouble

from worker.errors import RefusedHereError
from worker.ledger.states import Event, Reason, State
from worker.pipeline.opening import open_row
from worker.pipeline.review import judge_not_sent, judge_sent
from worker.pipeline.story import explain

UNTIL_THE_DOUBT_MS = 11_900
ONE = [phone(1)]


def restored(rig: Rig, backup: Backup) -> None:
    """Put the older ledger back; workers live on, as they do."""
    assert rig.messages().total() <= 1
    backup.put_back()


def drive_until(rig: Rig, state: State, number: int = 1) -> None:
    rig.drive(until=lambda: rig.row(number).state is state)


def test_row_accepted_in_the_lost_part_is_found_and_not_sent_again(rig: Rig) -> None:
    rig.campaign(ONE)
    backup = Backup(rig.client)
    rig.drive()
    sent = rig.row().record

    restored(rig, backup)
    rig.drive()

    record = rig.row().record
    assert rig.messages() == Counter({key(): 1})
    assert (record.interaction_sid, record.message_sid) == (sent.interaction_sid, sent.message_sid)
    assert record.attempts == 0
    assert rig.events() == [Event.LOOKING_FIRST, Event.FOUND_SENT, Event.ACCEPTED]
    assert "older" in explain(rig.ledger, rig.registry, "spring-1", 1).lines[0].text
    rig.judge()


def test_row_opened_in_the_lost_part_goes_on_in_its_own_interaction(rig: Rig) -> None:
    rig.simulator.settings(setup_ms=300)
    rig.campaign(ONE)
    backup = Backup(rig.client)
    drive_until(rig, State.OPEN)

    restored(rig, backup)
    rig.step()
    rig.clock.shift_ms += UNTIL_THE_DOUBT_MS
    rig.drive(jump=False)  # the customer comes in by the simulator's own clock

    assert len(rig.simulator.journal("interaction")) == 1
    assert rig.messages() == Counter({key(): 1})
    rig.judge()


def test_open_row_whose_message_was_sent_in_the_lost_part_is_accepted(rig: Rig) -> None:
    rig.simulator.settings(setup_ms=300)
    rig.campaign(ONE)
    drive_until(rig, State.OPEN)
    backup = Backup(rig.client)
    rig.drive(jump=False)

    restored(rig, backup)
    rig.drive()

    assert rig.messages() == Counter({key(): 1})
    rig.judge()


@pytest.mark.parametrize("state", [State.PENDING, State.OPEN])
def test_conversation_that_an_agent_has_closed_meanwhile_still_tells(rig: Rig, state: State) -> None:
    rig.simulator.settings(setup_ms=300)
    rig.campaign(ONE)
    if state is State.OPEN:
        drive_until(rig, state)
    backup = Backup(rig.client)
    rig.drive(jump=False)
    rig.simulator.close(rig.row().record.conversation_sid)

    restored(rig, backup)
    rig.drive()

    assert rig.messages() == Counter({key(): 1})
    assert rig.row().record.interaction_sid
    rig.judge()


@pytest.mark.parametrize("state", [State.PENDING, State.OPEN])
def test_completed_task_still_tells(rig: Rig, state: State) -> None:
    rig.simulator.settings(setup_ms=300)
    rig.campaign(ONE)
    if state is State.OPEN:
        drive_until(rig, state)
    backup = Backup(rig.client)
    rig.drive(jump=False)
    opened = rig.simulator.journal("interaction")[0]
    rig.bench.gateway.close_interaction(opened["interaction_sid"], opened["channel_sid"])

    restored(rig, backup)
    rig.drive()

    assert rig.messages() == Counter({key(): 1})
    assert rig.row().record.interaction_sid == opened["interaction_sid"]


def test_row_opened_anew_in_the_lost_part_is_found_in_its_other_conversation(rig: Rig) -> None:
    rig.simulator.settings(setup_ms=300)
    rig.campaign(ONE)
    drive_until(rig, State.OPEN)
    backup = Backup(rig.client)
    first = rig.simulator.journal("interaction")[0]
    rig.bench.gateway.close_interaction(first["interaction_sid"], first["channel_sid"])
    rig.simulator.close(first["conversation_sid"])
    rig.drive(jump=False)  # the customer comes in by the simulator's own clock
    lost = rig.row().record
    assert lost.conversation_sid != first["conversation_sid"]

    restored(rig, backup)
    rig.drive()

    record = rig.row().record
    assert rig.messages() == Counter({key(): 1})
    assert (record.message_sid, record.interaction_sid) == (lost.message_sid, lost.interaction_sid)
    rig.judge()


def test_retry_in_the_lost_part_is_found_by_the_retry_that_follows(rig: Rig) -> None:
    rig.campaign(ONE)
    rig.work(())
    rig.dispatch()
    claim = rig.bench.claim()
    assert rig.ledger.claim_opening("spring-1", 1, claim, f"{rig.ledger.prefix}pair:1").ok
    assert rig.ledger.reject_opening("spring-1", 1, claim.token, 21211, stop=False).ok
    backup = Backup(rig.client)
    assert rig.ledger.new_send("spring-1", 1, 1).ok
    rig.registry.set_active("spring-1", active=True)
    rig.drive()
    sent = rig.row().record

    restored(rig, backup)
    assert rig.row().state is State.FAILED, "what has ended stays so"
    rig.registry.watch()
    assert rig.ledger.new_send("spring-1", 1, 1).ok
    rig.drive()

    assert rig.messages() == Counter({key(send=2): 1})
    assert rig.row().record.message_sid == sent.message_sid


def test_a_retry_that_only_the_lost_part_knew_is_found_by_the_first_send(rig: Rig) -> None:
    rig.campaign(ONE)
    backup = Backup(rig.client)
    rig.dispatch()
    claim = rig.bench.claim()
    assert rig.ledger.claim_opening("spring-1", 1, claim, f"{rig.ledger.prefix}pair:1").ok
    assert rig.ledger.reject_opening("spring-1", 1, claim.token, 21211, stop=False).ok
    assert rig.ledger.new_send("spring-1", 1, 1).ok
    rig.drive()
    sent = rig.row().record

    restored(rig, backup)
    rig.drive()

    record = rig.row().record
    assert rig.messages() == Counter({key(send=2): 1})
    assert (record.send, record.interaction_sid) == (2, sent.interaction_sid)
    rig.judge()


@pytest.mark.parametrize(("known", "found"), [((1, 2, 3), 1), ((2, 3), 2)])
def test_of_several_messages_in_the_lost_part_the_earliest_is_this_sends(
    rig: Rig, known: tuple[int, ...], found: int
) -> None:
    rig.simulator.settings(setup_ms=300)
    rig.campaign(ONE)
    backup = Backup(rig.client)
    drive_until(rig, State.OPEN)
    conversation = rig.simulator.journal("interaction")[0]["conversation_sid"]
    sent = {
        send: rig.calls().send(conversation, key(send=send), Body="Hello").json()["sid"] for send in known
    }

    backup.put_back()
    rig.drive()

    record = rig.row().record
    assert (record.send, record.message_sid) == (found, sent[found])
    assert rig.messages() == Counter({key(send=send): 1 for send in known})


def test_nothing_lost_is_looked_up_and_sent_once(rig: Rig) -> None:
    rig.campaign([phone(1), phone(2)])
    backup = Backup(rig.client)
    rig.dispatch()
    rig.work([("send_rows", "spring-1", [1])])
    assert rig.states() == {"ACCEPTED": 1, "QUEUED": 1}

    restored(rig, backup)
    rig.drive()

    assert rig.messages() == Counter({key(1): 1, key(2): 1})
    assert rig.states() == {"ACCEPTED": 2}
    assert {rig.row(number).record.attempts for number in (1, 2)} == {0, 1}
    rig.judge()


def test_setting_looks_each_row_up_before_it_is_sent(rig: Rig) -> None:
    careful = rig.worker("worker-2", cautious=True)
    rig.campaign([phone(1), phone(2)])

    rig.drive(bench=careful)

    assert rig.info().cautious == 0
    assert rig.events()[:2] == [Event.LOOKING_FIRST, Event.LOOKED]
    assert rig.row().record.attempts == 1
    assert rig.messages() == Counter({key(1): 1, key(2): 1})
    rig.judge()


def test_look_ups_that_lag_are_waited_for(rig: Rig) -> None:
    rig.simulator.settings(lookup_lag_s=0.3)
    rig.campaign(ONE)
    backup = Backup(rig.client)
    rig.drive()

    restored(rig, backup)
    rig.step()
    rig.clock.shift_ms += UNTIL_THE_DOUBT_MS
    rig.drive(jump=False)

    assert rig.messages() == Counter({key(): 1})
    rig.judge()


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize(
    "forbidden",
    [
        ("GET conversations", "GET taskrouter"),
        ("GET conversations/v1/Conversations/{conversation}/Messages",),
    ],
    ids=["all", "messages"],
)
def test_look_ups_that_are_forbidden_leave_the_row_to_a_person(
    rig: Rig, is_open: bool, forbidden: tuple[str, ...]
) -> None:
    rig.simulator.settings(setup_ms=300)
    rig.campaign(ONE)
    if is_open:
        drive_until(rig, State.OPEN)
    backup = Backup(rig.client)
    rig.drive(jump=False)
    rig.simulator.settings(forbidden=dict.fromkeys(forbidden, 403))

    restored(rig, backup)
    rig.drive()

    record = rig.row().record
    assert (record.state, record.code) == (State.NEEDS_REVIEW, Reason.OLDER_LEDGER)
    words = explain(rig.ledger, rig.registry, "spring-1", 1).words
    assert "older than what had been sent" in words.sentence
    assert "--not-sent" in words.advice
    assert rig.messages() == Counter({key(): 1})


def test_verdict_looks_through_all_conversations_that_the_lost_part_may_have_used(rig: Rig) -> None:
    rig.simulator.settings(setup_ms=300)
    rig.campaign(ONE)
    drive_until(rig, State.OPEN)
    backup = Backup(rig.client)
    first = rig.simulator.journal("interaction")[0]
    rig.bench.gateway.close_interaction(first["interaction_sid"], first["channel_sid"])
    rig.simulator.close(first["conversation_sid"])
    rig.drive(jump=False)  # the customer comes in by the simulator's own clock
    sent = rig.row().record
    rig.simulator.settings(forbidden={"GET conversations": 403})
    restored(rig, backup)
    rig.drive()
    assert rig.row().record.code == Reason.OLDER_LEDGER
    rig.simulator.settings(forbidden={})

    with pytest.raises(RefusedHereError, match=sent.message_sid):
        judge_not_sent(rig.bench, "spring-1", 1)
    verdict = judge_sent(rig.bench, "spring-1", 1)

    assert (verdict.status, verdict.message_sid) == ("accepted", sent.message_sid)
    assert rig.messages() == Counter({key(): 1})


def test_verdict_names_the_message_of_this_send_though_later_ones_came_after_it(rig: Rig) -> None:
    rig.simulator.settings(forbidden={"GET conversations/v1/Conversations/{conversation}/Messages": 403})
    rig.campaign([trouble(164)])
    rig.drive()
    assert rig.row().state is State.NEEDS_REVIEW
    rig.simulator.settings(forbidden={})
    (sent,) = rig.simulator.journal("message")
    assert rig.calls().send(sent["conversation_sid"], key(send=2), Body="Hello").status_code == 201

    verdict = judge_sent(rig.bench, "spring-1", 1)

    assert (verdict.status, verdict.message_sid) == ("accepted", sent["message_sid"])


def test_look_ups_that_fail_half_of_the_time_prove_nothing(rig: Rig) -> None:
    rig.campaign(ONE)
    backup = Backup(rig.client)
    rig.drive()
    rig.simulator.settings(fault_getters={"500_before": 0.5})

    restored(rig, backup)
    rig.drive()

    assert rig.messages() == Counter({key(): 1})
    assert rig.row().state is State.ACCEPTED


def test_message_sent_into_a_conversation_that_was_open_before_the_campaign_is_found(rig: Rig) -> None:
    number = trouble(183)
    rig.campaign([number], definition=sms(pair_busy="use"))
    backup = Backup(rig.client)
    rig.drive()
    assert rig.row().state is State.ACCEPTED

    restored(rig, backup)
    rig.drive()

    assert rig.messages() == Counter({key(): 1})
    rig.judge()


def test_worker_with_an_old_view_of_the_campaign_opens_nothing_blind(rig: Rig) -> None:
    rig.campaign(ONE)
    rig.dispatch()
    backup = Backup(rig.client)
    row, loaded = rig.row(), rig.bench.campaign("spring-1")
    recipient = loaded.compiled.recipient(1, row.cells)
    rig.drive()
    restored(rig, backup)

    assert open_row(rig.bench, loaded, row, recipient) is None  # type: ignore[arg-type]

    assert rig.row().state is State.DOUBT_OPENING
    rig.drive()
    assert rig.messages() == Counter({key(): 1})


def test_cancelled_campaign_still_finds_what_was_sent(rig: Rig) -> None:
    rig.campaign(ONE)
    rig.dispatch()
    backup = Backup(rig.client)
    rig.drive()
    restored(rig, backup)
    rig.work([("send_rows", "spring-1", [1])])
    assert rig.row().state is State.DOUBT_OPENING

    assert rig.registry.cancel("spring-1").ok
    rig.drive()

    assert rig.row().state is State.ACCEPTED
    rig.judge()


def test_look_that_would_outlast_its_lease_is_made_anew(rig: Rig) -> None:
    rig.campaign(ONE)
    backup = Backup(rig.client)
    rig.drive()
    restored(rig, backup)
    seen = []

    def slow_for_once(moment: str) -> None:
        if moment == "after GET ParticipantConversations" and not seen:
            rig.bench.request_s = 1_000.0
        if moment == "before look_again":
            seen.append(rig.row().record.looks)
            rig.bench.request_s = 5.0

    rig.points.meanwhile = slow_for_once
    rig.drive()

    assert seen == [0]
    assert Event.LOOKED in rig.events()
    assert rig.messages() == Counter({key(): 1})
    rig.judge()
