"""Say in a plain sentence what a campaign waits for, and until when: nothing waits in silence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from worker.ledger.registry import CampaignInfo
from worker.ledger.row import Row
from worker.ledger.states import State
from worker.pacing.pacer import BucketState
from worker.pipeline.dispatch import MOST_DOUBTS
from worker.pipeline.hours import Openings
from worker.pipeline.pace import FORBIDDEN
from worker.pipeline.reasons import FIRST_TWILIO_CODE, code_words, words_of


def waiting_for(
    info: CampaignInfo,
    paces: Sequence[BucketState],
    *,
    workers: int,
    in_doubt_overall: int = 0,
    first_due: Row | None = None,
    first_later: Row | None = None,
    served_first: str = "",
) -> str | None:
    """Name whom the campaign waits for; None where nothing is waited for.

    `paces` are the buckets that an Interaction is taken from; `in_doubt_overall` counts the account's rows in doubt;
    `first_due` is the first of the rows put off, `first_later` the first of those open or in doubt;
    `served_first` is the id of a campaign that this one stands back for.
    """
    stands = info.stands
    if stands == "loading":
        return (
            f"the file is being loaded, {_rows(info.loaded)} so far; if that was interrupted, give the command again, "
            f"or end it with `outreach cancel {info.id}`"
        )
    if info.left == 0:
        return None
    if stands == "paused":
        return _paused(info)
    if not workers:
        return "no worker is running; `outreach run` and `outreach worker` start some"
    if stands == "cancelled":
        return f"{_rows(info.left)} in hand when the campaign was cancelled"
    return (
        _blocked(paces, info.now_ms)
        or _doubts(info, in_doubt_overall, first_later)
        or _due_later(info, first_due, first_later)
        or _pace(info, paces, served_first)
        or f"Twilio's answers about {_rows(info.left)} in hand"
    )


def caution(info: CampaignInfo) -> str | None:
    """Say that the ledger may be older than what was sent, and what follows; None where it is not."""
    if not info.cautious:
        return None
    if info.is_rebuilt:
        return "the ledger was rebuilt from the results file: each row is looked up before it is sent"
    return (
        f"the ledger is behind what was seen of this campaign, by {info.behind} steps or more: each row is looked up before it is "
        "sent; what was paused, cancelled or retried since must be asked for again"
    )


def _paused(info: CampaignInfo) -> str:
    then = f"`outreach resume {info.id}` lets it go on"
    if info.reason_code:
        words = code_words(info.reason_code)
        return f"paused by the {info.paused_by}: {words.code} {words.sentence} {words.advice} Then {then}"
    by = "the operator" if info.paused_by == "operator" else info.paused_by or "somebody"
    return f"paused by {by}; {then}"


def _blocked(paces: Sequence[BucketState], now_ms: int) -> str | None:
    for state in paces:
        if state.blocked_ms > 0:
            return f"Twilio asked to slow down until {say_clock(now_ms + state.blocked_ms, now_ms)} ({state.bucket.label})"
    return None


def _doubts(info: CampaignInfo, overall: int, first: Row | None) -> str | None:
    next_look = f", next look at {say_clock(info.next_later_ms, info.now_ms)}" if info.next_later_ms else ""
    if overall > MOST_DOUBTS:
        return f"{overall} rows in doubt are looked up before any new row is opened{next_look}"
    if not info.in_doubt or not (info.left == info.in_doubt or info.is_idle):
        return None
    are = "is" if info.in_doubt == 1 else "are"
    return f"{_rows(info.in_doubt)} in doubt {are} being looked up{next_look}{_failing(info, first)}"


def _failing(info: CampaignInfo, first: Row | None) -> str:
    """Name what the last look at a row open or in doubt came to, where it told nothing."""
    if first is None or first.hand.why < FIRST_TWILIO_CODE:
        return ""
    if first.hand.why not in FORBIDDEN:
        return f"; the last look at row {first.number} failed ({first.hand.why})"
    then = (
        f"unless that changes soon, it is left to you in `outreach review {info.id}`"
        if first.state.is_doubt
        else "unless that changes within 10 minutes, it fails"
    )
    return f"; Twilio forbids to look row {first.number} up ({first.hand.why}): {then}"


def _due_later(info: CampaignInfo, first: Row | None, first_later: Row | None) -> str | None:
    if not info.is_idle:
        return None
    until = Openings(info).until(first.record, first.cells) if first else ""
    pending, opened = info.counts.get(State.PENDING, 0), info.waiting_open
    if pending and info.next_due_ms:
        what = f"the time of {_rows(pending)} to be tried again, or to be in their window"
        why = (
            f"; row {first.number}: {words_of(first.record, None, info.id, first.number, until).sentence}"
            if first
            else ""
        )
        return f"{what}, the first at {say_clock(info.next_due_ms, info.now_ms)}{why}"
    if opened and info.next_later_ms:
        what = f"the customer or the slot of {_rows(opened)} that {'is' if opened == 1 else 'are'} open"
        next_look = f"next look at {say_clock(info.next_later_ms, info.now_ms)}"
        return f"{what}, {next_look}{_failing(info, first_later)}"
    return None


def _pace(info: CampaignInfo, paces: Sequence[BucketState], served_first: str) -> str | None:
    """Name the slowest pace, where rows are held back by it."""
    if info.counts.get(State.PENDING, 0) + info.counts.get(State.QUEUED, 0) == 0 or not paces:
        return None
    slowest = min(paces, key=lambda state: state.per_s)
    first = f"; {served_first} is served first, for its priority is higher" if served_first else ""
    if slowest.why:
        more = f"more is tried from {say_clock(info.now_ms + slowest.tries_more_ms, info.now_ms)} on"
        then = more if slowest.tries_more_ms else "more is being tried"
        return f"{slowest.bucket.label}, slowed to {slowest.per_s:.3g} a second since Twilio refused more (429); {then}{first}"
    return slowest.bucket.label + first


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def say_clock(at_ms: int, now_ms: int) -> str:
    """Write a moment of Redis's clock for people, with the day where it isn't today's."""
    at, now = (datetime.fromtimestamp(ms / 1000, tz=UTC) for ms in (at_ms, now_ms))
    return f"{at:%H:%M:%S} UTC" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M:%S} UTC"
