"""The packed record of a row: 71 bytes, and for every event of its story five more, or eight where it has a code."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import NamedTuple

from worker.ledger.states import AFTER_END, Delivery, Event, State

NO_HASH = b"\0" * 8
_NONE = b"\0" * 16
_NO_DIGITS = _NONE.hex()
_HEAD_SIZE = 71
_EVENT = struct.Struct(">BI")
_EVENT_SIZE, _CODE_SIZE = _EVENT.size, 3
_STEP_MS = 10
"""Events are timed in steps of so much since the campaign's creation."""
_CODED = 0x80
"""Added to an event that a code follows."""
# An enum's own look-up by value takes longer than all else about reading an event.
_STATES = {state.value: state for state in State}
_EVENTS = {event.value: event for event in Event}
_DELIVERIES = {delivery.value: delivery for delivery in Delivery}
_ENDED = int(State.ACCEPTED)
_AFTER_END = bytes(int(event) + coded for event in AFTER_END for coded in (0, _CODED))
_ANSWERS = (int(Event.ANSWERED), int(Event.OPTED_OUT))


@dataclass(frozen=True, slots=True)
class Story:
    """One event of a row's story; `code` is a Reason, an HTTP status or Twilio's code (0: none)."""

    event: Event
    at: datetime
    code: int


@dataclass(frozen=True, slots=True)
class Record:
    """Where one send of a row stands."""

    state: State
    send: int = 1
    attempts: int = 0
    looks: int = 0
    code: int = 0
    arg: int = 0
    interaction_sid: str = ""
    conversation_sid: str = ""
    message_sid: str = ""
    address_hash: bytes = b"\0" * 8
    delivery: Delivery = Delivery.NONE
    delivery_code: int = 0
    story: tuple[Story, ...] = ()

    @property
    def finished_at(self) -> datetime | None:
        """Tell when the send ended; None while it goes on, or where it was never begun."""
        if not self.state.is_ended:
            return None
        return next((each.at for each in reversed(self.story) if each.event not in AFTER_END), None)

    @property
    def answered_at(self) -> datetime | None:
        """Tell when the customer first wrote back; None where nobody has."""
        answers = (each.at for each in self.story if each.event in (Event.ANSWERED, Event.OPTED_OUT))
        return min(answers, default=None)

    def whole(self) -> Record:
        """Give a record with all its fields, of whatever it is read from."""
        return self

    @property
    def has_opted_out(self) -> bool:
        """Tell whether the customer has asked for no more messages, in answer to this send."""
        return any(each.event is Event.OPTED_OUT for each in self.story)


NOT_LOOKED = -1


# Named tuples, for a frozen dataclass takes ten times as long to make: a row makes several of each.
class Hand(NamedTuple):
    """What the holder of a row needs beside its record; gone when the send ends. Times are Redis's, in ms.

    `lost`: an earlier request went unanswered and was called absent. `lost_in`, `lost_send`: the conversation where a message
    of it may show yet, and of which send. `why`: code of the last look, if that failed.
    `looking` and `looked`: the caution for which the row is looked up, or was, before anything is asked for.
    `adopt`: the conversation of an earlier message of the row, to go into where it is still open.
    """

    token: str = ""
    owner: str = ""
    channel: str = ""
    flex_task: str = ""
    began: int = 0
    opened: int = 0
    doubt: int = 0
    waiting: int = 0
    asked: int = 0
    checks: int = 0
    tries: int = 0
    closing: str = ""
    pair: str = ""
    used: bool = False
    seen: bool = False
    lost: bool = False
    lost_in: str = ""
    lost_send: int = 0
    why: int = 0
    version: int = 0
    looking: int = NOT_LOOKED
    looked: int = NOT_LOOKED
    adopt: str = ""


class Row(NamedTuple):
    """A row as a worker sees it: its number, record, hand and the customer's cells."""

    number: int
    record: Record
    hand: Hand
    cells: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Row(number={self.number!r}, record={self.record!r}, hand={self.hand!r})"  # nothing personal

    @property
    def state(self) -> State:
        """Give the state of the present send."""
        return self.record.state


def pack_new(state: State, address_hash: bytes, code: int = 0, arg: int = 0) -> bytes:
    """Pack the record of a row that is being loaded."""
    head = bytes((state, 1, 0, 0)) + code.to_bytes(3) + arg.to_bytes(4)
    return head + _NONE * 3 + address_hash + b"\0" * 4


def pack_ended(
    state: State,
    address_hash: bytes,
    code: int,
    arg: int,
    *,
    attempts: int,
    sids: Sequence[str],
    ended: tuple[Event, int] | None,
    delivery: Delivery = Delivery.NONE,
    delivery_code: int = 0,
    answered_ms: int | None = None,
) -> bytes:
    """Pack the record of a row that ended before: `sids` of Interaction, conversation and message (empty: none).

    `ended`: by which event, and how long after the campaign's creation, in ms; `answered_ms`: so long after it the customer
    wrote back.
    """
    head = bytes((state, 1, attempts, 0)) + code.to_bytes(3) + arg.to_bytes(4)
    raw = b"".join(bytes.fromhex(sid[2:]) if sid else _NONE for sid in sids)
    story = _event(*ended, code) if ended else b""
    if answered_ms is not None:
        story += _event(Event.ANSWERED, answered_ms, 0)
    return head + raw + address_hash + bytes((delivery,)) + delivery_code.to_bytes(3) + story


