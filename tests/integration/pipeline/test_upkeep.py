"""The tick of a worker, as far as it is more than its parts."""

import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest
import redis
from kombu.exceptions import OperationalError
from pipeline_bench import ACCOUNT, Rig, phone

from worker import wiring
from worker.errors import RedisUnavailableError
from worker.ledger.states import State
from worker.redis_server import EmbeddedRedis
from worker.setting_values import SecretStr


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

    empty(rig, upkeep)
    yield upkeep
    empty(rig, upkeep)


def empty(rig: Rig, upkeep: ModuleType) -> None:
    """Leave nothing in the broker."""
    with upkeep.app.connection_for_write() as connection:
        connection.default_channel.queue_purge(upkeep.queue_of(tag_of(rig)))


def tag_of(rig: Rig) -> str:
    return rig.bench.settings.account_tag


def test_messages_of_all_ticks_go_over_one_client(upkeep: ModuleType) -> None:
    clients = []

    for _ in range(2):
        with upkeep._broker() as channel, channel.conn_or_acquire() as client:
            clients.append(client)

    assert clients[0] is clients[1]


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


def test_rows_that_a_dead_worker_had_of_the_window_are_due_again_within_a_second(
    rig: Rig, upkeep: ModuleType
) -> None:
    rig.campaign([phone(1), phone(2)])
    rig.ledger.dispatch("spring-1", fresh=1, old=0)  # given to a worker that has died since
    rig.registry.see_worker(dead_owner(), {"pid": 1, "host": "here", "concurrency": 1})
    rig.clock.shift_ms += 1_000
    rig.ledger.dispatch("spring-1", fresh=1, old=0)

    upkeep.Upkeep(rig.bench)._rescue()

    assert [rig.row(number).state for number in (1, 2)] == [State.PENDING, State.QUEUED]
    assert not rig.registry.workers()


def dead_owner() -> str:
    """Name a process of this machine that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return f"{wiring.host_name()}/{process.pid}/1"


def test_row_whose_message_waits_in_the_broker_is_not_queued_twice(rig: Rig, upkeep: ModuleType) -> None:
    rig.campaign([phone(1), phone(2)])
    publish(rig, upkeep)
    rig.clock.shift_ms += 30_000

    upkeep.Upkeep(rig.bench)._rescue()

    assert rig.states() == {"QUEUED": 2}


def test_no_row_is_opened_right_after_redis_was_away(rig: Rig, upkeep: ModuleType) -> None:
    """It may be an older one: whoever has seen more is to say so first."""
    rig.campaign([phone(1)])
    bench = rig.worker("elsewhere/1/1", redis_url=SecretStr(rig.redis_url))
    ticks = upkeep.Upkeep(bench)
    rig.points.counts = lambda moment: moment == "before dispatch"
    rig.points.trouble = lambda: redis.ConnectionError("gone")  # type: ignore[assignment, return-value]
    rig.points.passed, rig.points.strike_at = [], 0

    with pytest.raises(RedisUnavailableError):
        ticks._tick()
    bench.registry.unlead()
    ticks._tick()
    assert rig.states() == {"PENDING": 1}
    ticks.opens_from = 0.0
    bench.registry.unlead()
    ticks._tick()

    assert rig.states() == {"QUEUED": 1}


def test_worker_that_leaves_starts_no_redis_again(
    rig: Rig, upkeep: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own leaving may have stopped the embedded one, which nobody would ever stop then."""
    monkeypatch.delenv("OUTREACH_REDIS_URL")
    server = EmbeddedRedis(rig.home)
    with server.hold() as url:
        client = wiring.connect(url)
        bench = wiring.build(wiring.read_settings(), client)
    ticks = upkeep.Upkeep(bench)

    ticks.stopped.set()
    with pytest.raises(RedisUnavailableError):
        ticks._tick()

    assert server.status() is None


