"""Tell whether a retry takes the rows it should, says so first, and keeps each row's earlier story."""

import pytest
from intake_desk import Desk

from worker.errors import NotFoundError, RefusedHereError
from worker.ledger.states import Event, State
from worker.pipeline import retry
from worker.pipeline.story import explain

WORTH, HOPELESS = 63038, 21211


@pytest.fixture
def campaign_id(desk: Desk) -> str:
    """Give a campaign with a row accepted, one worth a retry, one hopeless, one in need of review, one pending."""
    made = desk.begin(5)
    desk.rig.accept(made, 1)
    desk.rig.reject(made, 2, WORTH)
    desk.rig.reject(made, 3, HOPELESS)
    desk.rig.bring(made, State.NEEDS_REVIEW, 4)
    return made


def test_plan_counts_by_reason_and_says_what_is_left_out(desk: Desk, campaign_id: str) -> None:
    plan = retry.plan(desk.ledger, desk.registry, campaign_id)

    assert list(plan.rows) == [2]
    assert {words.code: count for words, count in plan.reasons.items()} == {str(WORTH): 1}
    left = {(each.status, each.words.code): count for each, count in plan.left_out.items()}
    assert left == {
        ("accepted", ""): 1,
        ("failed", str(HOPELESS)): 1,
        ("needs_review", ""): 1,
        ("pending", ""): 1,
    }
    assert all(each.why for each in plan.left_out)
    assert desk.rig.state(campaign_id, 2) is State.FAILED


def test_named_code_takes_hopeless_rows_too_and_only_those(desk: Desk, campaign_id: str) -> None:
    plan = retry.plan(desk.ledger, desk.registry, campaign_id, codes=[str(HOPELESS)])

    assert list(plan.rows) == [3]


def test_named_row_is_taken_if_it_failed_and_never_if_it_was_accepted(desk: Desk, campaign_id: str) -> None:
    plan = retry.plan(desk.ledger, desk.registry, campaign_id, rows=[4, 3, 1])

    assert list(plan.rows) == [3]
    assert {each.status for each in plan.left_out} == {"accepted", "needs_review"}


def test_row_that_is_not_there_is_told(desk: Desk, campaign_id: str) -> None:
    with pytest.raises(NotFoundError, match="no row 6"):
        retry.plan(desk.ledger, desk.registry, campaign_id, rows=[6])


def test_new_send_begins_and_the_earlier_story_stays(desk: Desk, campaign_id: str) -> None:
    plan = retry.plan(desk.ledger, desk.registry, campaign_id)

    begun = retry.begin(desk.ledger, desk.registry, plan)

    assert (begun.begun, begun.overtaken) == (1, 0)
    record = desk.ledger.get_row(campaign_id, 2).record
    assert (record.state, record.send, record.attempts) == (State.PENDING, 2, 0)
    story = explain(desk.ledger, desk.registry, campaign_id, 2)
    assert story.key == f"{campaign_id}:2:2"
    assert [(line.send, line.text.split(" (")[0]) for line in story.lines] == [
        (1, "Asked Twilio for an Interaction."),
        (1, "Failed"),
        (2, "A new send begins."),
    ]
    assert str(WORTH) in story.lines[1].text


def test_finished_campaign_is_looked_after_again(desk: Desk) -> None:
    campaign_id = desk.begin(1)
    desk.rig.reject(campaign_id, 1, WORTH)
    desk.registry.set_active(campaign_id, active=False)
    assert desk.registry.get(campaign_id).stands == "finished"

    retry.begin(desk.ledger, desk.registry, retry.plan(desk.ledger, desk.registry, campaign_id))

    assert desk.registry.active() == [campaign_id]
    assert desk.registry.get(campaign_id).stands != "finished"


def test_two_retries_at_once_begin_one_send(desk: Desk, campaign_id: str) -> None:
    first, second = (retry.plan(desk.ledger, desk.registry, campaign_id) for _ in range(2))

    done = [retry.begin(desk.ledger, desk.registry, plan) for plan in (first, second)]

    assert [(each.begun, each.overtaken) for each in done] == [(1, 0), (0, 1)]
    assert desk.ledger.get_row(campaign_id, 2).record.send == 2


def test_campaign_that_is_still_being_cancelled_is_left_alone(desk: Desk, campaign_id: str) -> None:
    desk.registry.cancel(campaign_id)

    with pytest.raises(RefusedHereError, match="still being cancelled"):
        retry.plan(desk.ledger, desk.registry, campaign_id)


def test_failed_row_of_a_cancelled_campaign_goes_on_alone(desk: Desk, campaign_id: str) -> None:
    desk.registry.cancel(campaign_id)
    desk.ledger.cancel_rows(campaign_id)

    plan = retry.plan(desk.ledger, desk.registry, campaign_id)
    retry.begin(desk.ledger, desk.registry, plan)

    assert "cancelled" in plan.warnings[0]
    assert desk.rig.state(campaign_id, 2) is State.PENDING
    assert desk.rig.state(campaign_id, 5) is State.CANCELLED


def test_paused_campaign_is_said_to_wait(desk: Desk, campaign_id: str) -> None:
    desk.registry.pause(campaign_id, "an operator")

    plan = retry.plan(desk.ledger, desk.registry, campaign_id)

    assert "paused" in plan.warnings[0]


def test_empty_plan_begins_nothing(desk: Desk) -> None:
    campaign_id = desk.begin(1)

    begun = retry.begin(desk.ledger, desk.registry, retry.plan(desk.ledger, desk.registry, campaign_id))

    assert (begun.begun, begun.overtaken) == (0, 0)


def test_progress_counts_the_rows(desk: Desk, campaign_id: str) -> None:
    plan = retry.plan(desk.ledger, desk.registry, campaign_id, codes=[str(WORTH), str(HOPELESS)])
    seen: list[int] = []

    retry.begin(desk.ledger, desk.registry, plan, seen.append)

    assert seen == [1, 2]
    assert len(plan) == 2


def test_story_of_a_row_in_doubt_says_what_was_done(desk: Desk, campaign_id: str) -> None:
    story = explain(desk.ledger, desk.registry, campaign_id, 4)

    texts = [line.text for line in story.lines]
    assert texts[-1].startswith("Left to a person")
    assert any("in doubt" in text for text in texts)
    assert story.status == "needs_review"
    assert story.lines[0].at <= story.lines[-1].at


def test_every_event_has_words() -> None:
    from worker.pipeline.story import _TEXTS

    assert set(Event) - set(_TEXTS) == {Event.VERDICT}
