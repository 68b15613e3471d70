"""The benchmark of sizes runs as it is, at a tiny size, and answers for each."""

import math

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
