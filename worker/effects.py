"""Every effect of a row's way has a name, and a crash point right after it: what is proven about crashes is proven there.

Whoever wants to see a process die at one of these moments writes its name into a file that OUTREACH_CRASH_AT names:
the first process that comes by takes the file away and dies by SIGKILL, with nothing cleaned up; with `stop ` before the
name it is stopped there by SIGSTOP, until somebody lets it go on. Only where a simulator stands in Twilio's place, and only
a process that was started with that variable.
"""

from __future__ import annotations

import os
import signal
from functools import cache
from pathlib import Path

CRASH_AT = "OUTREACH_CRASH_AT"
STOP = "stop "

SCRIPTS = Path(__file__).parent / "ledger" / "lua"

REQUESTS = {
    "post_interaction": ("Ask Twilio for an Interaction.", "OPENING"),
    "post_message": ("Ask Twilio to send the message.", "SENDING"),
    "post_closing": ("Ask Twilio to close an Interaction that got no message.", "as it was"),
    "post_webhooks": ("Tell Twilio where to tell its events.", "as it was"),
}
"""Requests with an effect at Twilio, and the state of their row meanwhile. They have a second point, `sent`: all of it is on the wire, no answer has been read."""

OTHERS = {
    "take_slot": "Take a slot in the shared pace, without a claim: for a look-up, or in place of one that was missed.",
    "move_slots": "Move the slots of the pace that nobody has taken: one was reached late.",
    "slow_down": "Slow a pace, as Twilio asked.",
    "publish": "Hand the messages of a tick to the broker.",
    "write_results": "Write a new results file aside.",
    "mark_results_begun": "Note that the results file is about to be replaced, and by which state.",
    "rename_results": "Put the new results file in the old one's place.",
    "mark_results_whole": "Note that the results file holds that state.",
    "note_seen": "Note beside the results file how far the campaign has been seen to come.",
}


class _Armed:
    file: Path | None = None


def scripts() -> list[str]:
    """List the ledger's scripts; each is one effect."""
    return sorted(path.stem for path in SCRIPTS.glob("[a-z]*.lua"))


def points() -> list[str]:
    """List all crash points, in the order of the table in RELIABILITY.md."""
    requests = [f"{when} {name}" for name in REQUESTS for when in ("sent", "after")]
    return [f"after {name}" for name in scripts()] + requests + [f"after {name}" for name in OTHERS]


def arm(file: str | None) -> None:
    """Look for the crash point's name in `file` from now on; None disarms."""
    _Armed.file = Path(file) if file else None


class _Effect:
    """A context; not made by `contextmanager`, which costs five times as much, a dozen times a row. It keeps nothing: one for all."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        if _Armed.file is not None:
            _pass(_Armed.file, f"after {self._name}")


@cache
def effect(name: str) -> _Effect:
    """Surround an effect; right after it, whether it came off or not, is a crash point."""
    return _Effect(name)


def sent(name: str) -> None:
    """Pass the point at which a request is on the wire and no answer has been read."""
    if _Armed.file is not None:
        _pass(_Armed.file, f"sent {name}")


def _pass(file: Path, point: str) -> None:
    if point not in points():
        raise AssertionError(f"the effect of `{point}` is not in the table: name it in worker/effects.py")
    try:
        asked = file.read_text(encoding="utf-8").strip()
        if asked.removeprefix(STOP) != point:
            return
        file.rename(f"{file}.struck")
    except FileNotFoundError:  # not armed, or another process was first
        return
    os.kill(os.getpid(), signal.SIGSTOP if asked.startswith(STOP) else signal.SIGKILL)
