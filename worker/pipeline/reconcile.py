"""What became of a request that went unanswered: looked up, never repeated blind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from campaigns.recipients import Recipient
from worker.errors import OutreachError
from worker.gateway.lookups import MAX_KEYS_A_LOOK_UP
from worker.gateway.outcome import Accepted, Answer, Unknown
from worker.gateway.seen import ConversationSeen, FlexTaskSeen
from worker.ledger.ledger import Claim
from worker.ledger.row import NOT_LOOKED, Row
from worker.ledger.states import Reason, State
from worker.logs import get_logger
from worker.pipeline import cautious, opening, pace, pair
from worker.pipeline.bench import LoadedCampaign, Workbench

log = get_logger(__name__)

BATCH = MAX_KEYS_A_LOOK_UP
FORBIDDEN_S, FAILING_S = 2.0, 60.0
"""How long unusable look-ups are repeated, as multiples of the last settle time, before a person must look."""
LOOK_UPS = 4
"""Requests that a lease lasts for, however slow: by address for all, the tasks twice, a found one's conversation."""
_NOT_YET = Unknown(int(Reason.THROTTLED), "there was no time left to look it up")
_BEING_CLOSED = Unknown(0, "the Interaction that was found is just being closed")
_IN_NEITHER = Unknown(0, "two Interactions have this key, and the customer is in neither yet")


@dataclass(slots=True)
class Doubt:
    """A row in doubt, held by us until `lease_until`, and what the looks so far have shown.

    `seen`: what its customer's address led to just now, where that was asked already.
    """

    row: Row
    recipient: Recipient
    claim: Claim
    key: str
    lease_until: float
    since_s: float
    candidates: tuple[str, ...] = ()
    tasks: dict[str, FlexTaskSeen] = field(default_factory=dict)
    unknown: Unknown | None = None
    seen: Answer[list[ConversationSeen]] | None = None


def reconcile_rows(bench: Workbench, campaign_id: str, numbers: Sequence[int]) -> None:
    """Look up to BATCH rows in doubt up, together where Twilio lets us, and settle each."""
    openings: dict[tuple[int, str], list[int]] = defaultdict(list)
    campaigns: dict[int, LoadedCampaign] = {}
    for number in numbers:
        with _alone(campaign_id, number):
            row = bench.ledger.get_row(campaign_id, number)
            loaded = campaigns[row.hand.version] = bench.campaign_of(row, campaign_id)
            if row.state is State.DOUBT_SENDING:
                _settle_sending(bench, loaded, number)
            elif row.state is State.DOUBT_OPENING:
                recipient = loaded.compiled.recipient(number, row.cells)
                workspace = recipient.routing.workspace_sid if isinstance(recipient, Recipient) else ""
                openings[row.hand.version, workspace].append(number)
    for (version, workspace), rows in openings.items():
        _settle_openings(bench, campaigns[version], workspace, rows)


@contextmanager
def _alone(campaign_id: str, number: int) -> Iterator[None]:
    """Let what goes wrong with one row cost no other of its batch: it stays held until its lease is over."""
    try:
        yield
    except OutreachError:
        raise
    except Exception:
        log.exception("reconcile.row_failed", campaign=campaign_id, row=number)


def _hold(bench: Workbench, loaded: LoadedCampaign, number: int) -> Doubt | None:
    claim, held_at = bench.claim(LOOK_UPS), bench.clock()
    if not bench.ledger.take(loaded.info.id, number, claim).ok:
        return None
    row = bench.ledger.get_row(loaded.info.id, number)
    recipient = loaded.compiled.recipient(number, row.cells)
    if not isinstance(recipient, Recipient):  # the definition was changed under it: a person must look
        bench.ledger.review(loaded.info.id, number, claim.token, int(Reason.LOOKUPS_FAILED))
        return None
    since_s = (bench.ledger.now_ms() - row.hand.doubt) / 1000
    key = loaded.key(number, row.record.send)
    return Doubt(row, recipient, claim, key, held_at + claim.lease_ms / 1000, since_s)


