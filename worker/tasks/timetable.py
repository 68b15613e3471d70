"""The task that beat sends: look at the timetable, and carry out what is due."""

from __future__ import annotations

from worker import wiring
from worker.effects import effect
from worker.errors import OutreachError
from worker.logs import get_logger
from worker.pipeline import timetable
from worker.tasks.app import WAKE_EVERY_S, app, parts, queue_of
from worker.tasks.stopping import Stopping

log = get_logger(__name__)


@app.task(name="run_timetable")  # type: ignore[untyped-decorator]
def run_timetable(tag: str = "") -> None:
    """Carry out what is due in an account, or have it done in every one; what is left undone is done by the next one."""
    if tag:
        _run(tag)
    elif len(parts.accounts) == 1:
        _run(*parts.accounts)
    else:
        # A thread each: one whose Redis is away is waited for.
        for each in parts.accounts:
            how = {"queue": queue_of(each), "expires": WAKE_EVERY_S, "retry": False}
            with effect("publish"):
                run_timetable.apply_async((each,), **how)


def _run(tag: str) -> None:
    try:
        timetable.run(parts.hands(tag), wiring.is_gone, lambda: Stopping.opens)
    except OutreachError as error:
        log.warning("timetable.stopped", account=tag, error=error.sentence)
    except Exception:
        log.exception("timetable.failed", account=tag)
