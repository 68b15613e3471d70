"""Tell whether those who wait for a Redis that is away leave those alone who must notice it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from pipeline_bench import ACCOUNT
from redis_process import RedisProcess

from worker import wiring
from worker.errors import RedisUnavailableError
from worker.settings import load_settings


def test_thread_with_a_row_in_hand_that_waits_for_redis_does_not_hold_up_the_tick(tmp_path: Path) -> None:
    server = RedisProcess(tmp_path / "redis")
    settings = load_settings(
        {
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": "token",
            "OUTREACH_REDIS_URL": server.url,
            "OUTREACH_HOME": str(tmp_path / "home"),
        },
        None,
    )
    bench = wiring.build(settings, wiring.connect(server.url))
    waits, leaves = Event(), Event()

    def sleep(seconds: float) -> None:
        waits.set()
        leaves.wait(seconds)

    hands = wiring.waiting_for_redis(bench, sleep, leaves.is_set)
    server.stop()
    with ThreadPoolExecutor() as pool:
        try:
            with_a_row = pool.submit(hands.campaign, "spring-1")
            assert waits.wait(30)

            tick = pool.submit(bench.campaign, "spring-1")

            with pytest.raises(RedisUnavailableError):
                tick.result(timeout=30)
            assert not with_a_row.done()
        finally:
            leaves.set()
