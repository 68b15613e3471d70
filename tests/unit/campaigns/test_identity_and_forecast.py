"""Identity of campaigns and addresses; forecasts of time and of SMS segments."""

import re

import pytest
from campaign_builders import SMS, recipient

from campaigns.forecast import Forecast, count_segments, duration_s, fill_template_body
from campaigns.identity import address_hash, campaign_identity
from campaigns.recipients import Recipient

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
