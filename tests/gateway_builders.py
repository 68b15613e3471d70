"""Recipients, messages and gateways for the tests of the gateway."""

import time
from dataclasses import replace
from typing import Any

from campaigns.recipient import Message, Recipient, Routing
from worker.gateway.caller import Credentials
from worker.gateway.http import HttpOptions, PooledHttpClient
from worker.gateway.twilio import TwilioGateway

ACCOUNT = "AC" + "0" * 31 + "1"
CUSTOMER = "whatsapp:+14155550101"
SENDER = "whatsapp:+14155550009"
KEY = "renewals-1a2b3c4d:1:1"


def sid(prefix: str, number: int = 1) -> str:
    """Return a SID of the right shape."""
    return f"{prefix}{number:032x}"


MESSAGE = Message(
    author="Renewals team",
    body=None,
    content_sid=sid("HX"),
    variables={"1": "Ann", "2": "1 March"},
    subject=None,
)

RECIPIENT = Recipient(
    row=1,
    address=CUSTOMER,
    proxy_address=SENDER,
    channel="whatsapp",
    identity=None,
    name=None,
    level=None,
    from_address=None,
    from_name=None,
    routing=Routing(
        workspace_sid=sid("WS"),
        workflow_sid=sid("WW"),
        queue_sid=sid("WQ"),
        worker_sid=sid("WK"),
        task_channel="chat",
        priority=None,
        timeout_s=None,
        attributes={"customerName": "Ann"},
    ),
    context_sid=None,
    webhook_ttid=None,
    message=MESSAGE,
)


def recipient(**changes: Any) -> Recipient:
    """Return a WhatsApp recipient with `changes`."""
    return replace(RECIPIENT, **changes)


def routing(**changes: Any) -> Routing:
    """Return its routing with `changes`."""
    return replace(RECIPIENT.routing, **changes)


def message(**changes: Any) -> Message:
    """Return its message with `changes`."""
    return replace(MESSAGE, **changes)


def http_client(base_url: str, **options: Any) -> PooledHttpClient:
    """Return the HTTP client; give it short times where a fault is waited for."""
    return PooledHttpClient(HttpOptions(base_url=base_url, **options), time.monotonic, time.time)


def gateway_over(http: PooledHttpClient, **changes: Any) -> TwilioGateway:
    """Return a gateway over `http`."""
    credentials = Credentials(account_sid=ACCOUNT, auth_token="secret-token")
    return TwilioGateway(**{"credentials": credentials, "http": http, "wall_clock": time.time, **changes})
