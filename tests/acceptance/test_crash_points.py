"""A real process dies by SIGKILL at every crash point, one by one, and is started again: each row is sent exactly once."""

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from crash_yard import SENDER, CrashYard, Way, stop_with_slots_ahead
from outreach_command import number, wait_until
from simulator_calls import INTERACTIONS
from simulator_process import SimulatorProcess
from turns import Turns

from campaigns.definition import parse_definition
from ops.cli.crew import has_live_workers
from worker.effects import points
from worker.ledger.states import Delivery, State
from worker.ledger.suppression import Suppression
from worker.ledger.timetable import Schedule, Timetable, files_entry
from worker.pipeline.waves import begin, preview

ROUTING = {"workspace": "WS", "workflow": "WW", "queue": "WQ", "worker": "WK"}


def trouble(last: int, area: int = 415) -> str:
    """Give the number of a customer whose last digits bring trouble (see the simulator's README)."""
    return f"+1{area}5550{last}"


def twin_of(address: str) -> Callable[[CrashYard, str], None]:
    """Open an Interaction with the row's own key before the row does: an earlier attempt that nobody heard of."""

    def before(yard: CrashYard, campaign_id: str) -> None:
        participants = [{"address": address, "proxy_address": SENDER, "type": "sms"}]
        properties = {f"{name}_sid": f"{letters}{1:032}" for name, letters in ROUTING.items()}
        attributes = {"outreach_key": f"{campaign_id}:1:1", "customerName": "Ann"}
        routing = {"properties": {**properties, "task_channel_unique_name": "chat", "attributes": attributes}}
        channel = {"type": "sms", "initiated_by": "agent", "participants": participants}
        answer = yard.calls.post(INTERACTIONS, Channel=json.dumps(channel), Routing=json.dumps(routing))
        assert answer.status_code == 200, answer.text

    return before


def closed_twin_and_no_answers(yard: CrashYard, campaign_id: str) -> None:
    """Open the twin and have an agent close its conversation; from then on all answers of Twilio are lost."""
    twin_of(number(1))(yard, campaign_id)
    yard.simulator.close(yard.simulator.journal("interaction")[0]["conversation_sid"])
    yard.simulator.settings(fault={"cut_after": 1.0})


def sent_before(yard: CrashYard, campaign_id: str) -> None:
    """Have the row's message at Twilio already: an older ledger was put back, and does not know of it."""
    twin_of(number(1))(yard, campaign_id)
    conversation = yard.simulator.journal("interaction")[0]["conversation_sid"]
    yard.simulator.settings(setup_ms=0)
    wait_until(lambda: yard.calls.participants(conversation))
    answer = yard.calls.send(conversation, f"{campaign_id}:1:1", Body="Hello")
    assert answer.status_code == 201, answer.text


def close_under_it(yard: CrashYard, campaign_id: str) -> None:
    """Have an agent close the conversation of the row that waits for its sender's pace."""
    if yard.simulator.journal("conversation_closed"):
        return
    for number_ in (1, 2):
        row = yard.ledger.get_row(campaign_id, number_)
        if row.state is State.OPEN and row.hand.seen:
            yard.simulator.close(row.record.conversation_sid)
            return


def cancel_once_struck(yard: CrashYard, campaign_id: str) -> None:
    """Cancel the campaign as soon as its worker has died: the row would wait for long."""
    if yard.struck_file.exists():
        yard.registry.cancel(campaign_id)


def closed_now() -> str:
    """Give a window that is closed at this hour."""
    hours = ("02:00", "03:00") if datetime.now(UTC).hour >= 12 else ("20:00", "21:00")
    return '\n[window]\nfrom = "{}"\nuntil = "{}"\ntimezone = "UTC"\n'.format(*hours)


FORBIDDEN = {"GET conversations": 403, "GET taskrouter": 403}
AT_ONCE = {"sent_s": 0, "delivered_s": 0}
USUAL = Way([number(1), number(2)], ["accepted", "accepted"])
OPENING_LOST = Way([trouble(194)], ["accepted"])
OPENING_NOT_DONE = Way([trouble(193)], ["accepted"])
SENDING_LOST = Way([trouble(164)], ["accepted"])
SENDING_NOT_DONE = Way([trouble(163)], ["accepted"])
# Longer than a worker may take from the Interaction to its look at who is there, on a machine that is busy.
NOT_READY = Way([number(1)], ["accepted"], simulator={"setup_ms": 2_500})
MESSAGE_REFUSED = Way([trouble(176)], ["failed"])
HEARD = Way([number(1), trouble(150)], ["accepted", "accepted"], simulator={**AT_ONCE, "reply_s": 0})
LATE = Way(
    [number(at) for at in range(1, 25)],
    ["accepted"] * 24,
    meanwhile=stop_with_slots_ahead,
    settings={"OUTREACH_ACCOUNT_INTERACTIONS_PER_S": "6"},
)

