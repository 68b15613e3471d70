"""From an opened Interaction to the customer's first message."""

from __future__ import annotations

from campaigns.recipients import Recipient
from worker.gateway import codes
from worker.gateway.outcome import Accepted, Deferred, Rejected, Unanswered, Unknown
from worker.ledger.ledger import Claim
from worker.ledger.row import Row
from worker.ledger.scripts import retrying
from worker.ledger.states import Reason, State
from worker.pacing.pacer import Wait
from worker.pipeline import opening, pace, pair
from worker.pipeline.bench import LoadedCampaign, Workbench

CONVERSATION_CLOSED = 50377
PATIENCE_S = 5.0
"""How long the customer may be missing before the channel is asked for its status."""
MISSING_S = 30.0
"""How long after an active channel the customer may be missing before the row is given up."""
CHANNEL_S = 600.0
"""How long a channel may stay in set-up."""
_CHECK_MS = (300, 500, 1_000, 1_500, 2_000, 3_000, 5_000)


def carry_on(bench: Workbench, loaded: LoadedCampaign, row: Row, recipient: Recipient, claim: Claim) -> None:
    """Look after an opened row that `claim` holds: find its conversation, see the customer in it, send."""
    conversation = row.record.conversation_sid or _find_conversation(bench, row, recipient)
    if not conversation:
        _not_ready(bench, loaded, row, recipient, claim)
        return
    if row.hand.used or row.hand.seen:
        _send(bench, loaded, row, recipient, claim, conversation)
        return
    address = recipient.identity or recipient.address
    match bench.gateway.has_participant(conversation, address):
        case Accepted(value=True):
            _send(bench, loaded, row, recipient, claim, conversation)
        case Accepted():
            _not_ready(bench, loaded, row, recipient, claim, conversation)
        case Unknown() as unknown:
            wait_ms = pace.backoff_ms(bench, min(row.hand.checks, 3), unknown.retry_after_s)
            bench.ledger.wait_open(
                loaded.info.id, row.number, claim.token, wait_ms, conversation=conversation, counted=True
            )


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
    since_s = (bench.ledger.now_ms() - row.hand.opened) / 1000
    wait_ms = _CHECK_MS[min(row.hand.checks, len(_CHECK_MS) - 1)]
    if since_s < PATIENCE_S or not row.record.interaction_sid:
        _wait(bench, loaded, row, claim, wait_ms, conversation)
        return
    interaction = row.record.interaction_sid
    seen = pace.ask(bench, pace.flex(bench, "channels"), lambda: bench.gateway.fetch_channel(interaction))
    if not isinstance(seen, Accepted) or seen.value is None or seen.value.status == "setup":
        if since_s > CHANNEL_S:
            _abandon(bench, loaded, row, claim, State.FAILED, int(Reason.CHANNEL_TIMEOUT))
        else:
            _wait(bench, loaded, row, claim, max(wait_ms, 2_000), conversation)
        return
    channel = seen.value
    code = channel.error_code or 0
    if channel.status == "failed" and codes.lookup(code).kind != "pair_busy":
        code = code or int(Reason.CHANNEL_FAILED)
        _abandon(bench, loaded, row, claim, State.FAILED, code)
        return
    _someone_else_has_the_pair(bench, loaded, row, recipient, claim, conversation, since_s)


def _someone_else_has_the_pair(
    bench: Workbench,
    loaded: LoadedCampaign,
    row: Row,
    recipient: Recipient,
    claim: Claim,
    conversation: str,
    since_s: float,
) -> None:
    """The channel is up, or was refused, without the customer: another conversation holds the pair, most likely."""
    busy = pair.find_busy(bench, loaded, row, recipient, None)
    if busy is None:
        if since_s > MISSING_S:
            _abandon(bench, loaded, row, claim, State.FAILED, int(Reason.CUSTOMER_MISSING))
        else:
            _wait(bench, loaded, row, claim, 2_000, conversation)
        return
    if busy.conversation_sid == conversation:  # the customer has come in meanwhile
        _wait(bench, loaded, row, claim, 0, conversation)
        return
    if busy.ours is not None:
        # Two Interactions with one key: keep the one that holds the customer; the empty one is closed.
        if row.record.interaction_sid != busy.ours.interaction_sid:
            bench.ledger.owe_close(loaded.info.id, row.number, row.record.interaction_sid, row.hand.channel)
        bench.ledger.switch_interaction(
            loaded.info.id,
            row.number,
            claim.token,
            interaction=busy.ours.interaction_sid or "",
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
    bench: Workbench, loaded: LoadedCampaign, row: Row, claim: Claim, wait_ms: int, conversation: str = ""
) -> None:
    bench.ledger.wait_open(
        loaded.info.id, row.number, claim.token, wait_ms, conversation=conversation, counted=True
    )


def _abandon(
    bench: Workbench, loaded: LoadedCampaign, row: Row, claim: Claim, state: State, code: int
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
    campaign_id, number, token = loaded.info.id, row.number, claim.token
    ledger = bench.ledger
    buckets = pace.sending_buckets(loaded, recipient.sender)
    slot = pace.take(bench, buckets)
    if isinstance(slot, Wait):
        ledger.wait_open(campaign_id, number, token, slot.ms, conversation=conversation, seen=True)
        return
    claimed_at = bench.clock()
    if not ledger.claim_sending(campaign_id, number, claim, conversation).ok:
        return
    lease_until = claimed_at + claim.lease_ms / 1000
    if not pace.arrive(bench, buckets, slot) or not opening.has_time(bench, lease_until):
        ledger.give_up_slot(campaign_id, number, token, 0)
        return
    key = loaded.key(number, row.record.send)
    outcome = bench.gateway.create_message(conversation, recipient.message, key)
    match outcome:
        case Accepted(value=message_sid):
            retrying(
                lambda: ledger.accepted(campaign_id, number, token, message_sid), lease_until, bench.sleep
            )
        case Deferred():
            pace.slow_down(bench, buckets, outcome)
            code = outcome.code or (Reason.THROTTLED if outcome.throttled else Reason.NOT_REACHED)
            wait_ms = pace.backoff_ms(bench, row.hand.tries, outcome.retry_after_s)
            retrying(
                lambda: ledger.defer_sending(campaign_id, number, token, wait_ms, int(code)), lease_until
            )
        case Unanswered():
            first_ms = int(bench.settings.settle_s[0] * 1000)
            code = outcome.code or Reason.NO_ANSWER
            retrying(
                lambda: ledger.doubt_sending(campaign_id, number, token, first_ms, int(code)), lease_until
            )
        case Rejected() if outcome.code == CONVERSATION_CLOSED:
            wait_ms = pace.backoff_ms(bench, row.hand.tries)
            retrying(
                lambda: ledger.reopen_sending(campaign_id, number, token, outcome.code, wait_ms), lease_until
            )
        case Rejected():
            stop = opening.stops_campaign(outcome.code)
            retrying(
                lambda: ledger.reject_sending(campaign_id, number, token, outcome.code, stop=stop),
                lease_until,
            )
