"""Tell whether a campaign's end says when its follow-ups are looked for, and what must run for them."""

from typing import Any

import pytest

from ops.cli import summary


def entry(kind: str, *, is_due: bool = False) -> dict[str, Any]:
    return {"kind": kind, "name": "a-1", "is_due": is_due, "next_at_utc": "2026-11-23T18:00:00+00:00"}


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([entry("follow-ups")], "Follow-ups are looked for on 2026-11-23 18:00 UTC, where `outreach beat`"),
        ([entry("follow-ups", is_due=True)], "Follow-ups are looked for now, where"),
        ([entry("files")], ""),
        ([], ""),
    ],
)
def test_end_says_when_follow_ups_are_next(
    entries: list[dict[str, Any]], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    summary.say_next_night(entries, "a-1")

    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith(expected)
    assert bool(said) == bool(expected)
