"""Tell whether the benchmark of the pace sees what is there, at a tiny size."""

import math
from pathlib import Path

import pytest

from ops.bench.pace import Fleet, Lowered, back_after_s, steady


def test_real_workers_send_and_what_arrives_is_counted(tmp_path: Path) -> None:
    with Fleet(tmp_path / "fleet", 20).up(1) as fleet:
        seen = steady(fleet, 1, 0.02, 0.3)

    assert len(seen.used) == 5
    assert sum(seen.used) > 0, seen
    assert fleet.server.sent
    assert seen.name == "20/s, 20 ms, 1 worker"


def test_pace_is_back_from_when_on_each_second_is_full() -> None:
    even = [n / 20 for n in range(120)]
    gap = [at_s for at_s in even if not 1 <= at_s < 1.5]

    assert back_after_s(even, 1.0, 20) == 0
    assert back_after_s(gap, 1.0, 20) == pytest.approx(0.5, abs=0.1)
    assert back_after_s([at_s for at_s in even if at_s < 1], 1.0, 20) == math.inf


def test_lowered_limit_is_judged_from_five_seconds_on() -> None:
    opened = (
        [n / 20 for n in range(200)] + [10 + n / 10 for n in range(300)] + [40 + n / 20 for n in range(200)]
    )
    refused = [10.1, 10.2, 30.0]

    seen = Lowered(opened, refused, 2_000, fell_s=10, rose_s=40, ended_s=50, low=10)

    assert seen.refused_share == pytest.approx(0.15)
    assert seen.refused_openings == pytest.approx(100 * 3 / 703)
    assert seen.used_low == pytest.approx(100)
    assert seen.refused_late == pytest.approx(1 / 25)
    assert seen.back_after_s(20) == 0
    assert seen.back_after_s(40) == math.inf
