"""The lean client of Redis: every thread gets its own answers, and a connection that ended costs no question."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import redis

from worker import wiring
from worker.redis_client import LeanRedis
from worker.redis_server import EmbeddedRedis


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of a server."""
    with EmbeddedRedis(tmp_path_factory.mktemp("lean")).hold() as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[LeanRedis]:
    """Give a client as the workers have it."""
    with closing(wiring.connect(url)) as client:
        assert isinstance(client, LeanRedis)
        yield client


def test_threads_that_ask_at_once_each_get_their_own_answer(client: LeanRedis) -> None:
    asked = [f"question {number}".encode() for number in range(400)]

    with ThreadPoolExecutor(8) as threads:
        answered = list(threads.map(client.echo, asked))

    assert answered == asked


def test_refusal_leaves_the_connection_to_the_next_question(client: LeanRedis) -> None:
    before = client.client_id()

    with pytest.raises(redis.ResponseError):
        client.execute_command("HGET", "too", "many", "words")

    assert client.client_id() == before


def test_refusal_among_commands_that_go_together_costs_no_other_answer(client: LeanRedis) -> None:
    before = client.client_id()
    together = client.pipeline(transaction=False)
    for words in (("ECHO", "one"), ("HGET", "too", "many", "words"), ("ECHO", "two")):
        together.execute_command(*words)

    one, refusal, two = together.execute(raise_on_error=False)

    assert (one, two) == (b"one", b"two")
    assert isinstance(refusal, redis.ResponseError)
    assert client.client_id() == before


def test_refusal_among_commands_that_go_together_is_raised(client: LeanRedis) -> None:
    together = client.pipeline(transaction=False)
    together.execute_command("HGET", "too", "many", "words")

    with pytest.raises(redis.ResponseError):
        together.execute()

    assert together.execute() == []


def test_connection_that_the_server_ended_is_made_anew_before_it_is_used(client: LeanRedis, url: str) -> None:
    before = client.client_id()
    with redis.Redis.from_url(url) as other:
        other.client_kill_filter(_id=before)

    after = client.client_id()

    assert after != before


def test_answer_that_came_too_late_is_not_taken_for_the_next_one(client: LeanRedis) -> None:
    with closing(wiring.connect(client_url(client), answer_s=0.2)) as hasty:
        with pytest.raises(redis.TimeoutError):
            hasty.blpop(["nobody pushes here"], timeout=1)

        assert hasty.echo("next") == b"next"


def test_interrupted_question_leaves_nothing_behind(
    client: LeanRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "parse_response", interrupt)
    with pytest.raises(KeyboardInterrupt):
        client.echo("of the one that was interrupted")
    monkeypatch.undo()

    assert client.echo("mine") == b"mine"


def test_connection_that_could_not_be_closed_for_an_interrupt_is_not_lent_again(
    client: LeanRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def ask() -> None:
        with monkeypatch.context() as patch, client.borrowed() as connection:
            patch.setattr(connection, "disconnect", interrupt)
            connection.send_command("BLPOP", "nobody pushes here", "0.5")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask()

    assert client.echo("mine") == b"mine"


FORKED = """
import os, sys
from worker import wiring

client = wiring.connect(sys.argv[1])
before = client.client_id()
child = os.fork()
is_same = client.client_id() == before
if not child:
    os._exit(is_same)
_, status = os.waitpid(child, 0)
print(is_same, os.waitstatus_to_exitcode(status))
"""


def test_process_that_was_forked_makes_connections_of_its_own(url: str) -> None:
    done = subprocess.run([sys.executable, "-c", FORKED, url], capture_output=True, text=True, check=True)

    assert done.stdout == "True 0\n", "the parent keeps its connection, and the child does not use it"


def client_url(client: LeanRedis) -> str:
    """Give the URL of a client's server."""
    return f"unix://{client.connection_pool.connection_kwargs['path']}"
