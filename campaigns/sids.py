"""The shapes of Twilio's identifiers."""

import re

from campaigns.names import say_key

HEX = "[0-9a-fA-F]{32}"

# Key of the definition -> the two letters its SID begins with, and what it is.
SID_KEYS: dict[str, tuple[str, str]] = {
    "routing.workspace_sid": ("WS", "workspace"),
    "routing.workflow_sid": ("WW", "workflow"),
    "routing.queue_sid": ("WQ", "task queue"),
    "routing.worker_sid": ("WK", "worker"),
    "routing.agents": ("WK", "worker"),
    "interaction.context_sid": ("HQ", "interaction context"),
    "message.content_sid": ("HX", "content template"),
    "follow_up.content_sid": ("HX", "content template"),
}
_ENTRY = re.compile(r"\.\d+")
_PATTERNS = {prefix: re.compile(prefix + HEX) for prefix, _ in SID_KEYS.values()}


def is_sid_key(key: str) -> bool:
    """Tell whether a SID stands under `key`."""
    return _ENTRY.sub("", key) in SID_KEYS


def find_sid_fault(key: str, text: str) -> str | None:
    """Say what is wrong with the SID `text` under `key`, or None."""
    prefix, kind = SID_KEYS[_ENTRY.sub("", key)]
    key = say_key(key)
    if _PATTERNS[prefix].fullmatch(text):
        return None
    if not text:
        return f"{key} is empty"
    if len(text) > 60:
        text = f"{text[:57]}..."
    return f'{key} is "{text}", which is no {kind} SID'


def sid_advice(key: str) -> str:
    """Say how the SID under `key` must look."""
    prefix, _ = SID_KEYS[_ENTRY.sub("", key)]
    return f"write {prefix} and 32 hexadecimal digits, as the Twilio console shows it"
