"""Deliveries are asked for by the workers behind their rows, few at a time; what goes wrong comes again."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from pipeline_bench import ACCOUNT, Rig, phone

from worker.ledger.states import Delivery
from worker.pipeline import receipts


@pytest.fixture
def tasks(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Return the tick's module with an empty broker; its task works with the rig's workbench."""
    for name, value in (
        ("TWILIO_ACCOUNT_SID", ACCOUNT),
        ("TWILIO_AUTH_TOKEN", "token"),
        ("OUTREACH_HOME", str(rig.home)),
        ("OUTREACH_REDIS_URL", rig.redis_url),
    ):
        monkeypatch.setenv(name, value)
    from worker.tasks import upkeep  # which reads the settings of its process
    from worker.tasks.app import Account, parts

    account = Account(rig.bench.settings, lambda: rig.redis_url)
    account._bench = rig.bench
    monkeypatch.setitem(parts.accounts, account.settings.account_tag, account)
    empty(rig, upkeep)
    yield upkeep
    empty(rig, upkeep)


def tag_of(rig: Rig) -> str:
    return rig.bench.settings.account_tag


def empty(rig: Rig, tasks: ModuleType) -> None:
    """Leave nothing in the broker."""
    with tasks.app.connection_for_write() as connection:
        connection.default_channel.queue_purge(tasks.queue_of(tag_of(rig)))


def given_out(rig: Rig, tasks: ModuleType) -> list[tuple[Any, ...]]:
    """Take what waits in the broker, first in first out, and nothing of it stays there."""
    found = []
    tag = tag_of(rig)
    with tasks.app.connection_for_read() as connection:
        channel = connection.default_channel
        queue = connection.SimpleQueue(tasks.queue_of(tag))
        while tasks._polls_waiting(tag):
            message = queue.get(timeout=60)
            found.append(tuple(message.payload[0]))
            message.ack()
        queue.close()
        assert channel.client.llen(tasks.queue_of(tag)) == 0, "rows wait before them"
    return found


def sent(rig: Rig, *names: str, rows: int = 1) -> None:
    rig.simulator.settings(sent_s=0, delivered_s=0)
    for at, name in enumerate(names):
        rig.campaign([phone(at * 100 + number) for number in range(rows)], name)
    rig.drive()
    rig.pass_s(1.1)


def test_what_is_due_is_given_out_once_and_asked_for(rig: Rig, tasks: ModuleType) -> None:
    sent(rig, "autumn-1", "spring-1")
    upkeep = tasks.Upkeep(rig.bench)

    upkeep._poll()
    upkeep._poll()

    asked = given_out(rig, tasks)
    assert sorted(name for _, name, *_ in asked) == ["autumn-1", "spring-1"]
    for arguments in asked:
        tasks.read_receipts.run(*arguments)
    for name in ("autumn-1", "spring-1"):
        assert rig.row(1, name).record.delivery is Delivery.DELIVERED


def test_no_more_are_given_out_than_may_wait_and_campaigns_take_turns(
    rig: Rig, tasks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "POLLS_AHEAD", 1)
    sent(rig, "autumn-1", "spring-1")
    upkeep = tasks.Upkeep(rig.bench)

    names = []
    for _ in range(2):
        for _ in range(2):  # the second finds no room
            upkeep._poll()
        ((_, name, *_),) = given_out(rig, tasks)
        names.append(name)

    assert sorted(names) == ["autumn-1", "spring-1"]


def test_worker_that_leaves_gives_nothing_out(
    rig: Rig, tasks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(rig, "spring-1")
    monkeypatch.setattr(tasks.Stopping, "opens", False)

    tasks.Upkeep(rig.bench)._poll()

    assert given_out(rig, tasks) == []
    assert len(rig.ledger.take_polls("spring-1", 10, 1_000)) == 1


def test_bucket_is_given_back_where_enough_threads_are_at_it(
    rig: Rig, tasks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from worker.tasks import receipts as task

    sent(rig, "spring-1")
    (taken,) = rig.ledger.take_polls("spring-1", 10, 600_000)
    with monkeypatch.context() as busy:
        busy.setattr(task, "_in_hand", {(tag_of(rig), "spring-1", 0)})
        task.read_receipts.run(tag_of(rig), "spring-1", taken.bucket, taken.last_ms, taken.until_ms)
    assert rig.row().record.delivery is Delivery.NONE

    rig.pass_s(receipts.SOONEST_MS / 1000)
    rig.poll()

    assert rig.row().record.delivery is Delivery.DELIVERED


def test_what_is_no_more_there_is_asked_for_no_more(rig: Rig, tasks: ModuleType) -> None:
    sent(rig, "spring-1")
    (taken,) = rig.ledger.take_polls("spring-1", 10, 600_000)
    rig.client.delete(rig.ledger.key("spring-1"))
    rig.bench._loaded.clear()  # it is a second old by now

    tasks.read_receipts.run(tag_of(rig), "spring-1", taken.bucket, taken.last_ms, taken.until_ms)

    assert rig.ledger.polling() == []


@pytest.mark.parametrize("trouble", ["redis", "fault"])
def test_trouble_costs_that_bucket_its_lease_and_no_thread(rig: Rig, tasks: ModuleType, trouble: str) -> None:
    from worker.tasks import receipts as task

    sent(rig, "spring-1")
    (taken,) = rig.ledger.take_polls("spring-1", 10, 60_000)
    if trouble == "redis":
        rig.client.config_set("maxmemory", "1")
    else:
        rig.client.hset(rig.ledger.key("spring-1", "rw:0"), "5", b"no record")
    try:
        task.read_receipts.run(tag_of(rig), "spring-1", taken.bucket, taken.last_ms, taken.until_ms)
    finally:
        rig.client.config_set("maxmemory", "0")
        rig.client.hdel(rig.ledger.key("spring-1", "rw:0"), "5")
    assert task._in_hand == set()

    rig.pass_s(61)
    rig.poll()

    assert rig.row().record.delivery is Delivery.DELIVERED
