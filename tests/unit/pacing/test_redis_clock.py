"""Tell whether Redis's clock is translated well, however slow its answers come."""

import random

from hypothesis import given
from hypothesis import strategies as st

from worker.pacing.redis_clock import RedisClock

DISTANCE_S = 1_795_000_000.25


def test_slow_answers_do_not_blur_what_a_fast_one_has_told() -> None:
    clock = RedisClock()
    chance = random.Random(7)

    clock.observe(10.0, 10.0002, DISTANCE_S + 10.0001)
    for second in range(11, 20):
        answered_s = second + chance.random() / 2
        clock.observe(second, answered_s, DISTANCE_S + chance.uniform(second, answered_s))

    assert abs(clock.monotonic_s(DISTANCE_S + 20) - 20) < 0.006


@given(st.lists(st.tuples(st.floats(0, 0.5), st.floats(0, 1)), min_size=1, max_size=50))
def test_error_is_never_more_than_half_the_fastest_answer_and_the_drift(
    answers: list[tuple[float, float]],
) -> None:
    clock = RedisClock()
    for second, (took_s, part) in enumerate(answers):
        clock.observe(second, second + took_s, DISTANCE_S + second + took_s * part)

    bound_s = min(took_s for took_s, _ in answers) / 2 + 0.001 * (len(answers) + 1)
    assert abs(clock.monotonic_s(DISTANCE_S) - 0) <= bound_s


def test_step_of_the_clock_is_believed_at_once() -> None:
    clock = RedisClock()
    clock.observe(1.0, 1.001, DISTANCE_S + 1.0005)

    clock.observe(2.0, 2.001, DISTANCE_S - 60 + 2.0005)

    assert abs(clock.monotonic_s(DISTANCE_S - 60 + 3) - 3) < 0.001
