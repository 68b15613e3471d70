"""Where the ledger may be older than what was sent, each row is looked up before anything is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from campaigns.recipients import Recipient
from worker.gateway.outcome import Accepted, Unknown
from worker.gateway.seen import ConversationSeen, FlexTaskSeen, MessageSeen
from worker.ledger import keys
from worker.ledger.ledger import Claim, Looks
from worker.ledger.registry import Registry
from worker.ledger.row import NOT_LOOKED, Row
from worker.ledger.states import Reason
from worker.pipeline import pace, pair
from worker.pipeline.bench import LoadedCampaign, Workbench
from worker.pipeline.results_files import ResultsFile

if TYPE_CHECKING:
    from worker.pipeline.reconcile import Doubt

SKEW = timedelta(hours=1)
"""How far Twilio's clock may be from Redis's."""
_NOT_YET = Unknown(int(Reason.THROTTLED), "there was no time left to look through its conversations")


def heed_results(registry: Registry, folder: Path) -> None:
    """Tell the ledger how far each campaign had come by what stands beside its results file: Redis may hold an older one."""
    for campaign_id in registry.ids():
        seen = ResultsFile(folder / f"{campaign_id}.csv", campaign_id).seen()
        if seen:
            registry.heed(campaign_id, seen)


def heed_campaign(registry: Registry, campaign_id: str, folder: Path | None) -> None:
    """Tell the ledger how far one campaign had come, by what this process has seen and by its results file."""
    file = ResultsFile(folder / f"{campaign_id}.csv", campaign_id) if folder else None
    seen = max(registry.seen(campaign_id), file.seen() if file else 0)
    if seen:
        registry.heed(campaign_id, seen)


def must_look(bench: Workbench, loaded: LoadedCampaign, row: Row) -> bool:
    """Tell whether a row is to be looked up first; the ledger has the last word, when it is claimed."""
    caution = loaded.info.cautious
    return (caution > 0 or bench.settings.cautious) and row.hand.looked != caution


def looks(bench: Workbench) -> Looks:
    """Say how an ordinary claim goes where the ledger wants a look first."""
    return Looks(int(bench.settings.settle_s[0] * 1000), bench.settings.cautious)


def look_first(bench: Workbench, loaded: LoadedCampaign, row: Row, recipient: Recipient) -> None:
    """Put a queued row into doubt, without a slot and without a request."""
    pair_key = keys.pair(bench.ledger.prefix, recipient.pair)
    version = loaded.info.version
    bench.ledger.claim_opening(
        loaded.info.id, row.number, bench.claim(), pair_key, version, _only_looks(bench)
    )


def look_again_first(bench: Workbench, loaded: LoadedCampaign, row: Row, claim: Claim) -> bool:
    """Put an opened row that `claim` holds into doubt; False where the ledger says that it was looked up already."""
    known = row.record.conversation_sid
    reply = bench.ledger.claim_sending(loaded.info.id, row.number, claim, known, _only_looks(bench))
    return reply.why != "looked"


def leave_sent(
    bench: Workbench, loaded: LoadedCampaign, doubts: Sequence[Doubt], tasks: Sequence[FlexTaskSeen] = ()
) -> list[Doubt]:
    """Settle the rows whose message is in some conversation of their customer, closed ones included; those left over.

    For rows that are looked up before anything is asked for: what the ledger has lost may have gone to its very end.
    """
    return [
        doubt
        for doubt in doubts
        if doubt.row.hand.looking == NOT_LOOKED or not _was_sent(bench, loaded, doubt, tasks)
    ]


def _only_looks(bench: Workbench) -> Looks:
    first_ms = int(bench.settings.settle_s[0] * 1000)
    return Looks(pace.gathered_ms(bench, first_ms), bench.settings.cautious, only=True)


def _was_sent(bench: Workbench, loaded: LoadedCampaign, doubt: Doubt, tasks: Sequence[FlexTaskSeen]) -> bool:
    row, prefix = doubt.row, loaded.key(doubt.row.number, 0)[:-1]
    seen = doubt.seen = pair.find_conversations(bench, doubt.recipient)
    if isinstance(seen, Unknown):
        doubt.unknown = seen
        return False
    mine = [task for task in tasks if task.key == doubt.key]
    # An earlier send's message is none of this one's, for the ledger knew of it when this one was begun; and of later ones that
    # it has forgotten the earliest is this one's: the others are found by the sends that begin after it.
    best: tuple[MessageSeen, str] | None = None
    for sid in _conversations(loaded, row, seen.value, mine):
        # One request for the conversation and one for the task of a message found there.
        if bench.clock() + 2 * bench.request_s + 1.0 > doubt.lease_until:
            doubt.unknown = _NOT_YET
            return False
        found = bench.gateway.find_message_from(sid, prefix, row.record.send)
        if isinstance(found, Unknown):
            doubt.unknown = found
        elif found.value and (best is None or found.value.send < best[0].send):
            best = found.value, sid
            if found.value.send == row.record.send:
                break
    # A wave's later ones are other waves', each of which finds its own.
    if best is None or (best[0].send != row.record.send and (doubt.unknown or keys.is_wave(loaded.info.id))):
        return False
    message, sid = best
    bench.ledger.adopt_sent(
        loaded.info.id,
        row.number,
        doubt.claim.token,
        send=message.send,
        message=message.sid,
        conversation=sid,
        interaction=_interaction_of(bench, loaded, doubt, sid, mine),
    )
    return True


def _conversations(
    loaded: LoadedCampaign, row: Row, seen: Sequence[ConversationSeen], tasks: Sequence[FlexTaskSeen]
) -> Iterator[str]:
    """Go through the conversations that may hold the row's message, each once."""
    named = [row.record.conversation_sid, row.hand.adopt, *(task.conversation_sid or "" for task in tasks)]
    begun = loaded.info.created_at - SKEW
    # By this rule the message may be in one that was open long before.
    any_age = loaded.campaign.pair_busy == "use"
    ours = [each.sid for each in seen if any_age or each.created_at is None or each.created_at >= begun]
    return (sid for sid in dict.fromkeys([*named, *ours]) if sid)


def _interaction_of(
    bench: Workbench, loaded: LoadedCampaign, doubt: Doubt, sid: str, tasks: Sequence[FlexTaskSeen]
) -> str:
    """Find the Interaction of a conversation; empty where its task is gone, for the message alone is the proof."""
    if sid == doubt.row.record.conversation_sid:
        return doubt.row.record.interaction_sid
    known = next((task for task in tasks if task.conversation_sid == sid), None)
    if known is None:
        workspace = doubt.recipient.routing.workspace_sid
        found = pace.ask(
            bench,
            pace.task_look_ups(),
            lambda: bench.gateway.find_flex_tasks_of_conversations(workspace, [sid]),
        )
        keyed = [task for task in found.value if task.key] if isinstance(found, Accepted) else []
        prefix = doubt.key.rpartition(":")[0]
        known = next((task for task in keyed if task.key and task.key.rpartition(":")[0] == prefix), None)
        if known and keys.is_wave(loaded.info.id) and known.key != doubt.key:
            return ""  # it went into the conversation of an earlier message
    return (known.interaction_sid or "") if known else ""
