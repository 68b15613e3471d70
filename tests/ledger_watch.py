"""Watches every script of the ledger: what it may change, and what holds after it, whoever ran it."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from builders import LedgerRig

from worker.ledger import keys
from worker.ledger.row import Record, Story, unpack, unpack_past
from worker.ledger.scripts import Reply
from worker.ledger.states import TRANSITIONS, Delivery, Event, State

S = State
INDEXES = ("due", "queued", "later", "lease", "closing", "back")
HASHES = ("hand", "close", "unclosed")
IN_HAND = (S.OPENING, S.SENDING, S.OPEN, S.DOUBT_OPENING, S.DOUBT_SENDING)
PLACES = {
    S.PENDING: {"due", "cursor"},
    S.QUEUED: {"queued"},
    S.OPENING: {"lease"},
    S.SENDING: {"lease"},
}
ENDING = {Event.ACCEPTED, Event.FAILED, Event.SKIPPED, Event.NEEDS_REVIEW, Event.CANCELLED}
MANY = {"dispatch", "rescue_queued", "cancel_rows"}
"""Scripts that move several rows; all others move the one they name, but for those that the breaker puts back."""
MOVES_AND_REFUSES = {"claim_opening", "claim_sending"}
HEARD = {"note_delivery", "note_answer"}
"""Scripts that note something of a send that has ended; it stays ended, and as it ended."""
ANSWERS = {Event.ANSWERED, Event.OPTED_OUT}
"""What is known of the row, not of one send of it: it goes on from send to send."""
STORY_FULL = 90
CLOSING_MS = 30_000
NOT_WAITING = {
    "token",
    "owner",
    "pair",
    "channel",
    "flex_task",
    "used",
    "seen",
    "doubt",
    "looking",
    "opened",
    "slot",
}
LOOK = """
local prefix, hashes, indexes, out = KEYS[1], cjson.decode(ARGV[1]), cjson.decode(ARGV[2]), {}
for _, id in ipairs(redis.call('ZRANGE', prefix .. 'campaigns', 0, -1)) do
  local base = prefix .. 'c:' .. id
  local seen = {id, redis.call('SISMEMBER', prefix .. 'active', id), redis.call('HGETALL', base),
    redis.call('HGETALL', base .. ':rw:0'), redis.call('HGETALL', base .. ':past:0'),
    redis.call('XREVRANGE', base .. ':out', '+', '-', 'COUNT', 1)}
  for _, name in ipairs(hashes) do seen[#seen + 1] = redis.call('HGETALL', base .. ':' .. name) end
  for _, name in ipairs(indexes) do seen[#seen + 1] = redis.call('ZRANGE', base .. ':' .. name, 0, -1, 'WITHSCORES') end
  out[#out + 1] = seen
end
local locks = {}
for at, name in ipairs(redis.call('KEYS', prefix .. 'pair:*')) do locks[at] = {name, redis.call('GET', name)} end
return {out, locks}
"""
"""Reads all campaigns and the pairs' locks at once: dozens of round trips after every script would be most of the tests' time."""
ATTEMPTS = {
    ("opened", S.OPENING, S.OPEN),
    ("doubt_opening", S.OPENING, S.DOUBT_OPENING),
    ("expire", S.OPENING, S.DOUBT_OPENING),
    ("reject_opening", S.OPENING, S.FAILED),
    ("absent_sending", S.DOUBT_SENDING, S.OPEN),
}
"""Moves that count as an attempt: Twilio was reached, or may have been."""


@dataclass(frozen=True)
class Seen:
    """A campaign as it stands between two scripts."""

    fields: Mapping[str, str]
    records: Mapping[int, Record]
    past: Mapping[int, Sequence[Record]]
    indexes: Mapping[str, Mapping[str, float]]
    hands: Mapping[int, Mapping[str, Any]]
    close: Mapping[str, Mapping[str, Any]]
    unclosed: Mapping[str, Mapping[str, Any]]
    last_out: bytes
    active: bool

    def count(self, state: State) -> int:
        """Give the kept count of a state."""
        return int(self.fields.get(f"n{int(state)}", 0))


class Watch:
    """Stands between a ledger and its scripts, and asserts after each of them."""

    def __init__(self, rig: LedgerRig) -> None:
        self.rig, self.client = rig, rig.client
        self._look = self.client.register_script(LOOK)
        self.seen: dict[str, Seen] = {}
        self.locks: dict[str, str] = {}
        self.ran: Counter[str] = Counter()
        self.sources: dict[str, set[State]] = defaultdict(set)
        self.targets: dict[str, set[State]] = defaultdict(set)
        self.rejected: dict[tuple[str, int], set[tuple[int, int]]] = defaultdict(set)
        for scripts in (rig.ledger.scripts, rig.registry.scripts):
            scripts.run = self._watched(scripts.run)  # type: ignore[method-assign]

    def _watched(self, run: Any) -> Any:
        def watched(name: str, where: Sequence[str], args: dict[str, Any], *more: Any, **slot: Any) -> Reply:
            reply: Reply = run(name, where, args, *more, **slot)
            self.ran[name] += reply.ok
            before, now = self.seen, self.look()
            self._check_script(name, where[0], args, reply, before, now)
            for campaign_id, one in now.items():
                self._check_standing(campaign_id, one)
            self._check_pairs(now)
            return reply

        return watched

    # Looking ------------------------------------------------------------------------------------------------

    def look(self) -> dict[str, Seen]:
        """Read everything anew."""
        campaigns, locks = self._look(
            keys=[self.rig.ledger.prefix], args=[json.dumps(HASHES), json.dumps(INDEXES)]
        )
        self.locks = {name.decode(): whose.decode() for name, whose in locks}
        self.seen = {one[0].decode(): self._read(one[1:]) for one in campaigns}
        return self.seen

    def forget(self, campaign_id: str) -> None:
        """Forget a campaign that is not there any more."""
        self.rejected = defaultdict(
            set, {key: rows for key, rows in self.rejected.items() if key[0] != campaign_id}
        )
        self.look()

    def _read(self, answers: Sequence[Any]) -> Seen:
        active, fields, rows, past, out, *others = answers
        hand, close, unclosed, *indexes = map(_pairs, others)
        named = {name.decode(): value.decode() for name, value in _pairs(fields)}
        created = int(named["created_ms"])
        return Seen(
            named,
            {int(at) + 1: _unpack(value, created) for at, value in _pairs(rows)},
            {int(at) + 1: _unpack_past(value, created) for at, value in _pairs(past)},
            {
                name: {member.decode(): float(score) for member, score in found}
                for name, found in zip(INDEXES, indexes, strict=True)
            },
            {int(row): json.loads(value) for row, value in hand},
            {sid.decode(): json.loads(value) for sid, value in close},
            {sid.decode(): json.loads(value) for sid, value in unclosed},
            out[0][0] if out else b"-",
            bool(active),
        )

    # What a script may do -----------------------------------------------------------------------------------

    def _check_script(
        self,
        name: str,
        base: str,
        args: Mapping[str, Any],
        reply: Reply,
        before: Mapping[str, Seen],
        now: Mapping[str, Seen],
    ) -> None:
        campaign_id = base.rpartition(":c:")[2]
        if not reply.ok and name not in MOVES_AND_REFUSES:
            assert now == before, f"{name} was refused, and has changed something"
        for other in now.keys() & before.keys() - {campaign_id}:
            assert now[other] == before[other], f"{name} of {campaign_id} has changed {other}"
        if campaign_id not in before or campaign_id not in now:
            return
        old, new = before[campaign_id], now[campaign_id]
        if reply.ok and "token" in args and "owner" not in args:
            token = old.hands.get(args["row"], {}).get("token")
            assert token == args["token"], f"{name} was let through for one who does not hold the row"
        if reply.ok and name == "take":
            self._check_take(args, old)
        if reply.ok and "lease_ms" in args:
            assert new.indexes["lease"][str(args["row"])] == self.rig.clock() + args["lease_ms"]
            assert new.hands[args["row"]]["token"] == args["token"]
        if reply.ok and "row" in args and "due_in_ms" in args:
            self._check_due(args, new)
        ended = [
            self._check_row(name, campaign_id, args, row, old, new)
            for row in old.records
            if (old.records[row], old.past.get(row)) != (new.records[row], new.past.get(row))
        ]
        if ended:
            assert int(new.fields["seq"]) > int(old.fields["seq"]), (
                f"{name} has not raised the sequence number"
            )
        self._check_outcomes(name, base, old, new, [each for row in ended for each in row])
        self._note_standing(name, args, reply, old, new)
        if name == "resume" and reply.ok:
            for key in [key for key in self.rejected if key[0] == campaign_id]:
                if str(key[1]) not in new.indexes["back"]:
                    del self.rejected[key]

    def _check_due(self, args: Mapping[str, Any], new: Seen) -> None:
        """A row is due when it was said to be; but where it waits for a closing: by then, or as late as that may take."""
        row, at = str(args["row"]), self.rig.clock() + args["due_in_ms"]
        if [each.event for each in new.records[args["row"]].story[-1:]] == [Event.PUT_BACK]:
            return
        dues = [new.indexes[name][row] for name in ("due", "later") if row in new.indexes[name]]
        if "after" in new.hands.get(args["row"], {}):
            assert new.hands[args["row"]]["after"] == at
            at = max(at, self.rig.clock() + CLOSING_MS)
        assert dues in ([at], [self.rig.clock()], []), (dues, at)

    def _check_take(self, args: Mapping[str, Any], old: Seen) -> None:
        """Nobody takes a row from a holder with time left on its lease."""
        token = old.hands.get(args["row"], {}).get("token")
        lease = old.indexes["lease"].get(str(args["row"]), 0)
        assert not token or token == args["token"] or lease <= self.rig.clock(), "two holders"

    def _check_row(
        self, name: str, campaign_id: str, args: Mapping[str, Any], row: int, old: Seen, new: Seen
    ) -> list[tuple[int, Event, int]]:
        """Check what has become of a row; the ends of sends that it has come through."""
        before, after = old.records[row], new.records[row]
        past_before, past_after = old.past.get(row, ()), new.past.get(row, ())
        story, story_after = _without_answers(before), _without_answers(after)
        answers_after = [each for each in after.story if each.event in ANSWERS]
        assert [each for each in answers_after if each in before.story] == [
            each for each in before.story if each.event in ANSWERS
        ], "an answer was forgotten"
        assert past_after[: len(past_before)] == past_before, "an earlier send's record was changed"
        begins = after.send != before.send
        if begins:
            assert (after.send, len(past_after)) == (before.send + 1, len(past_before) + 1)
            lost = before.state is S.ACCEPTED and before.delivery.is_lost
            assert lost or before.state in (S.FAILED, S.NEEDS_REVIEW), "a new send of a row that needs none"
            kept = past_after[-1]
            assert (kept.state, kept.send) == (before.state, before.send)
            told = [*kept.story[len(story) :], *story_after]
        else:
            assert len(past_after) == len(past_before)
            told = story_after[len(story) :]
        if len(before.story) < STORY_FULL:
            known = list(past_after[-1].story) if begins else story_after
            assert known[: len(story)] == story, "the story of a row was rewritten"
        events = [each.event for each in told]
        is_put_back = Event.PUT_BACK in events
        if before.state.is_ended and not begins:
            allowed = is_put_back or (name == "verdict" and before.state is S.NEEDS_REVIEW)
            allowed = allowed or (name in HEARD and before.state is after.state)
            assert allowed, f"{name} has changed a send that had ended: {before.state.name}"
        self._check_move(name, args, row, before.state, after.state, is_put_back=is_put_back)
        for each in told:
            if each.event is Event.FAILED and name != "end_queued":
                self.rejected[campaign_id, each.code].add((row, before.send))
        hands = old.hands.get(row, {}), new.hands.get(row, {})
        if before.state in IN_HAND and after.state in IN_HAND:
            assert hands[0].get("version") == hands[1].get("version"), (
                "a row's definition was changed under it"
            )
        if not begins and not is_put_back:
            counts = (name, before.state, after.state) in ATTEMPTS and "looking" not in hands[0]
            assert after.attempts == before.attempts + counts, f"{name} has miscounted the attempts"
        absent = {Event.ABSENT_OPEN, Event.ABSENT_SENT} & set(events)
        if (
            ((absent and "looking" not in hands[0]) or hands[0].get("lost"))
            and not after.state.is_ended
            and not is_put_back
        ):
            assert hands[1].get("lost"), "it is forgotten that a request may show yet"
        if after.state in (S.PENDING, S.QUEUED):
            assert not NOT_WAITING & hands[1].keys(), f"{name} has left behind what only a row in hand needs"
            begun = [sid for sid in new.close if sid not in old.close and new.close[sid]["row"] == row]
            for sid in begun if name != "verdict" else ():
                assert hands[1].get("closing") == sid, (
                    f"{name} lets a row go on before its Interaction is closed"
                )
                assert "after" in hands[1]
        ends = [each.event for each in told if each.event in ENDING]
        if name == "verdict" and args["verdict"] == "sent" and after.state is S.NEEDS_REVIEW:
            ends.append(Event.NEEDS_REVIEW)
        return [(row, event, after.code) for event in ends]

    def _check_move(
        self, name: str, args: Mapping[str, Any], row: int, source: State, target: State, *, is_put_back: bool
    ) -> None:
        if is_put_back and args.get("row") != row:
            assert (source, target) == (S.FAILED, S.PENDING)
            return
        assert name in MANY or args.get("row") == row, f"{name} has moved another row"
        sources, targets = TRANSITIONS[name]
        assert source in sources, f"{name} has moved a row that is {source.name}"
        assert target in targets, f"{name} has moved a row to {target.name}"
        self.sources[name].add(source)
        self.targets[name].add(target)

    def _note_standing(self, name: str, args: Mapping[str, Any], reply: Reply, old: Seen, new: Seen) -> None:
        """Note a row that was let through and stays in its state."""
        row = args.get("row", 0)
        if reply.ok and name in TRANSITIONS and row in old.records:
            source, target = old.records[row].state, new.records[row].state
            if source is target and source in TRANSITIONS[name][0] & TRANSITIONS[name][1]:
                self.sources[name].add(source)
                self.targets[name].add(target)

    def _check_outcomes(
        self, name: str, base: str, old: Seen, new: Seen, ended: Sequence[tuple[int, Event, int]]
    ) -> None:
        """Every end of a send, but for those cancelled, is told once in the stream, and nothing else is."""
        if not ended and old.last_out == new.last_out:
            return
        state_of = {event.name: event for event in ENDING}
        after = old.last_out.decode()
        entries = self.client.xrange(f"{base}:out", f"({after}" if after != "-" else "-")
        told = Counter(state_of[S(int(one[b"s"])).name] for _, one in entries)
        assert told == Counter(event for _, event, _ in ended if event is not Event.CANCELLED), name

    # What always holds --------------------------------------------------------------------------------------

    def _check_standing(self, campaign_id: str, seen: Seen) -> None:
        counted = Counter(record.state for record in seen.records.values())
        heard = Counter(record.delivery for record in seen.records.values())
        assert all(int(seen.fields.get(f"d{each:d}", 0)) == heard[each] for each in Delivery if each)
        assert {state: seen.count(state) for state in State} == {state: counted[state] for state in State}
        left = sum(n for state, n in counted.items() if not state.is_ended)
        if left or seen.close or seen.indexes["back"] or seen.fields["state"] == "loading":
            assert seen.active, "out of the tick's sight"
        for row, record in seen.records.items():
            self._check_places(row, record, seen)
        assert set(seen.close) == set(seen.indexes["closing"])
        self._check_breaker(campaign_id, seen)

    def _check_places(self, row: int, record: Record, seen: Seen) -> None:
        """A row that has not ended is in exactly one place where somebody comes for it; an ended one is in none."""
        name, hand = str(row), seen.hands.get(row, {})
        places = {index for index in ("due", "queued", "later", "lease") if name in seen.indexes[index]}
        if row > int(seen.fields["cursor"]) and record.state is S.PENDING and not places:
            places = {"cursor"}
        if record.state.is_ended:
            assert not places, (row, record.state, places)
            assert not hand, (row, record.state, hand)
            return
        allowed = PLACES.get(record.state, {"later", "queued", "lease"})
        assert len(places) == 1, (row, record.state, places)
        assert places <= allowed, (row, record.state, places)
        assert ("token" in hand) is (places == {"lease"}), (
            "a holder without a lease, or a lease without a holder"
        )
        assert bool(hand.get("after")) is False or hand["closing"] in seen.close, "a row waits for nothing"

    def _check_breaker(self, campaign_id: str, seen: Seen) -> None:
        """While the breaker is open, all that was rejected with its code since the last resume is put back."""
        if seen.fields.get("paused_by") != "breaker":
            return
        code = int(seen.fields["reason_code"])
        if str(code) in seen.indexes["back"]:
            return
        for row, send in self.rejected[campaign_id, code]:
            record = seen.records[row]
            assert (record.state, record.code, record.send) != (S.FAILED, code, send), (
                "rejected, and not put back"
            )

    def _check_pairs(self, now: Mapping[str, Seen]) -> None:
        """A pair is held by one row, or by one Interaction that is to be closed, and its lock says by which."""
        holders: dict[str, list[str]] = defaultdict(list)
        for campaign_id, seen in now.items():
            base = keys.campaign(self.rig.ledger.prefix, campaign_id)
            for row, record in seen.records.items():
                if record.state in IN_HAND:
                    holders[self.rig.pair(row)].append(f"{base}:{row}")
            for entry in seen.close.values():
                if entry.get("pair"):
                    holders[entry["pair"]].append(f"{base}:{entry['row']}")
        assert {name: [whose] for name, whose in self.locks.items()} == holders


def _without_answers(record: Record) -> list[Story]:
    return [each for each in record.story if each.event not in ANSWERS]


def _pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Pair what Redis lists as name, value, name, value, …"""
    each = iter(flat)
    return zip(each, each, strict=True)


@lru_cache(maxsize=4096)
def _unpack(value: bytes, created_ms: int) -> Record:
    return unpack(value, created_ms)


@lru_cache(maxsize=4096)
def _unpack_past(value: bytes, created_ms: int) -> tuple[Record, ...]:
    return tuple(unpack_past(value, created_ms))
