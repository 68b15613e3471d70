"""What became of a request that went unanswered: looked up, never repeated blind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from campaigns.recipients import Recipient
from worker.gateway.lookups import MAX_KEYS_A_LOOK_UP
from worker.gateway.outcome import Accepted, Unknown
from worker.gateway.seen import ConversationSeen, FlexTaskSeen
from worker.ledger.ledger import Claim
from worker.ledger.row import Row
from worker.ledger.states import Reason, State
from worker.pipeline import opening, pace, pair
from worker.pipeline.bench import LoadedCampaign, Workbench

BATCH = MAX_KEYS_A_LOOK_UP
FORBIDDEN_S, FAILING_S = 2.0, 60.0
"""How long unusable look-ups are repeated, as multiples of the last settle time, before a person must look."""
_SKEW = timedelta(seconds=90)
_ENDED_TASKS = frozenset({"completed", "canceled"})


@dataclass(slots=True)
class Doubt:
    """A row in doubt, held by us, and what the looks so far have shown."""

    row: Row
    recipient: Recipient
    claim: Claim
    key: str
    candidates: tuple[str, ...] = ()
    found: FlexTaskSeen | None = None
    unknown: Unknown | None = None


def reconcile_rows(bench: Workbench, campaign_id: str, numbers: Sequence[int]) -> None:
    """Look up to BATCH rows in doubt up, together where Twilio lets us, and settle each."""
    loaded = bench.campaign(campaign_id)
    openings: dict[str, list[Doubt]] = defaultdict(list)
    for number in numbers:
        doubt = _hold(bench, loaded, number)
        if doubt is None:
            continue
        if doubt.row.state is State.DOUBT_SENDING:
            _settle_sending(bench, loaded, doubt)
        else:
            openings[doubt.recipient.routing.workspace_sid].append(doubt)
    for workspace, doubts in openings.items():
        _settle_openings(bench, loaded, workspace, doubts)


def _hold(bench: Workbench, loaded: LoadedCampaign, number: int) -> Doubt | None:
    row = bench.ledger.get_row(loaded.info.id, number)
    if not row.state.is_doubt:
        return None
    claim = bench.claim()
    if not bench.ledger.take(loaded.info.id, number, claim).ok:
        return None
    row = bench.ledger.get_row(loaded.info.id, number)
    recipient = loaded.compiled.recipient(number, row.cells)
    if not isinstance(recipient, Recipient):  # the definition was changed under it: a person must look
        bench.ledger.review(loaded.info.id, number, claim.token, int(Reason.LOOKUPS_FAILED))
        return None
    return Doubt(row, recipient, claim, loaded.key(number, row.record.send))


# Messages ---------------------------------------------------------------------------------------------------


def _settle_sending(bench: Workbench, loaded: LoadedCampaign, doubt: Doubt) -> None:
    """The conversation's own messages tell."""
    seen = bench.gateway.find_message(doubt.row.record.conversation_sid, doubt.key)
    if isinstance(seen, Accepted) and seen.value:
        bench.ledger.adopt_sending(loaded.info.id, doubt.row.number, doubt.claim.token, seen.value)
        return
    doubt.unknown = seen if isinstance(seen, Unknown) else None
    _not_found(bench, loaded, doubt)


# Interactions -----------------------------------------------------------------------------------------------


def _settle_openings(bench: Workbench, loaded: LoadedCampaign, workspace: str, doubts: list[Doubt]) -> None:
    """First by the customer's address, confirmed by the conversation's Flex task; then by key, all in one look-up."""
    for doubt in doubts:
        seen = bench.gateway.find_conversations(doubt.recipient.address)
        if isinstance(seen, Unknown):
            doubt.unknown = seen
        else:
            doubt.candidates = tuple(each.sid for each in _since(bench, doubt, seen.value))
    tasks: list[FlexTaskSeen] = []
    sids = [sid for doubt in doubts for sid in doubt.candidates]
    for at in range(0, len(sids), MAX_KEYS_A_LOOK_UP):
        part = sids[at : at + MAX_KEYS_A_LOOK_UP]
        tasks += _tasks(bench, workspace, part, doubts, by_key=False)
    _match(bench, loaded, doubts, tasks)
    left = [doubt for doubt in doubts if doubt.found is None]
    if left:
        tasks = _tasks(bench, workspace, [doubt.key for doubt in left], left, by_key=True)
        _match(bench, loaded, left, tasks)
    for doubt in doubts:
        if doubt.found is not None:
            _go_on(bench, loaded, doubt, doubt.found)
        else:
            _not_found(bench, loaded, doubt)


def _since(bench: Workbench, doubt: Doubt, seen: Sequence[ConversationSeen]) -> list[ConversationSeen]:
    """Keep what may have come of the attempt: open, with our sender, not older (Twilio's clock may differ)."""
    began = datetime.fromtimestamp(doubt.row.hand.began / 1000, tz=UTC)
    skew = timedelta(seconds=bench.gateway.clock_skew_s)
    return [
        each
        for each in pair.open_ones(seen, doubt.recipient)
        if each.created_at is None or each.created_at >= began + skew - _SKEW
    ]


