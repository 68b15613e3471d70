"""What the processes of a benchmark are given to live in, and how they are waited for."""

import os
import time
from collections.abc import Callable
from pathlib import Path


def clean_environ() -> dict[str, str]:
    """Give a child's environment: nothing of outreach's, Twilio's or a proxy's from this process's own."""
    mine = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    # The parent's own tree, though a child works in another folder.
    return {"PYTHONPATH": str(Path(__file__).parents[2]), **mine}


def account_environ(url: str, home: Path, per_s: float) -> dict[str, str]:
    """Give a clean environment with an account at the server `url`, of this pace, and a home."""
    return clean_environ() | {
        "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
        "TWILIO_AUTH_TOKEN": "secret-token",
        "OUTREACH_TWILIO_BASE_URL": url,
        "OUTREACH_HOME": str(home),
        "OUTREACH_ACCOUNT_INTERACTIONS_PER_S": f"{per_s:g}",
    }


def wait_for(done: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Wait until it is so.

    Raises: TimeoutError after `seconds`, which says what was waited for.
    """
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain for {what}")
        time.sleep(0.02)
