"""Send failed rows again: first the plan, how many and why, and what is left out; then a new send of each."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from worker.errors import RefusedHereError
from worker.ledger.ledger import Ledger
from worker.ledger.registry import CampaignInfo, Registry
from worker.ledger.row import Record
from worker.ledger.states import WAITING, State, status_word
from worker.pipeline.reasons import Words, code_words, is_worth_retrying
from worker.pipeline.story import get_row


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows that a retry does not touch: their status, their reason, and why they are left out."""

    status: str
    words: Words
    why: str


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """What a retry would do: `reasons` and `left_out` count rows; `rows` and `sends` name them."""

    campaign_id: str
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
) -> RetryPlan:
    """Find the failed rows that a retry would send again; changes nothing.

    Without `codes` and `rows` these are the ones whose reason is worth it. Whoever names codes or rows has decided for
    himself: any failed row among them is sent again. Accepted rows and those in need of review never are.

    Raises: NotFoundError for a campaign or row that is not there; RefusedHereError while the campaign is being cancelled.
    """
    info = registry.get(campaign_id)
    if info.state == "cancelled" and any(info.counts.get(state, 0) for state in WAITING):
        raise RefusedHereError(
            f"{campaign_id} is still being cancelled.",
            "Wait until `outreach status` says that nothing is pending.",
        )
    found = RetryPlan(campaign_id)
    wanted = {code.strip().lower() for code in codes}
    for number, record in _chosen(ledger, info, rows):
        _sort_in(found, number, record, wanted, is_named=bool(rows))
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
        for number, record, _, _ in ledger.iter_rows(info.id, info.rows, cells=False, whole_story=False):
            yield number, record
        return
    for number in sorted(set(rows)):
        yield number, get_row(ledger, info.id, number, info.rows).record


def _sort_in(found: RetryPlan, number: int, record: Record, wanted: set[str], *, is_named: bool) -> None:
    words = code_words(record.code) if record.state is State.FAILED else Words()
    why = _why_not(record, words, wanted, is_named=is_named)
    if why:
        found.left_out[LeftOut(status_word(record.state), words, why)] += 1
        return
    found.reasons[words] += 1
    found.rows.append(number)
    found.sends.append(record.send)


def _why_not(record: Record, words: Words, wanted: set[str], *, is_named: bool) -> str:
    if record.state is not State.FAILED:
        return _WHY_NOT.get(record.state, "it is on its way")
    if wanted and words.code.lower() not in wanted:
        return "it failed for another reason than those asked for"
    if not wanted and not is_named and not is_worth_retrying(record.code):
        return "it would fail again; name it with --code or --row to send it all the same"
    # One byte holds a send's number, here and in the ledger.
    return "it was sent 255 times" if record.send == 255 else ""


_WHY_NOT = {
    State.ACCEPTED: "it was accepted",
    State.INVALID: "the row itself is wrong: correct it and send it in a file of its own",
    State.SKIPPED: "a rule leaves it out",
    State.NEEDS_REVIEW: "it may have been sent: `outreach review` decides",
    State.CANCELLED: "it was cancelled",
}
