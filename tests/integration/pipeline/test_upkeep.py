"""The tick of a worker, as far as it is more than its parts."""

import pytest
from pipeline_bench import ACCOUNT, Rig, phone


def test_what_is_wrong_with_one_campaign_costs_the_others_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("TWILIO_ACCOUNT_SID", ACCOUNT),
        ("TWILIO_AUTH_TOKEN", "token"),
        ("OUTREACH_HOME", str(rig.home)),
        ("OUTREACH_REDIS_URL", rig.redis_url),
    ):
        monkeypatch.setenv(name, value)
    from worker.tasks.upkeep import Upkeep  # which reads the settings of its process

    rig.campaign([phone(1)], "autumn-1")
    rig.campaign([phone(2)], "spring-1")
    rig.ledger.dispatch("spring-1", fresh=1, old=0)
    rig.clock.shift_ms += 120_000
    rig.client.set(rig.ledger.key("autumn-1", "lease"), "no list of leases")

    Upkeep(rig.bench)._rescue()

    assert rig.states() == {"PENDING": 1}
