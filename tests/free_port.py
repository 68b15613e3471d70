"""A port for a server that a test starts, and may start again."""

import socket
from random import SystemRandom


def free_port() -> int:
    """Give one below those that a system hands out by itself: no client's connection takes it while its server is away."""
    while True:
        port = SystemRandom().randrange(12_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
