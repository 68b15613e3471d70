"""Follow-up waves: begun once whatever is interrupted, sent where the customer is, stopped when somebody says so."""

import csv
from collections import Counter
from datetime import timedelta

import pytest
from follow_up_scenes import DAY, ONE, answer, definition, deliver, entry, now, pass_time, send_first
from older_ledger import Backup
from pipeline_bench import KilledError, Points, Rig, key, phone, trouble

from campaigns.definition import parse_definition
from worker.errors import NotFoundError, RefusedHereError
from worker.ledger.states import Delivery, Event, Reason, State
from worker.pipeline import waves
from worker.pipeline.follow_ups import Left
from worker.pipeline.results import write_results
from worker.pipeline.review import find_rows, judge_not_sent, judge_sent
from worker.pipeline.status import snapshot
from worker.pipeline.story import explain

WAVE = "spring-1.f1-1"
CONVERSATION = "GET conversations/v1/Conversations/{conversation}"


def wave_row(rig: Rig, row: int = 1, wave: str = WAVE):
    return rig.row(row, wave).record


# Who is begun -----------------------------------------------------------------------------------------------


def contents(rig: Rig) -> dict[bytes, object]:
    """Give all that is kept of campaigns; a hash's own order tells nothing, and changes by itself."""
    return {
        name: rig.client.hgetall(name) if rig.client.type(name) == b"hash" else rig.client.dump(name)
        for name in rig.client.scan_iter("*:c:*")
    }


def test_each_row_that_is_due_is_put_into_its_wave(rig: Rig) -> None:
    people = [phone(at) for at in range(1, 131)]
    send_first(rig, people=people)
    answer(rig, 2)
    answer(rig, 130, opted_out=True)
    deliver(rig, Delivery.UNDELIVERED, 65)

    early = waves.begin(rig.bench, "spring-1", pass_time(rig, 2 * DAY))
    begun = waves.begin(rig.bench, "spring-1", pass_time(rig, 2 * DAY))

    assert (early.rows, begun.waves) == (0, {WAVE: 127})
    assert rig.states(WAVE) == {"PENDING": 127}
    assert rig.states() == {"ACCEPTED": 130}
    assert rig.info().stands == "finished"


@pytest.mark.parametrize("script", ["create_wave", "begin_wave"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_night_that_was_interrupted_goes_on_where_it_was(rig: Rig, script: str, moment: str) -> None:
    send_first(rig, people=[phone(at) for at in range(1, 6)])
    night = pass_time(rig, 4 * DAY)
    strike_at = 0 if script == "create_wave" else 2
    dies = Points(strike_at=strike_at, counts=lambda name: name == f"{moment} {script}")
    rig.points.__dict__.update(dies.__dict__)
    with pytest.raises(KilledError):
        waves.begin(rig.bench, "spring-1", night)
    rig.points.__dict__.update(Points().__dict__)
    other = rig.worker("worker-2")
    rig.drive(bench=other)
    pass_time(rig, timedelta(hours=5))

    waves.begin(other, "spring-1", night)
    waves.begin(rig.bench, "spring-1", night)
    rig.drive(bench=other)

    assert rig.states(WAVE) == {"ACCEPTED": 5}
    assert set(rig.messages().values()) == {1}
    assert len(rig.messages()) == 10


def test_two_at_once_begin_each_row_once(rig: Rig) -> None:
    send_first(rig, people=[phone(at) for at in range(1, 6)])
    night, other = pass_time(rig, 4 * DAY), rig.worker("worker-2")
    beside = []

    def meanwhile(name: str) -> None:
        if name == "before begin_wave" and not beside:
            beside.append(None)
            beside[0] = waves.begin(other, "spring-1", night)

    rig.points.meanwhile = meanwhile
    begun = waves.begin(rig.bench, "spring-1", night)

    assert (begun.rows, begun.overtaken, beside[0].rows) == (0, 5, 5)
    rig.drive()
    assert set(rig.messages().values()) == {1}


def test_second_entry_follows_in_its_time_and_the_same_one_again_up_to_its_max(rig: Rig) -> None:
    text = definition(entry("2d", text="First"), entry("3d", text="Then", rest="max = 2"))
    send_first(rig, text)

    found = []
    for _ in range(14):
        night = pass_time(rig, DAY)
        found.append("".join(waves.begin(rig.bench, "spring-1", night).waves))
        rig.drive()

    sent = {day: wave.partition(".")[2] for day, wave in enumerate(found, start=1) if wave}
    assert sent == {2: "f1-1", 5: "f2-1", 8: "f2-2"}
    bodies = [one["body"] for one in rig.simulator.journal("message")]
    assert bodies == ["Hello Ann", "First", "Then", "Then"]
    assert rig.messages() == Counter(key(send=send) for send in (1, 2, 3, 4))


def test_changed_definition_is_that_of_rows_begun_after_it(rig: Rig) -> None:
    send_first(rig, people=[phone(1), phone(2)])
    waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))
    rig.drive()
    changed = rig.bench.campaign("spring-1").campaign.canonical_json().replace("Still there", "Hello again")
    assert rig.registry.update_definition("spring-1", changed, 1).ok
    # As a row that was accepted later would be.
    rig.client.delete(rig.ledger.key(WAVE, "rw:0"))

    waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))

    assert "Hello again" in rig.info(WAVE).definition
    assert rig.info(WAVE).version == 2


