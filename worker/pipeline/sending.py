"""From an opened Interaction to the customer's first message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil

from campaigns.recipients import Recipient
from worker.gateway import codes
from worker.gateway.outcome import Accepted, Deferred, Outcome, Rejected, Unanswered, Unknown
from worker.gateway.seen import ChannelSeen
from worker.ledger.ledger import Claim
from worker.ledger.row import Row
from worker.ledger.scripts import Reply
from worker.ledger.states import Reason, State
from worker.pacing.pacer import MARGIN_S, Wait
from worker.pipeline import cautious, hours, opening, pace, pair
from worker.pipeline.bench import LoadedCampaign, Workbench

CONVERSATION_CLOSED = 50377
PATIENCE_S = 5.0
"""How long the customer may be missing before the channel is asked for its status."""
MISSING_S = 30.0
"""How long after an active channel the customer may be missing before the row is given up."""
CHANNEL_S = 600.0
"""How long a channel may stay in set-up."""
SLOT_MS = 300
"""How long a thread waits for a sender's slot: many senders may be slow, and none is to hold a thread all the time."""
_CHECK_MS = (150, 300, 500, 1_000, 2_000, 3_000, 5_000)


def carry_on(bench: Workbench, loaded: LoadedCampaign, row: Row, recipient: Recipient, claim: Claim) -> None:
    """Look after an opened row that `claim` holds: find its conversation, see the customer in it, send."""
    conversation = row.record.conversation_sid or _find_conversation(bench, row, recipient)
    if not conversation:
        _not_ready(bench, loaded, row, recipient, claim)
        return
    if row.hand.lost and _has_shown(bench, loaded, row, claim, conversation):
        return
    if row.hand.used or row.hand.seen:
        _send(bench, loaded, row, recipient, claim, conversation)
        return
    seen = bench.gateway.has_participant(conversation, recipient.identity or recipient.address)
    if isinstance(seen, Unknown):
        _not_told(bench, loaded, row, claim, conversation, seen)
    elif seen.value:
        _send(bench, loaded, row, recipient, claim, conversation)
    else:
        _not_ready(bench, loaded, row, recipient, claim, conversation)


def _has_shown(bench: Workbench, loaded: LoadedCampaign, row: Row, claim: Claim, conversation: str) -> bool:
    """Look once more for a message that was called absent, before another; True where nothing is sent now."""
    seen = bench.gateway.find_message(conversation, loaded.key(row.number, row.record.send))
    if isinstance(seen, Accepted):
        if seen.value:
            bench.ledger.adopt_sending(loaded.info.id, row.number, claim.token, seen.value)
        return bool(seen.value)
    if seen.code in pace.FORBIDDEN:  # it was not while the message was looked for, and found absent
        return False
    wait_ms = pace.backoff_ms(bench, min(row.hand.checks, 3), seen.retry_after_s)
    _wait(bench, loaded, row, claim, wait_ms, code=seen.code)
    return True


def _not_told(
    bench: Workbench, loaded: LoadedCampaign, row: Row, claim: Claim, conversation: str, unknown: Unknown
) -> None:
    """Nobody says whether the customer is there: asked again, for ever but where Twilio forbids the question."""
    if unknown.code in pace.FORBIDDEN and _since_s(bench, row) > CHANNEL_S:
        _abandon(bench, loaded, row, claim, State.FAILED, unknown.code)
        return
    wait_ms = pace.backoff_ms(bench, min(row.hand.checks, 3), unknown.retry_after_s)
    _wait(bench, loaded, row, claim, wait_ms, conversation, unknown.code)


def _find_conversation(bench: Workbench, row: Row, recipient: Recipient) -> str | None:
    """Ask the channel's invites, then the Flex task, for the conversation that the first answer did not name."""
    interaction, channel = row.record.interaction_sid, row.hand.channel
    if interaction and channel:
        found = pace.ask(
            bench,
            pace.flex(bench, "invites"),
            lambda: bench.gateway.find_invite_conversation(interaction, channel),
        )
        if isinstance(found, Accepted) and found.value:
            return found.value
    if row.hand.flex_task:
        by_task = bench.gateway.find_flex_task_conversation(
            recipient.routing.workspace_sid, row.hand.flex_task
        )
        if isinstance(by_task, Accepted) and by_task.value:
            return by_task.value
    return None


