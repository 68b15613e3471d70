"""The lean client of Redis: every thread gets its own answers, and a connection that ended costs no question."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import redis
from in_loop import a_loop, in_loop

from worker import loop, wiring
from worker.loop import Loop
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


def test_rows_of_a_loop_each_get_their_own_answer_over_one_connection(client: LeanRedis) -> None:
    answered: dict[bytes, bytes] = {}
    ids = set()

    def ask(number: int) -> None:
        words = f"question {number}".encode()
        answered[words] = client.echo(words)
        ids.add(client.client_id())

    a_loop().work([partial(ask, number) for number in range(400)])

    assert len(answered) == 400
    assert all(asked == heard for asked, heard in answered.items())
    assert len(ids) == 1


def test_what_the_rows_of_a_loop_ask_in_one_turn_is_written_together(client: LeanRedis) -> None:
    in_loop(a_loop(), client.ping)
    before = client.info("stats")["total_reads_processed"]

    a_loop().work([client.ping] * 400)

    assert client.info("stats")["total_reads_processed"] - before < 40


def test_script_and_commands_that_go_together_are_answered_in_a_loop(client: LeanRedis) -> None:
    digest = client.script_load("return {KEYS[1], ARGV[1]}")
    together = client.pipeline(transaction=False)
    together.execute_command("ECHO", "one").execute_command("HGET", "too", "many", "words")
    together.config_get("maxmemory")

    def ask() -> tuple[object, list[object]]:
        return client.evalsha(digest, 1, "key", 2), together.execute(raise_on_error=False)

    script, (one, refusal, setting) = in_loop(a_loop(), ask)

    assert script == [b"key", b"2"]
    assert (one, list(setting)) == (b"one", ["maxmemory"])
    assert isinstance(refusal, redis.ResponseError)


def test_refusal_is_raised_in_a_loop_and_costs_no_other_row(client: LeanRedis) -> None:
    with pytest.raises(redis.exceptions.NoScriptError):
        in_loop(a_loop(), lambda: client.evalsha("0" * 40, 0))

    with pytest.raises(redis.ResponseError):
        in_loop(a_loop(), lambda: client.execute_command("HGET", "too", "many", "words"))

    assert in_loop(a_loop(), lambda: client.echo("next")) == b"next"


def test_question_longer_than_the_socket_takes_at_once_is_asked_whole_in_a_loop(client: LeanRedis) -> None:
    long, answered = b"x" * 8_000_000, []

    a_loop().work([lambda: answered.append(client.echo(long)), lambda: answered.append(client.echo("short"))])

    assert sorted(map(len, answered)) == [5, 8_000_000]


def test_rows_of_a_loop_are_told_when_redis_cuts_them_off_and_the_next_question_goes_through(
    client: LeanRedis,
) -> None:
    told: list[Exception] = []

    def wait() -> None:
        try:
            client.blpop(["nobody pushes here"], timeout=60)
        except redis.ConnectionError as error:
            told.append(error)

    mine = in_loop(a_loop(), client.client_id)
    waiting = threading.Thread(target=a_loop().work, args=([wait] * 3,))
    waiting.start()
    while client.info("clients")["blocked_clients"] < 1:
        time.sleep(0.01)
    client.client_kill_filter(_id=mine)
    waiting.join()

    assert len(told) == 3
    assert in_loop(a_loop(), lambda: client.echo("next")) == b"next"


def test_connection_that_ended_while_no_row_asked_costs_no_question(client: LeanRedis) -> None:
    before = in_loop(a_loop(), client.client_id)
    client.client_kill_filter(_id=before)
    while any(each["id"] == str(before) for each in client.client_list()):
        time.sleep(0.01)
    in_loop(a_loop(), lambda: loop.sleep(0.01))  # its end is seen in the next turn

    assert in_loop(a_loop(), client.client_id) != before


def test_server_that_is_away_is_told_to_each_row_of_a_loop(tmp_path: Path) -> None:
    pool = redis.ConnectionPool(
        connection_class=redis.UnixDomainSocketConnection, path=str(tmp_path / "nobody.sock"), retry=None
    )
    told: list[Exception] = []

    def ask() -> None:
        try:
            absent.echo("anybody?")
        except redis.ConnectionError as error:
            told.append(error)

    with closing(LeanRedis(pool)) as absent:
        a_loop().work([ask] * 5)

    assert len(told) == 5


def test_tries_to_reach_a_server_that_is_away_leave_nothing_behind(tmp_path: Path) -> None:
    made: weakref.WeakSet[redis.UnixDomainSocketConnection] = weakref.WeakSet()

    class Noted(redis.UnixDomainSocketConnection):
        def __init__(self, **named: object) -> None:
            super().__init__(**named)
            made.add(self)

    pool = redis.BlockingConnectionPool(
        connection_class=Noted, path=str(tmp_path / "nobody.sock"), retry=None
    )

    def ask() -> None:
        for _ in range(20):
            with pytest.raises(redis.ConnectionError):
                absent.echo("anybody?")

    with closing(LeanRedis(pool)) as absent:
        a_loop().work([ask])
        gc.collect()

        assert len(made) <= 1, "a night of tries would fill the memory"


def test_server_that_dies_while_it_reads_nothing_costs_no_more_than_the_questions(tmp_path: Path) -> None:
    told: list[Exception] = []
    faults: list[str] = []
    rows = Loop("rows", 3, faults.append)

    def ask() -> None:
        try:
            own.echo(b"x" * 4_000_000)
        except redis.ConnectionError as error:
            told.append(error)

    with EmbeddedRedis(tmp_path).hold() as url, closing(wiring.connect(url)) as own:
        rows.work([own.ping])
        server = own.info("server")["process_id"]
        os.kill(server, signal.SIGSTOP)
        threading.Timer(0.3, os.kill, (server, signal.SIGKILL)).start()
        asking = threading.Thread(target=rows.work, args=([ask] * 3,), daemon=True)
        asking.start()
        asking.join(10)

    assert (faults, len(told)) == ([], 3)


def test_nothing_that_goes_together_takes_no_other_rows_answer(client: LeanRedis) -> None:
    def ask() -> tuple[object, object]:
        return client.pipeline(transaction=False).execute(), client.echo("next")

    answered: list[object] = []
    asking = threading.Thread(target=a_loop().work, args=([lambda: answered.append(ask())] * 2,), daemon=True)
    asking.start()
    asking.join(10)

    assert answered == [([], b"next")] * 2


def test_overdue_answer_is_told_to_the_rows_of_a_loop(client: LeanRedis) -> None:
    with closing(wiring.connect(client_url(client), answer_s=0.2)) as hasty:
        with pytest.raises(redis.TimeoutError):
            in_loop(a_loop(), lambda: hasty.blpop(["nobody pushes here"], timeout=60))

        assert in_loop(a_loop(), lambda: hasty.echo("next")) == b"next"


def client_url(client: LeanRedis) -> str:
    """Give the URL of a client's server."""
    return f"unix://{client.connection_pool.connection_kwargs['path']}"
