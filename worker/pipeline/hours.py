"""Keeps to the hours when a customer may be written to first; by Redis's clock, for a worker's own may be wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import ceil

from campaigns.recipients import Recipient
from worker.pipeline.bench import Workbench


def closed_for_ms(bench: Workbench, recipient: Recipient) -> int:
    """Say how long the customer's window is still closed; 0 where it is open, or there is none."""
    if recipient.window is None:
        return 0
    now = datetime.fromtimestamp(bench.ledger.now_ms() / 1000, tz=UTC)
    return ceil(recipient.window.opens_in(now) / timedelta(milliseconds=1))
