"""A workbench against the simulator, small campaigns for it, a driver in one process, and the judge of what came out."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, ClassVar, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from simulator_calls import Calls, messages_path
from simulator_process import SimulatorProcess

from campaigns.definition import parse_definition
from campaigns.identity import address_hash
from worker import loop
from worker.errors import OutreachError
from worker.gateway.caller import Credentials
from worker.gateway.http import HttpOptions, PooledHttpClient
from worker.gateway.twilio import TwilioGateway
from worker.ledger.floors import Floors
from worker.ledger.keys import BUCKET, prefix
from worker.ledger.ledger import Ledger, LoadRow
from worker.ledger.registry import CampaignInfo, Registry
from worker.ledger.row import Record, Row, pack_new
from worker.ledger.scripts import source
from worker.ledger.states import Event, State
from worker.pacing.pacer import Pacer
from worker.pipeline import receipts
from worker.pipeline.bench import Workbench
from worker.pipeline.closing import close_some
from worker.pipeline.dispatch import Dispatcher
from worker.pipeline.reconcile import reconcile_rows
from worker.pipeline.rescue import rescue
from worker.pipeline.send import send_row
from worker.setting_values import SecretStr
from worker.settings import Settings
from worker.wiring import steady_clock

T = TypeVar("T")

SENDER = "+19252210100"
ACCOUNT = "AC" + "0" * 31 + "1"
SETTLE_S = (0.2, 0.4, 0.6)
_AREAS = (415, 212, 310, 202, 305, 312, 404, 512, 617, 702, 303, 206, 213, 503, 602)
_SCRIPTS = [path.stem for path in (Path(__file__).parent.parent / "worker/ledger/lua").glob("[a-z]*.lua")]
_QUIET = {"setup_ms": 0, "flex_per_s": 0, "task_lookups_per_s": 0}
"""A Twilio without limits and delays: what is tested here is not the pace."""

ROUTING = """
[routing]
workspace_sid = "WS5f1d2c3b4a59687766554433221100ff"
workflow_sid = "WW0a1b2c3d4e5f60718293a4b5c6d7e8f9"
queue_sid = "WQ9f8e7d6c5b4a39281706f5e4d3c2b1a0"
worker_sid = "WK11223344556677889900aabbccddeeff"
task_channel = "chat"
"""
BODY = '[message]\nauthor = "Team"\nbody = "Hello {{ name }}"\n'


class KilledError(BaseException):
    """The process dies here: nothing of it runs any more, not even what catches every Exception."""


@dataclass
class Points:
    """The moments right before and right after each effect of a run; at one of them trouble strikes."""

    passed: list[str] = field(default_factory=list)
    strike_at: int | None = None
    trouble: Callable[[], BaseException] = KilledError
    counts: Callable[[str], bool] = lambda _: True
    meanwhile: Callable[[str], object] = lambda _: None

    def pass_(self, name: str) -> None:
        """Note a moment, if it counts; raise the trouble where it is the chosen one.

        `meanwhile` is told of every moment: what somebody else does just then.
        """
        self.meanwhile(name)
        if not self.counts(name):
            return
        self.passed.append(name)
        if self.strike_at == len(self.passed) - 1:
            raise self.trouble()


@dataclass
class ShiftedClock:
    """Redis's clock, which a test puts forward rather than sleep."""

    shift_ms: int = 0

    def now_ms(self) -> int:
        """Give milliseconds since the epoch."""
        return int(time.time() * 1000) + self.shift_ms

    def wall_s(self) -> float:
        """Give seconds since the epoch."""
        return time.time() + self.shift_ms / 1000

    def read_time(self, answer: Sequence[bytes]) -> tuple[int, int]:
        """Shift what Redis answers to TIME."""
        micros = int(answer[0]) * 1_000_000 + int(answer[1]) + self.shift_ms * 1000
        return divmod(micros, 1_000_000)


