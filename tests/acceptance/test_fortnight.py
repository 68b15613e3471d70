"""A fortnight of nightly follow-ups: who got which, and when, against what the rules say, reckoned by themselves here.

All clocks are passed in: the ledger's and Twilio's go on together. One night dies twice in its middle, in one two beats act at once,
one is missed and caught up the next morning, and one is that in which clocks change. `pytest -s` shows the table.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from operator import eq
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import redis
from follow_up_scenes import definition, entry
from pipeline_bench import KilledError, Points, Rig, trouble
from simulator_process import SimulatorProcess

from worker.pipeline import timetable
from worker.pipeline.bench import Workbench
from worker.redis_server import EmbeddedRedis

BERLIN = ZoneInfo("Europe/Berlin")
BEGAN = datetime(2027, 3, 20, 9, 0, tzinfo=UTC)
NIGHTS = 15
KILLED, DOUBLED, MISSED = 4, 8, 11
"""Numbers of nights: the first is the one after the campaign's first day. In the eighth clocks change."""
AREAS = (415, 212, 310, 202, 305, 312, 404, 512, 617, 702, 303, 206)

FIRST = "Hello Ann"
REMINDER, UNREACHED, LAST = "Still there?", "We could not reach you", "Last call"
ENTRIES = ((3, "no_reply", 2, REMINDER), (2, "undelivered", 1, UNREACHED), (6, "always", 1, LAST))
"""After how many days, if, how often at most, and what: in the file's order."""
NIGHTLY = '[nightly]\nat = "02:30"\ntimezone = "Europe/Berlin"\n'


@dataclass(frozen=True)
class Person:
    """A customer: the number, and what happens on which day: a reply, or an agent who closes the conversation.

    `reaches`: whether messages are delivered; `listens`: False where Twilio says that the customer has opted out.
    """

    number: str
    replies: dict[int, str] = field(default_factory=dict)
    closed_on: int | None = None
    accepted: bool = True
    reaches: bool = True
    listens: bool = True


def people() -> list[Person]:
    """Give those whom the campaign is sent to: on each day somebody answers, somebody opts out, and many stay silent."""
    found = [Person(f"+1{area}5550{130 + at}") for at, area in enumerate(AREAS)]
    found += [Person(f"+1{AREAS[day % 12]}5550120", {day: "Yes, please"}) for day in range(2, 13)]
    found += [Person(f"+1{AREAS[day % 12]}5550121", {day: "stop"}) for day in (1, 3, 5, 8, 11)]
    found += [Person(f"+1{AREAS[at]}5550122", {4: "Who is this?", 9: "UNSUBSCRIBE"}) for at in range(2)]
    found += [Person(f"+1{AREAS[at]}5550123", closed_on=2 + 3 * at) for at in range(3)]
    found += [Person(trouble(187, AREAS[at]), reaches=False) for at in range(4)]
    found.append(Person(trouble(175), reaches=False, listens=False))
    found.append(Person(trouble(166, 212)))  # the answer about each message is lost once
    found.append(Person(trouble(176), accepted=False))
    assert len({person.number for person in found}) == len(found) == 40
    return found


# What the rules say -----------------------------------------------------------------------------------------


def planned(night: int) -> datetime:
    """Tell when a night is: at 02:30 in Berlin, or right after the hour that is skipped there."""
    day = date(2027, 3, 20) + timedelta(days=night)
    if day == date(2027, 3, 28):
        return datetime(2027, 3, 28, 1, 0, tzinfo=UTC)
    return datetime(day.year, day.month, day.day, 2, 30, tzinfo=BERLIN).astimezone(UTC)


def ran_at(night: int) -> datetime:
    """Tell when a night was carried out: two minutes late, or the next morning."""
    return planned(night) + (timedelta(hours=9) if night == MISSED else timedelta(minutes=2))


def noon(day: int) -> datetime:
    """Tell when customers write on a day."""
    return datetime(2027, 3, 20, 12, 0, tzinfo=UTC) + timedelta(days=day)


