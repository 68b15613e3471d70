"""Tell whether cron expressions come when they should, on the nights when clocks change too, and are refused in words."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.errors import RefusedHereError
from worker.pipeline.cron import Cron, daily


def at(text: str) -> datetime:
    """Read a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def times(cron: Cron, first: str, days: int) -> list[str]:
    """List the times from the beginning of a day on, in UTC."""
    moment, end, found = at(first), at(first) + timedelta(days=days), []
    while (moment := cron.next_after(moment)) < end:
        found.append(f"{moment:%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("zone", "expression", "first", "expected"),
    [
        # A skipped time comes right after what was skipped, a repeated one the first time.
        ("Europe/Berlin", "30 2 * * *", "2026-03-28", ["28 01:30", "29 01:00", "30 00:30"]),
        ("Europe/Berlin", "30 2 * * *", "2026-10-24", ["24 00:30", "25 00:30", "26 01:30"]),
        ("America/New_York", "30 2 * * *", "2026-03-07", ["07 07:30", "08 07:00", "09 06:30"]),
        ("America/New_York", "30 1 * * *", "2026-10-31", ["31 05:30", "01 05:30", "02 06:30"]),
        # Clocks that change by half an hour.
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-02", ["02 15:45", "03 15:30", "04 15:15"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-03", ["03 14:45", "04 14:45", "05 15:15"]),
        # Midnight itself is skipped, and an evening has its last hour twice.
        ("America/Santiago", "0 0 * * *", "2026-09-05", ["05 04:00", "06 04:00", "07 03:00"]),
        ("America/Santiago", "30 23 * * *", "2026-04-04", ["04 02:30", "05 02:30", "06 03:30"]),
        # The evening of such a day keeps its hour on the wall.
        ("Europe/Berlin", "0 18 * * *", "2026-10-24", ["24 16:00", "25 17:00", "26 17:00"]),
    ],
)
def test_daily_time_comes_once_a_day_where_clocks_change(
    zone: str, expression: str, first: str, expected: list[str]
) -> None:
    found = times(Cron(expression, zone), first, days=3)

    assert found == expected


def test_time_of_every_hour_goes_by_what_has_really_passed() -> None:
    every_half_hour = Cron("*/30 * * * *", "Europe/Berlin")

    found = [times(every_half_hour, day, days=1) for day in ("2026-03-29", "2026-10-25")]

    assert [len(one) for one in found] == [47, 47]  # the first moment of the day itself is not after it


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago"]
)
@pytest.mark.parametrize("expression", ["30 2 * * *", "0 0 * * sun", "0 1-3 * * *", "20 */6 * * *"])
def test_latest_is_the_last_of_all_times_that_have_come(zone: str, expression: str) -> None:
    cron, begin = Cron(expression, zone), at("2026-03-01")
    moment, all_times = begin, []
    while moment < at("2026-04-20"):
        moment = cron.next_after(moment)
        all_times.append(moment)

    for now in (begin + timedelta(hours=days * 23, minutes=13) for days in range(5, 50)):
        for after in (now - timedelta(minutes=20), now - timedelta(days=3)):
            expected = max((one for one in all_times if after < one <= now), default=None)
            assert cron.latest(after, now) == expected
            assert cron.count(after, now) == sum(after < one < now for one in all_times)


def test_outage_of_years_is_looked_through_at_once() -> None:
    found = Cron("* * * * *", "Europe/Berlin").latest(at("1990-01-01"), at("2026-05-05T12:00:30"))

    assert found == at("2026-05-05T12:00:00")


def test_day_that_comes_every_four_years_is_found() -> None:
    found = Cron("0 0 29 2 *", "UTC").latest(at("2020-01-01"), at("2026-05-05"))

    assert found == at("2024-02-29")


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 25 * * *", 'character 3: "25" is no hour'),
        ("0 18 * * mon-fry", 'character 10: "mon-fry" is no day of the week'),
        ("0  1,7,x * * *", 'character 8: "x" is no hour'),
        ("0 12, * * *", 'character 6: "" is no hour'),
        ("0 18 * *", "4 fields, not five"),
        ("0 0 18 * * *", "6 fields, not five"),
        ("@daily", "1 field, not five"),
        ("", "0 fields, not five"),
        ("0 0 30 2 *", "never comes: at character 5"),
        ("0 0 31 apr,jun *", "never comes"),
    ],
)
def test_expression_that_is_none_is_refused_with_its_place(expression: str, words: str) -> None:
    with pytest.raises(RefusedHereError) as refused:
        Cron(expression, "UTC")

    assert words in refused.value.sentence
    assert refused.value.advice


def test_zone_that_is_none_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(RefusedHereError, match=r"Did you mean Europe/Berlin\?"):
        Cron("0 18 * * *", "Europe/Berln")


def test_time_of_day_is_an_expression() -> None:
    assert [daily("18:00"), daily("07:05")] == ["0 18 * * *", "5 7 * * *"]
