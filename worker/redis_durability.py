"""Tell what a Redis would lose in a crash; the embedded one loses nothing, another's settings are its owner's."""

import contextlib
from typing import Any

import redis

from worker.errors import RedisUnavailableError


def durability_warning(client: "redis.Redis") -> str | None:
    """Say what this Redis would lose and what to set, or give None where it loses nothing it has confirmed.

    Raises: RedisUnavailableError if it gives no answer.
    """
    try:
        info: dict[str, Any] = client.info()
        settings = read_persistence(client, info)
    except redis.RedisError as error:
        raise RedisUnavailableError(
            "Redis gives no answer.", "See that it runs and that OUTREACH_REDIS_URL is right."
        ) from error
    if settings["appendonly"] != "yes":
        return (
            "Redis keeps nothing on disk at each change: after a crash, rows may be sent twice. "
            "Set `appendonly yes` and `appendfsync always`."
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        return "Redis could not write its append-only file. See that its disk is not full."
    fsync = settings.get("appendfsync", "(it does not say which)")
    if fsync != "always":
        return (
            f"Redis has `appendfsync` {fsync} and may lose its last second or more in a crash: "
            "those rows may be sent twice. Set `appendfsync always`."
        )
    policy = settings.get("maxmemory-policy", "noeviction")
    if policy != "noeviction":
        return (
            f"Redis throws data away when memory is short (`maxmemory-policy {policy}`): "
            "rows may be forgotten. Set `maxmemory-policy noeviction`."
        )
    return None


def read_persistence(client: "redis.Redis", info: dict[str, Any]) -> dict[str, str]:
    """Read appendonly, appendfsync and maxmemory-policy; what a hosted Redis won't tell is left out."""
    settings = {"appendonly": "yes" if info.get("aof_enabled") else "no"}
    # Where CONFIG is forbidden, INFO has told at least whether there is an append-only file.
    with contextlib.suppress(redis.ResponseError):
        for name in ("appendonly", "appendfsync", "maxmemory-policy"):
            found: dict[Any, Any] = client.config_get(name)
            settings.update({_text(key): _text(value) for key, value in found.items()})
    return settings


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