class WatchedRedis(redis.Redis):
    """A client that tells of every script of the ledger before and after it ran."""

    points: Points
    names: ClassVar = {source(name)[1]: name for name in _SCRIPTS}

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Run a script by its digest."""
        name = self.names.get(sha)
        if name is None:
            return super().evalsha(sha, numkeys, *keys_and_args)
        self.points.pass_(f"before {name}")
        try:
            answer = super().evalsha(sha, numkeys, *keys_and_args)
        except redis.exceptions.NoScriptError:
            answer = self.eval(source(name)[0], numkeys, *keys_and_args)
        self.points.pass_(f"after {name}")
        return answer


class WatchedHttp(PooledHttpClient):
    """A client that tells of every request before and after it was made."""

    points: Points

    def request(self, method: str, uri: str, *args: Any, **named: Any) -> Any:
        """Send a request."""
        name = f"{method} {uri.split('?', maxsplit=1)[0].rpartition('/')[2]}"
        self.points.pass_(f"before {name}")
        answer = super().request(method, uri, *args, **named)
        self.points.pass_(f"after {name}")
        return answer


class Rig:
    """One simulator, one Redis, any number of workers, and campaigns to work on."""

    def __init__(
        self, redis_url: str, simulator: SimulatorProcess, home: Path, *, quiet: bool = True, **settings: Any
    ) -> None:
        self.clock = ShiftedClock()
        self.points = Points()
        self.simulator = simulator
        self.home = home
        self.redis_url = redis_url
        self._clients: list[redis.Redis] = []
        self._https: list[WatchedHttp] = []
        self._dispatchers: dict[str, Dispatcher] = {}
        self.published: list[tuple[str, str, list[int]]] = []
        self.dead: set[str] = set()
        self.errors: list[OutreachError] = []
        if quiet:
            simulator.settings(**_QUIET)
        self.bench = self.worker("worker-1", **settings)
        self.ledger, self.registry = self.bench.ledger, self.bench.registry
        self.client = self._clients[0]

    def worker(
        self, owner: str, *, request_s: float = 20.0, base_url: str = "", **settings: Any
    ) -> Workbench:
        """Build a workbench as `wiring.build` does, with a clock and times of our own."""
        client = WatchedRedis.from_url(self.redis_url, retry=Retry(NoBackoff(), 0))
        client.points = self.points
        client.set_response_callback("TIME", self.clock.read_time)
        self._clients.append(client)
        chosen = Settings(
            **{
                "account_sid": ACCOUNT,
                "auth_token": SecretStr("token"),
                "twilio_base_url": self.simulator.url,
                "home": self.home,
                "settle_s": SETTLE_S,
                **settings,
            }
        )
        options = HttpOptions(base_url=base_url or self.simulator.url, connect_s=10.0, total_s=request_s)
        http = WatchedHttp(options, steady_clock, self.clock.wall_s)
        http.points = self.points
        self._https.append(http)
        tag, floors = chosen.account_tag, Floors()
        credentials = Credentials(account_sid=ACCOUNT, auth_token="token")
        return Workbench(
            settings=chosen,
            ledger=Ledger(client, tag, self.clock.now_ms, floors),
            registry=Registry(client, tag, self.clock.now_ms, floors),
            pacer=Pacer(client, prefix(tag), clock=steady_clock, sleep=loop.sleep),
            gateway=TwilioGateway(credentials, http, self.clock.wall_s),
            owner=owner,
            request_s=request_s,
            clock=steady_clock,
            sleep=loop.sleep,
            rng=Random(7),
        )

    def close(self) -> None:
        """Close the connections."""
        for client in (*self._clients, *self._https):
            client.close()

    # Campaigns ----------------------------------------------------------------------------------------------

    def campaign(
        self, people: Sequence[str], campaign_id: str = "spring-1", *, definition: str = "", **keys: Any
    ) -> str:
        """Load and start a campaign: an SMS to each number of `people`, unless `definition` says otherwise."""
        parsed = parse_definition(definition or sms(**keys), "campaign.toml")
        fields = {
            "name": parsed.name,
            "definition": parsed.canonical_json(),
            "columns": '["phone","name"]',
            "file": "customers.csv",
            "file_sha256": "0" * 64,
        }
        assert self.registry.create(campaign_id, fields).ok
        for first in range(0, len(people), BUCKET):
            part = people[first : first + BUCKET]
            prefix = "whatsapp:" if parsed.channel == "whatsapp" else ""
            rows = [
                LoadRow((one, "Ann"), pack_new(State.PENDING, address_hash(prefix + one))) for one in part
            ]
            assert self.ledger.load_rows(campaign_id, first + 1, rows).ok
        assert self.registry.start(campaign_id, len(people)).ok
        return campaign_id

    def info(self, campaign_id: str = "spring-1") -> CampaignInfo:
        """Read a campaign."""
        return self.registry.get(campaign_id)

    def row(self, number: int = 1, campaign_id: str = "spring-1") -> Row:
        """Read a row."""
        return self.ledger.get_row(campaign_id, number)

    def states(self, campaign_id: str = "spring-1") -> dict[str, int]:
        """Count the rows by state, as words."""
        return {state.name: n for state, n in self.info(campaign_id).counts.items() if n}

    # Working ------------------------------------------------------------------------------------------------

    def dispatch(self, bench: Workbench | None = None) -> list[tuple[str, str, list[int]]]:
        """Queue what is due; what was published."""
        found: list[tuple[str, str, list[int]]] = []
        worker = bench or self.bench
        dispatcher = self._dispatchers.setdefault(worker.owner, Dispatcher(worker))
        dispatcher.dispatch(lambda *task: found.append((task[0], task[1], list(task[2]))))
        self.published += found
        return found

    def work(self, found: Sequence[tuple[str, str, list[int]]], bench: Workbench | None = None) -> None:
        """Do what was published, as the tasks do."""
        for name, campaign_id, rows in found:
            if name == "reconcile_rows":
                self._guarded(reconcile_rows, bench or self.bench, campaign_id, rows)
            for row in rows if name == "send_rows" else ():
                self._guarded(send_row, bench or self.bench, campaign_id, row)

    def _guarded(self, act: Callable[..., T], *args: Any) -> T | None:
        """Go on where Redis is away for a moment, as the tasks and the tick do."""
        try:
            return act(*args)
        except OutreachError as error:
            self.errors.append(error)
            return None

    def step(self, bench: Workbench | None = None, *, unpaced: bool = True) -> int:
        """Do one round of a worker's tick and of the tasks that come of it; how many tasks."""
        worker = bench or self.bench
        errors, done = len(self.errors), 0
        for campaign_id in worker.registry.active():
            info = worker.registry.get(campaign_id)
            if info.state == "cancelled" and info.left:
                worker.ledger.cancel_rows(campaign_id)
            done += self._guarded(self._rescue, worker, campaign_id) or 0
            done += self._guarded(close_some, worker, campaign_id) or 0
        found = self._guarded(self.dispatch, worker) or []
        self.work(found, worker)
        if unpaced:
            self.forget_pace()
        return done + len(found) + len(self.errors) - errors

    def _rescue(self, worker: Workbench, campaign_id: str) -> int:
        return rescue(worker, campaign_id, broker_lag_ms=0, is_dead=lambda owner, _: owner in self.dead)

    def drive(
        self,
        *campaigns: str,
        bench: Workbench | None = None,
        jump: bool = True,
        unpaced: bool = True,
        timeout_s: float = 120.0,
        until: Callable[[], bool] | None = None,
    ) -> None:
        """Work until the campaigns are finished (or paused with nothing open) and all is closed that is to be.

        `jump`: where nothing is due, put the clock forward; otherwise wait for it.
        """
        names = campaigns or tuple(self.registry.active())
        deadline = time.monotonic() + timeout_s
        while not (until() if until else all(self._is_done(name) for name in names)):
            assert time.monotonic() < deadline, {name: self.states(name) for name in names}
            if self.step(bench, unpaced=unpaced):
                continue
            if jump:
                self._jump(names)
            else:
                time.sleep(0.02)

    def poll(self, bench: Workbench | None = None) -> int:
        """Ask for all deliveries and replies that are due, as the workers' tick and task do; how many looks that took."""
        worker, looked = bench or self.bench, 0
        for name in worker.ledger.polling():
            for taken in worker.ledger.take_polls(name, 100, 600_000):
                looked += receipts.poll(worker, name, taken).looked
        self.forget_pace()
        return looked

    def pass_s(self, seconds: float) -> None:
        """Let time pass, at Twilio as here."""
        self.clock.shift_ms += int(seconds * 1000)
        self.simulator.settings(clock_skew_s=self.clock.shift_ms / 1000)

    def writes(self, body: str, number: int = 1, author: str = "", campaign_id: str = "spring-1") -> None:
        """Have a row's customer, or another author, write into its conversation."""
        record, (customer, _) = self.row(number, campaign_id).record, self.row(number, campaign_id).cells
        with closing(self.calls()) as calls:
            path = messages_path(record.conversation_sid)
            assert calls.post(path, Author=author or customer, Body=body).status_code == 201

    def _is_done(self, campaign_id: str) -> bool:
        info = self.info(campaign_id)
        rests = info.left
        if info.state == "paused":
            rests -= info.counts[State.PENDING]
        return not rests and not self.ledger.to_close_count(campaign_id)

    def _jump(self, names: Collection[str]) -> None:
        dues: list[float] = []
        for name in names:
            for key in ("later", "closing", "lease") + (
                ("due",) if self.info(name).state == "running" else ()
            ):
                first = self.client.zrange(self.ledger.key(name, key), 0, 0, withscores=True)
                dues += [score for _, score in first]
            queued = self.client.zrange(self.ledger.key(name, "queued"), 0, 0, withscores=True)
            dues += [score + 5_000 for _, score in queued]
        assert dues, f"nothing is due, and rows are left: {[self.states(name) for name in names]}"
        self.clock.shift_ms += max(1, int(min(dues) - self.clock.now_ms()) + 1)

    def forget_pace(self) -> None:
        """Free every bucket, so that no test waits for another's slots."""
        for name in self.client.scan_iter(f"{self.ledger.prefix}pace:*"):
            self.client.delete(name)

    # Judging ------------------------------------------------------------------------------------------------

    def judge(self, *campaigns: str) -> None:
        """Hold what Twilio has against what the ledger says, for every row of the campaigns."""
        effects = self.simulator.journal()
        for campaign_id in campaigns or tuple(self.registry.ids()):
            info = self.info(campaign_id)
            for number, record, _, _ in self.ledger.iter_rows(campaign_id, info.rows):
                self._judge_row(campaign_id, number, record, effects)

    def _judge_row(
        self, campaign_id: str, number: int, record: Record, effects: Sequence[dict[str, Any]]
    ) -> None:
        prefix_of_keys = f"{campaign_id}:{number}:"
        mine = [one for one in effects if str(one.get("key", "")).startswith(prefix_of_keys)]
        messages = [one for one in mine if one["effect"] == "message"]
        closed = {one["interaction_sid"] for one in mine if one["effect"] == "interaction_closed"}
        ended = {one["conversation_sid"] for one in effects if one["effect"] == "conversation_closed"}
        opened = [one for one in mine if one["effect"] == "interaction"]
        left = [one for one in opened if one["interaction_sid"] not in closed]
        if record.state is State.ACCEPTED:
            assert [one["message_sid"] for one in messages] == [record.message_sid], (number, mine)
            assert messages[0]["customer_in"], number
            assert messages[0]["conversation_sid"] == record.conversation_sid, number
            if record.interaction_sid:
                assert [one["interaction_sid"] for one in left] == [record.interaction_sid], (number, mine)
                assert left[0]["customer_in"], number
                return
        elif record.state is not State.NEEDS_REVIEW:
            assert not messages, (number, record.state, mine)
        if record.state is not State.NEEDS_REVIEW and record.state.is_ended:
            assert not [one for one in left if one["conversation_sid"] not in ended], (number, left)

    def messages(self) -> Counter[str]:
        """Count the messages by key."""
        return Counter(one["key"] for one in self.simulator.journal("message"))

    def events(self, number: int = 1, campaign_id: str = "spring-1") -> list[Event]:
        """Give a row's story."""
        return [one.event for one in self.row(number, campaign_id).record.story]

    def calls(self) -> Calls:
        """Give a client of the simulator that acts for the same account."""
        return Calls(self.simulator.url, (ACCOUNT, "token"))


