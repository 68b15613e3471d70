"""Keeps to the hours when a customer may be written to; by Redis's clock, for a worker's own may be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import ceil

from campaigns.definition import Campaign
from campaigns.recipients import CompiledCampaign, Recipient, compile_campaign
from campaigns.schedule import get_zone
from worker.ledger.registry import CampaignInfo
from worker.ledger.row import Record
from worker.ledger.states import Reason, State
from worker.pipeline.bench import Workbench

_STORY_STEP = timedelta(milliseconds=10)
"""Events are kept in steps of so much, rounded down."""


def closed_for_ms(bench: Workbench, recipient: Recipient) -> int:
    """Say how long the customer's window is still closed; 0 where it is open, or there is none."""
    if recipient.window is None:
        return 0
    now = datetime.fromtimestamp(bench.ledger.now_ms() / 1000, tz=UTC)
    return ceil(recipient.window.opens_in(now) / timedelta(milliseconds=1))


class Openings:
    """Says until when the rows of a campaign wait for their windows; its definition is read when the first one does."""

    def __init__(self, info: CampaignInfo) -> None:
        self._info = info
        self._compiled: CompiledCampaign | None = None

    def until(self, record: Record, cells: Sequence[str]) -> str:
        """Name the moment by the customer's clock and in UTC; "" for a row that waits for no window."""
        put_off = record.story[-1] if record.state is State.PENDING and record.story else None
        if put_off is None or put_off.code != Reason.WINDOW:
            return ""
        if self._compiled is None:
            info = self._info
            campaign = Campaign.from_canonical_json(info.definition)
            self._compiled = compile_campaign(campaign, info.columns, info.file)
        window = self._compiled.window(cells)
        opens_at = window.opens_at(put_off.at + _STORY_STEP) if window else None
        return say_opening(opens_at, window.zones[0]) if window and opens_at else ""


def say_opening(opens_at: datetime, zone: str) -> str:
    """Write a moment by the clock of a zone, and in UTC where that is another."""
    local, utc = (f"{opens_at.astimezone(get_zone(name)):%Y-%m-%d %H:%M}" for name in (zone, "UTC"))
    return f"{local} in {zone}" + (f" ({utc} UTC)" if local != utc else "")
