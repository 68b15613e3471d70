"""The command `demo`: the bundled example, through the whole real path, against a simulator of its own."""

import contextlib
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import typer

from ops.cli import options, screen
from worker.errors import OutreachError

_EXAMPLE = Path(__file__).resolve().parents[2] / "campaigns" / "examples" / "renewal-reminder"
_LATENCY_MS = 120


def demo(as_json: options.Json = False, verbose: options.Verbose = False) -> None:
    """Send the bundled example against the bundled Twilio simulator: no account, nothing to set up.

    Example: outreach demo
    """
    from ops.cli.run import run_campaign

    with _simulator() as url, tempfile.TemporaryDirectory(prefix="outreach-demo-") as home:
        # The settings of this very process, so that the workers it starts inherit them.
        os.environ.update(_settings(url, home))
        screen.say(f"Twilio simulator: {url} (open it in a browser while this runs)")
        code = run_campaign(
            _from_here(_EXAMPLE / "campaign.toml"),
            _from_here(_EXAMPLE / "customers.csv"),
            again=False,
            update=False,
            as_json=as_json,
            verbose=verbose,
            hints=False,
        )
    # Some of its rows fail on purpose.
    raise typer.Exit(0 if code == 1 else code)


def _from_here(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _settings(url: str, home: str) -> dict[str, str]:
    """Return settings that hold whatever the environment or .env says: an empty value is none."""
    return {
        # A new account each time, so that an earlier demo's results file is of another campaign.
        "TWILIO_ACCOUNT_SID": f"AC{uuid4().hex}",
        "TWILIO_AUTH_TOKEN": "demo",
        "OUTREACH_TWILIO_BASE_URL": url,
        "OUTREACH_HOME": home,
        "OUTREACH_SETTLE_S": "1,2,4",
        **dict.fromkeys(("TWILIO_API_KEY", "TWILIO_API_SECRET", "TWILIO_REGION", "TWILIO_EDGE"), ""),
        **dict.fromkeys(("OUTREACH_REDIS_URL", "OUTREACH_CONCURRENCY", "OUTREACH_ACCOUNTS"), ""),
        **dict.fromkeys(("HTTPS_PROXY", "https_proxy"), ""),
        "OUTREACH_ACCOUNT_INTERACTIONS_PER_S": "20",
    }


@contextlib.contextmanager
def _simulator() -> Iterator[str]:
    """Run a simulator that ends with this process, however it ends; give its URL."""
    command = [sys.executable, "-m", "ops.simulator", "--port", "0", "--exit-with-parent"]
    sender = tomllib.loads((_EXAMPLE / "campaign.toml").read_text(encoding="utf-8"))["from"]
    process = subprocess.Popen(
        [*command, "--latency-ms", str(_LATENCY_MS), "--sender", sender],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # A Ctrl-C is for the run: its rows in hand are still to be answered.
        start_new_session=True,
    )
    try:
        assert process.stdout
        line = process.stdout.readline().decode().strip()
        if not line.startswith("listening on "):
            raise OutreachError("The Twilio simulator did not start.", "Its reason is above.")
        yield line.removeprefix("listening on ")
    finally:
        process.terminate()
        process.communicate()