def phone(number: int) -> str:
    """Give the number of a customer who brings no trouble."""
    area, last = divmod(number, 50)
    return f"+1{_AREAS[area]}5550{100 + last}"


def trouble(last: int, area: int = 415) -> str:
    """Give the number of a customer whose last digits bring trouble (see the simulator's README)."""
    return f"+1{area}5550{last}"


def sms(
    *,
    pair_busy: str = "skip",
    pair_wait_max: str = "24h",
    pacing: str = "",
    message: str = BODY,
    sender: str = SENDER,
) -> str:
    """Give a definition that sends an SMS."""
    head = f'name = "spring"\nchannel = "sms"\nfrom = "{sender}"\nto = "{{{{ phone }}}}"\n'
    rule = f'pair_busy = "{pair_busy}"\npair_wait_max = "{pair_wait_max}"\n'
    return head + rule + ROUTING + message + (f"[pacing]\n{pacing}\n" if pacing else "")


def whatsapp() -> str:
    """Give a definition that sends a WhatsApp template."""
    head = f'name = "spring"\nchannel = "whatsapp"\nfrom = "whatsapp:{SENDER}"\nto = "{{{{ phone }}}}"\n'
    message = '[message]\nauthor = "Team"\ncontent_sid = "HX3a4b5c6d7e8f90123456789abcdef012"\n'
    variables = '[message.variables]\n1 = "{{ name }}"\n2 = "1 May"\n'
    return head + ROUTING + message + variables


def key(number: int = 1, send: int = 1, campaign_id: str = "spring-1") -> str:
    """Give a send's key."""
    return f"{campaign_id}:{number}:{send}"


def set_count(rig: Rig, state: State, count: int, campaign_id: str = "spring-1") -> None:
    """Have a campaign's count of a state say something else, as if it had so many rows."""
    rig.client.hset(rig.ledger.key(campaign_id), f"n{int(state)}", count)