def _not_ready(
    bench: Workbench,
    loaded: LoadedCampaign,
    row: Row,
    recipient: Recipient,
    claim: Claim,
    conversation: str = "",
) -> None:
    """The customer isn't there (yet). No thread waits for it: the row is due again, or its channel tells why."""
    since_s = _since_s(bench, row)
    wait_ms = _check_ms(row)
    if since_s < PATIENCE_S:
        _wait(bench, loaded, row, claim, wait_ms, conversation)
        return
    channel = _ask_channel(bench, row)
    if isinstance(channel, Unknown) and channel.code in pace.FORBIDDEN:  # then the pair alone can tell
        is_over = since_s > CHANNEL_S
        _someone_else_has_the_pair(bench, loaded, row, recipient, claim, conversation, is_over=is_over)
    elif isinstance(channel, Unknown) or channel is None or channel.status == "setup":
        if since_s > CHANNEL_S:
            _abandon(bench, loaded, row, claim, State.FAILED, int(Reason.CHANNEL_TIMEOUT))
        else:
            _wait(bench, loaded, row, claim, max(wait_ms, 2_000), conversation)
    elif channel.status == "failed" and codes.lookup(channel.error_code or 0).kind != "pair_busy":
        code = channel.error_code or int(Reason.CHANNEL_FAILED)
        _abandon(bench, loaded, row, claim, State.FAILED, code, opening.contact_of(recipient))
    else:
        is_over = since_s > MISSING_S
        _someone_else_has_the_pair(bench, loaded, row, recipient, claim, conversation, is_over=is_over)


def _ask_channel(bench: Workbench, row: Row) -> ChannelSeen | Unknown | None:
    interaction = row.record.interaction_sid
    if not interaction:
        return None
    seen = pace.ask(bench, pace.flex(bench, "channels"), lambda: bench.gateway.fetch_channel(interaction))
    return seen if isinstance(seen, Unknown) else seen.value


def _someone_else_has_the_pair(
    bench: Workbench,
    loaded: LoadedCampaign,
    row: Row,
    recipient: Recipient,
    claim: Claim,
    conversation: str,
    *,
    is_over: bool,
) -> None:
    """The channel is up, or was refused, without the customer: another conversation holds the pair, most likely."""
    busy = pair.find_busy(bench, loaded, row, recipient, None)
    # In the second of these the customer has come in meanwhile.
    if busy is None or busy.conversation_sid == conversation or (busy.is_unsure and not is_over):
        if is_over:
            _abandon(bench, loaded, row, claim, State.FAILED, int(Reason.CUSTOMER_MISSING))
        else:
            _wait(bench, loaded, row, claim, max(_check_ms(row), 2_000), conversation)
        return
    goes_elsewhere = busy.ours is not None or loaded.campaign.pair_busy == "use"
    if goes_elsewhere and conversation and row.hand.lost_in == conversation:
        # A message that was called absent may show here yet: the row begins anew, and looks here before it asks for another.
        # It comes this way once for each message that was lost: the next conversation is not the one where this one was.
        _abandon(bench, loaded, row, claim, State.PENDING, int(Reason.PAIR_BUSY))
        return
    if busy.ours is not None:
        # Two Interactions with one key: the one that holds the customer is kept, the empty one is to be closed.
        bench.ledger.switch_interaction(
            loaded.info.id,
            row.number,
            claim.token,
            interaction=busy.ours.interaction_sid or row.record.interaction_sid,
            conversation=busy.conversation_sid,
            channel=busy.ours.channel_sid or "",
            flex_task=busy.ours.sid,
        )
        return
    _by_the_rule(bench, loaded, row, claim, busy.conversation_sid)


def _by_the_rule(bench: Workbench, loaded: LoadedCampaign, row: Row, claim: Claim, other: str) -> None:
    rule = loaded.campaign.pair_busy
    if rule == "use":
        if bench.ledger.use_conversation(loaded.info.id, row.number, claim.token, other).ok:
            bench.ledger.wait_open(loaded.info.id, row.number, claim.token, 0)
    elif rule == "wait" and not pair.wait_is_over(bench, loaded, row):
        _abandon(bench, loaded, row, claim, State.PENDING, int(Reason.PAIR_BUSY))
    else:
        over = Reason.PAIR_WAIT_OVER if rule == "wait" else Reason.PAIR_BUSY
        _abandon(bench, loaded, row, claim, State.SKIPPED, int(over))


