"""Look at the ledger's scripts as texts: what they may call, and how they are called."""

import re
from importlib import resources
from inspect import signature

import fakeredis
import pytest

from worker.errors import RedisUnavailableError
from worker.ledger.ledger import Ledger
from worker.ledger.scripts import Reply, Scripts, read_reply, retrying, source
from worker.ledger.states import TRANSITIONS, Event, State
from worker.redis_scripts import folded, headed, slots_head

FOLDER = resources.files("worker.ledger") / "lua"
TEXTS = {each.name.removesuffix(".lua"): each.read_text() for each in FOLDER.iterdir()}
PACING = {
    each.name: each.read_text()
    for each in resources.files("worker.pacing").iterdir()
    if each.name.endswith(".lua")
}
HEAD = slots_head() + TEXTS["_head"]
# Each of them, in this form, is known to Redis 6.2 (https://redis.io/docs/latest/commands/, "since").
COMMANDS_6_2 = {
    *("DEL", "EXISTS", "GET", "PEXPIRE", "PTTL", "SET", "TIME", "UNLINK"),
    *("HDEL", "HEXISTS", "HGET", "HINCRBY", "HMGET", "HSET", "HSETNX"),
    *("LLEN", "LRANGE", "LREM", "LPUSH", "LTRIM", "RPUSH"),
    *("SADD", "SMEMBERS", "SREM"),
    *("XADD", "ZADD", "ZRANGE", "ZRANGEBYSCORE", "ZMSCORE", "ZREM", "ZSCORE"),
}


@pytest.mark.parametrize("text", [*TEXTS.values(), *PACING.values()], ids=[*TEXTS, *PACING])
def test_script_keeps_to_the_commands_of_redis_6_2(text: str) -> None:
    called = re.findall(r"redis\.call\(\s*'([A-Z]+)'", text)

    assert set(called) <= COMMANDS_6_2
    # Every call names its command, so that none slips through.
    assert len(re.findall(r"redis\.p?call", text)) == len(called)


@pytest.mark.parametrize("name", [name for name in TEXTS if name[0] != "_"])
def test_script_says_what_it_is_for_and_what_it_returns(name: str) -> None:
    comment = "\n".join(line for line in TEXTS[name].splitlines() if line.startswith("--"))

    assert TEXTS[name].startswith("-- ")
    assert "Returns {'ok'" in comment
    if name in TRANSITIONS:
        assert "-- from " in comment


def test_every_transition_has_a_script_and_a_method_of_its_name() -> None:
    for name in TRANSITIONS:
        assert name in TEXTS
        assert "campaign_id" in signature(getattr(Ledger, name)).parameters


@pytest.mark.parametrize(("table", "enum"), [("STATE", State), ("EVENT", Event)])
def test_lua_and_python_number_states_and_events_alike(table: str, enum: type[State] | type[Event]) -> None:
    (body,) = re.findall(rf"local {table} = \{{(.*?)\}}", TEXTS["_head"], re.DOTALL)

    numbers = {name: int(number) for name, number in re.findall(r"(\w+) = (\d+)", body)}

    assert numbers == {each.name: int(each) for each in enum}
    assert f"local FIRST_ENDED = {State.ACCEPTED} --" in TEXTS["_head"]


def test_each_script_stands_between_what_it_needs_of_the_head_and_the_tail() -> None:
    text, digest = source("opened")

    before, body = text.split("local function act()\n")
    assert folded(f"{HEAD}\n{TEXTS['opened']}{TEXTS['_tail']}").endswith(f"\n{body}")
    assert "local function held(" in before
    assert "local function trip(" not in before
    assert "local function take_slot(" not in before
    assert len(digest) == 40


@pytest.mark.parametrize("name", [name for name in TEXTS if name[0] != "_"])
def test_script_has_every_name_of_the_head_before_it_is_used(name: str) -> None:
    code = re.sub(r"--.*|'[^'\n]*'", "", source(name)[0])

    for names in re.findall(r"^local (?:function )?(\w+(?:, \w+)*)", HEAD, re.MULTILINE):
        for one in names.split(", "):
            # Not a field of a table, nor a key of one that is being made.
            used = re.search(rf"(?<![\w.]){one}\b(?! = )", code)
            if used is not None:
                assert re.search(rf"^local [^=\n]*\b{one}\b", code[: used.end()], re.MULTILINE), one


