"""Say numbers, times and states as people do."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_STYLES = {
    "delivered": "green",
    "read": "green",
    "undelivered": "red",
    "accepted": "green",
    "failed": "red",
    "invalid": "red",
    "needs_review": "magenta",
    "skipped": "yellow",
    "cancelled": "yellow",
    "pending": "default",
}


def duration(seconds: float | None) -> str:
    """Say how long, no finer than is of use."""
    if seconds is None:
        return "unknown"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def number(value: float) -> str:
    """Write a count with its thousands apart."""
    return f"{value:,.0f}"


def rows(count: int) -> str:
    """Write a number of rows."""
    return "1 row" if count == 1 else f"{number(count)} rows"


def pace(per_s: float) -> str:
    """Write a pace."""
    return f"{per_s:.1f}/s" if per_s < 100 else f"{per_s:.0f}/s"


def account(profile: str) -> str:
    """Name an account for a sentence; the main one has no name."""
    return f"account {profile}" if profile else "the main account"


def account_name(seen: Mapping[str, Any]) -> str:
    """Name the account of a campaign or schedule in a table."""
    return str(seen["account"] or "(main)")


def counts(by_status: Mapping[str, int]) -> str:
    """List the statuses that there are rows of."""
    return ", ".join(f"{number(n)} {status_name(word)}" for word, n in by_status.items() if n)


def deliveries(snapshot: Mapping[str, Any]) -> str:
    """Say what is known of the accepted messages' deliveries and of answers; empty where nothing is."""
    told = counts({word: n for word, n in snapshot.get("deliveries", {}).items() if word != "unknown"})
    answered = f"{number(snapshot['answered'])} answered" if snapshot.get("answered") else ""
    return ", ".join(part for part in (told, answered) if part)


def in_brackets(snapshot: Mapping[str, Any]) -> str:
    """Say the same behind the counts, among which `failed` means something else."""
    told = deliveries(snapshot)
    return f" (deliveries: {told})" if told else ""


def status_name(word: str) -> str:
    """Say a status of the results file in words."""
    return word.replace("_", " ")


def status_style(word: str) -> str:
    """Return the colour of a status."""
    return _STYLES.get(word, "default")


def ended(snapshot: Mapping[str, Any]) -> int:
    """Count the rows whose send has ended."""
    return int(snapshot["rows"]) - int(snapshot["counts"]["pending"])


def exit_code(snapshot: Mapping[str, Any]) -> int:
    """Return the exit code that a campaign's state and counts stand for."""
    if snapshot["state"] not in ("finished", "cancelled"):
        return 3
    by_status = snapshot["counts"]
    well = by_status["accepted"] + by_status["skipped"]
    return 0 if well == snapshot["rows"] else 1


def is_wave_busy(wave: Mapping[str, Any]) -> bool:
    """Tell whether something more happens in a follow-up wave by itself."""
    if wave["state"] == "paused":
        return bool(wave["in_flight"] + wave["in_doubt"])
    return bool(wave["left"])


def waves_exit_code(waves: Sequence[Mapping[str, Any]]) -> int:
    """Return the exit code that the follow-up waves of a campaign stand for."""
    if any(wave["left"] for wave in waves):
        return 3
    well = all(
        wave["counts"]["accepted"] + wave["counts"]["skipped"] == sum(wave["counts"].values())
        for wave in waves
    )
    return 0 if well else 1


def path(of: Path) -> str:
    """Write a path as short as it may be from here."""
    return str(of.relative_to(Path.cwd())) if of.is_relative_to(Path.cwd()) else str(of)


def paused(snapshot: Mapping[str, Any]) -> str:
    """Say who paused a campaign, and why."""
    pause = snapshot.get("paused") or {}
    code = f"{pause['code']}: " if pause.get("code") else ""
    reason = f" ({code}{pause['reason']} {pause['advice']}".rstrip() + ")" if pause.get("reason") else ""
    return f"paused by the {pause.get('by') or 'operator'}{reason}"
