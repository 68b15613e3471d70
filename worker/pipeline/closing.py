"""Closes Interactions that got no message, until Twilio confirms it."""

from __future__ import annotations

from worker.gateway.outcome import Accepted, Deferred
from worker.ledger.ledger import ToClose
from worker.pacing.pacer import Wait
from worker.pipeline import pace
from worker.pipeline.bench import Workbench

AGAIN_MS = 5_000
NOT_FOUND = 20404


def close_some(bench: Workbench, campaign_id: str, most: int = 10) -> int:
    """Close some of a campaign's empty Interactions; how many were confirmed."""
    return sum(_close(bench, campaign_id, each) for each in bench.ledger.to_close(campaign_id, most))


def _close(bench: Workbench, campaign_id: str, each: ToClose) -> bool:
    sid = each.interaction_sid
    # Put off before it is tried: no other worker tries it meanwhile, and one that breaks keeps none behind it waiting.
    bench.ledger.closed(campaign_id, sid, done=False, due_in_ms=AGAIN_MS)
    channel = each.channel_sid or _find_channel(bench, sid)
    if channel is not None and not (channel and _close_channel(bench, sid, channel)):
        return False
    bench.ledger.closed(campaign_id, sid, done=True)
    return True


def _close_channel(bench: Workbench, interaction_sid: str, channel_sid: str) -> bool:
    bucket = pace.flex(bench, "closing")
    slot = pace.take(bench, [bucket])
    if isinstance(slot, Wait) or not pace.arrive(bench, [bucket], slot):
        return False
    outcome = bench.gateway.close_interaction(interaction_sid, channel_sid)
    if isinstance(outcome, Deferred):
        pace.slow_down(bench, bucket, outcome)
    return isinstance(outcome, Accepted)


def _find_channel(bench: Workbench, interaction_sid: str) -> str | None:
    """Find the channel's SID; empty where it isn't known yet, None where Twilio has no such Interaction."""
    seen = pace.ask(bench, pace.flex(bench, "channels"), lambda: bench.gateway.fetch_channel(interaction_sid))
    if isinstance(seen, Accepted):
        return seen.value.sid if seen.value else ""
    return None if seen.code == NOT_FOUND else ""
