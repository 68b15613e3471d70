"""Tell whether each event of a row's story is told in words, with its reason where there is one."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.ledger.row import Record, Story
from worker.ledger.states import Event, Reason, State
from worker.pipeline.story import StoryLine, in_order, tell_story

AT = datetime(2026, 11, 22, 14, 3, 22, tzinfo=UTC)


def tell(*events: Story, send: int = 1) -> list[str]:
    return [line.text for line in tell_story([Record(State.PENDING, send=send, story=events)])]


@pytest.mark.parametrize("event", list(Event))
def test_every_event_is_a_sentence(event: Event) -> None:
    (text,) = tell(Story(event, AT, 0))

    assert text[0].isupper()
    assert text.endswith(".")


def test_reason_is_told_with_its_code() -> None:
    assert tell(Story(Event.SKIPPED, AT, Reason.PAIR_BUSY)) == [
        "Skipped (pair_busy). The customer already has an open conversation with this sender."
    ]


def test_lost_answer_is_not_told_as_the_end_of_every_attempt() -> None:
    assert tell(Story(Event.SENDING_UNANSWERED, AT, Reason.NO_ANSWER)) == [
        "The answer about the message was lost: in doubt, to be looked up."
    ]


def test_verdict_says_how_the_operator_decided() -> None:
    assert tell(Story(Event.VERDICT, AT, 1), Story(Event.VERDICT, AT, 2)) == [
        "An operator says: it was sent.",
        "An operator says: it was not sent.",
    ]


def test_sends_are_told_in_order_with_their_numbers() -> None:
    first = Record(State.FAILED, send=1, story=(Story(Event.FAILED, AT, 0),))
    second = Record(State.PENDING, send=2, story=(Story(Event.NEW_SEND, AT, 0),))

    assert [(line.at, line.send) for line in tell_story([first, second])] == [(AT, 1), (AT, 2)]


def test_what_is_heard_late_of_a_send_is_told_after_the_follow_up_that_went_before() -> None:
    first = [StoryLine(AT, 1, "accepted"), StoryLine(AT + timedelta(days=4), 1, "STOP")]
    wave = [StoryLine(AT + timedelta(days=3), 2, "accepted", follow_up=1)]

    assert [line.follow_up for line in in_order([*first, *wave])] == [0, 1, 0]


def test_answer_by_a_clock_that_is_behind_is_not_told_before_its_send() -> None:
    lines = [StoryLine(AT, 1, "accepted"), StoryLine(AT - timedelta(seconds=1), 1, "answered")]

    assert in_order(lines) == tuple(lines)
