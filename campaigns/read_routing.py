"""Reads from a row who at Flex takes the conversation, and when it may begin."""

import json
from collections.abc import Callable, Mapping
from datetime import time

from campaigns.campaign import Campaign, Window
from campaigns.fields import Binder, Field, Filling
from campaigns.message import MAX_ATTRIBUTES_BYTES
from campaigns.names import say_key
from campaigns.public_holidays import (
    NUMBER_HOLIDAYS,
    canonical_region,
    country_of_number,
    find_holidays_fault,
)
from campaigns.recipient import Routing
from campaigns.row_error import RowError, quote
from campaigns.schedule import (
    DAYS,
    NUMBER_TIMEZONE,
    SendWindow,
    find_hours_fault,
    is_timezone,
    parse_clock,
    zones_of_number,
)
from campaigns.sids import find_sid_fault, sid_advice

# A number of characters that stays within the limit whatever they are: at worst JSON writes twelve bytes for one.
_SURELY_SMALL = MAX_ATTRIBUTES_BYTES // 16


class RoutingReader:
    """The routing of one row."""

    def __init__(self, campaign: Campaign, binder: Binder) -> None:
        routing = campaign.routing
        self._workspace = binder.bind("routing.workspace_sid", routing.workspace_sid)
        self._workflow = binder.bind("routing.workflow_sid", routing.workflow_sid)
        self._queue = binder.bind("routing.queue_sid", routing.queue_sid)
        if routing.agents:
            self._agents = [binder.bind("routing.agents", agent) for agent in routing.agents]
        else:
            self._agents = [binder.bind("routing.worker_sid", routing.worker_sid or "")]
        self._task_channel = binder.bind_optional("routing.task_channel", routing.task_channel)
        self._priority = binder.bind_optional("routing.priority", _text_of(routing.priority))
        self._timeout = binder.bind_optional("routing.timeout_s", _text_of(routing.timeout_s))
        self._attributes = {
            name: binder.bind(f"routing.attributes.{name}", text) for name, text in routing.attributes.items()
        }

        fields = (
            self._workspace,
            self._workflow,
            self._queue,
            self._task_channel,
            self._priority,
            self._timeout,
        )
        is_fixed = all(field is None or field.constant is not None for field in fields)
        self._fixed = self._read_shared(Filling([])) if is_fixed else None

    def read(self, filling: Filling, row: int) -> Routing:
        """Give the routing of data row `row`; what is wrong with it is among the faults."""
        attributes = {name: filling.fill(field) or "" for name, field in self._attributes.items()}
        if sum(map(len, attributes.values())) > _SURELY_SMALL:
            self._judge_size(filling, attributes)
        # Dealt by row number: the same row gets the same agent however often the file is read.
        agent = read_sid(filling, self._agents[(row - 1) % len(self._agents)])
        workspace, workflow, queue, task_channel, priority, timeout_s = self._fixed or self._read_shared(
            filling
        )
        return Routing(workspace, workflow, queue, agent, task_channel, priority, timeout_s, attributes)

    def _read_shared(self, filling: Filling) -> tuple[str, str, str, str | None, int | None, int | None]:
        """Read what most campaigns have the same for every row."""
        return (
            read_sid(filling, self._workspace),
            read_sid(filling, self._workflow),
            read_sid(filling, self._queue),
            filling.fill_optional(self._task_channel),
            _read_number(filling, self._priority, 0),
            _read_number(filling, self._timeout, 1),
        )

    def _judge_size(self, filling: Filling, attributes: Mapping[str, str]) -> None:
        size = len(json.dumps(attributes))
        if size > MAX_ATTRIBUTES_BYTES:
            longest = max(attributes, key=lambda name: len(attributes[name]))
            sentence = (
                f"routing.attributes take {size:,} bytes, and there is room for {MAX_ATTRIBUTES_BYTES:,}"
            )
            filling.blame(RowError("too_long", sentence, f"shorten {longest}"), self._attributes[longest])


