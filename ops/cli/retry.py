"""The command `retry`: send failed and undelivered rows again, the plan first."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli import options, screen, words
from ops.cli.control import go_on
from ops.cli.failures import REFUSED
from ops.cli.session import Desk, open_desk_of
from worker.errors import RefusedHereError

if TYPE_CHECKING:
    from worker.pipeline.retry import RetryPlan


def retry(
    campaign_id: options.CampaignId,
    codes: Annotated[
        list[str] | None,
        typer.Option("--code", metavar="CODE", help="Only rows that failed with it; repeatable."),
    ] = None,
    rows: Annotated[
        list[int] | None, typer.Option("--row", metavar="N", min=1, help="Only this row; repeatable.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--from-results",
            metavar="FILE",
            help="Only the rows left in this results file, edited by hand. Nothing but their numbers is taken from it.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, change nothing.")] = False,
    yes: options.Yes = False,
    as_json: options.Json = False,
    verbose: options.Verbose = False,
) -> None:
    """Send rows again that failed, or were accepted and not delivered, where the reason makes it worth it.

    Template and variables are as they were: the definition and the customers' cells that the ledger has.

    Example: outreach retry renewal-reminder-1a2b3c4d5e --code 30008 --dry-run
    """
    from worker.pipeline.retry import begin, plan

    if rows and results:
        raise RefusedHereError("--row and --from-results both say which rows.", "Give one of them.")
    with open_desk_of(campaign_id) as desk:
        desk.heed_results()
        found = plan(
            desk.ledger, desk.registry, campaign_id, codes=codes or [], rows=rows or [], results=results
        )
        if dry_run or not len(found):
            _show(found, as_json=as_json)
            return
        desk.settings.require_credentials()
        _show_for_decision(found, as_json=as_json)
        if not yes and not _agrees(len(found)):
            raise typer.Exit(REFUSED)
        begun = begin(desk.ledger, desk.registry, found)
        if begun.overtaken:
            screen.say(
                f"{words.number(begun.overtaken)} of these rows were taken by another command meanwhile, "
                "or have a follow-up under way"
            )
        _go_on(desk, campaign_id, begun.begun, as_json=as_json, verbose=verbose)


def _go_on(desk: Desk, campaign_id: str, begun: int, *, as_json: bool, verbose: bool) -> None:
    if desk.registry.get(campaign_id).state == "paused":
        screen.say(f"{words.rows(begun)} are due; `outreach resume {campaign_id}` lets them go.")
        return
    go_on(desk, campaign_id, f"sends {words.rows(begun)} again", as_json=as_json, verbose=verbose)


def _agrees(rows: int) -> bool:
    if not screen.can_ask():
        raise RefusedHereError("A retry needs a yes.", "Give it with --yes where nobody can be asked.")
    return screen.ask(f"Send {words.rows(rows)} again?")


def _show_for_decision(found: "RetryPlan", *, as_json: bool) -> None:
    # With --json, stdout is for what comes of it.
    if as_json:
        screen.say(f"{words.rows(len(found))} are to be sent again")
    else:
        _show(found, as_json=False)


def _show(found: "RetryPlan", *, as_json: bool) -> None:
    if as_json:
        screen.answer_json(_as_dict(found))
        return
    accepted = f", {words.number(found.undelivered)} of them accepted but not delivered" * bool(
        found.undelivered
    )
    title = f"{found.campaign_id}: {words.rows(len(found))} to send again{accepted}"
    table = screen.new_table(["rows", "code", "reason"], right=["rows"])
    for why, n in found.reasons.most_common():
        screen.add_row(table, words.number(n), why.code, why.sentence)
    if len(found):
        screen.print_table(table, title)
    else:
        screen.answer(title)
    left = screen.new_table(["rows", "status", "code", "why not"], right=["rows"])
    for one, n in found.left_out.most_common():
        screen.add_row(left, words.number(n), words.status_name(one.status), one.words.code, one.why)
    if found.left_out:
        screen.print_table(left, "Left out")
    for warning in found.warnings:
        screen.warn(warning)


def _as_dict(found: "RetryPlan") -> dict[str, Any]:
    return {
        "id": found.campaign_id,
        "rows": len(found),
        "undelivered": found.undelivered,
        "reasons": [{**asdict(why), "rows": n} for why, n in found.reasons.most_common()],
        "left_out": [
            {"status": one.status, "code": one.words.code, "why": one.why, "rows": n}
            for one, n in found.left_out.most_common()
        ],
        "warnings": found.warnings,
        "row_numbers": list(found.rows),
    }
