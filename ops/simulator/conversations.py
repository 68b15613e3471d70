"""Imitate conversations.twilio.com: conversations, participants, messages, receipts, look-ups by address."""

from typing import Any

from ops.simulator.call import Answer, Call, Endpoint, page
from ops.simulator.errors import Refused
from ops.simulator.message_request import post_message
from ops.simulator.store import Conversation, Message, Participant, Receipt, new_sid
from ops.simulator.twin import Twin

ROOT = "/conversations/v1/Conversations"
SERVICE_SID = "IS" + "0" * 31 + "1"
_ROLE_SID = "RL" + "0" * 31 + "1"


def create_conversation(twin: Twin, call: Call) -> Answer:
    """Open a conversation with nobody in it."""
    name = call.form.get("UniqueName") or None
    if name and (call.account, name) in twin.store.unique_names:
        raise Refused(409, 50353, f"Conversation with provided unique name already exists: {name}")
    conversation = Conversation(
        new_sid("CH"),
        call.account,
        call.now,
        call.now,
        unique_name=name,
        friendly_name=call.form.get("FriendlyName"),
        attributes=call.form.get("Attributes", "{}"),
    )
    twin.journal.effect("conversation", call.now, conversation_sid=conversation.sid, unique_name=name)
    return 201, _conversation_body(twin, call, twin.store.add_conversation(conversation))


def fetch_conversation(twin: Twin, call: Call) -> Answer:
    """Answer with a conversation, by SID or unique name."""
    return 200, _conversation_body(twin, call, _conversation(twin, call))


def update_conversation(twin: Twin, call: Call) -> Answer:
    """Change a conversation's state; closed is for ever."""
    conversation = _conversation(twin, call)
    _refuse_closed(conversation)
    state = call.form.get("State", conversation.state)
    if state not in {"active", "inactive", "closed"}:
        raise Refused(400, 20001, "Invalid parameter: State")
    if state == "closed":
        twin.store.close_conversation(conversation, call.now)
        twin.journal.effect("conversation_closed", call.now, conversation_sid=conversation.sid)
    conversation.state, conversation.updated_at = state, call.now
    return 200, _conversation_body(twin, call, conversation)


def list_participants(twin: Twin, call: Call) -> Answer:
    """Answer with those who are in the conversation by now."""
    conversation = _conversation(twin, call)
    rows = [_participant_body(twin, call, conversation, one) for one in conversation.present(call.now)]
    return 200, page(call, "participants", rows, 100)


def add_participant(twin: Twin, call: Call) -> Answer:
    """Put a participant into a conversation; a busy pair is refused with the conversation that holds it."""
    conversation = _conversation(twin, call)
    _refuse_closed(conversation)
    identity, address = call.form.get("Identity"), call.form.get("MessagingBinding.Address")
    proxy = call.form.get("MessagingBinding.ProxyAddress")
    if bool(identity) == bool(address):
        raise Refused(400, 50400, "Participant needs exactly one of identity and address")
    holder = twin.store.open_pairs.get((call.account, str(address), str(proxy)))
    if holder:
        text = f"A binding for this participant and proxy address already exists in Conversation {holder.sid}"
        raise Refused(409, 50416, text)
    binding = None
    if address:
        kind = "whatsapp" if address.startswith("whatsapp:") else "sms"
        binding = {"type": kind, "address": address, "proxy_address": proxy}
    participant = Participant(new_sid("MB"), "customer" if address else "agent", call.now, identity, binding)
    twin.store.add_participant(conversation, participant)
    return 201, _participant_body(twin, call, conversation, participant)


def create_message(twin: Twin, call: Call) -> Answer:
    """Take a message on: 201 says accepted, not delivered."""
    conversation = _conversation(twin, call)
    _refuse_closed(conversation)
    return 201, _message_body(twin, call, conversation, post_message(twin, call, conversation))


