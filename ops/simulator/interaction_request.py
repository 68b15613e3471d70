"""Read and check what an Interaction is asked to be, by the documented request parameters."""

import re
from dataclasses import dataclass
from typing import Any

from ops.simulator.call import Call
from ops.simulator.errors import Refused, sentence
from ops.simulator.settings import Settings

CHANNELS = ("sms", "whatsapp", "web", "chat", "email", "messenger", "gbm")
INITIATORS = ("customer", "agent", "api")
_E164 = re.compile(r"\+[1-9]\d{6,14}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_SIDS = {"workspace_sid": "WS", "workflow_sid": "WW", "queue_sid": "WQ", "worker_sid": "WK"}


@dataclass(frozen=True, slots=True)
class InteractionRequest:
    """A request to create an Interaction, found to be in order."""

    channel_type: str
    initiated_by: str
    properties: dict[str, Any]
    participants: list[dict[str, Any]]
    routing: dict[str, Any]
    attributes: dict[str, Any]

    @property
    def address(self) -> str:
        """Return the customer's address or identity."""
        return _address(self.participants)

    @property
    def proxy_address(self) -> str | None:
        """Return the business's address, where the channel has one."""
        return self.participants[0].get("proxy_address") if self.participants else None

    @property
    def media_channel_sid(self) -> str | None:
        """Return the conversation the caller brings along, if any."""
        return self.properties.get("media_channel_sid")


def address_in(call: Call) -> str:
    """Return the customer's address in a request that may yet prove wrong."""
    channel = call.json_field("Channel")
    participants = channel.get("participants") if isinstance(channel, dict) else None
    return _address(participants if isinstance(participants, list) else [])


def key_in(call: Call) -> str:
    """Return the caller's own key in a request that may yet prove wrong."""
    routing = call.json_field("Routing")
    properties = routing.get("properties") if isinstance(routing, dict) else None
    attributes = properties.get("attributes") if isinstance(properties, dict) else None
    return str(attributes.get("outreach_key", "")) if isinstance(attributes, dict) else ""


def read_interaction(call: Call, settings: Settings) -> InteractionRequest:
    """Return the request, checked.

    Raises: Refused as Twilio would. The codes are documented, their use for each single mistake is not.
    """
    channel = call.json_field("Channel")
    if not isinstance(channel, dict):
        raise Refused(400, 20001, "Invalid parameter: Channel is required and must be a JSON object")
    kind, initiated_by = channel.get("type"), channel.get("initiated_by")
    if kind not in CHANNELS:
        raise _wrong(f"channel.type must be one of {', '.join(CHANNELS)}")
    if initiated_by not in INITIATORS:
        raise _wrong(f"channel.initiated_by must be one of {', '.join(INITIATORS)}")
    properties = _object(channel, "properties", "channel")
    participants = channel.get("participants") or []
    _check_participants(str(kind), str(initiated_by), participants, properties)
    routing = _read_routing(call, str(initiated_by), settings)
    context = call.form.get("InteractionContextSid")
    if context and not re.fullmatch("HQ[0-9a-fA-F]{32}", context):
        raise Refused(400, 20001, "Invalid parameter: InteractionContextSid")
    attributes = _object(routing, "attributes", "routing.properties")
    return InteractionRequest(str(kind), str(initiated_by), properties, participants, routing, attributes)


def _address(participants: list[Any]) -> str:
    first = participants[0] if participants and isinstance(participants[0], dict) else {}
    return str(first.get("address") or first.get("identity") or "")


def _wrong(what: str) -> Refused:
    return Refused(400, 45366, f"{sentence(45366)} {what}.")


def _object(parent: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    value = parent.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(f"{where}.{name} must be a JSON object")
    return value


def _check_participants(kind: str, initiated_by: str, participants: Any, properties: dict[str, Any]) -> None:
    media = properties.get("media_channel_sid")
    if initiated_by == "customer" and not media:
        raise _wrong("channel.properties.media_channel_sid is required when the customer initiates")
    if initiated_by == "agent" and not participants and not media:
        raise _wrong("channel.participants is required when an agent initiates")
    if not isinstance(participants, list) or not all(isinstance(one, dict) for one in participants):
        raise _wrong("channel.participants must be a list of JSON objects")
    if kind == "email" and initiated_by != "customer":
        for name in ("from", "from_name"):
            if not properties.get(name):
                raise _wrong(f"channel.properties.{name} is required for email")
    for participant in participants:
        _check_participant(kind, participant)


def _check_participant(kind: str, participant: dict[str, Any]) -> None:
    address, identity = str(participant.get("address") or ""), str(participant.get("identity") or "")
    if bool(address) == bool(identity):
        raise Refused(
            400, 45351, "Channel Participant properties must contain exactly one of identity or address"
        )
    if kind in {"web", "chat"} and not identity:
        raise Refused(400, 45351, "Invalid Channel Participant properties. identity is required")
    if kind == "email":
        if participant.get("level") not in {"to", "cc", "bcc"}:
            raise Refused(400, 45367, f"{sentence(45367)} level must be to, cc or bcc")
        if not _EMAIL.fullmatch(address):
            raise Refused(400, 50407, "Invalid messaging binding address")
    if kind in {"sms", "whatsapp"}:
        _check_numbers(kind, address, str(participant.get("proxy_address") or ""))


def _check_numbers(kind: str, address: str, proxy: str) -> None:
    if not address:
        raise Refused(400, 50411, "Messaging binding address must not be empty")
    if not proxy:
        raise Refused(400, 50412, "Messaging binding proxy address must not be empty")
    prefix = "whatsapp:" if kind == "whatsapp" else ""
    if not _E164.fullmatch(address.removeprefix("whatsapp:")):
        raise Refused(400, 50407, f"Invalid messaging binding address {address}")
    if not _E164.fullmatch(proxy.removeprefix("whatsapp:")):
        raise Refused(400, 50408, f"Invalid messaging binding proxy address {proxy}")
    if address.startswith("whatsapp:") != bool(prefix) or proxy.startswith("whatsapp:") != bool(prefix):
        raise Refused(400, 50414, "Messaging binding address and proxy address must be of the channel's type")
    if address == proxy:
        raise Refused(400, 50409, "Messaging binding address and proxy address must be different")


def _read_routing(call: Call, initiated_by: str, settings: Settings) -> dict[str, Any]:
    routing = call.json_field("Routing")
    if not isinstance(routing, dict):
        raise Refused(400, 20001, "Invalid parameter: Routing is required and must be a JSON object")
    properties = _object(routing, "properties", "routing")
    required = {"workspace_sid", "queue_sid", "worker_sid"} if initiated_by == "agent" else {"workspace_sid"}
    for name, prefix in _SIDS.items():
        value = properties.get(name)
        if not value:
            if name in required:
                raise _wrong(f"routing.properties.{name} is required")
        elif not re.fullmatch(prefix + "[0-9a-fA-F]{32}", str(value)):
            raise _wrong(f"routing.properties.{name} must be {prefix} and 32 hex digits")
        elif not settings.has_sid(str(value)):
            raise _wrong(f"routing.properties.{name} {value} was not found")
    for name in ("priority", "timeout"):
        if not isinstance(properties.get(name, 0), int):
            raise _wrong(f"routing.properties.{name} must be a whole number")
    return properties
