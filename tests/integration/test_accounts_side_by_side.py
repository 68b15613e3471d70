"""Two accounts in one fleet: one whose Twilio hangs or throttles leaves the other its part of the threads."""

from ops.bench.fairness import HANGING, THROTTLED
from ops.bench.fleet import fleet, wait_for
from worker.ledger.states import State

THREADS, ROWS = 8, 15
MOST = 6
"""Four threads are anybody's, and two are kept for either account."""


def test_account_that_hangs_or_is_throttled_does_not_hold_up_another() -> None:
    with fleet([20.0, 20.0], threads=THREADS) as (account, other):
        other.misbehave(**HANGING)
        hung = other.begin(500)
        wait_for(lambda: other.registry.get(hung).counts[State.OPENING] >= MOST, 60)

        assert {worker["concurrency"] for worker in account.registry.workers().values()} == {THREADS}
        campaign = account.begin(ROWS)
        most_hung = []

        def is_done() -> bool:
            most_hung.append(other.registry.get(hung).counts[State.OPENING])
            return account.accepted(campaign) == [ROWS]

        wait_for(is_done, 90)
        assert max(most_hung) <= MOST
        other.misbehave(**THROTTLED)
        again = account.begin(ROWS)
        wait_for(lambda: account.accepted(again) == [ROWS], 90)
