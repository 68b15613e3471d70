"""The task that beat sends: look at the timetable, and carry out what is due."""

from __future__ import annotations

from worker import wiring
from worker.errors import OutreachError
from worker.logs import get_logger
from worker.tasks.app import app, parts
from worker.tasks.stopping import Stopping

log = get_logger(__name__)


@app.task(name="run_timetable")  # type: ignore[untyped-decorator]
def run_timetable(tag: str) -> None:
    """Carry out what is due in an account; what is left undone is done by the next one."""
    # Here, for no row waits for it, and it imports all that reads files.
    from worker.pipeline import timetable

    try:
        timetable.run(parts.hands(tag), wiring.is_gone, lambda: Stopping.opens)
    except OutreachError as error:
        log.warning("timetable.stopped", account=tag, error=error.sentence)
    except Exception:
        log.exception("timetable.failed", account=tag)
