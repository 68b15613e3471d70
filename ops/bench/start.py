"""How soon after `outreach run` is the first message at Twilio, and how soon does a command answer?

    python -m ops.bench start

Each run has a home of its own, so that the embedded Redis and the workers are started anew; the modules are compiled and in
the page cache. The simulator, on the same machine, takes 100 ms for each request and 150 ms to set a channel up. A first
message is an Interaction, a look whether the customer is there, and the message, after the questions whether all that the
campaign names exists. Beside it: a script that imports the SDK and makes those three requests, without asking or keeping anything.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.bench.report import Answer, Figure, Goal, repeat

GOAL_S = 2.0
LATENCY_MS = 100
ROWS = 5

DEFINITION = """
name = "start"
channel = "sms"
from = "+14155550199"
to = "{{ phone }}"
[routing]
workspace_sid = "WS00000000000000000000000000000001"
workflow_sid = "WW00000000000000000000000000000001"
queue_sid = "WQ00000000000000000000000000000001"
worker_sid = "WK00000000000000000000000000000001"
[message]
body = "Hello {{ name }}"
"""


# As anybody would first write it: one customer, in order.
SCRIPT = """
import sys, time, types
from twilio.rest import Client
from twilio.http.http_client import TwilioHttpClient

class ToTheSimulator(TwilioHttpClient):
    def request(self, method, url, *rest, **named):
        host, _, path = url.removeprefix("https://").partition("/")
        return super().request(method, f"{sys.argv[1]}/{host.removesuffix('.twilio.com')}/{path}", *rest, **named)

client = Client("AC" + "1" * 32, "secret", http_client=ToTheSimulator())
made = client.flex_api.v1.interaction.create(
    channel={"type": "sms", "initiated_by": "api", "properties": {"type": "sms"},
             "participants": [{"address": "+12025551000", "proxy_address": "+14155550199"}]},
    routing={"properties": {
        "workspace_sid": "WS" + "1".zfill(32), "workflow_sid": "WW" + "1".zfill(32), "queue_sid": "WQ" + "1".zfill(32),
        "worker_sid": "WK" + "1".zfill(32), "task_channel_unique_name": "chat", "attributes": {}}},
)
import json
conversation = json.loads(made.routing["properties"]["attributes"])["conversationSid"]
while not any(one.messaging_binding for one in client.conversations.v1.conversations(conversation).participants.list()):
    time.sleep(0.05)
client.conversations.v1.conversations(conversation).messages.create(author="us", body="Hello")
"""


@dataclass(frozen=True, slots=True)
class Begun:
    """Hold when things happened after `outreach run` was begun, in seconds."""

    asked_s: float
    opened_s: float
    sent_s: float


class Scene:
    """A folder with a campaign, and a simulator."""

    def __init__(self, folder: Path, url: str, rows: int) -> None:
        self._folder, self._url, self._count = folder, url, 0
        (folder / "start.toml").write_text(DEFINITION, encoding="utf-8")
        lines = (f"+1202555{1000 + row},Name{row}" for row in range(rows))
        (folder / "customers.csv").write_text("\n".join(["phone,name", *lines]), encoding="utf-8")

    def environ(self, home: str) -> dict[str, str]:
        """Give the settings of an installation."""
        # The last would have each command compile anew what is not compiled yet.
        ours = ("TWILIO_", "OUTREACH_", "HTTPS_PROXY", "https_proxy", "PYTHONDONTWRITEBYTECODE")
        return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {
            "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
            "TWILIO_AUTH_TOKEN": "secret",
            "OUTREACH_TWILIO_BASE_URL": self._url,
            "OUTREACH_HOME": str(self._folder / home),
            "OUTREACH_RESULTS_DIR": str(self._folder / home / "results"),
        }

    def run(self) -> Begun:
        """Send the campaign from a fresh home, and wait for its end."""
        self._ask("reset", {})
        self._count += 1
        began = time.monotonic()
        self.command("run", "start.toml", "customers.csv", home=f"home-{self._count}")
        seen = self._ask("journal")
        asked = min(one["at"] for one in seen["requests"])
        return Begun(asked - began, _first(seen, "interaction") - began, _first(seen, "message") - began)

    def script(self) -> float:
        """Run the script; return when its message was at Twilio."""
        self._ask("reset", {})
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", SCRIPT, self._url], check=True, capture_output=True)
        return _first(self._ask("journal"), "message") - began

    def command(self, *arguments: str, home: str = "home") -> float:
        """Give a command; return how many seconds it took."""
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "ops.cli", *arguments],
            cwd=self._folder, env=self.environ(home), check=True, capture_output=True,
        )  # fmt: skip
        return time.monotonic() - began

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self._url}/_sim/{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return json.load(answer)


def _first(seen: Any, effect: str) -> float:
    return float(next(one["at"] for one in seen["effects"] if one["effect"] == effect))


@contextmanager
def scene(rows: int = ROWS, latency_ms: float = LATENCY_MS) -> Iterator[Scene]:
    """Set one up, with a simulator that ends with this process."""
    command = [sys.executable, "-m", "ops.simulator", "--port", "0", "--exit-with-parent"]
    with (
        tempfile.TemporaryDirectory(prefix="outreach-start-") as folder,
        subprocess.Popen(
            [*command, "--latency-ms", str(latency_ms)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as simulator,
    ):
        assert simulator.stdout
        line = simulator.stdout.readline().decode().strip()
        yield Scene(Path(folder), line.removeprefix("listening on "), rows)
        simulator.terminate()


def answer(*, full: bool) -> Answer:
    """Measure; at full size that is done more often."""
    with scene() as stage:
        stage.run()  # compiles, and fills the page cache
        both = repeat(lambda: (stage.run(), stage.script()), runs=15 if full else 5)
        answers = {
            name: tuple(repeat(lambda words=words: stage.command(*words, home="home-1")))  # type: ignore[misc]
            for name, words in {"--help": ("--help",), "status": ("status",), "doctor": ("doctor",)}.items()
        }
    begun, scripts = zip(*both, strict=True)
    sent = Figure("`outreach run` to its first message", "s", tuple(each.sent_s for each in begun))
    figures = (
        sent,
        Figure("… to its first question to Twilio", "s", tuple(each.asked_s for each in begun)),
        Figure("… to its first Interaction", "s", tuple(each.opened_s for each in begun)),
        Figure("a script on the SDK to its message", "s", scripts),
        Figure("ours to the script", "×", tuple(ours.sent_s / its for ours, its in both)),
        *(Figure(f"`outreach {name}`, whole", "s", runs) for name, runs in answers.items()),
    )
    return Answer(
        question="How soon after `outreach run` is the first message at Twilio, and how soon does a command answer?",
        command=f"python -m ops.bench {'--full ' if full else ''}start",
        ran=f"A campaign of {ROWS} rows with a fresh home each time, so with the embedded Redis and a worker to start, against the "
        f"simulator on the same machine with {LATENCY_MS} ms a request. The script asks nothing first and keeps nothing. "
        "`status` and `doctor` start the embedded Redis and stop it.",
        figures=figures,
        goals=(
            Goal(f"the first message within {GOAL_S:g} s of `outreach run` (median)", sent.median <= GOAL_S),
        ),
    )
