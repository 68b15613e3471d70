"""The benchmark of sizes runs as it is, at a tiny size, and answers for each."""

import math
from typing import Any

import pytest

from ops.bench.ledger_rows import load_ended
from ops.bench.size import measure


def test_each_size_has_its_figures() -> None:
    answer = measure((70, 140), sent=2, one_by_one=3, runs=1)

    values = {figure.what: figure.median for figure in answer.figures}
    assert all(math.isfinite(value) and value > 0 for value in values.values())
    for rows in (70, 140):
        assert {f"load {rows} rows", f"results file of {rows} rows", f"status among {rows} rows"} <= set(
            values
        )
        assert values[f"Redis beside the columns, {rows} rows"] > 71
    (chart,) = answer.charts
    assert all(line.x == (70, 140) for line in chart.series)


def test_what_could_not_be_compared_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(place: Any, rows: int, **named: Any) -> None:
        if rows == 140:
            raise TimeoutError
        load_ended(place, rows, **named)

    monkeypatch.setattr("ops.bench.size.load_ended", load)

    answer = measure((70, 140), sent=2, one_by_one=3, runs=1)

    assert answer.failed == ("a ledger of 140 rows",)
    said = [figure.what for figure in answer.figures] + [goal.what for goal in answer.goals]
    assert "dispatch to finish among 70 rows" in said
    assert not [what for what in said if "the same" in what]
