"""Start, share, find and stop the embedded Redis of one OUTREACH_HOME.

Three locks of the kernel carry it, so that nothing a killed process leaves behind can stand in the way:
`users.lock` is held shared by every process that uses the server; the last one out gets it alone, and stops the server.
`start.lock` is held while one process looks for the server or starts it.
`server.lock` is inherited by the server itself, so it tells whether one lives, whatever sockets and pid files say.
"""

import contextlib
import fcntl
import hashlib
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.errors import RedisUnavailableError
from worker.logs import get_logger
from worker.redis_binary import explain_failure, find_server, server_environ, server_options
from worker.redis_durability import durability_warning, read_persistence
from worker.settings import Settings, make_home

log = get_logger(__name__)

__all__ = ["EmbeddedRedis", "RedisStatus", "connect", "durability_warning", "redis_url"]

# The longest path of a unix socket that the kernel takes, less its closing zero byte.
_SOCKET_PATH_MAX_BYTES = 103 if sys.platform == "darwin" else 107
_LOG_MAX_BYTES = 1_000_000
_POLL_S = 0.02
_SERVES = "Ready to accept connections"
# The shell is left at once, so the server has no parent here: no zombie, and no signal of our terminal reaches it.
_DETACH = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 &'


@contextlib.contextmanager
def redis_url(settings: Settings) -> Iterator[str]:
    """Give the URL of the ledger's Redis; the embedded server runs as long as somebody is in here."""
    if settings.redis_url is not None:
        yield settings.redis_url.get_secret_value()
        return
    make_home(settings.home)
    with EmbeddedRedis(settings.home).hold() as url:
        yield url


@dataclass(frozen=True, slots=True)
class RedisStatus:
    """Say what the embedded server of a home is, for `doctor`."""

    pid: int
    software: str
    version: str
    appendonly: bool
    appendfsync: str
    url: str


