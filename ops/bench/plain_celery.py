"""What a script with Celery and the SDK looks like at first: a task a row, everything else as it comes. For `cost.py`.

Only the host is another: Twilio's place is taken by PLAIN_URL. The tasks differ in where the SDK's client is made.
"""

from __future__ import annotations

import json
import os

from celery import Celery
from twilio.rest import Client  # type: ignore[import-untyped]

ACCOUNT = ("AC" + "1" * 32, "secret-token")
SENDER = "whatsapp:+19252210100"

app = Celery("plain", broker=os.environ.get("PLAIN_BROKER", "memory://"))


class LoopbackClient(Client):  # type: ignore[misc]
    """The SDK's client, with its own HTTP client, which asks another host."""

    def get_hostname(self, uri: str) -> str:
        """Put the loopback server in the place of Twilio's host."""
        return os.environ["PLAIN_URL"] + "/" + uri.split("/", 3)[3]


client = LoopbackClient(*ACCOUNT)


@app.task(name="send")  # type: ignore[untyped-decorator]
def send(phone: str, first_name: str, due_date: str) -> None:
    """Send a row with the process's one client."""
    send_row(client, phone, first_name, due_date)


@app.task(name="send_with_own_client")  # type: ignore[untyped-decorator]
def send_with_own_client(phone: str, first_name: str, due_date: str) -> None:
    """Send a row with a client of its own."""
    send_row(LoopbackClient(*ACCOUNT), phone, first_name, due_date)


def send_row(sdk: Client, phone: str, first_name: str, due_date: str) -> None:
    """Open an Interaction, see the customer in its conversation, send the first message."""
    address = f"whatsapp:{phone}"
    interaction = sdk.flex_api.v1.interaction.create(
        channel={
            "type": "whatsapp",
            "initiated_by": "agent",
            "properties": {"type": "whatsapp"},
            "participants": [{"address": address, "proxy_address": SENDER, "type": "whatsapp"}],
        },
        routing={
            "properties": {
                "workspace_sid": "WS5f1d2c3b4a59687766554433221100ff",
                "workflow_sid": "WW0a1b2c3d4e5f60718293a4b5c6d7e8f9",
                "queue_sid": "WQ9f8e7d6c5b4a39281706f5e4d3c2b1a0",
                "attributes": {"customerAddress": address, "customerName": first_name},
            }
        },
    )
    attributes = json.loads(interaction.routing["properties"]["attributes"])
    conversation = sdk.conversations.v1.conversations(attributes["conversationSid"])
    bindings = [each.messaging_binding for each in conversation.participants.list()]
    if any(binding["address"] == address for binding in bindings):
        conversation.messages.create(
            author="Renewals team",
            content_sid="HX3a4b5c6d7e8f90123456789abcdef012",
            content_variables=json.dumps({"1": first_name, "2": due_date}),
        )