WAYS: dict[str, Way] = {
    "dispatch": USUAL,
    "claim_opening": USUAL,
    "opened": USUAL,
    "take": NOT_READY,
    "wait_open": NOT_READY,
    "claim_sending": USUAL,
    "accepted": USUAL,
    "deactivate": USUAL,
    "rescue_queued": USUAL,
    "defer_opening": Way([trouble(189)], ["accepted"]),
    "defer_sending": Way([trouble(161)], ["accepted"]),
    "doubt_opening": OPENING_LOST,
    "adopt_opening": OPENING_LOST,
    "look_again": OPENING_NOT_DONE,
    "absent_opening": OPENING_NOT_DONE,
    "doubt_sending": SENDING_LOST,
    "adopt_sending": SENDING_LOST,
    "adopt_sent": Way([number(1)], ["accepted"], before=sent_before, settings={"OUTREACH_CAUTIOUS": "yes"}),
    "absent_sending": SENDING_NOT_DONE,
    "reject_opening": Way([trouble(180)], ["failed"]),
    "reject_sending": MESSAGE_REFUSED,
    "closed": MESSAGE_REFUSED,
    "abandon_open": Way([trouble(182)], ["failed"]),
    "skip_opening": Way([trouble(183)], ["skipped"]),
    "use_conversation": Way([trouble(183)], ["accepted"], top='pair_busy = "use"\n'),
    "wait_opening": Way([trouble(183)], ["cancelled"], top='pair_busy = "wait"\n', meanwhile=cancel_once_struck),
    "defer_queued": Way([number(1)], ["cancelled"], rest=closed_now(), meanwhile=cancel_once_struck),
    "review": Way([trouble(194)], ["needs_review"], simulator={"forbidden": FORBIDDEN}),
    "owe_close": Way([number(1)], ["accepted"], before=closed_twin_and_no_answers),
    "switch_interaction": Way([number(1)], ["accepted"], before=twin_of(number(1))),
    "reopen_sending": Way([number(1), number(2)], ["accepted"] * 2, rest="\n[pacing]\nmessages_per_second = 0.25\n", meanwhile=close_under_it),
    "give_up_slot": LATE,
    "take_polls": HEARD,
    "note_delivery": HEARD,
    "note_answer": HEARD,
    "poll_again": HEARD,
    "post_interaction": USUAL,
    "post_message": USUAL,
    "post_closing": MESSAGE_REFUSED,
    "take_slot": OPENING_LOST,
    "slow_down": Way([trouble(189)], ["accepted"]),
    "move_slots": LATE,
    "publish": USUAL,
    "note_seen": USUAL,
    "write_results": USUAL,
    "mark_results_begun": USUAL,
    "rename_results": USUAL,
    "mark_results_whole": USUAL,
}  # fmt: skip
"""Effects that a worker has, and a campaign that brings each about."""

COMMANDS = ("create", "load_rows", "start", "discard", "update_definition", "pause", "resume", "cancel", "cancel_rows", "new_send", "verdict", "suppress", "unsuppress", "hash_suppressed", "put_schedule", "drop_schedule", "take_night", "take_file", "note_night", "post_webhooks", "create_wave", "begin_wave", "stop_follow_ups")  # fmt: skip
"""Effects that a command has."""

APART = ("expire", "end_queued", "heed")
"""Effects that take more than a campaign to bring about."""


@pytest.fixture(scope="module")
def yards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turns[CrashYard]]:
    @contextmanager
    def make() -> Iterator[CrashYard]:
        folder = tmp_path_factory.mktemp("yard")
        simulator = SimulatorProcess(folder)
        yard = CrashYard(folder, simulator)
        yield yard
        yard.close()
        simulator.stop()

    turns = Turns(make)
    yield turns
    turns.close()


