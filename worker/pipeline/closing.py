"""Closes Interactions that got no message, until Twilio confirms it."""

from __future__ import annotations

from worker.gateway.outcome import Accepted, Deferred, Rejected
from worker.ledger.ledger import ToClose
from worker.pacing.pacer import Wait
from worker.pipeline import pace
from worker.pipeline.bench import Workbench

AGAIN_MS = 5_000


def close_some(bench: Workbench, campaign_id: str, most: int = 10) -> int:
    """Close some of a campaign's empty Interactions; how many were confirmed."""
    return sum(_close(bench, campaign_id, each) for each in bench.ledger.to_close(campaign_id, most))


def _close(bench: Workbench, campaign_id: str, each: ToClose) -> bool:
    sid = each.interaction_sid
    channel = each.channel_sid or _find_channel(bench, sid)
    done = False
    if channel:
        bucket = pace.flex(bench, "closing")
        slot = pace.take(bench, [bucket])
        if isinstance(slot, Wait) or not pace.arrive(bench, [bucket], slot):
            return False
        outcome = bench.gateway.close_interaction(sid, channel)
        if isinstance(outcome, Deferred):
            pace.slow_down(bench, [bucket], outcome)
        done = isinstance(outcome, Accepted) or (
            isinstance(outcome, Rejected) and outcome.code in (404, 20404)
        )
    bench.ledger.closed(campaign_id, sid, done=done, due_in_ms=AGAIN_MS)
    return done


def _find_channel(bench: Workbench, interaction_sid: str) -> str:
    seen = pace.ask(bench, pace.flex(bench, "channels"), lambda: bench.gateway.fetch_channel(interaction_sid))
    return seen.value.sid if isinstance(seen, Accepted) and seen.value else ""
