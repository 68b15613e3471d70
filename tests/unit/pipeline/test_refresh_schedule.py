"""Tell whether the results file is refreshed often enough, and never takes most of the time."""

from worker.pipeline.results import RefreshSchedule


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_file_is_due_every_ten_seconds() -> None:
    clock = Clock()
    schedule = RefreshSchedule(clock)

    assert not schedule.is_due
    clock.now_s += 10.0
    assert schedule.is_due
    schedule.wrote(took_s=0.2)
    assert not schedule.is_due
    clock.now_s += 10.0
    assert schedule.is_due


def test_file_that_takes_long_is_due_after_ten_times_that() -> None:
    clock = Clock()
    schedule = RefreshSchedule(clock)

    schedule.wrote(took_s=25.0)
    clock.now_s += 249.0
    assert not schedule.is_due
    clock.now_s += 1.0
    assert schedule.is_due
