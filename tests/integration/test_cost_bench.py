"""The benchmark of the cost of a row measures a real worker, at a tiny size."""

import pytest

from ops.bench import cost
from ops.bench.report import Draft


def test_row_of_ours_costs_time_of_the_worker_and_of_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "AHEAD_S", 0.01)
    monkeypatch.setattr(cost, "THREADS", 4)
    tiny, draft = cost.Rows(lifted=48, paced=0, plain=0, bare=0, judged=1, others=0), Draft()

    (found,) = cost.run(draft, tiny, 1, only=cost.OURS, per_s=100)[cost.OURS]

    assert not draft.failed
    assert found["worker"] > 0
    assert found["Redis"] >= 0, "a few rows may cost it less than the clock can tell"
    assert found["all"] == found["worker"] + found["Redis"]
    assert found["rows/s"] > 0
