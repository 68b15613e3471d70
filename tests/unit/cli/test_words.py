"""Tell whether numbers, times and ends are said as people and scripts expect them."""

from typing import Any

import pytest

from ops.cli import words

NONE = dict.fromkeys(("accepted", "failed", "invalid", "skipped", "needs_review", "cancelled", "pending"), 0)


def snapshot(state: str, **counts: int) -> dict[str, Any]:
    return {"id": "spring-1", "state": state, "rows": sum(counts.values()), "counts": NONE | counts}


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (snapshot("finished", accepted=3), 0),
        (snapshot("finished", accepted=3, skipped=2), 0),
        (snapshot("finished", accepted=3, failed=1), 1),
        (snapshot("finished", accepted=3, invalid=1), 1),
        (snapshot("finished", accepted=3, needs_review=1), 1),
        (snapshot("cancelled", accepted=3, cancelled=1), 1),
        (snapshot("paused", accepted=3, pending=1), 3),
        (snapshot("running", accepted=3, pending=1), 3),
        (snapshot("waiting", accepted=3, pending=1), 3),
    ],
)
def test_exit_code_tells_how_a_campaign_ended(seen: dict[str, Any], code: int) -> None:
    assert words.exit_code(seen) == code


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "unknown"),
        (0.4, "0 s"),
        (59, "59 s"),
        (61, "1 min 01 s"),
        (3599, "59 min 59 s"),
        (7260, "2 h 01 min"),
    ],
)
def test_duration_is_no_finer_than_is_of_use(seconds: float | None, said: str) -> None:
    assert words.duration(seconds) == said


def test_counts_leave_out_what_there_is_none_of() -> None:
    assert words.counts(NONE | {"accepted": 1200, "needs_review": 2}) == "1,200 accepted, 2 needs review"


def test_pause_says_by_whom_and_why() -> None:
    by_breaker = {"by": "breaker", "code": 63016, "reason": "No template.", "advice": "Use one."}

    assert words.paused({"paused": by_breaker}) == "paused by the breaker (63016: No template. Use one.)"
    assert (
        words.paused({"paused": {"by": "operator", "code": None, "reason": ""}}) == "paused by the operator"
    )
