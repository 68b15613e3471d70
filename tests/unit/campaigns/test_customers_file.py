"""What a customers' file may look like, and how what it may not is told."""

import codecs
from pathlib import Path

import pytest
from campaign_builders import ANN, HEADER, SMS, body, check, read, refused, write

from campaigns.problems import RefusedError
from campaigns.table import file_sha256, open_table

EXPECTED = "Hi Ann, due 1 May. Bye"


@pytest.mark.parametrize(
    ("encoding", "bom", "said"),
    [
        ("utf-8", b"", "UTF-8"),
        ("utf-8", codecs.BOM_UTF8, "UTF-8"),
        ("utf-16-le", codecs.BOM_UTF16_LE, "UTF-16"),
        ("utf-16-be", codecs.BOM_UTF16_BE, "UTF-16"),
        ("utf-16-le", b"", "UTF-16"),
        ("utf-16-be", b"", "UTF-16"),
        ("utf-32-le", codecs.BOM_UTF32_LE, "UTF-32"),
        ("cp1252", b"", "Windows-1252"),
    ],
)
def test_every_encoding_that_spreadsheets_write_is_read(
    tmp_path: Path, encoding: str, bom: bytes, said: str
) -> None:
    path = write(tmp_path, bom + (HEADER + "07900900123,Zoë,1 May\n").encode(encoding))

    with open_table(path) as table:
        assert table.encoding == said
        assert table.columns == ("phone", "first_name", "due_date")
        assert [row.cells for row in table] == [("07900900123", "Zoë", "1 May")]
        assert bool(table.warnings) == (said == "Windows-1252")


def test_file_that_is_mostly_utf8_names_the_line_of_the_broken_character(tmp_path: Path) -> None:
    text = HEADER.encode() + "07900900123,Zoë Léa,é\n".encode() * 3 + b"07900900124,Zo\xeb,1 May\n"

    problem = refused(write(tmp_path, text))

    assert problem.line == 5
    assert "UTF-8" in problem.what


def test_utf16_with_broken_end_is_refused(tmp_path: Path) -> None:
    problem = refused(write(tmp_path, codecs.BOM_UTF16_LE + (HEADER + ANN).encode("utf-16-le") + b"x"))

    assert "UTF-16" in problem.what


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_delimiter_and_line_end_is_read(tmp_path: Path, delimiter: str, line_end: str) -> None:
    text = (HEADER + ANN + ANN.replace("123", "124")).replace(",", delimiter).replace("\n", line_end)

    rows = check(write(tmp_path, text))

    assert [body(row) for row in rows] == [EXPECTED, EXPECTED]
    assert [row.line for row in rows] == [2, 3]


def test_delimiter_is_not_taken_from_inside_quotes(tmp_path: Path) -> None:
    text = '"phone";"first_name";"due, or, overdue, date"\n07900900123;Ann;1 May\n'

    assert read(write(tmp_path, text))[0].cells == ("07900900123", "Ann", "1 May")


def test_delimiter_on_which_the_header_leaves_doubt_is_chosen_by_the_rows(tmp_path: Path) -> None:
    text = "phone;first, name\n07900900123;Ann\n07900900124;Bob\n"

    with open_table(write(tmp_path, text)) as table:
        assert table.columns == ("phone", "first, name")


def test_separator_line_of_a_spreadsheet_is_followed(tmp_path: Path) -> None:
    text = "sep=;\r\nphone;first_name;due_date\r\n07900900123;Ann;1 May\r\n"

    rows = check(write(tmp_path, text))

    assert [(row.line, body(row)) for row in rows] == [(3, EXPECTED)]


def test_pipes_are_named(tmp_path: Path) -> None:
    assert "|" in refused(write(tmp_path, (HEADER + ANN).replace(",", "|"))).what


@pytest.mark.parametrize("content", ["", "\n \n\t\n", "\ufeff", "\x1a"])
def test_empty_file_is_refused(tmp_path: Path, content: str) -> None:
    assert "empty" in refused(write(tmp_path, content)).what


def test_file_with_nothing_but_delimiters_is_refused(tmp_path: Path) -> None:
    assert "nothing" in refused(write(tmp_path, ",,,\n,,,\n")).what


def test_header_alone_is_refused(tmp_path: Path) -> None:
    assert "no customers" in refused(write(tmp_path, HEADER)).what
    assert "no customers" in refused(write(tmp_path, HEADER + "\n,,\n")).what