@pytest.mark.parametrize(
    ("state", "why"),
    [("paused", "it is paused"), ("cancelled", "it is cancelled"), ("loading", "it is still")],
)
def test_nothing_is_begun_for_a_campaign_that_is_not_running(rig: Rig, state: str, why: str) -> None:
    send_first(rig)
    night = pass_time(rig, 4 * DAY)
    rig.client.hset(rig.ledger.key("spring-1"), "state", state)

    begun = waves.begin(rig.bench, "spring-1", night)

    assert (begun.rows, begun.why[: len(why)]) == (0, why)
    assert not rig.ledger.waves("spring-1")


def test_campaign_without_follow_ups_has_none(rig: Rig) -> None:
    send_first(rig, definition())
    night = pass_time(rig, 9 * DAY)

    assert waves.begin(rig.bench, "spring-1", night).why == "its definition has no follow-ups"
    assert waves.preview(rig.ledger, rig.registry, "spring-1", night).outlooks == ()
    assert not waves.has_more(rig.ledger, rig.registry, rig.info())
    with pytest.raises(RefusedHereError, match="has no follow-ups"):
        waves.stop(rig.ledger, rig.registry, "spring-1")
    with pytest.raises(NotFoundError):
        waves.begin(rig.bench, "winter-1", night)


def test_preview_tells_who_is_due_and_when_the_others_will_be(rig: Rig) -> None:
    text = definition(entry("3d"), entry("5d", "undelivered"))
    send_first(rig, text, [phone(at) for at in range(1, 6)] + [trouble(176)])
    answer(rig, 2)
    answer(rig, 3, opted_out=True)
    deliver(rig, Delivery.FAILED, 4)
    before = contents(rig)

    plan = waves.preview(rig.ledger, rig.registry, "spring-1", pass_time(rig, 4 * DAY))

    assert [(one.due, one.later) for one in plan.outlooks] == [(2, 0), (0, 1)]
    finished = rig.row(4).record.finished_at
    assert finished is not None
    # What goes out up to three hours after the nightly time counts as of that time.
    due_at = finished + 5 * DAY - timedelta(hours=3)
    assert plan.outlooks[1].night is not None
    assert due_at <= plan.outlooks[1].night < due_at + DAY
    assert plan.next_night is not None
    assert (plan.next_night.hour, plan.next_night.minute) == (10, 0), "where the definition does not say"
    assert plan.left == {Left.ANSWERED: 1, Left.OPTED_OUT: 1, Left.NOT_ACCEPTED: 1}
    assert (plan.due, plan.why) == (2, "")
    assert contents(rig) == before


# Where the message goes -------------------------------------------------------------------------------------


