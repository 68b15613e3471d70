"""Let workers, operators and accidents act on two campaigns in any order: the ledger's promises hold after each step."""

import json
from collections import defaultdict
from dataclasses import dataclass
from random import Random

import pytest
import redis
from builders import LEASE_MS, LedgerRig, opened_sids, sid
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from worker.ledger.ledger import Claim
from worker.ledger.registry import CampaignInfo
from worker.ledger.row import Record
from worker.ledger.scripts import Reply
from worker.ledger.states import Event, Reason, State

IDS = ("autumn-1", "winter-2")
ROWS = 7
INVALID_ROW = 2
CAMPAIGN = st.sampled_from(IDS)
ROW = st.sampled_from([1, 3, 4, 5, 6, 7])
OWNER = st.integers(1, 3)
CHOICE = st.integers(0, 9999)
CODES = (21211, 63016)
STOP_CODE = 63112
MAX_ATTEMPTS = 5
S = State
IN_HAND = (S.OPENING, S.SENDING, S.OPEN, S.DOUBT_OPENING, S.DOUBT_SENDING)
INDEXES = ("due", "queued", "later", "lease")
PLACES = {
    S.PENDING: {"due", "cursor"},
    S.QUEUED: {"queued"},
    S.OPENING: {"lease"},
    S.SENDING: {"lease"},
}


@dataclass(frozen=True)
class Job:
    """What a worker has in hand: it believes that it holds this row until `until_ms`."""

    campaign: str
    row: int
    claim: Claim
    until_ms: int


@dataclass(frozen=True)
class Seen:
    """A campaign as it stands after a step."""

    info: CampaignInfo
    records: dict[int, Record]
    past: dict[int, list[Record]]
    indexes: dict[str, set[int]]
    hands: set[int]
    held: set[int]
    owed: dict[bytes, bytes]


