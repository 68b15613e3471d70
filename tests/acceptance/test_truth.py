"""Every customer exactly once, whatever Twilio answers and whatever is killed; judged by the simulator's journal."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from campaign_files import CampaignFiles
from simulator_process import SimulatorProcess

Start = Callable[..., SimulatorProcess]

FAULTS = ("429", "500_before", "500_after", "cut_before", "cut_after", "unreadable")


def judge(files: CampaignFiles, simulator: SimulatorProcess, rows: int) -> None:
    """Hold the results file against the journal: one Interaction with the customer in it and one message a row."""
    results = files.results()
    assert Counter(row["outreach_status"] for row in results) == {"accepted": rows}
    assert [row["outreach_row"] for row in results] == [str(at) for at in range(1, rows + 1)]

    messages = simulator.journal("message")
    told = Counter(message["address"] for message in messages)
    assert len(told) == rows, f"{rows - len(told)} customers were forgotten"
    assert max(told.values()) == 1, f"{sum(n > 1 for n in told.values())} customers were contacted twice"
    assert {row["message_sid"] for row in results} == {message["message_sid"] for message in messages}

    closed = {each["interaction_sid"] for each in simulator.journal("interaction_closed")}
    opened = [each for each in simulator.journal("interaction") if each["interaction_sid"] not in closed]
    held = Counter(each["address"] for each in opened if each["customer_in"])
    assert max(held.values()) == 1
    assert len(held) == rows
    assert all(each["customer_in"] for each in opened), "an agent was left with an empty task"


def test_every_row_is_accepted_once_under_six_kinds_of_faults(tmp_path: Path, start_simulator: Start) -> None:
    rows = 800
    faults = [word for kind in FAULTS for word in ("--fault", f"{kind}=0.05")]
    simulator = start_simulator(
        "--no-patterns",
        "--seed",
        "11",
        "--flex-per-s",
        "100",
        "--latency-ms",
        "40",
        "--lookup-lag-s",
        "1",
        *faults,
    )
    files = CampaignFiles(tmp_path, simulator.url, rows=rows, per_s=100)

    code = files.run().wait(timeout=270)

    assert code == 0, files.said()[-3000:]
    judge(files, simulator, rows)


def test_three_kills_of_everything_lose_and_double_nothing(tmp_path: Path, start_simulator: Start) -> None:
    rows = 600
    simulator = start_simulator("--no-patterns", "--seed", "5", "--flex-per-s", "60", "--latency-ms", "60")
    files = CampaignFiles(tmp_path, simulator.url, rows=rows, per_s=60)

    for at in (1, 2, 3):
        process = files.run()
        simulator.wait_for("message", count=at * rows // 5)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    code = files.run().wait(timeout=180)

    assert code == 0, files.said()[-3000:]
    judge(files, simulator, rows)
