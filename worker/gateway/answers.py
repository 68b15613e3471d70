"""Turn an answer that isn't the wished one into what it means for the row."""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime

from worker import json_text
from worker.gateway import codes
from worker.gateway.exchange import Received
from worker.gateway.outcome import Deferred, Refusal, Rejected, Unanswered, Unknown
from worker.gateway.reading import conversation_in_text, text_of

MAX_RETRY_AFTER_S = 24 * 3600.0
_MAX_DETAIL = 300


def refusal(received: Received, now_s: float) -> Refusal:
    """Classify an answer to a request with an effect.

    Never processed (429 and its kin) is Deferred; a 4xx with a verdict is Rejected; all else may have had its effect.
    """
    code, message = error_in(received)
    detail = describe(received.status, code, message)
    if not 400 <= received.status < 500:
        return Unanswered(detail, code)
    kind = codes.lookup(code, received.status).kind
    if received.status == 429 or kind == "transient":
        return Deferred(code, retry_after_s(received.headers, now_s), throttled=True, detail=detail)
    if kind == "ambiguous":
        return Unanswered(detail, code)
    return Rejected(code, detail, conversation_in_text(message) if kind == "pair_busy" else None)


def unknown(received: Received, now_s: float) -> Unknown:
    """Classify an answer to a look-up that told nothing."""
    code, message = error_in(received)
    kind = codes.lookup(code, received.status).kind
    is_throttled = received.status == 429 or (kind == "transient" and received.status < 500)
    detail = describe(received.status, code, message)
    return Unknown(code, detail, retry_after_s(received.headers, now_s), is_throttled)


def error_in(received: Received) -> tuple[int, str]:
    """Return an error's code and message, in Twilio's older form or as RFC 9457; the HTTP status if it has no code."""
    try:
        body = json_text.loads(received.text)
    except (ValueError, RecursionError):
        return received.status, ""
    if not isinstance(body, dict):
        return received.status, ""
    message = text_of(body.get("message")) or text_of(body.get("detail")) or text_of(body.get("title"))
    code = body.get("code")
    if isinstance(code, bool) or not isinstance(code, int) or not 0 < code < 1_000_000:
        return received.status, message
    return code, message


def retry_after_s(headers: dict[str, str], now_s: float) -> float | None:
    """Return how long `Retry-After` asks to wait, from seconds or an HTTP date; None if it does not say.

    A date counts from the answer's own `Date`, so that a wrong clock on either side does no harm.
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        wait_s = float(value)
    except ValueError:
        until = _epoch(value)
        wait_s = until - (_epoch(headers.get("date", "")) or now_s) if until is not None else math.nan
    return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S) if math.isfinite(wait_s) else None


def describe(status: int, code: int, message: str) -> str:
    """Say in one line what Twilio answered; its own message may hold the customer's number."""
    shown = message[:_MAX_DETAIL]
    said = " ".join("".join(char if char.isprintable() else " " for char in shown).split())
    named = f"HTTP {status}" if code == status else f"HTTP {status}, code {code}"
    return f"{named}: {said}" if said else named


def _epoch(http_date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(http_date)
    except (ValueError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
