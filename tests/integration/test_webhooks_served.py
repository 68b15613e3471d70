"""Tell whether `outreach webhooks serve` hears what Twilio tells it, whatever order and number that comes in."""

import hashlib
import hmac
import os
import signal
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from free_port import free_port
from outreach_command import Outreach, wait_until
from pipeline_bench import ACCOUNT, Rig, phone, trouble
from redis_process import RedisProcess
from simulator_process import SimulatorProcess
from structlog.testing import capture_logs

from ops.webhooks.serving import _make_checkers, _make_hear_of, make_checker, make_hear, serve
from worker import wiring
from worker.errors import RedisUnavailableError, SettingsError
from worker.gateway.webhooks import DeliveryEvent
from worker.ledger.states import Delivery, Event, Reason, State
from worker.ledger.suppression import Suppression
from worker.redis_server import EmbeddedRedis, redis_url
from worker.settings import load_settings

TOKEN = "token"
PATH = "/twilio?from=twilio"
STOPS = trouble(151)  # answers each message with STOP


@dataclass
class Served:
    """The endpoint in a process of its own, on a Redis of its own; `rig` works on the same campaigns."""

    url: str
    rig: Rig
    redis: RedisProcess
    process: "subprocess.Popen[str]"

    def post(self, form: dict[str, str], signature: str | None = None) -> int:
        """Send what Twilio would; the status of the answer."""
        signed = sign(self.url, form) if signature is None else signature
        headers = {"X-Twilio-Signature": signed} if signed else {}
        return requests.post(self.url, data=form, headers=headers, timeout=60).status_code


def sign(url: str, form: dict[str, str]) -> str:
    text = url + "".join(name + form[name] for name in sorted(form))
    return b64encode(hmac.new(TOKEN.encode(), text.encode(), hashlib.sha1).digest()).decode()


@pytest.fixture
def served(tmp_path: Path, simulator: SimulatorProcess) -> Iterator[Served]:
    redis = RedisProcess(tmp_path / "redis")
    rig = Rig(redis.url, simulator, tmp_path)
    port = free_port()
    url = f"http://127.0.0.1:{port}{PATH}"
    outreach = Outreach(tmp_path, simulator.url)
    outreach.environ |= {
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "OUTREACH_REDIS_URL": redis.url,
        "OUTREACH_WEBHOOK_URL": url,
    }
    process = outreach.start("webhooks", "serve", "--port", str(port))
    assert process.stdout
    assert process.stdout.readline() == f"listening on http://127.0.0.1:{port}\n"
    yield Served(url, rig, redis, process)
    process.kill()
    process.communicate()
    rig.close()
    redis.stop()


def test_what_twilio_tells_is_in_the_ledger_and_who_asks_for_it_is_left_alone(served: Served) -> None:
    rig, simulator = served.rig, served.rig.simulator
    simulator.settings(
        webhook_url=served.url,
        webhook_token=TOKEN,
        webhook_faults={"duplicate": 0.3, "reorder": 0.4},
        webhook_late_s=0.2,
    )
    rig.campaign([STOPS, phone(1), trouble(175)])
    rig.campaign([STOPS, phone(2)], "summer-1")
    rig.registry.pause("summer-1", "operator")

    rig.drive("spring-1", jump=False)
    wait_until(lambda: rig.row(1).record.has_opted_out)
    wait_until(lambda: rig.row(2).record.delivery is Delivery.DELIVERED)
    wait_until(lambda: rig.row(3).record.delivery_code == 21610)
    rig.registry.resume("summer-1")
    rig.drive("summer-1", jump=False)

    assert rig.row(1).record.delivery is Delivery.DELIVERED
    assert rig.events(2).count(Event.DELIVERED) == 1, "though it was told twice"
    assert rig.info().answered == 1
    row = rig.row(1, "summer-1").record
    assert (row.state, row.code) == (State.SKIPPED, Reason.SUPPRESSED)
    assert rig.row(2, "summer-1").state is State.ACCEPTED
    listed = Suppression(rig.client, rig.bench.settings.account_tag).entries()
    assert {each.address for each in listed} == {STOPS, trouble(175)}
    answers = {one["answer"] for one in simulator.journal("webhook")}
    assert answers == {200}


