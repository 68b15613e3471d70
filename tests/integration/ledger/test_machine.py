"""Let workers, operators and accidents act on two campaigns in any order: the ledger's promises hold after each step."""

import json
from collections import defaultdict
from dataclasses import dataclass

import pytest
import redis
from builders import LEASE_MS, LedgerRig, opened_sids, sid
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from worker.ledger.ledger import Claim
from worker.ledger.registry import CampaignInfo
from worker.ledger.row import Record
from worker.ledger.scripts import Reply
from worker.ledger.states import Event, Reason, State

IDS = ("autumn-1", "winter-2")
ROWS = 6
INVALID_ROW = 3
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
        self.jobs: list[Job] = []
        self.messages: dict[tuple[str, int, int], int] = defaultdict(int)
        # Twilio's: SID -> campaign, row and send, while it is open.
        self.interactions: dict[str, tuple[str, int, int]] = {}
        self.seen: dict[str, Seen] = {}
        self.by_send: dict[tuple[str, int, int], list[str]] = defaultdict(list)
        self.ended: dict[tuple[str, int, int], Record] = {}
        self.numbers = 100

    # What workers do -----------------------------------------------------------------------------------------

    def job(self, at: int, *states: State) -> tuple[Job, Record] | None:
        """Choose one of the jobs, live or stale, whose row is in one of `states` now."""
        fitting = [(job, self.record(job)) for job in self.jobs]
        fitting = [(job, record) for job, record in fitting if record.state in states]
        return fitting[at % len(fitting)] if fitting else None

    def record(self, job: Job) -> Record:
        return self.rig.row(job.campaign, job.row).record

    def is_holder(self, job: Job) -> bool:
        return self.rig.row(job.campaign, job.row).hand.token == job.claim.token

    def acted(self, job: Job, before: bool, reply: Reply) -> None:
        """A holder is served, anybody else is refused."""
        assert reply.ok is before, reply

    def new_claim(self, owner: int) -> Claim:
        return self.rig.claim(f"worker-{owner}")

    @rule(campaign=st.sampled_from(IDS), fresh=st.integers(0, 4), old=st.integers(0, 8))
    def dispatch(self, campaign: str, fresh: int, old: int) -> None:
        due = self.ledger.dispatch(campaign, fresh=fresh, old=old)
        state = self.registry.get(campaign).state
        assert not due.fresh or state == "running"
        assert len(due.fresh) <= fresh
        assert len(due.open) + len(due.doubt) <= old

    @rule(campaign=st.sampled_from(IDS), row=st.integers(1, ROWS), owner=st.integers(1, 3))
    def claim_opening(self, campaign: str, row: int, owner: int) -> None:
        claim, state = self.new_claim(owner), self.rig.state(campaign, row)
        until_ms = self.rig.clock() + LEASE_MS
        reply = self.ledger.claim_opening(campaign, row, claim, self.rig.pair(row))
        if reply.ok:
            assert state is S.QUEUED
            assert self.registry.get(campaign).state == "running"
            self.jobs.append(Job(campaign, row, claim, until_ms))

    @rule(campaign=st.sampled_from(IDS), owner=st.integers(1, 3), depth=st.integers(0, 3))
    def begin_row(self, campaign: str, owner: int, depth: int) -> None:
        """The way that most rows go, so that the later states are not rare."""
        for row in self.ledger.dispatch(campaign, fresh=1, old=0).fresh:
            self.claim_opening(campaign, row, owner)
            if depth > 0 and self.rig.state(campaign, row) is S.OPENING:
                self.post_interaction(-1, True, "answered")
            if depth > 1 and self.rig.state(campaign, row) is S.OPEN:
                job = self.jobs[-1]
                assert self.ledger.claim_sending(campaign, row, job.claim, sid("CH", 7)).ok
                if depth > 2:
                    self.post_message(-1, "accepted")

    @rule(campaign=st.sampled_from(IDS), row=st.integers(1, ROWS), ends=st.booleans())
    def leave_queued(self, campaign: str, row: int, ends: bool) -> None:
        queued = self.rig.state(campaign, row) is S.QUEUED
        if ends:
            reply = self.ledger.end_queued(campaign, row, S.SKIPPED, Reason.SUPPRESSED)
        else:
            reply = self.ledger.defer_queued(campaign, row, 3000)
        assert reply.ok is queued

    @rule(
        at=st.integers(0, 50),
        happens=st.booleans(),
        answer=st.sampled_from(["answered", "lost", "code", "stop"]),
    )
    def post_interaction(self, at: int, happens: bool, answer: str) -> None:
        """A holder with time left asks for an Interaction; it may happen or not, and be answered or not."""
        chosen = self.job(at, S.OPENING)
        if chosen is None:
            return
        job, record = chosen
        live = self.is_holder(job)
        if self.rig.clock() >= job.until_ms:
            return  # it looks at its lease right before the request
        assert live, "a holder with time left on its lease has lost its row"
        open_now = [
            s for s, whose in self.interactions.items() if whose == (job.campaign, job.row, record.send)
        ]
        assert not open_now, "an earlier Interaction of the row is still open"
        if answer in ("code", "stop"):
            code = STOP_CODE if answer == "stop" else CODES[at % 2]
            self.acted(
                job,
                live,
                self.ledger.reject_opening(
                    job.campaign, job.row, job.claim.token, code, stop=answer == "stop"
                ),
            )
            return
        sids = self.create_interaction(job, record) if happens or answer == "answered" else {}
        if answer == "answered":
            reply = self.ledger.opened(job.campaign, job.row, job.claim.token, **sids)
        else:
            reply = self.ledger.doubt_opening(job.campaign, job.row, job.claim.token, 2000, 500)
        self.acted(job, live, reply)

    def create_interaction(self, job: Job, record: Record) -> dict[str, str]:
        self.numbers += 1
        sids = opened_sids(self.numbers)
        self.interactions[sids["interaction"]] = (job.campaign, job.row, record.send)
        self.by_send[job.campaign, job.row, record.send].append(sids["interaction"])
        return sids

    @rule(at=st.integers(0, 50), how=st.sampled_from(["defer", "give_up", "skip", "wait"]))
    def leave_opening(self, at: int, how: str) -> None:
        chosen = self.job(at, S.OPENING)
        if chosen is None:
            return
        job = chosen[0]
        live, where = self.is_holder(job), (job.campaign, job.row, job.claim.token)
        if how == "defer":
            reply = self.ledger.defer_opening(*where, 5000, 429)
        elif how == "give_up":
            reply = self.ledger.give_up_slot(*where, 0)
        elif how == "skip":
            reply = self.ledger.skip_opening(*where, Reason.PAIR_BUSY)
        else:
            reply = self.ledger.wait_opening(*where, Reason.PAIR_BUSY, 4000)
        self.acted(job, live, reply)

    @rule(campaign=st.sampled_from(IDS), row=st.integers(1, ROWS), owner=st.integers(1, 3))
    def take(self, campaign: str, row: int, owner: int) -> None:
        claim, until_ms = self.new_claim(owner), self.rig.clock() + LEASE_MS
        if self.ledger.take(campaign, row, claim).ok:
            self.jobs.append(Job(campaign, row, claim, until_ms))

    @rule(
        at=st.integers(0, 50),
        how=st.sampled_from(["wait", "claim", "claim", "claim", "fail", "skip", "anew", "use", "stop"]),
    )
    def go_on_open(self, at: int, how: str) -> None:
        chosen = self.job(at, S.OPEN)
        if chosen is None:
            return
        job = chosen[0]
        live, where = self.is_holder(job), (job.campaign, job.row, job.claim.token)
        if how == "wait":
            reply = self.ledger.wait_open(*where, 2000, counted=True)
        elif how == "claim":
            reply = self.ledger.claim_sending(job.campaign, job.row, job.claim, sid("CH", 7))
            if reply.ok:
                self.jobs.append(Job(job.campaign, job.row, job.claim, self.rig.clock() + LEASE_MS))
        elif how == "use":
            reply = self.ledger.use_conversation(*where, sid("CH", 9))
        elif how == "anew":
            reply = self.ledger.abandon_open(*where, S.PENDING, Reason.PAIR_BUSY, due_in_ms=3000, waits=True)
        elif how == "skip":
            reply = self.ledger.abandon_open(*where, S.SKIPPED, Reason.PAIR_BUSY)
        else:
            code = STOP_CODE if how == "stop" else CODES[at % 2]
            reply = self.ledger.abandon_open(*where, S.FAILED, code, stop=how == "stop")
        self.acted(job, live, reply)

    @rule(
        at=st.integers(0, 50),
        how=st.sampled_from(
            ["accepted", "accepted", "done_lost", "lost", "defer", "give_up", "code", "stop", "reopen"]
        ),
    )
    def post_message(self, at: int, how: str) -> None:
        chosen = self.job(at, S.SENDING)
        if chosen is None:
            return
        job, record = chosen
        live, where = self.is_holder(job), (job.campaign, job.row, job.claim.token)
        if self.rig.clock() >= job.until_ms:
            return
        assert live or not self.is_latest(job), "a holder with time left on its lease has lost its row"
        if not live:
            return
        if how in ("accepted", "done_lost"):
            self.messages[job.campaign, job.row, record.send] += 1
            assert self.messages[job.campaign, job.row, record.send] == 1, "a second message"
        if how == "accepted":
            reply = self.ledger.accepted(*where, sid("IM", job.row))
        elif how in ("done_lost", "lost"):
            reply = self.ledger.doubt_sending(*where, 2000, 500)
        elif how == "defer":
            reply = self.ledger.defer_sending(*where, 4000, 429)
        elif how == "give_up":
            reply = self.ledger.give_up_slot(*where, 0)
        elif how == "reopen":
            reply = self.ledger.reopen_sending(*where, Reason.CONVERSATION_CLOSED, 1000)
        else:
            reply = self.ledger.reject_sending(
                *where, STOP_CODE if how == "stop" else CODES[at % 2], stop=how == "stop"
            )
        self.acted(job, live, reply)

    def is_latest(self, job: Job) -> bool:
        return [each for each in self.jobs if (each.campaign, each.row) == (job.campaign, job.row)][-1] is job

    @rule(at=st.integers(0, 50), how=st.sampled_from(["again", "settle", "settle", "review"]))
    def look_up(self, at: int, how: str) -> None:
        """A holder of a doubt asks Twilio: what it finds is the truth."""
        chosen = self.job(at, S.DOUBT_OPENING, S.DOUBT_SENDING)
        if chosen is None:
            return
        job, record = chosen
        live, where = self.is_holder(job), (job.campaign, job.row, job.claim.token)
        if how == "again":
            reply = self.ledger.look_again(*where, 5000, empty=True, code=0)
        elif how == "review":
            reply = self.ledger.review(*where, Reason.LOOKUPS_FAILED)
        else:
            reply = self.settle(job, record)
        self.acted(job, live, reply)

    def settle(self, job: Job, record: Record) -> Reply:
        where, name = (job.campaign, job.row, job.claim.token), (job.campaign, job.row, record.send)
        if record.state is S.DOUBT_SENDING:
            if self.messages[name]:
                return self.ledger.adopt_sending(*where, sid("IM", job.row))
            return self.ledger.absent_sending(*where, 1000, max_attempts=MAX_ATTEMPTS, code=Reason.NO_ANSWER)
        found = [each for each in self.by_send[name] if each in self.interactions]
        if found:
            number = int(found[0][2:], 16)
            return self.ledger.adopt_opening(*where, **opened_sids(number))
        return self.ledger.absent_opening(*where, 1000, max_attempts=MAX_ATTEMPTS, code=Reason.NO_ANSWER)

    # What upkeep, operators and time do ----------------------------------------------------------------------

    @rule(ms=st.sampled_from([1, 900, 5000, 31_000, 61_000]))
    def pass_time(self, ms: int) -> None:
        self.rig.clock.pass_ms(ms)

    @rule(campaign=st.sampled_from(IDS), row=st.integers(1, ROWS))
    def expire(self, campaign: str, row: int) -> None:
        leases = dict(self.ledger.leases(campaign))
        over = row in leases and leases[row] <= self.rig.clock()
        assert self.ledger.expire(campaign, row, 2000, Reason.WORKER_LOST).ok is over

    @rule(owner=st.integers(1, 3))
    def die(self, owner: int) -> None:
        """A worker is known to be dead: it does nothing any more, and its rows are taken from it at once."""
        name = f"worker-{owner}"
        self.jobs = [job for job in self.jobs if job.claim.owner != name]
        for campaign in IDS:
            for row, _ in self.ledger.leases(campaign):
                if self.ledger.owners(campaign, [row]) == [name]:
                    assert self.ledger.expire(campaign, row, 2000, Reason.WORKER_LOST, owner=name).ok

    @rule(campaign=st.sampled_from(IDS), older_ms=st.sampled_from([0, 5000]))
    def rescue(self, campaign: str, older_ms: int) -> None:
        self.ledger.rescue_queued(campaign, older_ms=older_ms, most=4)

    @rule(campaign=st.sampled_from(IDS), done=st.booleans())
    def close(self, campaign: str, done: bool) -> None:
        for each in self.ledger.to_close(campaign, most=2):
            if done:
                self.interactions.pop(each.interaction_sid, None)
            self.ledger.closed(campaign, each.interaction_sid, done=done, due_in_ms=5000)

    @rule(campaign=st.sampled_from(IDS))
    def pause(self, campaign: str) -> None:
        self.registry.pause(campaign, "operator")

    @rule(campaign=st.sampled_from(IDS))
    def resume(self, campaign: str) -> None:
        self.registry.resume(campaign)

    @precondition(lambda self: self.rig.clock() % 3 == 0)
    @rule(campaign=st.sampled_from(IDS), most=st.integers(1, 3))
    def cancel(self, campaign: str, most: int) -> None:
        self.registry.cancel(campaign)
        self.ledger.cancel_rows(campaign, most)

    @rule(campaign=st.sampled_from(IDS), row=st.integers(1, ROWS), send=st.integers(1, 2))
    def new_send(self, campaign: str, row: int, send: int) -> None:
        before = self.rig.row(campaign, row).record
        info = self.registry.get(campaign)
        reply = self.ledger.new_send(campaign, row, send)
        blocked = info.state == "cancelled" and info.left > 0
        assert reply.ok is (before.state is S.FAILED and before.send == send and not blocked)

    @rule(campaign=st.sampled_from(IDS), row=st.integers(1, ROWS))
    def verdict(self, campaign: str, row: int) -> None:
        """The operator looks at Twilio and tells the truth."""
        record = self.rig.row(campaign, row).record
        sent = self.messages[campaign, row, record.send] > 0
        reply = self.ledger.verdict(
            campaign,
            row,
            record.send,
            "sent" if sent else "not_sent",
            message=sid("IM", row) if sent else "",
        )
        assert reply.ok is (record.state is S.NEEDS_REVIEW)
        if reply.ok and not sent:
            for each in self.by_send[
                campaign, row, record.send
            ]:  # one that was never seen, he closes himself
                if each != record.interaction_sid:
                    self.interactions.pop(each, None)

    @rule(campaign=st.sampled_from(IDS))
    def rest(self, campaign: str) -> None:
        self.registry.set_active(campaign, active=False)

    # What always holds ---------------------------------------------------------------------------------------

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
        self.jobs = []
        for _ in range(60):
            for name in IDS:
                self.work_off(name)
            self.rig.clock.pass_ms(61_000)
            if not any(self.registry.get(name).left for name in IDS):
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
                    if self.rig.state(name, row) is S.OPEN and self.is_holder(job):
                        self.send(job)
        for each in self.ledger.to_close(name):
            self.interactions.pop(each.interaction_sid, None)
            assert self.ledger.closed(name, each.interaction_sid, done=True).ok

    def send(self, job: Job) -> None:
        assert self.ledger.claim_sending(job.campaign, job.row, job.claim, sid("CH", 7)).ok
        assert self.ledger.accepted(job.campaign, job.row, job.claim.token, sid("IM", job.row)).ok


@pytest.mark.timeout(120)
def test_promises_hold_whatever_happens_in_whatever_order(ledger_redis: "redis.Redis") -> None:
    LedgerMachine.client = ledger_redis
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=30,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