def _wait(
    bench: Workbench,
    loaded: LoadedCampaign,
    row: Row,
    claim: Claim,
    wait_ms: int,
    conversation: str = "",
    code: int = 0,
) -> None:
    bench.ledger.wait_open(
        loaded.info.id,
        row.number,
        claim.token,
        wait_ms,
        conversation=conversation,
        counted=True,
        code=code,
    )


def _check_ms(row: Row) -> int:
    return _CHECK_MS[min(row.hand.checks, len(_CHECK_MS) - 1)]


def _since_s(bench: Workbench, row: Row) -> float:
    return (bench.ledger.now_ms() - row.hand.opened) / 1000


def _abandon(
    bench: Workbench,
    loaded: LoadedCampaign,
    row: Row,
    claim: Claim,
    state: State,
    code: int,
    contact: Sequence[str] = (),
) -> None:
    waits = state is State.PENDING
    bench.ledger.abandon_open(
        loaded.info.id,
        row.number,
        claim.token,
        state,
        code,
        stop=opening.stops_campaign(code),
        due_in_ms=opening.PAIR_AGAIN_MS if waits else 0,
        waits=waits,
        contact=contact,
    )


def _send(
    bench: Workbench,
    loaded: LoadedCampaign,
    row: Row,
    recipient: Recipient,
    claim: Claim,
    conversation: str,
) -> None:
    """Send the first message: slot, claim, POST."""
    ledger, campaign_id, number, token = bench.ledger, loaded.info.id, row.number, claim.token
    if closed_ms := hours.closed_for_ms(bench, recipient):  # it has closed since the row was opened
        window = int(Reason.WINDOW)
        ledger.abandon_open(campaign_id, number, token, State.PENDING, window, due_in_ms=closed_ms)
        return
    buckets = pace.sending_buckets(loaded, recipient.sender)
    looks, whose = cautious.looks(bench), opening.contact_of(recipient)
    claimed = pace.claim(
        bench,
        buckets,
        lambda slot: ledger.claim_sending(campaign_id, number, claim, conversation, looks, whose, slot=slot),
        SLOT_MS,
    )
    if isinstance(slot := claimed.slot, Wait):
        sender = (slot.bucket.name, ceil(1_000 * (1 + MARGIN_S) / slot.bucket.per_s))
        ledger.wait_open(
            campaign_id, number, token, slot.ms, conversation=conversation, seen=True, sender=sender
        )
        return
    if not claimed.reply.ok:
        return
    lease_until = claimed.at + claim.lease_ms / 1000
    beat = pace.Beat(bench, buckets, slot, lease_until)
    key = loaded.key(number, row.record.send)
    outcome = bench.gateway.create_message(conversation, recipient.message, key, beat)
    if beat.missed:
        ledger.give_up_slot(campaign_id, number, token, 0)
    else:
        bench.write(_note(bench, loaded, row, recipient, token, beat, outcome), lease_until)


def _note(
    bench: Workbench,
    loaded: LoadedCampaign,
    row: Row,
    recipient: Recipient,
    token: str,
    beat: pace.Beat,
    outcome: Outcome[str],
) -> Callable[[], Reply]:
    """Give what writes down what came of the message's request, and may have to do so again."""
    ledger, claimed = bench.ledger, (loaded.info.id, row.number, token)
    match outcome:
        case Accepted(value=message_sid):
            return lambda: ledger.accepted(*claimed, message_sid)
        case Deferred():
            put_off = pace.put_off(bench, beat, outcome, row.hand.tries)
            return lambda: ledger.defer_sending(*claimed, *put_off)
        case Unanswered():
            return lambda: ledger.doubt_sending(*claimed, *pace.first_look(bench, outcome))
        case Rejected() if outcome.code == CONVERSATION_CLOSED:
            closed, wait_ms = int(Reason.CONVERSATION_CLOSED), pace.backoff_ms(bench, row.hand.tries)
            if row.record.attempts < loaded.campaign.pacing.max_attempts:
                return lambda: ledger.reopen_sending(*claimed, closed, wait_ms)
            return lambda: ledger.reject_sending(*claimed, closed, stop=False)
        case _:  # refused for good
            code, whose = outcome.code, opening.contact_of(recipient)
            stop = opening.stops_campaign(code)
            return lambda: ledger.reject_sending(*claimed, code, stop=stop, contact=whose)
