"""The command `check`: everything that can be known before a campaign is sent; it sends nothing."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli import failures, options, screen, words
from ops.cli.accounts import of_campaign
from ops.cli.session import read_settings, set_up_logs
from worker.errors import RefusedHereError

if TYPE_CHECKING:
    from campaigns.problems import Problem
    from ops.cli.checking import Checking

_SHOWN = 20


def check(
    campaign: options.CampaignFile,
    customers: options.CustomersFile,
    problems: Annotated[
        Path | None,
        typer.Option("--problems", metavar="FILE", help="Write all problems as CSV.", show_default=False),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Check a campaign, every row of its file, and what it names at Twilio; send nothing.

    Exits with 1 if rows are invalid, with 2 if it could not be sent at all.

    Example: outreach check campaign.toml customers.csv --problems problems.csv
    """
    from ops.cli.progress import reading

    checking = _begin(campaign, customers)
    shown: deque[Problem] = deque()
    with reading(customers, "checking") as progress:
        found = _keep_first(checking.problems(progress), shown)
        count = _write(found, problems) if problems else sum(1 for _ in found)
    failures.show_problems(list(shown), total=count, file=problems)
    if as_json:
        listed = [asdict(problem) for problem in shown]
        screen.answer_json({**checking.as_dict(), "problems": count, "first_problems": listed})
    else:
        _print(checking)
    if checking.unreachable is not None:
        screen.say(f"error: {checking.unreachable}", "red")
    raise typer.Exit(checking.exit_code)


def _begin(campaign: Path, customers: Path) -> "Checking":
    from campaigns.definition import load_definition

    main = read_settings()
    set_up_logs(main)
    definition = load_definition(campaign)
    settings = of_campaign(main, definition, campaign)
    from ops.cli.checking import Checking
    from worker import wiring

    gateway = wiring.build_gateway(settings) if settings.has_credentials else None
    return Checking(settings, definition, campaign, customers, gateway, time.sleep, datetime.now(UTC))


def _keep_first(found: Iterator["Problem"], shown: "deque[Problem]") -> Iterator["Problem"]:
    for problem in found:
        if len(shown) < _SHOWN:
            shown.append(problem)
        yield problem


def _write(found: Iterator["Problem"], path: Path) -> int:
    from campaigns.problems import write_problems

    # What is wrong with a row may quote the customer's data.
    try:
        path.touch(mode=0o600)
    except OSError as error:
        raise RefusedHereError(f"{path} can't be written: {error.strerror}.", "Name another file.") from None
    return write_problems(found, path)


def _print(checking: "Checking") -> None:
    by_verdict, ready = checking.by_verdict, checking.by_verdict["ready"]
    verdicts = ", ".join(f"{words.number(n)} {verdict}" for verdict, n in by_verdict.items())
    screen.answer(f"{checking.customers} ({checking.file_format}): {words.rows(checking.rows)}: {verdicts}")
    messages = "1 first message" if ready == 1 else f"{words.number(ready)} first messages"
    screen.answer(
        f"Forecast: about {words.duration(checking.duration_s)} for {messages}{_kept_to_hours(checking)}"
    )
    if checking.campaign.channel == "sms" and checking.forecast.segments:
        forecast = checking.forecast
        unicode = f", {words.rows(forecast.unicode_rows)} in Unicode" if forecast.unicode_rows else ""
        screen.answer(
            f"Segments: {words.number(forecast.segments)}, at most {forecast.longest} a message{unicode}"
        )
    screen.answer(_twilio_line(checking))
    if not ready:
        screen.say("error: no row can be sent", "red")


def _kept_to_hours(checking: "Checking") -> str:
    """Say how the windows draw the campaign out; nothing where they do not."""
    from campaigns.forecast import FORESEEN

    if not checking.hours.rows:
        return ""
    shortest, longest = (words.duration(hours * 3600) for hours in checking.hours.hours_a_day)
    open_for = shortest if shortest == longest else f"{shortest} to {longest}"
    windows = "the window is" if len(checking.hours.rows) == 1 else "their windows are"
    ends_at = checking.ends_at()
    if ends_at is None:
        return f"; {windows} open {open_for} a day, and {FORESEEN.days} days are not enough for all"
    takes_s = (ends_at - checking.now).total_seconds()
    if takes_s < checking.duration_s + 60:
        return ""
    days = f"{ceil(takes_s / 86_400)} days" if takes_s > 86_400 else words.duration(takes_s)
    return f"; {windows} open {open_for} a day: begun now, about {days}, until {ends_at:%Y-%m-%d %H:%M} UTC"


def _twilio_line(checking: "Checking") -> str:
    if checking.gateway is None:
        return "Twilio was not asked: there are no credentials; whether template, sender and SIDs exist is unknown."
    if checking.unreachable is not None:
        return "Twilio could not be asked; whether template, sender and SIDs exist is unknown."
    if checking.twilio_errors:
        return "Twilio does not have all that the campaign names; see above."
    return "Twilio has what the campaign names."
