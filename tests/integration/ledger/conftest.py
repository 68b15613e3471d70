"""A real Redis, shared by the tests of the ledger and emptied before each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from builders import LedgerRig

from worker.redis_server import EmbeddedRedis


@pytest.fixture(scope="session")
def ledger_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator["redis.Redis"]:
    """Start the embedded server, as it is in use but for its disk."""
    home: Path = tmp_path_factory.mktemp("ledger")
    with EmbeddedRedis(home).hold() as url, redis.Redis.from_url(url) as client:
        # What is on disk after a crash is the embedded server's own test; here it would cost most of the time.
        client.config_set("appendonly", "no")
        yield client


@pytest.fixture
def rig(ledger_redis: "redis.Redis") -> LedgerRig:
    """Give an empty ledger."""
    ledger_redis.flushall()
    return LedgerRig(ledger_redis)
