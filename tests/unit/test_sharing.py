"""How many of a worker's threads an account may have, and what its messages wait for."""

from collections.abc import Iterator, Sequence

import pytest
from celery.worker import state

from worker.tasks import sharing
from worker.tasks.sharing import NOBODYS, Turns

ACME, GLOBEX, INITECH = "outreach:acme", "outreach:globex", "outreach:initech"


class Taken:
    """Stands for a message that was taken from a queue and is not done."""

    def __init__(self, queue: str, rows: int = 1) -> None:
        self.name = sharing.SEND_ROWS
        self.args = ("tag", "spring-1", list(range(rows)))
        self.delivery_info = {"routing_key": queue}


@pytest.fixture(autouse=True)
def nothing_in_hand(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Turns, "threads", 0)  # for what a test sets is taken back
    monkeypatch.setattr(Turns, "kept", {})
    yield
    state.requests.clear()
    sharing.away.clear()


def turns(*queues: str, threads: int = 8, paces: Sequence[float] = ()) -> Turns:
    Turns.share(threads, dict(zip(queues, paces or [20.0] * len(queues), strict=True)))
    made = Turns()  # type: ignore[no-untyped-call]
    made.update(list(queues))  # type: ignore[no-untyped-call]
    return made


def take(queue: str, messages: int) -> None:
    state.requests.update({f"{queue} {number}": Taken(queue) for number in range(messages)})


def asked(queues: Turns) -> list[str]:
    """List the queues that the next message is taken from."""
    queues.look()
    return queues.consume(len(queues.items))


def fill(queues: Turns, queue: str) -> int:
    """Take all the messages of a queue that hangs; how many were taken."""
    for taken in range(100):
        if queue not in asked(queues):
            return taken
        state.requests[f"{queue} {taken}"] = Taken(queue)
    return 100


@pytest.mark.parametrize(
    ("threads", "accounts", "most"), [(64, 2, 48), (64, 10, 37), (4, 2, 3), (2, 2, 1), (1, 5, 1)]
)
def test_half_of_the_threads_are_anybodys(threads: int, accounts: int, most: int) -> None:
    queues = turns(*(f"outreach:{number}" for number in range(accounts)), threads=threads)

    assert fill(queues, "outreach:0") == most


@pytest.mark.parametrize(("paces", "got"), [((20, 20, 20), [40, 10, 10]), ((1, 1, 28), [31, 1, 28])])
def test_accounts_that_hang_leave_each_of_the_others_its_part_by_its_pace(
    paces: Sequence[float], got: list[int]
) -> None:
    queues = turns(ACME, GLOBEX, INITECH, threads=60, paces=paces)

    assert [fill(queues, queue) for queue in (ACME, GLOBEX, INITECH)] == got


def test_account_with_its_share_in_hand_waits_for_its_threads() -> None:
    queues = turns(ACME, GLOBEX)
    take(ACME, 6)

    assert queues.look()
    assert queues.consume(2) == [GLOBEX]

    state.requests.popitem()
    assert not queues.look()
    assert queues.consume(2) == [ACME, GLOBEX]


def test_rows_that_a_message_carries_count_each() -> None:
    queues = turns(ACME, GLOBEX, INITECH)
    state.requests["one"] = Taken(ACME, rows=6)

    assert asked(queues) == [GLOBEX, INITECH]


def test_message_of_nobodys_counts_as_one() -> None:
    state.requests["one"] = other = Taken(ACME)
    other.args = ()  # type: ignore[assignment]

    assert asked(turns(ACME, GLOBEX)) == [ACME, GLOBEX]


def test_account_whose_redis_is_away_is_asked_for_nothing() -> None:
    sharing.away.add(ACME)

    assert asked(turns(ACME, GLOBEX)) == [GLOBEX]


def test_where_all_are_away_the_broker_is_asked_all_the_same_so_that_it_is_soon_asked_again() -> None:
    queues = turns(ACME, GLOBEX)
    sharing.away.update((ACME, GLOBEX))

    assert queues.look()
    assert queues.consume(2) == [NOBODYS]


def test_only_account_has_all_threads() -> None:
    take(ACME, 8)

    assert asked(turns(ACME)) == [ACME]
