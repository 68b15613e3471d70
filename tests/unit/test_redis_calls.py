"""Tell whether what Redis cannot do now is told from a fault, said in a sentence, and waited for."""

import pytest
import redis
from redis._parsers.base import BaseParser

from worker.errors import RedisUnavailableError
from worker.redis_calls import AskPatiently, ask_once, not_now

SCRIPT_OF_6_2 = "Error running script (call to f_8a71): @user_script:95: @user_script: 95: -{} in this state of the server"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (redis.ConnectionError("reset"), "cannot be reached"),
        (redis.TimeoutError("late"), "no answer in time"),
        (BaseParser.parse_error("LOADING Redis is loading the dataset in memory"), "loading its data"),
        (redis.ResponseError("MISCONF Errors writing to the AOF file"), "cannot write to its disk"),
        (redis.ResponseError("OOM command not allowed"), "is full"),
        (BaseParser.parse_error("OOM command not allowed"), "is full"),
        (BaseParser.parse_error("READONLY You can't write against a read only replica."), "a replica"),
        (BaseParser.parse_error("MASTERDOWN Link with MASTER is down"), "lost its primary"),
        (BaseParser.parse_error("NOREPLICAS Not enough good replicas to write."), "too few replicas"),
        (BaseParser.parse_error("BUSY Redis is busy running a script."), "long script"),
        (BaseParser.parse_error("ERR " + SCRIPT_OF_6_2.format("OOM")), "is full"),
        (BaseParser.parse_error("ERR " + SCRIPT_OF_6_2.format("READONLY")), "a replica"),
        (BaseParser.parse_error("ERR " + SCRIPT_OF_6_2.format("MISCONF")), "cannot write to its disk"),
    ],
)
def test_what_redis_cannot_do_now_is_a_sentence(error: redis.RedisError, words: str) -> None:
    said = not_now(error)

    assert said is not None
    assert words in said.sentence
    assert said.advice.endswith(".")


@pytest.mark.parametrize(
    "text", ["ERR unknown command", "WRONGTYPE Operation against a key", "BUSYKEY taken"]
)
def test_fault_is_raised_as_it_is(text: str) -> None:
    fault = redis.ResponseError(text)

    def act() -> None:
        raise fault

    with pytest.raises(redis.ResponseError) as raised:
        ask_once(act)

    assert raised.value is fault


def test_whoever_has_a_row_in_hand_asks_until_redis_is_back() -> None:
    waits: list[float] = []

    def act() -> str:
        if len(waits) < 6:
            raise redis.ConnectionError("refused")
        return "an answer"

    answer = AskPatiently(waits.append, gives_up=lambda: False)(act)

    assert answer == "an answer"
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_whoever_is_to_leave_asks_no_more() -> None:
    waits: list[float] = []

    def act() -> None:
        raise redis.ConnectionError("refused")

    with pytest.raises(RedisUnavailableError, match="cannot be reached"):
        AskPatiently(waits.append, gives_up=lambda: len(waits) == 2)(act)

    assert len(waits) == 2
