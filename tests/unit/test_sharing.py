"""How many of a worker's threads an account may have, and what its messages wait for."""

from collections.abc import Iterator

import pytest
from celery.worker import state

from worker.tasks import sharing
from worker.tasks.sharing import Turns, most_threads

ACME, GLOBEX, INITECH = "outreach:acme", "outreach:globex", "outreach:initech"


class Taken:
    """Stands for a message that was taken from a queue and is not done."""

    def __init__(self, queue: str, rows: int = 1) -> None:
        self.name = sharing.SEND_ROWS
        self.args = ("tag", "spring-1", list(range(rows)))
        self.delivery_info = {"routing_key": queue}


@pytest.fixture(autouse=True)
def nothing_in_hand(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Turns, "threads", 8)
    yield
    state.requests.clear()
    sharing.away.clear()


def turns(*queues: str) -> Turns:
    made = Turns()  # type: ignore[no-untyped-call]
    made.update(list(queues))  # type: ignore[no-untyped-call]
    return made


def take(queue: str, messages: int) -> None:
    state.requests.update({f"{queue} {number}": Taken(queue) for number in range(messages)})


@pytest.mark.parametrize(
    ("threads", "accounts", "most"), [(64, 1, 64), (64, 2, 48), (64, 10, 37), (4, 2, 3), (2, 2, 1), (1, 5, 1)]
)
def test_half_of_the_threads_are_anybodys(threads: int, accounts: int, most: int) -> None:
    assert most_threads(threads, accounts) == most


def test_account_with_its_share_in_hand_waits_for_its_threads() -> None:
    queues = turns(ACME, GLOBEX)
    take(ACME, 6)

    assert queues.consume(2) == [GLOBEX]
    assert queues.holds_back

    state.requests.popitem()
    assert queues.consume(2) == [ACME, GLOBEX]
    assert not queues.holds_back


def test_rows_that_a_message_carries_count_each() -> None:
    queues = turns(ACME, GLOBEX, INITECH)
    state.requests["one"] = Taken(ACME, rows=6)

    assert queues.consume(3) == [GLOBEX, INITECH]


def test_account_whose_redis_is_away_is_asked_for_nothing() -> None:
    sharing.away.add(ACME)

    assert turns(ACME, GLOBEX).consume(2) == [GLOBEX]


def test_only_account_has_all_threads() -> None:
    take(ACME, 8)

    assert turns(ACME).consume(1) == [ACME]
