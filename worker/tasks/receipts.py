"""The task that asks for deliveries and replies: few at a time, behind the rows, so that sending never waits for it."""

from __future__ import annotations

from threading import Lock

from worker.errors import NotFoundError, OutreachError
from worker.ledger.ledger import Poll
from worker.logs import get_logger
from worker.pipeline import receipts
from worker.tasks.app import app, parts
from worker.tasks.stopping import Stopping

log = get_logger(__name__)

MOST, SHARE = 2, 8
"""So many threads of a process, and one in so many, but one at least, may ask for deliveries: the others are there for rows."""
BEHIND = 9
"""The last of the priorities that kombu has with Redis: a message is taken only where no row's is waiting."""

_in_hand: set[tuple[str, str, int]] = set()
_lock = Lock()


@app.task(name="read_receipts")  # type: ignore[untyped-decorator]
def read_receipts(tag: str, campaign_id: str, bucket: int, last_ms: int, until_ms: int) -> None:
    """Ask for the deliveries and replies of a bucket of rows, or give it back where enough threads are at it."""
    mine, taken = (tag, campaign_id, bucket), Poll(bucket, last_ms, until_ms)
    ledger = parts.bench(tag).ledger
    try:
        with _lock:
            # A message that was accepted meanwhile makes its bucket due again, while it is still being asked for here.
            is_free = mine not in _in_hand and len(_in_hand) < _most()
            if is_free:
                _in_hand.add(mine)
        if not is_free:
            ledger.poll_again(campaign_id, taken, last_ms, receipts.SOONEST_MS)
            return
        try:
            receipts.poll(parts.bench(tag), campaign_id, taken, _goes_on)
        finally:
            with _lock:
                _in_hand.discard(mine)
    except NotFoundError:  # the campaign is gone
        ledger.poll_again(campaign_id, taken, last_ms, None)
    except OutreachError as error:  # Redis, most likely: it comes again after its lease
        log.warning("receipts.stopped", campaign=campaign_id, error=error.sentence)
    except Exception:
        log.exception("receipts.failed", campaign=campaign_id)
        ledger.poll_again(campaign_id, taken, last_ms, int(receipts.TROUBLE_S * 1000))


def _most() -> int:
    return max(1, min(MOST, int(app.conf.worker_concurrency or 1) // SHARE))


def _goes_on() -> bool:
    return Stopping.opens
