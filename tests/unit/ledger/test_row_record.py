"""Pack and unpack a row's record."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest

from worker.ledger.keys import BUCKET, campaign, pair, place, prefix
from worker.ledger.reading import shown_row
from worker.ledger.row import Hand, PackedRecord, Record, Row, pack_new, unpack, unpack_past
from worker.ledger.scripts import Reply
from worker.ledger.states import (
    OUTREACH_STATUS,
    STATUS_WORDS,
    TRANSITIONS,
    Delivery,
    Event,
    Reason,
    State,
    status_word,
)

CREATED_MS = 1_700_000_000_000
CREATED = datetime.fromtimestamp(CREATED_MS / 1000, tz=UTC)


def _event(event: Event, steps: int, code: int = 0) -> bytes:
    if code == 0:
        return bytes((event,)) + steps.to_bytes(4)
    return bytes((event + 128,)) + steps.to_bytes(4) + code.to_bytes(3)


def test_new_record_holds_its_state_address_and_reason() -> None:
    packed = pack_new(State.SKIPPED, b"8 bytes!", Reason.DUPLICATE, 999_999)

    record = unpack(packed, CREATED_MS)

    assert len(packed) == 71
    assert record == Record(State.SKIPPED, code=1, arg=999_999, address_hash=b"8 bytes!")
    assert record.finished_at is None


def test_story_is_read_with_times_from_the_campaigns_creation() -> None:
    story = _event(Event.OPENING, 100) + _event(Event.OPENING_DEFERRED, 250, 429) + _event(Event.OPENING, 251)

    told = unpack(pack_new(State.OPENING, bytes(8)) + story, CREATED_MS).story

    assert [(each.event, each.code) for each in told] == [
        (Event.OPENING, 0),
        (Event.OPENING_DEFERRED, 429),
        (Event.OPENING, 0),
    ]
    assert [each.at - CREATED for each in told] == [timedelta(milliseconds=ms) for ms in (1000, 2500, 2510)]


def test_record_read_as_it_is_asked_for_says_what_the_whole_one_says() -> None:
    answered, opted_out = _event(Event.ANSWERED, 1), _event(Event.OPTED_OUT, 9)
    middle = _event(Event.NEW_SEND, 2) + _event(Event.OPENING_DEFERRED, 3, 429)
    failed = _event(Event.FAILED, 31, 63016)
    # Every byte another, so that none is read in another's place.
    head = bytes((State.FAILED, *range(1, 67), Delivery.READ, *range(68, 71)))
    uncoded = _event(Event.OPENING, 8) + _event(Event.VERDICT, 12) + _event(Event.READ, 14)
    stories = (
        answered + middle + failed + opted_out,
        middle + failed,
        answered + opted_out,
        failed,
        uncoded,
        uncoded + opted_out + answered,
        b"",
    )
    ends = {failed: 310, uncoded: 120}

    for story in stories:
        packed = PackedRecord(head + story, CREATED_MS)
        whole = unpack(head + story, CREATED_MS)

        assert type(whole) is Record
        for name in (*(each.name for each in fields(Record)), "finished_at", "answered_at", "has_opted_out"):
            assert getattr(packed, name) == getattr(whole, name), name
        assert packed.sids == (whole.interaction_sid, whole.conversation_sid, whole.message_sid)
        ended_ms = next((ms for part, ms in ends.items() if part in story), None)
        assert packed.finished_at == (ended_ms and CREATED + timedelta(milliseconds=ended_ms))


def test_ended_row_finished_at_its_last_event() -> None:
    event = _event(Event.ACCEPTED, 100)

    assert unpack(pack_new(State.ACCEPTED, bytes(8)) + event, CREATED_MS).finished_at == CREATED + timedelta(
        seconds=1
    )
    assert unpack(pack_new(State.OPEN, bytes(8)) + event, CREATED_MS).finished_at is None


def test_earlier_records_are_read_oldest_first() -> None:
    first, second = pack_new(State.FAILED, bytes(8), 63016), pack_new(State.FAILED, bytes(8), 21211)
    packed = b"".join(len(each).to_bytes(2) + each for each in (first, second))

    assert [each.code for each in unpack_past(packed, CREATED_MS)] == [63016, 21211]
    assert unpack_past(b"", CREATED_MS) == []


def test_hand_is_read_as_lua_writes_it() -> None:
    packed = pack_new(State.QUEUED, bytes(8))
    row = Row(7, unpack(packed, CREATED_MS), Hand(), ("+12025550123",))
    told = b'{"token":"a1","opened":1700000000123,"used":true,"slot":["granted"],"lost_send":2}'

    shown = shown_row(row, Reply(True, values=(packed, CREATED_MS, told)))

    assert shown.hand == Hand(token="a1", opened=CREATED_MS + 123, used=True, lost_send=2)
    assert (shown.number, shown.cells, shown.record.code) == (7, row.cells, 0)


def test_row_shows_nothing_of_its_cells() -> None:
    row = Row(7, unpack(pack_new(State.QUEUED, bytes(8)), CREATED_MS), Hand(), ("+12025550123",))

    assert "number=7" in repr(row)
    assert "555" not in repr(row)


@pytest.mark.parametrize(("row", "where"), [(1, (0, 0)), (BUCKET, (0, BUCKET - 1)), (BUCKET + 1, (1, 0))])
def test_row_has_its_place_in_a_bucket(row: int, where: tuple[int, int]) -> None:
    assert place(row) == where


def test_keys_of_an_account_share_a_hash_tag_and_show_no_number() -> None:
    account = prefix("0badcafe")
    lock = pair(account, "+12025550123\n+12025550199")

    assert campaign(account, "spring-1") == "o:{0badcafe}:c:spring-1"
    assert lock.startswith("o:{0badcafe}:pair:")
    assert "555" not in lock.split("pair:")[1]


def test_every_state_has_a_word_and_a_way_on_unless_it_has_ended() -> None:
    assert {status_word(state) for state in State} == set(STATUS_WORDS)
    assert all(state.is_ended is (state in OUTREACH_STATUS) for state in State)
    assert [state for state in State if state.is_doubt] == [State.DOUBT_OPENING, State.DOUBT_SENDING]
    sources = set().union(*(takes for takes, _ in TRANSITIONS.values()))
    assert {state for state in State if not state.is_ended} <= sources
