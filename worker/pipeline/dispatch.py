"""Keeps the broker's window filled: due rows, no more than the pace can use, campaigns in turn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from math import ceil

from worker.errors import OutreachError
from worker.ledger import keys
from worker.ledger.registry import CampaignInfo
from worker.ledger.states import State
from worker.logs import get_logger
from worker.pacing.pacer import BucketState
from worker.pipeline import pace, reconcile
from worker.pipeline.bench import Workbench

log = get_logger(__name__)

AHEAD_S = 0.6
"""How much work lies ahead of the workers: queued, or waiting for a slot that is reserved already."""
OLD_ROWS = 64
"""How many opened or doubtful rows of a campaign are queued at once; they don't wait for the pace of Interactions."""
UNSENT_S, LEAST_UNSENT = 30.0, 100
"""How many seconds of a sender's pace may be open without a message; rows that may be in any case."""
MOST_DOUBTS = 1_500
"""Rows in doubt from which on no new row is opened: about what can be looked up in a minute."""

Publish = Callable[[str, str, Sequence[int]], None]
"""Queues a task: its name (`send_rows` or `reconcile_rows`), the campaign, the rows."""


def dispatch(bench: Workbench, publish: Publish, turn: int, *, opens: bool = True) -> int:
    """Queue what is due, of every active campaign; how many rows. `turn` moves the campaign that is first.

    Without `opens` only rows that are open or in doubt already.
    """
    infos = [info for name in bench.registry.active() if (info := bench.registry.find(name))]
    room = _room(bench, infos) if opens else 0
    wishes = [_wish_or_none(bench, info) for info in infos]
    shares = fair_shares(room, _share_ceilings(bench, infos, wishes, turn), turn)
    queued = 0
    for info, fresh in zip(infos, shares, strict=True):
        if fresh or _has_old(info):
            queued += _queue(bench, publish, info.id, fresh)
    return queued


def fair_shares(room: int, wishes: Sequence[int], turn: int) -> list[int]:
    """Deal `room` rows to campaigns one by one in turn, none more than it wishes."""
    shares = [0] * len(wishes)
    order = [(turn + at) % len(wishes) for at in range(len(wishes))]
    wanting = [at for at in order if wishes[at] > 0]
    while room > 0 and wanting:
        each = max(1, room // len(wanting))
        for at in wanting:
            given = min(each, wishes[at] - shares[at], room)
            shares[at] += given
            room -= given
        wanting = [at for at in wanting if shares[at] < wishes[at]]
    return shares


def _room(bench: Workbench, infos: Sequence[CampaignInfo]) -> int:
    """Say how many more rows the account's pace can use within AHEAD_S."""
    if sum(info.in_doubt for info in infos) > MOST_DOUBTS:
        return 0
    (account,) = bench.pacer.peek([pace.account_bucket(bench)])
    queued = sum(info.counts[State.QUEUED] for info in infos)
    return _free(account, queued)


def _free(state: BucketState, queued: int) -> int:
    ahead_ms = max(state.reserved_ahead_ms, state.blocked_ms)
    return max(0, ceil(state.per_s * (AHEAD_S - ahead_ms / 1000)) - queued)


def _wish_or_none(bench: Workbench, info: CampaignInfo) -> int:
    """Let a campaign that this version can't read wish for nothing, rather than stop all the others."""
    try:
        return _wish(bench, info)
    except OutreachError:
        raise
    except Exception:
        log.exception("dispatch.campaign_failed", campaign=info.id)
        return 0


def _wish(bench: Workbench, info: CampaignInfo) -> int:
    """Say how many new rows a campaign could use now: those it has, within its own ceiling."""
    if info.state != "running":
        return 0
    due_now = info.next_due_ms is not None and info.next_due_ms <= info.now_ms
    if info.cursor >= info.rows and not due_now:
        return 0
    most = info.counts[State.PENDING]
    loaded = bench.campaign(info.id)
    ceiling = pace.ceiling_bucket(loaded)
    if ceiling is not None:
        (state,) = bench.pacer.peek([ceiling])
        most = min(most, _free(state, info.counts[State.QUEUED]))
    if loaded.campaign.sender_messages_per_s is not None:
        most = min(most, _unsent_room(loaded.campaign.sender_messages_per_s, info))
    return max(0, most)


def _share_ceilings(
    bench: Workbench, infos: Sequence[CampaignInfo], wishes: Sequence[int], turn: int
) -> list[int]:
    """Let a campaign and its waves together wish for no more than their one ceiling lets them use."""
    families: dict[str, list[int]] = defaultdict(list)
    for at, info in enumerate(infos):
        families[keys.parent_of(info.id)].append(at)
    shared = list(wishes)
    for family in families.values():
        wishing = [at for at in family if wishes[at]]
        ceiling = pace.ceiling_bucket(bench.campaign(infos[wishing[0]].id)) if len(wishing) > 1 else None
        if ceiling is None:
            continue
        (state,) = bench.pacer.peek([ceiling])
        room = _free(state, sum(infos[at].counts[State.QUEUED] for at in family))
        for at, share in zip(wishing, fair_shares(room, [wishes[at] for at in wishing], turn), strict=True):
            shared[at] = share
    return shared


def _unsent_room(messages_per_s: float, info: CampaignInfo) -> int:
    """Say how many more rows may be opened before a slow sender: an agent sees each of them, without a message."""
    most_unsent = max(LEAST_UNSENT, int(messages_per_s * UNSENT_S))
    return most_unsent - sum(info.counts[state] for state in (State.QUEUED, State.OPENING, State.OPEN))


def _has_old(info: CampaignInfo) -> bool:
    return info.next_later_ms is not None and info.next_later_ms <= info.now_ms


def _queue(bench: Workbench, publish: Publish, campaign_id: str, fresh: int) -> int:
    due = bench.ledger.dispatch(campaign_id, fresh=fresh, old=OLD_ROWS)
    for row in (*due.open, *due.fresh):
        publish("send_rows", campaign_id, [row])
    for at in range(0, len(due.doubt), reconcile.BATCH):
        publish("reconcile_rows", campaign_id, due.doubt[at : at + reconcile.BATCH])
    return len(due.open) + len(due.fresh) + len(due.doubt)