def test_header_alone_is_judged_all_the_same(tmp_path: Path) -> None:
    assert "{{ due_date }}" in refused(write(tmp_path, "phone,first_name\n")).what


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (bytes(range(256)) * 16, "control characters"),
        (b"PK\x03\x04\x14\x00\x06\x00\x01\x02\x03\x04\x05\x06\x07\x08\t", "workbook"),
        (b"%PDF-1.7\n...", "PDF"),
        (b"\x1f\x8b\x08\x00abc", "gzip"),
    ],
)
def test_binary_junk_is_refused_with_a_sentence(tmp_path: Path, content: bytes, word: str) -> None:
    assert word in refused(write(tmp_path, content)).what


def test_missing_file_and_folder_are_refused_with_a_sentence(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "none.csv").what
    assert "folder" in refused(tmp_path).what


# The header.


def test_header_written_otherwise_is_the_same_column(tmp_path: Path) -> None:
    for header in (
        "PHONE,FirstName,due-date",
        "  p h o n e ,First Name,DUE_DATE",
        "'phone',first-name,due date",
    ):
        path = write(tmp_path, header.replace("'", '"') + "\n" + ANN)
        assert body(check(path)[0]) == EXPECTED


def test_junk_in_front_of_the_first_header_is_taken_away(tmp_path: Path) -> None:
    rows = check(
        write(
            tmp_path,
            "\ufeff\ufeff \t\u200b\u200d\n\u200b phone,first_name,due_date\n".replace("\t", "") + ANN,
        )
    )

    assert body(rows[0]) == EXPECTED


def test_blank_lines_before_the_header_count_as_lines(tmp_path: Path) -> None:
    assert check(write(tmp_path, "\n\n" + HEADER + ANN))[0].line == 4


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        ("phone,fist_name,due_date", "fist_name"),
        ("phon,first_name,due_date", "phon"),
        ("Phone Number,first_name,due_date", "Phone Number"),
        ("phone,first_name,date_due", "date_due"),
    ],
)
def test_header_slightly_wrong_names_the_column_probably_meant(
    tmp_path: Path, header: str, meant: str
) -> None:
    assert refused(write(tmp_path, f"{header}\n{ANN}")).advice == f'did you mean "{meant}"?'


def test_header_without_anything_near_lists_the_columns(tmp_path: Path) -> None:
    problem = refused(write(tmp_path, "email,first_name,due_date\n" + ANN))

    assert "to uses {{ phone }}" in problem.what
    assert '"email", "first_name"' in problem.advice


@pytest.mark.parametrize(
    ("header", "spellings"),
    [
        ("phone,first_name,due_date,first_name", ['"first_name", "first_name"']),
        ("phone,first_name,due_date,First-Name", ['"first_name", "First-Name"']),
        ("phone,PHONE,first_name,due_date", ['"phone", "PHONE"']),
        ("phone,phone number,Phone_Number,first_name,due_date", ['"phone number", "Phone_Number"']),
    ],
)
def test_column_named_twice_is_refused_with_each_spelling(
    tmp_path: Path, header: str, spellings: list[str]
) -> None:
    problem = refused(write(tmp_path, f"{header}\n{ANN}"))

    assert "same name" in problem.what
    assert all(spelling in problem.what for spelling in spellings)
    assert problem.line == 1


@pytest.mark.parametrize(
    "first",
    ["07900900123,Ann,1 May", "ann@example.com,Ann,1 May", "Ann,4.47E+11,1 May", "+44 7900 900123,Ann,x"],
)
def test_file_without_header_is_recognised(tmp_path: Path, first: str) -> None:
    assert "not a header" in refused(write(tmp_path, f"{first}\n{ANN}")).what


def test_nameless_columns_are_kept_apart(tmp_path: Path) -> None:
    rows = check(
        write(tmp_path, "," * 9 + "phone,,first_name,due_date\n" + "," * 9 + "07900900123,kept,Ann,1 May\n")
    )

    assert body(rows[0]) == EXPECTED
    assert rows[0].cells[10] == "kept"


def test_cell_in_a_nameless_last_column_is_left_out_with_a_warning(tmp_path: Path) -> None:
    rows = check(write(tmp_path, "phone,first_name,due_date,\n07900900123,Ann,1 May,note\n"))

    assert rows[0].verdict == "ready"
    assert [(p.severity, p.column) for p in rows[0].problems] == [("warning", 4)]


def test_ten_thousand_empty_columns_do_no_harm(tmp_path: Path) -> None:
    rows = check(
        write(tmp_path, HEADER.strip() + "," * 10_000 + "\n" + (ANN.strip() + "," * 10_000 + "\n") * 100)
    )

    assert len(rows) == 100
    assert len(rows[0].cells) == 3


