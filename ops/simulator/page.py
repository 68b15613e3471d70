"""What the page at `/` shows: counters, the last minute's pace, the latest of everything, numbers masked."""

from collections import Counter
from typing import Any

from ops.simulator.behaviour import FAULT_KINDS
from ops.simulator.twin import Twin

SECONDS = 60
_SERIES = {
    "interactions": "POST flex-api/v1/Interactions",
    "messages": "POST conversations/v1/Conversations/{conversation}/Messages",
}


def page_data(twin: Twin, base: str) -> dict[str, Any]:
    """Return everything the page shows, as JSON."""
    now = twin.clock.steady()
    settings, journal = twin.settings, twin.journal
    active = {
        name: getattr(settings, name)
        for name in ("fault", "fault_getters", "fault_close")
        if getattr(settings, name)
    }
    return {
        "url": base,
        "running_s": int(now - twin.started_at),
        "counts": _counts(twin),
        "pace": _pace(twin, now),
        "limit_per_s": settings.flex_per_s,
        "faults_by_chance": active,
        "faults_by_kind": dict(journal.fault_counts.most_common(len(FAULT_KINDS))),
        "messages": [_row(twin, one, now) for one in journal.latest("message")[:12]],
        "interactions": [_row(twin, one, now) for one in journal.latest("interaction")[:12]],
        "faults": [_row(twin, one, now) for one in journal.latest("fault")[:12]],
    }


def mask(address: str | None) -> str:
    """Return an address with only its last two digits, or its last two characters, to be seen."""
    return f"•••{address[-2:]}" if address else ""


def _counts(twin: Twin) -> dict[str, int]:
    journal = twin.journal
    statuses = journal.status_counts
    return {
        "interactions": journal.counts["interaction"],
        "messages": journal.counts["message"],
        "closed": journal.counts["interaction_closed"],
        "faults": journal.counts["fault"],
        "limited": statuses[429],
        "refused": sum(count for status, count in statuses.items() if 400 <= status < 500 and status != 429),
        "requests": sum(statuses.values()),
    }


def _pace(twin: Twin, now: float) -> dict[str, list[int]]:
    """Return how many arrived in each of the last whole seconds, oldest first."""
    seen: Counter[tuple[str, int]] = Counter()
    last = int(now)
    for at, name, _, _ in reversed(twin.journal.requests):
        if at < last - SECONDS - 5:  # noted when answered, so a little out of order
            break
        seen[(name, int(at))] += 1
    return {
        series: [seen[(name, second)] for second in range(last - SECONDS, last)]
        for series, name in _SERIES.items()
    }


def _row(twin: Twin, effect: dict[str, Any], now: float) -> dict[str, Any]:
    row = {
        name: effect.get(name)
        for name in ("key", "customer_in", "channel", "author", "body", "fault", "target", "source")
    }
    row |= {"address": mask(effect.get("address")), "ago_s": round(now - effect["at"], 1)}
    if effect["effect"] == "message":
        row["delivery"] = _delivery(twin, effect)
    if effect["effect"] == "interaction":
        interaction = twin.store.interactions.get(effect["interaction_sid"])
        row["status"] = interaction.status(twin.clock.now()) if interaction else ""
    return row


def _delivery(twin: Twin, effect: dict[str, Any]) -> str:
    conversation = twin.store.conversations.get(effect["conversation_sid"])
    for message in conversation.messages if conversation else ():
        if message.sid == effect["message_sid"] and message.receipts:
            _, status, code = message.receipts[0].at(twin.clock.now())
            return f"{status or 'accepted'} {code or ''}".strip()
    return "reached nobody"
