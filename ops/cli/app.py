"""The Typer application: every command, in the order in which a working day needs them."""

from typing import Any

import typer
from typer.core import TyperGroup

from ops.cli import (
    check,
    control,
    demo,
    doctor,
    explain,
    follow_up,
    results,
    retry,
    review,
    run,
    schedule,
    services,
    status,
    suppress,
    webhooks,
)
from ops.cli.failures import in_words

_EPILOG = (
    "Exit codes: 0 all well; 1 finished with rows that were not accepted; 2 refused before anything was sent; "
    "3 interrupted or paused, can go on; 4 Redis or Twilio can't be reached at the start; "
    "70 a fault of outreach itself."
)
_CAMPAIGN, _SERVICE = "Campaigns", "This installation"


class _Commands(TyperGroup):
    """The commands; what stops one of them is said in words."""

    def make_context(self, *args: Any, **settings: Any) -> Any:
        # Typer imports much while it reads the options, and would end at a Ctrl-C with 130 and no word.
        with in_words():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: Any) -> Any:
        with in_words():
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    help="Contacts every customer of a CSV once, through Twilio Flex, and says what became of each row.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _add(name: str, function: Any, panel: str, **settings: Any) -> None:
    app.command(name, rich_help_panel=panel, **settings)(function)


_add("check", check.check, _CAMPAIGN)
_add("run", run.run, _CAMPAIGN)
_add("load", run.load, _CAMPAIGN)
_add("status", status.status, _CAMPAIGN)
_add("watch", status.watch, _CAMPAIGN)
_add("explain", explain.explain, _CAMPAIGN)
_add("results", results.results, _CAMPAIGN)
_add("retry", retry.retry, _CAMPAIGN)
_add("review", review.review, _CAMPAIGN)
_add("pause", control.pause, _CAMPAIGN)
_add("resume", control.resume, _CAMPAIGN)
_add("cancel", control.cancel, _CAMPAIGN)
app.add_typer(follow_up.app, name="follow-up", rich_help_panel=_CAMPAIGN)
app.add_typer(schedule.app, name="schedule", rich_help_panel=_CAMPAIGN)
app.add_typer(suppress.app, name="suppress", rich_help_panel=_CAMPAIGN)
_add("worker", services.worker, _SERVICE)
_add("beat", services.beat, _SERVICE)
app.add_typer(webhooks.app, name="webhooks", rich_help_panel=_SERVICE)
_add(
    "simulator",
    services.simulator,
    _SERVICE,
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
_add("doctor", doctor.doctor, _SERVICE)
_add("demo", demo.demo, _SERVICE)
