"""Closes Interactions that got no message, until Twilio confirms it, or has refused it for a day."""

from __future__ import annotations

from worker.gateway.outcome import Accepted, Deferred, Rejected, Unknown
from worker.ledger.ledger import ToClose
from worker.logs import get_logger
from worker.pacing.pacer import Wait
from worker.pipeline import pace
from worker.pipeline.bench import Workbench

log = get_logger(__name__)

AGAIN_MS, REFUSED_AT_MOST_MS = 5_000, 300_000
"""When a closing is tried again; one that Twilio refuses twice as late each time, up to five minutes."""
GIVEN_UP_MS = 24 * 3_600_000
"""How long Twilio may refuse before a person must close it. Not counted: credentials, which somebody will put right."""
NOT_FOUND = 20404
_CREDENTIALS = frozenset({401, 20003})


def close_some(bench: Workbench, campaign_id: str, most: int = 10) -> int:
    """Close some of a campaign's empty Interactions; how many were confirmed."""
    return sum(_close(bench, campaign_id, each) for each in bench.ledger.to_close(campaign_id, most))


def _close(bench: Workbench, campaign_id: str, each: ToClose) -> bool:
    sid = each.interaction_sid
    # Put off before it is tried: no other worker tries it meanwhile, and one that breaks keeps none behind it waiting.
    bench.ledger.closed(campaign_id, sid, due_in_ms=AGAIN_MS)
    refusal = _try(bench, each)
    if refusal is None:
        bench.ledger.closed(campaign_id, sid, done=True)
    elif refusal:
        _refused(bench, campaign_id, each, refusal)
    return refusal is None


def _refused(bench: Workbench, campaign_id: str, each: ToClose, code: int) -> None:
    sid, now_ms = each.interaction_sid, bench.ledger.now_ms()
    is_old = each.refused_since and now_ms - each.refused_since >= GIVEN_UP_MS
    if is_old and code not in _CREDENTIALS:
        bench.ledger.closed(campaign_id, sid, refused=code, given_up=True)
        log.error("closing.given_up", campaign=campaign_id, row=each.row, interaction=sid, code=code)
        return
    wait_ms = min(REFUSED_AT_MOST_MS, AGAIN_MS * 2 ** min(each.refusals, 10))
    bench.ledger.closed(campaign_id, sid, due_in_ms=wait_ms, refused=code)


def _try(bench: Workbench, each: ToClose) -> int | None:
    """Close an Interaction: None where it is closed, the code where Twilio refuses it, 0 where it is to be tried again."""
    sid, channel_sid = each.interaction_sid, each.channel_sid
    if not channel_sid:
        seen = pace.ask(bench, pace.flex(bench, "channels"), lambda: bench.gateway.fetch_channel(sid))
        if isinstance(seen, Unknown):
            return None if seen.code == NOT_FOUND else seen.code if seen.code in pace.FORBIDDEN else 0
        if seen.value is None:  # there is no channel yet
            return 0
        channel_sid = seen.value.sid
    bucket = pace.flex(bench, "closing")
    slot = pace.take(bench, [bucket])
    if isinstance(slot, Wait) or not pace.arrive(bench, [bucket], slot):
        return 0
    outcome = bench.gateway.close_interaction(sid, channel_sid)
    if isinstance(outcome, Deferred):
        pace.slow_down(bench, bucket, outcome, slot)
    return None if isinstance(outcome, Accepted) else outcome.code if isinstance(outcome, Rejected) else 0
