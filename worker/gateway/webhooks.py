"""What Twilio tells by itself: whether it is Twilio that speaks, and what it says of a message.

A signature carries no time: an event may come twice, late, or out of order, and whoever hears it must bear that.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

from twilio import request_validator as sdk  # type: ignore[import-untyped]

from worker.gateway import reading

# A message of WhatsApp's 4,096 characters, each of four bytes and each byte percent-encoded, is 48 KB.
MAX_FORM_BYTES = 256 * 1024
MAX_FIELDS = 100
MAX_BODY = 4096
MAX_AUTHOR = 512
_ALGORITHMS = (sdk.HMAC_SHA1, sdk.HMAC_SHA256)


@dataclass(frozen=True, slots=True)
class DeliveryEvent:
    """A message has come further: `status` is sent, delivered, read, undelivered or failed; no failure is code 0."""

    conversation_sid: str
    message_sid: str
    status: str
    error_code: int


@dataclass(frozen=True, slots=True)
class ReplyEvent:
    """A message was written into a conversation, by anybody: `key` is the `outreach_key` of one that is ours.

    `created_at` is None where Twilio's date cannot be read; `source` is Twilio's word (SDK, API, SMS, …).
    """

    conversation_sid: str
    message_sid: str
    author: str = field(repr=False)
    body: str = field(repr=False)
    created_at: datetime | None
    key: str | None
    source: str


Event: TypeAlias = DeliveryEvent | ReplyEvent


class SignatureChecker:
    """Tell Twilio's requests from all others; any number of threads may share one.

    `shared_keys`: a key's id -> its secret, for accounts that have their webhooks signed with SHA-256.
    """

    def __init__(self, auth_token: str, shared_keys: Mapping[str, str] | None = None) -> None:
        self._auth_token = auth_token
        self._shared_keys = dict(shared_keys or {})

    def is_genuine(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> bool:
        """Tell whether Twilio signed this form for `url`: the public one that Twilio was given, with its query.

        Whatever cannot be checked is not genuine: no signature, no secret for it, an algorithm that nobody knows.
        Source: https://www.twilio.com/docs/usage/webhooks/webhooks-security
        """
        named = {name.lower(): value for name, value in headers.items()}
        signature = named.get(sdk.SIGNATURE_HEADER.lower(), "").strip()
        settings = named.get(sdk.SIGNATURE_SETTINGS_HEADER.lower(), "")
        secret, algorithm = self._secret(settings), sdk.get_signature_algorithm(settings).upper()
        if not signature or not secret or algorithm not in _ALGORITHMS:
            return False
        try:
            return _is_signed(url, form, signature, secret, algorithm)
        except ValueError:  # a port that is none, or half a character: nothing that Twilio could have signed
            return False

    def _secret(self, settings: str) -> str:
        """Return the secret that the settings header names, else the account's token; "" where there is none."""
        if not settings.strip():
            return self._auth_token
        parts = (part.partition("=") for part in settings.split(","))
        keys = [value.strip() for name, _, value in parts if name.strip() == "key"]
        return self._shared_keys.get(keys[0], "") if len(keys) == 1 else ""


def read_form(body: bytes) -> dict[str, str] | None:
    """Read a form as Twilio encodes it; None for anything else, for what is too long, and for a name given twice."""
    if len(body) > MAX_FORM_BYTES:
        return None
    try:
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        return None
    form = dict(pairs)
    return form if len(form) == len(pairs) else None


def read_event(form: Mapping[str, str], account_sid: str = "") -> Event | None:
    """Read what a form tells of a message; None where it tells nothing, or of an account other than `account_sid`."""
    if account_sid and form.get("AccountSid") != account_sid:
        return None
    conversation_sid = reading.sid_of("CH", form.get("ConversationSid"))
    message_sid = reading.sid_of("IM", form.get("MessageSid"))
    if conversation_sid is None or message_sid is None:
        return None
    match form.get("EventType"):
        case "onDeliveryUpdated":
            return _delivery(form, conversation_sid, message_sid)
        case "onMessageAdded":
            return _reply(form, conversation_sid, message_sid)
        case _:
            return None


def _is_signed(url: str, form: Mapping[str, str], signature: str, secret: str, algorithm: str) -> bool:
    validator, parts = sdk.RequestValidator(secret), urlsplit(url)
    # Twilio signs the URL with its port or without it.
    wanted = [
        validator.compute_signature(each, form, algorithm)
        for each in (sdk.remove_port(parts), sdk.add_port(parts))
    ]
    given = signature.encode()
    matches = [hmac.compare_digest(given, each.encode()) for each in wanted]
    return any(matches)


def _delivery(form: Mapping[str, str], conversation_sid: str, message_sid: str) -> DeliveryEvent | None:
    status = form.get("Status", "")
    if status not in reading.DELIVERIES:
        return None
    return DeliveryEvent(conversation_sid, message_sid, status, reading.code_of(form.get("ErrorCode")))


def _reply(form: Mapping[str, str], conversation_sid: str, message_sid: str) -> ReplyEvent | None:
    author = reading.text_of(form.get("Author"))
    if not author or len(author) > MAX_AUTHOR:
        return None
    return ReplyEvent(
        conversation_sid=conversation_sid,
        message_sid=message_sid,
        author=author,
        body=reading.text_of(form.get("Body"))[:MAX_BODY],
        created_at=_moment(form.get("DateCreated", "")),
        key=reading.key_of(form.get("Attributes")),
        source=reading.text_of(form.get("Source"))[:32],
    )


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
