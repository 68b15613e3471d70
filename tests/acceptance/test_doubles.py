"""Tell whether a customer gets one message, whoever reaches for them at the same moment; and whether the other is told why."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from campaign_files import number
from installation import CELERY, Installation
from outreach_command import wait_until
from simulator_process import SimulatorProcess
from zygote import Zygote

from worker.ledger.states import State
from worker.pipeline.story import explain

ROWS = 10
SHARED = 6
"""So many customers stand in both files."""
FEW = 6


@pytest.fixture(scope="module")
def twilio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """Return a simulator whose customers come in after a while, so that conversations of a pair could overlap."""
    made = SimulatorProcess(tmp_path_factory.mktemp("twilio"), "--setup-ms", "300", "--flex-per-s", "0")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, twilio: SimulatorProcess) -> Iterator[Installation]:
    """Return an installation with two workers that are there all the while; each test has customers of its own."""
    folder = tmp_path_factory.mktemp("doubles")
    with Zygote() as zygote, Installation(folder, twilio.url, zygote, "doubles").up() as made:
        for _ in range(2):
            made.fork(*CELERY)
        wait_until(lambda: made.ready() == 2, timeout_s=60)
        yield made


def messages(twilio: SimulatorProcess, first: int) -> Counter[str]:
    """Count the messages to the customers of one test."""
    ours = {number(row) for row in range(first, first + 1_000)}
    return Counter(each["address"] for each in twilio.journal("message") if each["address"] in ours)


def write(one: Installation, campaign: str, first: int, rows: int, rule: str = "skip") -> tuple[str, str]:
    """Write a campaign of its own files."""
    one.definition = one.folder / f"{campaign}.toml"
    one.customers = one.folder / f"{campaign}.csv"
    one.write(
        [number(row) for row in range(first, first + rows)],
        ('name = "spring"', f'name = "{campaign}"'),
        ('channel = "sms"', f'channel = "sms"\npair_busy = "{rule}"'),
    )
    return one.files


def overlapping(effects: list[dict[str, Any]]) -> list[str]:
    """List the customers who were in two open conversations at one time."""
    inside: dict[str, set[str]] = defaultdict(set)
    found = []
    for each in effects:
        address = each.get("address")
        if each["effect"] == "interaction" and each["customer_in"]:
            inside[address].add(each["conversation_sid"])
            found += [address] if len(inside[address]) > 1 else []
        elif each["effect"] in ("conversation_closed", "interaction_closed"):
            for conversations in inside.values():
                conversations.discard(each["conversation_sid"])
    return found


@pytest.mark.timeout(180)
def test_two_campaigns_that_reach_the_same_customers_at_the_same_moment(
    one: Installation, twilio: SimulatorProcess
) -> None:
    firsts = {"skip": 0, "use": 1_000, "wait": 2_000}
    pairs = {
        rule: [
            write(one, f"{rule}-{name}", first + at * (ROWS - SHARED), ROWS, rule)
            for at, name in enumerate(("a", "b"))
        ]
        for rule, first in firsts.items()
    }
    loads = [one.fork("load", *files) for both in pairs.values() for files in both]
    assert [load.wait(60) for load in loads] == [0] * 6, one.said()
    ids = {one.registry.get(each).name: each for each in one.registry.ids()}
    both = {rule: [ids[f"{rule}-a"], ids[f"{rule}-b"]] for rule in firsts}

    wait_until(lambda: not any(one.info(each).left for rule in ("skip", "use") for each in both[rule]), 90)
    whole = 2 * ROWS - SHARED
    waiting = {State.ACCEPTED: whole, State.PENDING: SHARED}
    wait_until(lambda: sum((Counter(one.states(each)) for each in both["wait"]), Counter()) == waiting, 90)

    for rule in ("skip", "wait"):
        told = messages(twilio, firsts[rule])
        assert Counter(told.values()) == {1: whole}, rule
    states = {rule: sum((Counter(one.states(each)) for each in both[rule]), Counter()) for rule in both}
    assert states["skip"] == {State.ACCEPTED: whole, State.SKIPPED: SHARED}
    assert states["use"] == {State.ACCEPTED: 2 * ROWS}
    assert not overlapping(twilio.journal()), "one open conversation of a pair at a time"
    for campaign_id in both["skip"]:
        one("results", campaign_id)
        skipped = [row for row in one.rows(campaign_id) if row["outreach_status"] == "skipped"]
        assert {row["outreach_reason"] for row in skipped} <= {
            "The customer already has an open conversation with this sender."
        }
    # Who waits says so, until the other's conversation has ended.
    for campaign_id in both["wait"]:
        for row, record, _, _ in list(one.ledger.iter_rows(campaign_id, ROWS)):
            if record.state is State.PENDING:
                lines = [line.text for line in explain(one.ledger, one.registry, campaign_id, row).lines]
                assert lines[-1].startswith("Waits (pair_busy)."), lines
                assert sum(line.startswith("Waits (pair_in_hand).") for line in lines) <= 1
        if one.info(campaign_id).left:
            assert "already has an open conversation" in one.json("status", campaign_id)["waiting_for"]
        assert one.registry.cancel(campaign_id).ok or not one.info(campaign_id).left


@pytest.mark.timeout(120)
def test_operators_who_give_the_same_file_at_the_same_moment_send_one_campaign(
    one: Installation, twilio: SimulatorProcess
) -> None:
    files = write(one, "twice", 3_000, 300)
    before = set(one.registry.ids())

    commands = [one.fork(command, *files) for command in ("run", "load", "run", "load")]
    codes = [command.wait(90) for command in commands]

    assert codes == [0] * 4, one.said()
    (campaign_id,) = set(one.registry.ids()) - before
    wait_until(lambda: not one.info(campaign_id).left, 60)
    assert one.states(campaign_id) == {State.ACCEPTED: 300}
    assert Counter(messages(twilio, 3_000).values()) == {1: 300}
    said = one.said()
    assert said.count(f"{campaign_id}: a new campaign, ") == 1
    assert (
        said.count(f"{campaign_id}: its loading goes on, ")
        + said.count(f"{campaign_id}: goes on where it was, ")
        == 3
    )


@pytest.mark.timeout(120)
def test_two_who_begin_again_at_the_same_moment_begin_one_campaign(
    one: Installation, twilio: SimulatorProcess
) -> None:
    files = write(one, "again", 4_000, FEW, "use")
    assert one.fork("run", *files).wait(60) == 0, one.said()
    before = set(one.registry.ids())

    # Where the second looks only when the other has finished, it begins one more: that is what it asks for.
    commands = [one.fork("run", *files, "--again") for _ in range(2)]

    assert [command.wait(60) for command in commands] == [0, 0], one.said()
    begun = set(one.registry.ids()) - before
    generations = [one.info(each).generation for each in begun]
    assert sorted(generations) == list(range(1, len(begun) + 1))
    assert Counter(messages(twilio, 4_000).values()) == {1 + len(begun): FEW}
    said = one.said()
    for campaign_id in begun:
        assert said.count(f"{campaign_id}: a new campaign, ") == 1


@pytest.mark.timeout(120)
def test_same_file_under_two_names_is_two_campaigns_and_the_pair_rule_decides(
    one: Installation, twilio: SimulatorProcess
) -> None:
    files = [write(one, name, 5_000, FEW) for name in ("monday", "tuesday")]

    commands = [one.fork("run", *each) for each in files]

    assert [command.wait(90) for command in commands] == [0, 0], one.said()
    ids = [each for each in one.registry.ids() if one.info(each).name in ("monday", "tuesday")]
    assert len(ids) == 2
    assert sum((Counter(one.states(each)) for each in ids), Counter()) == {
        State.ACCEPTED: FEW,
        State.SKIPPED: FEW,
    }
    assert Counter(messages(twilio, 5_000).values()) == {1: FEW}
    assert not overlapping(twilio.journal())
