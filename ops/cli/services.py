"""The commands `worker`, `beat` and `simulator`: what runs beside campaigns, in the foreground."""

import os
import sys
from typing import Annotated

import typer

from ops.cli.session import read_settings
from worker.settings import Settings


def worker(
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency",
            "-c",
            min=1,
            help="Rows in hand at once; default: what the accounts' paces ask for.",
        ),
    ] = None,
) -> None:
    """Run a Celery worker in the foreground, for campaigns that `outreach load` begins, of all accounts.

    Example: outreach worker --concurrency 64
    """
    from worker.tasks.command import threads_for, worker_command

    settings = _served()
    # One process here, whatever the pace: whoever wants two starts two.
    command = worker_command(concurrency or threads_for(settings), settings.log_level)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606  our own interpreter, no shell


def beat() -> None:
    """Wake the workers for the timetable, in the foreground: schedules, and nightly follow-ups.

    Any number may run, on any machines: one of them acts, and another one takes its place within half a minute.

    Example: outreach beat
    """
    from worker.tasks.command import beat_command

    settings = _served()
    command = beat_command(settings.log_level)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606  our own interpreter, no shell


def simulator(context: typer.Context) -> None:
    """Run the Twilio simulator; its own options follow (--help lists them).

    Example: outreach simulator --port 8080 --latency-ms 150 --fault 500_after=0.05
    """
    from ops.simulator import main

    raise typer.Exit(main(context.args))


def _served() -> Settings:
    """Read the settings, of which every account must have its credentials. Raises: SettingsError."""
    settings = read_settings()
    for account in settings.everyone():
        account.require_credentials()
    return settings
