"""What Twilio's error codes mean here: data in `codes.toml`, so that a new one needs no new code."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

Kind = Literal["row", "campaign", "pause", "transient", "ambiguous", "pair_busy"]

HTTP_PAGE = "https://www.twilio.com/docs/usage/twilios-response"


@dataclass(frozen=True, slots=True)
class CodeEntry:
    """One code.

    `kind`: `row` costs this row only; `campaign` stops the campaign, for every row would fail alike; `pause` stops it
    until a limit is over; `transient` was not processed; `ambiguous` may have been; `pair_busy` names an open
    conversation. `retry`: a new send of the same row, later, may well succeed.
    """

    code: int
    kind: Kind
    retry: bool
    sentence: str
    advice: str
    page: str


def lookup(code: int, http_status: int = 0) -> CodeEntry:
    """Return what is known of `code`; of an unknown one, what its HTTP status says."""
    return table().get(code) or default_for(http_status or code, code)


def default_for(http_status: int, code: int = 0) -> CodeEntry:
    """Return the entry for a code that the table does not have.

    A 4xx is a verdict on the row, a 5xx proves nothing, and an unknown code without a status is a verdict.
    Twilio splits codes as their causes change, so an unknown one is a normal day.
    """
    known = table().get(http_status)
    kind: Kind = known.kind if known else ("ambiguous" if 500 <= http_status < 600 else "row")
    if code in {0, http_status} and known:
        return known
    named = code or http_status
    return CodeEntry(
        code=named,
        kind=kind,
        retry=known.retry if known else kind == "ambiguous",
        sentence=f"Twilio gave error {named}, which this version does not know.",
        advice="Read Twilio's page about the code, then decide whether the row is worth another send.",
        page=page_of(named),
    )


def page_of(code: int) -> str:
    """Return the address of Twilio's page about `code`."""
    return f"https://www.twilio.com/docs/api/errors/{code}" if code >= 1000 else HTTP_PAGE


@cache
def table() -> Mapping[int, CodeEntry]:
    """Return every code of `codes.toml`, read once."""
    text = resources.files(__package__).joinpath("codes.toml").read_text(encoding="utf-8")
    return {
        int(code): CodeEntry(
            code=int(code),
            kind=entry["class"],
            retry=entry.get("retry", False),
            sentence=entry["sentence"],
            advice=entry["advice"],
            page=page_of(int(code)),
        )
        for code, entry in tomllib.loads(text).items()
    }
