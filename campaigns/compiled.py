"""A campaign bound to the columns of a file: every template found its columns, every row can be judged."""

from collections.abc import Sequence
from dataclasses import replace

from campaigns.campaign import Campaign
from campaigns.definition_rules import IDENTITY_CHANNELS
from campaigns.fields import Binder, Field, Filling
from campaigns.message import NOT_A_VALUE, find_text_doubt
from campaigns.names import BLANKS, say_key
from campaigns.problems import RefusedError
from campaigns.read_address import AddressReader, EmailReader
from campaigns.read_message import FollowUpReader, MessageReader
from campaigns.read_routing import InteractionReader, RoutingReader, WindowReader
from campaigns.recipient import Recipient
from campaigns.row_error import RowError, quote
from campaigns.schedule import SendWindow

# An empty column elsewhere leaves a hole in the address, in a SID or in what the customer reads.
_MAY_BE_EMPTY = (
    "routing.attributes.",
    "routing.task_channel",
    "routing.priority",
    "routing.timeout_s",
    "interaction.",
    "default_region",
)
# Of a cell that a template uses: ten times what any text of Twilio's takes.
MAX_USED_LENGTH = 16_384
_SPOKEN = ("message.", "subject", "to_name", "from_name")


def compile_campaign(campaign: Campaign, columns: Sequence[str], file: str) -> "CompiledCampaign":
    """Bind `campaign` to the columns of the customers' file.

    Raises: RefusedError for every name in a template that is no column, with the column probably meant.
    """
    return CompiledCampaign(campaign, columns, file)


class CompiledCampaign:
    """Judges rows; keeps nothing of them, so that threads may share it."""

    def __init__(self, campaign: Campaign, columns: Sequence[str], file: str) -> None:
        self.campaign = campaign
        self.columns = tuple(columns)
        self.file = file
        binder = Binder(columns, file)
        self._address = AddressReader(campaign, binder)
        self._email = EmailReader(campaign, binder) if campaign.channel == "email" else None
        self._routing = RoutingReader(campaign, binder)
        self._interaction = InteractionReader(campaign, binder)
        self._message = MessageReader(campaign.message, campaign.subject, binder)
        self._window = WindowReader(campaign.window, binder) if campaign.window else None
        first = len(binder.fields)
        self._follow_ups = [
            FollowUpReader(follow_up, number, binder)
            for number, follow_up in enumerate(campaign.follow_ups, start=1)
        ]
        if binder.problems:
            raise RefusedError(binder.problems)
        self._places: dict[str | None, int] = {name: place for place, name in enumerate(self.columns)}
        self._indexes = binder.used.indexes
        self._first = _Places(binder, binder.fields[:first])
        self._all = _Places(binder, binder.fields)

    def recipient(self, row: int, cells: Sequence[str]) -> Recipient | RowError:
        """Turn the cells of data row `row` into a recipient, or give the first thing wrong with them.

        Follow-ups are not looked at: `examine` has done so before the row was loaded, and they hold no first message back.
        """
        recipient, faults = self._read(row, cells, self._first)
        return faults[0] if recipient is None else recipient

    def examine(self, row: int, cells: Sequence[str]) -> tuple[Recipient | None, list[RowError]]:
        """Turn the cells into a recipient, or give everything wrong with them, in the order of the columns.

        A row of which a follow-up could not be sent is wrong: nobody should find that out in the night when it is due.
        """
        return self._read(row, cells, self._all, self._follow_ups)

    def _read(
        self, row: int, cells: Sequence[str], places: "_Places", follow_ups: Sequence[FollowUpReader] = ()
    ) -> tuple[Recipient | None, list[RowError]]:
        filling = Filling([cells[index].strip(BLANKS) for index in self._indexes])
        if max(map(len, filling.values), default=0) > MAX_USED_LENGTH:
            return None, self._find_long(filling)
        _find_holes(filling, places)
        address = self._address.read(filling)
        sender = self._address.read_sender(filling)
        routing = self._routing.read(filling, row)
        context_sid, webhook_ttid = self._interaction.read(filling)
        message = self._message.read(filling)
        email = self._email.read(filling) if self._email else {}
        window = self._window.read(filling, lambda: address) if self._window else None
        for follow_up in follow_ups:
            follow_up.judge(filling, address)
        if filling.faults or address is None:
            return None, sorted(filling.faults, key=self._place_of)
        channel = self.campaign.channel
        recipient = Recipient(
            row=row,
            address=address,
            proxy_address=None if self._email else sender,
            channel=channel,
            identity=address if channel in IDENTITY_CHANNELS else None,
            name=email.get("name"),
            level=email.get("level"),
            from_address=sender if self._email else None,
            from_name=email.get("from_name"),
            routing=routing,
            context_sid=context_sid,
            webhook_ttid=webhook_ttid,
            message=message,
            window=window,
        )
        return recipient, []

    def window(self, cells: Sequence[str]) -> SendWindow | None:
        """Give the hours of a row alone; None where there are none, or where they cannot be read."""
        if self._window is None:
            return None
        filling = Filling([cells[index].strip(BLANKS) for index in self._indexes])
        return self._window.read(filling, lambda: self._address.read(filling))

    def doubts(self, cells: Sequence[str], recipient: Recipient) -> list[RowError]:
        """Find what an operator should look at in a row that is ready all the same."""
        values = [cells[index].strip(BLANKS) for index in self._indexes]
        found = [
            replace(doubt, column=column)
            for place, column in self._all.spoken
            if (doubt := find_text_doubt(values[place]))
        ]
        if address_doubt := self._address.find_doubt(values, recipient.address):
            found.append(address_doubt)
        return found

    def _find_long(self, filling: Filling) -> list[RowError]:
        return [
            RowError("too_long", f"{quote(name)} has {len(value):,} characters", "shorten it", name)
            for name, value in zip((self.columns[i] for i in self._indexes), filling.values, strict=True)
            if len(value) > MAX_USED_LENGTH
        ]

    def _place_of(self, fault: RowError) -> int:
        return self._places.get(fault.column, len(self.columns))


class _Places:
    """Which of the used columns may not be empty, and which are read by the customer."""

    def __init__(self, binder: Binder, fields: Sequence[Field]) -> None:
        needed: dict[int, str] = {}
        for field in fields:
            if field.filler.is_plain and not field.key.startswith(_MAY_BE_EMPTY):
                for place in field.filler.positions:
                    needed.setdefault(place, field.key)
        spoken = {place for field in fields if _is_spoken(field.key) for place in field.filler.positions}
        self.needed = tuple((place, binder.name(place), key) for place, key in sorted(needed.items()))
        self.spoken = tuple((place, binder.name(place)) for place in sorted(spoken))


def _is_spoken(key: str) -> bool:
    return key.startswith(_SPOKEN) or (key.startswith("follow_up.") and ".window." not in key)


def _find_holes(filling: Filling, places: _Places) -> None:
    values = filling.values
    for place, column, key in places.needed:
        if not values[place]:
            filling.holes.add(place)
            sentence, advice = f"{column} is empty", f"fill it: {key} is made of it"
            if key.startswith("follow_up."):
                sentence, advice = f"{sentence}, and the {say_key(key)} is made of it", "fill it"
            filling.faults.append(RowError("missing_value", sentence, advice, column))
    for place, column in places.spoken:
        if values[place] in NOT_A_VALUE:
            filling.holes.add(place)
            sentence = f"{column} holds {quote(values[place])}, which would be sent as text"
            advice = "fill in what is meant, or leave the row out"
            filling.faults.append(RowError("missing_value", sentence, advice, column))