class EmbeddedRedis:
    """Share one durable Redis among all processes of one `home`."""

    def __init__(self, home: Path, *, start_timeout_s: float = 30.0, load_timeout_s: float = 600.0) -> None:
        self._folder = home.absolute() / "redis"
        self._start_timeout_s = start_timeout_s
        self._load_timeout_s = load_timeout_s

    @contextlib.contextmanager
    def hold(self) -> Iterator[str]:
        """Keep the server running meanwhile, starting it if need be; give its URL.

        Every process that uses the server holds it for itself. The last one out stops it and waits till it is gone.

        Raises: RedisUnavailableError if it doesn't start, with the reason in plain words.
        """
        with _in_words(self._folder):
            self._make_folder()
            users = self._open("users.lock")
        try:
            # Waits here while the last one out is still stopping the server.
            self._lock(users, fcntl.LOCK_SH)
            try:
                yield self.ensure_running()
            finally:
                self._leave(users)
        finally:
            os.close(users)

    def ensure_running(self) -> str:
        """Start the server again if it has died under its holders; give its URL. Only for a holder.

        Raises: RedisUnavailableError, as `hold`.
        """
        with _in_words(self._folder):
            start = self._open("start.lock")
            try:
                self._lock(start, fcntl.LOCK_EX)
                socket = self._find_or_start()
            finally:
                os.close(start)
        return _url(socket)

    def revive(self) -> str:
        """Start the server again if it has died under its holders; say what it died of. Empty where it lives.

        One that lives and does not answer is not waited for: who asks has its own way of waiting.

        Raises: RedisUnavailableError, as `hold`.
        """
        if self._is_alive():
            # Without its socket, which a cleaner of temporary files took, or only its child is left, which rewrites its file.
            if _ping(self._recorded_socket()) == "absent":
                self.ensure_running()
            return ""
        with _in_words(self._folder):
            what, _ = explain_failure(self._last_words())
        self.ensure_running()
        return f"The embedded Redis had stopped and was started again. {what}."

    def status(self) -> RedisStatus | None:
        """Describe the running server, or give None; starts nothing."""
        if not self._is_alive():
            return None
        socket = self._recorded_socket()
        try:
            with _client(socket) as client:
                info: dict[str, Any] = client.info()
                settings = read_persistence(client, info)
        except redis.RedisError:
            return None
        return RedisStatus(
            pid=int(info["process_id"]),
            software=str(info.get("server_name", "redis")),
            version=str(info.get("valkey_version", info["redis_version"])),
            appendonly=settings.get("appendonly") == "yes",
            appendfsync=settings.get("appendfsync", ""),
            url=_url(socket),
        )

    def _find_or_start(self) -> Path:
        socket = self._recorded_socket()
        if _ping(socket) == "ready":
            return socket
        server = self._open("server.lock")
        try:
            # Others look at this lock for a moment, so one refusal doesn't prove that a server lives.
            if not self._lock_within(server, fcntl.LOCK_EX, timeout_s=0.3):
                if self._wait_till_it_answers(socket, absent_s=self._start_timeout_s / 3):
                    return socket
                # Alive without a socket, as when a cleaner of temporary files took it: let it finish, begin anew.
                self._terminate()
                self._lock(server, fcntl.LOCK_EX)
            socket = self._choose_socket()
            log_from = self._start(server, socket)
        finally:
            # Our own hold on the lock ends with this; the server, if it lives, has inherited it.
            os.close(server)
        self._wait_till_it_answers(socket, log_from=log_from)
        return socket

    def _start(self, server_lock: int, socket: Path) -> int:
        """Start a server that inherits `server_lock`; give the length of its log before that."""
        command = [str(find_server()), *server_options(self._folder, socket)]
        for stale in (socket, self._folder / "redis.pid"):
            stale.unlink(missing_ok=True)
        log_file = self._folder / "redis.log"
        if log_file.exists() and log_file.stat().st_size > _LOG_MAX_BYTES:
            log_file.replace(self._folder / "redis.log.1")
        log_file.touch(mode=0o600)
        log_from = log_file.stat().st_size
        self._record_socket(socket)
        subprocess.run(
            ["/bin/sh", "-c", _DETACH, "outreach-redis", str(log_file), *command],
            check=False,
            stdin=subprocess.DEVNULL,
            pass_fds=(server_lock,),
            start_new_session=True,
            umask=0o077,
            # Python ignores SIGXFSZ and would set it right here: a file that may not grow shall be an error, and be said.
            restore_signals=False,
            cwd="/",
            env=server_environ(),
        )
        return log_from

    def _wait_till_it_answers(
        self, socket: Path, *, log_from: int = 0, absent_s: float | None = None
    ) -> bool:
        """Wait for a live server's first answer; give False if for `absent_s` nobody has listened at `socket`."""
        started = time.monotonic()
        timeout_s = self._start_timeout_s
        while True:
            # Asked in this order: a server that dies between the two questions is not taken for a live one.
            answer, is_alive = _ping(socket), self._is_alive()
            waited_s = time.monotonic() - started
            if answer == "ready":
                return True
            if not is_alive:
                what, advice = explain_failure(self._log(log_from))
                raise RedisUnavailableError(
                    f"The embedded Redis in {self._folder} does not run. {what}.", advice
                )
            if answer == "loading":
                timeout_s = self._load_timeout_s
            if absent_s is not None and answer == "absent" and waited_s > absent_s:
                return False
            if waited_s > timeout_s:
                raise RedisUnavailableError(
                    f"The embedded Redis in {self._folder} is running, as process {self._pid() or 'unknown'}, "
                    f"and has not answered for {timeout_s:.0f} s.",
                    "Stop that process, then run the command again; what was confirmed is on disk.",
                )
            time.sleep(_POLL_S)

    def _leave(self, users: int) -> None:
        if not _try_lock(users, fcntl.LOCK_EX):
            return
        # Alone now; whoever comes waits for this lock until the server is gone.
        try:
            self._stop()
        except (OSError, redis.RedisError) as error:
            log.warning("redis.not_stopped", reason=type(error).__name__)
        finally:
            # Said outright: a process forked from this one would keep the lock through its copy of the file.
            fcntl.flock(users, fcntl.LOCK_UN)

    def _stop(self) -> None:
        if not self._is_alive():
            return
        with _client(self._recorded_socket()) as client:
            try:
                client.shutdown()
            except redis.RedisError:
                self._terminate()
        deadline = time.monotonic() + self._start_timeout_s
        while self._is_alive():
            if time.monotonic() > deadline:
                log.warning("redis.not_stopped", reason="it does not exit")
                return
            time.sleep(_POLL_S)

    def _terminate(self) -> None:
        pid = self._pid()
        if pid:
            with contextlib.suppress(psutil.Error):
                psutil.Process(pid).terminate()

    def _pid(self) -> int | None:
        """Find the server by its pid file, believed only if that process works in our folder."""
        try:
            pid = int((self._folder / "redis.pid").read_text())
            return pid if Path(psutil.Process(pid).cwd()).samefile(self._folder) else None
        except (OSError, ValueError, psutil.Error):
            return None

    def _is_alive(self) -> bool:
        try:
            server = self._open("server.lock")
        except OSError:
            return False
        try:
            return not _try_lock(server, fcntl.LOCK_SH)
        finally:
            os.close(server)

    def _recorded_socket(self) -> Path:
        # Not computed again: TMPDIR may differ between the commands of one home.
        try:
            return Path((self._folder / "socket").read_text(encoding="utf-8"))
        except OSError:
            return self._folder / "redis.sock"

    def _record_socket(self, socket: Path) -> None:
        fresh = self._folder / "socket.new"
        fresh.touch(mode=0o600)
        fresh.write_text(str(socket), encoding="utf-8")
        fresh.replace(self._folder / "socket")

    def _choose_socket(self) -> Path:
        socket = self._folder / "redis.sock"
        if len(os.fsencode(socket)) <= _SOCKET_PATH_MAX_BYTES:
            return socket
        name = f"outreach-{os.getuid()}-{hashlib.sha256(os.fsencode(self._folder)).hexdigest()[:12]}"
        # First where it was before: that is where those who hold the server look for it when it has died.
        before = self._recorded_socket().parent
        parents = [before.parent] if before.name == name and before.is_dir() else []
        for parent in (*parents, Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 the folder below it is checked
            socket = parent / name / "redis.sock"
            if len(os.fsencode(socket)) <= _SOCKET_PATH_MAX_BYTES:
                break
        _make_private(socket.parent)
        return socket

    def _make_folder(self) -> None:
        self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_private(self._folder)

    def _open(self, name: str) -> int:
        return os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _lock(self, file: int, kind: int) -> None:
        if not self._lock_within(file, kind, timeout_s=self._load_timeout_s):
            raise RedisUnavailableError(
                f"Another process has been starting or stopping the embedded Redis in {self._folder} "
                f"for {self._load_timeout_s:.0f} s.",
                "Look for an `outreach` or server process that hangs, stop it, and run the command again.",
            )

    @staticmethod
    def _lock_within(file: int, kind: int, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while not _try_lock(file, kind):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def _last_words(self) -> str:
        """Return what the server said after it had begun to serve for the last time."""
        try:
            return self._log(0).rpartition(_SERVES)[2].partition("\n")[2]
        except FileNotFoundError:
            return ""

    def _log(self, log_from: int) -> str:
        with (self._folder / "redis.log").open("rb") as file:
            file.seek(log_from)
            return file.read()[-20_000:].decode(errors="replace")


def connect(url: str, *, timeout_s: float = 10.0) -> "redis.Redis":
    """Open a client for many threads that fails within `timeout_s` and never repeats a command by itself.

    The library's default sends a command again, up to ten times over a minute: a script might run twice,
    and a worker would hang where it should say that it waits for Redis.
    """
    client: redis.Redis = redis.Redis.from_url(
        url, socket_timeout=timeout_s, retry=Retry(NoBackoff(), 0), health_check_interval=0
    )
    return client


def _client(socket: Path) -> "redis.Redis":
    # The waiting is done here, once: the client's own retries would take seconds for each question.
    retry = Retry(NoBackoff(), 0)
    # It is made for each question, and would look up the library's version among its files each time.
    return redis.Redis(
        unix_socket_path=str(socket), socket_timeout=2, retry=retry, decode_responses=True, driver_info=None
    )


def _ping(socket: Path) -> str:
    """Ask whether a server is `ready`, `loading`, `absent` (nobody listens) or `silent`."""
    try:
        with _client(socket) as client:
            client.ping()
    except redis.BusyLoadingError:
        return "loading"
    except redis.TimeoutError:
        return "silent"
    except redis.ConnectionError:
        return "absent"
    except redis.ResponseError:
        return "silent"
    return "ready"


def _url(socket: Path) -> str:
    return f"unix://{quote(str(socket))}?db=0"


def _try_lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    seen = folder.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid():
        raise RedisUnavailableError(
            f"{folder} belongs to another user, or is no folder.",
            "Set OUTREACH_HOME to a folder of this user's own.",
        )
    folder.chmod(0o700)


@contextlib.contextmanager
def _in_words(folder: Path) -> Iterator[None]:
    """Turn what the system refuses into a sentence."""
    try:
        yield
    except OSError as error:
        raise RedisUnavailableError(
            f"The embedded Redis cannot use {folder}: {(error.strerror or str(error)).lower()}.",
            "See that this user may write there and that the disk is not full, or set OUTREACH_HOME to another folder.",
        ) from error