def _event(event: Event, since_ms: int, code: int) -> bytes:
    head = _EVENT.pack(event | (_CODED if code else 0), min(0xFFFFFFFF, since_ms // _STEP_MS))
    return head + (code.to_bytes(_CODE_SIZE) if code else b"")


class PackedRecord(Record):
    """A record of which each field is read when it is asked for: of a million rows hardly anybody wants them all."""

    __slots__ = ("_created_ms", "_value")
    _value: bytes
    _created_ms: int

    def __init__(self, value: bytes, created_ms: int) -> None:
        object.__setattr__(self, "_value", value)
        object.__setattr__(self, "_created_ms", created_ms)

    @property
    def state(self) -> State:
        return _STATES[self._value[0]]

    @property
    def send(self) -> int:
        return self._value[1]

    @property
    def attempts(self) -> int:
        return self._value[2]

    @property
    def looks(self) -> int:
        return self._value[3]

    @property
    def code(self) -> int:
        return int.from_bytes(self._value[4:7])

    @property
    def arg(self) -> int:
        return int.from_bytes(self._value[7:11])

    @property
    def interaction_sid(self) -> str:
        return _sid("KD", self._value[11:27])

    @property
    def conversation_sid(self) -> str:
        return _sid("CH", self._value[27:43])

    @property
    def message_sid(self) -> str:
        return _sid("IM", self._value[43:59])

    @property
    def sids(self) -> tuple[str, str, str]:
        """Give the SIDs of Interaction, conversation and message together."""
        digits = self._value[11:59].hex()
        interaction, conversation, message = digits[:32], digits[32:64], digits[64:]
        return (
            "" if interaction == _NO_DIGITS else f"KD{interaction}",
            "" if conversation == _NO_DIGITS else f"CH{conversation}",
            "" if message == _NO_DIGITS else f"IM{message}",
        )

    @property
    def address_hash(self) -> bytes:
        return self._value[59:67]

    @property
    def delivery(self) -> Delivery:
        return _DELIVERIES[self._value[67]]

    @property
    def delivery_code(self) -> int:
        return int.from_bytes(self._value[68:_HEAD_SIZE])

    @property
    def story(self) -> tuple[Story, ...]:
        return tuple(
            Story(_EVENTS[event], _at(self._created_ms + since * _STEP_MS), code)
            for event, since, code in _events(self._value)
        )

    @property
    def finished_at(self) -> datetime | None:
        return _moment(self.finished_ms)

    @property
    def finished_ms(self) -> int | None:
        """Tell when the send ended, in ms since 1970."""
        value = self._value
        if value[0] < _ENDED:
            return None
        kinds = value[_HEAD_SIZE::_EVENT_SIZE]
        if kinds.isascii():  # no event has a code, so these are the events
            ended = _HEAD_SIZE + _EVENT_SIZE * (len(kinds.rstrip(_AFTER_END)) - 1)
        else:
            at, ended = _HEAD_SIZE, 0
            while at < len(value):
                event = value[at]
                if event not in _AFTER_END:
                    ended = at
                at += _EVENT_SIZE if event < _CODED else _EVENT_SIZE + _CODE_SIZE
        if ended < _HEAD_SIZE:
            return None
        return self._created_ms + int.from_bytes(value[ended + 1 : ended + _EVENT_SIZE]) * _STEP_MS

    @property
    def answered_at(self) -> datetime | None:
        return _moment(self.answered_ms)

    @property
    def answered_ms(self) -> int | None:
        """Tell when the customer first wrote back, in ms since 1970."""
        kinds = self._value[_HEAD_SIZE::_EVENT_SIZE]
        # Most have not answered, and those whose events have no codes show so without their story.
        if kinds.isascii() and _ANSWERS[0] not in kinds and _ANSWERS[1] not in kinds:
            return None
        answers = (since for event, since, _ in _events(self._value) if event in _ANSWERS)
        first = min(answers, default=None)
        return None if first is None else self._created_ms + first * _STEP_MS

    @property
    def has_opted_out(self) -> bool:
        """Tell whether the customer has asked for no more messages, in answer to this send."""
        return self.answered_ms is not None and super().has_opted_out

    def whole(self) -> Record:
        """Read all of it."""
        return Record(*(getattr(self, each.name) for each in fields(Record)))


def unpack(value: bytes, created_ms: int) -> Record:
    """Read a packed record; story times count from the campaign's creation."""
    return PackedRecord(value, created_ms).whole()


def unpack_past(value: bytes, created_ms: int) -> list[Record]:
    """Read the records of a row's earlier sends, oldest first."""
    records, at = [], 0
    while at < len(value):
        size = int.from_bytes(value[at : at + 2])
        records.append(unpack(value[at + 2 : at + 2 + size], created_ms))
        at += 2 + size
    return records


def _sid(prefix: str, raw: bytes) -> str:
    return "" if raw == _NONE else prefix + raw.hex()


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else _at(ms)


def _at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz=UTC)


def _events(value: bytes) -> Iterator[tuple[int, int, int]]:
    """Go through the story of a packed record: event, steps since the campaign's creation, code."""
    at = _HEAD_SIZE
    while at < len(value):
        event, since = _EVENT.unpack_from(value, at)
        at += _EVENT_SIZE
        if event & _CODED:
            yield event & ~_CODED, since, int.from_bytes(value[at : at + _CODE_SIZE])
            at += _CODE_SIZE
        else:
            yield event, since, 0
