"""A campaign bound to the columns of a file: every template found its columns, every row can be judged."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from campaigns.address import find_address_doubt, find_region_fault, normalise_address, normalise_sender
from campaigns.campaign import Campaign
from campaigns.definition_rules import IDENTITY_CHANNELS, LEVELS
from campaigns.message import (
    MAX_ATTRIBUTES_BYTES,
    NOT_A_VALUE,
    PERHAPS_NOT_A_VALUE,
    find_text_fault,
    find_variable_fault,
)
from campaigns.names import BLANKS, find_near_miss, fold_name, say_names
from campaigns.problems import Problem, RefusedError
from campaigns.recipient import Message, Recipient, Routing
from campaigns.row_error import RowError, quote
from campaigns.schedule import is_timezone, parse_clock
from campaigns.sids import find_sid_fault, sid_advice
from campaigns.template import Filler, Template, TemplateError, UnknownNameError

_MAY_BE_EMPTY = (
    "routing.attributes.",
    "interaction.",
    "routing.priority",
    "routing.timeout_s",
    "default_region",
)
_SPOKEN = ("message.", "subject", "to_name", "from_name")


@dataclass(frozen=True, slots=True)
class Field:
    """One templated key of the definition, and the column its faults are named after."""

    key: str
    filler: Filler
    column: str | None
    constant: str | None = None


class _UsedColumns(Mapping[str, int]):
    """The file's columns by folded name; each that is asked for gets a place among the values of a row."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._index = {fold_name(name): index for index, name in enumerate(columns) if fold_name(name)}
        self._place: dict[int, int] = {}

    @property
    def indexes(self) -> tuple[int, ...]:
        return tuple(self._place)

    def __getitem__(self, folded: str) -> int:
        return self._place.setdefault(self._index[folded], len(self._place))

    def __contains__(self, folded: object) -> bool:
        return folded in self._index

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)


class _Filling:
    """One row while it is being filled: its values, and the faults found so far."""

    __slots__ = ("faults", "holes", "values")

    def __init__(self, values: list[str]) -> None:
        self.values = values
        self.faults: list[RowError] = []
        self.holes: set[int] = set()

    def fill(self, field: Field) -> str | None:
        """Fill one field; None if it cannot be, for a reason that is among the faults."""
        if self.holes and not self.holes.isdisjoint(field.filler.positions):
            return None
        try:
            return field.filler.fill(self.values)
        except TemplateError as error:
            self.faults.append(
                RowError("bad_template", f"{field.key}: {error.what}", error.advice, field.column)
            )
            return None

    def check(self, fault: RowError | None, field: Field) -> None:
        if fault is not None:
            self.faults.append(replace(fault, column=field.column))


def compile_campaign(campaign: Campaign, columns: Sequence[str], file: str) -> "CompiledCampaign":
    """Bind `campaign` to the columns of the customers' file.

    Raises: RefusedError for every name in a template that is no column, with the column probably meant.
    """
    return CompiledCampaign(campaign, columns, file)


