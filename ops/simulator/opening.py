"""What happens when an Interaction is taken on: conversation, task, who joins when, and the pair."""

from typing import Any

from ops.simulator.behaviour import chance, draw
from ops.simulator.call import Call
from ops.simulator.errors import Refused
from ops.simulator.interaction_request import InteractionRequest
from ops.simulator.store import NEVER, Conversation, FlexTask, Interaction, Participant, new_sid
from ops.simulator.twin import Twin

_CHANNEL_FAILED = 45357


def open_interaction(twin: Twin, call: Call, request: InteractionRequest) -> Interaction:
    """Create the Interaction with all that belongs to it, and note it in the journal.

    Raises: Refused with 50416 where the pair is busy and the settings say that this shows at once.
    """
    way = _pair_way(twin, call, request)
    active_at, failed_at, error_code, conversation_at = _fate(twin, call, request, way)
    conversation = _conversation(twin, call, request)
    interaction = _build(call, request, conversation, active_at, conversation_at)
    interaction.failed_at, interaction.error_code = failed_at, error_code
    interaction.task.routing["date_created"] = int(twin.clock.at(call.now).timestamp())
    twin.store.add_interaction(interaction)
    joins = not way and failed_at == NEVER and active_at != NEVER and bool(request.participants)
    if joins:
        _add_customers(twin, request, conversation, active_at)
    if request.initiated_by == "agent":
        agent = Participant(
            new_sid("MB"), "agent", active_at if active_at != NEVER else call.now, f"agent_{_worker(request)}"
        )
        twin.store.add_participant(conversation, agent)
    _note(twin, call, request, interaction, joins)
    return interaction


def _worker(request: InteractionRequest) -> str:
    return str(request.routing.get("worker_sid") or "")


def _pair_way(twin: Twin, call: Call, request: InteractionRequest) -> str:
    """Return how a busy pair shows (`silent`, `failed`), or nothing where it is free."""
    proxy = request.proxy_address
    if not proxy:
        return ""
    pair = (call.account, request.address, proxy)
    behaviour = twin.behaviour(request.address, "pair")
    if behaviour and twin.nth("pair", request.address + proxy) == 1 and pair not in twin.store.open_pairs:
        occupy(twin, call.account, request.address, proxy, call.now)
    holder = twin.store.open_pairs.get(pair)
    if holder is None:
        return ""
    way = behaviour.what if behaviour else twin.settings.pair_busy
    twin.journal.effect("pair_busy", call.now, way=way, address=request.address, conversation_sid=holder.sid)
    if way == "error":
        text = f"A binding for this participant and proxy address already exists in Conversation {holder.sid}"
        raise Refused(409, 50416, text)
    return way


def occupy(twin: Twin, account: str, address: str, proxy: str, now: float) -> Conversation:
    """Open somebody else's conversation with this customer."""
    conversation = twin.store.add_conversation(Conversation(new_sid("CH"), account, now, now))
    binding = {
        "type": "whatsapp" if address.startswith("whatsapp:") else "sms",
        "address": address,
        "proxy_address": proxy,
    }
    twin.store.add_participant(conversation, Participant(new_sid("MB"), "customer", now, binding=binding))
    twin.journal.effect(
        "pair_occupied", now, address=address, proxy_address=proxy, conversation_sid=conversation.sid
    )
    return conversation


def _fate(
    twin: Twin, call: Call, request: InteractionRequest, way: str
) -> tuple[float, float, int | None, float]:
    """Return when the channel is active, when it fails and with which code, and when the conversation shows."""
    settings, address = twin.settings, request.address
    number = twin.nth("opened", address)
    setup = twin.behaviour(address, "setup")
    active_at = call.now + (settings.slow_setup_ms if setup else settings.setup_ms) / 1000
    hidden = (
        twin.behaviour(address, "answer") is not None
        or chance(settings.seed, "hidden", address, number) < settings.no_conversation_share
    )
    conversation_at = active_at if hidden else call.now
    if setup and setup.what == "stuck":
        return NEVER, NEVER, None, call.now
    failure = twin.behaviour(address, "channel")
    code = failure.code or _CHANNEL_FAILED if failure else None
    if code is None and (
        drawn := draw(settings.channel_failures, chance(settings.seed, "channel", address, number))
    ):
        code = int(drawn)
    if way == "failed":
        code = 50416
    if code is not None:
        return active_at, active_at, code, conversation_at
    return active_at, NEVER, None, conversation_at


