"""Look once more, right before a follow-up is sent, whether its customer has written meanwhile.

Replies are told by webhook or asked for seldom, after three days no more: who answered an hour ago must not be reminded.
"""

from __future__ import annotations

from datetime import timedelta

from worker.gateway.outcome import Accepted, Answer, Unknown
from worker.ledger import keys
from worker.ledger.row import Record, Row
from worker.pipeline import pace
from worker.pipeline.bench import LoadedCampaign, Workbench
from worker.pipeline.hearing import SKEW, note_answer
from worker.pipeline.receipts import bucket_of_looks


def is_moot(bench: Workbench, loaded: LoadedCampaign, row: Row) -> Answer[bool]:
    """Tell of a row in a wave whether its customer has answered, so that nobody need remind him.

    An answer that was not known yet is noted on the campaign's own record; whoever opts out is on the do-not-contact list
    before the row is claimed.
    """
    if not keys.is_wave(loaded.info.id):
        return Accepted(False)
    first, is_reminder = _first(bench, loaded, row), _is_reminder(bench, loaded)
    is_known = first.has_opted_out or (is_reminder and first.answered_at)
    if row.hand.adopt and not is_known:
        heard = _hear(bench, loaded, row, first)
        if isinstance(heard, Unknown):
            return heard
        first = _first(bench, loaded, row)
    return Accepted(is_reminder and first.answered_at is not None)


def _first(bench: Workbench, loaded: LoadedCampaign, row: Row) -> Record:
    return bench.ledger.get_row(loaded.parent_id, row.number).record


def _is_reminder(bench: Workbench, loaded: LoadedCampaign) -> bool:
    number, _ = keys.place_in_wave(loaded.info.id)
    entries = bench.campaign(loaded.parent_id).campaign.follow_ups
    # An entry that an update has taken out of the definition is no reason to write to who has answered.
    return number > len(entries) or entries[number - 1].if_ == "no_reply"


def _hear(bench: Workbench, loaded: LoadedCampaign, row: Row, first: Record) -> Unknown | None:
    """Read what the customer wrote since our first message; why not, where that is to be tried again."""
    assert first.finished_at is not None, "a row that was accepted has ended"
    skew = timedelta(seconds=bench.gateway.clock_skew_s)
    since = first.finished_at + skew - SKEW
    answer = pace.ask(
        bench, bucket_of_looks(bench), lambda: bench.gateway.read_conversation(row.hand.adopt, since)
    )
    if isinstance(answer, Unknown):
        return None if answer.code in pace.FORBIDDEN else answer
    for message in reversed(answer.value):  # the oldest first: it is the one that answered
        if message.key is None:
            at = message.created_at - skew
            note_answer(bench, loaded.parent_id, row.number, message.author, message.body, at)
    return None
