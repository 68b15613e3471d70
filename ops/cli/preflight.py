"""Ask Twilio before a campaign begins whether what it names exists; read no more of the file than that needs."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ops.cli import failures, screen
from ops.cli.session import Desk

if TYPE_CHECKING:
    from campaigns.definition import Campaign
    from campaigns.recipients import Recipient


def refuse_what_twilio_lacks(desk: Desk, campaign: "Campaign", definition: Path, customers: Path) -> None:
    """Say what Twilio warns of.

    Raises: RefusedError with what is certainly wrong; TwilioUnavailableError.
    """
    from campaigns.problems import RefusedError
    from worker.pipeline.preflight import ask_twilio, see_all

    named = see_all(_telling(campaign, customers))
    bench = desk.bench
    problems = ask_twilio(bench.gateway, campaign, named, bench.sleep, str(definition))
    errors = [problem for problem in problems if problem.severity == "error"]
    failures.show_problems([problem for problem in problems if problem.severity == "warning"])
    if errors:
        raise RefusedError(errors)
    if bench.settings.base_url:
        screen.say(f"not Twilio itself: OUTREACH_TWILIO_BASE_URL is {bench.settings.base_url}", "dim")


def _telling(campaign: "Campaign", customers: Path) -> Iterator["Recipient"]:
    """Go through the recipients as far as they may name something new."""
    from campaigns.check import check_rows
    from campaigns.duplicates import Duplicates
    from campaigns.recipients import compile_campaign
    from campaigns.table import open_table

    with open_table(customers) as table, Duplicates() as seen:
        compiled = compile_campaign(campaign, table.columns, table.file)
        checked = check_rows(compiled, table, seen)
        ready = (row.recipient for row in checked if row.recipient is not None)
        yield from islice(ready, telling_rows(campaign))


def telling_rows(campaign: "Campaign") -> int | None:
    """Return how many rows name all that a campaign names at Twilio; None where each may name something else."""
    routing = campaign.routing
    sids = (routing.workspace_sid, routing.workflow_sid, routing.queue_sid, routing.worker_sid)
    if any(
        text and "{" in text
        for text in (*sids, *routing.agents, campaign.message.content_sid, campaign.from_)
    ):
        return None
    # Agents are dealt in turn, though not strictly by row.
    return max(1, 4 * len(routing.agents))
