"""The verdict on each row of a file, and the list of all problems."""

import csv
from pathlib import Path

import pytest
from campaign_builders import ANN, CONTENT_SID, HEADER, SMS, WHATSAPP, body, campaign, check, write

from campaigns.check import check_rows, template_problems
from campaigns.duplicates import AddressHashes, Duplicates
from campaigns.identity import address_hash
from campaigns.problems import Problem, write_problems
from campaigns.recipients import compile_campaign
from campaigns.table import open_table

EXAMPLE = Path(__file__).parents[3] / "campaigns" / "examples" / "renewal-reminder"


def number(end: int) -> str:
    """Return a British number of its own."""
    return f"07900{900_000 + end}"


def test_one_bad_row_never_stops_the_others(tmp_path: Path) -> None:
    wrong = {
        2: "bad,Bob,1 May",
        5: "x,Cy,1 May",
        1: f"{number(1)},,1 May",
        4: f"{number(4)},Di,",
        6: f"{number(6)}, ,1 May",
    }
    lines = [wrong.get(row, f"{number(row)},Name,1 May") for row in range(1, 501)]
    lines[-1] = "last,Zoe,1 May"

    rows = check(write(tmp_path, HEADER + "\n".join(lines)))

    assert {row.number for row in rows if row.code == "missing_value"} == {1, 4, 6}
    assert {row.number for row in rows if row.code == "bad_number"} == {2, 5, 500}
    assert sum(row.verdict == "ready" for row in rows) == 494


def test_all_faults_of_a_row_are_told_in_the_order_of_the_columns(tmp_path: Path) -> None:
    row = check(write(tmp_path, HEADER + "4.47E+11,,NULL\n"))[0]

    assert [problem.column for problem in row.problems] == [1, 2, 3]
    assert "rounded" in row.sentence
    assert all(
        problem.row == 1 and problem.line == 2 and problem.severity == "error" for problem in row.problems
    )


@pytest.mark.parametrize("again", ["07900900123", "07900 900 123", "+44 (0)7900900123", "00447900900123"])
def test_same_address_in_any_writing_is_skipped_naming_the_first_ready_row(
    tmp_path: Path, again: str
) -> None:
    rows = check(write(tmp_path, f"{HEADER}07900900123,,1 May\n{ANN}{again},Ann,2 May\n{again},Ann,3 May\n"))

    assert [row.verdict for row in rows] == ["invalid", "ready", "skipped", "skipped"]
    assert [row.duplicate_of for row in rows] == [None, None, 2, 2]
    assert (rows[2].code, rows[2].sentence) == ("duplicate", "row 2 has the same address")


def test_same_address_from_another_sender_is_no_duplicate(tmp_path: Path) -> None:
    text = SMS.replace('"+19252210100"', '"{{ sender }}"')
    lines = "+19252210100\n+19252210101\n+1 925 221 0100\n".splitlines()

    rows = check(
        write(tmp_path, HEADER.strip() + ",sender\n" + "\n".join(ANN.strip() + f",{s}" for s in lines)), text
    )

    assert [row.verdict for row in rows] == ["ready", "ready", "skipped"]


def test_address_that_an_earlier_campaign_reached_is_skipped(tmp_path: Path) -> None:
    contacted = AddressHashes([address_hash("+447900900123"), address_hash("+447900900999")])
    path = write(tmp_path, HEADER + ANN + "07900900124,Bob,1 May\n" + ANN.replace("07", "+44 7"))

    with open_table(path) as table, Duplicates(contacted) as seen:
        rows = list(check_rows(compile_campaign(campaign(), table.columns, table.file), table, seen))

    assert [(row.verdict, row.code) for row in rows] == [
        ("skipped", "already_contacted"),
        ("ready", ""),
        ("skipped", "already_contacted"),
    ]
    assert len(contacted) == 2
    assert "x" not in contacted


def test_doubts_are_warnings_of_a_ready_row(tmp_path: Path) -> None:
    rows = check(write(tmp_path, HEADER + "7900900123,N/A,1 May\n"))

    assert rows[0].verdict == "ready"
    assert {(p.severity, p.column) for p in rows[0].problems} == {("warning", 1), ("warning", 2)}


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("None", "sent as text"),
        ("ZoÃ«", "decoded wrongly"),
        ("donâ€™t", "decoded wrongly"),
        ("A\u202enn", "direction"),
    ],
)
def test_doubtful_text_is_warned_of(tmp_path: Path, cell: str, words: str) -> None:
    row = check(write(tmp_path, HEADER + f"07900900123,{cell},1 May\n"))[0]

    assert row.verdict == "ready"
    assert [(words in p.what, p.column, p.severity) for p in row.problems] == [(True, 2, "warning")]


