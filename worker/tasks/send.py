"""The tasks that carry rows: each reads a name, calls one function, and returns nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from worker.errors import OutreachError
from worker.ledger.row import Row
from worker.logs import get_logger
from worker.loop import Loop
from worker.pipeline import send
from worker.pipeline.bench import Workbench
from worker.pipeline.reconcile import reconcile_rows as reconcile
from worker.tasks.app import app, parts
from worker.tasks.stopping import Stopping, leave

log = get_logger(__name__)


class _Loops(dict[str, Loop]):
    def __missing__(self, tag: str) -> Loop:
        return self.setdefault(tag, Loop("rows", int(app.conf.worker_concurrency or 1), leave))


_loops = _Loops()
"""Where the rows are worked on; an account's own, made as they are needed: one whose Redis hangs holds up nobody else."""


@app.task(name="send_rows")  # type: ignore[untyped-decorator]
def send_rows(tag: str, campaign_id: str, rows: Sequence[int]) -> None:
    """Give each of `rows` its next step, none after another: they would miss their slots; `tag` is the account's.

    The message is acknowledged once all are done. Rows of a worker that dies meanwhile are rescued one by one.
    """
    bench = parts.hands(tag)
    try:
        bench.campaign(campaign_id)  # once, rather than by each of the first rows
        found = bench.ledger.get_rows(campaign_id, rows)
    except OutreachError as error:
        log.warning("rows.stopped", campaign=campaign_id, rows=len(rows), error=error.sentence)
    except Exception:
        log.exception("rows.failed", campaign=campaign_id, rows=len(rows))
    else:
        _loops[tag].work([partial(_guarded, bench, campaign_id, row) for row in found])


def _guarded(bench: Workbench, campaign_id: str, row: Row) -> None:
    """One bad row costs one row: what goes wrong with it is logged, and the ledger makes it due again."""
    try:
        if Stopping.opens or not _give_back(bench, campaign_id, row.number):
            send.send_read_row(bench, campaign_id, row)
    except OutreachError as error:
        log.warning("row.stopped", campaign=campaign_id, row=row.number, error=error.sentence)
    except Exception:
        log.exception("row.failed", campaign=campaign_id, row=row.number)


def _give_back(bench: Workbench, campaign_id: str, row: int) -> bool:
    """Give a row back that is not opened yet; tell whether it was one."""
    return bench.ledger.defer_queued(campaign_id, row, 0).ok


@app.task(name="reconcile_rows")  # type: ignore[untyped-decorator]
def reconcile_rows(tag: str, campaign_id: str, rows: Sequence[int]) -> None:
    """Look up rows whose request went unanswered."""
    try:
        reconcile(parts.hands(tag), campaign_id, rows)
    except OutreachError as error:
        log.warning("reconcile.stopped", campaign=campaign_id, rows=len(rows), error=error.sentence)
    except Exception:
        log.exception("reconcile.failed", campaign=campaign_id, rows=len(rows))