def test_follow_up_goes_into_the_conversation_that_is_open(rig: Rig) -> None:
    send_first(rig)

    begun = waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))
    rig.drive()

    assert begun.waves == {WAVE: 1}
    record, first = wave_row(rig), rig.row().record
    assert (record.state, record.send, record.interaction_sid) == (State.ACCEPTED, 2, "")
    assert record.conversation_sid == first.conversation_sid
    assert rig.messages() == Counter({key(): 1, key(send=2): 1})
    assert len(rig.simulator.journal("interaction")) == 1
    assert (first.send, first.state) == (1, State.ACCEPTED)
    assert rig.events(1, WAVE) == [Event.NEW_SEND, Event.OPENING, Event.USED, Event.SENDING, Event.ACCEPTED]


def test_where_the_conversation_was_closed_a_new_interaction_is_opened(rig: Rig) -> None:
    send_first(rig)
    rig.simulator.close(rig.row().record.conversation_sid)

    waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))
    rig.drive()

    record = wave_row(rig)
    first, second = rig.simulator.journal("interaction")
    assert record.interaction_sid == second["interaction_sid"] != first["interaction_sid"]
    assert second["key"] == key(send=2)
    assert rig.messages() == Counter({key(): 1, key(send=2): 1})


def test_where_the_conversation_is_closed_right_before_the_message_the_row_begins_anew(rig: Rig) -> None:
    send_first(rig)
    conversation = rig.row().record.conversation_sid

    def close(name: str) -> None:
        if name == "before claim_sending":
            rig.simulator.close(conversation)

    waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))
    rig.points.meanwhile = close
    rig.drive()

    assert wave_row(rig).state is State.ACCEPTED
    assert wave_row(rig).conversation_sid != conversation
    assert rig.messages() == Counter({key(): 1, key(send=2): 1})


def test_where_twilio_does_not_say_whether_it_is_open_the_row_is_put_off(rig: Rig) -> None:
    send_first(rig)
    waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))
    rig.simulator.settings(fault_getters={"500_before": 1.0})
    rig.step()

    assert wave_row(rig).state is State.PENDING
    assert rig.events(1, WAVE)[-1] is Event.WAITING

    rig.simulator.settings(fault_getters={})
    rig.drive()
    assert wave_row(rig).conversation_sid == rig.row().record.conversation_sid
    assert len(rig.simulator.journal("interaction")) == 1


def test_where_twilio_does_not_say_in_which_state_it_is_the_row_is_put_off(rig: Rig) -> None:
    send_first(rig)
    waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))

    def fail(moment: str) -> None:
        if moment.startswith("before GET"):
            is_state = moment.startswith("before GET CH")
            rig.simulator.settings(fault_getters={"500_before": 1.0} if is_state else {})

    rig.points.meanwhile = fail
    rig.step()

    assert wave_row(rig).state is State.PENDING
    rig.points.meanwhile = lambda _: None
    rig.simulator.settings(fault_getters={})
    rig.drive()
    assert len(rig.simulator.journal("interaction")) == 1
    assert wave_row(rig).state is State.ACCEPTED


def test_where_twilio_forbids_to_read_the_conversation_the_follow_up_goes_all_the_same(rig: Rig) -> None:
    send_first(rig)
    waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))
    rig.simulator.settings(forbidden={f"{CONVERSATION}/Messages": 403})

    rig.drive()

    assert rig.messages() == Counter({key(): 1, key(send=2): 1})
    assert wave_row(rig).conversation_sid == rig.row().record.conversation_sid


def test_entry_that_an_update_has_taken_away_writes_to_nobody_who_answered(rig: Rig) -> None:
    send_first(rig, definition(entry(if_="always")))
    waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))
    assert rig.registry.update_definition(
        "spring-1", parse_definition(definition(), "").canonical_json(), 1
    ).ok
    answer(rig)

    rig.drive(bench=rig.worker("worker-2"))  # which has not read the definition as it was

    assert (wave_row(rig).state, wave_row(rig).code) == (State.SKIPPED, Reason.ANSWERED)


