"""A real Redis, emptied before each test, with a desk to take campaigns in and to have their rows worked on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from intake_desk import Desk
from pipeline_bench import Rig
from simulator_process import SimulatorProcess

from worker.ledger.ledger import Ledger
from worker.ledger.registry import Registry
from worker.redis_server import EmbeddedRedis


@pytest.fixture(scope="session")
def pipeline_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, "redis.Redis"]]:
    """Start the embedded server, as it is in use but for its disk."""
    home: Path = tmp_path_factory.mktemp("pipeline")
    with EmbeddedRedis(home).hold() as url, redis.Redis.from_url(url) as client:
        # What is on disk after a crash is the embedded server's own test; here it would cost most of the time.
        client.config_set("appendonly", "no")
        yield url, client


@pytest.fixture
def redis_client(pipeline_redis: tuple[str, "redis.Redis"]) -> "redis.Redis":
    """Give an empty Redis."""
    client = pipeline_redis[1]
    client.flushall()
    return client


@pytest.fixture
def desk(pipeline_redis: tuple[str, "redis.Redis"], redis_client: "redis.Redis", tmp_path: Path) -> Desk:
    """Give a desk with an empty ledger and a folder of its own."""
    return Desk(tmp_path, pipeline_redis[0], redis_client)


@pytest.fixture
def ledger(desk: Desk) -> Ledger:
    """Give the desk's ledger."""
    return desk.ledger


@pytest.fixture
def registry(desk: Desk) -> Registry:
    """Give the desk's registry."""
    return desk.registry


@pytest.fixture
def rig(
    pipeline_redis: tuple[str, "redis.Redis"],
    redis_client: "redis.Redis",
    simulator: SimulatorProcess,
    tmp_path: Path,
) -> Iterator[Rig]:
    """Give a workbench on an empty Redis, with a simulator that has forgotten everything."""
    made = Rig(pipeline_redis[0], simulator, tmp_path)
    yield made
    made.close()
