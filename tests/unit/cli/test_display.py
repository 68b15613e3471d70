"""Tell whether the picture and the line of a running campaign say all there is to see."""

import io
from typing import Any

import pytest
from rich.console import Console

from ops.cli import display

SEEN: dict[str, Any] = {
    "id": "spring-1a2b3c",
    "state": "running",
    "rows": 230,
    "counts": {
        "accepted": 90,
        "failed": 4,
        "invalid": 6,
        "skipped": 0,
        "needs_review": 0,
        "cancelled": 0,
        "pending": 130,
    },
    "in_flight": 12,
    "in_doubt": 2,
    "rate_per_s": 18.5,
    "eta_s": 70,
    "waiting_for": "the account's pace of 20 Interactions a second",
    "to_close": 3,
}


def drawn(seen: dict[str, Any], *notes: str, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(display.picture(seen, notes))
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "said",
    [
        "spring-1a2b3c",
        "running",
        "18.5/s",
        "about 1 min 10 s left",
        "43%",
        "100 of 230",
        "90 accepted",
        "4 failed",
        "130 pending",
        "waiting for: the account's pace",
        "12 under way, 2 in doubt",
        "3 Interactions without a message",
        "Redis is lost",
    ],
)
def test_picture_shows_everything(said: str) -> None:
    assert said in drawn(SEEN, "Redis is lost")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_picture_is_never_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, drawn(SEEN, width=width).splitlines())) <= width


def test_picture_leaves_out_what_there_is_not() -> None:
    quiet = {
        **SEEN,
        "in_flight": 0,
        "in_doubt": 0,
        "waiting_for": None,
        "to_close": 0,
        "rate_per_s": 0,
        "eta_s": None,
    }

    said = drawn(quiet)

    assert "waiting for" not in said
    assert "left" not in said
    assert "failed" in said


def test_empty_campaign_is_no_division_by_zero() -> None:
    assert "100%" in drawn({**SEEN, "rows": 0, "counts": dict.fromkeys(SEEN["counts"], 0)})


def test_line_says_it_in_one() -> None:
    said = display.line(SEEN)

    assert said.startswith(
        "spring-1a2b3c: running, 100 of 230 rows done, 90 accepted, 4 failed, 6 invalid, 18.5/s"
    )
    assert "waiting for: the account's pace" in said
    assert "\n" not in said


def test_deliveries_are_told_apart_from_what_failed_to_be_sent() -> None:
    known = {"unknown": 80, "sent": 2, "delivered": 7, "undelivered": 0, "failed": 1, "read": 0}
    seen = {**SEEN, "deliveries": known, "answered": 3}

    assert "6 invalid (deliveries: 2 sent, 7 delivered, 1 failed, 3 answered), 18.5/s" in display.line(seen)
    assert "deliveries: 2 sent, 7 delivered, 1 failed, 3 answered" in drawn(seen)


def test_lines_say_a_note_once(capsys: pytest.CaptureFixture[str]) -> None:
    from ops.cli import screen

    screen.err.cache_clear()
    with display.open_display() as shown:
        for _ in range(3):
            shown.show(SEEN, ["Redis is lost"])

    said = capsys.readouterr().err
    assert said.count("Redis is lost") == 1
    assert said.count("100 of 230") == 1