def test_fifteen_hundred_columns_are_read(tmp_path: Path) -> None:
    extra = "".join(f",c{number}" for number in range(1_500))

    rows = check(write(tmp_path, HEADER.strip() + extra + "\n" + ANN.strip() + extra + "\n"))

    assert body(rows[0]) == EXPECTED
    assert len(rows[0].cells) == 1_503


def test_many_columns_of_repeated_names_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as caught:
        read(write(tmp_path, ",".join(["a", "b"] * 8_192) + "\n"))
    assert len(caught.value.problems) == 2
    assert len(str(caught.value)) < 200_000


# The rows.


def test_quoted_newlines_keep_their_text_and_the_physical_line_number(tmp_path: Path) -> None:
    text = HEADER + '07900900123,"Ann\r\nMarie",1 May\n07900900124,"Bob\n\nJim","1 May"\nbad,Cy,1 May\n'

    rows = check(write(tmp_path, text))

    assert [row.line for row in rows] == [2, 4, 7]
    assert rows[0].cells[1] == "Ann\r\nMarie"
    assert rows[1].cells[1] == "Bob\n\nJim"
    assert rows[2].problems[0].line == 7


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x0b", "\x0c", "\x85", "\x1c", "\x1d", "\x1e"])
def test_only_cr_and_lf_end_a_line(tmp_path: Path, odd: str) -> None:
    rows = read(write(tmp_path, HEADER + f"07900900123,An{odd}n,1 May\n07900900124,Bob,1 May\n"))

    assert [(row.line, row.cells[1]) for row in rows] == [(2, f"An{odd}n"), (3, "Bob")]


def test_short_line_says_which_cells_are_missing(tmp_path: Path) -> None:
    row = check(write(tmp_path, HEADER + "07900900123,Ann\n"))[0]

    assert (row.verdict, row.code) == ("invalid", "missing_value")
    assert row.sentence == 'the line has 2 cells where the header has 3; missing: "due_date"'
    assert row.cells == ("07900900123", "Ann", "")


def test_short_line_that_lacks_only_unused_cells_is_ready_with_a_warning(tmp_path: Path) -> None:
    row = check(write(tmp_path, "phone,first_name,due_date,note\n" + ANN))[0]

    assert row.verdict == "ready"
    assert [p.severity for p in row.problems] == ["warning"]


def test_unquoted_comma_makes_the_row_invalid_and_loses_nothing(tmp_path: Path) -> None:
    rows = check(write(tmp_path, HEADER + "07900900123,Ann,1 May, 2026\n" + ANN))

    assert [row.verdict for row in rows] == ["invalid", "ready"]
    assert rows[0].code == "bad_cells"
    assert "1 cell more than the header" in rows[0].sentence
    assert "quotes" in rows[0].advice
    assert rows[0].cells == ("07900900123", "Ann", "1 May, 2026")


def test_spare_delimiters_at_the_end_of_a_line_are_harmless(tmp_path: Path) -> None:
    row = check(write(tmp_path, HEADER + "07900900123,Ann,1 May,,,\n"))[0]

    assert (body(row), row.problems) == (EXPECTED, ())


def test_blank_lines_in_the_middle_are_no_rows_and_are_warned_of(tmp_path: Path) -> None:
    rows = check(write(tmp_path, HEADER + ANN + "\n,,\n \t\n" + "07900900124,Bob,1 May\n" + "\n,,\n\n"))

    assert [(row.number, row.line) for row in rows] == [(1, 2), (2, 6)]
    assert [(p.line, p.severity) for p in rows[1].problems] == [(3, "warning")]
    assert "3 blank lines" in rows[1].problems[0].what


def test_blank_lines_at_the_end_are_nothing(tmp_path: Path) -> None:
    rows = check(write(tmp_path, HEADER + ANN + "\n,,\n,,,,,\n\n\x1a"))

    assert [(row.number, row.problems) for row in rows] == [(1, ())]


@pytest.mark.parametrize("tail", ["", "07900900124,Bob,1 May\n" * 20])
def test_quote_that_is_never_closed_is_named_where_it_opens(tmp_path: Path, tail: str) -> None:
    problem = refused(write(tmp_path, HEADER + ANN + '07900900125,"Cy,1 May\n' + tail))

    assert (problem.line, problem.column) == (3, 2)
    assert "before the end of the file" in problem.what


def test_quote_never_closed_in_a_large_file_is_found_after_one_cells_length(tmp_path: Path) -> None:
    problem = refused(
        write(tmp_path, HEADER + '07900900125,"Cy,1 May\n' + "07900900124,Bob,1 May\n" * 20_000)
    )

    assert problem.line == 2
    assert "131,072" in problem.what


