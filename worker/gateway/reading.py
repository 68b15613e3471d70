"""Read what Twilio answers without trusting any of it: a value of the right shape, or None."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from worker import json_text
from worker.gateway.seen import FlexTaskSeen, Opened, WebhookConfig

_SID = {
    prefix: re.compile(rf"{prefix}[0-9a-fA-F]{{32}}")
    for prefix in ("AC", "CH", "IM", "KD", "KG", "UO", "WT", "HX")
}
_CONVERSATION_IN_TEXT = re.compile(r"\bCH[0-9a-fA-F]{32}\b")
KEY_ATTRIBUTE = "outreach_key"

DELIVERIES = ("failed", "undelivered", "read", "delivered", "sent")
"""Twilio's words for where a delivery stands, what counts most first."""


def sid_of(prefix: str, value: object) -> str | None:
    """Return `value` if it is a SID with `prefix`; one of Twilio's own examples has a UO where a CH belongs."""
    return value if isinstance(value, str) and _SID[prefix].fullmatch(value) else None


def mapping_of(value: object) -> dict[str, Any]:
    """Return `value` as a JSON object, parsing it if it is text; anything else is empty."""
    if isinstance(value, dict):
        return value
    if isinstance(value, str):
        try:
            value = json_text.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def text_of(value: object) -> str:
    """Return `value` if it is text, else the empty text; half a character, which nothing can store, becomes `?`."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def moment_of(value: object) -> datetime | None:
    """Return the moment in UTC that `value` is as Twilio writes one, or None."""
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) and value.endswith("Z") else None
    except ValueError:
        return None


def code_of(value: object) -> int:
    """Return an error code, 0 for none or for what cannot be one."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 8:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1_000_000 else 0


def key_of(attributes: object) -> str | None:
    """Return the `outreach_key` among the attributes of a task or message."""
    return text_of(mapping_of(attributes).get(KEY_ATTRIBUTE)) or None


def delivery_of(summary: object) -> str:
    """Return the one word for a message's `delivery` summary; "" where it says nothing that we know."""
    counts = mapping_of(summary)
    return next((word for word in DELIVERIES if counts.get(word) in ("some", "all")), "")


def conversation_in_attributes(attributes: object) -> str | None:
    """Return the conversation that a task's attributes name, in the newest of three places that holds one."""
    known = mapping_of(attributes)
    found = sid_of("CH", known.get("conversationSid"))
    if found:
        return found
    for holder in (mapping_of(known.get("conversations")), known):
        media = holder.get("media")
        for each in media if isinstance(media, list) else []:
            entry = mapping_of(each)
            found = sid_of("CH", entry.get("sid")) or sid_of("CH", entry.get("conversation_sid"))
            if found:
                return found
    return None


def conversation_in_text(message: str) -> str | None:
    """Return the conversation that a refusal names in its message (50416, 50425)."""
    found = _CONVERSATION_IN_TEXT.search(message)
    return found.group() if found else None


def routed_attributes(routing: object) -> object:
    """Return the task attributes inside a `routing` object, which are JSON text."""
    return mapping_of(mapping_of(routing).get("properties")).get("attributes")


def opened(sid: object, channel: object, routing: object) -> Opened | None:
    """Read a created Interaction; without its own SID the answer is worth nothing."""
    interaction_sid = sid_of("KD", sid)
    if interaction_sid is None:
        return None
    flex_task = mapping_of(mapping_of(routing).get("properties"))
    attributes = mapping_of(flex_task.get("attributes"))
    channel_sid = sid_of("UO", mapping_of(channel).get("sid"))
    return Opened(
        interaction_sid=interaction_sid,
        channel_sid=channel_sid or sid_of("UO", attributes.get("flexInteractionChannelSid")),
        flex_task_sid=sid_of("WT", flex_task.get("sid")),
        conversation_sid=conversation_in_attributes(attributes),
    )


def webhook_config(
    account_sid: object, post_url: object, filters: object, method: object, target: object
) -> WebhookConfig | None:
    """Read where an account has its events told; what names no account says nothing of one."""
    if sid_of("AC", account_sid) is None:
        return None
    names = tuple(text_of(each) for each in filters) if isinstance(filters, list) else ()
    return WebhookConfig(text_of(post_url), names, text_of(method), text_of(target))


def flex_task(sid: object, attributes: object, assignment_status: object) -> FlexTaskSeen | None:
    """Read a Flex task."""
    task_sid = sid_of("WT", sid)
    if task_sid is None:
        return None
    known = mapping_of(attributes)
    return FlexTaskSeen(
        sid=task_sid,
        key=key_of(known),
        conversation_sid=conversation_in_attributes(known),
        interaction_sid=sid_of("KD", known.get("flexInteractionSid")),
        channel_sid=sid_of("UO", known.get("flexInteractionChannelSid")),
        assignment_status=text_of(assignment_status),
    )
