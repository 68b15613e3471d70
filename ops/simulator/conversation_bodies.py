"""Show conversations, participants, messages and receipts as conversations.twilio.com's JSON does."""

from typing import Any

from ops.simulator.call import Call
from ops.simulator.store import Conversation, Message, Participant, Receipt
from ops.simulator.twin import Twin

ROOT = "/conversations/v1/Conversations"
SERVICE_SID = "IS" + "0" * 31 + "1"
_ROLE_SID = "RL" + "0" * 31 + "1"


def conversation_body(twin: Twin, call: Call, conversation: Conversation) -> dict[str, Any]:
    """Return a conversation as JSON."""
    url = call.url(f"{ROOT}/{conversation.sid}")
    return {
        "sid": conversation.sid,
        "account_sid": conversation.account,
        "chat_service_sid": SERVICE_SID,
        "messaging_service_sid": None,
        "friendly_name": conversation.friendly_name,
        "unique_name": conversation.unique_name,
        "attributes": conversation.attributes,
        "state": conversation.state,
        "date_created": twin.clock.iso(conversation.created_at),
        "date_updated": twin.clock.iso(conversation.updated_at),
        "timers": {},
        "bindings": {},
        "url": url,
        "links": {name: f"{url}/{name.title()}" for name in ("participants", "messages", "webhooks")},
    }


def participant_body(
    twin: Twin, call: Call, conversation: Conversation, participant: Participant
) -> dict[str, Any]:
    """Return a participant as JSON."""
    joined = twin.clock.iso(participant.joins_at)
    return {
        "sid": participant.sid,
        "account_sid": conversation.account,
        "conversation_sid": conversation.sid,
        "identity": participant.identity,
        "attributes": "{}",
        "messaging_binding": participant.binding,
        "role_sid": _ROLE_SID,
        "date_created": joined,
        "date_updated": joined,
        "url": call.url(f"{ROOT}/{conversation.sid}/Participants/{participant.sid}"),
        "last_read_message_index": None,
        "last_read_timestamp": None,
    }


def message_body(twin: Twin, call: Call, conversation: Conversation, message: Message) -> dict[str, Any]:
    """Return a message as JSON; its receipts show as a summary."""
    url = call.url(f"{ROOT}/{conversation.sid}/Messages/{message.sid}")
    created = twin.clock.iso(message.created_at)
    return {
        "sid": message.sid,
        "account_sid": conversation.account,
        "conversation_sid": conversation.sid,
        "index": message.index,
        "author": message.author,
        "body": message.body,
        "media": None,
        "attributes": message.attributes,
        "participant_sid": message.participant_sid,
        "date_created": created,
        "date_updated": created,
        "delivery": _delivery(message, call.now),
        "content_sid": message.content_sid,
        "url": url,
        "links": {"delivery_receipts": f"{url}/Receipts", "channel_metadata": f"{url}/ChannelMetadata"},
    }


def _delivery(message: Message, now: float) -> dict[str, Any] | None:
    """Return the summary of all receipts; each stage includes those that have gone past it."""
    total = len(message.receipts)
    if not total:
        return None
    statuses = [one.at(now)[1] for one in message.receipts]
    reached = {
        "sent": {"sent", "delivered", "read"},
        "delivered": {"delivered", "read"},
        "read": {"read"},
        "failed": {"failed"},
        "undelivered": {"undelivered"},
    }
    counts = {name: sum(status in those for status in statuses) for name, those in reached.items()}
    words = {
        name: "none" if not count else "all" if count == total else "some" for name, count in counts.items()
    }
    return {"total": total, **words}


def receipt_body(
    twin: Twin, call: Call, conversation: Conversation, message: Message, receipt: Receipt
) -> dict[str, Any]:
    """Return a delivery receipt as JSON; within Twilio it has no status yet."""
    since, status, code = receipt.at(call.now)
    url = f"{ROOT}/{conversation.sid}/Messages/{message.sid}/Receipts/{receipt.sid}"
    return {
        "sid": receipt.sid,
        "account_sid": conversation.account,
        "conversation_sid": conversation.sid,
        "message_sid": message.sid,
        "channel_message_sid": receipt.channel_message_sid,
        "participant_sid": receipt.participant_sid,
        "status": status,
        "error_code": code,
        "date_created": twin.clock.iso(message.created_at),
        "date_updated": twin.clock.iso(since) if status else None,
        "url": call.url(url),
    }


def participant_conversation_body(
    twin: Twin, call: Call, conversation: Conversation, participant: Participant
) -> dict[str, Any]:
    """Return a conversation as a look-up by address shows it."""
    url = call.url(f"{ROOT}/{conversation.sid}")
    return {
        "account_sid": conversation.account,
        "chat_service_sid": SERVICE_SID,
        "participant_sid": participant.sid,
        "participant_user_sid": None,
        "participant_identity": participant.identity,
        "participant_messaging_binding": participant.binding,
        "conversation_sid": conversation.sid,
        "conversation_unique_name": conversation.unique_name,
        "conversation_friendly_name": conversation.friendly_name,
        "conversation_attributes": conversation.attributes,
        "conversation_date_created": twin.clock.iso(conversation.created_at),
        "conversation_date_updated": twin.clock.iso(conversation.updated_at),
        "conversation_created_by": "system",
        "conversation_state": conversation.state,
        "conversation_timers": {},
        "links": {"participant": f"{url}/Participants/{participant.sid}", "conversation": url},
    }