@pytest.mark.parametrize("cell", ["Zoë", "Ângela", "Ã Bc", "Łukasz", "אן", "😀"])
def test_foreign_names_are_no_doubt(tmp_path: Path, cell: str) -> None:
    assert check(write(tmp_path, HEADER + f"07900900123,{cell},1 May\n"))[0].problems == ()


@pytest.mark.parametrize("cell", ["{{ 7*7 }}", "((first_name))", "=1+1", "@SUM(A1)", "<b>x</b>"])
def test_cells_are_sent_as_they_are(tmp_path: Path, cell: str) -> None:
    assert (
        body(check(write(tmp_path, HEADER + f"07900900123,{cell},1 May\n"))[0])
        == f"Hi {cell}, due 1 May. Bye"
    )


def test_cells_are_trimmed_where_used_and_kept_as_they_came(tmp_path: Path) -> None:
    row = check(write(tmp_path, HEADER + '07900900123,"  Ann ", 1 May \n'))[0]

    assert body(row) == "Hi Ann, due 1 May. Bye"
    assert row.cells == ("07900900123", "  Ann ", " 1 May ")


def test_unknown_columns_are_kept_and_never_judged(tmp_path: Path) -> None:
    row = check(write(tmp_path, HEADER.strip() + ",extra\n" + ANN.strip() + ",#N/A\x00\n"))[0]

    assert (row.verdict, row.problems, row.cells[3]) == ("ready", (), "#N/A\x00")


def test_bundled_example_has_rows_that_fail_for_different_reasons() -> None:
    text = (EXAMPLE / "campaign.toml").read_text()

    rows = check(EXAMPLE / "customers.csv", text)

    assert len(rows) >= 200
    assert sum(row.verdict == "ready" for row in rows) >= 200
    assert {row.code for row in rows} == {
        "",
        "bad_number",
        "missing_value",
        "duplicate",
        "plus_missing",
        "bad_cells",
    }
    assert any("rounded" in row.sentence for row in rows)


def test_problems_file_is_whole_and_runs_no_formula(tmp_path: Path) -> None:
    rows = check(write(tmp_path, HEADER + "=1+1,Ann,\n" + ANN))
    problems = [problem for row in rows for problem in row.problems]
    path = tmp_path / "problems.csv"

    count = write_problems([*problems, Problem("f.csv", None, None, "=x", "-y")], path)

    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert count == len(found) == 3
    assert list(found[0]) == ["file", "line", "column", "row", "severity", "what", "advice"]
    assert (found[0]["line"], found[0]["column"], found[0]["row"], found[0]["severity"]) == (
        "2",
        "1",
        "1",
        "error",
    )
    assert (found[2]["line"], found[2]["what"], found[2]["advice"]) == ("", "'=x", "'-y")


def test_problem_is_written_as_an_editor_can_jump_to() -> None:
    assert str(Problem("a.csv", 3, 2, "what", "advice")) == "a.csv:3:2: what, advice"
    assert str(Problem("a.csv", None, None, "what", "")) == "a.csv: what"


def test_variables_are_compared_with_the_templates_own() -> None:
    whatsapp = campaign(WHATSAPP)

    assert template_problems(whatsapp, {"1": "Jane", "2": "1 March"}) == []
    (lacking,) = template_problems(whatsapp, {"1": "Jane", "2": "1 March", "3": "$5"})
    assert (
        'the variable 3, and the campaign does not set it: Twilio would send its sample, "$5"' in lacking.what
    )
    (spare,) = template_problems(whatsapp, {"1": "Jane"})
    assert (spare.what, spare.severity) == ("message.variables.2 is no variable of the template", "error")


def test_misspelt_variable_names_the_one_meant() -> None:
    named = campaign(WHATSAPP.replace('2 = "', 'due_dat = "'))

    found = template_problems(named, {"1": "Jane", "due_date": "1 March"})

    assert found[1].advice == "did you mean due_date?"
    assert CONTENT_SID


def test_duplicates_are_exact_among_many() -> None:
    with Duplicates() as seen:
        firsts = [seen.find_first(f"+44790{row % 30_000:07d}", row) for row in range(60_000)]

    assert firsts[:30_000] == [None] * 30_000
    assert firsts[30_000:] == list(range(30_000))
