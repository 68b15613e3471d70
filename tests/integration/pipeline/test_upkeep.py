"""The tick of a worker, as far as it is more than its parts."""

from collections.abc import Iterator
from types import ModuleType

import pytest
from pipeline_bench import ACCOUNT, Rig, phone

from worker.ledger.states import State


@pytest.fixture
def upkeep(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Return the tick's module, with a broker that holds nothing."""
    for name, value in (
        ("TWILIO_ACCOUNT_SID", ACCOUNT),
        ("TWILIO_AUTH_TOKEN", "token"),
        ("OUTREACH_HOME", str(rig.home)),
        ("OUTREACH_REDIS_URL", rig.redis_url),
    ):
        monkeypatch.setenv(name, value)
    from worker.tasks import upkeep  # which reads the settings of its process

    upkeep.app.control.purge()
    yield upkeep
    upkeep.app.control.purge()


def test_what_is_wrong_with_one_campaign_costs_the_others_nothing(rig: Rig, upkeep: ModuleType) -> None:
    rig.campaign([phone(1)], "autumn-1")
    rig.campaign([phone(2)], "spring-1")
    rig.ledger.dispatch("spring-1", fresh=1, old=0)
    rig.clock.shift_ms += 120_000
    rig.client.set(rig.ledger.key("autumn-1", "lease"), "no list of leases")

    upkeep.Upkeep(rig.bench)._rescue()

    assert rig.states() == {"PENDING": 1}


def test_row_whose_message_was_lost_is_due_again_though_younger_messages_wait(
    rig: Rig, upkeep: ModuleType
) -> None:
    rig.campaign([phone(1), phone(2)])
    rig.ledger.dispatch(
        "spring-1", fresh=1, old=0
    )  # and nothing is published: as if its worker had died with it
    rig.clock.shift_ms += 6_000
    publish(rig, upkeep)

    upkeep.Upkeep(rig.bench)._rescue()

    assert [rig.row(number).state for number in (1, 2)] == [State.PENDING, State.QUEUED]


def test_row_whose_message_waits_in_the_broker_is_not_queued_twice(rig: Rig, upkeep: ModuleType) -> None:
    rig.campaign([phone(1), phone(2)])
    publish(rig, upkeep)
    rig.clock.shift_ms += 30_000

    upkeep.Upkeep(rig.bench)._rescue()

    assert rig.states() == {"QUEUED": 2}


def publish(rig: Rig, upkeep: ModuleType) -> None:
    """Queue what is due, as a tick does."""
    with upkeep._Outbox(rig.ledger.now_ms) as outbox:
        upkeep.dispatch(rig.bench, outbox.put, 0)
