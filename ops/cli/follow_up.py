"""The commands `follow-up preview`, `run` and `stop`: who is written to once more, and when."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from campaigns.schedule import write_duration
from ops.cli import options, screen, words
from ops.cli.control import agrees, go_on, has_rows_left
from ops.cli.failures import REFUSED
from ops.cli.session import Desk, open_desk_of
from worker.errors import RefusedHereError

if TYPE_CHECKING:
    from worker.pipeline.waves import Plan

app = typer.Typer(
    help="Follow-up messages to those who did not answer, or were not reached.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def preview(campaign_id: options.CampaignId, as_json: options.Json = False) -> None:
    """Show who is due for a follow-up now, who will be, and when; change nothing.

    Example: outreach follow-up preview renewal-reminder-1a2b3c4d5e
    """
    from worker.ledger.suppression import Suppression
    from worker.pipeline.nights import attendance

    with open_desk_of(campaign_id) as desk:
        plan = _plan(desk, campaign_id)
        missing = attendance(desk.bench, has_beat=desk.desks.has_beat(), needed=True)["missing"]
        has_list = bool(Suppression(desk.ledger.client, desk.settings.account_tag).count())
    _show(plan, missing, as_json=as_json)
    if has_list and plan.due and not as_json:
        screen.say("Those on the do-not-contact list are among them; they are skipped when it is their turn.")


@app.command()
def run(
    campaign_id: options.CampaignId,
    yes: options.Yes = False,
    as_json: options.Json = False,
    verbose: options.Verbose = False,
) -> None:
    """Send the follow-ups that are due now, rather than tonight: by workers elsewhere, or else here in the foreground.

    Example: outreach follow-up run renewal-reminder-1a2b3c4d5e
    """
    from worker.pipeline.waves import begin

    with open_desk_of(campaign_id) as desk:
        desk.heed_results()
        plan = _plan(desk, campaign_id)
        if plan.why:
            raise RefusedHereError(f"No follow-up of {campaign_id} can be sent: {plan.why}.", _advice(plan))
        if not plan.due and not has_rows_left(desk, campaign_id):
            _show(plan, [], as_json=as_json)
            return
        desk.settings.require_credentials()
        if as_json:  # stdout is for what comes of it
            screen.say(f"due for a follow-up: {words.rows(plan.due)}")
        else:
            _show(plan, [], as_json=False)
        if plan.due and not yes and not agrees(f"Send {words.number(plan.due)} follow-ups now?"):
            raise typer.Exit(REFUSED)
        begun = begin(desk.bench, campaign_id, plan.at)
        what = f"begins follow-ups for {words.rows(begun.rows)}; its first messages"
        go_on(desk, campaign_id, what, as_json=as_json, verbose=verbose)


@app.command()
def stop(
    campaign_id: options.CampaignId,
    undo: Annotated[
        bool, typer.Option("--undo", help="Let follow-ups be sent again; cancelled ones stay so.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Send no more follow-ups of a campaign: those not opened yet are cancelled, those in hand are finished.

    Example: outreach follow-up stop renewal-reminder-1a2b3c4d5e
    """
    from worker.pipeline import waves

    with open_desk_of(campaign_id) as desk:
        desk.heed_results()
        changed = waves.stop(desk.ledger, desk.registry, campaign_id, stopped=not undo)
        seen = desk.snapshot(campaign_id)
    if as_json:
        screen.answer_json(seen)
        return
    now = "are sent again when they are due" if undo else "are stopped"
    screen.answer(f"The follow-ups of {campaign_id} {now}{'' if changed else ', as they were'}.")


def _plan(desk: Desk, campaign_id: str) -> "Plan":
    from worker.pipeline import waves

    now = datetime.fromtimestamp(desk.ledger.now_ms() / 1000, tz=UTC)
    plan = waves.preview(desk.ledger, desk.registry, campaign_id, now)
    if not plan.outlooks:
        raise waves.no_follow_ups(campaign_id)
    return plan


def _advice(plan: "Plan") -> str:
    commands = {
        "its follow-ups were stopped": f"`outreach follow-up stop {plan.campaign_id} --undo` lets them be sent again.",
        "it is paused": f"`outreach resume {plan.campaign_id}` lets it go on.",
    }
    return commands.get(plan.why, "")


def _show(plan: "Plan", missing: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        screen.answer_json(_as_dict(plan, missing))
        return
    table = screen.new_table(
        ["follow-up", "after", "if", "due now", "due later", "from"], right=["due now", "due later"]
    )
    for one in plan.outlooks:
        night = f"{one.night:%Y-%m-%d %H:%M} UTC" if one.night else ""
        after, condition = write_duration(one.after_s), one.condition.replace("_", " ")
        counts = (words.number(one.due), words.number(one.later))
        screen.add_row(table, one.follow_up, after, condition, *counts, night)
    when = f", the next night is {plan.next_night:%Y-%m-%d %H:%M} UTC" if plan.next_night else ""
    screen.print_table(table, f"{plan.campaign_id}: {words.rows(plan.due)} due for a follow-up{when}")
    if plan.left:
        left = screen.new_table(["rows", "why not"], right=["rows"])
        for why, rows in plan.left.most_common():
            screen.add_row(left, words.number(rows), why)
        screen.print_table(left, "No follow-up")
    if plan.why:
        screen.warn(f"no follow-up begins now: {plan.why}. {_advice(plan)}".rstrip())
    for sentence in missing:
        screen.warn(sentence)


def _as_dict(plan: "Plan", missing: Sequence[str]) -> dict[str, Any]:
    return {
        "id": plan.campaign_id,
        "at": plan.at.isoformat(),
        "due": plan.due,
        "next_night": plan.next_night.isoformat() if plan.next_night else None,
        "follow_ups": [
            {**asdict(one), "night": one.night.isoformat() if one.night else None} for one in plan.outlooks
        ],
        "left": [{"why": why.value, "rows": rows} for why, rows in plan.left.most_common()],
        "not_now": plan.why or None,
        "missing": list(missing),
    }
