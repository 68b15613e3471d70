"""The arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

CampaignFile = Annotated[
    Path, typer.Argument(metavar="CAMPAIGN", help="The definition, a TOML file.", show_default=False)
]
CustomersFile = Annotated[
    Path, typer.Argument(metavar="CSV", help="The customers, a CSV or XLSX file.", show_default=False)
]
CampaignId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="The campaign's id, as `outreach status` lists it.", show_default=False
    ),
]
MaybeCampaignId = Annotated[
    str | None, typer.Argument(metavar="ID", help="The campaign's id.", show_default=False)
]
Account = Annotated[
    str | None,
    typer.Option(
        "--account",
        metavar="NAME",
        help="One of OUTREACH_ACCOUNTS; default: the main account.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON on stdout.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show the workers' logs on stderr too.")]
Again = Annotated[bool, typer.Option("--again", help="Begin a new campaign, whoever was contacted before.")]
Update = Annotated[
    bool, typer.Option("--update", help="Apply a changed definition to the rows not opened yet.")
]
Rebuild = Annotated[
    bool,
    typer.Option(
        "--rebuild",
        help="Make a lost ledger anew from the results file; what has not ended is looked up first.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
RowNumber = Annotated[
    int, typer.Argument(metavar="ROW", min=1, help="1 is the first row after the header.", show_default=False)
]
