"""A Twilio look-alike over HTTP, for tests, demos and benchmarks; it imports nothing of ours."""

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the simulator until it is told to stop; return the exit code."""
    from ops.simulator.entry import run

    return run(argv)