def expected(person: Person) -> list[tuple[int, str]]:
    """Reckon what a customer gets in which night, from what the definition says and nothing else."""
    if not person.accepted or not person.listens:
        return []
    got: list[tuple[int, str]] = []
    last_at = BEGAN
    for night in range(1, NIGHTS + 1):
        written = [text.upper() for day, text in person.replies.items() if noon(day) < ran_at(night)]
        if {"STOP", "UNSUBSCRIBE"} & set(written):
            break
        for days, condition, most, text in ENTRIES:
            fits = {
                "no_reply": person.reaches and not written,
                "undelivered": not person.reaches,
                "always": True,
            }[condition]
            times = sum(one[1] == text for one in got)
            # What went out within three hours of a night counts as of that night.
            due_at = last_at + timedelta(days=days, hours=-3)
            if fits and times < most and planned(night) >= due_at:
                got.append((night, text))
                last_at = ran_at(night)
                break
    return got


# The fortnight ----------------------------------------------------------------------------------------------


@pytest.fixture
def rig(simulator: SimulatorProcess, tmp_path: Path) -> Iterator[Rig]:
    """A workbench on a Redis of its own."""
    with EmbeddedRedis(tmp_path / "redis").hold() as url, redis.Redis.from_url(url) as client:
        client.config_set("appendonly", "no")
        made = Rig(url, simulator, tmp_path)
        yield made
        made.close()


def set_clock(rig: Rig, to: datetime) -> None:
    """Let it be `to` everywhere, unless it is later already."""
    rig.pass_s(max(0.0, to.timestamp() - rig.clock.now_ms() / 1000))


def run_timetable(rig: Rig, bench: Workbench) -> None:
    timetable.run(bench, lambda owner: owner in rig.dead, lambda: True)


def carry_out(rig: Rig, night: int, bench: Workbench) -> Workbench:
    """Have a night carried out, with what goes wrong in it; who works from then on."""
    dies: list[str] = []
    if night == KILLED:
        dies = ["after begin_wave", "before POST Messages"]
    elif night == DOUBLED:
        other = rig.worker("worker-beside")

        def beside(moment: str) -> None:
            if moment in ("after take_night", "before create_wave", "after begin_wave"):
                rig.points.meanwhile = lambda _: None
                run_timetable(rig, other)
                rig.points.meanwhile = beside

        rig.points.meanwhile = beside
    while True:
        moment = dies[0] if dies else ""
        strike_at = 4 if moment else None
        rig.points.__dict__.update(
            Points(
                strike_at=strike_at,
                counts=partial(eq, moment),
                meanwhile=rig.points.meanwhile,
            ).__dict__
        )
        try:
            run_timetable(rig, bench)
            rig.drive(bench=bench)
            break
        except KilledError:
            assert dies.pop(0) == moment
            rig.dead.add(bench.owner)
            bench = rig.worker(f"worker-after-{len(rig.dead)}")
    assert not dies, "it was to die there"
    rig.points.__dict__.update(Points().__dict__)
    hear(rig, bench)
    return bench


def hear(rig: Rig, bench: Workbench) -> None:
    """Have deliveries and replies asked for, as workers do by themselves."""
    rig.pass_s(90)
    rig.poll(bench)


def live_through_it(rig: Rig, crowd: list[Person]) -> dict[str, list[tuple[int, str]]]:
    """Let the fortnight pass; who got what in which night."""
    rig.simulator.settings(sent_s=0, delivered_s=1, read_share=0.0)
    rig.clock.shift_ms = int((BEGAN.timestamp() - datetime.now(UTC).timestamp()) * 1000)
    rig.pass_s(0)
    entries = [entry(f"{days}d", if_, text, f"max = {most}") for days, if_, most, text in ENTRIES]
    rig.campaign([person.number for person in crowd], definition=definition(*entries, rest=NIGHTLY))
    rig.drive()
    bench = rig.bench
    hear(rig, bench)
    got: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for night in range(1, NIGHTS + 1):
        before = len(rig.simulator.journal("message"))
        set_clock(rig, ran_at(night))
        bench = carry_out(rig, night, bench)
        for message in rig.simulator.journal("message")[before:]:
            got[message["address"]].append((night, message["body"]))
        set_clock(rig, noon(night))
        for number, person in enumerate(crowd, start=1):
            if night in person.replies:
                rig.simulator.reply(person.number, person.replies[night])
            if night == person.closed_on:
                rig.simulator.close(rig.row(number).record.conversation_sid)
        hear(rig, bench)
    return got


