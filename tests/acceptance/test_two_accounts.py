"""Tell whether two accounts, each with its own Twilio and Redis, are served by one installation and never mixed.

The commands are those that the README shows of several accounts.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from outreach_command import ACCOUNT, Outreach, number, wait_until
from redis_process import RedisProcess
from simulator_process import SimulatorProcess

from worker import wiring
from worker.ledger.registry import Registry
from worker.redis_server import redis_url
from worker.settings import load_settings

ACME = "AC" + "2" * 32
README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
(BLOCK,) = (each for each in re.findall(r"^```sh\n(.*?)^```", README, re.M | re.S) if "--account" in each)
# The last one is tried by test_readme.py.
LINES = [shlex.split(line)[1:] for line in BLOCK.splitlines()[:-1]]


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


def is_served(outreach: Outreach, profile: str) -> bool:
    """Tell whether a worker has shown itself in an account's ledger."""
    account = load_settings(outreach.environ, outreach.folder / ".env").of(profile)
    with redis_url(account) as url:
        return bool(Registry(wiring.connect(url), account.account_tag).workers())


def is_told(outreach: Outreach, campaign_id: str) -> bool:
    """Tell whether the worker has written how the campaign ended."""
    path = outreach.results / f"{campaign_id}.csv"
    return path.exists() and all(row["outreach_status"] != "pending" for row in outreach.rows(campaign_id))


def test_campaigns_of_two_accounts_are_sent_each_by_its_own(
    outreach: Outreach, twilio: SimulatorProcess, acmes_twilio: SimulatorProcess, acmes_redis: RedisProcess
) -> None:
    outreach.environ["OUTREACH_WEBHOOK_URL"] = "https://127.0.0.1:9/twilio"
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
    # Not number 2: the block puts it on the do-not-contact list, perhaps before its turn.
    outreach.write([number(row) for row in range(3, 15)])
    acme = outreach.folder / "acme.toml"
    acme.write_text(f'account = "acme"\n{outreach.definition.read_text()}')

    worker = outreach.start("worker")
    wait_until(lambda: is_served(outreach, "") and is_served(outreach, "acme"))

    of_main = outreach("load", *outreach.files).stdout.strip()
    loaded, listed, suppressed, scheduled, planned = (outreach(*line).stdout for line in LINES)
    of_acme = loaded.strip()
    watched = [outreach("watch", campaign_id).stdout for campaign_id in (of_acme, of_main)]
    wait_until(lambda: is_told(outreach, of_main) and is_told(outreach, of_acme))
    worker.terminate()
    outreach.finish(worker)

    assert {(of_main, "(main)"), (of_acme, "acme")} <= {
        tuple(line.split()[:2]) for line in listed.splitlines()
    }
    assert suppressed == "1 address put on the do-not-contact list.\n"
    assert "Nothing happens by itself yet" in scheduled
    assert "PostWebhookUrl: nothing ->" in planned
    for campaign_id, said in zip((of_acme, of_main), watched, strict=True):
        assert said.startswith(f"{campaign_id}: finished, 12 accepted")
    for campaign_id, account, server in ((of_main, ACCOUNT, twilio), (of_acme, ACME, acmes_twilio)):
        rows, messages = outreach.rows(campaign_id), server.journal("message")
        assert [row["outreach_status"] for row in rows] == ["accepted"] * 12
        assert {row["message_sid"] for row in rows} == {one["message_sid"] for one in messages}
        assert len(messages) == 12
        assert {one["account"] for one in server.requests()} == {account}
