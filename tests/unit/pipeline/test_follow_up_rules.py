"""Who is due for which follow-up: every rule, from records alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from campaigns.campaign import FollowUp
from worker.ledger.row import Record, Story
from worker.ledger.states import Delivery, Event, State
from worker.pipeline.follow_ups import Due, Later, Left, decide

BEGAN = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def follow_up(days: float = 3, if_: str = "no_reply", most: int = 1) -> FollowUp:
    return FollowUp.model_validate({"after_s": days * 86_400, "if": if_, "body": "Hello", "max": most})


def ended(
    state: State = State.ACCEPTED,
    at: datetime = BEGAN,
    *events: Event,
    delivery: Delivery = Delivery.NONE,
    begun: datetime | None = None,
) -> Record:
    last = {State.ACCEPTED: Event.ACCEPTED, State.NEEDS_REVIEW: Event.NEEDS_REVIEW}.get(state, Event.FAILED)
    later = (Story(event, at + HOUR, 0) for event in events)
    story = (Story(Event.NEW_SEND, begun or at, 0), Story(last, at, 0), *later)
    return Record(state, delivery=delivery, story=story)


PENDING = Record(State.PENDING, story=(Story(Event.NEW_SEND, BEGAN + 3 * DAY, 0),))


def test_row_is_due_when_the_time_after_its_message_has_passed() -> None:
    first, entries = ended(), [follow_up(3)]

    due_at = BEGAN + 3 * DAY - 3 * HOUR

    found = [decide(entries, first, {}, at) for at in (BEGAN + 3 * DAY, due_at, due_at - HOUR)]

    assert found == [Due((1, 1), first), Due((1, 1), first), Later(1, due_at)]


def test_daily_follow_up_comes_every_night_though_it_is_accepted_after_its_time() -> None:
    entries, nights = [follow_up(1, most=3)], [BEGAN + (day + 1) * DAY for day in range(3)]
    waves = {(1, at + 1): ended(at=night + 2 * HOUR) for at, night in enumerate(nights[:2])}

    found = decide(entries, ended(), waves, nights[2])

    assert found == Due((1, 3), waves[1, 2])


def test_short_time_is_cut_by_an_eighth_at_most() -> None:
    found = decide([follow_up(1 / 24)], ended(), {}, BEGAN)

    assert found == Later(1, BEGAN + HOUR * 7 / 8)


@pytest.mark.parametrize("state", [state for state in State if state is not State.ACCEPTED])
def test_row_whose_first_message_was_not_accepted_is_left(state: State) -> None:
    always = [follow_up(0.01, "always")]

    assert decide(always, replace(ended(), state=state), {}, BEGAN + DAY) is Left.NOT_ACCEPTED


@pytest.mark.parametrize(
    ("if_", "delivery", "answered", "fits"),
    [
        ("no_reply", Delivery.NONE, False, True),
        ("no_reply", Delivery.READ, False, True),
        ("no_reply", Delivery.NONE, True, False),
        ("no_reply", Delivery.UNDELIVERED, False, False),
        ("no_reply", Delivery.FAILED, False, False),
        ("undelivered", Delivery.UNDELIVERED, False, True),
        ("undelivered", Delivery.FAILED, True, True),
        ("undelivered", Delivery.DELIVERED, False, False),
        ("undelivered", Delivery.NONE, False, False),
        ("always", Delivery.READ, True, True),
        ("always", Delivery.UNDELIVERED, False, True),
    ],
)
def test_condition_decides(if_: str, delivery: Delivery, answered: bool, fits: bool) -> None:
    events = (Event.ANSWERED,) if answered else ()
    first = ended(State.ACCEPTED, BEGAN, *events, delivery=delivery)

    found = decide([follow_up(1, if_)], first, {}, BEGAN + 2 * DAY)

    assert isinstance(found, Due) is fits
    if not fits:
        assert found is (Left.ANSWERED if answered else Left.NONE_FITS)


def test_who_opted_out_gets_nothing_whatever_the_condition() -> None:
    first = ended(State.ACCEPTED, BEGAN, Event.ANSWERED, Event.OPTED_OUT)

    assert decide([follow_up(1, "always")], first, {}, BEGAN + 9 * DAY) is Left.OPTED_OUT


def test_first_entry_of_the_file_that_is_due_is_taken() -> None:
    entries = [follow_up(5), follow_up(1, "undelivered"), follow_up(2, "always"), follow_up(1, "always")]

    found = decide(entries, ended(), {}, BEGAN + 3 * DAY)

    assert isinstance(found, Due)
    assert found.wave == (3, 1)


def test_of_several_that_wait_the_next_one_is_told() -> None:
    assert decide([follow_up(5), follow_up(2)], ended(), {}, BEGAN) == Later(2, BEGAN + 2 * DAY - 3 * HOUR)


def test_time_counts_from_the_last_follow_up_that_was_accepted() -> None:
    entries, wave = [follow_up(3, most=2)], ended(at=BEGAN + 4 * DAY)

    assert decide(entries, ended(), {(1, 1): wave}, BEGAN + 6 * DAY) == Later(1, BEGAN + 7 * DAY - 3 * HOUR)
    assert decide(entries, ended(), {(1, 1): wave}, BEGAN + 7 * DAY) == Due((1, 2), wave)


def test_what_became_of_the_last_message_counts_not_of_the_first() -> None:
    first = ended(delivery=Delivery.UNDELIVERED)
    waves = {(1, 1): ended(at=BEGAN + DAY, delivery=Delivery.DELIVERED)}
    entries = [follow_up(1, "undelivered", most=3), follow_up(2)]

    found = decide(entries, first, waves, BEGAN + 4 * DAY)

    assert found == Due((2, 1), waves[1, 1])


@pytest.mark.parametrize("state", [State.FAILED, State.SKIPPED, State.CANCELLED])
def test_follow_up_that_was_not_accepted_counts_as_one_and_no_time_from_it(state: State) -> None:
    entries, waves = [follow_up(1), follow_up(2)], {(1, 1): ended(state, BEGAN + DAY)}

    assert decide(entries, ended(), waves, BEGAN + 2 * DAY) == Due((2, 1), ended())
    assert decide(entries[:1], ended(), waves, BEGAN + 9 * DAY) is Left.ALL_SENT


def test_max_is_how_often_an_entry_is_sent() -> None:
    waves = {(1, time): ended(at=BEGAN + time * DAY) for time in (1, 2, 3)}

    assert decide([follow_up(1, most=3)], ended(), waves, BEGAN + 9 * DAY) is Left.ALL_SENT
    found = decide([follow_up(1, most=4)], ended(), waves, BEGAN + 9 * DAY)
    assert isinstance(found, Due)
    assert found.wave == (1, 4)


@pytest.mark.parametrize(
    ("wave", "why"),
    [(PENDING, Left.UNDER_WAY), (ended(State.NEEDS_REVIEW, BEGAN + 3 * DAY), Left.IN_REVIEW)],
)
def test_follow_up_that_is_not_settled_holds_the_next_one_back(wave: Record, why: Left) -> None:
    assert decide([follow_up(1, "always", 9)], ended(), {(1, 1): wave}, BEGAN + 30 * DAY) is why


def test_night_that_is_continued_begins_no_second_follow_up_of_a_row() -> None:
    night = BEGAN + 3 * DAY
    entries, waves = [follow_up(1), follow_up(2)], {(1, 1): ended(State.FAILED, night + HOUR, begun=night)}

    assert decide(entries, ended(), waves, night) is Left.BEGUN
    assert isinstance(decide(entries, ended(), waves, night + DAY), Due)
