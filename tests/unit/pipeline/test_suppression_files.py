"""Tell whether the do-not-contact list is read as people keep it, and written so that it reads back."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sheet_files import DateCell, write_xlsx

from campaigns.problems import Problem, RefusedError
from campaigns.row_error import RowError
from worker.pipeline.suppression_files import ANY, Entry, read_address, read_entries, write_entries

JUNE = datetime(2026, 6, 1, tzinfo=UTC)


def read(path: Path, channel: str = ANY, region: str | None = None) -> list[Entry | Problem]:
    return list(read_entries(path, channel, region, lambda _lines, _size: None))


def write(folder: Path, text: str, name: str = "list.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "channel", "region", "address"),
    [
        ("+44 7900 900123", "any", None, "+447900900123"),
        ("whatsapp:+447900900123", "any", None, "+447900900123"),
        ("07900 900123", "any", "GB", "+447900900123"),
        ("07900 900123", "sms", "GB", "+447900900123"),
        ("+447900900123", "whatsapp", None, "whatsapp:+447900900123"),
        ("Ann@Example.COM", "any", None, "Ann@example.com"),
        ("  ann@example.com ", "email", None, "ann@example.com"),
        ("ann-17", "chat", None, "ann-17"),
    ],
)
def test_address_is_read_as_a_campaign_reads_it(
    text: str, channel: str, region: str | None, address: str
) -> None:
    assert read_address(text, channel, region) == address


@pytest.mark.parametrize(
    ("text", "channel", "said"),
    [
        ("07900 900123", "any", "give --region"),
        ("4.47E+11", "any", "spreadsheet has rounded"),
        ("ann-17", "any", "needs its channel"),
        ("whatsapp:+447900900123", "sms", "channel is sms"),
        ("ann@", "any", "is no e-mail address"),
        ("  ", "any", "is empty"),
    ],
)
def test_address_that_would_have_to_be_guessed_is_refused(text: str, channel: str, said: str) -> None:
    found = read_address(text, channel, None)

    assert isinstance(found, RowError)
    assert said in f"{found.sentence}, {found.advice}"
    assert "default_region" not in f"{found.sentence}, {found.advice}"


def test_table_gives_channel_reason_and_date_where_it_has_them(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "Name;Phone;Channel;Reason;Date\n"
        "Ann;+447900900123;SMS;complained;2026-06-01\n"
        "Bob;+447900900124;;;2026-06-01T02:00:00+02:00\n",
    )

    assert read(path, "whatsapp") == [
        Entry("sms", "+447900900123", "complained", JUNE),
        Entry("whatsapp", "whatsapp:+447900900124", "", JUNE),
    ]


def test_workbook_is_read_too(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "list.xlsx", [["address", "date"], ["ann@example.com", DateCell(46174)]])

    assert read(path) == [Entry(ANY, "ann@example.com", "", JUNE)]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_plain_lines_are_addresses(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path, ending.join(["+447900900123", "", "bob@example.com", "12", ""]), "list.txt")

    first, second, bad = read(path)

    assert (first, second) == (Entry(ANY, "+447900900123"), Entry(ANY, "bob@example.com"))
    assert str(bad).startswith(f"{path}:4:1: ")


def test_single_column_with_a_name_is_a_table(tmp_path: Path) -> None:
    assert read(write(tmp_path, "phone\n+447900900123\n")) == [Entry(ANY, "+447900900123")]


def test_bad_lines_are_named_and_the_others_taken(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "reason,address,channel\na,+447900900123,\nb,07900,\nc,+447900900124,pigeon\n"
        'd,+447900900125,,more\n"e"x,+447900900126,\nf,+447900900127,sms\n',
    )

    found = read(path)

    assert [each.address for each in found if isinstance(each, Entry)] == ["+447900900123", "+447900900127"]
    places = [(each.line, each.column) for each in found if isinstance(each, Problem)]
    assert places == [(3, 2), (4, 3), (5, 4), (6, 1)]


@pytest.mark.parametrize("date", ["05/06/2026", "9999-12-31T23:59:59.9999999", "0001-01-01"])
def test_date_that_reads_two_ways_or_stands_for_none_costs_only_the_date(tmp_path: Path, date: str) -> None:
    path = write(tmp_path, f"phone,date\n+447900900123,{date}\n")

    warning, entry = read(path)

    assert isinstance(warning, Problem)
    assert (warning.severity, warning.line, warning.column) == ("warning", 2, 2)
    assert entry == Entry(ANY, "+447900900123")


@pytest.mark.parametrize("header", ["phone,address", "mobile,name"])
def test_table_must_say_which_column_has_the_addresses(tmp_path: Path, header: str) -> None:
    with pytest.raises(RefusedError, match="name the column of the addresses"):
        read(write(tmp_path, f"{header}\n+447900900123,+447900900123\n"))


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    entries = [
        Entry(ANY, "+447900900123", "=1+1", JUNE),
        Entry("whatsapp", "whatsapp:+447900900124", "", JUNE),
        Entry("chat", "'-ann", 'said "stop", twice', JUNE),
        Entry("email", "ann@example.com", "", None),
    ]
    out = io.StringIO(newline="")

    assert write_entries(entries, out) == 4

    path = tmp_path / "list.csv"
    path.write_bytes(out.getvalue().encode())
    assert read(path) == entries


def test_progress_is_told_of_every_line(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = write(tmp_path, "+447900900123\n+447900900124\n")

    list(read_entries(path, ANY, None, lambda lines, size: told.append((lines, size))))

    assert told == [(1, 14), (2, 28)]


def test_any_channel_is_off_the_list_only_when_it_is_off_every_channel() -> None:
    entry = Entry(ANY, "+447900900123")

    assert entry.field == "*|+447900900123"
    assert {"sms|+447900900123", "whatsapp|+447900900123", "*|+447900900123"} <= set(entry.fields())
    assert Entry("whatsapp", "whatsapp:+447900900123").fields() == ["whatsapp|+447900900123"]
