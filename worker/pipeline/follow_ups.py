"""Who is due for which follow-up: the rules of `[[follow_up]]` for one row, from its records alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from campaigns.campaign import FollowUp
from worker.ledger.row import Record
from worker.ledger.states import Reason, State

Wave = tuple[int, int]
"""A wave of a campaign: which follow-up, counted from 1, and for the how manyth time."""


class Left(StrEnum):
    """Why a row gets no follow-up, as far as anybody can foresee."""

    NOT_ACCEPTED = "no first message of theirs was accepted"
    OPTED_OUT = "asked for no more messages"
    ANSWERED = "answered"
    UNDER_WAY = "a follow-up is under way"
    IN_REVIEW = "a follow-up needs review"
    BEGUN = "a follow-up was begun this night"
    LOST_COUNT = "had follow-ups before the ledger was rebuilt"
    ALL_SENT = "had every follow-up"
    NONE_FITS = "no follow-up's condition fits"


@dataclass(frozen=True, slots=True)
class Due:
    """A row is due for a wave; `last` is the record of our latest message to the customer."""

    wave: Wave
    last: Record


@dataclass(frozen=True, slots=True)
class Later:
    """A row will be due at `at`, unless something happens until then."""

    follow_up: int
    at: datetime


_GRAIN = timedelta(milliseconds=10)
"""A story's times are no finer than that."""

_OF_THE_NIGHT = timedelta(hours=3)
"""What goes out so soon after a nightly time counts as of that time: else "1d" would come every second night, for messages are
accepted some seconds later, and the night in which clocks are put forward is an hour short. Of a short `after` it is an eighth."""

Decision = Due | Later | Left


def decide(
    follow_ups: Sequence[FollowUp],
    first: Record,
    waves: Mapping[Wave, Record],
    night: datetime,
    lost: int = 0,
) -> Decision:
    """Say which follow-up a row is due for at `night`, when the next one will be, or why there is none.

    The answer depends on `night` and not on the clock: a night that was interrupted goes on as it had begun.
    `lost`: follow-ups that the ledger has lost the records of; nobody knows which they were, so there are no more.
    """
    if lost:
        return Left.LOST_COUNT
    if hindrance := _find_hindrance(first, waves, night):
        return hindrance
    last = find_last(first, waves)
    assert last.finished_at is not None, "what was accepted has ended"
    next_one: Later | None = None
    used_up = True
    for number, follow_up in enumerate(follow_ups, start=1):
        time = 1 + sum(wave[0] == number for wave in waves)
        if time > follow_up.max:
            continue
        used_up = False
        if not fits(follow_up, first, last):
            continue
        after = timedelta(seconds=follow_up.after_s)
        due_at = last.finished_at + after - min(_OF_THE_NIGHT, after / 8)
        if due_at <= night:
            return Due((number, time), last)
        if next_one is None or due_at < next_one.at:
            next_one = Later(number, due_at)
    if next_one is not None:
        return next_one
    if used_up:
        return Left.ALL_SENT
    return Left.ANSWERED if first.answered_at else Left.NONE_FITS


def fits(follow_up: FollowUp, first: Record, last: Record) -> bool:
    """Tell whether a follow-up's condition holds; replies in any conversation are noted on the campaign's own record."""
    match follow_up.if_:
        case "no_reply":
            return not first.answered_at and not last.delivery.is_lost
        case "undelivered":
            return last.delivery.is_lost
        case _:
            return True


def find_last(first: Record, waves: Mapping[Wave, Record]) -> Record:
    """Find our latest message to a customer: the first one, or the last follow-up that was sent."""
    sent = [record for record in waves.values() if _was_sent(record)]
    return max([first, *sent], key=lambda record: record.finished_at or first.story[0].at)


def _was_sent(record: Record) -> bool:
    """Tell whether a follow-up was accepted, or was sent by an operator's word: the next one waits for no more than that."""
    by_word = record.state is State.NEEDS_REVIEW and record.code == Reason.SENT_SAYS_OPERATOR
    return by_word or record.state is State.ACCEPTED


def _find_hindrance(first: Record, waves: Mapping[Wave, Record], night: datetime) -> Left | None:
    if first.state is not State.ACCEPTED or first.finished_at is None:
        return Left.NOT_ACCEPTED
    if first.has_opted_out:
        return Left.OPTED_OUT
    for record in waves.values():
        if not record.state.is_ended:
            return Left.UNDER_WAY
        if record.state is State.NEEDS_REVIEW and not _was_sent(record):
            return Left.IN_REVIEW
        if record.story[0].at >= night - _GRAIN:  # its first event says when it was begun
            return Left.BEGUN
    return None
