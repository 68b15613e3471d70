"""Makes rows due again whose worker died or whose message the broker lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from worker.ledger.states import Reason
from worker.pipeline.bench import Workbench

QUEUED_MS = 5_000
"""Age in the window from which a row counts as lost while the broker holds no message that waits."""
QUEUED_AT_MOST_MS = 60_000
"""Age from which a row counts as lost though messages wait: a doubled message costs a look, never a send."""

IsDead = Callable[[str, Mapping[str, Any]], bool]
"""Tells of a worker (owner, facts) whether its process is certainly gone: then its leases need not run out."""


def rescue(bench: Workbench, campaign_id: str, *, broker_waits: bool, is_dead: IsDead) -> int:
    """Take rows from dead or late holders, and from the window what the broker lost; how many."""
    older_ms = QUEUED_AT_MOST_MS if broker_waits else QUEUED_MS
    rescued = bench.ledger.rescue_queued(campaign_id, older_ms=older_ms)
    return rescued + _expire(bench, campaign_id, is_dead)


def _expire(bench: Workbench, campaign_id: str, is_dead: IsDead) -> int:
    leases = bench.ledger.leases(campaign_id)
    if not leases:
        return 0
    workers = bench.registry.workers()
    owners = bench.ledger.owners(campaign_id, [row for row, _ in leases])
    now = bench.ledger.now_ms()
    first_ms = int(bench.settings.settle_s[0] * 1000)
    expired = 0
    for (row, until), owner in zip(leases, owners, strict=True):
        dead = owner != "" and is_dead(owner, workers.get(owner, {}))
        if dead or until <= now:
            code = int(Reason.WORKER_LOST)
            reply = bench.ledger.expire(campaign_id, row, first_ms, code, owner=owner if dead else None)
            expired += reply.ok
    return expired
