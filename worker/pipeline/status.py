"""Take a snapshot of a campaign: how many rows stand where, how fast they go, what is waited for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any

from worker.ledger import keys
from worker.ledger.registry import CampaignInfo
from worker.ledger.states import Delivery, State
from worker.pacing.pacer import BucketState
from worker.pipeline import pace, receipts
from worker.pipeline.bench import Workbench
from worker.pipeline.reasons import code_words, delivery_words
from worker.pipeline.results import say_moment
from worker.pipeline.waiting import caution, waiting_for
from worker.pipeline.waves import find_waves

RATE_WINDOW_S = 10.0
WORKER_ALIVE_S = 15
_BLOCKED_MS = 5_000


def snapshot(bench: Workbench, campaign_id: str) -> dict[str, Any]:
    """Describe a campaign as `status --json` gives it. Raises: NotFoundError where there is no such campaign."""
    info = bench.registry.get(campaign_id)
    paces = bench.pacer.peek(pace.opening_buckets(bench, bench.campaign(campaign_id)))
    workers = alive_workers(bench)
    around = _look_around(bench, len(workers), probes=info.left > 0)
    in_doubt = sum(other.in_doubt for other in _with(info, around.active))
    return {
        **_standing(info),
        **_outlook(bench, info, paces, around),
        "redis": around.trouble or None,
        "cautious": caution(info),
        **_deliveries(bench, info),
        "paused": _paused(info),
        "pace": [_describe(state) for state in paces],
        "priority": _priority(info),
        "to_close": bench.ledger.to_close_count(campaign_id),
        "left_open": [
            {"row": one.row, "interaction_sid": one.interaction_sid, "code": str(one.code)}
            for one in bench.ledger.left_open(campaign_id)
        ],
        "follow_ups": [
            _wave(bench, wave, paces, workers=len(workers), in_doubt=in_doubt)
            for wave in find_waves(bench.ledger, bench.registry, campaign_id)
        ],
        "workers": [_describe_worker(owner, facts) for owner, facts in workers.items()],
        "file": info.file,
        "generation": info.generation,
        "created_at": say_moment(info.created_at),
        "started_at": say_moment(info.started_at),
    }


def _standing(info: CampaignInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "name": info.name,
        "state": info.stands,
        "rows": info.rows,
        "counts": info.status_counts(),
        "left": info.left,
        "in_flight": info.in_flight,
        "in_doubt": info.in_doubt,
    }


@dataclass(frozen=True, slots=True)
class _Around:
    """What an account's campaigns share: its workers, those that are active, and why Redis takes no changes, if so."""

    workers: int
    active: Sequence[CampaignInfo]
    trouble: str


def _look_around(bench: Workbench, workers: int, *, probes: bool) -> _Around:
    found = (bench.registry.find(each) for each in bench.registry.active())
    active = [info for info in found if info is not None]
    return _Around(workers, active, bench.registry.write_trouble() if probes else "")


def _outlook(
    bench: Workbench, info: CampaignInfo, paces: Sequence[BucketState], around: _Around
) -> dict[str, Any]:
    """Say how fast a campaign goes, when it will have ended, and what it waits for."""
    rate_per_s = _rate(bench, info)
    slowest = min(paces, key=lambda state: state.per_s)
    account = _with(info, around.active)
    return {
        "rate_per_s": rate_per_s,
        "eta_s": eta_s(info, rate_per_s, slowest.per_s, is_worked_on=around.workers > 0),
        "waiting_for": around.trouble
        or waiting_for(
            info,
            paces,
            workers=around.workers,
            in_doubt_overall=sum(other.in_doubt for other in account),
            first_due=bench.ledger.first_due(info.id) if info.is_idle else None,
            first_later=bench.ledger.first_due(info.id, opened=True),
            served_first=_served_first(info, account),
        ),
    }


def _deliveries(bench: Workbench, info: CampaignInfo) -> dict[str, Any]:
    """Say what became of the accepted messages: by Twilio's words, why not delivered, and who has answered."""
    known = {delivery.word: info.deliveries.get(delivery, 0) for delivery in Delivery if delivery}
    unknown = max(0, info.counts.get(State.ACCEPTED, 0) - sum(known.values()))
    channel = bench.campaign(info.id).campaign.channel
    awaited = unknown + known[Delivery.SENT.word] if channel not in receipts.WITHOUT_RECEIPTS else 0
    (looks,) = bench.pacer.peek([receipts.bucket_of_looks(bench)])
    return {
        "deliveries": {"unknown": unknown, **known},
        "undelivered": [
            {**asdict(delivery_words(code)), "rows": rows}
            for code, rows in sorted(info.undelivered.items(), key=lambda item: (-item[1], item[0]))
        ],
        "answered": info.answered,
        "opted_out": info.opted_out,
        "deliveries_awaited": awaited,
        "is_polled": info.id in bench.ledger.polling(),
        "deliveries_blocked_s": round(looks.blocked_ms / 1000) if looks.blocked_ms > _BLOCKED_MS else 0,
    }