def test_where_twilio_forbids_the_question_an_interaction_tells_whose_the_pair_is(rig: Rig) -> None:
    send_first(rig)
    waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))
    rig.simulator.settings(forbidden={CONVERSATION: 403})

    rig.drive(until=lambda: len(rig.simulator.journal("interaction")) == 2)
    rig.simulator.settings(forbidden={})
    rig.drive()

    assert wave_row(rig).conversation_sid == rig.row().record.conversation_sid
    assert rig.messages() == Counter({key(): 1, key(send=2): 1})
    (closed,) = rig.simulator.journal("interaction_closed")
    assert closed["key"] == key(send=2), "the other one is an agent's"


def test_window_is_looked_at_before_twilio_is_asked(rig: Rig) -> None:
    hour = (now(rig) + timedelta(hours=2)).hour
    window = f'[follow_up.window]\nfrom = "{hour:02}:00"\nuntil = "{hour:02}:59"\ntimezone = "UTC"\n'
    send_first(rig, definition(entry(rest=window)))
    waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))
    asked = len(rig.simulator.requests())

    rig.step()

    assert wave_row(rig).state is State.PENDING
    assert len(rig.simulator.requests()) == asked
    rig.drive()
    assert wave_row(rig).state is State.ACCEPTED


@pytest.mark.parametrize(("if_", "state"), [("no_reply", State.SKIPPED), ("always", State.ACCEPTED)])
def test_customer_who_answers_while_the_row_waits_is_not_reminded(rig: Rig, if_: str, state: State) -> None:
    send_first(rig, definition(entry(if_=if_)))
    waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))
    answer(rig)

    rig.drive()

    record = wave_row(rig)
    assert record.state is state
    assert record.code == (Reason.ANSWERED if state is State.SKIPPED else 0)
    assert sum(rig.messages().values()) == 1 + (state is State.ACCEPTED)


@pytest.mark.parametrize("text", ["Yes please", "STOP"])
def test_answer_that_nobody_has_heard_of_is_heard_right_before_the_follow_up(rig: Rig, text: str) -> None:
    send_first(rig)
    night = pass_time(rig, 4 * DAY)
    rig.simulator.reply(phone(1), text)

    assert waves.begin(rig.bench, "spring-1", night).rows == 1
    rig.drive()

    record = wave_row(rig)
    assert (record.state, record.code) == (State.SKIPPED, Reason.ANSWERED)
    assert rig.messages() == Counter({key(): 1})
    assert rig.row().record.has_opted_out is (text == "STOP")
    assert rig.info().answered == 1


def test_who_opts_out_meanwhile_gets_no_follow_up_of_any_kind(rig: Rig) -> None:
    send_first(rig, definition(entry(if_="always")), [phone(1), phone(2)])
    night = pass_time(rig, 4 * DAY)
    rig.simulator.reply(phone(1), "STOP")
    rig.simulator.reply(phone(2), "Later")

    waves.begin(rig.bench, "spring-1", night)
    rig.drive()

    assert (wave_row(rig, 1).state, wave_row(rig, 1).code) == (State.SKIPPED, Reason.SUPPRESSED)
    assert wave_row(rig, 2).state is State.ACCEPTED


def test_retry_of_an_undelivered_row_goes_into_its_open_conversation(rig: Rig) -> None:
    send_first(rig)
    deliver(rig, Delivery.UNDELIVERED)
    assert rig.ledger.new_send("spring-1", 1, 1).ok

    rig.drive()

    record = rig.row().record
    assert (record.send, record.state, record.interaction_sid) == (2, State.ACCEPTED, "")
    assert len(rig.simulator.journal("interaction")) == 1
    assert rig.messages() == Counter({key(): 1, key(send=2): 1})


