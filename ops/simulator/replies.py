"""Customers who write: into the open conversation of their pair, at once or some time after a message of ours."""

from functools import partial

from ops.simulator import events
from ops.simulator.behaviour import chance, draw
from ops.simulator.store import Conversation, Message, Participant, new_sid
from ops.simulator.twin import Twin

STOP_WORDS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"})
START_WORDS = frozenset({"START", "YES", "UNSTOP"})


def plan_reply(twin: Twin, account: str, customer: Participant, now: float) -> None:
    """Have a customer answer the message that reaches them now, if this one does."""
    text = _text(twin, customer.address)
    if text:
        proxy = (customer.binding or {}).get("proxy_address")
        deed = partial(_reply, twin, customer.address, proxy, text, account)
        twin.agenda.add(now + twin.settings.reply_s, deed)


def write_reply(
    twin: Twin, address: str, proxy_address: str | None, body: str, account: str | None, now: float
) -> tuple[Conversation, Message] | None:
    """Have a customer write into their open conversation, the newest that fits; None where they have none."""
    found = twin.store.open_conversation_of(address, proxy_address, account, now)
    if found is None:
        return None
    conversation, customer = found
    message = Message(
        sid=new_sid("IM"),
        index=len(conversation.messages),
        author=customer.address,
        body=body,
        attributes="{}",
        content_sid=None,
        subject=None,
        created_at=now,
        participant_sid=customer.sid,
    )
    conversation.messages.append(message)
    conversation.updated_at = now
    for pair in conversation.pairs:
        if pair[1] == customer.address:
            twin.store.last_written[pair] = now
    is_sms = (customer.binding or {}).get("type") == "sms"
    if is_sms:
        _heed(twin, conversation, body)
    twin.journal.effect(
        "reply",
        now,
        address=customer.address,
        conversation_sid=conversation.sid,
        message_sid=message.sid,
        account=conversation.account,
    )
    events.message_added(twin, conversation, message)
    return conversation, message


def _reply(twin: Twin, address: str, proxy_address: str | None, body: str, account: str, at: float) -> None:
    write_reply(twin, address, proxy_address, body, account, at)


def _text(twin: Twin, address: str) -> str:
    behaviour = twin.behaviour(address, "reply")
    if behaviour:
        return behaviour.what
    shares = twin.settings.replies
    if not shares:
        return ""
    number = twin.nth("reply", address)
    return draw(shares, chance(twin.settings.seed, "reply", address, number)) or ""


def _heed(twin: Twin, conversation: Conversation, body: str) -> None:
    """Do what Twilio does by itself with the words that it knows."""
    word = body.strip().upper()
    if word in STOP_WORDS:
        twin.store.opted_out.update(conversation.pairs)
    elif word in START_WORDS:
        twin.store.opted_out.difference_update(conversation.pairs)
