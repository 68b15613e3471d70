"""How many transitions does one Redis take a second, against the bare HSET in the same run; and what blocks it longest?

python -m ops.bench.ledger_speed [--rows 5000] [--many 20000]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import redis

from ops.bench.ledger_rows import TRANSITIONS_A_ROW, load, open_ledger, work_off
from worker.ledger.ledger import Claim, Ledger
from worker.ledger.registry import Registry
from worker.ledger.states import State

CODE = 63112


def measure(rows: int, many: int) -> None:
    """Print both rates, with the disk asked for every write and without, and the longest calls."""
    for appendfsync in ("no", "always"):
        with (
            TemporaryDirectory() as home,
            open_ledger(Path(home), appendfsync=appendfsync) as (client, ledger, registry),
        ):
            _rates(client, ledger, registry, rows, appendfsync)
    with TemporaryDirectory() as home, open_ledger(Path(home)) as (client, ledger, registry):
        _longest(client, ledger, registry, many)


def _rates(client: redis.Redis, ledger: Ledger, registry: Registry, rows: int, appendfsync: str) -> None:
    campaign_id = load(ledger, registry, rows)
    began = time.perf_counter()
    for at in range(rows):
        client.hset("bench:bare", str(at), b"x" * 100)
    bare = rows / (time.perf_counter() - began)
    client.config_resetstat()
    began = time.perf_counter()
    work_off(ledger, campaign_id, rows)
    took_s = time.perf_counter() - began
    stats = client.info("commandstats")["cmdstat_evalsha"]
    # Rows are dispatched many at once: that is one call for all of them.
    calls = rows * TRANSITIONS_A_ROW / took_s
    print(
        f"appendfsync {appendfsync:<7} {rows / took_s:7,.0f} rows/s = {calls:8,.0f} transitions/s by one client; "
        f"bare HSET {bare:8,.0f}/s; {stats['usec_per_call']:.0f} us of Redis a script"
    )


def _longest(client: redis.Redis, ledger: Ledger, registry: Registry, many: int) -> None:
    """Time the calls that touch many rows: all but one failed, put back, given out, cancelled."""
    campaign_id = load(ledger, registry, many)
    _fail(client, ledger, campaign_id, many - 1)
    ledger.dispatch(campaign_id, fresh=1, old=0)
    claim = Claim("last", "bench:1", 60_000)
    assert ledger.claim_opening(campaign_id, many, claim, f"{ledger.prefix}pair:last").ok
    longest = _time_ms(lambda: ledger.reject_opening(campaign_id, many, claim.token, CODE, stop=True))
    pieces = 1
    while registry.get(campaign_id).putting_back:
        longest = max(longest, _time_ms(lambda: ledger.rescue_queued(campaign_id, older_ms=60_000)))
        pieces += 1
    print(f"breaker puts {many:,} rows back: {pieces} pieces, the longest {longest:.1f} ms")
    for name, act in (
        ("resume", lambda: registry.resume(campaign_id)),
        ("dispatch 1,000", lambda: ledger.dispatch(campaign_id, fresh=1000, old=1000)),
        ("rescue 500", lambda: ledger.rescue_queued(campaign_id, older_ms=0)),
        ("cancel", lambda: registry.cancel(campaign_id)),
        ("cancel 1,000 rows", lambda: ledger.cancel_rows(campaign_id)),
    ):
        print(f"{name:<20}{_time_ms(act):6.1f} ms")
    counts = registry.get(campaign_id).counts
    assert (sum(counts.values()), counts[State.FAILED]) == (many, 0)


def _fail(client: redis.Redis, ledger: Ledger, campaign_id: str, rows: int) -> None:
    for row in range(1, rows + 1):
        ledger.dispatch(campaign_id, fresh=1, old=0)
        claim = Claim(str(row), "bench:1", 60_000)
        assert ledger.claim_opening(campaign_id, row, claim, f"{ledger.prefix}pair:{row}").ok
        assert ledger.reject_opening(campaign_id, row, claim.token, CODE, stop=False).ok
        if row % 19 == 0:  # so that the breaker stays shut until the last
            client.hset(ledger.key(campaign_id), "streak_n", "0")


def _time_ms(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--many", type=int, default=20_000)
    arguments = parser.parse_args()
    measure(arguments.rows, arguments.many)