# Lost answers, and older ledgers ----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["cut_before", "cut_after"])
@pytest.mark.parametrize("is_open", [True, False])
def test_follow_up_whose_answer_was_lost_is_found_by_its_own_key(rig: Rig, fault: str, is_open: bool) -> None:
    send_first(rig)
    if not is_open:
        rig.simulator.close(rig.row().record.conversation_sid)
    waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))
    rig.simulator.settings(fault={fault: 1.0})
    rig.drive(until=lambda: wave_row(rig).state.is_doubt)
    rig.simulator.settings(fault={})

    rig.drive()

    record = wave_row(rig)
    assert record.state is State.ACCEPTED
    assert rig.messages() == Counter({key(): 1, key(send=2): 1})
    (message,) = [one for one in rig.simulator.journal("message") if one["key"] == key(send=2)]
    assert record.message_sid == message["message_sid"]
    assert not rig.simulator.journal("interaction_closed")


@pytest.mark.parametrize("is_begun", [False, True])
@pytest.mark.parametrize("is_open", [True, False])
def test_older_ledger_sends_no_wave_again(rig: Rig, is_begun: bool, is_open: bool) -> None:
    send_first(rig)
    night = pass_time(rig, 4 * DAY)
    if is_begun:
        waves.begin(rig.bench, "spring-1", night)
    backup = Backup(rig.client)
    waves.begin(rig.bench, "spring-1", night)
    if not is_open:
        rig.simulator.close(rig.row().record.conversation_sid)
    rig.drive()
    sent = wave_row(rig)
    assert sent.state is State.ACCEPTED

    backup.put_back()
    waves.begin(rig.bench, "spring-1", night)
    rig.drive()

    record = wave_row(rig)
    assert (record.state, record.message_sid, record.send) == (State.ACCEPTED, sent.message_sid, 2)
    assert record.interaction_sid == sent.interaction_sid
    assert rig.messages() == Counter({key(): 1, key(send=2): 1})
    assert rig.info().cautious


def test_older_ledger_tells_two_waves_of_one_row_apart(rig: Rig) -> None:
    send_first(rig, definition(entry("1d", text="First"), entry("1d", text="Second")))
    backup = Backup(rig.client)
    for _ in range(2):
        waves.begin(rig.bench, "spring-1", pass_time(rig, 2 * DAY))
        rig.drive()
    sent = [wave_row(rig, 1, f"spring-1.f{number}-1").message_sid for number in (1, 2)]

    backup.put_back()
    for _ in range(3):
        waves.begin(rig.bench, "spring-1", pass_time(rig, 2 * DAY))
        rig.drive()

    assert [wave_row(rig, 1, f"spring-1.f{number}-1").message_sid for number in (1, 2)] == sent
    assert rig.messages() == Counter(key(send=send) for send in (1, 2, 3))


def test_results_file_that_is_ahead_makes_a_night_cautious(rig: Rig) -> None:
    send_first(rig)
    backup = Backup(rig.client)
    waves.begin(rig.bench, "spring-1", night := pass_time(rig, 4 * DAY))
    rig.drive()
    folder = rig.home / "results"
    assert write_results(rig.ledger, rig.registry, "spring-1", folder / "spring-1.csv")
    backup.put_back()
    fresh = rig.worker("worker-2", results_dir=folder)

    waves.begin(fresh, "spring-1", night)
    rig.drive(bench=fresh)

    assert rig.messages() == Counter({key(): 1, key(send=2): 1})


# Pause, resume, cancel, stop --------------------------------------------------------------------------------


def test_pause_and_resume_of_the_campaign_are_those_of_its_waves(rig: Rig) -> None:
    send_first(rig)
    waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))
    assert rig.registry.pause("spring-1", "operator").ok

    rig.step()

    assert (rig.info(WAVE).stands, rig.info(WAVE).paused_by) == ("paused", "operator")
    assert rig.states(WAVE) == {"PENDING": 1}
    assert rig.registry.resume("spring-1").ok
    rig.drive()
    assert rig.states(WAVE) == {"ACCEPTED": 1}