def list_messages(twin: Twin, call: Call) -> Answer:
    """Answer with a conversation's messages, as far as the look-up has caught up."""
    conversation = _conversation(twin, call)
    order = call.query.get("Order", "asc")
    if order not in {"asc", "desc"}:
        raise Refused(400, 20001, "Invalid parameter: Order")
    seen_until = call.now - twin.settings.lookup_lag_s
    messages = [one for one in conversation.messages if one.created_at <= seen_until]
    messages = messages[::-1] if order == "desc" else messages
    return 200, page(
        call, "messages", [_message_body(twin, call, conversation, one) for one in messages], 100
    )


def fetch_message(twin: Twin, call: Call) -> Answer:
    """Answer with one message."""
    conversation, message = _message(twin, call)
    return 200, _message_body(twin, call, conversation, message)


def list_receipts(twin: Twin, call: Call) -> Answer:
    """Answer with where a message's delivery stands, for each participant outside of chat."""
    conversation, message = _message(twin, call)
    rows = [_receipt_body(twin, call, conversation, message, one) for one in message.receipts]
    return 200, page(call, "delivery_receipts", rows, 50)


def list_participant_conversations(twin: Twin, call: Call) -> Answer:
    """Answer with the conversations of an address or identity, as far as the look-up has caught up."""
    address = call.query.get("Address") or call.query.get("Identity")
    if not address:
        raise Refused(400, 20001, "Invalid parameter: Identity or Address is required")
    seen_until = call.now - twin.settings.lookup_lag_s
    rows = [
        _participant_conversation_body(twin, call, conversation, participant)
        for conversation, participant in twin.store.conversations_of(call.account, address)
        if participant.joins_at <= seen_until
    ]
    return 200, page(call, "conversations", rows, 50)


def _conversation(twin: Twin, call: Call) -> Conversation:
    name = call.params["conversation"]
    found = twin.store.conversations.get(name) or twin.store.unique_names.get((call.account, name))
    if found is None or found.account != call.account:
        raise call.missing()
    return found


def _message(twin: Twin, call: Call) -> tuple[Conversation, Message]:
    conversation = _conversation(twin, call)
    for message in conversation.messages:
        if message.sid == call.params["message"]:
            return conversation, message
    raise call.missing()


def _refuse_closed(conversation: Conversation) -> None:
    if conversation.state == "closed":
        raise Refused(400, 50377, "Can't update conversation as it's in final closed state")


def _conversation_body(twin: Twin, call: Call, conversation: Conversation) -> dict[str, Any]:
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


def _participant_body(
    twin: Twin, call: Call, conversation: Conversation, participant: Participant
) -> dict[str, Any]:
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


def _message_body(twin: Twin, call: Call, conversation: Conversation, message: Message) -> dict[str, Any]:
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


def _receipt_body(
    twin: Twin, call: Call, conversation: Conversation, message: Message, receipt: Receipt
) -> dict[str, Any]:
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


def _participant_conversation_body(
    twin: Twin, call: Call, conversation: Conversation, participant: Participant
) -> dict[str, Any]:
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


ENDPOINTS = (
    Endpoint("POST", ROOT, create_conversation, "other"),
    Endpoint("GET", f"{ROOT}/{{conversation}}", fetch_conversation),
    Endpoint("POST", f"{ROOT}/{{conversation}}", update_conversation, "other"),
    Endpoint("GET", f"{ROOT}/{{conversation}}/Participants", list_participants),
    Endpoint("POST", f"{ROOT}/{{conversation}}/Participants", add_participant, "other"),
    Endpoint("POST", f"{ROOT}/{{conversation}}/Messages", create_message, "message"),
    Endpoint("GET", f"{ROOT}/{{conversation}}/Messages", list_messages),
    Endpoint("GET", f"{ROOT}/{{conversation}}/Messages/{{message}}", fetch_message),
    Endpoint("GET", f"{ROOT}/{{conversation}}/Messages/{{message}}/Receipts", list_receipts),
    Endpoint("GET", "/conversations/v1/ParticipantConversations", list_participant_conversations),
)
