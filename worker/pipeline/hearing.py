"""What is heard of a message after it was accepted: how its delivery went, and what the customer writes back.

Polling and webhooks come here alike. News may come twice, late and in any order: the ledger keeps what is later.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from campaigns.identity import address_hash
from campaigns.opt_out import is_opt_out
from campaigns.recipients import Recipient
from worker.gateway.codes import lookup
from worker.ledger import suppression
from worker.ledger.keys import parent_of
from worker.ledger.row import Record
from worker.ledger.states import Delivery, Event
from worker.logs import get_logger
from worker.pipeline.bench import Workbench

log = get_logger(__name__)

SKEW = timedelta(seconds=60)
"""How far Twilio's clock and Redis's may be apart where it is asked what came first."""
OPT_OUT_CODES = frozenset({21610, 63014})
"""Twilio's codes for customers who want no messages from this sender."""
_ACCEPTED = (Event.ACCEPTED, Event.FOUND_SENT, Event.VERDICT)
_DELIVERIES = {delivery.word: delivery for delivery in Delivery if delivery}


def delivery_of(word: str) -> Delivery:
    """Give the delivery of Twilio's word; NONE for a word that says nothing of the way to the customer (`queued`)."""
    return _DELIVERIES.get(word.lower(), Delivery.NONE)


def hear_delivery(bench: Workbench, conversation: str, message: str, status: str, code: int = 0) -> int:
    """Note how a message's delivery went, in Twilio's word; how many rows learnt something new.

    Of a message that the ledger does not know yet nothing is kept: polling asks for it again.
    """
    delivery = delivery_of(status)
    if delivery is Delivery.NONE:
        return 0
    found = bench.ledger.find_by_conversation(conversation)
    return sum(note_delivery(bench, name, row, message, delivery, code) for name, row in found)


def hear_message(bench: Workbench, conversation: str, author: str, body: str, at: datetime) -> int:
    """Note that somebody wrote into a conversation; how many rows it answers.

    An agent's message, or our own, is none of the customer's: its author is not the row's address.
    """
    found = bench.ledger.find_by_conversation(conversation)
    rows = sorted({(parent_of(name), row) for name, row in found})
    return sum(note_answer(bench, name, row, author, body, at) for name, row in rows)


def note_delivery(
    bench: Workbench, campaign_id: str, row: int, message: str, delivery: Delivery, code: int
) -> bool:
    """Note the delivery of a row's message; False where as much was known, or the message is no send of this row.

    A code that speaks against the whole campaign opens the breaker: each message that follows would fare alike.
    """
    code = code if delivery.is_lost else 0
    stop = bool(code) and lookup(code).kind in ("campaign", "pause")
    contact = _contact(bench, campaign_id, row) if code in OPT_OUT_CODES else ()
    reply = bench.ledger.note_delivery(campaign_id, row, message, delivery, code, contact=contact, stop=stop)
    if reply.ok and stop:
        log.warning("delivery.speaks_against_campaign", campaign=campaign_id, row=row, code=code)
    return reply.ok


def note_answer(bench: Workbench, campaign_id: str, row: int, author: str, body: str, at: datetime) -> bool:
    """Note what a row's customer wrote, on the campaign's own record; False where it is none of theirs, or known.

    What was written before our first message is no answer to it, such as in a conversation that was open already.
    """
    campaign = bench.campaign(campaign_id).campaign
    record = bench.ledger.get_row(campaign_id, row).record
    address = _address_of(campaign.channel, author, record)
    opted_out = address is not None and is_opt_out(body, campaign.replies.opt_out_words)
    if address is None or (record.answered_at and (record.has_opted_out or not opted_out)):
        return False
    began_at = _first_accepted_at(bench, campaign_id, row, record)
    if began_at is None or at < began_at - SKEW:
        return False
    contact = suppression.contact(campaign.channel, address) if opted_out else ()
    at_ms = int(at.timestamp() * 1000)
    reply = bench.ledger.note_answer(campaign_id, row, at_ms, opted_out=opted_out, contact=contact)
    if reply.ok and opted_out:
        log.info("row.opted_out", campaign=campaign_id, row=row)
    return reply.ok


def _address_of(channel: str, author: str, record: Record) -> str | None:
    """Give the author as the row's address, where it is; an e-mail address may come back in other letters."""
    forms = [author, author.casefold()]
    if channel == "whatsapp" and not author.startswith("whatsapp:"):
        forms = [f"whatsapp:{author}"]
    return next((form for form in forms if address_hash(form) == record.address_hash), None)


def _first_accepted_at(bench: Workbench, campaign_id: str, row: int, record: Record) -> datetime | None:
    past = bench.ledger.get_past(campaign_id, row) if record.send > 1 else []
    moments = (each.at for one in (*past, record) for each in one.story if each.event in _ACCEPTED)
    return min(moments, default=None)


def _contact(bench: Workbench, campaign_id: str, row: int) -> tuple[str, ...]:
    """Give the fields of a row's customer on the do-not-contact list; a wave's rows are the campaign's."""
    parent = parent_of(campaign_id)
    found = bench.campaign(parent).compiled.recipient(row, bench.ledger.get_row(parent, row).cells)
    return tuple(suppression.contact(found.channel, found.address)) if isinstance(found, Recipient) else ()
