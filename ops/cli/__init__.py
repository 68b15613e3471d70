"""The command `outreach`: thin commands over the worker's pipeline, for people and for scripts."""

__all__ = ["main"]


def main() -> None:
    """Run the command line; exit with the code that the command ends with."""
    from ops.cli.app import app

    app(prog_name="outreach")