def test_silent_redis_costs_twilio_no_time_and_the_endpoint_nothing(served: Served) -> None:
    rig = served.rig
    rig.campaign([phone(1)])
    rig.drive()
    record = rig.row().record
    form = {
        "EventType": "onDeliveryUpdated",
        "AccountSid": ACCOUNT,
        "ConversationSid": record.conversation_sid,
        "MessageSid": record.message_sid,
        "Status": "delivered",
    }
    assert served.post(form, signature="") == 403
    assert served.post(form, signature=sign(served.url, form | {"Status": "read"})) == 403

    served.redis.suspend()
    silent = served.post(form)
    page = requests.get(served.url, timeout=60)
    served.redis.resume()

    assert silent == 503
    assert (page.status_code, page.text) == (200, "outreach webhooks\n")
    wait_until(lambda: served.post(form) == 200)
    assert served.post(form | {"Status": "sent"}) == 200
    assert rig.row().record.delivery is Delivery.DELIVERED, "what is older is no news"
    served.process.send_signal(signal.SIGTERM)
    _, said = served.process.communicate(timeout=60)
    assert served.process.returncode == 0
    assert "webhooks.stopped" in said
    assert record.conversation_sid not in said


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"TWILIO_AUTH_TOKEN": TOKEN}, "OUTREACH_WEBHOOK_URL is not set"),
        ({"OUTREACH_WEBHOOK_URL": "https://outreach.example"}, "an API key can't check them"),
    ],
)
def test_endpoint_that_could_not_tell_who_speaks_does_not_start(environ: dict[str, str], said: str) -> None:
    key = {"TWILIO_API_KEY": "SK" + "1" * 32, "TWILIO_API_SECRET": "s"}

    with pytest.raises(SettingsError, match=said):
        serve(load_settings(key | environ, None), "127.0.0.1", 0)


def test_shared_keys_of_the_settings_check_what_is_signed_with_sha_256() -> None:
    environ = {"OUTREACH_WEBHOOK_URL": "https://outreach.example", "OUTREACH_WEBHOOK_KEYS": "key-1=quiet"}
    checker = make_checker(load_settings(environ, None))
    form = {"EventType": "onDeliveryUpdated"}

    def is_genuine(secret: str, key: str) -> bool:
        text = "https://outreach.example" + "EventType" + "onDeliveryUpdated"
        signature = b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()
        settings = f"key={key},algorithm=HMAC_SHA256"
        headers = {"X-Twilio-Signature": signature, "X-Twilio-Webhooks-Signature-Settings": settings}
        return checker.is_genuine("https://outreach.example", form, headers)

    assert is_genuine("quiet", "key-1")
    assert not is_genuine("quiet", "key-2")
    assert not is_genuine("guessed", "key-1")


def test_account_without_a_secret_to_check_with_is_left_to_polling() -> None:
    main = {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN, "OUTREACH_ACCOUNTS": "acme"}
    acme = {"TWILIO_API_KEY__ACME": "SK" + "1" * 32, "TWILIO_API_SECRET__ACME": "s"}
    settings = load_settings({**main, **acme, "OUTREACH_WEBHOOK_URL": "https://outreach.example"}, None)

    with capture_logs() as logs:
        heard = [one.profile for one, _ in _make_checkers(settings)]

    assert heard == [""]
    assert "TWILIO_AUTH_TOKEN__ACME is not set" in logs[0]["why"]


def test_account_whose_redis_is_away_at_the_start_is_heard_once_it_is_there(tmp_path: Path) -> None:
    redis = RedisProcess(tmp_path / "redis")
    redis.kill()
    settings = load_settings({"OUTREACH_REDIS_URL": redis.url, "TWILIO_ACCOUNT_SID": ACCOUNT}, None)
    event = DeliveryEvent("CH" + "a" * 32, "IM" + "b" * 32, "delivered", 0)

    with ExitStack() as stack:
        hear = _make_hear_of(settings, stack, {}, is_only=False)
        with pytest.raises(RedisUnavailableError):
            hear(event)
        redis.start()
        hear(event)
    redis.stop()


def test_embedded_redis_that_died_is_started_again_by_what_could_not_be_heard(tmp_path: Path) -> None:
    settings = load_settings({"OUTREACH_HOME": str(tmp_path), "TWILIO_ACCOUNT_SID": ACCOUNT}, None)
    with redis_url(settings) as url, closing(wiring.connect(url)) as client:
        hear = make_hear(wiring.build(settings, client))
        event = DeliveryEvent("CH" + "a" * 32, "IM" + "b" * 32, "delivered", 0)
        hear(event)
        status = EmbeddedRedis(tmp_path).status()
        assert status
        os.kill(status.pid, signal.SIGKILL)

        with pytest.raises(RedisUnavailableError):
            hear(event)

        hear(event)
