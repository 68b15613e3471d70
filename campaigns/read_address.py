"""Reads from a row whom to reach, and from which address."""

from dataclasses import replace

from campaigns.address import find_address_doubt, find_region_fault, normalise_address, normalise_sender
from campaigns.campaign import Campaign
from campaigns.definition_rules import LEVELS
from campaigns.fields import Binder, Field, Filling
from campaigns.message import find_text_fault
from campaigns.names import BLANKS
from campaigns.row_error import RowError, quote
from campaigns.template import TemplateError


class AddressReader:
    """The customer's address and the sender's."""

    def __init__(self, campaign: Campaign, binder: Binder) -> None:
        self._channel = campaign.channel
        self._to = binder.bind("to", campaign.to)
        self._from = binder.bind_optional("from", campaign.from_)
        self._region = binder.bind_optional("default_region", campaign.default_region)

    def read(self, filling: Filling) -> str | None:
        """Give the customer's address as Twilio takes it."""
        region = self._read_region(filling)
        text = filling.fill(self._to)
        if text is None or region == _NO_REGION:
            return None
        text = text.strip(BLANKS)
        if not text:
            fault = RowError("missing_value", "the address is empty", "fill the cells it is made of")
            filling.blame(fault, self._to)
            return None
        address = normalise_address(self._channel, text, region)
        if isinstance(address, str):
            return address
        filling.blame(address, self._to)
        return None

    def read_sender(self, filling: Filling) -> str | None:
        """Give the sender's address as Twilio takes it; None on channels without one."""
        if self._from is None or (text := filling.fill(self._from)) is None:
            return None
        sender = normalise_sender(self._channel, text)
        if isinstance(sender, str):
            return sender
        filling.blame(sender, self._from)
        return None

    def find_doubt(self, values: list[str], address: str) -> RowError | None:
        """Find what an operator should know of an address that was read from `values`."""
        filling = Filling(values)
        text = (filling.fill(self._to) or "").strip(BLANKS)
        doubt = find_address_doubt(self._channel, text, address, self._read_region(filling))
        return replace(doubt, column=self._to.column) if doubt else None

    def _read_region(self, filling: Filling) -> str | None:
        field = self._region
        if field is None or field.constant is not None:
            return field.constant if field else None
        try:
            region = field.filler.fill(filling.values).strip(BLANKS)
        except TemplateError as error:
            filling.blame(RowError("bad_template", f"{field.key}: {error.what}", error.advice), field)
            return _NO_REGION
        if region and (fault := find_region_fault(region)):
            filling.blame(RowError("bad_region", *fault), field)
            return _NO_REGION
        return region or None


class EmailReader:
    """What e-mail alone has: the names of both sides, and where the customer's stands (to, cc, bcc)."""

    def __init__(self, campaign: Campaign, binder: Binder) -> None:
        self._from_name = binder.bind_optional("from_name", campaign.from_name)
        self._to_name = binder.bind_optional("to_name", campaign.to_name)
        self._level = binder.bind_optional("level", campaign.level)

    def read(self, filling: Filling) -> dict[str, str | None]:
        """Give the fields of a recipient that are e-mail's own."""
        names = {"name": self._to_name, "from_name": self._from_name}
        return {"level": self._read_level(filling)} | {
            kind: read_text(filling, field, field.key) if field else None for kind, field in names.items()
        }

    def _read_level(self, filling: Filling) -> str:
        if self._level is None or (level := filling.fill(self._level)) is None:
            return "to"
        if level not in LEVELS:
            filling.blame(
                RowError("bad_value", f"level is {quote(level)}", "write to, cc or bcc"), self._level
            )
        return level


def read_text(filling: Filling, field: Field | None, kind: str, where: str = "") -> str | None:
    """Fill a text that a person will read, and judge it."""
    if field is None or field.constant is not None:
        return field.constant if field else None
    text = filling.fill(field)
    if text is not None and (fault := find_text_fault(kind, text, where)):
        filling.blame(fault, field)
    return text


_NO_REGION = "?"
