"""The simulator in its own process, as the tests start, question and stop it."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent


class SimulatorProcess:
    """A running simulator; `url` is what OUTREACH_TWILIO_BASE_URL takes."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.journal_file = folder / "simulator.jsonl"
        self._errors = (folder / "simulator.err").open("wb")
        command = [sys.executable, "-m", "ops.simulator", "--port", "0", "--exit-with-parent"]
        self.process = subprocess.Popen(
            [*command, "--journal", str(self.journal_file), *arguments],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        assert self.process.stdout
        line = self.process.stdout.readline().decode().strip()
        if not line.startswith("listening on "):
            self.stop()
            raise RuntimeError(f"the simulator did not start: {(folder / 'simulator.err').read_text()}")
        self.url = line.removeprefix("listening on ")

    def stop(self) -> None:
        """Stop it and wait for its end; nothing happens where it has ended."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            if stream:
                stream.close()

    def journal(self, effect: str | None = None) -> list[dict[str, Any]]:
        """Return the effects so far, or those of one kind: interaction, message, interaction_closed, fault, …"""
        query = f"?requests=0&effect={effect}" if effect else "?requests=0"
        effects: list[dict[str, Any]] = self.control("journal" + query)["effects"]
        return effects

    def requests(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """Return the requests so far, with `at` in seconds, or those of one endpoint, as `POST flex-api/v1/Interactions`."""
        requests: list[dict[str, Any]] = self.control("journal?effect=none")["requests"]
        return [one for one in requests if endpoint is None or one["request"] == endpoint]

    def stats(self) -> dict[str, Any]:
        """Return counts of effects and, for each endpoint, arrivals, statuses and busiest second."""
        return self.control("stats")

    def settings(self, **values: Any) -> dict[str, Any]:
        """Change settings; return all of them."""
        return self.control("settings", values)

    def reset(self, settings: bool = False) -> None:
        """Make it forget everything but its settings, or these too."""
        self.control("reset", {"settings": settings})

    def occupy(self, address: str, proxy_address: str, account: str | None = None) -> str:
        """Open somebody else's conversation with a customer; return its SID."""
        body = {"address": address, "proxy_address": proxy_address, "account": account}
        return str(self.control("occupy", body)["conversation_sid"])

    def close(self, conversation_sid: str) -> None:
        """Close a conversation from outside, as an agent would."""
        self.control("close", {"conversation_sid": conversation_sid})

    def leave(self, conversation_sid: str) -> None:
        """Have the customer leave a conversation, which stays open."""
        self.control("leave", {"conversation_sid": conversation_sid})

    def reply(self, address: str, body: str, **where: str) -> str:
        """Have a customer write into their open conversation; return the message's SID.

        Raises: ValueError if they are in none (`where`: proxy_address, account).
        """
        return str(self.control("reply", {"address": address, "body": body, **where})["message_sid"])

    def pass_time(self, days: float = 0.0, hours: float = 0.0, seconds: float = 0.0) -> None:
        """Let time pass for the account: its clock goes on by so much."""
        skew_s = self.control("settings")["clock_skew_s"]
        self.settings(clock_skew_s=skew_s + ((days * 24 + hours) * 3600 + seconds))

    def wait_for(self, effect: str, count: int = 1, timeout_s: float = 90.0) -> list[dict[str, Any]]:
        """Return the effects of a kind once there are at least `count`.

        Raises: AssertionError if there are not within `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while len(found := self.journal(effect)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} {effect} after {timeout_s} s"
            time.sleep(0.05)
        return found

    def control(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask a control endpoint.

        Raises: ValueError with the simulator's own words if it refuses.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/_sim/{path}", data, {"Content-Type": "application/json"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                read: dict[str, Any] = json.load(answer)
                return read
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(json.load(error)["error"]) from None
