"""Makes rows due again whose worker died or whose message the broker lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from worker.ledger.states import Reason
from worker.pipeline.bench import Workbench

QUEUED_MS = 5_000
"""How much older in the window than the broker's oldest message a row is that counts as lost."""
DIED_MS = 500
"""The same, while a worker has just died: what it had of the window would keep others from filling it for so long."""
QUEUED_AT_MOST_MS = 60_000
"""Age from which a row counts as lost whatever waits: a doubled message costs a look, never a send."""

IsDead = Callable[[str, Mapping[str, Any]], bool]
"""Tells of a worker (owner, facts) whether its process is certainly gone: then its leases need not run out."""


def rescue(
    bench: Workbench,
    campaign_id: str,
    *,
    broker_lag_ms: int | None,
    is_dead: IsDead | None,
    has_died: bool = False,
) -> int:
    """Take rows from dead or late holders, and from the window what the broker lost; how many.

    `broker_lag_ms`: how long the oldest message in the broker has waited, 0 where none waits; None: that is not known.
    `is_dead`: None to look for late holders only, which costs next to nothing, however many rows are in hand.
    `has_died`: whether some worker was seen dead within the last seconds, with what the broker had given it.
    """
    # First in, first out: what was queued before the oldest that waits is in some worker's hands, or gone with one.
    lag_ms = QUEUED_AT_MOST_MS if broker_lag_ms is None else broker_lag_ms
    older_ms = min(QUEUED_AT_MOST_MS, (DIED_MS if has_died else QUEUED_MS) + lag_ms)
    rescued = bench.ledger.rescue_queued(campaign_id, older_ms=older_ms)
    of_dead = _of_dead(bench, campaign_id, is_dead) if is_dead else {}
    late = bench.ledger.leases(campaign_id, bench.ledger.now_ms())
    first_ms, code = int(bench.settings.settle_s[0] * 1000), int(Reason.WORKER_LOST)
    for row, owner in (dict.fromkeys(row for row, _ in late) | of_dead).items():
        rescued += bench.ledger.expire(campaign_id, row, first_ms, code, owner=owner).ok
    return rescued


def _of_dead(bench: Workbench, campaign_id: str, is_dead: IsDead) -> dict[int, str]:
    """Tell which rows are in the hands of dead workers, and of which."""
    rows = [row for row, _ in bench.ledger.leases(campaign_id)]
    if not rows:
        return {}
    workers = bench.registry.workers()
    owners = bench.ledger.owners(campaign_id, rows)
    dead = {owner for owner in set(owners) if owner and is_dead(owner, workers.get(owner, {}))}
    return {row: owner for row, owner in zip(rows, owners, strict=True) if owner in dead}