def _conversation(twin: Twin, call: Call, request: InteractionRequest) -> Conversation:
    given = request.media_channel_sid
    if not given:
        return twin.store.add_conversation(Conversation(new_sid("CH"), call.account, call.now, call.now))
    conversation = twin.store.conversations.get(given)
    if conversation is None or conversation.account != call.account:
        raise Refused(400, 45366, f"Failed to create Channel. Conversation {given} was not found.")
    if conversation.state == "closed":
        raise Refused(400, 45354, f"Cannot create a Channel for a closed Conversation {given}")
    return conversation


def _build(
    call: Call,
    request: InteractionRequest,
    conversation: Conversation,
    active_at: float,
    conversation_at: float,
) -> Interaction:
    sid, channel_sid, invite_sid = new_sid("KD"), new_sid("UO"), new_sid("KG")
    properties = request.routing
    attributes = _task_attributes(request, sid, channel_sid, invite_sid, conversation.sid)
    routing = {
        "workspace_sid": properties["workspace_sid"],
        "workflow_sid": properties.get("workflow_sid") or "WW" + "0" * 32,
        "workflow_name": "Assign to Anyone",
        "queue_sid": properties.get("queue_sid") or "WQ" + "0" * 32,
        "queue_name": "Everyone",
        "priority": properties.get("priority", 0),
        "timeout": properties.get("timeout", 86400),
        "task_channel_sid": properties.get("task_channel_sid") or "TC" + "0" * 32,
        "task_channel_unique_name": properties.get("task_channel_unique_name") or "default",
        "routing_target": properties.get("worker_sid"),
    }
    task = FlexTask(new_sid("WT"), call.account, routing, attributes, call.now, conversation_at, active_at)
    return Interaction(
        sid=sid,
        account=call.account,
        channel_sid=channel_sid,
        channel_type=request.channel_type,
        invite_sid=invite_sid,
        customer_sid=new_sid("UT"),
        agent_sid=new_sid("UT"),
        initiated_by=request.initiated_by,
        key=str(request.attributes.get("outreach_key", "")),
        address=request.address,
        conversation=conversation,
        task=task,
        created_at=call.now,
        active_at=active_at,
        context_sid=call.form.get("InteractionContextSid"),
        webhook_ttid=call.form.get("WebhookTtid"),
    )


def _task_attributes(
    request: InteractionRequest, sid: str, channel_sid: str, invite_sid: str, conversation_sid: str
) -> dict[str, Any]:
    return {
        "customerAddress": request.address,
        **request.attributes,
        "flexInteractionSid": sid,
        "flexInteractionChannelSid": channel_sid,
        "flexChannelInviteSid": invite_sid,
        "conversationSid": conversation_sid,
        "channelType": request.channel_type,
        "initiatedBy": request.initiated_by,
        "direction": "outbound" if request.initiated_by == "agent" else "inbound",
        "conversations": {
            "initiated_by": request.initiated_by,
            "conversation_id": sid,
            "media": [{"type": "ChatTranscript", "sid": conversation_sid}],
        },
    }


def _add_customers(
    twin: Twin, request: InteractionRequest, conversation: Conversation, joins_at: float
) -> None:
    for index, given in enumerate(request.participants):
        kind = "external" if index else "customer"
        participant = Participant(new_sid("MB"), kind, joins_at, given.get("identity") or None)
        if not participant.identity:
            participant.binding = {"type": request.channel_type, **given}
            participant.binding["type"] = request.channel_type
        twin.store.add_participant(conversation, participant)


def _note(twin: Twin, call: Call, request: InteractionRequest, interaction: Interaction, joins: bool) -> None:
    twin.journal.effect(
        "interaction",
        call.now,
        key=interaction.key,
        address=request.address,
        proxy_address=request.proxy_address,
        customer_in=joins or bool(request.media_channel_sid),
        channel=request.channel_type,
        interaction_sid=interaction.sid,
        channel_sid=interaction.channel_sid,
        conversation_sid=interaction.conversation.sid,
        flex_task_sid=interaction.task.sid,
        worker_sid=request.routing.get("worker_sid"),
        attributes=request.attributes,
        account=call.account,
    )
