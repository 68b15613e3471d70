"""Tell whether the reasons of a results file are counted, the commonest first."""

from pathlib import Path

from ops.cli.tally import tally

HEADER = "name,outreach_row,outreach_status,outreach_code,outreach_reason\r\n"


def test_reasons_are_counted_by_status_and_code(tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    rows = [
        "a,1,accepted,,",
        "b,2,invalid,bad_number,first",
        "c,3,failed,21211,no number",
        "d,4,pending,,",
        "e,5,invalid,bad_number,second",
    ]
    file.write_text(HEADER + "\r\n".join(rows) + "\r\n")

    found = [(one.rows, one.status, one.code, one.sentence) for one in tally(file)]

    assert found == [(2, "invalid", "bad_number", "first"), (1, "failed", "21211", "no number")]
    assert [one.alike for one in tally(file)] == [False, True]


def test_cell_of_any_length_is_read(tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_text(f"{HEADER}{'x' * 200_000},1,failed,1,long\r\n")

    assert tally(file)[0].rows == 1
