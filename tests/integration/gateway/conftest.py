"""Servers and gateways for faults on the wire."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from gateway_builders import gateway_over, http_client
from in_loop import InLoop, a_loop
from raw_server import Act, RawServer

from worker.gateway.http import PooledHttpClient
from worker.gateway.twilio import TwilioGateway


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Close at the end what the test opened."""
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def serve(stack: ExitStack) -> Callable[..., RawServer]:
    """Start a server that plays the given acts."""

    def start(*acts: Act, **options: Any) -> RawServer:
        server = RawServer(*acts, **options)
        stack.callback(server.close)
        return server

    return start


@pytest.fixture
def connect(stack: ExitStack) -> Callable[..., PooledHttpClient]:
    """Make an HTTP client for a base URL."""

    def make(base_url: str, **options: Any) -> PooledHttpClient:
        client = http_client(base_url, **options)
        stack.callback(client.close)
        return client

    return make


@pytest.fixture(params=["thread", "loop"])
def gateway_to(
    request: pytest.FixtureRequest, connect: Callable[..., PooledHttpClient]
) -> Callable[..., TwilioGateway]:
    """Make a gateway for a base URL, which is asked from a thread, or from inside a loop as the rows of a worker ask."""
    if request.param == "thread":
        return lambda base_url, **options: gateway_over(connect(base_url, **options))
    loop = a_loop()
    return lambda base_url, **options: InLoop(loop, gateway_over(connect(base_url, **options)))
