"""Settle the rows that nobody but a person can: list them with where to look, and record what the operator found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from campaigns.recipients import Recipient, RowError
from worker.errors import RefusedHereError
from worker.gateway.outcome import Accepted, Unknown
from worker.ledger.keys import is_wave
from worker.ledger.row import Record
from worker.ledger.states import Reason, State
from worker.pipeline import pair
from worker.pipeline.bench import Workbench
from worker.pipeline.reasons import Words, outreach_key, words_of
from worker.pipeline.story import get_row
from worker.pipeline.waves import find_waves

_MESSAGE_SID = re.compile(r"IM[0-9a-fA-F]{32}")


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """A row that needs review; `words` say what is not known and where to look."""

    row: int
    send: int
    key: str
    words: Words
    record: Record
    address: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of an operator's verdict: the row's status now, and a sentence about it."""

    status: Literal["accepted", "needs_review", "pending"]
    message_sid: str
    sentence: str


@dataclass(frozen=True, slots=True)
class _Proof:
    """What Twilio shows of a send: its message, the conversation it is in, or why it could not be asked."""

    message_sid: str = ""
    conversation_sid: str = ""
    unknown: str = ""


def find_rows(bench: Workbench, campaign_id: str) -> Iterator[ReviewRow]:
    """Go through the rows in need of review, then those of the waves. Raises: NotFoundError where there is no such campaign."""
    for info in (bench.registry.get(campaign_id), *find_waves(bench.ledger, bench.registry, campaign_id)):
        known = info.counts.get(State.NEEDS_REVIEW, 0)
        rows = bench.ledger.iter_rows(info.id, info.rows, cells=False)
        found = ((number, record) for number, record, _, _ in rows if record.state is State.NEEDS_REVIEW)
        # No further than the last of them: most campaigns have very few.
        for number, record in islice(found, known):
            key = outreach_key(campaign_id, number, record.send)
            words = words_of(record, None, campaign_id, number)
            yield ReviewRow(number, record.send, key, words, record, _address(bench, campaign_id, number))


def judge_sent(bench: Workbench, campaign_id: str, number: int, message_sid: str = "") -> Verdict:
    """Record that a row was sent: `accepted` where Twilio shows its message, else it stays as it is with this reason.

    Raises: NotFoundError; RefusedHereError where the row needs no review, or Twilio does not show `message_sid`.
    """
    if message_sid and not _MESSAGE_SID.fullmatch(message_sid):
        raise RefusedHereError("A message SID is IM and 32 hex digits.", "Copy it from Twilio's console.")
    where, record = _needing_review(bench, campaign_id, number)
    key = outreach_key(campaign_id, number, record.send)
    proof = _find_proof(bench, where, number, record)
    if message_sid and proof.message_sid.lower() != message_sid.lower():
        raise _unproved(message_sid, key, proof)
    _record(bench, where, number, record, "sent", proof)
    if proof.message_sid:
        return Verdict(
            "accepted", proof.message_sid, f"Twilio has the message {proof.message_sid}: the row is accepted."
        )
    why = (
        f"Twilio could not be asked ({proof.unknown})"
        if proof.unknown
        else f"Twilio shows no message with the key {key}"
    )
    return Verdict(
        "needs_review", "", f"{why}: the row stays in need of review, with your verdict as its reason."
    )


def judge_not_sent(bench: Workbench, campaign_id: str, number: int) -> Verdict:
    """Record that a row was not sent, and begin a new send of it.

    Raises: NotFoundError; RefusedHereError where the row needs no review, or Twilio shows that it was sent after all.
    """
    where, record = _needing_review(bench, campaign_id, number)
    proof = _find_proof(bench, where, number, record)
    if proof.message_sid:
        raise RefusedHereError(
            f"Twilio has the message {proof.message_sid} of row {number}: it was sent.",
            f"`outreach review {campaign_id} --row {number} --sent --message-sid {proof.message_sid}` says so.",
        )
    bench.registry.set_active(where, active=True)
    _record(bench, where, number, record, "not_sent", _Proof())
    # And again: a tick that found nothing left just before may have noted so just after.
    bench.registry.set_active(where, active=True)
    return Verdict("pending", "", f"Row {number} is sent anew when it is its turn.")