class Pauses:
    """Stands for the wish to stop, which comes after three pauses; notes how long they were to last."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def wait(self, pause_s: float) -> bool:
        """Note a pause."""
        self.taken.append(pause_s)
        return len(self.taken) == 3


def test_fault_that_nobody_foresaw_is_not_logged_ten_times_a_second(rig: Rig, upkeep: ModuleType) -> None:
    ticks, acts = upkeep.Upkeep(rig.bench), iter([{}, {"known": 1}])
    ticks.stopped = pauses = Pauses()

    ticks._loop(lambda: upkeep.TICK_S, lambda: next(acts)["known"])

    assert pauses.taken == [0.0, upkeep.FAILED_S, upkeep.TICK_S]


def publish(rig: Rig, upkeep: ModuleType) -> None:
    """Queue what is due, as a tick does."""
    with upkeep._Outbox(tag_of(rig), rig.ledger.now_ms) as outbox:
        upkeep.Dispatcher(rig.bench).dispatch(outbox.put)


def test_leader_that_died_here_is_replaced_at_the_next_look(rig: Rig, upkeep: ModuleType) -> None:
    rig.campaign([phone(1)])
    rig.registry.look(f"{wiring.host_name()}/{2**30}/1", 60_000)

    upkeep.Upkeep(rig.worker("elsewhere/1/1"))._tick()

    assert rig.states() == {"QUEUED": 1}


def test_leader_elsewhere_is_left_to_it(rig: Rig, upkeep: ModuleType) -> None:
    rig.campaign([phone(1)])
    rig.registry.look("elsewhere/1/1", 60_000)
    ticks = upkeep.Upkeep(rig.bench)

    ticks._tick()
    ticks._close()

    assert rig.states() == {"PENDING": 1}
    assert ticks._tick_pause_s() == upkeep.STANDBY_S


def test_worker_that_opens_no_more_lets_another_lead(
    rig: Rig, upkeep: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = upkeep.Upkeep(rig.worker("elsewhere/1/1"))
    ticks._tick()
    assert rig.client.pttl(f"{rig.registry.prefix}tick") > upkeep.TICK_S * 1000

    monkeypatch.setattr(upkeep.Stopping, "opens", False)
    ticks._tick()

    assert ticks.leads, "where there is nobody else, what is open goes on"
    assert rig.client.pttl(f"{rig.registry.prefix}tick") <= upkeep.TICK_S * 1000


def test_account_with_nothing_to_do_is_looked_at_in_one_round_trip(rig: Rig, upkeep: ModuleType) -> None:
    ticks = upkeep.Upkeep(rig.worker("elsewhere/1/1"))
    ticks._tick()
    before = rig.client.info("stats")["total_commands_processed"]

    for _ in range(10):
        ticks._tick()
        ticks._close()
        ticks._poll_if_due()

    asked = rig.client.info("stats")["total_commands_processed"] - before
    assert asked <= 60, "four commands a look, another where the lead is renewed, and the count itself"


def test_each_accounts_timetable_is_woken_in_its_own_queue(
    rig: Rig, upkeep: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message for all of them would wait with the account in whose queue it lies, where that one is held back."""
    from worker.tasks.app import Parts, _beat_settings

    monkeypatch.setenv("OUTREACH_ACCOUNTS", "acme")
    monkeypatch.setenv("TWILIO_ACCOUNT_SID__ACME", "AC" + "2" * 32)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN__ACME", "token")
    parts = Parts()

    wakes = _beat_settings(parts)["beat_schedule"].values()

    assert len(parts.accounts) == 2
    assert {one["args"]: one["options"]["queue"] for one in wakes} == {
        (tag,): upkeep.queue_of(tag) for tag in parts.accounts
    }


def test_leader_that_cannot_publish_leaves_the_lead_to_another(
    rig: Rig, upkeep: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.campaign([phone(1)])
    sick, well = (
        upkeep.Upkeep(rig.worker(f"elsewhere/{number}/1", redis_url=SecretStr(rig.redis_url)))
        for number in (1, 2)
    )

    class NoBroker(upkeep._Outbox):  # type: ignore[misc, name-defined]
        def __exit__(self, *exc: object) -> None:
            raise OperationalError("no connection is left")

    with monkeypatch.context() as broken:
        broken.setattr(upkeep, "_Outbox", NoBroker)
        with pytest.raises(OperationalError):
            sick._tick()
    rig.ledger.rescue_queued("spring-1", older_ms=-1)
    well._tick()

    assert (sick.leads, well.leads) == (False, True)
    assert rig.states() == {"QUEUED": 1}


def test_worker_has_and_tells_as_many_threads_as_its_command_line_says(
    rig: Rig, upkeep: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from worker.tasks import app, receipts, send

    monkeypatch.setitem(upkeep.app.conf, "worker_concurrency", 64)
    monkeypatch.setattr(app.Turns, "threads", 0)
    monkeypatch.setattr(app.Turns, "kept", {})

    app._share_threads(SimpleNamespace(concurrency=3))

    assert upkeep._facts()["concurrency"] == 3
    assert send._Loops()[tag_of(rig)]._most == 3
    assert receipts._most() == 1
