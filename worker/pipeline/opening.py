"""From a queued row to an opened Interaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from campaigns.recipients import Recipient
from worker.gateway import codes
from worker.gateway.outcome import Accepted, Deferred, Outcome, Rejected, Unanswered, Unknown
from worker.gateway.seen import FlexTaskSeen, Opened
from worker.ledger import keys
from worker.ledger.ledger import Claim, Looks
from worker.ledger.reading import shown_row
from worker.ledger.row import Row
from worker.ledger.scripts import Reply
from worker.ledger.states import Reason, State
from worker.ledger.suppression import contact
from worker.pacing.pacer import Wait
from worker.pipeline import cautious, hours, pace, pair, reminding
from worker.pipeline.bench import LoadedCampaign, Workbench

PAIR_AGAIN_MS = 30_000
UNSURE_S = 300.0
"""How long it is tried to find out whose conversation holds a pair, before the campaign's rule is applied all the same."""


def open_row(
    bench: Workbench, loaded: LoadedCampaign, row: Row, recipient: Recipient
) -> tuple[Claim, Row] | None:
    """Create the row's Interaction: slot, claim, POST. Claim and row come back where it is OPEN now and still held."""
    campaign_id = loaded.info.id
    if cautious.must_look(bench, loaded, row):
        cautious.look_first(bench, loaded, row, recipient)
        return None
    if closed_ms := hours.closed_for_ms(bench, recipient):
        bench.ledger.defer_queued(campaign_id, row.number, closed_ms, int(Reason.WINDOW))
        return None
    lost = _find_lost(bench, loaded, row, recipient)
    if isinstance(lost, Unknown):
        _put_off(bench, loaded, row, lost)
        return None
    if lost is _NOTHING:  # else what the row waits for may be its own
        if _is_moot(bench, loaded, row):
            return None
        if row.hand.waiting and not _is_pair_free(bench, loaded, row, recipient):
            return None
        if row.hand.adopt:
            is_open = pair.is_still_open(bench, row, recipient)
            if isinstance(is_open, Unknown) and is_open.code not in pace.FORBIDDEN:
                _put_off(bench, loaded, row, is_open)
                return None
            if isinstance(is_open, Accepted) and is_open.value:
                return _go_into(bench, loaded, row, recipient)
    return _claim_and_ask(bench, loaded, row, recipient, lost)


class _Lost(NamedTuple):
    """What had been called absent, and has shown since: a row's message, or its Interaction's Flex task."""

    message: str | None = None
    flex_task: FlexTaskSeen | None = None


_NOTHING = _Lost()


def _find_lost(bench: Workbench, loaded: LoadedCampaign, row: Row, recipient: Recipient) -> _Lost | Unknown:
    """Look for what was lost, if anything was; where Twilio forbids a look, nothing was found."""
    hand = row.hand
    if not hand.lost and not hand.lost_in:
        return _NOTHING
    message = pair.find_lost_message(bench, loaded, row)
    flex_task = pair.find_lost(bench, loaded, row, recipient) if hand.lost else Accepted(None)
    for look in (message, flex_task):
        if isinstance(look, Unknown) and look.code not in pace.FORBIDDEN:
            return look
    found = _Lost(
        message.value if isinstance(message, Accepted) else None,
        flex_task.value if isinstance(flex_task, Accepted) else None,
    )
    return found if found.message or found.flex_task else _NOTHING


def _is_moot(bench: Workbench, loaded: LoadedCampaign, row: Row) -> bool:
    """Tell whether nothing is to be sent, or not now; the row is put away then."""
    moot = reminding.is_moot(bench, loaded, row)
    if isinstance(moot, Unknown):
        _put_off(bench, loaded, row, moot)
        return True
    if moot.value:
        bench.ledger.end_queued(loaded.info.id, row.number, State.SKIPPED, int(Reason.ANSWERED))
    return moot.value


