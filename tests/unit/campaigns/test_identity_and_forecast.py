"""Identity of campaigns and addresses; forecasts of time and of SMS segments."""

import re
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from campaign_builders import SMS, recipient

from campaigns.forecast import Forecast, OpenHours, count_segments, duration_s, fill_template_body
from campaigns.identity import address_hash, campaign_identity
from campaigns.recipients import Recipient
from campaigns.schedule import SendWindow

FILE = "ab" * 32


def test_identity_is_of_account_twilio_name_file_and_generation() -> None:
    first = campaign_identity("AC1", "https://twilio.com", "renewal", FILE)

    assert re.fullmatch(r"renewal-[0-9a-f]{10}", first)
    assert campaign_identity("AC1", "https://twilio.com/", "renewal", FILE) == first
    others = {
        campaign_identity("AC2", "https://twilio.com", "renewal", FILE),
        campaign_identity("AC1", "http://127.0.0.1", "renewal", FILE),
        campaign_identity("AC1", "https://twilio.com", "renewals", FILE),
        campaign_identity("AC1", "https://twilio.com", "renewal", "cd" * 32),
        campaign_identity("AC1", "https://twilio.com", "renewal", FILE, generation=1),
    }
    assert len(others - {first}) == 5


def test_identity_does_not_mix_its_parts_up() -> None:
    assert campaign_identity("AC1", "x", "n", FILE) != campaign_identity("AC", "1x", "n", FILE)


def test_address_hash_is_eight_bytes_of_the_address() -> None:
    assert len(address_hash("+447900900123")) == 8
    assert address_hash("+447900900123") == address_hash("+447900900123")
    assert address_hash("+447900900123") != address_hash("whatsapp:+447900900123")


@pytest.mark.parametrize(
    ("text", "encoding", "count"),
    [
        ("", "GSM-7", 1),
        ("a" * 160, "GSM-7", 1),
        ("a" * 161, "GSM-7", 2),
        ("a" * 306, "GSM-7", 2),
        ("a" * 307, "GSM-7", 3),
        ("€" * 80, "GSM-7", 1),
        ("€" * 81, "GSM-7", 2),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 3),
        ("é" * 160, "GSM-7", 1),
        ("ł" * 70, "UCS-2", 1),
        ("ł" * 71, "UCS-2", 2),
        ("😀" * 35, "UCS-2", 1),
        ("😀" * 36, "UCS-2", 2),
        ("😀" * 67, "UCS-2", 3),
        ("a" * 100 + "’", "UCS-2", 2),
    ],
)
def test_segments_are_cut_as_carriers_do(text: str, encoding: str, count: int) -> None:
    found = count_segments(text)

    assert (found.encoding, found.count) == (encoding, count)


def test_forecast_adds_up_rows_and_segments() -> None:
    forecast = Forecast()
    for name in ("Ann", "Zoë 😀", "x" * 200):
        found = recipient(SMS, phone="07900900123", first_name=name, due_date="1 May")
        assert isinstance(found, Recipient)
        forecast.add(found)

    assert (forecast.rows, forecast.segments, forecast.unicode_rows, forecast.longest) == (3, 4, 1, 2)


def test_template_is_filled_as_twilio_does() -> None:
    assert (
        fill_template_body("Hi {{1}}, due {{ due }}, {{2}}", {"1": "Ann", "due": "1 May"})
        == "Hi Ann, due 1 May, {{2}}"
    )


def test_duration_is_that_of_the_slowest_pace() -> None:
    assert duration_s(1_000, 20, None, 80) == 50
    assert duration_s(1_000, None) == 0


NOW = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)  # a Monday
LONDON = SendWindow(time(8), time(21, 1), ("Europe/London",))


def hours(*windows: tuple[SendWindow, int]) -> OpenHours:
    found = OpenHours()
    for window, rows in windows:
        for _ in range(rows):
            found.add(window)
    return found


@pytest.mark.parametrize(
    ("windows", "per_s", "ends"),
    [
        ([(LONDON, 72)], 0.02, "2026-11-23 09:00"),  # an hour, from its opening on
        ([(LONDON, 1404)], 0.01, "2026-11-25 21:00"),  # 39 hours of 13 a day
        ([(replace(LONDON, days=frozenset([0, 6])), 1404)], 0.01, "2026-11-30 21:00"),
        ([(replace(LONDON, days=frozenset([1]), holidays="GB"), 72)], 0.02, "2026-11-24 09:00"),
        # Tokyo has its hours while London sleeps: neither waits for the other.
        ([(LONDON, 72), (replace(LONDON, zones=("Asia/Tokyo",)), 72)], 0.02, "2026-11-23 09:00"),
        ([(LONDON, 1), (replace(LONDON, zones=("America/New_York",)), 1)], 1, "2026-11-23 13:00"),
        ([], 1, "2026-11-23 07:00"),
    ],
)
def test_windows_draw_a_campaign_out(windows: list[tuple[SendWindow, int]], per_s: float, ends: str) -> None:
    ends_at = hours(*windows).ends_at(NOW, per_s)

    assert ends_at is not None
    assert abs(ends_at - datetime.fromisoformat(ends).replace(tzinfo=UTC)) < timedelta(minutes=10)


def test_windows_that_leave_too_few_hours_are_not_foreseen() -> None:
    short = replace(LONDON, until=time(8, 11), days=frozenset([0]))

    assert hours((short, 1404)).ends_at(NOW, 0.01) is None
    assert hours((replace(LONDON, days=frozenset()), 1)).ends_at(NOW, 1) is None
    assert hours((short, 1), (LONDON, 1)).hours_a_day == (pytest.approx(11 / 60), pytest.approx(13 + 1 / 60))


def test_no_more_than_a_thousand_windows_are_kept() -> None:
    many = [(replace(LONDON, until=time(9 + n // 60, n % 60)), 1) for n in range(720)]
    many += [(replace(LONDON, from_=time(7), until=time(9 + n // 60, n % 60)), 1) for n in range(720)]

    found = hours(*many)

    assert (len(found.rows), found.rows.total()) == (1000, 1440)
    assert found.ends_at(NOW, 100) is not None
