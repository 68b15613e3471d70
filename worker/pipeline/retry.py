"""Send failed and undelivered rows again: first the plan, how many and why, and what is left out; then a new send of each."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from worker.errors import RefusedHereError
from worker.ledger.ledger import Ledger
from worker.ledger.registry import CampaignInfo, Registry
from worker.ledger.row import Record
from worker.ledger.states import WAITING, State, status_word
from worker.pipeline.hearing import OPT_OUT_CODES
from worker.pipeline.reasons import Words, code_words, delivery_words, is_worth_retrying
from worker.pipeline.retry_file import read_rows
from worker.pipeline.story import get_row

_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows that a retry does not touch: their status, their reason, and why they are left out."""

    status: str
    words: Words
    why: str


@dataclass(slots=True)
class RetryPlan:
    """What a retry would do: `reasons` and `left_out` count rows; `rows` and `sends` name them.

    `undelivered`: rows among them that were accepted, and whose message did not reach the customer.
    """

    campaign_id: str
    undelivered: int = 0
    reasons: Counter[Words] = field(default_factory=Counter)
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)
    rows: array[int] = field(default_factory=lambda: array("L"), repr=False)
    sends: array[int] = field(default_factory=lambda: array("B"), repr=False)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Begun:
    """What a retry did: rows that have a new send now, and rows that another command took first."""

    begun: int
    overtaken: int


def plan(
    ledger: Ledger,
    registry: Registry,
    campaign_id: str,
    *,
    codes: Sequence[str] = (),
    rows: Sequence[int] = (),
    results: Path | None = None,
) -> RetryPlan:
    """Find the failed and undelivered rows that a retry would send again; changes nothing.

    Without `codes`, `rows` and `results` (a results file that was edited by hand) these are the ones whose reason is worth
    it. Whoever names them has decided for himself: any failed row among them is sent again. Rows that were delivered, may
    have been sent, or whose customer wants no messages never are.

    Raises: NotFoundError for a campaign or row that is not there; RefusedHereError while the campaign is being cancelled;
    RefusedError for a results file that is not this campaign's.
    """
    info = registry.get(campaign_id)
    if info.state == "cancelled" and any(info.counts.get(state, 0) for state in WAITING):
        raise RefusedHereError(
            f"{campaign_id} is still being cancelled.",
            "Wait until `outreach status` says that nothing is pending.",
        )
    found = RetryPlan(campaign_id)
    wanted = {code.strip().lower() for code in codes}
    chosen = _chosen(ledger, info, rows) if results is None else read_rows(ledger, info, results)
    is_named = bool(rows) or results is not None
    for number, record, is_followed in _with_follow_ups(ledger, campaign_id, chosen):
        _sort_in(found, number, record, wanted, is_named=is_named, is_followed=is_followed)
    if info.state == "paused":
        found.warnings.append(
            f"{campaign_id} is paused: nothing is sent until `outreach resume {campaign_id}`."
        )
    if info.state == "cancelled":
        found.warnings.append(
            f"{campaign_id} was cancelled: only these rows go on, the cancelled ones stay as they are."
        )
    return found


def begin(
    ledger: Ledger, registry: Registry, retry_plan: RetryPlan, progress: Callable[[int], None] | None = None
) -> Begun:
    """Begin a new send of every row of the plan that still stands where the plan saw it."""
    campaign_id, begun = retry_plan.campaign_id, 0
    if retry_plan.rows:
        # First, so that no row becomes due in a campaign that nobody looks after.
        registry.set_active(campaign_id, active=True)
    for done, (number, send) in enumerate(zip(retry_plan.rows, retry_plan.sends, strict=True), start=1):
        begun += ledger.new_send(campaign_id, number, send).ok
        if progress is not None:
            progress(done)
    if begun:
        # And again: a tick that found nothing left just before may have noted so just after.
        registry.set_active(campaign_id, active=True)
    return Begun(begun, len(retry_plan.rows) - begun)


def _chosen(ledger: Ledger, info: CampaignInfo, rows: Sequence[int]) -> Iterator[tuple[int, Record]]:
    if not rows:
        for number, record, _, _ in ledger.iter_rows(info.id, info.rows, cells=False):
            yield number, record
        return
    for number in sorted(set(rows)):
        yield number, get_row(ledger, info.id, number, info.rows).record


def _with_follow_ups(
    ledger: Ledger, campaign_id: str, chosen: Iterable[tuple[int, Record]]
) -> Iterator[tuple[int, Record, bool]]:
    """Tell beside each row whether a follow-up of it has begun since its message."""
    rows = iter(chosen)
    while piece := list(islice(rows, _AT_ONCE)):
        waved = ledger.waved(campaign_id, [number for number, _ in piece])
        for (number, record), send in zip(piece, waved, strict=True):
            yield number, record, send > record.send


def _sort_in(
    found: RetryPlan, number: int, record: Record, wanted: set[str], *, is_named: bool, is_followed: bool
) -> None:
    is_undelivered = record.state is State.ACCEPTED and record.delivery.is_lost
    words, code = Words(), record.code
    if is_undelivered:
        words, code = delivery_words(record.delivery_code), record.delivery_code
    elif record.state is State.FAILED:
        words = code_words(record.code)
    why = _why_not(record, code, words, wanted, is_named=is_named, is_undelivered=is_undelivered)
    if not why and is_followed and not wanted and not is_named:
        why = "a follow-up of it has begun since; name it with --code or --row to send it all the same"
    if why:
        found.left_out[LeftOut(status_word(record.state), words, why)] += 1
        return
    found.reasons[words] += 1
    found.undelivered += is_undelivered
    found.rows.append(number)
    found.sends.append(record.send)


def _why_not(
    record: Record, code: int, words: Words, wanted: set[str], *, is_named: bool, is_undelivered: bool
) -> str:
    if record.state is not State.FAILED and not is_undelivered:
        return _WHY_NOT.get(record.state, "it is on its way")
    if is_undelivered and (record.has_opted_out or code in OPT_OUT_CODES):
        return "the customer wants no messages from this sender"
    if wanted and words.code.lower() not in wanted:
        return "it failed for another reason than those asked for"
    if not wanted and not is_named and is_undelivered and record.answered_at:
        return "the customer has answered all the same"
    if not wanted and not is_named and not (code and is_worth_retrying(code)):
        return "it would fail again; name it with --code or --row to send it all the same"
    # One byte holds a send's number, here and in the ledger.
    return "it was sent 255 times" if record.send == 255 else ""


_WHY_NOT = {
    State.ACCEPTED: "it was accepted, and is not known to be undelivered",
    State.INVALID: "the row itself is wrong: correct it and send it in a file of its own",
    State.SKIPPED: "a rule leaves it out",
    State.NEEDS_REVIEW: "it may have been sent: `outreach review` decides",
    State.CANCELLED: "it was cancelled",
}
