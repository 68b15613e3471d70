"""The command `outreach`: thin commands over the worker's pipeline, for people and for scripts."""

import sys

__all__ = ["main"]

_INTERRUPTED = 3


def main() -> None:
    """Run the command line; exit with the code that the command ends with."""
    from ops.cli import spawning

    try:
        try:
            if sys.argv[1:2] == ["run"] and not {"-h", "--help"} & set(sys.argv):
                spawning.spawn_early()
            from ops.cli.app import app

            app(prog_name="outreach")
        except KeyboardInterrupt:  # no command has begun: those say so themselves
            sys.stderr.write("interrupted\n")
            sys.exit(_INTERRUPTED)
    finally:
        spawning.end_early()