def test_stop_ends_rows_that_wait_and_finishes_those_in_hand(rig: Rig) -> None:
    rig.simulator.settings(setup_ms=300)
    rig.campaign([phone(1), phone(2)], definition=ONE)
    rig.drive(jump=False)
    night = pass_time(rig, 4 * DAY)
    rig.simulator.close(rig.row(1).record.conversation_sid)
    waves.begin(rig.bench, "spring-1", night)
    rig.dispatch()
    rig.work([("send_rows", WAVE, [1])])
    assert wave_row(rig, 1).state is State.OPEN

    assert waves.stop(rig.ledger, rig.registry, "spring-1")
    rig.drive(jump=False)

    assert rig.states(WAVE) == {"ACCEPTED": 1, "CANCELLED": 1}
    assert rig.info(WAVE).stands == "cancelled"
    assert rig.info().stands == "finished"
    assert not waves.has_more(rig.ledger, rig.registry, rig.info())
    assert waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY)).why == "its follow-ups were stopped"
    assert not waves.stop(rig.ledger, rig.registry, "spring-1"), "that is so already"


def test_stop_in_the_middle_of_a_night_ends_it(rig: Rig) -> None:
    send_first(rig, people=[phone(1), phone(2)])
    rig.points.meanwhile = lambda moment: (
        moment == "before create_wave" and rig.ledger.stop_follow_ups("spring-1")
    )

    begun = waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))

    assert (begun.rows, begun.overtaken) == (0, 0)
    assert not rig.ledger.waves("spring-1")


def test_stop_can_be_undone_for_those_that_come(rig: Rig) -> None:
    send_first(rig, definition(entry("1d"), entry("2d")))
    waves.begin(rig.bench, "spring-1", pass_time(rig, DAY))
    waves.stop(rig.ledger, rig.registry, "spring-1")

    assert waves.stop(rig.ledger, rig.registry, "spring-1", stopped=False)
    waves.begin(rig.bench, "spring-1", pass_time(rig, DAY))
    rig.drive()

    assert rig.states("spring-1.f1-1") == {"CANCELLED": 1}
    assert rig.states("spring-1.f2-1") == {"ACCEPTED": 1}


def test_rows_of_a_wave_end_with_their_campaign_though_nobody_tells_the_wave(rig: Rig) -> None:
    rig.campaign([phone(1), trouble(176)], definition=ONE)
    rig.drive()
    waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))
    assert rig.ledger.new_send("spring-1", 2, 1).ok

    assert rig.registry.cancel("spring-1").ok
    rig.step()

    assert rig.states(WAVE) == {"CANCELLED": 1}


def test_breaker_on_a_wave_pauses_that_wave_and_is_resumed(rig: Rig) -> None:
    send_first(rig)
    waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))
    rig.dispatch()
    claim = rig.bench.claim()
    assert rig.ledger.claim_opening(WAVE, 1, claim, f"{rig.ledger.prefix}pair:1").ok

    assert rig.ledger.reject_opening(WAVE, 1, claim.token, 63112, stop=True).ok

    assert (rig.info().state, rig.info(WAVE).state) == ("running", "paused")
    assert (rig.info(WAVE).paused_by, rig.info(WAVE).reason_code) == ("breaker", 63112)
    assert rig.registry.resume(WAVE).ok
    rig.drive()
    assert rig.messages() == Counter({key(): 1, key(send=2): 1})


def test_campaign_and_waves_share_one_ceiling(rig: Rig) -> None:
    people = [phone(at) for at in range(1, 31)]
    rig.campaign(people, definition=ONE + "[pacing]\ninteractions_per_second = 10\n")
    rig.drive()
    for row in range(1, 11):
        deliver(rig, Delivery.FAILED, row)
    waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))
    for row in range(1, 11):
        assert rig.ledger.new_send("spring-1", row, 1).ok

    found = rig.dispatch()

    campaigns = Counter(campaign for _, campaign, _ in found)
    assert sum(campaigns.values()) == 7, "what 10 a second can use in the next moment"
    assert set(campaigns) == {"spring-1", WAVE}


# What people see -------------------------------------------------------------------------------------------