def _claim_and_ask(
    bench: Workbench, loaded: LoadedCampaign, row: Row, recipient: Recipient, lost: _Lost
) -> tuple[Claim, Row] | None:
    campaign_id, ledger, number, claim = loaded.info.id, bench.ledger, row.number, bench.claim()
    buckets, wanted = pace.opening_buckets(bench, loaded), _wanted(bench, loaded, recipient)
    claimed = pace.claim(
        bench, buckets, lambda slot: ledger.claim_opening(campaign_id, number, claim, *wanted, slot=slot)
    )
    if isinstance(claimed.slot, Wait):
        ledger.defer_queued(campaign_id, number, claimed.slot.ms)
        return None
    if not claimed.reply.ok:
        return None
    lease_until = claimed.at + claim.lease_ms / 1000
    looked_at = row
    row = shown_row(row, claimed.reply)  # between the look and the claim it may have begun a new send
    if _was_lost_since(looked_at, row):
        ledger.give_up_slot(campaign_id, number, claim.token, 0)
        return None
    if lost.message:
        sent_in, task = looked_at.hand.lost_in, lost.flex_task
        others = []
        if task is not None and task.interaction_sid and task.conversation_sid != sent_in:
            others = [(task.interaction_sid, task.channel_sid or "")]  # one that will get no message
        ledger.adopt_sent(
            campaign_id,
            number,
            claim.token,
            send=looked_at.hand.lost_send,
            message=lost.message,
            conversation=sent_in,
            interaction="",
            others=others,
        )
        return None
    if lost.flex_task is not None:
        return _adopt_or_wait(bench, loaded, row, claim, lost.flex_task)
    beat = pace.Beat(bench, buckets, claimed.slot, lease_until)
    outcome = bench.gateway.create_interaction(recipient, loaded.key(number, row.record.send), beat)
    if beat.missed:
        ledger.give_up_slot(campaign_id, number, claim.token, 0)
        return None
    return _record(bench, loaded, row, recipient, claim, lease_until, beat, outcome)


def _wanted(
    bench: Workbench, loaded: LoadedCampaign, recipient: Recipient
) -> tuple[str, int, Looks, tuple[str, str]]:
    """Give what a claim is about: the pair, the definition, how the row is looked up first, who may have opted out."""
    pair_key = keys.pair(bench.ledger.prefix, recipient.pair)
    return pair_key, loaded.info.version, cautious.looks(bench), contact_of(recipient)


def _was_lost_since(looked_at: Row, claimed: Row) -> bool:
    """Tell whether a request of the row was called absent that nobody has looked for here: it may have shown by now."""
    is_lost = bool(claimed.hand.lost or claimed.hand.lost_in)
    return is_lost and _lost_so_far(claimed) != _lost_so_far(looked_at)


def _lost_so_far(row: Row) -> tuple[object, ...]:
    return row.hand.lost, row.hand.lost_in, row.hand.lost_send, row.record.send, row.record.attempts


def contact_of(recipient: Recipient) -> tuple[str, str]:
    """Give the fields under which a customer may stand on the do-not-contact list."""
    return contact(recipient.channel, recipient.address)


def _put_off(bench: Workbench, loaded: LoadedCampaign, row: Row, look: Unknown) -> None:
    """Give a row back for which Twilio was asked in vain."""
    wait_ms = pace.backoff_ms(bench, 1, look.retry_after_s)
    bench.ledger.defer_queued(loaded.info.id, row.number, wait_ms, look.code or int(Reason.NO_ANSWER))


def _go_into(
    bench: Workbench, loaded: LoadedCampaign, row: Row, recipient: Recipient
) -> tuple[Claim, Row] | None:
    """Go on in the conversation of the row's earlier message, which is still open: no Interaction is asked for."""
    campaign_id, claim = loaded.info.id, bench.claim()
    wanted = _wanted(bench, loaded, recipient)
    claimed = bench.ledger.claim_opening(campaign_id, row.number, claim, *wanted)
    if not claimed.ok:
        return None
    if _was_lost_since(row, shown_row(row, claimed)):
        bench.ledger.give_up_slot(campaign_id, row.number, claim.token, 0)
        return None
    used = bench.ledger.use_conversation(campaign_id, row.number, claim.token, row.hand.adopt)
    return (claim, shown_row(row, used)) if used.ok else None


def stops_campaign(code: int) -> bool:
    """Tell whether a code speaks against the whole campaign."""
    return codes.lookup(code).kind in ("campaign", "pause")


def _record(
    bench: Workbench,
    loaded: LoadedCampaign,
    row: Row,
    recipient: Recipient,
    claim: Claim,
    lease_until: float,
    beat: pace.Beat,
    outcome: Outcome[Opened],
) -> tuple[Claim, Row] | None:
    campaign_id, number, token = loaded.info.id, row.number, claim.token
    ledger = bench.ledger

    match outcome:
        case Accepted(value=opened):
            reply = bench.write(
                lambda: ledger.opened(
                    campaign_id,
                    number,
                    token,
                    interaction=opened.interaction_sid,
                    conversation=opened.conversation_sid or "",
                    channel=opened.channel_sid or "",
                    flex_task=opened.flex_task_sid or "",
                ),
                lease_until,
            )
            return (claim, shown_row(row, reply)) if reply.ok else None
        case Deferred():
            put_off = pace.put_off(bench, beat, outcome, row.hand.tries)
            bench.write(lambda: ledger.defer_opening(campaign_id, number, token, *put_off), lease_until)
        case Unanswered():
            bench.write(
                lambda: ledger.doubt_opening(campaign_id, number, token, *pace.first_look(bench, outcome)),
                lease_until,
            )
        case Rejected() if codes.lookup(outcome.code).kind == "pair_busy":
            return _pair_is_busy(bench, loaded, row, recipient, claim, outcome.conversation_sid)
        case _:  # refused for good
            stop, whose = stops_campaign(outcome.code), contact_of(recipient)
            bench.write(
                lambda: ledger.reject_opening(
                    campaign_id, number, token, outcome.code, stop=stop, contact=whose
                ),
                lease_until,
            )
    return None


