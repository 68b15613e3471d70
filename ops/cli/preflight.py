"""Refuse a campaign that names what Twilio lacks, before it begins."""

from pathlib import Path
from typing import TYPE_CHECKING

from ops.cli import failures, screen
from ops.cli.session import Desk

if TYPE_CHECKING:
    from campaigns.definition import Campaign


def refuse_what_twilio_lacks(desk: Desk, campaign: "Campaign", definition: Path, customers: Path) -> None:
    """Say what Twilio warns of.

    Raises: RefusedError with what is certainly wrong; TwilioUnavailableError.
    """
    from campaigns.problems import RefusedError
    from worker.pipeline.preflight import ask_about

    bench = desk.bench
    problems = ask_about(bench.gateway, campaign, definition, customers, bench.sleep)
    errors = [problem for problem in problems if problem.severity == "error"]
    failures.show_problems([problem for problem in problems if problem.severity == "warning"])
    if errors:
        raise RefusedError(errors)
    if bench.settings.base_url:
        screen.say(f"not Twilio itself: OUTREACH_TWILIO_BASE_URL is {bench.settings.base_url}", "dim")
