"""The ledger's rows: one method a transition, each the Lua file of the same name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from worker import json_text
from worker.ledger import keys
from worker.ledger.reading import ToClose
from worker.ledger.receipts import Poll, Receipts
from worker.ledger.scripts import Reply, SlotOrder
from worker.ledger.states import Reason, State
from worker.ledger.waves import Waves

PAIR_LEASE_MS = 600_000
AGAIN_MS = 2_000
UNDER_WAY_MS = 12_000
"""After its claim no request leaves any more: a lease has no more than this beyond the request's own time."""

__all__ = ["AGAIN_MS", "Claim", "Due", "Ledger", "LoadRow", "Looks", "Poll", "ToClose"]


class Claim(NamedTuple):
    """Who holds a row, and for how long: every later write names the token (fencing)."""

    token: str
    owner: str
    lease_ms: int


class Looks(NamedTuple):
    """How a claim goes where the ledger may be older than what was sent: the row is looked up first, in `in_ms`.

    `always`: whatever the ledger says; `only`: the caller has come for nothing else, and has no slot.
    """

    in_ms: int = AGAIN_MS
    always: bool = False
    only: bool = False

    def arguments(self) -> dict[str, Any]:
        """Give what the script wants to know."""
        args: dict[str, Any] = {"look_in_ms": self.in_ms, "under_way_ms": UNDER_WAY_MS}
        if self.always:
            args["cautious"] = True
        if self.only:
            args["look_only"] = True
        return args


LOOKS = Looks()
_PAIR_IN_HAND = int(Reason.PAIR_IN_HAND)


@dataclass(frozen=True, slots=True)
class LoadRow:
    """A row to be loaded: its record, the customer's cells, and words of its own if it needs some.

    `follow_ups`: how many of them it has had, where it had ended before.
    """

    cells: Sequence[str]
    record: bytes
    note: tuple[str, str, str] | None = None
    follow_ups: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """What one dispatch has put into the window."""

    fresh: tuple[int, ...]
    open: tuple[int, ...]
    doubt: tuple[int, ...]


