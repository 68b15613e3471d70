"""A model of all that may happen to a ledger: workers, operators, accidents and Twilio's side of the truth, in any order."""

import inspect
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

import redis
from builders import LEASE_MS, LedgerRig, load_row, opened_sids, sid
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from ledger_watch import Watch

from worker.ledger.ledger import Claim, Ledger
from worker.ledger.row import Record, Row
from worker.ledger.scripts import Reply
from worker.ledger.states import Delivery, Reason, State
from worker.pacing import Bucket, Granted, Pacer

IDS = ("autumn-1", "winter-2")
LATE = "later-3"
ROWS = 5
INVALID_ROW = 2
WORKED = (1, 3, 4, 5)
CAMPAIGN = st.sampled_from([*IDS, LATE])
ROW = st.sampled_from(WORKED)
OWNER = st.integers(1, 3)
CHOICE = st.integers(0, 9999)
CODES = (21211, 63016)
STOP_CODE = 63112
MAX_ATTEMPTS = 5
SUPPRESSED = ("sms|somebody",)
PACE = Bucket("interactions", 1e6)
"""A pace that holds nobody back: what a claim makes of its slot is looked at here, not when that is."""
S = State


@dataclass(frozen=True)
class Job:
    """What a worker has in hand: it believes that it holds this row until `until_ms`."""

    campaign: str
    row: int
    claim: Claim
    until_ms: int

    @property
    def place(self) -> tuple[str, int]:
        """Name the row."""
        return self.campaign, self.row


Call = Callable[[Ledger, Job], Reply]


def where(job: Job) -> tuple[str, int, str]:
    """Give the arguments with which every later write begins."""
    return job.campaign, job.row, job.claim.token


SAYS: dict[str, Call] = {
    "opened": lambda g, j: g.opened(*where(j), **opened_sids(990 + j.row)),
    "defer_opening": lambda g, j: g.defer_opening(*where(j), 0, 429),
    "give_up_slot": lambda g, j: g.give_up_slot(*where(j), 0),
    "reject_opening": lambda g, j: g.reject_opening(*where(j), CODES[0], stop=True),
    "skip_opening": lambda g, j: g.skip_opening(*where(j), Reason.PAIR_BUSY),
    "wait_opening": lambda g, j: g.wait_opening(*where(j), Reason.PAIR_BUSY, 0),
    "doubt_opening": lambda g, j: g.doubt_opening(*where(j), 0, 500),
    "wait_open": lambda g, j: g.wait_open(*where(j), 0),
    "use_conversation": lambda g, j: g.use_conversation(*where(j), sid("CH", 9)),
    "switch_interaction": lambda g, j: g.switch_interaction(*where(j), **opened_sids(990 + j.row)),
    "abandon_open": lambda g, j: g.abandon_open(*where(j), S.FAILED, CODES[0]),
    "claim_sending": lambda g, j: g.claim_sending(j.campaign, j.row, j.claim, sid("CH", 9)),
    "accepted": lambda g, j: g.accepted(*where(j), sid("IM", 9)),
    "defer_sending": lambda g, j: g.defer_sending(*where(j), 0, 429),
    "reject_sending": lambda g, j: g.reject_sending(*where(j), CODES[0], stop=True),
    "reopen_sending": lambda g, j: g.reopen_sending(*where(j), Reason.CONVERSATION_CLOSED, 0),
    "doubt_sending": lambda g, j: g.doubt_sending(*where(j), 0, 500),
    "look_again": lambda g, j: g.look_again(*where(j), 0, empty=True, code=0),
    "adopt_opening": lambda g, j: g.adopt_opening(*where(j), **opened_sids(990 + j.row)),
    "absent_opening": lambda g, j: g.absent_opening(*where(j), 0, max_attempts=1, code=0),
    "adopt_sent": lambda g, j: g.adopt_sent(
        *where(j), send=1, message=sid("IM", 9), conversation=sid("CH", 9), interaction=""
    ),
    "adopt_sending": lambda g, j: g.adopt_sending(*where(j), sid("IM", 9)),
    "absent_sending": lambda g, j: g.absent_sending(*where(j), 0, max_attempts=1, code=0),
    "review": lambda g, j: g.review(*where(j), 0),
    "owe_close": lambda g, j: g.owe_close(*where(j), sid("KD", 990), ""),
}
"""All that a holder may have to say of its row; a test keeps it complete."""


def methods_of_a_holder() -> set[str]:
    """Find the ledger's methods that only a row's holder may call."""
    named = {
        name: set(inspect.signature(method).parameters)
        for name, method in inspect.getmembers(Ledger)
        if inspect.isfunction(method)
    }
    taking = {"claim_opening", "take"}  # these make a holder
    return {name for name, parameters in named.items() if parameters & {"token", "claim"}} - taking


