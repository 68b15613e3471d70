"""The benchmark of fairness measures a real worker and two accounts, at a tiny size."""

from functools import partial

import pytest

from ops.bench import fairness
from ops.bench.report import repeat


def test_every_part_measures_a_real_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairness, "SMALL", 2)
    monkeypatch.setattr(fairness, "repeat", partial(repeat, runs=1))
    tiny = fairness.Plan((5_000, 1_000, 1_000), 0.5, 0.5, settle_s=0.2)

    answer = fairness.measure(tiny, "tiny")

    assert not answer.failed
    values = {figure.what: figure.median for figure in answer.figures}
    assert values["2 rows, beside 5,000 + 1,000 + 1,000"] > 0
    assert {
        f"rows a second beside an account that is {how}" for how in ("idle", "throttled", "hanging")
    } <= set(values)
    assert len(answer.goals) == 4
