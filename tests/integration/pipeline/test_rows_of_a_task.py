"""A task may carry several rows: they are worked on at once, and every worker gets its part of what is queued."""

import time
from dataclasses import replace

import pytest
from in_loop import a_loop
from pipeline_bench import ACCOUNT, Rig, phone

from worker import loop
from worker.pipeline.dispatch import ROWS_A_TASK, Dispatcher

ROWS = [phone(number) for number in range(200)]


def queued(rig: Rig, *crew: int) -> list[list[int]]:
    """Queue what is due; the rows of each task."""
    found: list[list[int]] = []
    dispatcher = Dispatcher(rig.bench, crew=crew)
    dispatcher.dispatch(lambda name, campaign_id, rows: found.append(list(rows)))
    return found


def test_rows_of_a_task_wait_for_none_of_each_other(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("TWILIO_ACCOUNT_SID", ACCOUNT),
        ("TWILIO_AUTH_TOKEN", "token"),
        ("OUTREACH_HOME", str(rig.home)),
        ("OUTREACH_REDIS_URL", rig.redis_url),
    ):
        monkeypatch.setenv(name, value)
    from worker.tasks import send
    from worker.tasks.app import Account, parts  # which reads the settings of its process

    account = Account(rig.bench.settings, lambda: rig.redis_url)
    account._bench = account._hands = rig.bench
    tag = account.settings.account_tag
    monkeypatch.setitem(parts.accounts, tag, account)
    monkeypatch.setitem(send._loops, tag, a_loop())
    rig.campaign(ROWS[:3])
    [rows] = queued(rig, 64)
    there: list[str] = []

    def meet(name: str) -> None:
        if name == "before claim_opening":
            there.append(name)
            until = time.monotonic() + 60
            while len(there) < 3:
                assert time.monotonic() < until, "a row waits for one of the others"
                loop.sleep(0.01)

    rig.points.meanwhile = meet

    send.send_rows.run(tag, "spring-1", rows)

    assert rig.states() == {"ACCEPTED": 3}


@pytest.mark.parametrize(("workers", "size"), [(1, ROWS_A_TASK), (4, 50), (200, 1)])
def test_what_is_queued_goes_to_all_workers_alike(rig: Rig, workers: int, size: int) -> None:
    rig.bench.settings = replace(rig.bench.settings, account_interactions_per_s=400.0)
    rig.campaign(ROWS)

    found = queued(rig, *[480] * workers)

    rows = [row for some in found for row in some]
    assert rows == list(range(1, len(rows) + 1))
    assert len(rows) > ROWS_A_TASK, "the window holds fewer than are dealt here"
    assert {len(some) for some in found[:-1]} == {size}


def test_rows_for_which_no_thread_may_be_free_stay_apart_in_the_broker(rig: Rig) -> None:
    rig.campaign(ROWS)

    found = queued(rig, 8, 8)

    assert {len(some) for some in found} == {1}