def test_part_that_names_nothing_is_always_needed() -> None:
    head = "local A, B = 1, 2\nlocal C = 3\nif A then\n  A = 5\nend\nlocal function d() return C end\n"

    assert headed(head, "return d()") == head + "return d()"
    assert headed(head, "return 1 -- d()") == "local A, B = 1, 2\nif A then\n  A = 5\nend\nreturn 1 -- d()"


def test_part_that_one_branch_alone_needs_stands_there() -> None:
    a, b, c = ("local function a() end\n", "local function b() a() end\n", "local function c() b() end\n")
    branch, rest = "if x() then -- seldom\n{}  c()\nend\n", "if y then return a() end\n"

    assert headed(a + b + c, branch.format("") + rest) == a + branch.format(b + c) + rest
    assert headed(a + b + c, branch.format("") + "b()\n") == a + b + branch.format(c) + "b()\n"


@pytest.mark.parametrize(
    "body", ["local b = 1\nif b then\n  c()\nend\n", "if x then\n  c()\nelse\n  c()\nend\n"]
)
def test_part_stands_in_front_where_a_branch_could_not_hold_it(body: str) -> None:
    """A variable of the same name would hide another part from it; another branch would not see it."""
    head = "local function b() end\nlocal function c() b() end\n"

    assert headed(head, body) == head + body


def test_constants_are_written_out_where_they_are_used() -> None:
    tables = "local KIND = { ONE = 1,\n  TWO = 2 } -- two of them\nlocal LIST = { 'ONE' }\n"
    constants = "local MOST = 0.5 -- why\nlocal NAME = 'so'\nlocal NOW = now()\n"
    used = "return KIND.TWO * MOST .. NAME .. 'MOST', r.MOST, MOST_OF, LIST, NOW -- MOST"

    text = folded(tables + constants + used)

    left = "\nlocal LIST = { 'ONE' }\n\n\nlocal NOW = now()\n"
    assert text == left + "return 2 * 0.5 .. 'so' .. 'MOST', r.MOST, MOST_OF, LIST, NOW -- MOST"


@pytest.mark.parametrize("name", [name for name in TEXTS if name[0] != "_"])
def test_what_is_written_out_is_said_once_and_never_changed(name: str) -> None:
    code = re.sub(r"--.*|'[^'\n]*'", "''", HEAD + TEXTS[name])
    left = re.sub(r"--.*|'[^'\n]*'", "''", source(name).text)

    for constant in re.findall(
        r"\blocal ([A-Z][A-Z0-9_]+) = (?:\d[\d.]*|''|\{ \w+ = .*)$", code, re.MULTILINE
    ):
        assigned = re.findall(rf"^ *(?:local )?[\w, ]*\b{constant}\b[\w, ]*=[^=]", code, re.MULTILINE)
        assert len(assigned) == 1, constant
        assert not re.search(rf"(?<!\w)(?<![^.]\.){constant}\b", left), constant


@pytest.mark.parametrize("name", [name for name in TEXTS if name not in ("_head", "create")])
def test_sequence_number_is_raised_by_the_head_alone(name: str) -> None:
    """What the tail answers is what the head counted."""
    assert "'seq'" not in TEXTS[name]


def test_arguments_that_are_none_are_left_out_and_the_clock_is_passed() -> None:
    client = fakeredis.FakeRedis()

    assert Scripts(client).arguments({"row": 1, "code": None}) == '{"row":1}'
    assert Scripts(client, lambda: 5).arguments({"row": 1}) == '{"row":1,"now_ms":5}'


def test_reply_is_read_with_its_values_or_its_reason() -> None:
    assert read_reply([b"ok", b"12"]) == Reply(True, values=(b"12",))
    assert read_reply([b"refused", b"pair"]) == Reply(False, why="pair")
    assert read_reply([b"refused"]) == Reply(False)


def test_what_twilio_has_answered_is_tried_again_while_redis_is_away() -> None:
    waits: list[float] = []

    def act() -> Reply:
        if len(waits) < 3:
            raise RedisUnavailableError("Redis is away.", "Wait.")
        return Reply(True)

    assert retrying(act, float("inf"), lambda: 0.0, waits.append).ok
    assert waits == [0.1, 0.2, 0.4]


def test_trying_again_ends_at_its_time() -> None:
    def act() -> Reply:
        raise RedisUnavailableError("Redis is away.", "Wait.")

    with pytest.raises(RedisUnavailableError):
        retrying(act, 0.0, lambda: 0.0, lambda _: None)
