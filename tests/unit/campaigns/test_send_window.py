"""When a first message may go out, in the customer's own time zone, also where clocks change."""

from datetime import UTC, datetime, time, timedelta

import pytest

from campaigns.definition import parse_definition
from campaigns.recipients import Recipient, RowError, compile_campaign
from campaigns.schedule import SendWindow, zones_of_number

DEFINITION = """
name = "spring"
channel = "sms"
from = "+19252210100"
to = "{{ phone }}"
[routing]
workspace_sid = "WS5f1d2c3b4a59687766554433221100ff"
workflow_sid = "WW0a1b2c3d4e5f60718293a4b5c6d7e8f9"
queue_sid = "WQ9f8e7d6c5b4a39281706f5e4d3c2b1a0"
worker_sid = "WK11223344556677889900aabbccddeeff"
[message]
body = "Hello"
[window]
from = "{{ opens }}"
until = "21:00"
timezone = "{{ tz }}"
"""


def window(*zones: str, from_: int = 8, until: int = 21) -> SendWindow:
    return SendWindow(time(from_), time(until), zones)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "now", "hours"),
    [
        ("Europe/London", "2026-11-22 12:00", 0),
        ("Europe/London", "2026-11-22 08:00", 0),
        ("Europe/London", "2026-11-22 21:00", 11),
        ("Europe/London", "2026-11-22 06:30", 1.5),
        ("America/New_York", "2026-11-22 12:00", 1),
        ("Asia/Tokyo", "2026-11-22 12:30", 10.5),
        # The nights when clocks change are an hour shorter, or longer.
        ("Europe/London", "2027-03-27 22:00", 9),
        ("Europe/London", "2027-10-30 21:00", 11),
        ("America/New_York", "2027-03-14 02:00", 10),
        ("Australia/Lord_Howe", "2027-04-03 11:00", 10.5),
    ],
)
def test_it_is_closed_until_the_morning_of_the_zone(zone: str, now: str, hours: float) -> None:
    assert window(zone).opens_in(at(now)) == timedelta(hours=hours)


def test_zone_whose_midnight_is_skipped_opens_when_the_day_begins() -> None:
    beirut = window("Asia/Beirut", from_=0, until=6)  # 2027-03-28 begins at 01:00 there

    opens_in = beirut.opens_in(at("2027-03-27 12:00"))

    assert opens_in == timedelta(hours=10)


def test_number_of_several_zones_waits_until_it_is_open_in_all() -> None:
    both = window("America/New_York", "America/Los_Angeles")

    assert both.opens_in(at("2026-11-22 13:00")) == timedelta(hours=3)
    assert both.opens_in(at("2026-11-23 02:30")) == timedelta(hours=13.5)


def test_of_zones_without_an_hour_in_common_the_first_counts() -> None:
    apart = window("Europe/London", "Asia/Tokyo", from_=8, until=9)

    assert apart.opens_in(at("2026-11-22 07:00")) == timedelta(hours=1)


def test_zone_follows_from_the_number() -> None:
    assert "Europe/London" in zones_of_number("+447900900123")
    assert zones_of_number("not a number") == ()


def recipient_of(opens: str, tz: str) -> Recipient | RowError:
    campaign = parse_definition(DEFINITION, "campaign.toml")
    compiled = compile_campaign(campaign, ("phone", "opens", "tz"), "customers.csv")
    return compiled.recipient(1, ("+447900900123", opens, tz))


def test_row_carries_its_own_window() -> None:
    recipient = recipient_of("09:30", "number")

    assert isinstance(recipient, Recipient)
    assert recipient.window == SendWindow(time(9, 30), time(21), zones_of_number("+447900900123"))


@pytest.mark.parametrize(
    ("opens", "tz", "words"),
    [
        ("late", "number", "window.from is"),
        ("22:00", "number", "closes before it opens"),
        ("09:30", "Europe/Nowhere", "is no time zone"),
    ],
)
def test_row_with_an_impossible_window_is_invalid(opens: str, tz: str, words: str) -> None:
    error = recipient_of(opens, tz)

    assert isinstance(error, RowError)
    assert error.code == "bad_window"
    assert words in error.sentence
