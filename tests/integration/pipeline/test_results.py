"""Tell whether the results file has every row once, tells the truth, and is never replaced by an older state."""

import csv
import os
import stat
import threading
from pathlib import Path

import pytest
from intake_desk import Desk, phone

from worker.errors import NotFoundError, RefusedHereError
from worker.ledger.states import Reason
from worker.pipeline.results import OUTREACH_COLUMNS, results_path, write_results
from worker.pipeline.results_files import ResultsFile


def path_of(desk: Desk, campaign_id: str) -> Path:
    return desk.folder / "results" / f"{campaign_id}.csv"


def test_columns_are_the_customers_then_ours_in_the_agreed_order(desk: Desk) -> None:
    campaign_id = desk.begin(2)

    rows = desk.results(campaign_id)

    assert list(rows[0]) == ["phone", "name", *OUTREACH_COLUMNS]
    assert [row["outreach_row"] for row in rows] == ["1", "2"]


def test_every_row_tells_how_it_stands(desk: Desk) -> None:
    campaign_id = desk.begin(
        [
            (phone(1), "Ann"),
            (phone(2), "Bob"),
            ("12", "Cem"),
            (phone(1), "Ann"),
            (phone(3), "Eve"),
            (phone(4), "Fay"),
        ]
    )
    desk.rig.accept(campaign_id, 1)
    desk.rig.reject(campaign_id, 2, 63016)
    token = desk.rig.doubt(campaign_id, 5, sending=True)
    desk.ledger.review(campaign_id, 5, token, int(Reason.LOOKUPS_FAILED))

    rows = desk.results(campaign_id)

    assert [row["outreach_status"] for row in rows] == [
        "accepted",
        "failed",
        "invalid",
        "skipped",
        "needs_review",
        "pending",
    ]
    accepted, failed, invalid, skipped, review, pending = rows
    assert accepted["message_sid"].startswith("IM")
    assert accepted["interaction_sid"].startswith("KD")
    assert accepted["conversation_sid"].startswith("CH")
    assert (accepted["outreach_code"], accepted["outreach_reason"], accepted["attempts"]) == ("", "", "1")
    assert accepted["finished_at"].endswith("Z")
    assert failed["outreach_code"] == "63016"
    assert failed["outreach_reason"]
    assert failed["outreach_advice"]
    assert invalid["outreach_code"] == "bad_number"
    assert (skipped["outreach_code"], skipped["outreach_reason"]) == (
        "duplicate",
        "Row 1 has the same address.",
    )
    assert f"{campaign_id}:5:1" in review["outreach_advice"]
    assert review["conversation_sid"] in review["outreach_advice"]
    assert pending["finished_at"] == ""
    assert pending["outreach_reason"] in ("It has not been its turn yet.", "It is about to be sent.")


def test_cells_come_back_as_they_were_and_no_spreadsheet_runs_them(desk: Desk) -> None:
    cells = [
        "=1+1",
        "+12",
        "-3",
        "@x",
        "\tq",
        "'=2",
        "plain",
        'quoted "x", y',
        "two\r\nlines",
        "lone\rreturn",
        " padded ",
        "",
    ]
    customers = desk.customers(
        [(phone(1), *cells)], header=",".join(["phone", *(f"c{at}" for at in range(len(cells)))])
    )
    first = desk.take_in(desk.definition(), customers)
    path = path_of(desk, first.campaign_id)
    write_results(desk.ledger, desk.registry, first.campaign_id, path)

    with path.open(encoding="utf-8", newline="") as file:
        raw = next(csv.DictReader(file))
    second = desk.take_in(desk.definition(name="fed-back"), path)

    assert raw["c0"] == "'=1+1"
    # What the input wrote as '=2 is one cell that was escaped already: it reads as =2 and is written the same.
    assert raw["c5"] == "'=2"
    assert raw["phone"].startswith("'+1")
    before = desk.ledger.get_row(first.campaign_id, 1).cells
    after = desk.ledger.get_row(second.campaign_id, 1).cells
    assert after[: len(before)] == before


def test_results_file_fed_back_has_our_columns_once_and_anew(desk: Desk) -> None:
    first = desk.begin(2)
    desk.rig.accept(first, 1)
    desk.results(first)

    second = desk.take_in(desk.definition(name="fed-back"), path_of(desk, first))
    rows = desk.results(second.campaign_id)

    assert list(rows[0]) == ["phone", "name", *OUTREACH_COLUMNS]
    assert [row["outreach_status"] for row in rows] == ["pending", "pending"]
    assert rows[0]["message_sid"] == ""


def test_file_is_private_and_nothing_is_left_beside_it(desk: Desk) -> None:
    campaign_id = desk.begin(2)

    desk.results(campaign_id)

    path = path_of(desk, campaign_id)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(each.name for each in path.parent.iterdir()) == [f".{campaign_id}.seq", path.name]


