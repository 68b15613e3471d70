"""The tasks that carry rows: each reads a name, calls one function, and returns nothing."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from worker.errors import OutreachError
from worker.logs import get_logger
from worker.pipeline import send
from worker.pipeline.reconcile import reconcile_rows as reconcile
from worker.tasks.app import app, parts
from worker.tasks.stopping import Stopping

log = get_logger(__name__)


class _Threads(dict[str, ThreadPoolExecutor]):
    def __missing__(self, tag: str) -> ThreadPoolExecutor:
        threads = int(app.conf.worker_concurrency or 1)
        return self.setdefault(tag, ThreadPoolExecutor(threads, thread_name_prefix="row"))


_threads = _Threads()
"""Work on the rows of tasks that carry several; they take each task's rows in turn, so there is no more at once than else.

An account's own, made as they are needed: where its Twilio hangs, or its Redis is away, its rows fill all of them.
"""


@app.task(name="send_rows")  # type: ignore[untyped-decorator]
def send_rows(tag: str, campaign_id: str, rows: Sequence[int]) -> None:
    """Give each of `rows` its next step, none after another: they would miss their slots; `tag` is the account's.

    The message is acknowledged once all are done. Rows of a worker that dies meanwhile are rescued one by one.
    """
    if len(rows) == 1:
        _guarded(tag, campaign_id, rows[0])
    else:
        wait([_threads[tag].submit(_guarded, tag, campaign_id, row) for row in rows])


def _guarded(tag: str, campaign_id: str, row: int) -> None:
    """One bad row costs one row: what goes wrong with it is logged, and the ledger makes it due again."""
    try:
        if Stopping.opens or not _give_back(tag, campaign_id, row):
            send.send_row(parts.hands(tag), campaign_id, row)
    except OutreachError as error:
        log.warning("row.stopped", campaign=campaign_id, row=row, error=error.sentence)
    except Exception:
        log.exception("row.failed", campaign=campaign_id, row=row)


def _give_back(tag: str, campaign_id: str, row: int) -> bool:
    """Give a row back that is not opened yet; tell whether it was one."""
    return parts.bench(tag).ledger.defer_queued(campaign_id, row, 0).ok


@app.task(name="reconcile_rows")  # type: ignore[untyped-decorator]
def reconcile_rows(tag: str, campaign_id: str, rows: Sequence[int]) -> None:
    """Look up rows whose request went unanswered."""
    try:
        reconcile(parts.hands(tag), campaign_id, rows)
    except OutreachError as error:
        log.warning("reconcile.stopped", campaign=campaign_id, rows=len(rows), error=error.sentence)
    except Exception:
        log.exception("reconcile.failed", campaign=campaign_id, rows=len(rows))
