"""A Redis server of a test's own: started, killed, stopped and restarted on the same port and files."""

import resource
import signal
import subprocess
import time
from pathlib import Path

import redis
from free_port import free_port
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.redis_binary import find_server, server_options


class RedisProcess:
    """The package's server with the options of the embedded one, but on a port; `url` is what OUTREACH_REDIS_URL takes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.client: redis.Redis = redis.Redis.from_url(
            self.url, socket_timeout=5, retry=Retry(NoBackoff(), 0), decode_responses=True
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> float:
        """Start it, with its disk as large as it likes; return when it answered (monotonic, s)."""
        options = server_options(self._folder, self._folder / "redis.sock")
        options[options.index("--port") + 1] = str(self._port)
        with (self._folder / "redis.log").open("ab") as log:
            # Its own answer to a file that may not grow would be to die: it is to see an error, as on a full disk.
            command = ["/bin/sh", "-c", 'trap "" XFSZ; exec "$@"', "redis", str(find_server()), *options]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not self._answers():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.01)
        return time.monotonic()

    def fill_disk(self, room_bytes: int = 0) -> None:
        """Let its append-only file grow by so much and no more, as on a disk that gets full."""
        assert self._process
        used = max(path.stat().st_size for path in (self._folder / "appendonlydir").iterdir())
        resource.prlimit(
            self._process.pid, resource.RLIMIT_FSIZE, (used + room_bytes, resource.RLIM_INFINITY)
        )

    def free_disk(self) -> float:
        """Give it room again; return when (monotonic, s)."""
        assert self._process
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, unlimited)
        return time.monotonic()

    def kill(self) -> None:
        """End it as a crash does; what it had confirmed is on disk."""
        assert self._process
        self._process.kill()
        self.wait_gone()

    def wait_gone(self, timeout_s: float = 30) -> None:
        """Wait until it has ended, of itself or killed."""
        assert self._process
        self._process.wait(timeout_s)

    def suspend(self) -> None:
        """Let it answer nothing, as behind a network that swallows everything; its connections stay."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> float:
        """Let it answer again; return when it does (monotonic, s)."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)
        return time.monotonic()

    def stop(self) -> None:
        """End it for good; nothing happens where it has ended."""
        self.client.close()
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        """Return what it has said."""
        return (self._folder / "redis.log").read_text(errors="replace")

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False