def test_older_state_never_replaces_a_newer_one(desk: Desk) -> None:
    campaign_id = desk.begin(2)
    path = path_of(desk, campaign_id)
    before = {name: desk.client.dump(name) for name in desk.client.scan_iter()}
    desk.rig.accept(campaign_id, 1)
    assert write_results(desk.ledger, desk.registry, campaign_id, path)
    newer = path.read_bytes()

    desk.client.flushall()
    for name, value in before.items():
        desk.client.restore(name, 0, value)
    replaced = write_results(desk.ledger, desk.registry, campaign_id, path)

    assert not replaced
    assert path.read_bytes() == newer


def test_campaign_that_is_still_being_loaded_has_no_file(desk: Desk) -> None:
    campaign_id = desk.rig.load(rows=64, start=False)
    path = path_of(desk, campaign_id)

    assert not write_results(desk.ledger, desk.registry, campaign_id, path)
    assert not path.exists()


def test_writer_without_patience_leaves_the_file_to_the_one_at_work(desk: Desk) -> None:
    campaign_id = desk.begin(1)
    path = path_of(desk, campaign_id)

    with ResultsFile(path, campaign_id).turn(wait=True):
        assert not write_results(desk.ledger, desk.registry, campaign_id, path, wait=False)
    assert write_results(desk.ledger, desk.registry, campaign_id, path, wait=False)


def test_file_is_whole_at_every_moment_while_several_write_it(desk: Desk) -> None:
    campaign_id = desk.begin(600)
    path = path_of(desk, campaign_id)
    write_results(desk.ledger, desk.registry, campaign_id, path)
    stop = threading.Event()
    lengths: set[int] = set()

    def read() -> None:
        while not stop.is_set():
            with path.open(encoding="utf-8", newline="") as file:
                lengths.add(sum(1 for _ in csv.reader(file)))

    reader = threading.Thread(target=read)
    reader.start()
    writers = [
        threading.Thread(
            target=lambda: [write_results(desk.ledger, desk.registry, campaign_id, path) for _ in range(5)]
        )
        for _ in range(3)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    stop.set()
    reader.join(10)

    assert lengths == {601}


def test_rest_of_a_killed_writer_is_cleared_away(desk: Desk) -> None:
    campaign_id = desk.begin(2)
    path = path_of(desk, campaign_id)
    path.parent.mkdir()
    (path.parent / f".{path.name}.abc123.part").write_text("half a file")

    desk.results(campaign_id)

    assert len(list(path.parent.iterdir())) == 2


def test_writing_that_fails_leaves_the_file_and_no_rest(desk: Desk) -> None:
    campaign_id = desk.begin(2)
    path = path_of(desk, campaign_id)
    write_results(desk.ledger, desk.registry, campaign_id, path)
    before = path.read_bytes()

    def fail() -> None:
        file = ResultsFile(path, campaign_id)
        with file.turn(wait=True), file.replacing(99) as stream:
            stream.write("half a line")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 2


def test_crash_before_the_renaming_lets_nothing_older_in_and_is_noticed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_id = desk.begin(2)
    path = path_of(desk, campaign_id)
    write_results(desk.ledger, desk.registry, campaign_id, path)
    desk.rig.accept(campaign_id, 1)
    seq = desk.registry.get(campaign_id).seq
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", _crash)
        with pytest.raises(KeyboardInterrupt):
            write_results(desk.ledger, desk.registry, campaign_id, path)
    file = ResultsFile(path, campaign_id)

    assert file.kept_seq() == 0
    with file.turn(wait=True):
        assert file.seq == seq
    assert desk.results(campaign_id)[0]["outreach_status"] == "accepted"
    assert file.kept_seq() == seq


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_folder_that_cannot_be_written_is_said_in_words(desk: Desk) -> None:
    campaign_id = desk.begin(1)
    folder = desk.folder / "closed"
    folder.mkdir(mode=0o500)

    with pytest.raises(RefusedHereError, match="cannot be written: permission denied"):
        write_results(desk.ledger, desk.registry, campaign_id, folder / f"{campaign_id}.csv")


def test_file_in_the_place_of_the_folder_is_said_in_words(desk: Desk) -> None:
    campaign_id = desk.begin(1)
    (desk.folder / "taken").write_text("")

    with pytest.raises(RefusedHereError, match="cannot be written"):
        write_results(desk.ledger, desk.registry, campaign_id, desk.folder / "taken" / f"{campaign_id}.csv")


def test_file_stands_in_the_folder_of_the_settings(desk: Desk) -> None:
    assert results_path(desk.settings, "spring-1") == desk.folder / "results" / "spring-1.csv"


def test_unknown_campaign_is_told(desk: Desk) -> None:
    with pytest.raises(NotFoundError):
        write_results(desk.ledger, desk.registry, "nobody-1", desk.folder / "x.csv")


def _crash(*_: object) -> None:
    raise KeyboardInterrupt