@pytest.fixture
def yard(yards: Turns[CrashYard], request: pytest.FixtureRequest) -> Iterator[CrashYard]:
    with yards.turn(request.node) as yard:
        yield yard


def _effect(point: str) -> str:
    return point.partition(" ")[2]


def _die_and_go_on(yard: CrashYard, point: str, way: Way, campaign_id: str) -> None:
    yard.wait(
        lambda: yard.has_died() and yard.struck_file.exists(), way, campaign_id, f"nobody passed {point}"
    )
    yard.have_worker()
    yard.wait(lambda: yard.is_over(campaign_id), way, campaign_id, f"it did not go on after {point}")
    yard.judge(way, campaign_id)


def _hear(yard: CrashYard, campaign_id: str) -> None:
    """Have what died in the midst of asking for deliveries asked for again: its lease, minutes, is over."""
    client, polls = yard.ledger.client, yard.ledger.key(campaign_id, "polls")
    client.zadd(polls, dict.fromkeys(client.zrange(polls, 0, -1), 0))

    def is_heard() -> bool:
        info = yard.registry.get(campaign_id)
        return (info.deliveries[Delivery.DELIVERED], info.answered) == (2, 1)

    yard.wait(is_heard, HEARD, campaign_id, "a delivery or an answer was not heard of")
    yard.wait(lambda: yard.is_over(campaign_id), HEARD, campaign_id, "the results file did not follow")
    rows = yard.installation.rows(campaign_id)
    assert [row["delivery_status"] for row in rows] == ["delivered"] * 2
    assert [bool(row["answered_at"]) for row in rows] == [False, True]


@pytest.mark.parametrize("point", [point for point in points() if _effect(point) in WAYS])
def test_rows_are_sent_once_though_their_worker_dies(yard: CrashYard, point: str) -> None:
    way = WAYS[_effect(point)]
    if way.settings:
        yard.stop_worker()
    yard.have_worker(**way.settings)
    yard.arm(point)

    campaign_id = yard.load(way)

    _die_and_go_on(yard, point, way, campaign_id)
    if way is HEARD:
        _hear(yard, campaign_id)


def test_rows_are_sent_once_though_the_worker_dies_that_took_them_from_a_dead_one(yard: CrashYard) -> None:
    yard.have_worker()
    yard.arm("after claim_opening")
    campaign_id = yard.load(USUAL)
    yard.wait(
        lambda: yard.has_died() and yard.struck_file.exists(), USUAL, campaign_id, "nobody claimed a row"
    )
    yard.arm("after expire")

    yard.have_worker()

    _die_and_go_on(yard, "after expire", USUAL, campaign_id)


def test_row_is_ended_once_though_the_worker_dies_that_ended_it_without_a_call(yard: CrashYard) -> None:
    way = Way([number(1)], ["failed"])
    yard.stop_worker()
    campaign_id = yard.load(way)
    text = yard.installation.definition.read_text().replace("{{ phone }}", "{{ name }}")
    unreadable = parse_definition(text, "spring.toml").canonical_json()
    assert yard.registry.update_definition(campaign_id, unreadable, 1).ok
    yard.arm("after end_queued")

    yard.have_worker()

    _die_and_go_on(yard, "after end_queued", way, campaign_id)


def test_rows_are_sent_once_though_the_worker_dies_that_takes_notice_of_the_results_file(
    yard: CrashYard,
) -> None:
    yard.have_worker()
    first = yard.load(USUAL)
    yard.wait(lambda: yard.is_over(first), USUAL, first, "it did not end")
    yard.stop_worker()
    campaign_id = yard.load(USUAL)
    yard.arm("after heed")

    yard.have_worker()

    _die_and_go_on(yard, "after heed", USUAL, campaign_id)


# Commands ---------------------------------------------------------------------------------------------------


def _die(yard: CrashYard, point: str, *command: str) -> None:
    """Give a command that dies at `point`."""
    yard.arm(point)
    yard.installation(*command, code=-signal.SIGKILL)
    assert yard.struck_file.exists()


def _have_live_worker(yard: CrashYard) -> None:
    """Have a worker that has shown itself: without one `load` is refused."""
    yard.have_worker()
    wait_until(lambda: has_live_workers(yard.registry))