def test_quote_that_closes_amid_later_rows_swallows_nothing_in_silence(tmp_path: Path) -> None:
    problem = refused(
        write(tmp_path, HEADER + '07900900125,"Cy,1 May\n' + ANN * 3 + '07900900126,"Di",1 May\n')
    )

    assert problem.line == 2
    assert "line 6" in problem.what


def test_cell_that_took_in_whole_rows_is_invalid(tmp_path: Path) -> None:
    row = check(write(tmp_path, HEADER + '07900900125,"Cy,1 May\n' + ANN + '07900900126,Di",1 May\n'))[0]

    assert (row.verdict, row.code) == ("invalid", "bad_cells")
    assert "whole rows" in row.sentence


def test_postal_address_over_several_lines_is_a_cell_like_any_other(tmp_path: Path) -> None:
    row = check(write(tmp_path, HEADER + '07900900123,"Ann\n12 High St, Flat 2, Leeds, LS1 1AA",1 May\n'))[0]

    assert (row.verdict, row.problems) == ("ready", ())


@pytest.mark.parametrize("quote", ["", '"'])
def test_cell_over_the_limit_costs_its_row_alone(tmp_path: Path, quote: str) -> None:
    long = quote + "x" * 300_000 + quote

    rows = check(write(tmp_path, HEADER + f"07900900125,{long},1 May\n" + ANN))

    assert [row.verdict for row in rows] == ["invalid", "ready"]
    assert rows[0].sentence == "this cell has 300,000 characters"
    assert (rows[0].problems[0].line, rows[0].problems[0].column) == (2, 2)


def test_cell_at_the_limit_is_read(tmp_path: Path) -> None:
    rows = read(write(tmp_path, HEADER + f"07900900125,{'x' * 131_072},1 May\n"))

    assert rows[0].problems == ()


def test_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaigns.records.MAX_LINE_LENGTH", 1_000)

    problem = refused(write(tmp_path, HEADER + ANN + "x" * 5_000))

    assert (problem.line, "1,000 characters" in problem.what) == (3, True)


def test_stray_quote_is_taken_as_text_with_a_warning(tmp_path: Path) -> None:
    row = check(write(tmp_path, HEADER + '07900900123,An"n,1 May\n'))[0]

    assert body(row) == 'Hi An"n, due 1 May. Bye'
    assert [(p.severity, p.column) for p in row.problems] == [("warning", 2)]


def test_text_after_a_closing_quote_makes_the_row_invalid(tmp_path: Path) -> None:
    rows = check(write(tmp_path, HEADER + '07900900123,"Ann"x,1 May\n' + ANN))

    assert [row.verdict for row in rows] == ["invalid", "ready"]
    assert rows[0].sentence == 'text follows the quote that closes this cell ("x")'


def test_quoted_comma_is_one_cell(tmp_path: Path) -> None:
    row = check(write(tmp_path, HEADER + '07900900123,Ann,"Nov 28, 2026"\n'))[0]

    assert (body(row), row.problems) == ("Hi Ann, due Nov 28, 2026. Bye", ())


def test_broken_quote_in_the_header_is_refused(tmp_path: Path) -> None:
    assert "follows the quote" in refused(write(tmp_path, '"phone"x,first_name,due_date\n' + ANN)).what
    assert (
        "131,073 characters" in refused(write(tmp_path, f"{'x' * 131_073},phone,first_name,due_date\n")).what
    )


def test_spaces_around_quotes_are_forgiven(tmp_path: Path) -> None:
    row = check(write(tmp_path, HEADER + '07900900123, "Ann, B" ,1 May\n'))[0]

    assert body(row) == "Hi Ann, B, due 1 May. Bye"


def test_apostrophe_of_a_results_file_is_taken_away(tmp_path: Path) -> None:
    row = read(write(tmp_path, HEADER + "'+447900900123,''=x,'tis\n"))[0]

    assert row.cells == ("+447900900123", "'=x", "'tis")


def test_file_is_read_anew_each_time_and_lazily(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + ANN * 5 + '"never closed')

    with open_table(path) as table:
        first = iter(table)
        assert next(first).number == 1
        assert next(iter(table)).number == 1
        with pytest.raises(RefusedError):
            list(first)


def test_file_hash_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, "abc")

    assert file_sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_example_with_every_column_unused_but_the_phone_is_fine(tmp_path: Path) -> None:
    text = SMS.replace("Hi {{ first_name }}, due {{ due_date }}. Bye", "Hello")

    assert body(check(write(tmp_path, "id,phone,junk\n1,07900900123,=1+1\n"), text)[0]) == "Hello"
