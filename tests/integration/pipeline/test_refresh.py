"""Tell whether a worker's results files are fresh, end with the last state, and are not written for nothing."""

import csv
from pathlib import Path

import pytest
from builders import LedgerRig, sid
from intake_desk import Desk
from older_ledger import Backup

from worker.ledger.states import Delivery
from worker.pipeline.bench import Workbench
from worker.pipeline.cautious import heed_results
from worker.pipeline.refresh import ResultsRefresher
from worker.pipeline.results import REFRESH_S, write_results
from worker.pipeline.results_files import ResultsFile
from worker.pipeline.status import snapshot


@pytest.fixture
def bench(desk: Desk) -> Workbench:
    """Give a workbench whose clock moves only by sleeping."""
    return desk.bench()


@pytest.fixture
def refresher(desk: Desk, bench: Workbench) -> ResultsRefresher:
    """Give a refresher of the desk's results."""
    return ResultsRefresher(bench, desk.folder / "results")


def statuses(desk: Desk, campaign_id: str) -> list[str]:
    with (desk.folder / "results" / f"{campaign_id}.csv").open(encoding="utf-8", newline="") as file:
        return [row["outreach_status"] for row in csv.DictReader(file)]


def test_running_campaign_is_written_in_its_rhythm(
    desk: Desk, bench: Workbench, refresher: ResultsRefresher
) -> None:
    campaign_id = desk.begin(2)

    assert refresher.tick() == 0
    bench.sleep(REFRESH_S)
    assert refresher.tick() == 1
    assert statuses(desk, campaign_id) == ["pending", "pending"]
    desk.rig.accept(campaign_id, 1)
    assert refresher.tick() == 0
    bench.sleep(REFRESH_S)
    assert refresher.tick() == 1
    assert statuses(desk, campaign_id) == ["accepted", "pending"]


def test_nothing_new_is_not_written(desk: Desk, bench: Workbench, refresher: ResultsRefresher) -> None:
    desk.begin(2)
    refresher.tick()
    bench.sleep(REFRESH_S)
    assert refresher.tick() == 1

    bench.sleep(REFRESH_S)
    another = ResultsRefresher(bench, desk.folder / "results")
    assert [refresher.tick(), refresher.tick(), another.tick()] == [0, 0, 0]


def test_end_is_written_at_once_and_once(desk: Desk, refresher: ResultsRefresher) -> None:
    campaign_id = desk.begin(2)
    refresher.tick()
    desk.accept_all(campaign_id)
    desk.registry.set_active(campaign_id, active=False)

    assert refresher.tick() == 1
    assert statuses(desk, campaign_id) == ["accepted", "accepted"]
    assert [refresher.tick(), refresher.tick()] == [0, 0]


def test_what_is_heard_after_the_end_is_written_in_its_own_rhythm(
    desk: Desk, bench: Workbench, refresher: ResultsRefresher
) -> None:
    campaign_id = desk.begin(2)
    desk.accept_all(campaign_id)
    assert refresher.tick() == 1

    assert desk.ledger.note_delivery(campaign_id, 1, sid("IM", 1), Delivery.DELIVERED).ok
    assert refresher.tick() == 0
    bench.sleep(1.0)
    assert refresher.tick() == 1

    assert [row["delivery_status"] for row in desk.results(campaign_id)] == ["delivered", ""]
    assert [refresher.tick(), refresher.tick()] == [0, 0]


def test_retry_that_ends_between_two_looks_is_written(desk: Desk, refresher: ResultsRefresher) -> None:
    campaign_id = desk.begin(1)
    desk.rig.reject(campaign_id, 1)
    desk.registry.set_active(campaign_id, active=False)
    assert refresher.tick() == 1
    assert refresher.tick() == 0

    assert desk.ledger.new_send(campaign_id, 1, 1).ok
    desk.accept_all(campaign_id)
    desk.registry.set_active(campaign_id, active=False)

    assert refresher.tick() == 1
    assert statuses(desk, campaign_id) == ["accepted"]


