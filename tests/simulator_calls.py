"""Requests to the simulator as a program without any SDK makes them."""

import json
from typing import Any

import requests

ACCOUNT = "AC" + "1" * 32
WORKSPACE, WORKFLOW = "WS" + "a" * 32, "WW" + "a" * 32
QUEUE, AGENT = "WQ" + "a" * 32, "WK" + "a" * 32
TEMPLATE = "HX" + "a" * 32
SENDER = "whatsapp:+19251235555"
INTERACTIONS = "/flex-api/v1/Interactions"


class Calls:
    """A client of one simulator; every method is one request and returns the response as it came."""

    def __init__(
        self, url: str, auth: tuple[str, str] = (ACCOUNT, "secret"), timeout_s: float = 60.0
    ) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = auth

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def get(self, path: str, **query: Any) -> requests.Response:
        """GET a path, or a whole URL that an answer named."""
        url = path if path.startswith("http") else self.url + path
        return self._session.get(url, params=query, timeout=self._timeout_s)

    def post(self, path: str, **form: Any) -> requests.Response:
        """POST a form."""
        return self._session.post(self.url + path, data=form, timeout=self._timeout_s)

    def open(self, address: str, key: str = "", **channel: Any) -> requests.Response:
        """Ask for an Interaction with a customer on WhatsApp, or as `channel` says."""
        participants = [{"address": address, "proxy_address": SENDER, "type": "whatsapp"}]
        whole = {"type": "whatsapp", "initiated_by": "agent", "participants": participants, **channel}
        routing = {
            "properties": {**routing_properties(), "attributes": {"outreach_key": key, "customerName": "Ann"}}
        }
        return self.post(INTERACTIONS, Channel=json.dumps(whole), Routing=json.dumps(routing))

    def send(self, conversation_sid: str, key: str = "", **form: Any) -> requests.Response:
        """Send the renewal reminder, or what `form` says, into a conversation."""
        message = (
            {"ContentSid": TEMPLATE, "ContentVariables": '{"1":"Ann","2":"1 May"}'}
            if "Body" not in form
            else {}
        )
        attributes = json.dumps({"outreach_key": key})
        return self.post(
            messages_path(conversation_sid), **{"Author": "Team", "Attributes": attributes, **message, **form}
        )

    def participants(self, conversation_sid: str) -> list[dict[str, Any]]:
        """Return who is in a conversation."""
        found: list[dict[str, Any]] = self.get(
            f"/conversations/v1/Conversations/{conversation_sid}/Participants"
        ).json()["participants"]
        return found

    def conversations_of(self, address: str) -> list[dict[str, Any]]:
        """Return the conversations of an address."""
        found: list[dict[str, Any]] = self.get(
            "/conversations/v1/ParticipantConversations", Address=address
        ).json()["conversations"]
        return found

    def tasks(self, expression: str, **query: Any) -> requests.Response:
        """Look tasks up by their attributes."""
        return self.get(
            f"/taskrouter/v1/Workspaces/{WORKSPACE}/Tasks", EvaluateTaskAttributes=expression, **query
        )


def routing_properties() -> dict[str, Any]:
    """Return the routing of an agent-initiated Interaction."""
    sids = {"workspace_sid": WORKSPACE, "workflow_sid": WORKFLOW, "queue_sid": QUEUE, "worker_sid": AGENT}
    return {**sids, "task_channel_unique_name": "chat"}


def attributes_of(interaction: dict[str, Any]) -> dict[str, Any]:
    """Return the task attributes inside an Interaction's answer."""
    attributes: dict[str, Any] = json.loads(interaction["routing"]["properties"]["attributes"])
    return attributes


def channel_path(interaction: dict[str, Any]) -> str:
    """Return the path of an Interaction's channel."""
    return f"{INTERACTIONS}/{interaction['sid']}/Channels/{interaction['channel']['sid']}"


def messages_path(conversation_sid: str) -> str:
    """Return the path of a conversation's messages."""
    return f"/conversations/v1/Conversations/{conversation_sid}/Messages"
