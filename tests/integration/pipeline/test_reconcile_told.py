"""What is said of look-ups that tell nothing: while they are repeated, and to the person who must look."""

import pytest
from pipeline_bench import Rig, key, trouble

from worker.pipeline.review import find_rows
from worker.pipeline.status import snapshot

PARTICIPANTS = "GET conversations/v1/Conversations/{conversation}/Participants"


def waiting_for(rig: Rig) -> str:
    rig.registry.see_worker("worker-1", {"host": "host", "pid": 1, "concurrency": 8})
    return str(snapshot(rig.bench, "spring-1")["waiting_for"])


@pytest.mark.parametrize("last", [194, 164])
def test_status_names_look_ups_of_a_doubt_that_are_forbidden(rig: Rig, last: int) -> None:
    rig.campaign([trouble(last)])
    rig.drive(until=lambda: rig.row().state.is_doubt)
    rig.simulator.settings(forbidden={"GET taskrouter": 403, "GET conversations": 403})
    rig.drive(until=lambda: rig.row().hand.asked >= 1)

    assert "1 row in doubt is being looked up, next look at " in waiting_for(rig)
    assert (
        "; Twilio forbids to look row 1 up (20403): unless that changes soon, it is left to you"
        in waiting_for(rig)
    )


def test_status_names_look_ups_of_a_doubt_that_fail_until_one_works(rig: Rig) -> None:
    rig.campaign([trouble(194)])
    rig.work(rig.dispatch())
    rig.simulator.settings(fault_getters={"503": 1})
    rig.drive(until=lambda: rig.row().hand.asked >= 1)
    assert "; the last look at row 1 failed (" in waiting_for(rig)

    rig.simulator.settings(fault_getters={}, lookup_lag_s=3600)
    rig.drive(until=lambda: rig.row().record.looks >= 1)

    assert "failed" not in waiting_for(rig)


def test_status_names_a_conversation_that_nobody_may_look_into(rig: Rig) -> None:
    rig.simulator.settings(forbidden={PARTICIPANTS: 403})
    rig.campaign([trouble(161)])
    rig.drive(until=lambda: rig.row().hand.checks >= 2)

    assert (
        "; Twilio forbids to look row 1 up (20403): unless that changes within 10 minutes, it fails"
        in waiting_for(rig)
    )


def test_row_in_review_names_what_is_known_and_what_to_look_for(rig: Rig) -> None:
    rig.campaign([trouble(194), trouble(164, 212)])
    rig.drive(until=lambda: rig.info().in_doubt == 2)
    rig.simulator.settings(forbidden={"GET taskrouter": 403, "GET conversations": 403})
    rig.drive()

    opening, sending = (one.words.advice for one in find_rows(rig.bench, "spring-1"))

    assert (
        f"TaskRouter > Workspaces > Flex Task Assignment > Tasks, look for a task whose attributes hold outreach_key {key()}"
        in opening
    )
    sent = rig.row(2).record
    assert f"open {sent.conversation_sid} (of Interaction {sent.interaction_sid})" in sending
    assert f"outreach_key {key(2)}" in sending
    for number, advice in enumerate((opening, sending), start=1):
        assert (
            f"`outreach review spring-1 --row {number} --sent --message-sid IM…`, or `--not-sent`" in advice
        )