def test_copy_in_the_same_folder_is_not_taken_for_the_campaigns_own_file(
    desk: Desk, refresher: ResultsRefresher
) -> None:
    campaign_id = desk.begin(1)
    desk.results(campaign_id)
    refresher.tick()
    desk.accept_all(campaign_id)

    copy = desk.folder / "results" / "copy.csv"
    assert write_results(desk.ledger, desk.registry, campaign_id, copy)

    assert refresher.tick() == 1
    assert statuses(desk, campaign_id) == ["accepted"]


def test_campaign_that_ended_while_no_worker_was_there_is_written(
    desk: Desk, refresher: ResultsRefresher
) -> None:
    campaign_id = desk.begin(1)
    desk.accept_all(campaign_id)
    desk.registry.set_active(campaign_id, active=False)

    assert refresher.tick() == 1
    assert statuses(desk, campaign_id) == ["accepted"]


def test_campaign_that_is_taken_up_again_is_written_again(
    desk: Desk, bench: Workbench, refresher: ResultsRefresher
) -> None:
    campaign_id = desk.begin(1)
    desk.rig.reject(campaign_id, 1)
    refresher.tick()
    desk.registry.set_active(campaign_id, active=False)
    refresher.tick()
    desk.ledger.new_send(campaign_id, 1, 1)
    desk.registry.set_active(campaign_id, active=True)
    refresher.tick()
    bench.sleep(REFRESH_S)

    assert refresher.tick() == 1
    assert statuses(desk, campaign_id) == ["pending"]


def test_another_writer_goes_first(
    desk: Desk, bench: Workbench, refresher: ResultsRefresher, tmp_path: Path
) -> None:
    campaign_id = desk.begin(1)
    refresher.tick()
    bench.sleep(REFRESH_S)

    with ResultsFile(tmp_path / "results" / f"{campaign_id}.csv", campaign_id).turn(wait=True):
        assert refresher.tick() == 0
    assert refresher.tick() == 1


def test_half_load_and_discarded_campaign_are_left_alone(
    desk: Desk, bench: Workbench, refresher: ResultsRefresher
) -> None:
    campaign_id = desk.rig.load(rows=64, start=False)
    refresher.tick()
    bench.sleep(REFRESH_S)
    assert refresher.tick() == 0

    desk.registry.discard(campaign_id)

    assert refresher.tick() == 0
    assert not (desk.folder / "results" / f"{campaign_id}.csv").exists()


def test_how_far_a_campaign_has_come_is_noted_at_every_look_and_heeded_by_who_begins_anew(
    desk: Desk, refresher: ResultsRefresher
) -> None:
    campaign_id = desk.begin(3)
    backup = Backup(desk.client)
    desk.rig.accept(campaign_id, 1)
    seen = desk.registry.get(campaign_id).seq
    refresher.tick()

    backup.put_back()
    stranger = LedgerRig(desk.client, desk.rig.clock, desk.settings.account_tag)
    heed_results(stranger.registry, desk.folder / "results")

    assert not (desk.folder / "results" / f"{campaign_id}.csv").exists(), (
        "it was too early for the file itself"
    )
    assert stranger.registry.get(campaign_id).cautious == seen + 1
    assert "behind what was seen" in snapshot(desk.bench(), campaign_id)["cautious"]


def test_nothing_is_noted_of_a_load_that_may_yet_be_refused(desk: Desk, refresher: ResultsRefresher) -> None:
    desk.rig.load("spring-1", 1, start=False)

    refresher.tick()
    heed_results(desk.registry, desk.folder / "results")

    assert not list((desk.folder / "results").glob(".*"))
    assert desk.registry.get("spring-1").cautious == 0


def test_customers_data_are_for_their_owner_only(
    desk: Desk, bench: Workbench, refresher: ResultsRefresher
) -> None:
    desk.begin(2)
    refresher.tick()
    bench.sleep(REFRESH_S)
    refresher.tick()

    folder = desk.folder / "results"
    rights = {path.name: oct(path.stat().st_mode & 0o077) for path in (folder, *folder.iterdir())}
    assert len(rights) == 3
    assert set(rights.values()) == {"0o0"}
