"""The examinations of `doctor` that are about webhooks: what is registered at Twilio, and whether it leads to our endpoint."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import certifi

from ops.cli.finding import Finding
from worker.gateway.twilio import TwilioGateway
from worker.settings import Settings

_ANSWER_S = 5.0
_REFUSED = 403


def endpoint(settings: Settings) -> Finding:
    """Look at the address that all accounts share, and what answers there."""
    if not settings.webhook_url:
        sentence = "OUTREACH_WEBHOOK_URL is not set: deliveries and replies are polled, which takes longer."
        return Finding("webhooks", "well", sentence)
    advice = "See that `outreach webhooks serve` runs, and that the proxy before it leads there."
    try:
        status = _post_unsigned(settings)
    except (OSError, HTTPException, ValueError) as error:
        why = getattr(error, "reason", None) or error
        sentence = f"OUTREACH_WEBHOOK_URL can't be reached from this machine: {why}."
        return Finding("webhooks", "doubtful", sentence, advice)
    if status == _REFUSED:
        return Finding("webhooks", "well", "The endpoint is there, and refuses what Twilio has not signed.")
    if 200 <= status < 300:
        sentence = f"What answers at OUTREACH_WEBHOOK_URL takes what nobody signed ({status}): it is not our endpoint."
        return Finding("webhooks", "wrong", sentence, advice)
    return Finding(
        "webhooks", "wrong", f"OUTREACH_WEBHOOK_URL answers {status} where it should refuse.", advice
    )


def signing(settings: Settings) -> Iterator[Finding]:
    """Look whether an account's webhooks can be told from others'."""
    if not settings.auth_token.get_secret_value() and not settings.webhook_secrets:
        token, shared = map(settings.variable, ("TWILIO_AUTH_TOKEN", "OUTREACH_WEBHOOK_KEYS"))
        advice = f"Set it beside the API key, or {shared} where the account signs with shared keys."
        yield Finding("webhooks", "wrong", f"Without {token} no signature can be checked.", advice)


def registration(gateway: TwilioGateway, settings: Settings) -> Finding:
    """Look at what Twilio has."""
    from ops.webhooks.registration import advise, find_fault
    from worker.gateway.outcome import Unknown

    answer = gateway.fetch_webhook_config()
    if isinstance(answer, Unknown):
        detail = answer.detail or str(answer.code)
        return Finding("webhooks", "doubtful", f"Twilio does not say what is registered: {detail}.")
    fault = find_fault(answer.value, settings.webhook_url)
    if fault:
        return Finding(
            "webhooks", "wrong", fault, advise(answer.value, settings.webhook_url, settings.profile)
        )
    return Finding("webhooks", "well", "Twilio tells OUTREACH_WEBHOOK_URL of deliveries and replies.")


def _post_unsigned(settings: Settings) -> int:
    """Send what anybody could send; the status of the answer."""
    secret = settings.https_proxy.get_secret_value() if settings.https_proxy else ""
    host = urlsplit(settings.webhook_url).hostname or ""
    # Only https goes by the proxy, as on the way to Twilio.
    bypassed = not secret or proxy_bypass_environment(host, {"no": settings.no_proxy})
    context = ssl.create_default_context()
    context.load_verify_locations(settings.ssl_cert_file or certifi.where())
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({} if bypassed else {"https": secret}),
        urllib.request.HTTPSHandler(context=context),
        _NoRedirects(),
    )
    request = urllib.request.Request(settings.webhook_url, b"EventType=onDeliveryUpdated", method="POST")  # noqa: S310  http or https: the setting is checked
    try:
        with opener.open(request, timeout=_ANSWER_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Twilio's POST would not follow either: its form would be lost on the way."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""
