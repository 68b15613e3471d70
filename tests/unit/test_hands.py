"""A worker's threads are shared among its accounts, so that calls that hang take no other account's."""

from contextlib import ExitStack

from worker.tasks.hands import Hands


def take(hands: Hands, tag: str, held: ExitStack, tries: int = 100) -> int:
    """Take as many threads as there are for an account; how many."""
    return sum(held.enter_context(hands.one(tag)) for _ in range(tries))


def test_account_whose_calls_hang_leaves_as_many_threads_as_it_has() -> None:
    hands = Hands(64, accounts=3)
    with ExitStack() as held:
        first, second = take(hands, "first", held), take(hands, "second", held)

        assert (first, second, take(hands, "third", held)) == (32, 16, 8)


def test_only_account_has_all_threads() -> None:
    with ExitStack() as held:
        assert take(Hands(8, accounts=1), "only", held) == 100


def test_account_with_nothing_in_hand_may_always_do_one_thing() -> None:
    hands = Hands(1, accounts=2)
    with ExitStack() as held:
        assert (take(hands, "first", held), take(hands, "second", held)) == (1, 1)


def test_thread_that_is_done_is_free_again() -> None:
    hands = Hands(4, accounts=2)
    with ExitStack() as held:
        take(hands, "first", held)

    with ExitStack() as held:
        assert take(hands, "first", held) == 2
