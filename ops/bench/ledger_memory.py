"""How many bytes of Redis does a row cost, beside the customer's own columns, when all were sent, delivered and read, and a tenth answered?

python -m ops.bench.ledger_memory [--rows 100000]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import redis

from ops.bench.ledger_rows import hear, load, open_ledger, work_off

GOAL_BYTES = 180


def measure(rows: int) -> None:
    """Load `rows`, let each go the usual way, and print what Redis's memory grew by."""
    with TemporaryDirectory() as home, open_ledger(Path(home)) as (client, ledger, registry):
        began = _used(client)
        campaign_id = load(ledger, registry, rows)
        loaded = _used(client)
        work_off(ledger, campaign_id, rows)
        hear(ledger, campaign_id, rows)
        ended = _used(client)
        cells = _of_keys(client, ledger.key(campaign_id, "in:*"))
        info = registry.get(campaign_id)
        print(f"{rows:,} rows, {info.status_counts()['accepted']:,} accepted, server {_server(client)}")
        print(f"all, loaded     {(loaded - began) / rows:7.1f} bytes a row")
        print(f"all, at the end {(ended - began) / rows:7.1f} bytes a row")
        for name, suffix in (
            ("customers' columns", "in:*"),
            ("records", "rw:*"),
            ("outcomes", "out"),
            ("index of receipts", "cv:*"),
        ):
            print(f"  {name:<20}{_of_keys(client, ledger.key(campaign_id, suffix)) / rows:7.1f}")
        own = (ended - began - cells) / rows
        print(f"beside the customers' columns {own:.1f} bytes a row (goal: {GOAL_BYTES} at most)")
        left = [
            name
            for name in ("hand", "lease", "due", "later", "queued", "close")
            if client.exists(ledger.key(campaign_id, name))
        ]
        print(f"left over at the end: {', '.join(left) or 'nothing'}")


def _used(client: redis.Redis) -> int:
    client.script_flush()
    client.memory_purge()
    return int(client.info("memory")["used_memory"])


def _server(client: redis.Redis) -> str:
    info = client.info("server")
    return f"{info.get('server_name', 'redis')} {info.get('valkey_version', info['redis_version'])}"


def _of_keys(client: redis.Redis, pattern: str) -> int:
    # Brackets and braces of the name are no pattern.
    names = list(client.scan_iter(pattern.replace("{", "\\{").replace("}", "\\}"), count=10_000))
    total = 0
    for at in range(0, len(names), 1000):
        with client.pipeline(transaction=False) as pipe:
            for name in names[at : at + 1000]:
                pipe.memory_usage(name, samples=0)
            total += sum(pipe.execute())
    return total


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    measure(parser.parse_args().rows)
