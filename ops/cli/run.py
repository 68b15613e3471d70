"""The commands `run` and `load`: take a campaign in, and work it off here or leave it to workers elsewhere."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ops.cli import failures, options, screen, words
from ops.cli.accounts import of_definition
from ops.cli.session import Desk, open_desk, read_settings
from ops.cli.spawning import spawn_early
from worker.errors import RefusedHereError

if TYPE_CHECKING:
    from ops.cli.crew import Crew
    from worker.pipeline.intake import Intake
    from worker.settings import Settings

_SHOWN_PROBLEMS = 5
_INTERRUPTED = (
    "interrupted: the same command again goes on. "
    "A campaign starts only when all its rows are loaded; `outreach status` shows how it stands."
)


def run(
    campaign: options.CampaignFile,
    customers: options.CustomersFile,
    again: options.Again = False,
    update: options.Update = False,
    rebuild: options.Rebuild = False,
    as_json: options.Json = False,
    verbose: options.Verbose = False,
) -> None:
    """Send a campaign from here, with workers of its own, until every row has ended.

    Run again after any crash or Ctrl-C it goes on where it was.

    Example: outreach run campaign.toml customers.csv
    """
    raise typer.Exit(
        run_campaign(
            campaign, customers, again=again, update=update, rebuild=rebuild, as_json=as_json, verbose=verbose
        )
    )


def run_campaign(
    campaign: Path,
    customers: Path,
    *,
    again: bool,
    update: bool,
    as_json: bool,
    verbose: bool,
    rebuild: bool = False,
    hints: bool = True,
) -> int:
    """Take a campaign in and work it off; return the exit code."""
    from ops.cli.crew import Crew

    spawn_early()  # it is there already, but for the demo's
    main = read_settings()
    with failures.stopped_softly(_INTERRUPTED), contextlib.closing(Crew(main, verbose=verbose)) as crew:
        settings = of_definition(main, campaign)
        settings.require_credentials()
        # The workers go before the desk does, for the last one out stops the embedded Redis.
        with open_desk(settings, main) as desk, contextlib.closing(crew):
            warn_of_durability(desk)
            warn_of_lone_key(settings)
            desk.heed_results()
            desk.desks.hold_broker()
            intake = take_in(
                desk, campaign, customers, again=again, update=update, rebuild=rebuild, crew=crew
            )
            # The rows are there, and the workers at them: whatever else is imported holds up nothing.
            from ops.cli.working import conclude, work

            if intake.what in ("finished", "cancelled") and not desk.registry.get(intake.campaign_id).left:
                screen.say(f"This campaign is {intake.what}; nothing is sent. `--again` begins a new one.")
                return conclude(desk, intake.campaign_id, as_json=as_json)
            return work(desk, intake.campaign_id, crew, as_json=as_json, hints=hints)


def load(
    campaign: options.CampaignFile,
    customers: options.CustomersFile,
    again: options.Again = False,
    update: options.Update = False,
    rebuild: options.Rebuild = False,
    as_json: options.Json = False,
) -> None:
    """Begin a campaign and leave it to workers that run elsewhere; print its id alone.

    Example: outreach load campaign.toml customers.csv
    """
    main = read_settings()
    settings = of_definition(main, campaign)
    settings.require_credentials()
    with failures.stopped_softly(_INTERRUPTED), open_desk(settings, main) as desk:
        refuse_without_workers(desk)
        warn_of_durability(desk)
        warn_of_lone_key(settings)
        desk.heed_results()
        campaign_id = take_in(
            desk, campaign, customers, again=again, update=update, rebuild=rebuild
        ).campaign_id
        if as_json:
            screen.answer_json(desk.snapshot(campaign_id))
        else:
            screen.answer(campaign_id)


def refuse_without_workers(desk: Desk) -> None:
    """Refuse to leave a campaign to workers where none is there to keep the embedded Redis.

    Raises: RefusedHereError.
    """
    from ops.cli.crew import has_live_workers

    if desk.settings.redis_url is None and not has_live_workers(desk.registry):
        raise RefusedHereError(
            "No worker is running, and the embedded Redis stops with the last command that uses it.",
            "Start `outreach worker` first, or send the campaign with `outreach run`.",
        )


def take_in(
    desk: Desk,
    definition: Path,
    customers: Path,
    *,
    again: bool,
    update: bool,
    rebuild: bool = False,
    crew: "Crew | None" = None,
) -> "Intake":
    """Decide which campaign it is, ask Twilio, load the rows; say what was found on the way.

    Raises: RefusedHereError, RefusedError, TwilioUnavailableError.
    """
    if again and rebuild:
        raise RefusedHereError(
            "--again begins a new campaign, --rebuild goes on with a lost one.", "Give one of them."
        )
    from ops.cli.crew import find_active, warn_of_other_campaigns
    from ops.cli.interrupts import Interrupts
    from ops.cli.preflight import refuse_what_twilio_lacks
    from ops.cli.progress import reading
    from worker.pipeline.intake import carry_out, decide

    decision = decide(
        desk.registry, desk.settings, definition, customers, again=again, update=update, rebuild=rebuild
    )
    active = find_active(desk) if crew else []
    warn_of_other_campaigns(active, desk, decision.campaign_id)
    if crew and decision.begins and not active:
        # They start while Twilio is asked; nothing is there yet that they could send.
        crew.tend(desk)
    if decision.begins or decision.what == "updated":
        refuse_what_twilio_lacks(desk, decision.campaign, definition, customers)
    # An exception out of a signal, in the midst of packing what goes to Redis, has been seen to crash hiredis: so
    # interrupts are counted here, and heeded between two buckets.
    with reading(customers, "loading") as progress, Interrupts() as interrupts:

        def go_on(rows: int, size: int) -> None:
            if interrupts.count:
                raise KeyboardInterrupt
            progress(rows, size)

        intake = carry_out(desk.ledger, desk.registry, desk.settings, decision, go_on)
        if interrupts.count:
            raise KeyboardInterrupt
    _tell(intake)
    return intake


def warn_of_durability(desk: Desk) -> None:
    """Say loudly what this Redis would lose in a crash."""
    from worker.redis_server import durability_warning

    warning = durability_warning(desk.ledger.client)
    if warning:
        screen.warn(warning)


def warn_of_lone_key(settings: "Settings") -> None:
    """Say what hangs on an API key that stands for its account."""
    if not settings.account_sid:
        screen.warn(
            f"{settings.variable('TWILIO_ACCOUNT_SID')} is not set: campaigns and paces are this API key's own, and with another key "
            "the same file would be sent once more. Set it beside the key, before the first campaign."
        )


def _tell(intake: "Intake") -> None:
    for line in intake.difference:
        screen.say(f"changed: {line}")
    for warning in intake.warnings:
        screen.warn(str(warning))
    # Each of them is in the results file too.
    failures.show_problems(intake.problems, total=intake.problem_count, most=_SHOWN_PROBLEMS)
    what = {
        "new": "a new campaign",
        "rebuilt": "made anew from its results file",
        "loading": "its loading goes on",
        "unfinished": "goes on where it was",
        "updated": "goes on with the changed definition",
    }
    if intake.what in what:
        rows, counts = words.number(intake.rows), words.counts(intake.counts)
        screen.say(f"{intake.campaign_id}: {what[intake.what]}, {rows} rows: {counts}")
    if intake.suppressed:
        whose = "customer is" if intake.suppressed == 1 else "customers are"
        screen.say(
            f"{words.rows(intake.suppressed)} skipped: the {whose} on the do-not-contact list "
            "(`outreach suppress list`)"
        )
