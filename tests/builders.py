"""Builders of what tests need much of: SIDs, a clock that is passed in, campaigns in a ledger, rows in any state."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from worker.ledger.keys import BUCKET, pair
from worker.ledger.ledger import Claim, Ledger, LoadRow
from worker.ledger.registry import Registry
from worker.ledger.row import Row, pack_new
from worker.ledger.states import Reason, State
from worker.ledger.suppression import Suppression

TAG = "0badcafe"
LEASE_MS = 60_000
BEGAN_MS = 1_700_000_000_000


def sid(kind: str, number: int) -> str:
    """Give a SID of this kind (`KD`, `CH`, `IM`, `UO`, `WT`)."""
    return f"{kind}{number:032x}"


@dataclass
class Clock:
    """Redis's clock as tests pass it in; only a test moves it."""

    ms: int = BEGAN_MS

    def __call__(self) -> int:
        return self.ms

    def pass_ms(self, ms: int) -> None:
        """Let time pass."""
        self.ms += ms


@dataclass
class LedgerRig:
    """A ledger with its registry on a real Redis, and short words for what tests do with them."""

    client: "redis.Redis"
    clock: Clock = field(default_factory=Clock)
    tag: str = TAG

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.client, self.tag, self.clock)
        self.registry = Registry(self.client, self.tag, self.clock)
        self.suppression = Suppression(self.client, self.tag)
        self._tokens = itertools.count(1)

    def load(
        self,
        campaign_id: str = "spring-1",
        rows: int = 1,
        states: dict[int, State] | None = None,
        *,
        start: bool = True,
    ) -> str:
        """Create a campaign of `rows` PENDING rows (but for `states`), load and start it."""
        fields = {"name": "spring", "definition": "{}", "columns": '["phone"]', "file_sha256": "0" * 64}
        assert self.registry.create(campaign_id, fields).ok
        for first in range(1, rows + 1, BUCKET):
            last = min(first + BUCKET, rows + 1)
            chunk = [load_row(row, (states or {}).get(row, State.PENDING)) for row in range(first, last)]
            assert self.ledger.load_rows(campaign_id, first, chunk).ok
        if start:
            assert self.registry.start(campaign_id, rows).ok
        return campaign_id

    def claim(self, owner: str = "worker-1", lease_ms: int = LEASE_MS) -> Claim:
        """Make a claim with a token that was never used."""
        return Claim(f"token-{next(self._tokens)}", owner, lease_ms)

    def row(self, campaign_id: str, number: int = 1) -> Row:
        """Read a row."""
        return self.ledger.get_row(campaign_id, number)

    def state(self, campaign_id: str, number: int = 1) -> State:
        """Tell a row's state."""
        return self.row(campaign_id, number).state

    def pair(self, number: int = 1) -> str:
        """Name the lock of the pair that row `number` has in every campaign."""
        return pair(self.ledger.prefix, f"+1202555{number:04d}\n+12025550199")

    def dump(self) -> dict[bytes, Any]:
        """Read everything that Redis holds, to be compared."""
        return {name: self._value(name) for name in self.client.scan_iter()}

    def _value(self, name: bytes) -> Any:
        kind = self.client.type(name)
        read: dict[bytes, Callable[[], Any]] = {
            b"hash": lambda: self.client.hgetall(name),
            b"set": lambda: self.client.smembers(name),
            b"zset": lambda: self.client.zrange(name, 0, -1, withscores=True),
            b"list": lambda: self.client.lrange(name, 0, -1),
            b"stream": lambda: self.client.xrange(name),
            b"string": lambda: self.client.get(name),
        }
        return read[kind]()

    # Legal moves --------------------------------------------------------------------------------------------

    def queue(self, campaign_id: str, number: int = 1) -> None:
        """Have a PENDING row QUEUED, and with it those that are due before."""
        for _ in range(2000):
            if self.state(campaign_id, number) is State.QUEUED:
                return
            if not self.ledger.dispatch(campaign_id, fresh=1, old=0).fresh:
                self.clock.pass_ms(1000)
        raise AssertionError(f"row {number} was never due")

    def opening(self, campaign_id: str, number: int = 1, claim: Claim | None = None) -> str:
        """Bring a PENDING row to OPENING; its holder's token."""
        claim = claim or self.claim()
        self.queue(campaign_id, number)
        reply = self.ledger.claim_opening(campaign_id, number, claim, self.pair(number))
        assert reply.ok, reply.why
        return claim.token

    def open(self, campaign_id: str, number: int = 1, claim: Claim | None = None) -> str:
        """Bring a PENDING row to OPEN, held; its holder's token."""
        token = self.opening(campaign_id, number, claim)
        assert self.ledger.opened(campaign_id, number, token, **opened_sids(number)).ok
        return token

    def sending(self, campaign_id: str, number: int = 1, claim: Claim | None = None) -> str:
        """Bring a PENDING row to SENDING; its holder's token."""
        claim = claim or self.claim()
        self.open(campaign_id, number, claim)
        assert self.ledger.claim_sending(campaign_id, number, claim, sid("CH", number)).ok
        return claim.token

    def accept(self, campaign_id: str, number: int = 1) -> None:
        """Bring a PENDING row to ACCEPTED."""
        token = self.sending(campaign_id, number)
        assert self.ledger.accepted(campaign_id, number, token, sid("IM", number)).ok

    def reject(self, campaign_id: str, number: int, code: int = 21211, *, stop: bool = False) -> None:
        """Have the Interaction of a PENDING row refused."""
        token = self.opening(campaign_id, number)
        assert self.ledger.reject_opening(campaign_id, number, token, code, stop=stop).ok

    def take(self, campaign_id: str, number: int = 1) -> str:
        """Hold an opened or doubtful row; its holder's token."""
        claim = self.claim()
        reply = self.ledger.take(campaign_id, number, claim)
        assert reply.ok, reply.why
        return claim.token

    def doubt(self, campaign_id: str, number: int = 1, *, sending: bool = False) -> str:
        """Bring a PENDING row into doubt, held; its holder's token."""
        if sending:
            token = self.sending(campaign_id, number)
            assert self.ledger.doubt_sending(campaign_id, number, token, 2000, 500).ok
        else:
            token = self.opening(campaign_id, number)
            assert self.ledger.doubt_opening(campaign_id, number, token, 2000, 500).ok
        return self.take(campaign_id, number)

    def bring(self, campaign_id: str, state: State, number: int = 1) -> str:
        """Bring a PENDING row into `state` by legal moves, held where it can be; its holder's token, or ''."""
        ways: dict[State, Callable[[], str | None]] = {
            State.PENDING: lambda: None,
            State.QUEUED: lambda: self.queue(campaign_id, number),
            State.OPENING: lambda: self.opening(campaign_id, number),
            State.DOUBT_OPENING: lambda: self.doubt(campaign_id, number),
            State.OPEN: lambda: self.open(campaign_id, number),
            State.SENDING: lambda: self.sending(campaign_id, number),
            State.DOUBT_SENDING: lambda: self.doubt(campaign_id, number, sending=True),
            State.ACCEPTED: lambda: self.accept(campaign_id, number),
            State.FAILED: lambda: self.reject(campaign_id, number),
            State.SKIPPED: lambda: self._skip(campaign_id, number),
            State.NEEDS_REVIEW: lambda: self._review(campaign_id, number),
            State.CANCELLED: lambda: self._cancel(campaign_id),
        }
        # An INVALID row is loaded as one.
        token = "" if self.state(campaign_id, number) is state else ways[state]() or ""
        assert self.state(campaign_id, number) is state
        return token

    def _skip(self, campaign_id: str, number: int) -> None:
        token = self.opening(campaign_id, number)
        assert self.ledger.skip_opening(campaign_id, number, token, Reason.PAIR_BUSY).ok

    def _review(self, campaign_id: str, number: int) -> None:
        token = self.doubt(campaign_id, number, sending=True)
        assert self.ledger.review(campaign_id, number, token, Reason.LOOKUPS_FAILED).ok

    def _cancel(self, campaign_id: str) -> None:
        assert self.registry.cancel(campaign_id).ok
        assert self.ledger.cancel_rows(campaign_id).ok


def opened_sids(number: int = 1) -> dict[str, str]:
    """Give the SIDs that come with row `number`'s Interaction."""
    return {
        "interaction": sid("KD", number),
        "conversation": sid("CH", number),
        "channel": sid("UO", number),
        "flex_task": sid("WT", number),
    }


def load_row(number: int, state: State = State.PENDING, cells: Sequence[str] | None = None) -> LoadRow:
    """Make a row to be loaded."""
    note = ("bad_number", "This is no phone number.", "Correct it.") if state is State.INVALID else None
    code = {State.INVALID: Reason.INVALID, State.SKIPPED: Reason.DUPLICATE}.get(state, Reason.NONE)
    record = pack_new(state, number.to_bytes(8), code, 1 if state is State.SKIPPED else 0)
    return LoadRow(cells or (f"+1202555{number:04d}",), record, note)
