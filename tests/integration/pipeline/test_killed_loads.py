"""Tell whether a load survives `kill -9` at any moment: it is completed, once, by whoever comes next."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from intake_desk import Desk

from worker.ledger.states import State

TESTS = Path(__file__).parents[2]

LOADER = """
import os, signal, sys
from pathlib import Path
import redis
from intake_desk import Desk
folder, url, at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
def progress(rows, size):
    if rows >= at:
        os.kill(os.getpid(), signal.SIGKILL)
with redis.Redis.from_url(url) as client:
    Desk(folder, url, client).take_in(folder / "renewals.toml", folder / "customers.csv", progress=progress)
"""


@pytest.mark.parametrize("at", [64, 320])
def test_load_that_is_killed_is_completed_by_the_next_command(desk: Desk, at: int) -> None:
    definition, customers = desk.definition(), desk.customers(1000)
    environ = os.environ | {"PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", LOADER, str(desk.folder), desk.url, str(at)]
    killed = subprocess.run(command, check=False, cwd=TESTS.parent, env=environ, timeout=180)
    assert killed.returncode == -signal.SIGKILL
    (campaign_id,) = desk.registry.ids()
    assert at <= desk.registry.get(campaign_id).loaded < 1000  # it is some buckets ahead

    done = desk.take_in(definition, customers)

    assert (done.campaign_id, done.what, done.rows) == (campaign_id, "loading", 1000)
    found = list(desk.ledger.iter_rows(campaign_id, 1000))
    assert [number for number, _, _, _ in found] == list(range(1, 1001))
    assert [cells[1] for _, _, cells, _ in found] == [f"Ann {number}" for number in range(1, 1001)]
    assert desk.registry.get(campaign_id).counts[State.PENDING] == 1000
