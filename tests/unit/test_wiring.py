"""What the composition root decides by itself: the broker's address, and whether a worker still lives."""

import os
import ssl
import subprocess
import sys

import pytest
from kombu import Connection

from worker import wiring
from worker.errors import RedisUnavailableError


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("redis://h:6379", "redis://h:6379/1"),
        ("redis://h:6379/0", "redis://h:6379/1"),
        ("redis://:pw@h:6379/4?protocol=2", "redis://:pw@h:6379/5"),
        ("unix:///tmp/redis.sock?db=0", "redis+socket:///tmp/redis.sock?virtual_host=1"),
        ("rediss://h/0?ssl_cert_reqs=none", "rediss://h/1?ssl_cert_reqs=none"),
    ],
)
def test_broker_is_the_next_database_of_the_same_server(url: str, broker: str) -> None:
    assert wiring.broker_url(url) == broker


@pytest.mark.parametrize("query", ["", "?socket_timeout=5"])
def test_brokers_certificate_is_checked_as_the_ledgers_is(query: str) -> None:
    url = wiring.broker_url(f"rediss://:pw@h:6379/0{query}")

    assert Connection(url).ssl["ssl_cert_reqs"] is ssl.CERT_REQUIRED


def test_redis_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(RedisUnavailableError) as error:
        wiring.connect("redis://:secret@127.0.0.1:1/0")

    assert "127.0.0.1:1" in str(error.value)
    assert "refused" in str(error.value)
    assert "secret" not in str(error.value)


def test_process_is_gone_when_it_has_ended_and_when_another_has_its_number() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        owner = f"{wiring.host_name()}/{child.pid}/{wiring._started(child.pid)}"
        is_gone_alive = wiring.is_gone(owner)
        child.kill()
    host, pid, started = wiring.owner_name().split("/")

    assert not is_gone_alive
    assert wiring.is_gone(owner)
    assert wiring.is_gone(f"{host}/{pid}/{started}0")
    assert not wiring.is_gone(f"elsewhere/{child.pid}/1")


def test_process_that_may_not_be_looked_at_is_not_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)  # as by a system that hides other users' processes

    assert not wiring.is_gone(f"{wiring.host_name()}/4194305/1")
