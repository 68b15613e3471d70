"""Keeps the broker's window filled: due rows, no more than the pace can use, the campaigns by turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from worker.errors import OutreachError
from worker.ledger.standings import Standing
from worker.logs import get_logger
from worker.pacing.pacer import Bucket
from worker.pipeline import pace, reconcile
from worker.pipeline.bench import Workbench
from worker.pipeline.turns import Asker, Room, Turns

log = get_logger(__name__)

AHEAD_S = 0.7
"""How much work lies ahead of the workers: queued, or waiting for a slot that is reserved already."""
OLD_ROWS = 128
"""How many opened or doubtful rows of a campaign are queued at once; they don't wait for the pace of Interactions."""
UNSENT_S, LEAST_UNSENT = 30.0, 20
"""How many seconds of a sender's pace may be open without a message; rows that may be in any case."""
MOST_DOUBTS = 1_500
"""Rows in doubt from which on no new row is opened: about what can be looked up in a minute."""

ROWS_A_TASK = 128
"""How many rows a task carries at most: Celery takes about 2 ms of CPU for each task, more than all else about a row."""

Publish = Callable[[str, str, Sequence[int]], None]
"""Queues a task: its name (`send_rows` or `reconcile_rows`), the campaign, the rows."""


@dataclass(frozen=True, slots=True)
class _Rules:
    """What a campaign's definition says about its turns, in one version of it."""

    version: int
    priority: int = 0
    ceiling: Bucket | None = None
    messages_per_s: float | None = None
    is_readable: bool = True


@dataclass(slots=True)
class Dispatcher:
    """One worker's part in it: what it knows from tick to tick. `crew`: the threads of each worker that lives, itself among them."""

    bench: Workbench
    crew: Sequence[int] = ()
    turns: Turns = field(default_factory=Turns)
    _rules: dict[str, _Rules] = field(default_factory=dict)

    def dispatch(self, publish: Publish, *, opens: bool = True) -> int:
        """Queue what is due, of every active campaign; how many rows.

        Without `opens` only rows that are open or in doubt already.
        """
        standings = self.bench.registry.standings()
        self.turns.see(standings)
        shares = self._deal(standings) if opens else {}
        queued, in_hand = 0, sum(one.unsent for one in standings)
        for one in standings:
            fresh = shares.get(one.id, 0)
            if fresh or one.has_old:
                queued += self._queue(publish, one.id, fresh, in_hand)
        return queued

    def _deal(self, standings: Sequence[Standing]) -> Mapping[str, int]:
        """Say how many new rows of each campaign are to be queued: as many as the paces can use within AHEAD_S."""
        fresh = [one for one in standings if one.has_fresh]
        if not fresh or sum(one.in_doubt for one in standings) > MOST_DOUBTS:
            return {}
        self._rules = {one.id: self._rules_of(one) for one in fresh}
        account = pace.account_bucket(self.bench)
        ceilings = {rules.ceiling.name: rules.ceiling for rules in self._rules.values() if rules.ceiling}
        first, *others = self.bench.pacer.peek([account, *ceilings.values()])
        whole = Room(first.slots_within(AHEAD_S))
        rooms = {state.bucket.name: Room(state.slots_within(AHEAD_S)) for state in others}
        for one in standings:  # what is queued takes slots, too
            for room in (whole, rooms.get(pace.ceiling_name(one.id))):
                if room is not None:
                    room.slots -= one.queued * self.turns.cost(one.id)
        askers = []
        for one in fresh:
            rules = self._rules[one.id]
            ceiling = [rooms[rules.ceiling.name]] if rules.ceiling else []
            rows = _rows(one, rules)
            if rows > 0:
                askers.append(Asker(one.id, rows, one.queued, rules.priority, [whole, *ceiling]))
        return self.turns.deal(askers, ceil(AHEAD_S * first.per_s))

    def _queue(self, publish: Publish, campaign_id: str, fresh: int, in_hand: int) -> int:
        due = self.bench.ledger.dispatch(campaign_id, fresh=fresh, old=OLD_ROWS)
        rows = [*due.open, *due.fresh]
        for some in _in_pieces(rows, self._rows_a_task(len(rows), in_hand)):
            publish("send_rows", campaign_id, some)
        for some in _in_pieces(due.doubt, reconcile.BATCH):
            publish("reconcile_rows", campaign_id, some)
        return len(rows) + len(due.doubt)

    def _rows_a_task(self, rows: int, in_hand: int) -> int:
        """Say how many rows go together: each worker gets its part, and has room for all of them.

        What a busy worker took would wait in it, where others can't take it, and look lost.
        """
        if not self.crew or 2 * (in_hand + rows) > sum(self.crew):
            return 1
        return min(ROWS_A_TASK, ceil(rows / len(self.crew)))

    def _rules_of(self, one: Standing) -> _Rules:
        known = self._rules.get(one.id)
        if known is not None and known.version == one.version:
            return known
        try:
            loaded = self.bench.campaign(one.id)
        except OutreachError:
            raise
        except Exception:
            # One that this version can't read wishes for nothing, rather than stop all the others.
            log.exception("dispatch.campaign_failed", campaign=one.id)
            return _Rules(one.version, is_readable=False)
        pacing = loaded.campaign.pacing
        return _Rules(
            loaded.info.version,
            pacing.priority,
            pace.ceiling_bucket(loaded),
            loaded.campaign.sender_messages_per_s,
        )


def _rows(one: Standing, rules: _Rules) -> int:
    """Say how many new rows a campaign could use now, whatever its pace."""
    if not rules.is_readable:
        return 0
    if rules.messages_per_s is None:
        return one.pending
    # Before a slow sender few are opened: an agent sees each of them, without a message.
    most_unsent = max(LEAST_UNSENT, int(rules.messages_per_s * UNSENT_S))
    return min(one.pending, most_unsent - one.unsent)


def _in_pieces(rows: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (rows[at : at + size] for at in range(0, len(rows), max(1, size)))
