"""Imitate conversations.twilio.com: conversations, participants, messages, receipts, look-ups by address."""

from ops.simulator.call import Answer, Call, Endpoint, page
from ops.simulator.conversation_bodies import (
    ROOT,
    conversation_body,
    message_body,
    participant_body,
    participant_conversation_body,
    receipt_body,
)
from ops.simulator.errors import Refused
from ops.simulator.message_request import post_message
from ops.simulator.store import Conversation, Message, Participant, new_sid
from ops.simulator.twin import Twin


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
    return 201, conversation_body(twin, call, twin.store.add_conversation(conversation))


def fetch_conversation(twin: Twin, call: Call) -> Answer:
    """Answer with a conversation, by SID or unique name."""
    return 200, conversation_body(twin, call, _conversation(twin, call))


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
    return 200, conversation_body(twin, call, conversation)


def list_participants(twin: Twin, call: Call) -> Answer:
    """Answer with those who are in the conversation by now."""
    conversation = _conversation(twin, call)
    rows = [participant_body(twin, call, conversation, one) for one in conversation.present(call.now)]
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
    return 201, participant_body(twin, call, conversation, participant)


def create_message(twin: Twin, call: Call) -> Answer:
    """Take a message on: 201 says accepted, not delivered."""
    conversation = _conversation(twin, call)
    _refuse_closed(conversation)
    return 201, message_body(twin, call, conversation, post_message(twin, call, conversation))


def list_messages(twin: Twin, call: Call) -> Answer:
    """Answer with a conversation's messages, as far as the look-up has caught up."""
    conversation = _conversation(twin, call)
    order = call.query.get("Order", "asc")
    if order not in {"asc", "desc"}:
        raise Refused(400, 20001, "Invalid parameter: Order")
    seen_until = call.now - twin.settings.lookup_lag_s
    messages = [one for one in conversation.messages if one.created_at <= seen_until]
    messages = messages[::-1] if order == "desc" else messages
    return 200, page(call, "messages", [message_body(twin, call, conversation, one) for one in messages], 100)


def fetch_message(twin: Twin, call: Call) -> Answer:
    """Answer with one message."""
    conversation, message = _message(twin, call)
    return 200, message_body(twin, call, conversation, message)


def list_receipts(twin: Twin, call: Call) -> Answer:
    """Answer with where a message's delivery stands, for each participant outside of chat."""
    conversation, message = _message(twin, call)
    rows = [receipt_body(twin, call, conversation, message, one) for one in message.receipts]
    return 200, page(call, "delivery_receipts", rows, 50)


def list_participant_conversations(twin: Twin, call: Call) -> Answer:
    """Answer with the conversations of an address or identity, as far as the look-up has caught up."""
    address = call.query.get("Address") or call.query.get("Identity")
    if not address:
        raise Refused(400, 20001, "Invalid parameter: Identity or Address is required")
    seen_until = call.now - twin.settings.lookup_lag_s
    rows = [
        participant_conversation_body(twin, call, conversation, participant)
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
