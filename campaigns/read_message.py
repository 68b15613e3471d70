"""Reads from a row what is said first."""

from campaigns.campaign import Campaign
from campaigns.fields import Binder, Filling
from campaigns.message import find_variable_fault
from campaigns.read_address import read_text
from campaigns.read_routing import read_sid
from campaigns.recipient import Message


class MessageReader:
    """The first message of one row."""

    def __init__(self, campaign: Campaign, binder: Binder) -> None:
        message = campaign.message
        self._author = binder.bind("message.author", message.author)
        self._body = binder.bind_optional("message.body", message.body)
        self._subject = binder.bind_optional("subject", campaign.subject)
        self._content_sid = binder.bind_optional("message.content_sid", message.content_sid)
        self._variables = {
            name: binder.bind(f"message.variables.{name}", text) for name, text in message.variables.items()
        }

    def read(self, filling: Filling) -> Message:
        """Give the message; what is wrong with it is among the faults."""
        variables: dict[str, str] = {}
        for name, field in self._variables.items():
            value = filling.fill(field)
            if value is None:
                continue
            variables[name] = value
            if field.constant is None and (fault := find_variable_fault(name, value)):
                filling.blame(fault, field)
        return Message(
            read_text(filling, self._author, "author") or "",
            read_text(filling, self._body, "body"),
            read_sid(filling, self._content_sid) if self._content_sid else None,
            variables,
            read_text(filling, self._subject, "subject"),
        )
