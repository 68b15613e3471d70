"""The command `results`: the results file, at any moment."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ops.cli import options, screen, words
from ops.cli.session import Desk, open_desk, private_folder


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

    Example: outreach results renewal-reminder-1a2b3c4d -o renewals.csv
    """
    with open_desk() as desk:
        chosen = desk.choose(campaign_id).id
        if output == Path("-"):
            _to_stdout(desk, chosen)
            return
        if output is None:
            private_folder(desk.settings.results_dir_or_default)
        path = desk.write_results(chosen, output)
    if as_json:
        screen.answer_json({"id": chosen, "results_file": str(path)})
    else:
        screen.answer(f"results file: {words.path(path)}")


def _to_stdout(desk: Desk, campaign_id: str) -> None:
    from worker.pipeline.results import stream_results

    with open(sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False) as stream:
        stream_results(desk.ledger, desk.registry.get(campaign_id), stream)
