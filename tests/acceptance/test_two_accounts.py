"""Tell whether two accounts, each with its own Twilio and Redis, are served by one installation and never mixed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from outreach_command import ACCOUNT, Outreach, number
from redis_process import RedisProcess
from simulator_process import SimulatorProcess

ACME = "AC" + "2" * 32


@pytest.fixture
def acmes_twilio(start_simulator: Callable[..., SimulatorProcess]) -> SimulatorProcess:
    """Return a simulator that only the account acme is to ask."""
    server = start_simulator()
    server.settings(setup_ms=20, flex_per_s=0, sent_s=0, delivered_s=0)
    return server


@pytest.fixture
def acmes_redis(tmp_path: Path) -> Iterator[RedisProcess]:
    """Return a Redis for acme's ledger alone."""
    server = RedisProcess(tmp_path / "redis")
    yield server
    server.kill()


def test_campaigns_of_two_accounts_are_sent_each_by_its_own(
    outreach: Outreach, twilio: SimulatorProcess, acmes_twilio: SimulatorProcess, acmes_redis: RedisProcess
) -> None:
    for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "OUTREACH_TWILIO_BASE_URL"):
        del outreach.environ[name]
    (outreach.folder / ".env").write_text(
        f"TWILIO_ACCOUNT_SID={ACCOUNT}\n"
        "TWILIO_AUTH_TOKEN=secret-token\n"
        f"OUTREACH_TWILIO_BASE_URL={twilio.url}\n"
        "OUTREACH_ACCOUNTS=acme\n"
        f"TWILIO_ACCOUNT_SID__ACME={ACME}\n"
        "TWILIO_AUTH_TOKEN__ACME=acmes-token\n"
        f"OUTREACH_TWILIO_BASE_URL__ACME={acmes_twilio.url}\n"
        f"OUTREACH_REDIS_URL__ACME={acmes_redis.url}\n"
    )
    outreach.write([number(row) for row in range(1, 13)])
    acme = outreach.folder / "acme.toml"
    acme.write_text(f'account = "acme"\n{outreach.definition.read_text()}')

    running = outreach.start("run", str(acme), str(outreach.customers), "--json")
    of_main = outreach.run()["id"]
    of_acme = json.loads(outreach.finish(running).stdout)["id"]
    watched = outreach("watch", of_acme).stdout
    listed = outreach.json("status")

    assert watched.startswith(f"{of_acme}: finished, 12 accepted")
    assert {one["id"]: one["account"] for one in listed} == {of_main: None, of_acme: "acme"}
    for campaign_id, account, server in ((of_main, ACCOUNT, twilio), (of_acme, ACME, acmes_twilio)):
        rows, messages = outreach.rows(campaign_id), server.journal("message")
        assert [row["outreach_status"] for row in rows] == ["accepted"] * 12
        assert {row["message_sid"] for row in rows} == {one["message_sid"] for one in messages}
        assert len(messages) == 12
        assert {one["account"] for one in server.requests()} == {account}
