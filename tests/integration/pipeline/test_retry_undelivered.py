"""A retry takes what was accepted and not delivered where that is worth it, and the rows that an edited file names."""

import csv
from pathlib import Path

import pytest
from builders import sid
from intake_desk import Desk, phone
from sheet_files import write_xlsx

from campaigns.problems import RefusedError
from worker.ledger.states import Delivery, State
from worker.pipeline import retry
from worker.pipeline.results import OUTREACH_COLUMNS


@pytest.fixture
def campaign_id(desk: Desk) -> str:
    """Give a campaign whose seven rows were accepted and fared differently; an eighth failed, a ninth is due."""
    made = desk.begin([[phone(number), f"=Ann {number}\nSmith"] for number in range(1, 10)])
    for number in range(1, 8):
        desk.rig.accept(made, number)
    desk.rig.reject(made, 8, 21211)
    fared = {2: ("delivered", 0), 3: ("undelivered", 30003), 4: ("failed", 63024), 5: ("failed", 21610), 6: ("undelivered", 30008), 7: ("failed", 0)}  # fmt: skip
    for number, (word, code) in fared.items():
        assert desk.ledger.note_delivery(made, number, sid("IM", number), Delivery[word.upper()], code).ok
    assert desk.ledger.note_answer(made, 6, desk.rig.clock(), opted_out=False).ok
    return made


def plan(desk: Desk, campaign_id: str, **chosen: object) -> retry.RetryPlan:
    return retry.plan(desk.ledger, desk.registry, campaign_id, **chosen)  # type: ignore[arg-type]


def test_only_what_may_well_arrive_next_time_is_taken(desk: Desk, campaign_id: str) -> None:
    found = plan(desk, campaign_id)

    assert (list(found.rows), found.undelivered) == ([3], 1)
    assert {words.code: n for words, n in found.reasons.items()} == {"30003": 1}
    left = {(each.words.code, each.why.split(",")[0].split(";")[0]): n for each, n in found.left_out.items()}
    assert left == {
        ("", "it was accepted"): 2,
        ("63024", "it would fail again"): 1,
        ("21610", "the customer wants no messages from this sender"): 1,
        ("30008", "the customer has answered all the same"): 1,
        ("", "it would fail again"): 1,
        ("21211", "it would fail again"): 1,
        ("", "it is on its way"): 1,
    }


def test_who_names_rows_decides_for_himself_but_not_for_who_opted_out(desk: Desk, campaign_id: str) -> None:
    assert list(plan(desk, campaign_id, rows=list(range(1, 10))).rows) == [3, 4, 6, 7, 8]
    assert list(plan(desk, campaign_id, codes=["63024", "21610"]).rows) == [4]


def test_new_send_counts_no_longer_as_undelivered(desk: Desk, campaign_id: str) -> None:
    begun = retry.begin(desk.ledger, desk.registry, plan(desk, campaign_id))

    assert begun.begun == 1
    row = desk.ledger.get_row(campaign_id, 3)
    assert (row.state, row.record.send, row.hand.adopt) == (State.PENDING, 2, sid("CH", 3))
    assert desk.registry.get(campaign_id).undelivered == {63024: 1, 21610: 1, 30008: 1, 0: 1}


# From a file ------------------------------------------------------------------------------------------------


def lines(desk: Desk, campaign_id: str) -> list[list[str]]:
    desk.results(campaign_id)
    assert desk.settings.results_dir is not None
    path = desk.settings.results_dir / f"{campaign_id}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def edited(desk: Desk, kept: list[list[str]], encoding: str = "utf-8", delimiter: str = ",") -> Path:
    path = desk.folder / "edited.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(kept)
    return path


def as_workbook(desk: Desk, kept: list[list[str]]) -> Path:
    return write_xlsx(desk.folder / "edited.xlsx", kept)


def keep(desk: Desk, campaign_id: str, *rows: int) -> list[list[str]]:
    header, *rest = lines(desk, campaign_id)
    return [header, *(rest[number - 1] for number in rows)]


@pytest.mark.parametrize(
    "save",
    [
        edited,
        lambda desk, kept: edited(desk, kept, "utf-8-sig", ";"),
        lambda desk, kept: edited(desk, [[cell.removeprefix("'") for cell in one] for one in kept]),
        lambda desk, kept: edited(desk, [[cell.replace("\n", "\r\n") for cell in one] for one in kept]),
        as_workbook,
    ],
    ids=["as it was", "BOM and semicolons", "without apostrophes", "CRLF in cells", "workbook"],
)
def test_rows_left_in_the_file_are_meant_whatever_a_spreadsheet_did(
    desk: Desk, campaign_id: str, save: object
) -> None:
    path = save(desk, keep(desk, campaign_id, 8, 1, 4, 8, 5))  # type: ignore[operator]

    found = plan(desk, campaign_id, results=path)

    assert list(found.rows) == [8, 4]
    assert sum(found.left_out.values()) == 2


def test_code_chooses_among_the_rows_of_the_file(desk: Desk, campaign_id: str) -> None:
    path = edited(desk, keep(desk, campaign_id, 3, 4))

    assert list(plan(desk, campaign_id, results=path, codes=["30003"]).rows) == [3]


def test_another_customer_beside_a_rows_number_is_refused_with_its_place(
    desk: Desk, campaign_id: str
) -> None:
    kept = keep(desk, campaign_id, 3, 4)
    kept[2][0] = phone(99)

    with pytest.raises(RefusedError, match=r"edited\.csv:4:1: phone is not what row 4 was sent with.*--row"):
        plan(desk, campaign_id, results=edited(desk, kept))


@pytest.mark.parametrize(
    ("cell", "said"), [("", "empty"), ("10", "no such row"), ("x", "no such row"), ("٣", "no such row")]
)
def test_row_of_ones_own_is_refused(desk: Desk, campaign_id: str, cell: str, said: str) -> None:
    kept = keep(desk, campaign_id, 3)
    kept[1][kept[0].index("outreach_row")] = cell

    with pytest.raises(RefusedError, match=f"edited.csv:2:3: .*{said}"):
        plan(desk, campaign_id, results=edited(desk, kept))


@pytest.mark.parametrize("column", ["outreach_row", "phone"])
def test_column_that_was_taken_out_is_missed(desk: Desk, campaign_id: str, column: str) -> None:
    kept = keep(desk, campaign_id, 3)
    at = kept[0].index(column)

    with pytest.raises(RefusedError, match=f"column {column} is missing"):
        plan(desk, campaign_id, results=edited(desk, [one[:at] + one[at + 1 :] for one in kept]))


def test_shifted_line_is_refused(desk: Desk, campaign_id: str) -> None:
    kept = keep(desk, campaign_id, 3)
    kept[1].append("more")

    with pytest.raises(RefusedError, match="may have shifted"):
        plan(desk, campaign_id, results=edited(desk, kept))


def test_results_columns_may_be_taken_out_but_for_the_number(desk: Desk, campaign_id: str) -> None:
    kept = keep(desk, campaign_id, 3)
    ours = [at for at, name in enumerate(kept[0]) if name not in OUTREACH_COLUMNS or name == "outreach_row"]

    assert list(
        plan(desk, campaign_id, results=edited(desk, [[one[at] for at in ours] for one in kept])).rows
    ) == [3]