def _finish(yard: CrashYard, way: Way, campaign_id: str) -> None:
    yard.wait(lambda: yard.is_over(campaign_id), way, campaign_id, "it did not go on")
    yard.judge(way, campaign_id)


@pytest.mark.parametrize("effect", ["create", "load_rows", "start"])
def test_load_that_dies_is_completed_by_the_next(yard: CrashYard, effect: str) -> None:
    _have_live_worker(yard)
    yard.write(USUAL)
    _die(yard, f"after {effect}", "load", *yard.installation.files)
    begun = yard.simulator.journal("interaction")

    campaign_id = yard.installation("load", *yard.installation.files).stdout.strip()

    assert effect == "start" or not begun, "a half campaign was sent"
    _finish(yard, USUAL, campaign_id)


def test_load_that_dies_while_it_takes_a_refused_file_back_leaves_nothing(yard: CrashYard) -> None:
    _have_live_worker(yard)
    yard.write(Way([number(at) for at in range(1, 80)], []))
    known = set(yard.registry.ids())
    with yard.installation.customers.open("a") as customers:
        customers.write('"+12025550100,an unclosed quote\n')
    _die(yard, "after discard", "load", *yard.installation.files)

    yard.installation("load", *yard.installation.files, code=2)

    assert set(yard.registry.ids()) == known
    assert not yard.simulator.journal("interaction")


def _waiting(yard: CrashYard) -> tuple[Way, str]:
    """Load a campaign whose rows wait for their hours."""
    way = Way([number(1), number(2)], ["cancelled"] * 2, rest=closed_now())
    yard.have_worker()
    return way, yard.load(way)


@pytest.mark.parametrize("effect", ["cancel", "cancel_rows"])
def test_cancelling_goes_on_though_the_command_dies(yard: CrashYard, effect: str) -> None:
    way, campaign_id = _waiting(yard)
    yard.stop_worker()  # it cancels rows, too, and would die in the command's place

    _die(yard, f"after {effect}", "cancel", campaign_id, "--yes")
    yard.have_worker()

    _finish(yard, way, campaign_id)


def test_pause_and_resume_take_effect_though_the_commands_die(yard: CrashYard) -> None:
    yard.stop_worker()
    campaign_id = yard.load(USUAL)
    _die(yard, "after pause", "pause", campaign_id)
    yard.have_worker()
    assert yard.registry.get(campaign_id).state == "paused"

    _die(yard, "after resume", "resume", campaign_id)

    _finish(yard, USUAL, campaign_id)


def test_update_that_dies_has_taken_effect(yard: CrashYard) -> None:
    yard.stop_worker()
    campaign_id = yard.load(USUAL)
    yard.registry.pause(campaign_id, "operator")
    _have_live_worker(yard)
    definition = yard.installation.definition
    definition.write_text(definition.read_text().replace("Hello", "Good morning"))
    _die(yard, "after update_definition", "load", *yard.installation.files, "--update")

    yard.installation("load", *yard.installation.files)

    assert yard.registry.get(campaign_id).version == 2
    yard.registry.resume(campaign_id)
    _finish(yard, USUAL, campaign_id)


def test_retry_that_dies_has_begun_one_new_send(yard: CrashYard) -> None:
    yard.have_worker()
    campaign_id = yard.load(MESSAGE_REFUSED)
    _finish(yard, MESSAGE_REFUSED, campaign_id)

    _die(yard, "after new_send", "retry", campaign_id, "--row", "1", "--yes")

    _finish(yard, MESSAGE_REFUSED, campaign_id)
    assert yard.ledger.get_row(campaign_id, 1).record.send == 2


def test_verdict_that_dies_has_begun_one_new_send(yard: CrashYard) -> None:
    review = WAYS["review"]
    yard.have_worker()
    campaign_id = yard.load(review)
    _finish(yard, review, campaign_id)
    yard.simulator.settings(forbidden={})

    _die(yard, "after verdict", "review", campaign_id, "--row", "1", "--not-sent")

    _finish(yard, Way(review.numbers, ["accepted"]), campaign_id)
    assert yard.ledger.get_row(campaign_id, 1).record.send == 2