def _tasks(
    bench: Workbench, workspace: str, wanted: Sequence[str], doubts: Sequence[Doubt], *, by_key: bool
) -> list[FlexTaskSeen]:
    gateway = bench.gateway
    find = gateway.find_flex_tasks if by_key else gateway.find_flex_tasks_of_conversations
    answer = pace.ask(bench, pace.task_look_ups(), lambda: find(workspace, wanted))
    if isinstance(answer, Accepted):
        return answer.value
    for doubt in doubts:  # it failed for all of them: none is proven absent by it
        if by_key or doubt.candidates:
            doubt.unknown = answer
    return []


def _match(
    bench: Workbench, loaded: LoadedCampaign, doubts: Sequence[Doubt], tasks: Sequence[FlexTaskSeen]
) -> None:
    """Give each doubt the task with its own key. Of two, the one that holds the customer; the other is closed."""
    by_key: dict[str, list[FlexTaskSeen]] = defaultdict(list)
    for task in tasks:
        if task.key and task.assignment_status not in _ENDED_TASKS:
            by_key[task.key].append(task)
    for doubt in doubts:
        usable = [task for task in by_key.get(doubt.key, ()) if _is_usable(bench, doubt, task)]
        if not usable:
            continue
        doubt.found = _with_customer(bench, doubt, usable) if len(usable) > 1 else usable[0]
        for other in usable:
            if other is not doubt.found and other.interaction_sid and other.sid != doubt.found.sid:
                bench.ledger.owe_close(
                    loaded.info.id, doubt.row.number, other.interaction_sid, other.channel_sid or ""
                )


def _is_usable(bench: Workbench, doubt: Doubt, task: FlexTaskSeen) -> bool:
    """Leave out an earlier Interaction of this send whose conversation is closed: nothing can be sent there."""
    if task.interaction_sid and task.interaction_sid == doubt.row.hand.closing:
        return False
    if not task.conversation_sid:
        return True
    state = bench.gateway.fetch_conversation_state(task.conversation_sid)
    if isinstance(state, Unknown):
        doubt.unknown = state
        return False
    return state.value not in (None, "closed")


def _with_customer(bench: Workbench, doubt: Doubt, tasks: Sequence[FlexTaskSeen]) -> FlexTaskSeen:
    address = doubt.recipient.identity or doubt.recipient.address
    for task in tasks:
        if task.conversation_sid and bench.gateway.has_participant(
            task.conversation_sid, address
        ) == Accepted(True):
            return task
    return tasks[0]


def _go_on(bench: Workbench, loaded: LoadedCampaign, doubt: Doubt, task: FlexTaskSeen) -> None:
    """The Interaction is ours: the row is open, and due at once."""
    if opening.adopt(bench, loaded, doubt.row.number, doubt.claim.token, task).ok:
        bench.ledger.wait_open(loaded.info.id, doubt.row.number, doubt.claim.token, 0)


# Neither found --------------------------------------------------------------------------------------------


def _not_found(bench: Workbench, loaded: LoadedCampaign, doubt: Doubt) -> None:
    """Nothing was found: absent for good, to be looked up again, or for a person to look at.

    Absence takes at least two usable empty looks, the last of them at the last but one of the settle times or later;
    the last settle time is the last chance of looks that failed. Looks that go on failing end with NEEDS_REVIEW.
    """
    settle_s = bench.settings.settle_s
    row, token, campaign_id = doubt.row, doubt.claim.token, loaded.info.id
    looked = row.hand.asked + 1
    empty = doubt.unknown is None
    sending = row.state is State.DOUBT_SENDING
    code = doubt.unknown.code if doubt.unknown else 0
    if empty and row.record.looks + 1 >= 2 and looked >= max(2, len(settle_s) - 1):
        settled = bench.ledger.absent_sending if sending else bench.ledger.absent_opening
        max_attempts = loaded.campaign.pacing.max_attempts
        wait_ms = pace.backoff_ms(bench, max(0, row.record.attempts - 1))
        settled(
            campaign_id, row.number, token, wait_ms, max_attempts=max_attempts, code=int(Reason.NO_ANSWER)
        )
        return
    since_s = (bench.ledger.now_ms() - row.hand.doubt) / 1000
    patience = FORBIDDEN_S if code in pace.FORBIDDEN else FAILING_S
    if not empty and since_s >= settle_s[-1] * patience:
        bench.ledger.review(campaign_id, row.number, token, int(Reason.LOOKUPS_FAILED))
        return
    next_s = settle_s[looked] - since_s if looked < len(settle_s) else settle_s[-1] / 3
    wait_ms = int(max(0.2, next_s) * 1000)
    bench.ledger.look_again(campaign_id, row.number, token, wait_ms, empty=empty, code=code)
