"""A short soak: real processes killed at random moments under faults and lag; the long one is `make soak`."""

from pathlib import Path

import pytest
from soak import Soak
from soak_plan import plan


@pytest.mark.timeout(280)
def test_random_kills_double_and_lose_nobody(tmp_path: Path) -> None:
    figures, verdict = Soak(seed=3, kills=25, rows=400, folder=tmp_path, every_s=0.8).run()

    assert verdict.is_well, verdict.say()
    assert verdict.counts == {"accepted": 400}
    assert figures["kills"] >= 20, figures


def test_same_seed_strikes_alike_and_another_does_not() -> None:
    first, again, other = (list(plan(seed, 50)) for seed in (1, 1, 2))

    assert first == again
    assert first != other
    assert sum(strike.kills for strike in first) == 50
