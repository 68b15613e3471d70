"""Builds definitions and files for the tests of the campaigns wing."""

from pathlib import Path

import pytest

from campaigns.check import CheckedRow, check_rows
from campaigns.definition import Campaign, parse_definition
from campaigns.duplicates import Duplicates
from campaigns.problems import Problem, RefusedError
from campaigns.recipients import Recipient, RowError, compile_campaign
from campaigns.table import Row, open_table

SIDS = {
    "workspace_sid": "WS" + "a" * 32,
    "workflow_sid": "WW" + "b" * 32,
    "queue_sid": "WQ" + "c" * 32,
    "worker_sid": "WK" + "d" * 32,
}
CONTENT_SID = "HX" + "e" * 32

ROUTING = "[routing]\n" + "".join(f'{key} = "{sid}"\n' for key, sid in SIDS.items())
SMS = (
    'name = "test"\nchannel = "sms"\nfrom = "+19252210100"\nto = "{{ phone }}"\ndefault_region = "GB"\n'
    + ROUTING
    + '[message]\nbody = "Hi {{ first_name }}, due {{ due_date }}. Bye"\n'
)
WHATSAPP = (
    'name = "test"\nchannel = "whatsapp"\nfrom = "whatsapp:+19252210100"\nto = "{{ phone }}"\n'
    + ROUTING
    + f'[message]\ncontent_sid = "{CONTENT_SID}"\n[message.variables]\n1 = "{{{{ first_name }}}}"\n2 = "{{{{ due_date }}}}"\n'
)
EMAIL = (
    'name = "test"\nchannel = "email"\nfrom = "office@example.com"\nfrom_name = "Office"\nto = "{{ email }}"\n'
    'to_name = "{{ first_name }}"\nsubject = "Your renewal"\n'
    + ROUTING
    + '[message]\nbody = "Hi {{ first_name }}"\n'
)
HEADER = "phone,first_name,due_date\n"
ANN = "07900900123,Ann,1 May\n"


def campaign(text: str = SMS) -> Campaign:
    """Parse a definition that is meant to be right."""
    return parse_definition(text, "campaign.toml")


def refusals(text: str) -> list[str]:
    """Return what a definition is refused for."""
    try:
        parse_definition(text, "campaign.toml")
    except RefusedError as error:
        return [str(problem) for problem in error.problems]
    return []


def write(folder: Path, content: str | bytes, name: str = "customers.csv") -> Path:
    """Write a customers' file, byte for byte."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path) -> list[Row]:
    """Read all rows of a file."""
    with open_table(path) as table:
        return list(table)


def check(path: Path, text: str = SMS) -> list[CheckedRow]:
    """Check a file for a definition."""
    with open_table(path) as table, Duplicates() as seen:
        return list(check_rows(compile_campaign(campaign(text), table.columns, table.file), table, seen))


def refused(path: Path, text: str = SMS) -> Problem:
    """Return the one problem that a file is refused for."""
    with pytest.raises(RefusedError) as caught:
        check(path, text)
    (problem,) = caught.value.problems
    return problem


def body(row: CheckedRow) -> str | None:
    """Return what a ready row would say."""
    assert row.recipient is not None, row
    return row.recipient.message.body


def recipient(text: str = SMS, row: int = 1, **cells: str) -> Recipient | RowError:
    """Turn the cells, by column name, into a recipient."""
    return compile_campaign(campaign(text), list(cells), "customers.csv").recipient(row, list(cells.values()))
