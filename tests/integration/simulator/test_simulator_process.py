"""How the simulator is started, questioned, changed and stopped; what its journal and page say."""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from simulator_calls import Calls, attributes_of
from simulator_process import PROJECT, SimulatorProcess

from ops.simulator.behaviour import FAULT_KINDS

ANN = "whatsapp:+12025550101"
OPEN = "POST flex-api/v1/Interactions"


def test_journal_file_holds_every_effect_and_request_the_moment_it_happened(
    start_simulator: Callable[..., SimulatorProcess], connect: Callable[..., Calls]
) -> None:
    simulator = start_simulator("--setup-ms", "0")
    calls = connect(simulator)
    calls.send(attributes_of(calls.open(ANN, "spring:1:1").json())["conversationSid"], "spring:1:1")

    simulator.process.kill()
    simulator.process.wait()

    lines = [json.loads(line) for line in simulator.journal_file.read_text().splitlines()]
    assert [one["effect"] for one in lines if "effect" in one] == ["interaction", "message"]
    assert [one["key"] for one in lines if "effect" in one] == ["spring:1:1"] * 2
    assert OPEN in [one.get("request") for one in lines]


def test_statistics_count_requests_and_the_busiest_second(calls: Calls, simulator: SimulatorProcess) -> None:
    for row in range(25):
        calls.open(f"whatsapp:+120255501{row:02}")

    found = simulator.stats()["endpoints"][OPEN]

    assert found["count"] == sum(found["per_second"]) == sum(found["statuses"].values()) == 25
    moments = [one["at"] for one in simulator.requests(OPEN)]
    assert len(moments) == 25
    assert found["max_in_1s"] == max(sum(0 <= at - first < 1 for at in moments) for first in moments)


def test_reset_forgets_everything_but_the_settings(calls: Calls, simulator: SimulatorProcess) -> None:
    calls.open(ANN)

    simulator.reset()

    assert (simulator.journal(), calls.conversations_of(ANN)) == ([], [])
    assert simulator.settings()["setup_ms"] == 0


def test_request_that_is_on_its_way_at_a_reset_has_no_effect_after_it(
    calls: Calls, connect: Callable[..., Calls], simulator: SimulatorProcess
) -> None:
    waits = connect(simulator)
    with ThreadPoolExecutor(1) as pool:
        simulator.settings(latency_ms=2_000)
        asked = pool.submit(waits.open, ANN)
        # This answer does not count itself, as it is of no known endpoint.
        while calls.get("/nothing").headers["Twilio-Concurrent-Requests"] == "0" and not asked.done():
            pass

        simulator.reset()
        wait([asked])

    assert simulator.journal() == []


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"latency": 3}, "latency"),
        ({"latency_ms": "slow"}, "latency_ms"),
        ({"flex_per_s": 1.5}, "flex_per_s"),
        ({"fault": {"499": 0.1}}, "499"),
        ({"fault": {"429": 2}}, "429"),
        ({"fault": {"429": 0.6, "503": 0.6}}, "more than 1"),
        ({"pair_busy": "loud"}, "pair_busy"),
        ({"error_style": "none"}, "error_style"),
        ({"patterns": {"1": "nobody:knows"}}, "nobody:knows"),
        ({"patterns": {"1": "receipt:failed:often"}}, "often"),
        ({"template": {"color": "red"}}, "color"),
    ],
)
def test_setting_that_makes_no_sense_is_refused_by_name_and_nothing_changes(
    simulator: SimulatorProcess, values: dict[str, object], word: str
) -> None:
    before = simulator.settings()

    with pytest.raises(ValueError, match=word):
        simulator.settings(seed=99, **values)

    assert simulator.settings() == before


def test_command_line_reaches_every_setting(start_simulator: Callable[..., SimulatorProcess]) -> None:
    shares = ("--fault", "429=0.1", "--fault-getters", "503=0.2", "--fault-close", "500_after=0.3")
    others = (
        "--pattern",
        "0101=pair:silent",
        "--receipt-failure",
        "30003=0.1",
        "--channel-failure",
        "50407=0.1",
    )
    given = (
        *shares,
        *others,
        "--sender",
        "+12025550100",
        "--no-patterns",
        "--set",
        "read_s=9",
        "--seed",
        "7",
    )

    found = start_simulator(*given).settings()

    assert (found["fault"], found["fault_getters"], found["fault_close"]) == (
        {"429": 0.1},
        {"503": 0.2},
        {"500_after": 0.3},
    )
    assert (found["receipt_failures"], found["channel_failures"]) == ({"30003": 0.1}, {"50407": 0.1})
    assert found["patterns"]["0101"] == "pair:silent"
    assert (found["senders"], found["patterns_on"], found["read_s"], found["seed"]) == (
        ["+12025550100"],
        False,
        9,
        7,
    )


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--fault", "boom=1"], "there is no fault 'boom'"),
        (["--fault", "429=often"], "'often'"),
        (["--fault", "429"], "NAME=VALUE"),
        (["--set", "read_s=soon"], "not JSON"),
        (["--set", "speed=3"], "there is no setting 'speed'"),
    ],
)
def test_command_line_says_what_is_wrong_with_it(arguments: list[str], word: str) -> None:
    command = [sys.executable, "-m", "ops.simulator", *arguments]

    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=90, check=False)

    assert ended.returncode == 2
    assert word in ended.stderr
    assert "Traceback" not in ended.stderr


