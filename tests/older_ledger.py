"""A copy of all that a Redis holds, to be put back later as an operator's backup or a failover would."""

from dataclasses import dataclass, field

import redis


@dataclass
class Backup:
    """What was in a Redis when the copy was made."""

    client: "redis.Redis"
    values: dict[bytes, tuple[bytes, int]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.values = {name: self._read(name) for name in self.client.scan_iter()}

    def put_back(self) -> None:
        """Have Redis hold what it held then, and nothing else."""
        self.client.flushdb()
        for name, (value, ttl_ms) in self.values.items():
            self.client.restore(name, max(0, ttl_ms), value)

    def _read(self, name: bytes) -> tuple[bytes, int]:
        value = self.client.dump(name)
        assert value is not None
        return value, int(self.client.pttl(name))
