"""One row's turn on a worker: whatever state it is in, the next step."""

from __future__ import annotations

from campaigns.recipients import Recipient
from worker.ledger.ledger import Claim
from worker.ledger.reading import shown_row
from worker.ledger.row import Row
from worker.ledger.states import Reason, State
from worker.pipeline import cautious, opening, sending
from worker.pipeline.bench import LoadedCampaign, Workbench


def send_row(bench: Workbench, campaign_id: str, number: int) -> None:
    """Open a queued row and send its message, or go on with an opened one.

    A message of the broker may be late or doubled: a row in any other state is left as it is.
    """
    _send(bench, campaign_id, bench.ledger.get_row(campaign_id, number))


def send_read_row(bench: Workbench, campaign_id: str, row: Row) -> None:
    """Do as `send_row` with a row that was read with others of its task, and may have waited for its turn since.

    One that was queued then is claimed as it is by then, or not at all. One that was opened is read anew: who held it
    meanwhile may have opened it another time, with another definition.
    """
    if row.state is State.OPEN:
        send_row(bench, campaign_id, row.number)
    else:
        _send(bench, campaign_id, row)


def _send(bench: Workbench, campaign_id: str, row: Row) -> None:
    if row.state not in (State.QUEUED, State.OPEN):
        return
    loaded = bench.campaign_of(row, campaign_id)
    recipient = loaded.compiled.recipient(row.number, row.cells)
    if not isinstance(recipient, Recipient):
        _end_unreadable(bench, loaded, row)
        return
    begun = _begin(bench, loaded, row, recipient)
    if begun is not None:
        claim, opened = begun
        sending.carry_on(bench, loaded, opened, recipient, claim)


def _begin(
    bench: Workbench, loaded: LoadedCampaign, row: Row, recipient: Recipient
) -> tuple[Claim, Row] | None:
    if row.state is State.QUEUED:
        return opening.open_row(bench, loaded, row, recipient)
    claim = bench.claim()
    taken = bench.ledger.take(loaded.info.id, row.number, claim)
    if not taken.ok:
        return None
    if cautious.must_look(bench, loaded, row) and cautious.look_again_first(bench, loaded, row, claim):
        return None
    return claim, shown_row(row, taken)


def _end_unreadable(bench: Workbench, loaded: LoadedCampaign, row: Row) -> None:
    """End a row that its changed definition can't be applied to."""
    if row.state is State.QUEUED:
        bench.ledger.end_queued(loaded.info.id, row.number, State.FAILED, int(Reason.INVALID))
        return
    claim = bench.claim()
    if bench.ledger.take(loaded.info.id, row.number, claim).ok:
        bench.ledger.abandon_open(loaded.info.id, row.number, claim.token, State.FAILED, int(Reason.INVALID))
