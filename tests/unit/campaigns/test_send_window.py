"""When a first message may go out, in the customer's own time zone, also where clocks change."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from campaign_builders import SMS, campaign, refusals
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.campaign import Campaign, Window, difference
from campaigns.definition import parse_definition
from campaigns.public_holidays import canonical_region, country_of_number, is_holiday
from campaigns.recipients import Recipient, RowError, compile_campaign
from campaigns.schedule import ARRIVAL, LOOK_AHEAD, SendWindow, zones_of_number

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


def test_it_closes_before_its_end_so_that_the_message_arrives_in_time() -> None:
    london = window("Europe/London")

    assert london.opens_in(at("2026-11-22 20:58:59.999")) == timedelta(0)
    assert london.opens_in(at("2026-11-22 20:59")) == timedelta(hours=11, minutes=1)


@pytest.mark.parametrize(
    ("zone", "hours", "now", "opens"),
    [
        # The hour from 01:00 is left out on 2027-03-28, so that half past one is never seen: it opens at two.
        ("Europe/London", ("01:30", "03:00"), "2027-03-27 12:00", "2027-03-28 01:00"),
        ("Europe/London", ("01:00", "02:00"), "2027-03-27 12:00", "2027-03-29 00:00"),
        # A message of 00:59:30 would arrive when the clock shows two: after the end.
        ("Europe/London", ("00:30", "01:30"), "2027-03-28 00:59:30", "2027-03-28 23:30"),
        # The hour from 01:00 comes twice on 2027-10-31, and is open twice.
        ("Europe/London", ("01:15", "01:45"), "2027-10-31 00:50", "2027-10-31 01:15"),
        ("Europe/London", ("00:30", "02:00"), "2027-10-31 00:59:30", "2027-10-31 00:59:30"),
        # Midnight is left out, by an hour of each of these days.
        ("America/Santiago", ("00:00", "06:00"), "2027-09-04 12:00", "2027-09-05 04:00"),
        ("Africa/Cairo", ("00:30", "06:00"), "2027-04-29 12:00", "2027-04-29 22:00"),
        ("America/Asuncion", ("00:00", "06:00"), "2023-09-30 20:00", "2023-10-01 04:00"),
        # 2011-12-30, a Friday, was left out whole.
        ("Pacific/Apia", ("08:00", "20:00"), "2011-12-30 09:00", "2011-12-30 18:00"),
    ],
)
def test_nights_and_days_that_clocks_leave_out_or_repeat(
    zone: str, hours: tuple[str, str], now: str, opens: str
) -> None:
    from_, until = map(time.fromisoformat, hours)

    assert SendWindow(from_, until, (zone,)).opens_at(at(now)) == at(opens)


def test_day_that_a_zone_left_out_is_no_day_of_its_week() -> None:
    fridays = SendWindow(time(8), time(20), ("Pacific/Apia",), frozenset([4]))

    assert fridays.opens_at(at("2011-12-29 12:00")) == at("2012-01-05 18:00")


def test_days_of_the_week_are_those_of_the_zone() -> None:
    mondays = SendWindow(time(8), time(21), ("Asia/Tokyo",), frozenset([0]))

    assert mondays.opens_at(at("2026-11-22 12:00")) == at("2026-11-22 23:00")
    assert mondays.opens_at(at("2026-11-23 12:30")) == at("2026-11-29 23:00")


def test_holidays_are_closed() -> None:
    english = SendWindow(time(8), time(21), ("Europe/London",), frozenset(range(5)), "GB")
    scottish = SendWindow(time(8), time(21), ("Europe/London",), frozenset(range(5)), "GB-SCT")

    assert english.opens_at(at("2026-12-24 21:00")) == at(
        "2026-12-29 08:00"
    )  # Boxing Day is made up for on Monday
    assert english.opens_at(at("2026-12-31 21:00")) == at("2027-01-04 08:00")
    assert scottish.opens_at(at("2026-12-31 21:00")) == at("2027-01-05 08:00")


def test_window_that_never_opens_is_looked_at_again_after_a_year() -> None:
    never = SendWindow(time(8), time(21), ("Europe/London",), frozenset())

    assert never.opens_at(at("2026-11-22 12:00")) is None
    assert never.opens_in(at("2026-11-22 12:00")) == LOOK_AHEAD


def test_number_without_a_place_waits_for_all_its_zones() -> None:
    zones = zones_of_number("+18005551234")

    opens_at = window(*zones).opens_at(at("2026-11-22 12:00"))

    assert opens_at is not None
    assert len(zones) > 20
    assert all(8 <= opens_at.astimezone(ZoneInfo(zone)).hour < 21 for zone in zones)


ZONES = (
    "Europe/London",
    "America/New_York",
    "America/Santiago",
    "Asia/Beirut",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Apia",
    "Asia/Kathmandu",
)
# Two days before clocks change in some of them.
NIGHTS = ("2027-03-26 12:00", "2027-10-29 12:00", "2027-04-02 12:00", "2027-09-03 12:00", "2011-12-28 12:00")


def is_open(hours: SendWindow, moment: datetime) -> bool:
    """Tell, without any cleverness, whether a message of this moment goes out and arrives in the window."""
    return all(
        hours.from_ <= local.time() < hours.until
        and local.weekday() in hours.days
        and not (hours.holidays and is_holiday(hours.holidays, local.date()))
        for zone in hours.zones
        for local in (moment.astimezone(ZoneInfo(zone)), (moment + ARRIVAL).astimezone(ZoneInfo(zone)))
    )


@st.composite
def windows(draw: st.DrawFn) -> SendWindow:
    opens = draw(st.integers(0, 24 * 60 - 3))
    closes = draw(st.integers(opens + 2, 24 * 60 - 1))
    return SendWindow(
        time(opens // 60, opens % 60),
        time(closes // 60, closes % 60),
        (draw(st.sampled_from(ZONES)),),
        draw(st.frozensets(st.integers(0, 6), min_size=1)),
        draw(st.sampled_from(["", "GB", "CL"])),
    )


@settings(max_examples=60)
@given(windows(), st.sampled_from(NIGHTS), st.integers(0, 4 * 24 * 60))
def test_opening_is_the_first_open_minute(hours: SendWindow, night: str, after: int) -> None:
    now = at(night) + timedelta(minutes=after)

    opens_at = hours.opens_at(now)

    assert opens_at is not None
    assert is_open(hours, opens_at)
    before = min(opens_at, now + timedelta(days=2))
    assert not any(
        is_open(hours, now + timedelta(minutes=n)) for n in range((before - now) // timedelta(minutes=1))
    )


@settings(max_examples=30)
@given(windows(), st.sampled_from(ZONES), st.sampled_from(NIGHTS))
def test_two_zones_open_together_or_the_first_alone(hours: SendWindow, other: str, night: str) -> None:
    both = SendWindow(hours.from_, hours.until, (*hours.zones, other), hours.days, hours.holidays)
    minutes = (at(night) + timedelta(minutes=n) for n in range(3 * 24 * 60))
    first = next((minute for minute in minutes if is_open(both, minute)), None)

    opens_at = both.opens_at(at(night))

    assert opens_at is not None
    assert is_open(hours, opens_at)
    if first is not None:
        assert opens_at == first


def test_regions_of_holidays_are_found_by_code_and_number() -> None:
    assert [canonical_region(text) for text in ("US", "us-ca", " GB-SCT ")] == ["US", "US-CA", "GB-SCT"]
    assert [canonical_region(text) for text in ("USA", "", "US-", "US-XX", "XX")] == [None] * 5
    assert country_of_number("+447900900123") == "GB"
    assert country_of_number("+80012345678") is None
    assert country_of_number("no number") is None
    assert is_holiday("US-CA", date(2027, 7, 5))


LONDON = SMS + '[window]\nfrom = "08:00"\nuntil = "21:00"\ntimezone = "Europe/London"\n'


def test_days_are_kept_in_the_order_of_the_week() -> None:
    found = campaign(LONDON + 'days = ["fri", "mon", "fri"]\nholidays = "GB"\n').window

    assert found is not None
    assert (found.days, found.holidays) == (("mon", "fri"), "GB")
    assert Window.model_validate({"from": "08:00", "until": "21:00", "timezone": "UTC"}).days[-1] == "sun"


def test_definition_of_an_earlier_version_has_every_day() -> None:
    now = campaign(LONDON)
    earlier = now.canonical_json().replace(',"days":["mon","tue","wed","thu","fri","sat","sun"]', "")
    earlier = earlier.replace('"days":["mon","tue","wed","thu","fri","sat","sun"],', "")
    earlier = earlier.replace('"holidays":null,', "")

    assert "days" not in earlier
    assert difference(Campaign.from_canonical_json(earlier), now) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('days = ["monday"]', '18: window.days is "monday", write "mon", "tue", "wed", "thu", "fri", "sat" or "sun"'),
        ("days = []", "18: window.days is empty, so it would never open, write days = "),
        ('days = "mon"', '18: window.days is "mon", write days = ["mon", "tue"]'),
        ('dais = ["mon"]', "18: window.dais is no key, did you mean days?"),
        ('holidays = "USA"', '18: "USA" is no country of which holidays are known, did you mean "US"?'),
        ('holidays = "Germny"', '18: "Germny" is no country of which holidays are known, did you mean "DE"?'),
        ('holidays = "US-California"', '18: "US-California" is no part of US of which holidays are known, did you mean "US-CA"?'),
        ('holidays = "AE-XX"', '18: "AE-XX" is no part of AE of which holidays are known, write "AE"'),
        ('holidays = ""', '18: "" is no country of which holidays are known, write a code such as "US" or "US-CA"'),
        ("holidays = true", "18: window.holidays is true, which is no text"),
        ('holidays = "{{ x"', "18: window.holidays: the template cannot be read"),
    ],
)  # fmt: skip
def test_fault_of_days_and_holidays_is_told(line: str, said: str) -> None:
    found = refusals("# Keeps to the hours.\n" + LONDON + line + "\n")

    assert any(said in told for told in found), found


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (("21:00", "08:00"), "the window closes before it opens, write an until that is later than from; hours over midnight are not offered"),
        (("08:00", "08:00"), "the window is not longer than the minute that is kept for a message to arrive, write a later until"),
        (("08:00", "08:01"), "the window is not longer than the minute"),
    ],
)  # fmt: skip
def test_hours_in_which_no_message_could_arrive_are_refused(hours: tuple[str, str], said: str) -> None:
    found = refusals(LONDON.replace("21:00", hours[1]).replace('from = "08:00"', f'from = "{hours[0]}"'))

    assert any(said in told for told in found), found
    assert refusals(LONDON.replace("21:00", "08:02")) == []


@pytest.mark.parametrize(
    ("phone", "country", "holidays"),
    [
        ("+447900900123", "us-ca", "US-CA"),
        ("+447900900123", "number", "GB"),
    ],
)
def test_row_names_its_holidays(phone: str, country: str, holidays: str) -> None:
    found = with_holidays(phone, country)

    assert isinstance(found, Recipient)
    assert found.window == SendWindow(time(8), time(21), ("Europe/London",), frozenset(range(5)), holidays)


@pytest.mark.parametrize(
    ("phone", "country", "said"),
    [
        ("+447900900123", "Germny", '"Germny" is no country of which holidays are known'),
        ("+447900900123", "", "country is empty"),
        ("+80012345678", "number", "the address does not tell a country of which holidays are known"),
    ],
)
def test_row_without_a_country_of_holidays_is_invalid(phone: str, country: str, said: str) -> None:
    found = with_holidays(phone, country)

    assert isinstance(found, RowError)
    assert said in found.sentence


def with_holidays(phone: str, country: str) -> Recipient | RowError:
    text = LONDON + 'days = ["mon", "tue", "wed", "thu", "fri"]\nholidays = "{{ country }}"\n'
    compiled = compile_campaign(
        campaign(text), ("phone", "first_name", "due_date", "country"), "customers.csv"
    )
    return compiled.recipient(1, (phone, "Ann", "1 May", country))


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