def test_taken_port_is_said_in_a_sentence(simulator: SimulatorProcess) -> None:
    port = simulator.url.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "ops.simulator", "--port", port]

    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=90, check=False)

    assert ended.returncode == 1
    assert ended.stderr.startswith("the simulator cannot start")


def test_simulator_stops_cleanly_when_told_to(start_simulator: Callable[..., SimulatorProcess]) -> None:
    simulator = start_simulator()

    simulator.process.terminate()

    assert simulator.process.wait(60) == 0


def test_simulator_stops_when_its_parent_is_gone(start_simulator: Callable[..., SimulatorProcess]) -> None:
    simulator = start_simulator()
    assert simulator.process.stdin
    simulator.process.stdin.close()

    assert simulator.process.wait(60) == 0


def test_clock_of_the_simulated_twilio_can_be_wrong(calls: Calls, simulator: SimulatorProcess) -> None:
    before = calls.get("/conversations/v1/ParticipantConversations", Address=ANN).headers["Date"]
    simulator.settings(clock_skew_s=-86400 * 365)

    after = calls.open(ANN).headers["Date"]

    year = int(before.split()[3])
    assert int(after.split()[3]) == year - 1
    assert calls.conversations_of(ANN)[0]["conversation_date_created"].startswith(str(year - 1))


def test_time_passes_when_the_clock_is_moved_on(calls: Calls, simulator: SimulatorProcess) -> None:
    simulator.settings(setup_ms=3_600_000)
    first = calls.open(ANN).json()
    conversation = attributes_of(first)["conversationSid"]
    assert calls.participants(conversation) == []

    simulator.settings(clock_skew_s=86400)

    assert len(calls.participants(conversation)) == 2
    second = attributes_of(calls.open("whatsapp:+12025550102").json())["conversationSid"]
    (of_first,) = calls.conversations_of(ANN)
    then = calls.get(f"/conversations/v1/Conversations/{second}").json()["date_created"]
    assert of_first["conversation_date_created"] < then
    days = [calls.get("/_sim/journal").json()["effects"][at]["date"][:10] for at in (0, -1)]
    assert days[0] < days[1]


def test_latency_delays_every_answer(calls: Calls, simulator: SimulatorProcess) -> None:
    simulator.settings(latency_ms=200)

    assert calls.open(ANN).elapsed.total_seconds() >= 0.2


def test_page_is_self_contained_and_masks_numbers(calls: Calls, simulator: SimulatorProcess) -> None:
    calls.send(attributes_of(calls.open(ANN, "spring:1:1").json())["conversationSid"], "spring:1:1")

    page, data = calls.get("/").text, calls.get("/_sim/page")

    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    assert "5550101" not in data.text
    assert data.json()["messages"][0]["address"].endswith("01")
    assert data.json()["messages"][0]["body"].startswith("Hello Ann")


def test_page_and_statistics_work_before_anything_has_happened(
    simulator: SimulatorProcess, connect: Callable[..., Calls]
) -> None:
    calls = connect(simulator, auth=None)

    assert calls.get("/").status_code == calls.get("/_sim/page").status_code == 200
    assert simulator.stats() == {"effects": {}, "requests": 0, "endpoints": {}}


def test_file_of_the_journal_is_for_its_owner_only(simulator: SimulatorProcess) -> None:
    assert simulator.journal_file.stat().st_mode & 0o077 == 0


def test_readme_names_every_pattern_fault_and_setting(simulator: SimulatorProcess) -> None:
    readme = (PROJECT / "ops" / "simulator" / "README.md").read_text()

    settings = simulator.settings()

    rows = [f"| {suffix} | `{behaviour}` |" for suffix, behaviour in settings["patterns"].items()]
    names = [f"`{name}`" for name in (*settings, *FAULT_KINDS)]
    assert [one for one in (*rows, *names) if one not in readme] == []