def _has_time(bench: Workbench, doubt: Doubt, requests: int) -> bool:
    """Tell whether so many requests, however slow, still fit into the lease."""
    return bench.clock() + requests * bench.request_s + 1.0 <= doubt.lease_until


# Messages ---------------------------------------------------------------------------------------------------


def _settle_sending(bench: Workbench, loaded: LoadedCampaign, number: int) -> None:
    """The conversation's own messages tell."""
    doubt = _hold(bench, loaded, number)
    if doubt is None:
        return
    if doubt.row.hand.looking != NOT_LOOKED:
        if cautious.leave_sent(bench, loaded, [doubt]):
            _not_found(bench, loaded, doubt)
        return
    seen = bench.gateway.find_message(doubt.row.record.conversation_sid, doubt.key)
    if isinstance(seen, Accepted) and seen.value:
        bench.ledger.adopt_sending(loaded.info.id, number, doubt.claim.token, seen.value)
        return
    doubt.unknown = seen if isinstance(seen, Unknown) else None
    _not_found(bench, loaded, doubt)


# Interactions -----------------------------------------------------------------------------------------------


def _settle_openings(bench: Workbench, loaded: LoadedCampaign, workspace: str, rows: Sequence[int]) -> None:
    """First by key, all in one look-up, which shows doubles too; then by the customer's address.

    What the address leads to is confirmed by the conversation's Flex task; the search for tasks may be behind it.
    """
    doubts: list[Doubt] = []
    for number in rows:
        with _alone(loaded.info.id, number):
            doubt = _hold(bench, loaded, number)
            if doubt is not None:
                doubts.append(doubt)
    if not doubts:
        return
    tasks = _tasks(bench, workspace, [doubt.key for doubt in doubts], doubts, by_key=True)
    doubts = cautious.leave_sent(bench, loaded, doubts, tasks)
    left = _settle(bench, loaded, doubts, tasks)
    for doubt in left:
        _look_by_address(bench, doubt)
    sids = [sid for doubt in left for sid in doubt.candidates]
    tasks = []
    for at in range(0, len(sids), MAX_KEYS_A_LOOK_UP):
        tasks += _tasks(bench, workspace, sids[at : at + MAX_KEYS_A_LOOK_UP], left, by_key=False)
    for doubt in _settle(bench, loaded, left, tasks):
        _not_found(bench, loaded, doubt)


def _look_by_address(bench: Workbench, doubt: Doubt) -> None:
    if not _has_time(bench, doubt, LOOK_UPS - 1):
        doubt.unknown = _NOT_YET
        return
    seen = doubt.seen or pair.find_conversations(bench, doubt.recipient)
    if isinstance(seen, Unknown):
        doubt.unknown = seen
    else:
        doubt.candidates = tuple(
            each.sid for each in pair.open_ones(seen.value, doubt.recipient)[: pair.NEWEST]
        )


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


def _settle(
    bench: Workbench, loaded: LoadedCampaign, doubts: Sequence[Doubt], tasks: Sequence[FlexTaskSeen]
) -> list[Doubt]:
    """Give each doubt the task with its own key; those without one are left."""
    mine = {doubt.key: doubt for doubt in doubts}
    for task in tasks:
        if task.key in mine:
            mine[task.key].tasks[task.sid] = task
    left = []
    for doubt in doubts:
        usable = [task for task in doubt.tasks.values() if _is_usable(bench, loaded, doubt, task)]
        usable.sort(key=lambda task: task.has_ended)  # one that an agent still has goes first
        chosen = _choose(bench, doubt, usable) if len(usable) > 1 else next(iter(usable), None)
        if chosen is None or not _go_on(bench, loaded, doubt, chosen, usable):
            left.append(doubt)
    return left


def _is_usable(bench: Workbench, loaded: LoadedCampaign, doubt: Doubt, task: FlexTaskSeen) -> bool:
    """Leave out an Interaction whose conversation was closed: nothing can be sent there, so it is closed too."""
    if not _has_time(bench, doubt, 1):
        doubt.unknown = _NOT_YET
        return False
    state = pair.conversation_state(bench, task)
    if isinstance(state, Unknown):
        doubt.unknown = state
        return False
    if state.value == "closed" and task.interaction_sid and not task.has_ended:
        where = (loaded.info.id, doubt.row.number, doubt.claim.token)
        bench.ledger.owe_close(*where, task.interaction_sid, task.channel_sid or "")
    return state.value not in pair.UNUSABLE


