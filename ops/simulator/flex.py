"""Imitate flex-api.twilio.com: Interactions, their channels, invites and participants."""

import json
from typing import Any

from ops.simulator.call import Answer, Call, Endpoint, page
from ops.simulator.errors import Refused, sentence
from ops.simulator.interaction_request import read_interaction
from ops.simulator.opening import open_interaction
from ops.simulator.store import Interaction
from ops.simulator.twin import Twin

ROOT = "/flex-api/v1/Interactions"


def create_interaction(twin: Twin, call: Call) -> Answer:
    """Take an Interaction on; whether its channel comes up shows later."""
    request = read_interaction(call, twin.settings)
    behaviour = twin.behaviour(request.address, "interaction")
    if behaviour and behaviour.what == "reject":
        raise Refused(400, behaviour.code, sentence(behaviour.code))
    return 200, interaction_body(open_interaction(twin, call, request), call)


def fetch_interaction(twin: Twin, call: Call) -> Answer:
    """Answer with an Interaction."""
    return 200, interaction_body(_interaction(twin, call), call)


def list_channels(twin: Twin, call: Call) -> Answer:
    """Answer with the one channel of an Interaction."""
    return 200, page(call, "channels", [_channel_body(_interaction(twin, call), call)], 1000)


def fetch_channel(twin: Twin, call: Call) -> Answer:
    """Answer with the channel: the place where success and failure show."""
    return 200, _channel_body(_channel(twin, call), call)


def update_channel(twin: Twin, call: Call) -> Answer:
    """Close the channel, its conversation and its task."""
    interaction = _channel(twin, call)
    status = call.form.get("Status")
    if status not in {"closed", "inactive"}:
        raise Refused(400, 20001, "Invalid parameter: Status must be closed or inactive")
    if status == "closed" and interaction.status(call.now) != "closed":
        _close(twin, call, interaction)
    return 200, _channel_body(interaction, call)


def list_invites(twin: Twin, call: Call) -> Answer:
    """Answer with the one invite of a channel; its routing holds the task's attributes."""
    interaction = _channel(twin, call)
    invite = {
        "sid": interaction.invite_sid,
        "channel_sid": interaction.channel_sid,
        "interaction_sid": interaction.sid,
        "routing": _routing(interaction, call),
        "url": call.url(f"{_channel_path(interaction)}/Invites/{interaction.invite_sid}"),
    }
    return 200, page(call, "invites", [invite], 1000)


def list_participants(twin: Twin, call: Call) -> Answer:
    """Answer with the customer and the agent, as far as they are in by now."""
    interaction = _channel(twin, call)
    return 200, page(call, "participants", _channel_participants(interaction, call), 1000)


def interaction_body(interaction: Interaction, call: Call) -> dict[str, Any]:
    """Return an Interaction as JSON; the conversation shows only inside the task's attributes."""
    path = f"{ROOT}/{interaction.sid}"
    return {
        "sid": interaction.sid,
        "channel": {"type": interaction.channel_type, "sid": interaction.channel_sid},
        "routing": _routing(interaction, call),
        "interaction_context_sid": interaction.context_sid,
        "webhook_ttid": interaction.webhook_ttid,
        "url": call.url(path),
        "links": {"channels": call.url(f"{path}/Channels")},
    }


def _close(twin: Twin, call: Call, interaction: Interaction) -> None:
    interaction.closed_at = interaction.task.closed_at = call.now
    twin.store.close_conversation(interaction.conversation, call.now)
    twin.journal.effect(
        "interaction_closed",
        call.now,
        interaction_sid=interaction.sid,
        conversation_sid=interaction.conversation.sid,
        key=interaction.key,
        messages=len(interaction.conversation.messages),
    )


def _interaction(twin: Twin, call: Call) -> Interaction:
    found = twin.store.interactions.get(call.params["interaction"])
    if found is None or found.account != call.account:
        raise call.missing()
    return found


def _channel(twin: Twin, call: Call) -> Interaction:
    found = _interaction(twin, call)
    if found.channel_sid != call.params["channel"]:
        raise call.missing()
    return found


def _routing(interaction: Interaction, call: Call) -> dict[str, Any]:
    task, now = interaction.task, call.now
    age = int(now - task.created_at)
    created = int(task.routing["date_created"])
    return {
        "reservation": None,
        "properties": {
            "account_sid": task.account,
            "sid": task.sid,
            "date_created": created,
            "date_updated": created,
            "attributes": json.dumps(task.seen_attributes(now), separators=(",", ":")),
            "assignment_status": task.status(now),
            "assignmentCounter": 0,
            "age": age,
            "age_in_queue": age,
            "task_queue_entered_date": created,
            "reason": "",
            "addons": "{}",
            **{name: value for name, value in task.routing.items() if name != "date_created"},
        },
    }


def _channel_path(interaction: Interaction) -> str:
    return f"{ROOT}/{interaction.sid}/Channels/{interaction.channel_sid}"


def _channel_body(interaction: Interaction, call: Call) -> dict[str, Any]:
    status = interaction.status(call.now)
    failed = interaction.failed_at <= call.now and interaction.error_code is not None
    path = _channel_path(interaction)
    return {
        "sid": interaction.channel_sid,
        "interaction_sid": interaction.sid,
        "type": interaction.channel_type,
        "status": status,
        "error_code": interaction.error_code if failed else None,
        "error_message": sentence(interaction.error_code or 0) if failed else None,
        "url": call.url(path),
        "links": {
            name: call.url(f"{path}/{name.title()}") for name in ("participants", "invites", "transfers")
        },
    }


def _channel_participants(interaction: Interaction, call: Call) -> list[dict[str, Any]]:
    path = f"{_channel_path(interaction)}/Participants"
    seen = {one.kind for one in interaction.conversation.present(call.now)}
    routing = {
        "task_sid": interaction.task.sid,
        "worker_sid": interaction.task.routing.get("routing_target"),
        "reservation_sid": "WR" + interaction.task.sid[2:],
    }
    everyone = (("customer", interaction.customer_sid, None), ("agent", interaction.agent_sid, routing))
    return [
        {
            "sid": sid,
            "type": kind,
            "interaction_sid": interaction.sid,
            "channel_sid": interaction.channel_sid,
            "routing_properties": properties,
            "url": call.url(f"{path}/{sid}"),
        }
        for kind, sid, properties in everyone
        if kind in seen
    ]


ENDPOINTS = (
    Endpoint("POST", ROOT, create_interaction, "interaction"),
    Endpoint("GET", f"{ROOT}/{{interaction}}", fetch_interaction),
    Endpoint("GET", f"{ROOT}/{{interaction}}/Channels", list_channels),
    Endpoint("GET", f"{ROOT}/{{interaction}}/Channels/{{channel}}", fetch_channel),
    Endpoint("POST", f"{ROOT}/{{interaction}}/Channels/{{channel}}", update_channel, "close"),
    Endpoint("GET", f"{ROOT}/{{interaction}}/Channels/{{channel}}/Invites", list_invites),
    Endpoint("GET", f"{ROOT}/{{interaction}}/Channels/{{channel}}/Participants", list_participants),
)
