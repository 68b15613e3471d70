"""Judges every row of a file for a campaign, one by one: ready, invalid with the reasons, or skipped by a rule."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from campaigns.campaign import Campaign
from campaigns.duplicates import Duplicates
from campaigns.names import find_near_miss, say_key
from campaigns.problems import Problem, RefusedError
from campaigns.recipient import Recipient
from campaigns.recipients import CompiledCampaign
from campaigns.row_error import RowError
from campaigns.table import Row

Verdict = Literal["ready", "invalid", "skipped"]


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """One row and what is to become of it; `code` is empty and `recipient` there for a ready one alone."""

    number: int
    line: int
    cells: tuple[str, ...]
    recipient: Recipient | None
    verdict: Verdict
    code: str = ""
    sentence: str = ""
    advice: str = ""
    duplicate_of: int | None = None
    problems: tuple[Problem, ...] = ()


def check_rows(compiled: CompiledCampaign, table: Iterable[Row], seen: Duplicates) -> Iterator[CheckedRow]:
    """Judge the rows as they are read.

    A later row with the address and sender of an earlier ready one is skipped, as is one accepted by an earlier
    campaign. Raises: RefusedError where the file turns out to be broken, or to hold no customer at all.
    """
    row = None
    places = {name: place for place, name in enumerate(compiled.columns, start=1)}
    for row in table:
        broken = next((p for p in row.problems if p.severity == "error"), None) if row.problems else None
        if broken is not None:
            yield CheckedRow(
                row.number,
                row.line,
                row.cells,
                None,
                "invalid",
                "bad_cells",
                broken.what,
                broken.advice,
                None,
                row.problems,
            )
            continue
        recipient, faults = compiled.examine(row.number, row.cells)
        if recipient is None:
            yield _invalid(compiled, row, faults, places)
            continue
        doubts = compiled.doubts(row.cells, recipient)
        problems = row.problems + tuple(_say(compiled, row, doubt, places, "warning") for doubt in doubts)
        yield _ready_or_skipped(compiled, row, recipient, problems, seen)
    if row is None:
        what, advice = "the file has a header and no customers", "export it again, with one customer a line"
        raise RefusedError([Problem(compiled.file, None, None, what, advice)])


def template_problems(
    campaign: Campaign,
    template_variables: Mapping[str, str],
    file: str = "campaign.toml",
    section: str = "message",
) -> list[Problem]:
    """Compare the variables of a message with those of its template at Twilio.

    `section`: where it stands in the definition, `follow_up.2` for that of the second follow-up.
    """
    header, _, entry = section.partition(".")
    message = campaign.follow_ups[int(entry) - 1] if entry else campaign.message
    ours, theirs = message.variables, template_variables
    whose = f"the template of {say_key(section)}" if entry else "the template"
    problems = []
    for name in theirs:
        if name not in ours:
            what = f'{whose} has the variable {name}, and the campaign does not set it: Twilio would send its sample, "{theirs[name]}"'
            problems.append(
                Problem(file, None, None, what, f'write in [{header}.variables] {name} = "{{{{ column }}}}"')
            )
    for name in ours:
        if name not in theirs:
            near = find_near_miss(name, theirs)
            advice = (
                f"did you mean {near}?"
                if near
                else f"remove it; the template has {', '.join(theirs) or 'none'}"
            )
            what = f"{say_key(f'{section}.variables.{name}')} is no variable of the template"
            problems.append(Problem(file, None, None, what, advice))
    return problems


def _ready_or_skipped(
    compiled: CompiledCampaign,
    row: Row,
    recipient: Recipient,
    problems: tuple[Problem, ...],
    seen: Duplicates,
) -> CheckedRow:
    code = sentence = advice = ""
    first = None
    # Asked first, so that a duplicate always names a row that is ready.
    if seen.is_contacted(recipient.address):
        code, sentence = (
            "already_contacted",
            "an earlier campaign of this name reached this address, or may have",
        )
        advice = "run with --again to contact it once more"
    elif (first := seen.find_first(recipient.pair, row.number)) is not None:
        code, sentence = "duplicate", f"row {first} has the same address"
        advice = "remove one of the two if both are not meant"
    else:
        return CheckedRow(row.number, row.line, row.cells, recipient, "ready", problems=problems)
    problem = Problem(compiled.file, row.line, None, sentence, advice, "warning", row.number)
    return CheckedRow(
        row.number, row.line, row.cells, None, "skipped", code, sentence, advice, first, (*problems, problem)
    )


def _invalid(
    compiled: CompiledCampaign, row: Row, faults: list[RowError], places: Mapping[str, int]
) -> CheckedRow:
    first = faults[0]
    sentence, advice = first.sentence, first.advice
    short = next(
        (p for p in row.problems if p.column is not None and p.what.startswith("the line has")), None
    )
    if (
        short is not None
        and first.code == "missing_value"
        and places.get(first.column or "", 0) > (short.column or 0)
    ):
        sentence, advice = short.what, short.advice
    problems = row.problems + tuple(_say(compiled, row, fault, places, "error") for fault in faults)
    return CheckedRow(
        row.number, row.line, row.cells, None, "invalid", first.code, sentence, advice, None, problems
    )


def _say(
    compiled: CompiledCampaign,
    row: Row,
    fault: RowError,
    places: Mapping[str, int],
    severity: Literal["error", "warning"],
) -> Problem:
    column = places.get(fault.column) if fault.column else None
    return Problem(compiled.file, row.line, column, fault.sentence, fault.advice, severity, row.number)