def _pair_is_busy(
    bench: Workbench,
    loaded: LoadedCampaign,
    row: Row,
    recipient: Recipient,
    claim: Claim,
    conversation_sid: str | None,
) -> tuple[Claim, Row] | None:
    """Twilio refused: the pair has an open conversation. Ours, or the campaign's rule decides."""
    campaign_id, number, token = loaded.info.id, row.number, claim.token
    found = pair.find_busy(bench, loaded, row, recipient, conversation_sid)
    if found is None or found.is_unsure:
        if not pair.has_waited(bench, row, UNSURE_S):  # later, without an attempt burnt
            bench.ledger.wait_opening(campaign_id, number, token, int(Reason.PAIR_BUSY), PAIR_AGAIN_MS // 6)
            return None
        found = found or pair.Busy(conversation_sid or "", None)
    if found.ours is not None:
        return _adopt_or_wait(bench, loaded, row, claim, found.ours, found.conversation_sid)
    rule = loaded.campaign.pair_busy
    if rule == "use" and found.conversation_sid:
        used = bench.ledger.use_conversation(campaign_id, number, token, found.conversation_sid)
        return (claim, shown_row(row, used)) if used.ok else None
    if rule == "wait" and not pair.wait_is_over(bench, loaded, row):
        bench.ledger.wait_opening(campaign_id, number, token, int(Reason.PAIR_BUSY), PAIR_AGAIN_MS)
    else:
        over = Reason.PAIR_WAIT_OVER if rule == "wait" else Reason.PAIR_BUSY
        bench.ledger.skip_opening(campaign_id, number, token, int(over))
    return None


def adopt(
    bench: Workbench,
    loaded: LoadedCampaign,
    number: int,
    token: str,
    task: FlexTaskSeen,
    conversation_sid: str = "",
    others: Sequence[FlexTaskSeen] = (),
) -> Reply:
    """Take a Flex task with our own key for the row's Interaction; `others` with that key are closed."""
    return bench.ledger.adopt_opening(
        loaded.info.id,
        number,
        token,
        interaction=task.interaction_sid or "",
        conversation=conversation_sid or task.conversation_sid or "",
        channel=task.channel_sid or "",
        flex_task=task.sid,
        others=[(one.interaction_sid, one.channel_sid or "") for one in others if one.interaction_sid],
    )


def _adopt_or_wait(
    bench: Workbench,
    loaded: LoadedCampaign,
    row: Row,
    claim: Claim,
    task: FlexTaskSeen,
    conversation_sid: str = "",
) -> tuple[Claim, Row] | None:
    """Go on with an Interaction of the row's own; one that is just being closed is waited for."""
    adopted = adopt(bench, loaded, row.number, claim.token, task, conversation_sid)
    if adopted.ok:
        return claim, shown_row(row, adopted)
    again_ms = PAIR_AGAIN_MS // 6
    bench.ledger.wait_opening(loaded.info.id, row.number, claim.token, int(Reason.PAIR_BUSY), again_ms)
    return None


def _is_pair_free(bench: Workbench, loaded: LoadedCampaign, row: Row, recipient: Recipient) -> bool:
    """Ask by address, without opening anything, whether the pair of a waiting row is free by now."""
    if loaded.campaign.pair_busy != "wait":  # by any other rule Twilio's answer decides
        return True
    seen = pair.find_conversations(bench, recipient)
    if isinstance(seen, Accepted) and not pair.open_ones(seen.value, recipient):
        return True
    campaign_id = loaded.info.id
    if pair.wait_is_over(bench, loaded, row):
        bench.ledger.end_queued(campaign_id, row.number, State.SKIPPED, int(Reason.PAIR_WAIT_OVER))
    else:
        again_ms = PAIR_AGAIN_MS // 6 if isinstance(seen, Unknown) else PAIR_AGAIN_MS
        bench.ledger.defer_queued(campaign_id, row.number, again_ms, int(Reason.PAIR_BUSY), waits=True)
    return False
