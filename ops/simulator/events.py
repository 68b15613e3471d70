"""What the account's webhooks tell: which events there are, in which fields, and whether they are asked for."""

from functools import partial

from ops.simulator.conversation_bodies import SERVICE_SID
from ops.simulator.store import Conversation, Message, Receipt
from ops.simulator.twin import Twin

_SOURCES = {"sms": "SMS", "whatsapp": "WHATSAPP"}


def message_added(twin: Twin, conversation: Conversation, message: Message) -> None:
    """Tell of a message that a customer wrote."""
    author = next((one for one in conversation.participants if one.sid == message.participant_sid), None)
    kind = str((author.binding or {}).get("type", "")) if author else ""
    fields = {
        "MessagingServiceSid": "",
        "Index": str(message.index),
        "DateCreated": twin.clock.iso_ms(message.created_at),
        "Body": message.body or "",
        "Author": message.author,
        "ParticipantSid": message.participant_sid or "",
        "Attributes": message.attributes,
        "Source": _SOURCES.get(kind, "SDK"),
    }
    _tell(twin, "onMessageAdded", conversation, message, fields, message.author)


def plan_deliveries(twin: Twin, conversation: Conversation, message: Message) -> None:
    """Have each step of a message's receipts told when it comes."""
    if not twin.webhooks.wants(conversation.account, "onDeliveryUpdated"):
        return
    for receipt in message.receipts:
        for moment, status, code in receipt.steps:
            deed = partial(_delivery_updated, twin, conversation, message, receipt, status, code)
            twin.agenda.add(moment, deed)


def _delivery_updated(
    twin: Twin,
    conversation: Conversation,
    message: Message,
    receipt: Receipt,
    status: str,
    code: int,
    at: float,
) -> None:
    to = next((one for one in conversation.participants if one.sid == receipt.participant_sid), None)
    fields = {
        "ChatServiceSid": SERVICE_SID,
        "DeliveryReceiptSid": receipt.sid,
        "ChannelMessageSid": receipt.channel_message_sid,
        "ParticipantSid": receipt.participant_sid,
        "Status": status,
        "ErrorCode": str(code),
        "DateCreated": twin.clock.iso_ms(message.created_at),
        "DateUpdated": twin.clock.iso_ms(at),
    }
    _tell(twin, "onDeliveryUpdated", conversation, message, fields, to.address if to else "")


def _tell(
    twin: Twin,
    event: str,
    conversation: Conversation,
    message: Message,
    fields: dict[str, str],
    address: str,
) -> None:
    if not twin.webhooks.wants(conversation.account, event):
        return
    form = {
        "EventType": event,
        "AccountSid": conversation.account,
        "ConversationSid": conversation.sid,
        "MessageSid": message.sid,
        **fields,
    }
    twin.webhooks.tell(form, address)