def _needing_review(bench: Workbench, campaign_id: str, number: int) -> tuple[str, Record]:
    """Find the send that needs review: the campaign's own, or that of the one wave that no other has followed."""
    info = bench.registry.get(campaign_id)
    record = get_row(bench.ledger, campaign_id, number, info.rows).record
    if record.state is State.NEEDS_REVIEW:
        return campaign_id, record
    for wave_id in bench.ledger.waves(campaign_id):
        with suppress(KeyError):  # the row is not in this one
            record = bench.ledger.get_row(wave_id, number).record
            if record.state is State.NEEDS_REVIEW:
                return wave_id, record
    raise _no_review(campaign_id, number)


def _find_proof(bench: Workbench, campaign_id: str, number: int, record: Record) -> _Proof:
    """Look for the send's message, in its conversation or in all that the customer takes part in.

    What an older ledger has forgotten may have gone into any of them, and as a later send.
    """
    is_older = bench.registry.get(campaign_id).cautious > 0
    conversations = [record.conversation_sid] if record.conversation_sid else []
    if not conversations or is_older:
        recipient = _recipient(bench, campaign_id, number)
        if isinstance(recipient, RowError):
            return _Proof(unknown="the row has no address")
        seen = pair.find_conversations(bench, recipient)
        if not isinstance(seen, Accepted):
            return _Proof(unknown=_why(seen))
        conversations = list(dict.fromkeys([*conversations, *(each.sid for each in seen.value)]))
    prefix, unknown, later = outreach_key(campaign_id, number, 0)[:-1], "", _Proof()
    for sid in conversations:
        found = bench.gateway.find_message_from(sid, prefix, record.send)
        if not isinstance(found, Accepted):
            unknown = _why(found)
        elif found.value and found.value.send == record.send:
            return _Proof(found.value.sid, sid)
        elif found.value and is_older and not is_wave(campaign_id):
            later = _Proof(found.value.sid, sid)
    return later if later.message_sid else _Proof(unknown=unknown)


def _record(
    bench: Workbench, campaign_id: str, number: int, record: Record, verdict: str, proof: _Proof
) -> None:
    reply = bench.ledger.verdict(
        campaign_id,
        number,
        record.send,
        verdict,
        message=proof.message_sid,
        conversation=proof.conversation_sid,
        code=int(Reason.SENT_SAYS_OPERATOR),
    )
    if not reply.ok:
        raise _no_review(campaign_id, number)


def _address(bench: Workbench, campaign_id: str, number: int) -> str:
    recipient = _recipient(bench, campaign_id, number)
    return "" if isinstance(recipient, RowError) else recipient.address


def _recipient(bench: Workbench, campaign_id: str, number: int) -> Recipient | RowError:
    cells = bench.ledger.get_row(campaign_id, number).cells
    return bench.campaign(campaign_id).compiled.recipient(number, cells)


def _why(seen: Unknown) -> str:
    return str(seen.code) if seen.code else "no answer"


def _no_review(campaign_id: str, number: int) -> RefusedHereError:
    return RefusedHereError(
        f"Row {number} of {campaign_id} needs no review.",
        f"`outreach explain {campaign_id} {number}` shows how it stands.",
    )


def _unproved(message_sid: str, key: str, proof: _Proof) -> RefusedHereError:
    if proof.message_sid:
        return RefusedHereError(
            f"The message with the key {key} is {proof.message_sid}, not {message_sid}.", "Name that one."
        )
    if proof.unknown:
        return RefusedHereError(
            f"Twilio could not be asked about {message_sid} ({proof.unknown}).",
            "Try again; nothing was changed.",
        )
    return RefusedHereError(
        f"Twilio shows no message with the key {key} in this customer's conversations, so {message_sid} is not this row's.",
        "Look for that key among the message's attributes; without a message SID, `--sent` is kept as your word.",
    )
