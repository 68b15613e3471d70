"""What we ask of Twilio: the Channel, Routing and message of one recipient, in Twilio's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker import json_text
from worker.gateway.reading import KEY_ATTRIBUTE

if TYPE_CHECKING:
    from campaigns.recipients import Message, Recipient


def channel(recipient: Recipient) -> dict[str, Any]:
    """Build the Channel: agent-initiated, one participant, the customer.

    Source: https://www.twilio.com/docs/flex/developer/conversations/interactions-api/interactions
    """
    built: dict[str, Any] = {"type": recipient.channel, "initiated_by": "agent"}
    properties = _properties(recipient)
    if properties:
        built["properties"] = properties
    built["participants"] = [_participant(recipient)]
    return built


def routing(recipient: Recipient, key: str) -> dict[str, Any]:
    """Build the Routing, with `key` among the task's attributes, by which the send is found again."""
    asked = recipient.routing
    attributes = {
        "customerAddress": recipient.address,
        **({"customerName": recipient.name} if recipient.name else {}),
        **asked.attributes,
        KEY_ATTRIBUTE: key,
    }
    return {
        "properties": _without_none(
            workspace_sid=asked.workspace_sid,
            workflow_sid=asked.workflow_sid or None,
            queue_sid=asked.queue_sid or None,
            worker_sid=asked.worker_sid or None,
            task_channel_unique_name=asked.task_channel or None,
            attributes=attributes,
            priority=asked.priority,
            timeout=asked.timeout_s,
        )
    }


def message(message: Message, key: str) -> dict[str, str]:
    """Build a message's arguments for the SDK; a template is sent with its variables, never with a body."""
    built = {"author": message.author, "attributes": json_text.dumps({KEY_ATTRIBUTE: key})}
    if message.content_sid:
        built["content_sid"] = message.content_sid
        if message.variables:
            built["content_variables"] = json_text.dumps(message.variables)
    else:
        built["body"] = message.body or ""
    if message.subject:
        built["subject"] = message.subject
    return built


def _properties(recipient: Recipient) -> dict[str, Any]:
    if recipient.channel == "email":
        return _without_none(**{"from": recipient.from_address, "from_name": recipient.from_name})
    if recipient.channel in {"sms", "whatsapp"}:
        return {"type": recipient.channel}
    return {}


def _participant(recipient: Recipient) -> dict[str, Any]:
    if recipient.channel == "email":
        return _without_none(
            level=recipient.level or "to", name=recipient.name or None, address=recipient.address
        )
    if recipient.channel in {"chat", "web"}:
        return {"identity": recipient.identity or recipient.address}
    # messenger and gbm have no documented fields: they are given what sms and whatsapp are.
    return _without_none(
        address=recipient.address, proxy_address=recipient.proxy_address or None, type=recipient.channel
    )


def _without_none(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