def _wave(
    bench: Workbench, info: CampaignInfo, paces: Sequence[BucketState], *, workers: int, in_doubt: int
) -> dict[str, Any]:
    """Describe a follow-up wave; its rows are those that were put into it so far."""
    follow_up, time = keys.place_in_wave(info.id)
    return {
        **_standing(info),
        "follow_up": follow_up,
        "time": time,
        "rows": sum(info.counts.values()),
        "paused": _paused(info),
        "waiting_for": waiting_for(
            replace(info, id=keys.parent_of(info.id)),  # commands name the campaign
            paces,
            workers=workers,
            in_doubt_overall=in_doubt,
            first_due=bench.ledger.first_due(info.id) if info.is_idle else None,
            first_later=bench.ledger.first_due(info.id, opened=True),
        ),
        "to_close": bench.ledger.to_close_count(info.id),
    }


def overview(bench: Workbench) -> list[dict[str, Any]]:
    """List all campaigns, the newest first, in short; of those that have ended each costs one look."""
    found = (bench.registry.find(campaign_id) for campaign_id in bench.registry.ids())
    campaigns = [info for info in found if info is not None]
    around = None
    if not all(map(_has_ended, campaigns)):
        around = _look_around(bench, len(alive_workers(bench)), probes=True)
    return [
        {
            **_standing(info),
            **_short_outlook(bench, info, around),
            "paused": _paused(info),
            "created_at": say_moment(info.created_at),
            "started_at": say_moment(info.started_at),
        }
        for info in campaigns
    ]


def _has_ended(info: CampaignInfo) -> bool:
    return info.left == 0 and info.state != "loading"


def _short_outlook(bench: Workbench, info: CampaignInfo, around: _Around | None) -> dict[str, Any]:
    if around is None or _has_ended(info):
        return {"rate_per_s": 0.0, "eta_s": 0, "waiting_for": None}
    try:
        paces = bench.pacer.peek(pace.opening_buckets(bench, bench.campaign(info.id)))
        return _outlook(bench, info, paces, around)
    except ValueError:  # a definition of another version of ours: the others are listed nevertheless
        return {"rate_per_s": 0.0, "eta_s": None, "waiting_for": None}


def alive_workers(bench: Workbench) -> dict[str, dict[str, Any]]:
    """Give the workers that were seen within WORKER_ALIVE_S."""
    return {
        owner: facts for owner, facts in bench.registry.workers().items() if facts["age_s"] <= WORKER_ALIVE_S
    }


def eta_s(info: CampaignInfo, rate_per_s: float, pace_per_s: float, *, is_worked_on: bool) -> int | None:
    """Foretell in how many seconds all rows have ended; None where nobody can know."""
    if info.left == 0 and info.state != "loading":
        return 0
    if info.stands not in ("running", "waiting") or not is_worked_on:
        return None
    # New rows go at the pace, those that wait for something end when that comes: the longer of the two.
    waits_s = max(
        (due - info.now_ms) / 1000 for due in (info.next_due_ms, info.next_later_ms, info.now_ms) if due
    )
    behind = info.rows - info.cursor + info.counts.get(State.QUEUED, 0)
    speed = rate_per_s if 0 < rate_per_s < pace_per_s and behind > pace_per_s * RATE_WINDOW_S else pace_per_s
    return ceil(max(info.left / speed, waits_s))


def _rate(bench: Workbench, info: CampaignInfo) -> float:
    """Count the sends that ended a second, over the last ten seconds or since the start where that is shorter."""
    began_ms = int(info.started_at.timestamp() * 1000) if info.started_at else info.now_ms
    since_ms = max(began_ms, info.now_ms - int(RATE_WINDOW_S * 1000))
    ended = bench.ledger.recent_outcomes(info.id, since_ms)
    span_s = max(1.0, (info.now_ms - since_ms) / 1000)
    return round(len(ended) / span_s, 2)


def _with(info: CampaignInfo, active: Sequence[CampaignInfo]) -> list[CampaignInfo]:
    return [info, *(other for other in active if other.id != info.id)]


def _priority(info: CampaignInfo) -> int:
    """Read a campaign's priority out of its definition, without all the rest; one of before there were any has none."""
    return int(json.loads(info.definition).get("pacing", {}).get("priority", 0))


def _served_first(info: CampaignInfo, active: Sequence[CampaignInfo]) -> str:
    """Name the campaign of the highest priority above this one's that has rows to open now."""
    able = [each for each in active if each.stands == "running" and each.counts.get(State.PENDING)]
    first = max(able, key=_priority, default=info)
    return first.id if _priority(first) > _priority(info) else ""


def _paused(info: CampaignInfo) -> dict[str, Any] | None:
    if info.state != "paused":
        return None
    words = code_words(info.reason_code) if info.reason_code else None
    return {
        "by": info.paused_by,
        "code": info.reason_code or None,
        "reason": words.sentence if words else "",
        "advice": words.advice if words else "",
    }


def _describe(state: BucketState) -> dict[str, Any]:
    return {
        "label": state.bucket.label,
        "per_s": round(state.per_s, 3),
        "configured_per_s": state.bucket.per_s,
        "why": state.why,
        "blocked_s": round(state.blocked_ms / 1000, 1),
        "tries_more_s": round(state.tries_more_ms / 1000, 1),
    }


def _describe_worker(owner: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"owner": owner, **facts}
