"""Two accounts, two Twilios and two Redis servers in one fleet of workers: what one of them goes through, the other does not feel."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from outreach_command import Outreach, wait_until
from redis_process import RedisProcess
from simulator_process import SimulatorProcess
from zygote import Forked, Zygote

from worker.ledger.registry import CampaignInfo, Registry
from worker.settings import Settings, load_settings
from worker.tasks.command import worker_command
from worker.wiring import connect

ROWS, ACME_ROWS = 100, 160
THREADS = 4
"""Fewer than an account's rows in hand would take where its Redis is away: each waits for it in a thread."""


class Fleet:
    """An installation of the main account and `acme`, each with a campaign, a Twilio and a Redis of its own."""

    def __init__(
        self, folder: Path, twilios: tuple[SimulatorProcess, SimulatorProcess], zygote: Zygote
    ) -> None:
        self.twilio, self.acme_twilio = twilios
        self.redis, self.acme_redis = RedisProcess(folder / "redis"), RedisProcess(folder / "acme-redis")
        self._folder, self._zygote = folder, zygote
        self.outreach = Outreach(
            folder,
            self.twilio.url,
            OUTREACH_REDIS_URL=self.redis.url,
            OUTREACH_ACCOUNT_INTERACTIONS_PER_S="15",
            OUTREACH_ACCOUNTS="acme",
            TWILIO_ACCOUNT_SID__ACME="AC" + "2" * 32,
            TWILIO_AUTH_TOKEN__ACME="another-token",
            OUTREACH_TWILIO_BASE_URL__ACME=self.acme_twilio.url,
            OUTREACH_REDIS_URL__ACME=self.acme_redis.url,
            OUTREACH_ACCOUNT_INTERACTIONS_PER_S__ACME="12",
        )
        self.settings: Settings = load_settings(self.outreach.environ, None)

    def start_worker(self) -> Forked:
        log = self._folder / "workers.log"
        command = worker_command(THREADS, "WARNING")
        return self._zygote.start(command, self.outreach.environ, cwd=self._folder, log=log)

    def load(self, rows: int, *changes: tuple[str, str]) -> str:
        self.outreach.write(rows, *changes)
        return self.outreach("load", *self.outreach.files).stdout.strip()

    def info(self, profile: str, campaign_id: str) -> CampaignInfo:
        url = (self.acme_redis if profile else self.redis).url
        client = connect(url)
        try:
            return Registry(client, self.settings.of(profile).account_tag).get(campaign_id)
        finally:
            client.close()

    def judge(self, campaign_id: str, twilio: SimulatorProcess, rows: int) -> None:
        """See that each customer was told once, by this Twilio, and that the results file says so."""
        wait_until((self.outreach.results / f"{campaign_id}.csv").exists)
        wait_until(
            lambda: {row["outreach_status"] for row in self.outreach.rows(campaign_id)} == {"accepted"}
        )
        messages = twilio.journal("message")
        assert {row["message_sid"] for row in self.outreach.rows(campaign_id)} == {
            one["message_sid"] for one in messages
        }
        told = Counter(one["address"] for one in messages)
        assert (len(told), set(told.values())) == (rows, {1})

    def close(self) -> None:
        self.outreach.close()
        self.redis.stop()
        self.acme_redis.stop()


@pytest.fixture
def fleet(tmp_path: Path, start_simulator: Callable[..., SimulatorProcess]) -> Iterator[Fleet]:
    quick = ("--no-patterns", "--setup-ms", "20")
    twilios = (start_simulator(*quick), start_simulator(*quick, "--latency-ms", "300"))
    with Zygote() as zygote:
        fleet = Fleet(tmp_path, twilios, zygote)
        yield fleet
        fleet.close()


@pytest.mark.timeout(240)
def test_account_whose_redis_is_killed_holds_up_no_other(fleet: Fleet) -> None:
    tags = [one.account_tag for one in fleet.settings.everyone()]
    for _ in range(2):
        fleet.start_worker()
    wait_until(lambda: fleet.redis.client.hlen(f"o:{{{tags[0]}}}:workers") == 2)
    wait_until(lambda: fleet.acme_redis.client.hlen(f"o:{{{tags[1]}}}:workers") == 2)
    acme = fleet.load(ACME_ROWS, ("channel =", 'account = "acme"\nchannel ='), ('"spring"', '"acme-spring"'))
    wait_until(lambda: fleet.acme_twilio.journal("message"))
    spring = fleet.load(ROWS)
    wait_until(lambda: fleet.twilio.journal("message"))

    fleet.acme_redis.kill()
    left = [fleet.info("", spring).left, ACME_ROWS - len(fleet.acme_twilio.journal("message"))]
    wait_until(lambda: fleet.info("", spring).left == 0)
    unsent = ACME_ROWS - len(fleet.acme_twilio.journal("message"))
    fleet.judge(spring, fleet.twilio, ROWS)
    fleet.acme_redis.start()
    wait_until(lambda: fleet.info("acme", acme).left == 0, timeout_s=120)

    assert min(left) > THREADS, "both campaigns were in the midst of it"
    assert unsent > 0
    fleet.judge(acme, fleet.acme_twilio, ACME_ROWS)
    for server, (own, other) in ((fleet.redis, tags), (fleet.acme_redis, tags[::-1])):
        assert server.client.exists(f"o:{{{own}}}:campaigns")
        assert not server.client.exists(f"o:{{{other}}}:campaigns")
