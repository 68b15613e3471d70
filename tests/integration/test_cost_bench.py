"""The benchmark of the cost of a row measures a real worker, at a tiny size."""

import pytest

from ops.bench import cost


def test_row_of_ours_costs_time_of_the_worker_and_of_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "AROUND", 8)

    (found,) = cost.run(1, 48, only=cost.OURS)[cost.OURS]

    assert found["worker"] > 0
    assert found["Redis"] >= 0, "a few rows may cost it less than the clock can tell"
    assert found["all"] == found["worker"] + found["Redis"]
    assert found["rows/s"] > 0