def test_status_tells_of_each_wave(rig: Rig) -> None:
    send_first(rig, definition(entry("1d"), entry("1d")), [phone(1), phone(2)])
    waves.begin(rig.bench, "spring-1", pass_time(rig, 2 * DAY))
    rig.drive()
    waves.begin(rig.bench, "spring-1", pass_time(rig, 2 * DAY))
    rig.registry.see_worker("worker-1", {})

    seen = snapshot(rig.bench, "spring-1")

    assert (seen["state"], seen["counts"]["accepted"]) == ("finished", 2)
    first, second = seen["follow_ups"]
    assert (first["follow_up"], first["time"], first["state"], first["rows"]) == (1, 1, "finished", 2)
    assert (first["counts"]["accepted"], first["waiting_for"]) == (2, None)
    assert (second["follow_up"], second["state"], second["counts"]["pending"]) == (2, "running", 2)
    assert rig.registry.pause("spring-1", "operator").ok
    paused = snapshot(rig.bench, "spring-1")["follow_ups"][1]
    assert (paused["state"], paused["paused"]["by"]) == ("paused", "operator")
    assert paused["waiting_for"] == "paused by the operator; `outreach resume spring-1` lets it go on"


def test_rows_story_goes_on_with_its_follow_ups(rig: Rig) -> None:
    send_first(rig)
    waves.begin(rig.bench, "spring-1", pass_time(rig, 4 * DAY))
    rig.drive()

    story = explain(rig.ledger, rig.registry, "spring-1", 1)

    assert story.key == key()
    assert [(line.send, line.follow_up) for line in story.lines] == [(1, 0)] * 4 + [(2, 1)] * 5
    assert story.lines[-1].text == "Twilio accepted the message."
    assert story.cells == (phone(1), "Ann")


def test_results_count_the_follow_ups_that_were_accepted(rig: Rig) -> None:
    send_first(rig, definition(entry("1d"), entry("1d")), [phone(1), phone(2), phone(65)])
    for row in (None, 2):
        if row:
            answer(rig, row)
        waves.begin(rig.bench, "spring-1", pass_time(rig, 2 * DAY))
        rig.drive()

    path = rig.home / "spring-1.csv"
    assert write_results(rig.ledger, rig.registry, "spring-1", path)

    with path.open(newline="") as file:
        assert [row["follow_ups"] for row in csv.DictReader(file)] == ["2", "1", "2"]


@pytest.mark.parametrize("was_sent", [True, False])
def test_follow_up_that_nobody_but_a_person_can_settle_is_settled_by_one(rig: Rig, was_sent: bool) -> None:
    send_first(rig, definition(entry("1d"), entry("1d")))
    waves.begin(rig.bench, "spring-1", pass_time(rig, 2 * DAY))
    messages = f"{CONVERSATION}/Messages"
    rig.simulator.settings(fault={"cut_after" if was_sent else "cut_before": 1.0}, forbidden={messages: 403})
    rig.drive()
    rig.simulator.settings(fault={}, forbidden={})
    assert wave_row(rig).state is State.NEEDS_REVIEW
    assert waves.begin(rig.bench, "spring-1", pass_time(rig, 2 * DAY)).rows == 0, "first it must be settled"

    (row,) = find_rows(rig.bench, "spring-1")
    assert (row.row, row.key) == (1, key(send=2))
    assert "`outreach review spring-1 --row 1 --sent" in row.words.advice
    if was_sent:
        with pytest.raises(RefusedHereError, match="it was sent"):
            judge_not_sent(rig.bench, "spring-1", 1)
        assert judge_sent(rig.bench, "spring-1", 1).status == "accepted"
    else:
        assert judge_not_sent(rig.bench, "spring-1", 1).status == "pending"
    rig.drive()

    assert wave_row(rig).state is State.ACCEPTED
    assert sum(rig.messages().values()) == 2
    assert not list(find_rows(rig.bench, "spring-1"))
    with pytest.raises(RefusedHereError, match="needs no review"):
        judge_sent(rig.bench, "spring-1", 1)
