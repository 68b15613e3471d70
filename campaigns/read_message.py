"""Reads from a row what is said first, and later."""

from campaigns.campaign import FollowUp, MessageRules
from campaigns.fields import Binder, Field, Filling
from campaigns.message import find_variable_fault
from campaigns.names import say_key
from campaigns.read_address import read_text
from campaigns.read_routing import WindowReader, read_sid
from campaigns.recipient import Message


class MessageReader:
    """A message of one row: the first one, or that of the follow-up under the key `section`."""

    def __init__(
        self, message: MessageRules | FollowUp, subject: str | None, binder: Binder, section: str = "message"
    ) -> None:
        is_first = section == "message"
        self._where = "" if is_first else f" of {say_key(section)}"
        self._author = binder.bind_optional(f"{section}.author", message.author)
        self._body = binder.bind_optional(f"{section}.body", message.body)
        self._subject = binder.bind_optional("subject" if is_first else f"{section}.subject", subject)
        self._content_sid = binder.bind_optional(f"{section}.content_sid", message.content_sid)
        self._variables = {
            name: binder.bind(f"{section}.variables.{name}", text) for name, text in message.variables.items()
        }

    def read(self, filling: Filling) -> Message:
        """Give the message; what is wrong with it is among the faults."""
        variables: dict[str, str] = {}
        for name, field in self._variables.items():
            value = filling.fill(field)
            if value is None:
                continue
            variables[name] = value
            if field.constant is None and (fault := find_variable_fault(name, value, self._where)):
                filling.blame(fault, field)
        return Message(
            self._read(filling, self._author, "author") or "",
            self._read(filling, self._body, "body"),
            read_sid(filling, self._content_sid) if self._content_sid else None,
            variables,
            self._read(filling, self._subject, "subject"),
        )

    def _read(self, filling: Filling, field: Field | None, kind: str) -> str | None:
        return read_text(filling, field, kind, self._where)


class FollowUpReader:
    """One follow-up of a row, read long before it is due: what is wrong with it is told while somebody looks."""

    def __init__(self, follow_up: FollowUp, number: int, binder: Binder) -> None:
        section = f"follow_up.{number}"
        self._message = MessageReader(follow_up, follow_up.subject, binder, section)
        window = follow_up.window
        self._window = WindowReader(window, binder, f"{section}.window") if window else None

    def judge(self, filling: Filling, address: str | None) -> None:
        """Find what is wrong with it, in cells of which the first message has found nothing wrong."""
        known, before = {fault.column for fault in filling.faults}, len(filling.faults)
        self._message.read(filling)
        if self._window:
            self._window.read(filling, lambda: address)
        filling.faults[before:] = [fault for fault in filling.faults[before:] if fault.column not in known]
