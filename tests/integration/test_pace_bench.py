"""Tell whether the benchmark of the pace sees what is there, at a tiny size."""

import math

import pytest

from ops.bench import pace
from ops.bench.pace import Lowered, Plan, back_after_s, used


def test_every_part_measures_real_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "RUNS": 1,
        "WARM_S": 1.0,
        "KILLED_S": 1.5,
        "FOLLOWED_S": 0.1,
        "BACK_S": 0.5,
        "REPLACED_S": 0,
        "READY_S": 1,
    }.items():
        monkeypatch.setattr(pace, name, value)
    tiny = Plan({(20.0, 2): (0.02, 0.05)}, 0.5, (20.0,), (0.2, 0.4))

    answer = pace.measure(tiny, "tiny")

    assert not answer.failed
    runs = {figure.what: figure.runs for figure in answer.figures}

    for what in ("used of the limit", "most messages in a second"):
        assert sum(runs[f"20/s, {latency_ms} ms, 2 workers: {what}"][0] for latency_ms in (20, 50)) > 0
    assert len(runs["20/s, 200 ms: back after half of 2 workers were killed"]) == 1
    assert len(runs["20/s lowered to 10/s: used of what is left, after 5 s"]) == 1
    assert [chart.name for chart in answer.charts] == ["pace-killed-20", "pace-lowered-20"]


@pytest.mark.parametrize("interval_s", [0.05, 0.0503, 0.0507])
def test_what_is_used_is_the_pace_wherever_a_stretch_begins(interval_s: float) -> None:
    stamps = [n * interval_s for n in range(400)]

    found = {round(used(stamps, 1 + n / 700, 4 + n / 700, 20), 6) for n in range(40)}

    assert found == {round(100 * 0.05 / interval_s, 6)}


def test_gap_between_two_stretches_is_seen_in_both() -> None:
    stamps = [n / 20 for n in range(160) if not 70 <= n < 90]

    assert used(stamps, 0, 4, 20) == pytest.approx(87.5, abs=1)
    assert used(stamps, 4, 7.9, 20) == pytest.approx(87.5, abs=1)


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
