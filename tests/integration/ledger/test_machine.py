"""Let workers, operators and accidents act on campaigns in any order: the ledger's promises hold after each step."""

import os
from functools import cache
from itertools import islice
from random import Random

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from ledger_machine import SAYS, LedgerMachine, driven, methods_of_a_holder, walk

from worker import redis_scripts
from worker.ledger import scripts
from worker.ledger.states import TRANSITIONS

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "0"))
"""How many ways are tried, each another at every run; unset: a few, and always the same ones."""
CHOSEN = settings(
    max_examples=EXAMPLES or 8,
    stateful_step_count=50,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # made smaller by hand, where one fails: by itself that takes minutes
    suppress_health_check=list(HealthCheck),
)
MOST_STEPS = 400
SMALLER = {
    "local STREAK_LIMIT = 20": "local STREAK_LIMIT = 4",
    "local PIECE = 500": "local PIECE = 1",
}
"""Limits that a campaign of five rows would never come to."""


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the limits in the scripts' own text."""
    real, found = redis_scripts.folded, set()

    def lowered(text: str) -> str:
        for limit, lower in SMALLER.items():
            if limit in text:
                found.add(limit)
            text = text.replace(limit, lower)
        return real(text)

    monkeypatch.setattr(redis_scripts, "folded", lowered)
    monkeypatch.setattr(scripts, "source", cache(scripts.source.__wrapped__))
    for name in ("dispatch", "reject_opening"):
        scripts.source(name)
    assert found == set(SMALLER)


@pytest.mark.timeout(0 if EXAMPLES else 600)
@pytest.mark.usefixtures("small_limits")
def test_promises_hold_whatever_happens_in_whatever_order(ledger_redis: "redis.Redis") -> None:
    LedgerMachine.client = ledger_redis
    LedgerMachine.watches, LedgerMachine.packs = [], {}

    run_state_machine_as_test(LedgerMachine, settings=CHOSEN)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("small_limits")
def test_every_transition_takes_part(ledger_redis: "redis.Redis") -> None:
    """Walk at random, at a fixed one, until all was seen: nothing is promised of what has no rule in LedgerMachine."""
    LedgerMachine.client = ledger_redis
    LedgerMachine.watches, LedgerMachine.packs = [], {}
    everything = {
        f"{name}: {end} {state.name}"
        for name, ends in TRANSITIONS.items()
        if name
        != "note_answer"  # a row has answered once for all: few rows are never seen to do so in every state
        for end, states in zip(("from", "to"), ends, strict=True)
        for state in states
    }

    machine = LedgerMachine()
    for _ in islice(walk(machine, Random(8)), MOST_STEPS):
        missing = everything - driven(LedgerMachine.watches)
        if not missing:
            break
    machine.teardown()

    assert not missing, sorted(missing)


def test_holder_that_wakes_too_late_says_all_there_is_to_say() -> None:
    assert set(SAYS) == methods_of_a_holder()