class CompiledCampaign:
    """Judges rows; safe to share between threads."""

    def __init__(self, campaign: Campaign, columns: Sequence[str], file: str) -> None:
        self.campaign = campaign
        self.columns = tuple(columns)
        self.file = file
        self._used = _UsedColumns(columns)
        self._problems: list[Problem] = []
        self._bind_all()
        if self._problems:
            raise RefusedError(self._problems)
        self._indexes = self._used.indexes
        self._find_needed()

    def recipient(self, row: int, cells: Sequence[str]) -> Recipient | RowError:
        """Turn the cells of data row `row` into a recipient, or give the first thing wrong with them."""
        recipient, faults = self.examine(row, cells)
        return faults[0] if recipient is None else recipient

    def examine(self, row: int, cells: Sequence[str]) -> tuple[Recipient | None, list[RowError]]:
        """Turn the cells into a recipient, or give everything wrong with them."""
        filling = _Filling([cells[index].strip(BLANKS) for index in self._indexes])
        self._find_holes(filling)
        address = self._read_address(filling)
        sender = self._read_sender(filling)
        routing = self._read_routing(filling, row)
        message = self._read_message(filling)
        rest = self._read_rest(filling)
        if filling.faults or address is None or routing is None or message is None:
            return None, sorted(filling.faults, key=self._place_of)
        return self._build(row, address, sender, routing, message, rest), []

    def doubts(self, cells: Sequence[str], recipient: Recipient) -> list[RowError]:
        """Find what an operator should look at in a row that is ready all the same."""
        values = [cells[index].strip(BLANKS) for index in self._indexes]
        found = [
            RowError("perhaps_missing", f"{quote(values[place])} will be sent as text", "check it", column)
            for place, column in self._spoken
            if values[place] in PERHAPS_NOT_A_VALUE
        ]
        text, region = self._to.filler.fill(values).strip(BLANKS), self._region_of(values)
        doubt = find_address_doubt(self.campaign.channel, text, recipient.address, region)
        return [replace(doubt, column=self._to.column), *found] if doubt else found

    # Binding, once a file.

    def _bind_all(self) -> None:
        campaign, routing, message = self.campaign, self.campaign.routing, self.campaign.message
        self._fields: list[Field] = []
        self._to = self._bind("to", campaign.to)
        self._from = self._bind_optional("from", campaign.from_)
        self._region = self._bind_optional("default_region", campaign.default_region)
        self._email = {
            key: self._bind_optional(key, getattr(campaign, key))
            for key in ("from_name", "to_name", "subject", "level")
        }
        self._sids = {
            key: self._bind_optional(f"routing.{key}", getattr(routing, key))
            for key in ("workspace_sid", "workflow_sid", "queue_sid", "worker_sid")
        }
        self._agents = [self._bind("routing.agents", agent) for agent in routing.agents]
        self._task_channel = self._bind_optional("routing.task_channel", routing.task_channel)
        self._numbers = {
            key: self._bind_optional(f"routing.{key}", None if value is None else str(value))
            for key, value in (("priority", routing.priority), ("timeout_s", routing.timeout_s))
        }
        self._attributes = {
            name: self._bind(f"routing.attributes.{name}", text) for name, text in routing.attributes.items()
        }
        self._context = self._bind_optional("interaction.context_sid", campaign.interaction.context_sid)
        self._webhook = self._bind_optional("interaction.webhook_ttid", campaign.interaction.webhook_ttid)
        self._author = self._bind("message.author", message.author)
        self._body = self._bind_optional("message.body", message.body)
        self._content_sid = self._bind_optional("message.content_sid", message.content_sid)
        self._variables = {
            name: self._bind(f"message.variables.{name}", text) for name, text in message.variables.items()
        }
        window = campaign.window
        self._window = (
            []
            if window is None
            else [
                self._bind("window.from", window.from_),
                self._bind("window.until", window.until),
                self._bind("window.timezone", window.timezone),
            ]
        )

    def _bind_optional(self, key: str, text: str | None) -> Field | None:
        return None if text is None else self._bind(key, text)

    def _bind(self, key: str, text: str) -> Field:
        try:
            filler = Template(text).bind(self._used)
        except UnknownNameError as error:
            self._problems.append(self._say_unknown(key, error.name))
            return Field(key, Filler((), (), is_plain=True), None)
        except TemplateError as error:
            self._problems.append(Problem(self.file, None, None, f"{key}: {error.what}", error.advice))
            return Field(key, Filler((), (), is_plain=True), None)
        indexes = self._used.indexes
        column = self.columns[indexes[filler.positions[0]]] if filler.positions else None
        field = Field(key, filler, column, filler.constant)
        self._fields.append(field)
        return field

    def _say_unknown(self, key: str, name: str) -> Problem:
        names = [column for column in self.columns if column]
        near = find_near_miss(name, names)
        advice = f'did you mean "{near}"?' if near else f"the columns are {say_names(names)}"
        return Problem(
            self.file, 1, None, f"{key} uses {{{{ {name} }}}}, and the file has no such column", advice
        )

    def _find_needed(self) -> None:
        needed: dict[int, str] = {}
        spoken: set[int] = set()
        for field in self._fields:
            if field.key.startswith(_SPOKEN):
                spoken.update(field.filler.positions)
            if field.filler.is_plain and not field.key.startswith(_MAY_BE_EMPTY):
                for place in field.filler.positions:
                    needed.setdefault(place, field.key)
        self._needed = tuple((place, self._name(place), key) for place, key in sorted(needed.items()))
        self._spoken = tuple((place, self._name(place)) for place in sorted(spoken))

    def _place_of(self, fault: RowError) -> int:
        return self.columns.index(fault.column) if fault.column in self.columns else len(self.columns)

    def _name(self, place: int) -> str:
        return self.columns[self._indexes[place]] or f"(column {self._indexes[place] + 1})"

    # Judging, once a row.

    def _find_holes(self, filling: _Filling) -> None:
        values = filling.values
        for place, column, key in self._needed:
            if not values[place]:
                filling.holes.add(place)
                advice = f"fill it: {key} is made of it"
                filling.faults.append(RowError("missing_value", f"{column} is empty", advice, column))
        for place, column in self._spoken:
            if values[place] in NOT_A_VALUE:
                filling.holes.add(place)
                sentence = f"{column} holds {quote(values[place])}, which would be sent as text"
                advice = "fill in what is meant, or leave the row out"
                filling.faults.append(RowError("missing_value", sentence, advice, column))

    def _read_address(self, filling: _Filling) -> str | None:
        region = self._region_of(filling.values)
        if region and self._region and self._region.filler.positions and (fault := find_region_fault(region)):
            filling.check(RowError("bad_region", *fault), self._region)
            return None
        text = filling.fill(self._to)
        if text is None:
            return None
        text = text.strip(BLANKS)
        if not text:
            filling.check(
                RowError("missing_value", "the address is empty", "fill the cell it is made of"), self._to
            )
            return None
        address = normalise_address(self.campaign.channel, text, region)
        if isinstance(address, str):
            return address
        filling.check(address, self._to)
        return None

    def _region_of(self, values: Sequence[str]) -> str | None:
        if self._region is None:
            return None
        try:
            return self._region.filler.fill(values).strip(BLANKS) or None
        except TemplateError:
            return "?"  # no region, and told so as a fault of the row

    def _read_sender(self, filling: _Filling) -> str | None:
        if self._from is None or (text := filling.fill(self._from)) is None:
            return None
        sender = normalise_sender(self.campaign.channel, text)
        if isinstance(sender, str):
            return sender
        filling.check(sender, self._from)
        return None

    def _read_sid(self, filling: _Filling, field: Field | None) -> str:
        if field is None:
            return ""
        if field.constant is not None:
            return field.constant
        text = filling.fill(field)
        if text is None:
            return ""
        if fault := find_sid_fault(field.key, text):
            filling.check(RowError("bad_sid", fault, sid_advice(field.key)), field)
        return text

    def _read_routing(self, filling: _Filling, row: int) -> Routing | None:
        # Dealt by row number: the same row gets the same agent however often the file is read.
        agent = self._agents[(row - 1) % len(self._agents)] if self._agents else self._sids["worker_sid"]
        attributes = {name: filling.fill(field) or "" for name, field in self._attributes.items()}
        if sum(map(len, attributes.values())) > MAX_ATTRIBUTES_BYTES // 8:
            self._check_size(filling, attributes)
        return Routing(
            self._read_sid(filling, self._sids["workspace_sid"]),
            self._read_sid(filling, self._sids["workflow_sid"]),
            self._read_sid(filling, self._sids["queue_sid"]),
            self._read_sid(filling, agent),
            self._read_optional(filling, self._task_channel),
            self._read_number(filling, self._numbers["priority"], 0),
            self._read_number(filling, self._numbers["timeout_s"], 1),
            attributes,
        )

    def _check_size(self, filling: _Filling, attributes: Mapping[str, str]) -> None:
        size = len(json.dumps(attributes))
        if size > MAX_ATTRIBUTES_BYTES:
            longest = max(attributes, key=lambda name: len(attributes[name]))
            sentence = f"routing.attributes have {size:,} bytes, and {MAX_ATTRIBUTES_BYTES:,} are taken"
            filling.check(RowError("too_long", sentence, f"shorten {longest}"), self._attributes[longest])

    def _read_number(self, filling: _Filling, field: Field | None, low: int) -> int | None:
        text = self._read_optional(filling, field)
        if text is None or field is None:
            return None
        if text.isascii() and text.isdigit() and low <= int(text[:12]) < 2**31 and len(text) < 12:
            return int(text)
        sentence = f"{field.key} is {quote(text)}"
        filling.check(
            RowError("bad_value", sentence, f"write a whole number from {low}, or leave the cell empty"),
            field,
        )
        return None

    def _read_optional(self, filling: _Filling, field: Field | None) -> str | None:
        return (filling.fill(field) or None) if field is not None else None

    def _read_message(self, filling: _Filling) -> Message | None:
        variables = {}
        for name, field in self._variables.items():
            if field.constant is not None:
                variables[name] = field.constant
            elif (value := filling.fill(field)) is not None:
                variables[name] = value
                if fault := find_variable_fault(name, value):
                    filling.check(fault, field)
        return Message(
            self._read_text(filling, self._author, "author") or "",
            self._read_text(filling, self._body, "body"),
            self._read_sid(filling, self._content_sid) or None,
            variables,
            self._read_text(filling, self._email["subject"], "subject"),
        )

    def _read_text(self, filling: _Filling, field: Field | None, kind: str) -> str | None:
        if field is None:
            return None
        text = filling.fill(field)
        if text is not None and field.filler.positions and (fault := find_text_fault(kind, text)):
            filling.check(fault, field)
        return text

    def _read_rest(self, filling: _Filling) -> dict[str, str | None]:
        """Read what few campaigns have: names and level on e-mail, context, webhook; and judge the window."""
        rest: dict[str, str | None] = {}
        if self.campaign.channel == "email":
            rest["level"] = self._read_level(filling)
            rest["name"] = self._read_text(filling, self._email["to_name"], "to_name")
            rest["from_name"] = self._read_text(filling, self._email["from_name"], "from_name")
        if self._context is not None and self._read_optional(filling, self._context):
            rest["context_sid"] = self._read_sid(filling, self._context)
        if self._webhook is not None:
            rest["webhook_ttid"] = self._read_optional(filling, self._webhook)
        for field in self._window:
            if field.filler.positions and (text := filling.fill(field)) is not None:
                is_known = (
                    is_timezone(text) if field.key == "window.timezone" else parse_clock(text) is not None
                )
                if not is_known:
                    advice = (
                        'write a name such as "Europe/London"' if "timezone" in field.key else 'write "08:00"'
                    )
                    filling.check(RowError("bad_window", f"{field.key} is {quote(text)}", advice), field)
        return rest

    def _read_level(self, filling: _Filling) -> str:
        field = self._email["level"]
        level = filling.fill(field) if field else "to"
        if level is not None and level not in LEVELS and field:
            filling.check(RowError("bad_value", f"level is {quote(level)}", "write to, cc or bcc"), field)
        return level or "to"

    def _build(
        self,
        row: int,
        address: str,
        sender: str | None,
        routing: Routing,
        message: Message,
        rest: Mapping[str, str | None],
    ) -> Recipient:
        channel = self.campaign.channel
        is_email = channel == "email"
        return Recipient(
            row=row,
            address=address,
            proxy_address=None if is_email else sender,
            channel=channel,
            identity=address if channel in IDENTITY_CHANNELS else None,
            name=rest.get("name"),
            level=rest.get("level"),
            from_address=sender if is_email else None,
            from_name=rest.get("from_name"),
            routing=routing,
            context_sid=rest.get("context_sid"),
            webhook_ttid=rest.get("webhook_ttid"),
            message=message,
        )