def table(crowd: list[Person], got: dict[str, list[tuple[int, str]]]) -> str:
    """Write who got what in which night."""
    marks = {REMINDER: "R", UNREACHED: "U", LAST: "L"}
    lines = ["row  " + "".join(f"{night:>3}" for night in range(1, NIGHTS + 1)) + "  what happened"]
    for number, person in enumerate(crowd, start=1):
        nights = {night: marks[text] for night, text in got[person.number]}
        cells = "".join(f"{nights.get(night, '.'):>3}" for night in range(1, NIGHTS + 1))
        notes = [f"{text!r} on day {day}" for day, text in person.replies.items()]
        notes += [f"closed on day {person.closed_on}"] if person.closed_on else []
        notes += ["not delivered"] * (not person.reaches) + ["refused"] * (not person.accepted)
        lines.append(f"{number:>3}  {cells}  {', '.join(notes)}")
    return "\n".join([*lines, "R reminder (3 d, twice), U not reached (2 d), L last call (6 d)"])


def test_everybody_gets_what_the_rules_say_in_that_night_and_once(rig: Rig) -> None:
    crowd = people()

    got = live_through_it(rig, crowd)

    print("\n" + table(crowd, got))  # noqa: T201  what the test is there to show
    assert {person.number: got[person.number] for person in crowd} == {
        person.number: expected(person) for person in crowd
    }
    assert set(rig.messages().values()) == {1}, "a wave went out twice"
    assert all(one["customer_in"] for one in rig.simulator.journal("message"))
    assert_nobody_was_written_to_after_an_opt_out(rig, crowd)
    used = {one["conversation_sid"] for one in rig.simulator.journal("message")}
    closed = {one["interaction_sid"] for one in rig.simulator.journal("interaction_closed")}
    left = [one for one in rig.simulator.journal("interaction") if one["conversation_sid"] in used]
    assert not closed & {one["interaction_sid"] for one in left}, "an agent has each of these conversations"
    assert {rig.info(wave).left for wave in rig.ledger.waves("spring-1")} == {0}
    assert rig.states() == {"ACCEPTED": len(crowd) - 1, "FAILED": 1}
    assert rig.states("spring-1.f2-1") == {"ACCEPTED": 4, "SKIPPED": 1}, (
        "who opted out at Twilio is on the list"
    )
    assert len(rig.dead) == 2
    nights = timetable.Timetable(rig.registry).nights(timetable.follow_ups_entry("spring-1"))
    assert Counter(night.planned_ms for night in nights) == Counter(
        round(planned(night).timestamp() * 1000) for night in range(1, NIGHTS + 1)
    )


def assert_nobody_was_written_to_after_an_opt_out(rig: Rig, crowd: list[Person]) -> None:
    """Hold the journal, in which all stands in its order, against who said when that it is enough."""
    stops = {
        person.number: min(
            day for day, text in person.replies.items() if text.upper() in ("STOP", "UNSUBSCRIBE")
        )
        for person in crowd
        if {"STOP", "UNSUBSCRIBE"} & {text.upper() for text in person.replies.values()}
    }
    assert len(stops) == 7
    replies: Counter[str] = Counter()
    asked = {person.number: sorted(person.replies) for person in crowd}
    for effect in rig.simulator.journal():
        address = effect.get("address")
        if effect["effect"] == "reply":
            replies[address] += 1
        if effect["effect"] in ("message", "interaction") and address in stops:
            done = asked[address][: replies[address]]
            assert stops[address] not in done, f"{effect['effect']} after an opt-out"
