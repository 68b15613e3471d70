"""The command `results`: the results file, at any moment."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ops.cli import options, screen, words
from ops.cli.session import Desk, open_desk_of, private_folder
from worker.errors import RefusedHereError


def results(
    campaign_id: options.MaybeCampaignId = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to; - is stdout. Default: OUTREACH_RESULTS_DIR."
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Write the results file: every row once, in the order of the customers' file, and what became of it.

    Example: outreach results renewal-reminder-1a2b3c4d5e -o renewals.csv
    """
    with open_desk_of(campaign_id) as desk:
        chosen = desk.choose(campaign_id).id
        if output == Path("-"):
            _to_stdout(desk, chosen)
            return
        if output is None:
            private_folder(desk.settings.results_dir_or_default)
        path = output or desk.results_path(chosen)
        _to_file(desk, chosen, path)
    if as_json:
        screen.answer_json({"id": chosen, "results_file": str(path)})
    else:
        screen.answer(f"results file: {words.path(path)}")


def _to_file(desk: Desk, campaign_id: str, path: Path) -> None:
    from worker.pipeline.results import write_results

    if write_results(desk.ledger, desk.registry, campaign_id, path):
        return
    if desk.registry.get(campaign_id).state == "loading":
        raise RefusedHereError(
            f"{campaign_id} is still being loaded, so it has no results yet.",
            "If that was interrupted, give the `run` or `load` command again.",
        )
    raise RefusedHereError(
        f"{path} holds a newer state of {campaign_id} than the ledger, so it was left as it is.",
        "Check that OUTREACH_REDIS_URL and OUTREACH_HOME are the right ones, or name another file with -o.",
    )


def _to_stdout(desk: Desk, campaign_id: str) -> None:
    from worker.pipeline.results import stream_results

    with open(sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False) as stream:
        stream_results(desk.ledger, desk.registry.get(campaign_id), stream)
