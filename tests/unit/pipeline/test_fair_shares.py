"""How the room in the window is dealt to campaigns."""

import pytest

from worker.pipeline.dispatch import fair_shares


@pytest.mark.parametrize(
    ("room", "wishes", "turn", "shares"),
    [
        (20, [100, 100], 0, [10, 10]),
        (20, [100, 3, 0], 0, [17, 3, 0]),
        (2, [5, 5, 5], 0, [1, 1, 0]),
        (2, [5, 5, 5], 1, [0, 1, 1]),
        (2, [5, 5, 5], 2, [1, 0, 1]),
        (1, [5, 5], 7, [0, 1]),
        (100, [3, 4], 0, [3, 4]),
        (0, [3, 4], 0, [0, 0]),
        (5, [], 3, []),
    ],
)
def test_room_is_dealt_evenly_in_turn_and_never_beyond_a_wish(
    room: int, wishes: list[int], turn: int, shares: list[int]
) -> None:
    assert fair_shares(room, wishes, turn) == shares


def test_every_campaign_is_first_in_its_turn() -> None:
    firsts = [fair_shares(1, [9, 9, 9, 9], turn).index(1) for turn in range(4)]

    assert sorted(firsts) == [0, 1, 2, 3]
