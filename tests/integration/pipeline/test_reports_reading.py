"""Tell whether the ledger's reads for reports leave out what a report does not need, and nothing else."""

from intake_desk import Desk

from campaigns.identity import address_hash
from worker.ledger.states import State


def test_address_hashes_are_those_of_rows_in_the_state(desk: Desk) -> None:
    campaign_id = desk.begin([("+12025550101", "Ann"), ("+12025550102", "Bob")])
    desk.rig.accept(campaign_id, 2)

    assert list(desk.ledger.address_hashes(campaign_id, 2, State.ACCEPTED)) == [address_hash("+12025550102")]


def test_recent_outcomes_are_those_since_a_moment_newest_first(desk: Desk) -> None:
    campaign_id = desk.begin(3)
    desk.rig.accept(campaign_id, 1)
    desk.rig.reject(campaign_id, 2)
    now_ms = desk.ledger.now_ms()

    found = desk.ledger.recent_outcomes(campaign_id, now_ms - 10_000)

    assert [state for _, state in found] == [State.FAILED, State.ACCEPTED]
    assert desk.ledger.recent_outcomes(campaign_id, now_ms - 10_000, most=1) == found[:1]
    assert desk.ledger.recent_outcomes(campaign_id, now_ms + 1_000) == []