class Ledger(Receipts, Waves):
    """The rows of an account's campaigns. Every method raises RedisUnavailableError where Redis gives no answer."""

    # Loading ------------------------------------------------------------------------------------------------

    def load_rows(self, campaign_id: str, first: int, rows: Sequence[LoadRow], *, in_all: int = 0) -> Reply:
        """Load rows `first`… of one bucket; refused, with the rows loaded so far as `why`, where another loader was here.

        `first` begins a bucket, and only the last bucket may be short. `in_all`: how many rows the campaign will have, where
        some were accepted before: their deliveries and replies are asked for.
        """
        counts: dict[str, int] = {}
        rest: list[bytes | str | int] = [len(rows)]
        for at, row in enumerate(rows):
            state = str(row.record[0])
            counts[state] = counts.get(state, 0) + 1
            rest += (
                at,
                json_text.dumps(row.cells),
                row.record,
                json_text.dumps(row.note) if row.note else "",
            )
        waved = {str(first + at): row.follow_ups + 1 for at, row in enumerate(rows) if row.follow_ups}
        args: dict[str, Any] = {
            "first": first,
            "counts": counts,
            "in_all": in_all or None,
            "waved": waved or None,
        }
        return self.scripts.run("load_rows", (self.key(campaign_id),), args, rest)

    # The window ---------------------------------------------------------------------------------------------

    def dispatch(self, campaign_id: str, *, fresh: int, old: int) -> Due:
        """Put due rows into the broker's window: at most `fresh` PENDING ones and `old` opened or doubtful ones."""
        new, opened, doubt = self._run("dispatch", campaign_id, fresh=fresh, old=old).values
        return Due(tuple(new), tuple(opened), tuple(doubt))

    def defer_queued(
        self, campaign_id: str, row: int, due_in_ms: int, code: int = 0, *, waits: bool = False
    ) -> Reply:
        """Give a queued row back: PENDING, due later. `waits`: it waits for its pair, since now or before."""
        return self._run(
            "defer_queued",
            campaign_id,
            row=row,
            due_in_ms=due_in_ms,
            code=code or None,
            waiting_since=waits or None,
        )

    def end_queued(self, campaign_id: str, row: int, state: State, code: int, arg: int = 0) -> Reply:
        """End a queued row without a call: SKIPPED by a rule, or FAILED."""
        return self._run("end_queued", campaign_id, row=row, state=int(state), code=code, arg=arg)

    def rescue_queued(self, campaign_id: str, *, older_ms: int, most: int = 500) -> int:
        """Make rows due again that have been in the window for `older_ms` or longer; how many."""
        return int(self._run("rescue_queued", campaign_id, older_ms=older_ms, most=most).values[0])

    # Opening ------------------------------------------------------------------------------------------------

    def claim_opening(
        self,
        campaign_id: str,
        row: int,
        claim: Claim,
        pair_key: str,
        version: int = 1,
        looks: Looks = LOOKS,
        contact: Sequence[str] = (),
        *,
        slot: SlotOrder | None = None,
    ) -> Reply:
        """Claim a queued row before its Interaction is asked for; refused with the reason (`paused`, `pair`, …).

        `slot`: one of the account's pace, which counts when the campaigns share it; taken only if the row may be claimed, and
        told of last in `values`. Refused with `wait`, nothing has changed: the slot is too far off.
        `version`: of the definition that the row is opened with, and finished with. Refused with `cautious` it is in doubt
        now: looked up before anything is asked for. Refused with `suppressed` it is SKIPPED: one of the fields of `contact`
        is on the do-not-contact list.
        """
        args = {
            "row": row,
            "token": claim.token,
            "owner": claim.owner,
            "lease_ms": claim.lease_ms,
            "pair_ms": PAIR_LEASE_MS,
            "again_ms": AGAIN_MS,
            "pair_code": _PAIR_IN_HAND,
            "version": version,
            "contact": contact or None,
            **looks.arguments(),
        }
        return self.scripts.run("claim_opening", (self.key(campaign_id), pair_key), args, slot=slot)

    def opened(
        self,
        campaign_id: str,
        row: int,
        token: str,
        *,
        interaction: str,
        conversation: str,
        channel: str,
        flex_task: str,
    ) -> Reply:
        """Record that Twilio took the Interaction on; SIDs that are not known yet are empty."""
        args = {
            "row": row,
            "token": token,
            "interaction": interaction,
            "conversation": conversation,
            "channel": channel,
            "flex_task": flex_task,
        }
        return self.scripts.run("opened", (self.key(campaign_id),), args)

    def defer_opening(self, campaign_id: str, row: int, token: str, due_in_ms: int, code: int) -> Reply:
        """Put a row back whose Interaction was not processed."""
        return self._run("defer_opening", campaign_id, row=row, token=token, due_in_ms=due_in_ms, code=code)

    def give_up_slot(self, campaign_id: str, row: int, token: str, due_in_ms: int) -> Reply:
        """Put a claimed row back before anything was sent."""
        return self._run("give_up_slot", campaign_id, row=row, token=token, due_in_ms=due_in_ms)

    def reject_opening(
        self, campaign_id: str, row: int, token: str, code: int, *, stop: bool, contact: Sequence[str] = ()
    ) -> Reply:
        """Record that Twilio refused the Interaction; `stop` opens the breaker at once.

        `contact`: goes on the do-not-contact list, with a code that says that the customer wants no messages.
        """
        args = {"token": token, "code": code, "stop": stop, "contact": list(contact) or None}
        return self._run("reject_opening", campaign_id, row=row, **args)

    def skip_opening(self, campaign_id: str, row: int, token: str, code: int) -> Reply:
        """Record that the customer's pair is taken, and the rule is to skip."""
        return self._run("skip_opening", campaign_id, row=row, token=token, code=code)

    def wait_opening(self, campaign_id: str, row: int, token: str, code: int, due_in_ms: int) -> Reply:
        """Put a row back to wait until its pair is free."""
        return self._run("wait_opening", campaign_id, row=row, token=token, code=code, due_in_ms=due_in_ms)

    def doubt_opening(self, campaign_id: str, row: int, token: str, due_in_ms: int, code: int) -> Reply:
        """Record that the Interaction's request went unanswered; first look in `due_in_ms`."""
        return self._run("doubt_opening", campaign_id, row=row, token=token, due_in_ms=due_in_ms, code=code)

    # Opened -------------------------------------------------------------------------------------------------

    def take(self, campaign_id: str, row: int, claim: Claim) -> Reply:
        """Hold an opened or doubtful row while it is looked after."""
        return self._run("take", campaign_id, row=row, **claim._asdict())

    def wait_open(
        self,
        campaign_id: str,
        row: int,
        token: str,
        due_in_ms: int,
        *,
        conversation: str = "",
        counted: bool = False,
        seen: bool = False,
        code: int = 0,
        sender: tuple[str, int] | None = None,
    ) -> Reply:
        """Let an opened row go until `due_in_ms`.

        `counted`: a check found that it isn't ready; `seen`: the customer is in it, only the message's slot is far off;
        `code`: why a check told nothing; `sender`: whose slot it waits for, behind those who do already, and the interval
        between two slots (ms).
        """
        name, interval_ms = sender or ("", None)
        args: dict[str, Any] = {
            "row": row,
            "token": token,
            "due_in_ms": due_in_ms,
            "interval_ms": interval_ms,
            "conversation": conversation,
            "counted": counted or None,
            "seen": seen or None,
            "code": code or None,
        }
        queue = (keys.sender_queue(self.prefix, name),) if sender else ()
        return self.scripts.run("wait_open", (self.key(campaign_id), *queue), args)

    def use_conversation(self, campaign_id: str, row: int, token: str, conversation: str) -> Reply:
        """Send into a conversation that was open before; an empty Interaction of our own is to be closed."""
        return self._run("use_conversation", campaign_id, row=row, token=token, conversation=conversation)

    def switch_interaction(
        self,
        campaign_id: str,
        row: int,
        token: str,
        *,
        interaction: str,
        conversation: str,
        channel: str,
        flex_task: str,
    ) -> Reply:
        """Go on with another Interaction of the same send: the one that holds the customer."""
        sids = {
            "interaction": interaction,
            "conversation": conversation,
            "channel": channel,
            "flex_task": flex_task,
        }
        return self._run("switch_interaction", campaign_id, row=row, token=token, **sids)

    def abandon_open(
        self,
        campaign_id: str,
        row: int,
        token: str,
        state: State,
        code: int,
        *,
        stop: bool = False,
        due_in_ms: int = 0,
        waits: bool = False,
        contact: Sequence[str] = (),
    ) -> Reply:
        """End (FAILED, SKIPPED) or begin anew (PENDING) a row whose Interaction can't carry the message."""
        args = {
            "state": int(state),
            "code": code,
            "stop": stop,
            "due_in_ms": due_in_ms,
            "waiting": waits or None,
            "contact": list(contact) or None,
        }
        return self._run("abandon_open", campaign_id, row=row, token=token, **args)

    # Sending ------------------------------------------------------------------------------------------------

    def claim_sending(
        self,
        campaign_id: str,
        row: int,
        claim: Claim,
        conversation: str,
        looks: Looks = LOOKS,
        contact: Sequence[str] = (),
        *,
        slot: SlotOrder | None = None,
    ) -> Reply:
        """Claim an opened row, held with the same token, before its message is asked for.

        `slot`: one of its sender's pace, as above. Refused with `cautious` and `suppressed`: as above; an Interaction is to be
        closed then.
        """
        args = {
            "row": row,
            "token": claim.token,
            "owner": claim.owner,
            "lease_ms": claim.lease_ms,
            "conversation": conversation,
            "contact": contact or None,
            **looks.arguments(),
        }
        return self.scripts.run("claim_sending", (self.key(campaign_id),), args, slot=slot)

    def accepted(self, campaign_id: str, row: int, token: str, message: str) -> Reply:
        """Record that Twilio answered with a message SID."""
        return self._run("accepted", campaign_id, row=row, token=token, message=message)

    def defer_sending(self, campaign_id: str, row: int, token: str, due_in_ms: int, code: int) -> Reply:
        """Put an opened row off whose message was not processed."""
        return self._run("defer_sending", campaign_id, row=row, token=token, due_in_ms=due_in_ms, code=code)

    def reject_sending(
        self, campaign_id: str, row: int, token: str, code: int, *, stop: bool, contact: Sequence[str] = ()
    ) -> Reply:
        """Record that Twilio refused the message; the Interaction is to be closed. `contact`: as of `reject_opening`."""
        args = {"token": token, "code": code, "stop": stop, "contact": list(contact) or None}
        return self._run("reject_sending", campaign_id, row=row, **args)

    def reopen_sending(self, campaign_id: str, row: int, token: str, code: int, due_in_ms: int) -> Reply:
        """Begin anew with a row whose conversation was closed before its message."""
        return self._run("reopen_sending", campaign_id, row=row, token=token, code=code, due_in_ms=due_in_ms)

    def doubt_sending(self, campaign_id: str, row: int, token: str, due_in_ms: int, code: int) -> Reply:
        """Record that the message's request went unanswered; first look in `due_in_ms`."""
        return self._run("doubt_sending", campaign_id, row=row, token=token, due_in_ms=due_in_ms, code=code)

    # Doubt --------------------------------------------------------------------------------------------------

    def look_again(
        self, campaign_id: str, row: int, token: str, due_in_ms: int, *, empty: bool, code: int
    ) -> Reply:
        """Note a look that did not settle a doubt; `empty`: it was usable and found nothing."""
        args = {"due_in_ms": due_in_ms, "empty": empty or None, "code": code}
        return self._run("look_again", campaign_id, row=row, token=token, **args)

    def adopt_opening(
        self,
        campaign_id: str,
        row: int,
        token: str,
        *,
        interaction: str,
        conversation: str,
        channel: str,
        flex_task: str,
        others: Sequence[tuple[str, str]] = (),
    ) -> Reply:
        """Record that the Interaction in doubt was found by our own key.

        `others`: Interactions with the same key, and their channels, that are to be closed.
        """
        sids = {
            "interaction": interaction,
            "conversation": conversation,
            "channel": channel,
            "flex_task": flex_task,
        }
        return self._run(
            "adopt_opening", campaign_id, row=row, token=token, others=list(others) or None, **sids
        )

    def absent_opening(
        self, campaign_id: str, row: int, token: str, due_in_ms: int, *, max_attempts: int, code: int
    ) -> Reply:
        """Record that the Interaction in doubt was never created."""
        args = {"due_in_ms": due_in_ms, "max_attempts": max_attempts, "code": code, "stop": False}
        return self._run("absent_opening", campaign_id, row=row, token=token, **args)

    def adopt_sent(
        self,
        campaign_id: str,
        row: int,
        token: str,
        *,
        send: int,
        message: str,
        conversation: str,
        interaction: str,
        others: Sequence[tuple[str, str]] = (),
    ) -> Reply:
        """Record that a message of this row was found that the ledger did not know of; `interaction` may be empty.

        `others`: further Interactions of the row's, and their channels, that are to be closed.
        """
        found = {"send": send, "message": message, "conversation": conversation, "interaction": interaction}
        return self._run(
            "adopt_sent", campaign_id, row=row, token=token, others=list(others) or None, **found
        )

    def adopt_sending(self, campaign_id: str, row: int, token: str, message: str) -> Reply:
        """Record that the message in doubt was found by our own key."""
        return self._run("adopt_sending", campaign_id, row=row, token=token, message=message)

    def absent_sending(
        self, campaign_id: str, row: int, token: str, due_in_ms: int, *, max_attempts: int, code: int
    ) -> Reply:
        """Record that the message in doubt was never taken."""
        args = {"due_in_ms": due_in_ms, "max_attempts": max_attempts, "code": code, "stop": False}
        return self._run("absent_sending", campaign_id, row=row, token=token, **args)

    def review(self, campaign_id: str, row: int, token: str, code: int) -> Reply:
        """Leave a doubt to a person."""
        return self._run("review", campaign_id, row=row, token=token, code=code)

    def expire(
        self, campaign_id: str, row: int, due_in_ms: int, code: int, *, owner: str | None = None
    ) -> Reply:
        """Take a row from a holder whose lease is over, or whose process (`owner`) is known to be dead."""
        return self._run("expire", campaign_id, row=row, due_in_ms=due_in_ms, code=code, owner=owner)

    # After the end ------------------------------------------------------------------------------------------

    def new_send(self, campaign_id: str, row: int, send: int) -> Reply:
        """Begin a new send of a row whose send number `send` failed or was not delivered; the earlier record is kept.

        Refused as `follow_up` while one of the row is under way, or needs review.
        """
        return self._run("new_send", campaign_id, row=row, send=send)

    def verdict(
        self,
        campaign_id: str,
        row: int,
        send: int,
        verdict: str,
        *,
        message: str = "",
        conversation: str = "",
        code: int = 0,
    ) -> Reply:
        """Record an operator's verdict (`sent` or `not_sent`) on a row that needs review."""
        args = {"verdict": verdict, "message": message, "conversation": conversation, "code": code}
        return self._run("verdict", campaign_id, row=row, send=send, **args)

    def cancel_rows(self, campaign_id: str, most: int = 1000) -> Reply:
        """End some more rows of a cancelled campaign; the first value is how many are left."""
        return self._run("cancel_rows", campaign_id, most=most)

    # Closing ------------------------------------------------------------------------------------------------

    def owe_close(self, campaign_id: str, row: int, token: str, interaction: str, channel: str) -> Reply:
        """Note an Interaction of a held row's own key that is to be closed, for nothing can be sent there."""
        return self._run(
            "owe_close", campaign_id, row=row, token=token, interaction=interaction, channel=channel
        )

    def closed(
        self,
        campaign_id: str,
        interaction: str,
        *,
        done: bool = False,
        due_in_ms: int = 0,
        refused: int = 0,
        given_up: bool = False,
    ) -> Reply:
        """Record what came of closing an Interaction.

        `refused`: the code with which Twilio refuses it; `given_up`: it is left to be closed by hand.
        """
        args = {"done": done or None, "refused": refused or None, "given_up": given_up or None}
        return self._run("closed", campaign_id, interaction=interaction, due_in_ms=due_in_ms, **args)