class LedgerMachine(RuleBasedStateMachine):
    """Two campaigns that want the same customers, three workers, an operator, and Twilio's side of the truth."""

    client: "redis.Redis"

    @initialize()
    def begin(self) -> None:
        self.client.flushall()
        self.rig = LedgerRig(self.client)
        self.ledger, self.registry = self.rig.ledger, self.rig.registry
        for name in IDS:
            self.rig.load(name, ROWS, {INVALID_ROW: S.INVALID})
        self.jobs: dict[tuple[str, int], Job] = {}
        self.past_jobs: list[Job] = []
        self.messages: dict[tuple[str, int, int], int] = defaultdict(int)
        # Twilio's: SID -> campaign, row and send, while it is open.
        self.interactions: dict[str, tuple[str, int, int]] = {}
        self.seen: dict[str, Seen] = {}
        self.ended: dict[tuple[str, int, int], Record] = {}
        self.numbers = 100

    # What workers do ----------------------------------------------------------------------------------------

    @rule(seed=st.integers(0, 2**32))
    def work(self, seed: int) -> None:
        """Go some steps on with some rows, whatever comes of each; evenly chosen, so that no way is rare."""
        chance = Random(seed)
        for _ in range(3):
            campaign, row = chance.choice(IDS), chance.choice([1, 3, 4, 5, 6, 7])
            for _ in range(chance.randrange(2, 7)):
                self.step(campaign, row, chance.randrange(1, 4), chance.randrange(9240))

    def step(self, campaign: str, row: int, owner: int, choice: int) -> None:
        record, hand = self.rig.row(campaign, row).record, self.rig.row(campaign, row).hand
        job = self.jobs.get((campaign, row))
        if record.state in (S.PENDING, S.QUEUED):
            self.take_up(campaign, row, owner, choice)
        elif record.state in (S.OPEN, S.DOUBT_OPENING, S.DOUBT_SENDING) and not hand.token:
            self.take(campaign, row, owner)
        elif record.state.is_ended:
            self.begin_anew(campaign, row)
        elif job is None or self.rig.clock() >= job.until_ms:
            return  # its holder is dead, or looks at its lease and does nothing
        else:
            assert hand.token == job.claim.token, "a holder with time left on its lease has lost its row"
            step = {S.OPENING: self.ask_for_interaction, S.OPEN: self.go_on, S.SENDING: self.ask_for_message}
            reply = step.get(record.state, self.look_up)(job, record, choice)
            assert reply is None or reply.ok, reply

    @rule(campaign=CAMPAIGN, row=ROW, owner=OWNER)
    def claim_what_others_have(self, campaign: str, row: int, owner: int) -> None:
        """A doubled message of the broker."""
        before = self.rig.row(campaign, row)
        in_hand = dict(self.ledger.leases(campaign)).get(row, 0) > self.rig.clock()
        self.claim(campaign, row, owner)
        self.take(campaign, row, owner)
        if in_hand or before.state is S.PENDING or before.state.is_ended:
            assert self.rig.row(campaign, row) == before

    @rule(at=CHOICE)
    def wake_too_late(self, at: int) -> None:
        """A holder that has lost its row, or has given it back, writes all it could have to say."""
        if not self.past_jobs:
            return
        job = self.past_jobs[at % len(self.past_jobs)]
        if self.rig.row(job.campaign, job.row).hand.token == job.claim.token:
            return
        where, ledger = (job.campaign, job.row, job.claim.token), self.ledger
        for reply in (
            ledger.opened(*where, **opened_sids(99)),
            ledger.reject_opening(*where, CODES[0], stop=True),
            ledger.defer_opening(*where, 0, 429),
            ledger.wait_open(*where, 0),
            ledger.abandon_open(*where, S.FAILED, CODES[0]),
            ledger.claim_sending(job.campaign, job.row, job.claim, sid("CH", 9)),
            ledger.accepted(*where, sid("IM", 9)),
            ledger.doubt_sending(*where, 0, 500),
            ledger.absent_opening(*where, 0, max_attempts=1, code=0),
            ledger.absent_sending(*where, 0, max_attempts=1, code=0),
            ledger.review(*where, 0),
        ):
            assert not reply.ok

    def take_up(self, campaign: str, row: int, owner: int, choice: int) -> None:
        if self.rig.state(campaign, row) is S.PENDING:
            if choice % 4:
                self.tick(campaign)
            self.dispatch(campaign, fresh=4, old=0)
        if self.rig.state(campaign, row) is not S.QUEUED:
            return
        if choice % 29 == 0:
            assert self.ledger.end_queued(campaign, row, S.SKIPPED, Reason.SUPPRESSED).ok
        elif choice % 29 == 1:
            assert self.ledger.defer_queued(campaign, row, 3000).ok
        else:
            self.claim(campaign, row, owner)

    def tick(self, campaign: str) -> None:
        """What a worker's tick does by and by, so that not everything waits for it."""
        self.pass_time(31_000)
        for name in IDS:
            self.rescue(name, 5000, 4)
            self.close(name, True, True)
        self.registry.resume(campaign)

    def claim(self, campaign: str, row: int, owner: int) -> None:
        job = self.new_job(campaign, row, owner)
        if self.ledger.claim_opening(campaign, row, job.claim, self.rig.pair(row)).ok:
            assert self.registry.get(campaign).state == "running"
            self.hold(job)

    def take(self, campaign: str, row: int, owner: int) -> None:
        job = self.new_job(campaign, row, owner)
        if self.ledger.take(campaign, row, job.claim).ok:
            self.hold(job)

    def record(self, job: Job) -> Record:
        return self.rig.row(job.campaign, job.row).record

    def new_job(self, campaign: str, row: int, owner: int) -> Job:
        return Job(campaign, row, self.rig.claim(f"worker-{owner}"), self.rig.clock() + LEASE_MS)

    def hold(self, job: Job) -> None:
        self.jobs[job.campaign, job.row] = job
        self.past_jobs.append(job)

    def ask_for_interaction(self, job: Job, record: Record, choice: int) -> Reply | None:
        where, ledger = (job.campaign, job.row, job.claim.token), self.ledger
        ways = ["lost", "done_lost", "silent", "done_silent", "code", "stop", "429", "late", "skip", "wait"]
        how = (["ok"] * 12 + ways)[choice % 22]
        code = STOP_CODE if how == "stop" else CODES[choice % 2]
        if how in ("ok", "done_lost", "done_silent"):
            whose = (job.campaign, job.row, record.send)
            mine = [each for each, key in self.interactions.items() if key == whose]
            assert not mine, "an earlier Interaction of the row is still open"
            sids = self.create_interaction(job, record)
            if how == "ok":
                return ledger.opened(*where, **sids)
        match how:
            case "lost" | "done_lost":
                return ledger.doubt_opening(*where, 2000, 500)
            case "code" | "stop":
                return ledger.reject_opening(*where, code, stop=how == "stop")
            case "429":
                return ledger.defer_opening(*where, 5000, 429)
            case "late":
                return ledger.give_up_slot(*where, 0)
            case "skip":
                return ledger.skip_opening(*where, Reason.PAIR_BUSY)
            case "wait":
                return ledger.wait_opening(*where, Reason.PAIR_BUSY, 4000)
        self.jobs.pop((job.campaign, job.row))  # it is never heard of again
        return None

    def create_interaction(self, job: Job, record: Record) -> dict[str, str]:
        self.numbers += 1
        sids = opened_sids(self.numbers)
        self.interactions[sids["interaction"]] = (job.campaign, job.row, record.send)
        return sids

    def go_on(self, job: Job, record: Record, choice: int) -> Reply:
        where, ledger = (job.campaign, job.row, job.claim.token), self.ledger
        match (["send"] * 12 + ["wait", "fail", "fail", "stop", "skip", "anew", "anew", "use", "use"])[
            choice % 21
        ]:
            case "send":
                reply = ledger.claim_sending(job.campaign, job.row, job.claim, sid("CH", 7))
                self.hold(Job(job.campaign, job.row, job.claim, self.rig.clock() + LEASE_MS))
                return reply
            case "wait":
                return ledger.wait_open(*where, 2000, counted=True)
            case "use":
                return ledger.use_conversation(*where, sid("CH", 9))
            case "anew":
                return ledger.abandon_open(*where, S.PENDING, Reason.PAIR_BUSY, due_in_ms=3000, waits=True)
            case "skip":
                return ledger.abandon_open(*where, S.SKIPPED, Reason.PAIR_BUSY)
            case "stop":
                return ledger.abandon_open(*where, S.FAILED, STOP_CODE, stop=True)
        return ledger.abandon_open(*where, S.FAILED, CODES[choice % 2])

    def ask_for_message(self, job: Job, record: Record, choice: int) -> Reply | None:
        where, ledger = (job.campaign, job.row, job.claim.token), self.ledger
        how = (
            [
                "ok",
                "ok",
                "lost",
                "done_lost",
                "silent",
                "done_silent",
                "code",
                "stop",
                "429",
                "late",
                "reopen",
            ]
        )[choice % 11]
        if how in ("ok", "done_lost", "done_silent"):
            self.messages[job.campaign, job.row, record.send] += 1
            assert self.messages[job.campaign, job.row, record.send] == 1, "a second message"
        match how:
            case "ok":
                return ledger.accepted(*where, sid("IM", job.row))
            case "lost" | "done_lost":
                return ledger.doubt_sending(*where, 2000, 500)
            case "code" | "stop":
                code = STOP_CODE if how == "stop" else CODES[choice % 2]
                return ledger.reject_sending(*where, code, stop=how == "stop")
            case "429":
                return ledger.defer_sending(*where, 4000, 429)
            case "late":
                return ledger.give_up_slot(*where, 0)
            case "reopen":
                return ledger.reopen_sending(*where, Reason.CONVERSATION_CLOSED, 1000)
        self.jobs.pop((job.campaign, job.row))
        return None

    def look_up(self, job: Job, record: Record, choice: int) -> Reply:
        where = (job.campaign, job.row, job.claim.token)
        match choice % 5:
            case 0:
                return self.ledger.look_again(*where, 5000, empty=True, code=0)
            case 1:
                return self.ledger.review(*where, Reason.LOOKUPS_FAILED)
        return self.settle(job, record, 1 if choice % 2 else MAX_ATTEMPTS)

    def settle(self, job: Job, record: Record, max_attempts: int = MAX_ATTEMPTS) -> Reply:
        """Look at Twilio: what is found there is the truth."""
        where, name = (job.campaign, job.row, job.claim.token), (job.campaign, job.row, record.send)
        given_up = {"max_attempts": max_attempts, "code": Reason.NO_ANSWER}
        if record.state is S.DOUBT_SENDING:
            if self.messages[name]:
                return self.ledger.adopt_sending(*where, sid("IM", job.row))
            return self.ledger.absent_sending(*where, 1000, **given_up)
        for each, key in self.interactions.items():
            if key == name and not self.client.hexists(self.ledger.key(job.campaign, "close"), each):
                return self.ledger.adopt_opening(*where, **opened_sids(int(each[2:], 16)))
        return self.ledger.absent_opening(*where, 1000, **given_up)

    # What upkeep, operators and time do ---------------------------------------------------------------------

    @rule(ms=st.sampled_from([1, 900, 5000, 31_000, 61_000]))
    def pass_time(self, ms: int) -> None:
        self.rig.clock.pass_ms(ms)

    @rule(campaign=CAMPAIGN, fresh=st.integers(0, 3), old=st.integers(0, 4))
    def dispatch(self, campaign: str, fresh: int, old: int) -> None:
        state = self.registry.get(campaign).state
        due = self.ledger.dispatch(campaign, fresh=fresh, old=old)
        assert not due.fresh or state == "running"
        assert len(due.fresh) <= fresh
        assert len(due.open) + len(due.doubt) <= old

    @rule(campaign=CAMPAIGN, older_ms=st.sampled_from([0, 0, 5000]), most=st.integers(1, 4))
    def rescue(self, campaign: str, older_ms: int, most: int) -> None:
        self.ledger.rescue_queued(campaign, older_ms=older_ms, most=most)
        for row in range(1, ROWS + 1):
            leases = dict(self.ledger.leases(campaign))
            over = row in leases and leases[row] <= self.rig.clock()
            assert self.ledger.expire(campaign, row, 2000, Reason.WORKER_LOST).ok is over

    @rule(owner=OWNER)
    def die(self, owner: int) -> None:
        """A worker is known to be dead: it does nothing any more, and its rows are taken from it at once."""
        name = f"worker-{owner}"
        self.jobs = {place: job for place, job in self.jobs.items() if job.claim.owner != name}
        for campaign in IDS:
            for row, _ in self.ledger.leases(campaign):
                if self.ledger.owners(campaign, [row]) == [name]:
                    assert self.ledger.expire(campaign, row, 2000, Reason.WORKER_LOST, owner=name).ok

    @rule(campaign=CAMPAIGN, done=st.booleans(), rests=st.booleans())
    def close(self, campaign: str, done: bool, rests: bool) -> None:
        for each in self.ledger.to_close(campaign, most=2):
            if done:
                self.interactions.pop(each.interaction_sid, None)
            self.ledger.closed(campaign, each.interaction_sid, done=done, due_in_ms=5000)
        if rests:
            self.registry.set_active(campaign, active=False)

    @rule(campaign=CAMPAIGN, choice=st.integers(0, 11))
    def operate(self, campaign: str, choice: int) -> None:
        """Pause, resume and, less often, cancel."""
        if choice == 7:
            self.registry.cancel(campaign)
            self.ledger.cancel_rows(campaign, 1)
        elif choice % 3:
            self.registry.resume(campaign)
        else:
            self.registry.pause(campaign, "operator")

    @rule(campaign=CAMPAIGN, row=ROW)
    def begin_anew(self, campaign: str, row: int) -> None:
        """Retry a row that failed; settle one that needs review, with the truth."""
        info, record = self.registry.get(campaign), self.rig.row(campaign, row).record
        reply = self.ledger.new_send(campaign, row, record.send)
        blocked = info.state == "cancelled" and info.left > 0
        assert reply.ok is (record.state is S.FAILED and not blocked)
        name = (campaign, row, record.send)
        if self.messages[name]:
            reply = self.ledger.verdict(*name, "sent", message=sid("IM", row))
        else:
            reply = self.ledger.verdict(*name, "not_sent")
            for each in [each for each, key in self.interactions.items() if reply.ok and key == name]:
                if each != record.interaction_sid:
                    del self.interactions[each]  # one that was never seen: the operator has closed it
        assert reply.ok is (record.state is S.NEEDS_REVIEW)

    # What always holds --------------------------------------------------------------------------------------

    @invariant()
    def promises_hold(self) -> None:
        for name in IDS:
            seen = self.look(name)
            self.check_counts(seen)
            self.check_places(seen)
            self.check_ended(seen)
            self.check_closing(seen)
        self.check_interactions()
        self.check_pairs()

    def look(self, name: str) -> Seen:
        with self.client.pipeline(transaction=False) as pipe:
            for index in INDEXES:
                pipe.zrange(self.ledger.key(name, index), 0, -1)
            pipe.hgetall(self.ledger.key(name, "hand"))
            pipe.hgetall(self.ledger.key(name, "close"))
            *found, hands, owed = pipe.execute()
        indexes = {index: {int(row) for row in rows} for index, rows in zip(INDEXES, found, strict=True)}
        records = {number: record for number, record, _, _ in self.ledger.iter_rows(name, ROWS, cells=False)}
        held = {int(row) for row, hand in hands.items() if "token" in json.loads(hand)}
        past = {row: self.ledger.get_past(name, row) if records[row].send > 1 else [] for row in records}
        info = self.registry.get(name)
        self.seen[name] = Seen(info, records, past, indexes, {int(row) for row in hands}, held, owed)
        return self.seen[name]

    def check_counts(self, seen: Seen) -> None:
        """The counts, which are kept and never counted, are those of the states."""
        counts = dict.fromkeys(State, 0)
        for record in seen.records.values():
            counts[record.state] += 1
        assert seen.info.counts == counts
        if seen.info.left or seen.owed:
            assert seen.info.id in self.registry.active(), "out of the tick's sight"

    def check_places(self, seen: Seen) -> None:
        """A row that has not ended is in exactly one place where somebody comes for it; an ended one is in none."""
        for number, record in seen.records.items():
            places = {index for index, rows in seen.indexes.items() if number in rows}
            if number > seen.info.cursor and record.state is S.PENDING and not places:
                places = {"cursor"}
            if record.state.is_ended:
                assert not places, (number, record.state, places)
                assert number not in seen.hands, (number, record.state)
                continue
            allowed = PLACES.get(record.state, {"later", "queued", "lease"})
            assert len(places) == 1, (number, record.state, places)
            assert places <= allowed, (number, record.state, places)
            assert (number in seen.held) is (places == {"lease"}), (number, record.state)

    def check_ended(self, seen: Seen) -> None:
        """A send that has ended stays so, unless the breaker puts it back or an operator decides."""
        for number, present in seen.records.items():
            for record in [*seen.past[number], present]:
                name = (seen.info.id, number, record.send)
                before = self.ended.pop(name, None)
                if before is not None and before != record:
                    events = [each.event for each in record.story[len(before.story) :]]
                    if before.state is S.FAILED:
                        assert Event.PUT_BACK in events
                    else:
                        assert (before.state, events[0]) == (S.NEEDS_REVIEW, Event.VERDICT)
                if record.state.is_ended:
                    self.ended[name] = record

    def check_closing(self, seen: Seen) -> None:
        closing = self.client.zrange(self.ledger.key(seen.info.id, "closing"), 0, -1)
        assert set(seen.owed) == set(closing)
        assert all(1 <= json.loads(value)["row"] <= ROWS for value in seen.owed.values())

    def check_interactions(self) -> None:
        """Every Interaction that is open at Twilio is a live row's own, or noted to be closed, or still in doubt."""
        for each, (name, row, send) in self.interactions.items():
            seen = self.seen[name]
            present = seen.records[row]
            (whose,) = [one for one in [*seen.past[row], present] if one.send == send]
            kept = whose.interaction_sid == each
            live = kept and whose is present and not whose.state.is_ended
            settled = kept and whose.state in (S.ACCEPTED, S.NEEDS_REVIEW)
            doubtful = whose.state in (S.OPENING, S.DOUBT_OPENING, S.NEEDS_REVIEW)
            owed = each.encode() in seen.owed
            assert owed or live or settled or doubtful, (each, name, row, whose)
            assert not (owed and live), "a live row's Interaction is to be closed"

    def check_pairs(self) -> None:
        """Of the rows that want a pair, one at a time has it in hand."""
        for row in range(1, ROWS + 1):
            busy = [name for name in IDS if self.seen[name].records[row].state in IN_HAND]
            assert len(busy) <= 1, (row, busy)

    # How it ends ---------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Whatever happened, somebody comes for every row: left to themselves, both campaigns come to an end."""
        if not hasattr(self, "rig"):
            return
        self.jobs = {}
        for _ in range(60):
            for name in IDS:
                self.work_off(name)
            self.rig.clock.pass_ms(61_000)
            if not any(self.registry.get(name).left or self.ledger.to_close_count(name) for name in IDS):
                break
        self.promises_hold()
        assert not any(self.registry.get(name).left for name in IDS), [
            self.registry.get(name).counts for name in IDS
        ]
        for name in IDS:
            assert not self.ledger.to_close_count(name)
            for suffix in ("hand", "due", "later", "queued", "lease", "closing", "close", "back"):
                assert not self.client.exists(self.ledger.key(name, suffix)), suffix
        assert not list(self.client.scan_iter(f"{self.ledger.prefix}pair:*"))

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
            claim = self.rig.claim()
            if self.ledger.claim_opening(name, row, claim, self.rig.pair(row)).ok:
                job = Job(name, row, claim, 0)
                sids = self.create_interaction(job, self.record(job))
                assert self.ledger.opened(name, row, claim.token, **sids).ok
                self.send(job)
        for row in (*due.open, *due.doubt):
            claim = self.rig.claim()
            if self.ledger.take(name, row, claim).ok:
                job = Job(name, row, claim, 0)
                if row in due.open:
                    self.send(job)
                else:
                    assert self.settle(job, self.record(job)).ok
                    row_now = self.rig.row(name, row)
                    if row_now.state is S.OPEN and row_now.hand.token == claim.token:
                        self.send(job)
        for each in self.ledger.to_close(name):
            self.interactions.pop(each.interaction_sid, None)
            assert self.ledger.closed(name, each.interaction_sid, done=True).ok

    def send(self, job: Job) -> None:
        send = (job.campaign, job.row, self.record(job).send)
        assert not self.messages[send], "a second message"
        assert self.ledger.claim_sending(job.campaign, job.row, job.claim, sid("CH", 7)).ok
        assert self.ledger.accepted(job.campaign, job.row, job.claim.token, sid("IM", job.row)).ok


@pytest.mark.timeout(120)
def test_promises_hold_whatever_happens_in_whatever_order(ledger_redis: "redis.Redis") -> None:
    LedgerMachine.client = ledger_redis
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # made smaller by hand, where one fails: by itself that takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
