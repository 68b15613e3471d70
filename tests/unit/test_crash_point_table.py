"""The page on reliability shows the crash points that there are."""

from ops.crash_points import PAGE, page_with_table, rows
from worker import effects


def test_table_has_every_crash_point_once() -> None:
    assert [point for point, _, _ in rows()] == effects.points()


def test_page_shows_the_table_of_this_code() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == page_with_table(page), "run `python -m ops.crash_points --write`"