def test_do_not_contact_list_is_as_it_was_told_to_be_though_the_commands_die(yard: CrashYard) -> None:
    listed = Suppression(yard.ledger.client, yard.settings.account_tag)
    own, other = "*|+12025550198", "*|+12025550199"  # of nobody's here

    _die(yard, "after suppress", "suppress", "add", own[2:], other[2:])
    assert listed.find([[own], [other]]) == [True, True]
    _die(yard, "after unsuppress", "suppress", "remove", other[2:])
    assert listed.find([[own], [other]]) == [True, False]
    _die(yard, "after hash_suppressed", "suppress", "hash", "--yes")

    assert listed.is_hashed
    assert listed.find([[own], [other]]) == [True, False], "what is not turned yet counts as well"
    listed.hash()
    assert [each.address for each in listed.entries()] == [""]


def _schedule(yard: CrashYard) -> Schedule:
    """Write a campaign whose file is quiet, to be sent every night."""
    yard.have_worker()
    yard.write(USUAL)
    os.utime(yard.installation.customers, (0, 0))
    return Schedule("evening", *yard.installation.files, "0 18 * * *", "UTC")


@pytest.mark.parametrize("effect", ["take_night", "take_file", "note_night"])
def test_night_whose_command_dies_is_gone_on_with_by_the_next(yard: CrashYard, effect: str) -> None:
    timetable = Timetable(yard.registry)
    timetable.put_schedule(_schedule(yard))
    wait_until(lambda: has_live_workers(yard.registry))
    _die(yard, f"after {effect}", "schedule", "run-now", "evening")

    yard.installation("schedule", "run-now", "evening")

    done = [night for night in timetable.nights(files_entry("evening")) if night.campaigns]
    assert [night.state for night in done] == ["done"]
    _finish(yard, USUAL, done[0].campaigns[0])
    timetable.drop_schedule("evening")


def test_schedule_is_there_or_gone_though_the_commands_die(yard: CrashYard) -> None:
    timetable = Timetable(yard.registry)
    schedule = _schedule(yard)
    _die(
        yard,
        "after put_schedule",
        "schedule",
        "add",
        "evening",
        *yard.installation.files,
        "--cron",
        schedule.cron,
    )
    assert timetable.find_schedule("evening")

    _die(yard, "after drop_schedule", "schedule", "remove", "evening")

    assert timetable.schedules() == []


FOLLOWED_UP = Way(
    [number(1), number(2)],
    ["accepted"] * 2,
    rest='\n[[follow_up]]\nafter = "1s"\nbody = "Still there?"\n\n[[follow_up]]\nafter = "90d"\nbody = "Good bye"\n',
)


def _due_for_follow_up(yard: CrashYard) -> str:
    """Have a campaign sent whose rows are due for a follow-up."""
    yard.have_worker()
    campaign_id = yard.load(FOLLOWED_UP)
    _finish(yard, FOLLOWED_UP, campaign_id)
    wait_until(lambda: preview(yard.ledger, yard.registry, campaign_id, datetime.now(UTC)).due == 2)
    return campaign_id


@pytest.mark.parametrize("point", ["after create_wave", "after begin_wave"])
def test_follow_ups_are_sent_once_though_the_command_dies_that_begins_them(
    yard: CrashYard, point: str
) -> None:
    campaign_id = _due_for_follow_up(yard)

    _die(yard, point, "follow-up", "run", campaign_id, "--yes")
    yard.installation("follow-up", "run", campaign_id, "--yes")

    wave_id = f"{campaign_id}.f1-1"
    wait_until(lambda: yard.registry.get(wave_id).counts[State.ACCEPTED] == 2)
    keys = Counter(one["key"] for one in yard.simulator.journal("message"))
    assert keys == Counter(f"{campaign_id}:{row}:{send}" for row in (1, 2) for send in (1, 2))


def test_follow_ups_are_stopped_though_the_command_dies_that_stops_them(yard: CrashYard) -> None:
    campaign_id = _due_for_follow_up(yard)
    yard.stop_worker()
    begin(yard.bench, campaign_id, datetime.now(UTC))

    _die(yard, "after stop_follow_ups", "follow-up", "stop", campaign_id)

    yard.have_worker()
    wait_until(lambda: yard.registry.get(f"{campaign_id}.f1-1").counts[State.CANCELLED] == 2)
    assert len(yard.simulator.journal("message")) == 2


def test_every_crash_point_is_died_at() -> None:
    reached = {*WAYS, *COMMANDS, *APART}

    assert {_effect(point) for point in points()} == reached, "a new effect needs a way that brings it about"