class LedgerMachine(RuleBasedStateMachine):
    """Three campaigns that want the same customers, three workers, an operator, and Twilio."""

    client: "ClassVar[redis.Redis]"
    watches: ClassVar[list[Watch]] = []
    # Of all runs together: a run that failed may go another way when it is tried again.
    packs: ClassVar[dict[str, list[str]]] = {}
    has_begun = False

    @initialize()
    def begin(self) -> None:
        self.client.flushall()
        self.rig = LedgerRig(self.client)
        self.ledger, self.registry = self.rig.ledger, self.rig.registry
        self.pacer = Pacer(self.client, self.ledger.prefix, clock=time.monotonic, sleep=time.sleep)
        self.watch = Watch(self.rig)
        self.watches.append(self.watch)
        self.jobs: dict[tuple[str, int], Job] = {}
        self.past_jobs: list[Job] = []
        self.answers: list[tuple[Job, State, Callable[[], Reply]]] = []
        # Twilio's side. Interactions: SID -> campaign, row and send, while it is open.
        self.messages: Counter[tuple[str, int, int]] = Counter()
        self.interactions: dict[str, tuple[str, int, int]] = {}
        self.numbers = 100
        self.client.hset(f"{self.ledger.prefix}dnc", SUPPRESSED[0], "{}")
        for name in IDS:
            self.rig.load(name, ROWS, {INVALID_ROW: S.INVALID})
        self.has_begun = True

    @property
    def names(self) -> list[str]:
        """List the campaigns that have started."""
        return [name for name, seen in self.watch.seen.items() if seen.fields["state"] != "loading"]

    # What workers do ----------------------------------------------------------------------------------------

    @rule(seed=st.integers(0, 2**32))
    def work(self, seed: int) -> None:
        """Go some steps on with some rows, whatever comes of each; evenly chosen, so that no way is rare."""
        chance = Random(seed)
        for name in IDS:
            if not self.registry.get(name).left and not self.ledger.to_close_count(name):
                self.begin_again(name)
        for _ in range(12):
            places = [(name, row) for name in self.names for row in WORKED if not self.is_stuck(name, row)]
            if not places:
                self.tick(chance.choice(self.names))
                continue
            campaign, row = chance.choice(places)
            for _ in range(chance.randrange(2, 7)):
                self.step(campaign, row, chance.randrange(1, 4), chance.randrange(9240))

    def is_stuck(self, campaign: str, row: int) -> bool:
        """Tell whether nothing can become of a row now: it was accepted, or only time takes it from its holder."""
        seen, job = self.watch.seen[campaign], self.jobs.get((campaign, row))
        is_alive = job is not None and self.rig.clock() < job.until_ms
        is_held = "token" in seen.hands.get(row, {})
        return seen.records[row].state is S.ACCEPTED or (is_held and not is_alive)

    @rule(seed=st.integers(0, 2**32))
    def work_more(self, seed: int) -> None:
        """As often as all else together: without it there is nothing to go wrong."""
        self.work(seed)

    def begin_again(self, name: str) -> None:
        """Forget a finished campaign and load it anew, so that there is always something to do."""
        self.client.delete(*self.client.scan_iter(f"{self.ledger.key(name)}*"))
        self.client.zrem(f"{self.ledger.prefix}campaigns", name)
        self.jobs = {place: job for place, job in self.jobs.items() if place[0] != name}
        self.past_jobs = [job for job in self.past_jobs if job.campaign != name]
        self.answers = [answer for answer in self.answers if answer[0].campaign != name]
        self.interactions = {each: whose for each, whose in self.interactions.items() if whose[0] != name}
        for place in [place for place in self.messages if place[0] == name]:
            del self.messages[place]
        self.watch.forget(name)
        self.rig.load(name, ROWS, {INVALID_ROW: S.INVALID})
        if self.numbers % 3 == 0:
            self.put_older_data_back(name)

    def step(self, campaign: str, row: int, owner: int, choice: int) -> None:
        here = self.rig.row(campaign, row)
        record, job = here.record, self.jobs.get((campaign, row))
        if record.state in (S.PENDING, S.QUEUED):
            self.take_up(campaign, row, owner, choice)
        elif record.state in (S.OPEN, S.DOUBT_OPENING, S.DOUBT_SENDING) and not here.hand.token:
            self.take(campaign, row, owner)
        elif record.state.is_ended:
            self.begin_anew(campaign, row)
        elif job is None or self.rig.clock() >= job.until_ms:
            return  # its holder is dead, or looks at its lease and does nothing
        else:
            assert here.hand.token == job.claim.token, "a holder with time left on its lease has lost its row"
            step = {S.OPENING: self.ask_for_interaction, S.OPEN: self.go_on, S.SENDING: self.ask_for_message}
            reply = step.get(record.state, self.look_up)(job, record, choice)
            assert reply is None or reply.ok, reply

    @rule(campaign=CAMPAIGN, row=ROW, owner=OWNER)
    def claim_what_others_have(self, campaign: str, row: int, owner: int) -> None:
        """A doubled message of the broker."""
        if campaign not in self.names:
            return
        before = self.rig.row(campaign, row)
        in_hand = dict(self.ledger.leases(campaign)).get(row, 0) > self.rig.clock()
        self.claim(campaign, row, owner)
        self.take(campaign, row, owner)
        if in_hand or before.state is S.PENDING or before.state.is_ended:
            assert self.rig.row(campaign, row) == before

    @rule(at=CHOICE)
    def wake_too_late(self, at: int) -> None:
        """A holder that has lost its row, or has given it back, writes all it could have to say."""
        job = self.past_jobs[at % len(self.past_jobs)] if self.past_jobs else None
        if job and self.rig.row(*job.place[:2]).hand.token != job.claim.token:
            for say in SAYS.values():
                assert not say(self.ledger, job).ok

    @rule(at=CHOICE)
    def repeat(self, at: int) -> None:
        """A claim's answer was lost on the way, and it is made again."""
        job = self.jobs[list(self.jobs)[at % len(self.jobs)]] if self.jobs else None
        if job is None:
            return
        before = self.rig.row(*job.place)
        again: dict[State, Callable[[], Reply]] = {
            S.OPENING: lambda: self.ledger.claim_opening(
                *job.place, job.claim, self.rig.pair(job.row), before.hand.version
            ),
            S.SENDING: lambda: self.ledger.claim_sending(
                *job.place, job.claim, before.record.conversation_sid
            ),
        }
        if before.state in again and before.hand.token == job.claim.token:
            assert again[before.state]().ok
            assert self.rig.row(*job.place) == before
            self.hold(Job(*job.place, job.claim, self.rig.clock() + LEASE_MS))

    @rule(at=CHOICE)
    def answer_comes_late(self, at: int) -> None:
        """Twilio's answer is written down whenever it comes: only by who still holds the row, in the state it was in."""
        if not self.answers:
            return
        job, state, say = self.answers.pop(at % len(self.answers))
        here = self.rig.row(*job.place)
        holds = here.hand.token == job.claim.token and here.state is state
        assert say().ok is holds

    def take_up(self, campaign: str, row: int, owner: int, choice: int) -> None:
        if self.rig.state(campaign, row) is S.PENDING:
            if choice % 4:
                self.tick(campaign)
            self.dispatch(campaign, fresh=4, old=4)
        if self.rig.state(campaign, row) is not S.QUEUED:
            return
        ways = [*["claim"] * 9, "skip", "fail", "later", "waits", "cancelled", "all cancelled", "suppressed"]
        match self.deal("take up", ways, choice):
            case "skip":
                assert self.ledger.end_queued(campaign, row, S.SKIPPED, Reason.SUPPRESSED).ok
            case "fail":
                assert self.ledger.end_queued(campaign, row, S.FAILED, Reason.INVALID).ok
            case "later":
                assert self.ledger.defer_queued(campaign, row, 3000).ok
            case "waits":
                assert self.ledger.defer_queued(campaign, row, 3000, Reason.PAIR_BUSY, waits=True).ok
            case "cancelled":
                self.registry.cancel(campaign)
                self.claim(campaign, row, owner)
            case "suppressed":
                self.claim(campaign, row, owner, SUPPRESSED)
                assert self.rig.state(campaign, row) in (S.SKIPPED, S.PENDING, S.CANCELLED)
            case "all cancelled":
                self.registry.cancel(campaign)
                self.ledger.cancel_rows(campaign)
            case _:
                self.claim(campaign, row, owner)

    def deal(self, which: str, ways: list[str], choice: int) -> str:
        """Choose a way as from a pack of cards, so that none is rare."""
        pack = self.packs.setdefault(which, [])
        if not pack:
            pack += Random(choice).sample(ways, len(ways))
        return pack.pop()

    def tick(self, campaign: str) -> None:
        """What a worker's tick does by and by, so that not everything waits for it."""
        self.pass_time(31_000)
        for name in self.names:
            seen = self.watch.seen[name]
            if seen.fields["state"] == "cancelled":
                self.ledger.cancel_rows(name, 2)
            if seen.indexes["queued"] or seen.indexes["lease"] or seen.indexes["back"]:
                self.rescue(name, 5000, 4)
            if seen.close:
                self.close(name, 0 if self.rig.clock() // 1000 % 3 else 5, rests=True)
        if self.watch.seen[campaign].fields["state"] == "paused":
            self.registry.resume(campaign)

    def claim(self, campaign: str, row: int, owner: int, contact: Sequence[str] = ()) -> None:
        job = self.new_job(campaign, row, owner)
        version = self.registry.get(campaign).version
        pair = self.rig.pair(row)
        slot = self.pacer.order([PACE])
        claimed = self.ledger.claim_opening(
            campaign, row, job.claim, pair, version, contact=contact, slot=slot
        )
        assert claimed.why != "wait"
        if claimed.ok:
            assert isinstance(self.pacer.read(slot, claimed.values[-1]), Granted)
            assert self.registry.get(campaign).state == "running"
            self.hold(job)

    def take(self, campaign: str, row: int, owner: int) -> None:
        job = self.new_job(campaign, row, owner)
        if self.ledger.take(campaign, row, job.claim).ok:
            self.hold(job)

    def record(self, job: Job) -> Record:
        return self.rig.row(*job.place).record

    def new_job(self, campaign: str, row: int, owner: int) -> Job:
        return Job(campaign, row, self.rig.claim(f"worker-{owner}"), self.rig.clock() + LEASE_MS)

    def hold(self, job: Job) -> None:
        self.jobs[job.place] = job
        self.past_jobs.append(job)

    # What Twilio does ---------------------------------------------------------------------------------------

    def check_intent(self, job: Job, state: State) -> None:
        """A request leaves only where the ledger holds its intent: the state, this holder, a lease and the pair."""
        here = self.rig.row(*job.place)
        leases = dict(self.ledger.leases(job.campaign))
        assert (here.state, here.hand.token, here.hand.owner) == (state, job.claim.token, job.claim.owner)
        assert leases[job.row] == job.until_ms > self.rig.clock()
        assert here.hand.began <= self.rig.clock()
        lock = self.client.get(self.rig.pair(job.row))
        assert lock == f"{self.ledger.key(job.campaign)}:{job.row}".encode()

    def create_interaction(self, job: Job) -> dict[str, str]:
        self.check_intent(job, S.OPENING)
        self.numbers += 1
        sids = opened_sids(self.numbers)
        self.interactions[sids["interaction"]] = (*job.place, self.record(job).send)
        return sids

    def own(self, campaign: str, row: int, send: int) -> list[str]:
        return [each for each, name in self.interactions.items() if name == (campaign, row, send)]

    def send_message(self, job: Job) -> None:
        self.check_intent(job, S.SENDING)
        name = (*job.place, self.record(job).send)
        self.messages[name] += 1
        assert self.messages[name] == 1, "a second message"

    def ask_for_interaction(self, job: Job, record: Record, choice: int) -> Reply | None:
        ledger = self.ledger
        ways = [
            "lost",
            "done_lost",
            "silent",
            "done_silent",
            "late_answer",
            "code",
            "stop",
            "429",
            "late",
            "skip",
            "shown",
        ]
        how = self.deal("opening", [*["ok"] * 8, *ways, "wait", "ours", "use"], choice)
        code = STOP_CODE if how == "stop" else CODES[choice % 2]
        if how in ("ok", "done_lost", "done_silent", "late_answer", "ours"):
            # A second one of the same key is owed its closing; it is the first that has the customer.
            left = set(self.own(*job.place, record.send)) - set(self.watch.seen[job.campaign].close)
            assert not left, "an earlier Interaction of the row is still open"
            sids = self.create_interaction(job)
            if how == "ok":
                return ledger.opened(*where(job), **sids)
            if how == "ours":  # 50416 named it
                return ledger.adopt_opening(*where(job), **sids)
            if how == "late_answer":
                self.answers.append((job, S.OPENING, lambda: ledger.opened(*where(job), **sids)))
        match how:
            case "lost" | "done_lost":
                return ledger.doubt_opening(*where(job), 2000, 500)
            case "shown":  # a message that was called absent, before another was asked for
                return self.find_sent(job, record)
            case "code" | "stop":
                return ledger.reject_opening(*where(job), code, stop=how == "stop")
            case "429":
                return ledger.defer_opening(*where(job), 5000, 429)
            case "late":
                return ledger.give_up_slot(*where(job), 0)
            case "skip":
                return ledger.skip_opening(*where(job), Reason.PAIR_BUSY)
            case "wait":
                return ledger.wait_opening(*where(job), Reason.PAIR_BUSY, 4000)
            case "use":
                return ledger.use_conversation(*where(job), sid("CH", 9))
        self.jobs.pop(job.place)  # for now it is not heard of again
        return None

    def go_on(self, job: Job, record: Record, choice: int) -> Reply | None:
        ledger = self.ledger
        if self.rig.row(*job.place).hand.lost and self.messages[*job.place, record.send]:
            return ledger.adopt_sending(*where(job), sid("IM", job.row))  # the last look shows it
        ways = [
            "wait",
            "fail",
            "fail",
            "stop",
            "skip",
            "anew",
            "anew",
            "use",
            "use",
            "switch",
            "same",
            "silent",
            "suppressed",
        ]
        match self.deal("open", [*["send"] * 9, *ways], choice):
            case "send":
                conversation = record.conversation_sid or sid("CH", 7)
                reply = ledger.claim_sending(
                    *job.place, job.claim, conversation, slot=self.pacer.order([PACE])
                )
                if reply.why == "cautious":  # it is looked up first
                    self.jobs.pop(job.place)
                    return None
                self.hold(Job(*job.place, job.claim, self.rig.clock() + LEASE_MS))
                return reply
            case "suppressed":
                assert not ledger.claim_sending(*job.place, job.claim, "", contact=SUPPRESSED).ok
                self.jobs.pop(job.place)
                return None
            case "silent":
                self.jobs.pop(job.place)
                return None
            case "wait":
                return ledger.wait_open(*where(job), 2000, counted=True, seen=choice % 2 == 0)
            case "use":
                return ledger.use_conversation(*where(job), sid("CH", 9))
            case "switch" if record.interaction_sid:
                self.numbers += 1  # another one of the row's own key holds the customer
                sids = opened_sids(self.numbers)
                self.interactions[sids["interaction"]] = (*job.place, record.send)
                return ledger.switch_interaction(*where(job), **sids)
            case "same" if record.interaction_sid:
                return ledger.switch_interaction(
                    *where(job), **opened_sids(int(record.interaction_sid[2:], 16))
                )
            case "anew":
                return ledger.abandon_open(
                    *where(job), S.PENDING, Reason.PAIR_BUSY, due_in_ms=3000, waits=True
                )
            case "skip":
                return ledger.abandon_open(*where(job), S.SKIPPED, Reason.PAIR_BUSY)
            case "stop":
                return ledger.abandon_open(*where(job), S.FAILED, STOP_CODE, stop=True)
        return ledger.abandon_open(*where(job), S.FAILED, CODES[choice % 2])

    def ask_for_message(self, job: Job, record: Record, choice: int) -> Reply | None:
        ledger = self.ledger
        ways = ["lost", "done_lost", "silent", "done_silent", "late_answer", "code", "stop", "429", "late"]
        how = self.deal("sending", ["ok", "ok", "reopen", "lost", *ways], choice)
        if how in ("ok", "done_lost", "done_silent", "late_answer"):
            self.send_message(job)
        match how:
            case "ok":
                return ledger.accepted(*where(job), sid("IM", job.row))
            case "late_answer":
                say: Callable[[], Reply] = lambda: ledger.accepted(*where(job), sid("IM", job.row))  # noqa: E731
                self.answers.append((job, S.SENDING, say))
            case "lost" | "done_lost":
                return ledger.doubt_sending(*where(job), 2000, 500)
            case "code" | "stop":
                code = STOP_CODE if how == "stop" else CODES[choice % 2]
                return ledger.reject_sending(*where(job), code, stop=how == "stop")
            case "429":
                return ledger.defer_sending(*where(job), 4000, 429)
            case "late":
                return ledger.give_up_slot(*where(job), 0)
            case "reopen":
                return ledger.reopen_sending(*where(job), Reason.CONVERSATION_CLOSED, 1000)
        self.jobs.pop(job.place)
        return None

    def look_up(self, job: Job, record: Record, choice: int) -> Reply | None:
        most = MAX_ATTEMPTS
        name = (*job.place, record.send)
        looks = self.watch.seen[job.campaign].hands[job.row].get("looking")
        if looks and not self.own(*name) and choice % 4 == 0:
            return self.find_sent(job, record)
        if record.state is S.DOUBT_SENDING and not self.messages[name] and choice % 4 == 1:
            self.come_near_the_breaker(job.campaign, Reason.NO_ANSWER)
            return self.settle(job, record, 1)
        ways = ["again", "empty", "review", "review", "sent", "closed", "given up", "given up", "settle"]
        ways += [*["lags", "breaks"] * 3, "silent"]
        match self.deal(record.state.name, ways, choice):
            case "again" | "empty" as how:
                return self.ledger.look_again(*where(job), 5000, empty=how == "empty", code=503)
            case "review":
                return self.ledger.review(*where(job), Reason.LOOKUPS_FAILED)
            case "closed" if record.state is S.DOUBT_OPENING and not self.own(*job.place, record.send):
                self.numbers += 1  # its conversation was closed
                assert self.ledger.owe_close(*where(job), sid("KD", self.numbers), "").ok
            case "lags" if record.state is S.DOUBT_SENDING and record.attempts < MAX_ATTEMPTS:
                # Absent, as far as look-ups show that lag behind.
                return self.ledger.absent_sending(*where(job), 1000, max_attempts=MAX_ATTEMPTS, code=0)
            case "sent" if self.messages[name]:
                return self.find_sent(job, record)
            case "breaks":
                most = 1
                self.come_near_the_breaker(job.campaign, Reason.NO_ANSWER)
            case "given up":
                most = 1
            case "silent":
                self.jobs.pop(job.place)
                return None
        return self.settle(job, record, most)

    def find_sent(self, job: Job, record: Record) -> Reply:
        """Find a message that the ledger may know nothing of: it is older than what was sent."""
        name, interaction = (*job.place, record.send), record.interaction_sid
        if not self.messages[name]:
            self.messages[name] += 1
            self.numbers += 1
            interaction = sid("KD", self.numbers)
            self.interactions[interaction] = name
        found = {
            "message": sid("IM", job.row),
            "conversation": sid("CH", self.numbers),
            "interaction": interaction,
        }
        return self.ledger.adopt_sent(*where(job), send=record.send, **found)

    def settle(self, job: Job, record: Record, max_attempts: int = MAX_ATTEMPTS) -> Reply:
        """Look at Twilio: what is found there is the truth."""
        given_up = {"max_attempts": max_attempts, "code": Reason.NO_ANSWER}
        if record.state is S.DOUBT_SENDING:
            if self.messages[*job.place, record.send]:
                return self.ledger.adopt_sending(*where(job), sid("IM", job.row))
            return self.ledger.absent_sending(*where(job), 1000, **given_up)
        close = self.watch.seen[job.campaign].close
        found = [each for each in self.own(*job.place, record.send) if each not in close]
        if not found:
            return self.ledger.absent_opening(*where(job), 1000, **given_up)
        self.numbers += 1  # a stopped worker's second one
        other = opened_sids(self.numbers)
        self.interactions[other["interaction"]] = (*job.place, record.send)
        others = [(found[0], ""), (other["interaction"], other["channel"])]
        return self.ledger.adopt_opening(*where(job), **opened_sids(int(found[0][2:], 16)), others=others)

    # What upkeep, operators and time do ---------------------------------------------------------------------

    @rule(ms=st.sampled_from([1, 900, 5000, 31_000, 61_000]))
    def pass_time(self, ms: int) -> None:
        self.rig.clock.pass_ms(ms)

    @rule(campaign=CAMPAIGN, fresh=st.integers(0, 3), old=st.integers(0, 4))
    def dispatch(self, campaign: str, fresh: int, old: int) -> None:
        if campaign not in self.watch.seen:
            return
        state = self.registry.get(campaign).state
        due = self.ledger.dispatch(campaign, fresh=fresh, old=old)
        assert not due.fresh or state == "running"
        assert len(due.fresh) <= fresh
        assert len(due.open) + len(due.doubt) <= old

    @rule(campaign=CAMPAIGN, older_ms=st.sampled_from([0, 0, 5000]), most=st.integers(1, 4))
    def rescue(self, campaign: str, older_ms: int, most: int) -> None:
        if campaign not in self.names:
            return
        self.ledger.rescue_queued(campaign, older_ms=older_ms, most=most)
        for row, until in self.ledger.leases(campaign):
            over = until <= self.rig.clock()
            assert self.ledger.expire(campaign, row, 2000, Reason.WORKER_LOST).ok is over

    @rule(owner=OWNER)
    def die(self, owner: int) -> None:
        """A worker is known to be dead: it does nothing any more, and its rows are taken from it at once."""
        name = f"worker-{owner}"
        self.jobs = {place: job for place, job in self.jobs.items() if job.claim.owner != name}
        self.answers = [answer for answer in self.answers if answer[0].claim.owner != name]
        for campaign in self.names:
            for row, until in self.ledger.leases(campaign):
                held = self.ledger.owners(campaign, [row]) == [name] or until <= self.rig.clock()
                assert self.ledger.expire(campaign, row, 2000, Reason.WORKER_LOST, owner=name).ok is held

    @rule(campaign=CAMPAIGN, how=st.integers(0, 5), rests=st.booleans())
    def close(self, campaign: str, how: int, *, rests: bool) -> None:
        for each in self.ledger.to_close(campaign, most=2):
            sid_ = each.interaction_sid
            match how:
                case 0 | 1 | 2:
                    self.interactions.pop(sid_, None)
                    self.ledger.closed(campaign, sid_, done=True)
                case 3:
                    self.ledger.closed(campaign, sid_, due_in_ms=5000, refused=403)
                case 4:  # somebody ends it by hand
                    self.interactions.pop(sid_, None)
                    self.ledger.closed(campaign, sid_, refused=403, given_up=True)
                    assert sid_ in self.watch.seen[campaign].unclosed
                case 5:
                    self.ledger.closed(campaign, sid_, due_in_ms=5000)
        if rests:
            self.registry.set_active(campaign, active=False)

    @rule(campaign=CAMPAIGN, choice=st.integers(0, 11))
    def operate(self, campaign: str, choice: int) -> None:
        """Pause, resume and, less often, cancel."""
        if choice < 4:
            self.registry.pause(campaign, "operator")
        elif choice < 7:
            self.registry.cancel(campaign)
            self.ledger.cancel_rows(campaign, choice - 4)
        else:
            self.registry.resume(campaign)

    @rule(campaign=CAMPAIGN, code=st.sampled_from([*CODES, Reason.NO_ANSWER]))
    def come_near_the_breaker(self, campaign: str, code: int) -> None:
        """One more rejection with this code, and the breaker opens."""
        for name in self.names if campaign in self.names else ():
            self.client.hset(self.ledger.key(name), mapping={"streak_code": int(code), "streak_n": 999})
        self.watch.look()

    @rule(campaign=CAMPAIGN)
    def put_older_data_back(self, campaign: str) -> None:
        """Somebody has seen this campaign further than Redis knows: each row is looked up before it is sent."""
        if campaign in self.names:
            key, fields = self.ledger.key(campaign), self.watch.seen[campaign].fields
            self.ledger.scripts.floors.note(key, fields["born"], int(fields["seq"]) + 50)
            assert self.ledger.scripts.run("heed", (key,), {}).ok
            assert int(self.watch.seen[campaign].fields["cautious"]) == int(fields["seq"]) + 51

    @rule(campaign=CAMPAIGN, is_present=st.booleans())
    def change_definition(self, campaign: str, *, is_present: bool) -> None:
        """Change the definition; only by who has compared it with the present one."""
        if campaign in self.names:
            version = self.registry.get(campaign).version
            said = self.registry.update_definition(campaign, f'"{version}"', version - (not is_present))
            assert said.ok is is_present
            assert self.registry.get(campaign).version == version + is_present

    @rule(choice=st.integers(0, 5))
    def load_another(self, choice: int) -> None:
        """A third campaign is loaded, a step at a time, by whoever; or thrown away before it has begun."""
        seen = self.watch.seen.get(LATE)
        if seen is None:
            fields = {"name": "later", "definition": "{}", "columns": '["phone"]', "file_sha256": "1" * 64}
            assert self.registry.create(LATE, fields).ok
            assert not self.registry.create(LATE, fields).ok
        elif seen.fields["state"] == "loading" and choice == 5:
            self.registry.discard(LATE)
            assert not list(self.client.scan_iter(f"{self.ledger.key(LATE)}*"))
        elif seen.fields["state"] == "loading" and not seen.records:
            assert not self.registry.start(LATE, ROWS).ok
            rows = [
                load_row(row, S.INVALID if row == INVALID_ROW else S.PENDING) for row in range(1, ROWS + 1)
            ]
            assert self.ledger.load_rows(LATE, 1, rows).ok
            assert not self.ledger.load_rows(LATE, 1, rows).ok
        elif seen.fields["state"] == "loading":
            assert self.registry.start(LATE, ROWS).ok
        else:
            self.registry.discard(LATE)  # it has started: nothing of it goes

    @rule(campaign=CAMPAIGN, row=ROW)
    def begin_anew(self, campaign: str, row: int) -> None:
        """Retry a row that failed; settle one that needs review, with the truth."""
        if campaign not in self.names:
            return
        info, record = self.registry.get(campaign), self.rig.row(campaign, row).record
        reply = self.ledger.new_send(campaign, row, record.send)
        blocked = info.state == "cancelled" and info.left > 0
        is_lost = record.state is S.ACCEPTED and record.delivery.is_lost
        assert reply.ok is ((record.state is S.FAILED or is_lost) and not blocked)
        name = (campaign, row, record.send)
        if record.state is S.NEEDS_REVIEW and row % 2:
            assert self.ledger.verdict(*name, "sent", code=Reason.SENT_SAYS_OPERATOR).ok
        if self.messages[name]:
            reply = self.ledger.verdict(*name, "sent", message=sid("IM", row), conversation=sid("CH", 7))
        else:
            if record.state is S.NEEDS_REVIEW and row == ROWS:
                self.registry.cancel(campaign)
            reply = self.ledger.verdict(*name, "not_sent")
            for each in self.own(*name) if reply.ok else ():
                if each != record.interaction_sid:
                    del self.interactions[each]  # one that was never seen: the operator has closed it
        assert reply.ok is (record.state is S.NEEDS_REVIEW)

    @rule(campaign=CAMPAIGN, row=ROW, choice=CHOICE)
    def hear(self, campaign: str, row: int, choice: int) -> None:
        """News of what was sent, in any order, of any send, and of what never was."""
        if campaign not in self.names:
            return
        record = self.rig.row(campaign, row).record
        delivery = list(Delivery)[1 + choice % 5]
        if record.state is S.ACCEPTED:
            reply = self.ledger.note_delivery(campaign, row, record.message_sid, delivery, CODES[choice % 2])
            assert reply.ok is (delivery > record.delivery)
        assert not self.ledger.note_delivery(campaign, row, sid("IM", 999), delivery).ok
        reply = self.ledger.note_answer(campaign, row, self.rig.clock() - 1000)
        assert reply.ok is (record.answered_at is None)
        if choice % 3 == 0 and self.rig.row(campaign, row).record.delivery.is_lost:
            self.begin_anew(campaign, row)

    # What always holds, beside what is watched after every script -------------------------------------------

    @invariant()
    def every_interaction_is_used_or_to_be_closed(self) -> None:
        """Every Interaction that is open at Twilio is a live row's own, or noted to be closed, or still in doubt."""
        for each, (name, row, send) in self.interactions.items():
            seen = self.watch.seen[name]
            present = seen.records[row]
            (whose,) = [one for one in [*seen.past.get(row, []), present] if one.send == send]
            kept = whose.interaction_sid == each
            live = kept and whose is present and not whose.state.is_ended
            settled = kept and whose.state in (S.ACCEPTED, S.NEEDS_REVIEW)
            unseen = whose.interaction_sid == "" and whose.state in (
                S.OPENING,
                S.DOUBT_OPENING,
                S.NEEDS_REVIEW,
            )
            owed = each in seen.close
            assert owed or live or settled or unseen, (each, name, row, whose)
            assert not (owed and live), "a live row's Interaction is to be closed"

    # How it ends ---------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Whatever happened, somebody comes for every row: left to themselves, all campaigns come to an end."""
        if not self.has_begun:
            return
        self.jobs = {}
        for _ in range(60):
            for name in self.names:
                self.work_off(name)
            self.rig.clock.pass_ms(61_000)
            if not any(
                self.registry.get(name).left or self.ledger.to_close_count(name) for name in self.names
            ):
                break
        self.every_interaction_is_used_or_to_be_closed()
        for name in self.names:
            assert not self.registry.get(name).left, self.registry.get(name).counts
            for suffix in ("hand", "due", "later", "queued", "lease", "closing", "close", "back"):
                assert not self.client.exists(self.ledger.key(name, suffix)), suffix
        assert not list(self.client.scan_iter(f"{self.ledger.prefix}pair:*"))
        for name in self.names:
            self.registry.set_active(name, active=False)
        assert not set(self.registry.active()) & set(self.names), "finished, and in the tick's sight"

    def work_off(self, name: str) -> None:
        self.registry.resume(name)
        if self.registry.get(name).state == "cancelled":
            self.ledger.cancel_rows(name, 2)
        for row, until in self.ledger.leases(name):
            if until <= self.rig.clock():
                assert self.ledger.expire(name, row, 0, Reason.WORKER_LOST).ok
        self.ledger.rescue_queued(name, older_ms=60_000)
        due = self.ledger.dispatch(name, fresh=ROWS, old=ROWS)
        for row in due.fresh:
            job = self.new_job(name, row, 1)
            if self.ledger.claim_opening(name, row, job.claim, self.rig.pair(row)).ok:
                sids = self.create_interaction(job)
                assert self.ledger.opened(*where(job), **sids).ok
                self.send(job)
        for row in (*due.open, *due.doubt):
            job = self.new_job(name, row, 1)
            if self.ledger.take(name, row, job.claim).ok:
                if row in due.open:
                    self.send(job)
                    continue
                assert self.settle(job, self.record(job)).ok
                here: Row = self.rig.row(name, row)
                if here.state is S.OPEN and here.hand.token == job.claim.token:
                    self.send(job)
        for each in self.ledger.to_close(name):
            self.interactions.pop(each.interaction_sid, None)
            assert self.ledger.closed(name, each.interaction_sid, done=True).ok

    def send(self, job: Job) -> None:
        if self.rig.row(*job.place).hand.lost and self.messages[*job.place, self.record(job).send]:
            assert self.ledger.adopt_sending(*where(job), sid("IM", job.row)).ok
            return
        reply = self.ledger.claim_sending(*job.place, job.claim, sid("CH", 7))
        if reply.why == "cautious":
            return
        assert reply.ok
        self.send_message(job)
        assert self.ledger.accepted(*where(job), sid("IM", job.row)).ok


def driven(watches: list[Watch]) -> set[str]:
    """Tell from which states and to which every script has moved rows."""
    sources = {
        f"{name}: from {one.name}" for each in watches for name in each.sources for one in each.sources[name]
    }
    targets = {
        f"{name}: to {one.name}" for each in watches for name in each.targets for one in each.targets[name]
    }
    return sources | targets


def walk(machine: LedgerMachine, chance: Random) -> Iterator[None]:
    """Go on with one machine, mostly at work; stops after each step."""
    machine.begin()
    others: list[Callable[[str, int], None]] = [
        lambda campaign, row: machine.pass_time(61_000),
        lambda campaign, row: machine.rescue(campaign, 0, 4),
        lambda campaign, row: machine.die(chance.randrange(1, 4)),
        lambda campaign, row: machine.close(campaign, chance.randrange(6), rests=True),
        lambda campaign, row: machine.operate(campaign, chance.randrange(12)),
        machine.begin_anew,
        lambda campaign, row: machine.wake_too_late(chance.randrange(10_000)),
        lambda campaign, row: machine.repeat(chance.randrange(10_000)),
        lambda campaign, row: machine.answer_comes_late(chance.randrange(10_000)),
        lambda campaign, row: machine.put_older_data_back(campaign),
        lambda campaign, row: machine.change_definition(campaign, is_present=chance.random() < 0.5),
        lambda campaign, row: machine.load_another(chance.randrange(6)),
        lambda campaign, row: machine.claim_what_others_have(campaign, row, 1),
    ]
    while True:
        machine.work(chance.getrandbits(32))
        chance.choice(others)(chance.choice(IDS), chance.choice(WORKED))
        if chance.random() < 0.2:
            machine.wake_too_late(chance.randrange(10_000))
        campaign = chance.choice(IDS)
        for row in WORKED if chance.random() < 0.3 else ():
            machine.hear(campaign, row, chance.randrange(10_000))
        machine.every_interaction_is_used_or_to_be_closed()
        yield