def _choose(bench: Workbench, doubt: Doubt, tasks: Sequence[FlexTaskSeen]) -> FlexTaskSeen | None:
    """Of several Interactions with one key choose the one that holds the customer; None while that isn't sure.

    The others are closed, and a wrong one closed would be the customer's: so nothing is guessed while it may still show.
    """
    for task in tasks:
        if task.conversation_sid in doubt.candidates:
            return task
    address = doubt.recipient.identity or doubt.recipient.address
    for task in tasks:
        inside = bench.gateway.has_participant(task.conversation_sid or "", address)
        if isinstance(inside, Unknown):
            doubt.unknown = inside
            return None
        if inside.value:
            return task
    if doubt.since_s < bench.settings.settle_s[-1]:
        doubt.unknown = _IN_NEITHER
        return None
    return tasks[0]


def _go_on(
    bench: Workbench,
    loaded: LoadedCampaign,
    doubt: Doubt,
    chosen: FlexTaskSeen,
    tasks: Sequence[FlexTaskSeen],
) -> bool:
    """The Interaction is ours: the row is open, and due at once. Others with its key are closed.

    False: nothing came of it, for it is to be closed itself.
    """
    campaign_id, number, token = loaded.info.id, doubt.row.number, doubt.claim.token
    reply = opening.adopt(bench, loaded, number, token, chosen, others=tasks)
    if reply.ok:
        bench.ledger.wait_open(campaign_id, number, token, 0)
    doubt.unknown = _BEING_CLOSED
    return reply.why != "closing"


# Neither found --------------------------------------------------------------------------------------------


def _not_found(bench: Workbench, loaded: LoadedCampaign, doubt: Doubt) -> None:
    """Nothing was found: absent for good, to be looked up again, or for a person to look at.

    Absence takes at least two usable empty looks, the last of them at the last but one of the settle times or later;
    the last settle time is the last chance of looks that failed. Looks that go on failing end with NEEDS_REVIEW.
    """
    settle_s = bench.settings.settle_s
    row, token, campaign_id = doubt.row, doubt.claim.token, loaded.info.id
    empty = doubt.unknown is None
    code = doubt.unknown.code if doubt.unknown else 0
    if empty and row.record.looks + 1 >= 2 and doubt.since_s >= settle_s[max(0, len(settle_s) - 2)]:
        _absent(bench, loaded, doubt)
        return
    patience = FORBIDDEN_S if code in pace.FORBIDDEN else FAILING_S
    if not empty and doubt.since_s >= settle_s[-1] * patience:
        reason = Reason.LOOKUPS_FAILED if row.hand.looking == NOT_LOOKED else Reason.OLDER_LEDGER
        bench.ledger.review(campaign_id, row.number, token, int(reason))
        return
    least_s = settle_s[0] / 2
    ahead = [at_s for at_s in settle_s if at_s > doubt.since_s]
    wait_s = max(least_s, ahead[0] - doubt.since_s if ahead else settle_s[-1] / 3)
    if code == Reason.THROTTLED:  # our own pace, not Twilio, kept us from looking: soon, with all the others
        wait_s = least_s
    wait_ms = pace.gathered_ms(bench, int(wait_s * 1000))
    bench.ledger.look_again(campaign_id, row.number, token, wait_ms, empty=empty, code=code)


def _absent(bench: Workbench, loaded: LoadedCampaign, doubt: Doubt) -> None:
    row = doubt.row
    sending = row.state is State.DOUBT_SENDING
    settled = bench.ledger.absent_sending if sending else bench.ledger.absent_opening
    settled(
        loaded.info.id,
        row.number,
        doubt.claim.token,
        pace.backoff_ms(bench, max(0, row.record.attempts - 1)),
        max_attempts=loaded.campaign.pacing.max_attempts,
        code=int(Reason.NO_ANSWER),
    )