class InteractionReader:
    """The optional parameters of an Interaction."""

    def __init__(self, campaign: Campaign, binder: Binder) -> None:
        self._context = binder.bind_optional("interaction.context_sid", campaign.interaction.context_sid)
        self._webhook = binder.bind_optional("interaction.webhook_ttid", campaign.interaction.webhook_ttid)

    def read(self, filling: Filling) -> tuple[str | None, str | None]:
        """Give the context's SID and the webhook's id, where they are set and not empty."""
        context = filling.fill_optional(self._context)
        if context is not None and self._context is not None:
            context = read_sid(filling, self._context)
        return context, filling.fill_optional(self._webhook)


class WindowReader:
    """The hours of a customer, and the time zone that they are meant in."""

    def __init__(self, window: Window, binder: Binder, section: str = "window") -> None:
        self._from = binder.bind(f"{section}.from", window.from_)
        self._until = binder.bind(f"{section}.until", window.until)
        self._timezone = binder.bind(f"{section}.timezone", window.timezone)
        self._holidays = binder.bind_optional(f"{section}.holidays", window.holidays)
        self._days = frozenset(DAYS.index(day) for day in window.days)
        self._section = section

    def read(self, filling: Filling, find_address: Callable[[], str | None]) -> SendWindow | None:
        """Give the window; None where something is wrong with it, which `filling` is told.

        The address is asked for where the number decides: reading it takes far longer than all else here.
        """
        opens, closes = self._read_clock(filling, self._from), self._read_clock(filling, self._until)
        zones = self._read_zones(filling, find_address)
        holidays = self._read_holidays(filling, find_address)
        if opens is None or closes is None or not zones or holidays is None:
            return None
        if fault := find_hours_fault(opens, closes):
            sentence = f"the {say_key(self._section)} {fault[0]}"
            filling.blame(RowError("bad_window", sentence, fault[1]), self._until)
            return None
        return SendWindow(opens, closes, zones, self._days, holidays)

    def _read_clock(self, filling: Filling, field: Field) -> time | None:
        text = filling.fill(field)
        clock = parse_clock(text) if text is not None else None
        if text is not None and clock is None:
            sentence = f"{say_key(field.key)} is {quote(text)}"
            filling.blame(RowError("bad_window", sentence, "write a time of day, such as 08:00"), field)
        return clock

    def _read_zones(self, filling: Filling, find_address: Callable[[], str | None]) -> tuple[str, ...]:
        text = filling.fill(self._timezone)
        if text is None:
            return ()
        if text == NUMBER_TIMEZONE:
            if (address := find_address()) is None:
                return ()
            zones = zones_of_number(_number_in(address))
            sentence = "the address does not tell the customer's time zone"
        else:
            zones = (text,) if is_timezone(text) else ()
            sentence = f"{quote(text)} is no time zone"
        if not zones:
            filling.blame(
                RowError("bad_window", sentence, "write a name such as Europe/London"), self._timezone
            )
        return zones

    def _read_holidays(self, filling: Filling, find_address: Callable[[], str | None]) -> str | None:
        """Give the region whose holidays are kept, "" where none are."""
        if self._holidays is None:
            return ""
        text = filling.fill(self._holidays)
        if text is None:
            return None
        if text == NUMBER_HOLIDAYS:
            if (address := find_address()) is None:
                return None
            region = country_of_number(_number_in(address))
            sentence = "the address does not tell a country of which holidays are known"
            fault = None if region else (sentence, "name it in a column")
        else:
            region, fault = canonical_region(text), find_holidays_fault(text)
        if fault:
            filling.blame(RowError("bad_window", *fault), self._holidays)
        return region


def _number_in(address: str) -> str:
    return address.rpartition(":")[2]


def read_sid(filling: Filling, field: Field) -> str:
    """Fill a SID and judge its shape."""
    if field.constant is not None:
        return field.constant
    text = filling.fill(field)
    if text is None:
        return ""
    if fault := find_sid_fault(field.key, text):
        filling.blame(RowError("bad_sid", fault, sid_advice(field.key)), field)
    return text


def _read_number(filling: Filling, field: Field | None, low: int) -> int | None:
    text = filling.fill_optional(field)
    if text is None or field is None:
        return None
    if text.isascii() and text.isdigit() and len(text) < 12 and low <= int(text) < 2**31:
        return int(text)
    advice = f"write a whole number from {low}, or leave the cell empty"
    filling.blame(RowError("bad_value", f"{field.key} is {quote(text)}", advice), field)
    return None


def _text_of(value: int | str | None) -> str | None:
    return None if value is None else str(value)
