"""Show a campaign's way while it runs: a live picture on a terminal, plain lines now and then everywhere else."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ops.cli import screen, words

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_LINE_EVERY_S = 5.0
_RECENT = 5


class Display(Protocol):
    """Something that shows how a campaign stands, with notes of this command's own beside it."""

    def show(self, snapshot: Mapping[str, Any] | None, notes: Sequence[str]) -> None:
        """Show this; `snapshot` is None where the ledger could not be asked."""


@contextlib.contextmanager
def open_display() -> Iterator[Display]:
    """Return the display that suits stderr."""
    console = screen.err()
    if not console.is_terminal or console.is_dumb_terminal:
        yield _Lines()
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False, redirect_stdout=False, transient=True) as live:
        yield _Picture(live)


class _Picture:
    """Draws anew what is seen, in place."""

    def __init__(self, live: "Live") -> None:
        self._live = live
        self._last: Mapping[str, Any] | None = None

    def show(self, snapshot: Mapping[str, Any] | None, notes: Sequence[str]) -> None:
        self._last = snapshot or self._last
        if self._last:
            self._live.update(picture(self._last, notes), refresh=True)


class _Lines:
    """Prints a line every few seconds, and whenever something new is to be said."""

    def __init__(self) -> None:
        self._next_at = 0.0
        self._said: tuple[str, ...] = ()

    def show(self, snapshot: Mapping[str, Any] | None, notes: Sequence[str]) -> None:
        for note in notes:
            if note not in self._said:
                screen.say(note)
        self._said = tuple(notes)
        now = time.monotonic()
        if snapshot and now >= self._next_at:
            self._next_at = now + _LINE_EVERY_S
            screen.say(line(snapshot))


def line(snapshot: Mapping[str, Any]) -> str:
    """Say in one line how a campaign stands."""
    parts = [
        f"{snapshot['id']}: {snapshot['state']}",
        f"{words.number(words.ended(snapshot))} of {words.rows(snapshot['rows'])} done",
        words.counts({name: n for name, n in snapshot["counts"].items() if name != "pending"})
        + words.in_brackets(snapshot),
        words.pace(snapshot["rate_per_s"]) if snapshot["rate_per_s"] else "",
        f"about {words.duration(snapshot['eta_s'])} left" if snapshot["eta_s"] else "",
        _hands(snapshot),
        f"waiting for: {waits}" if (waits := waiting(snapshot)) else "",
    ]
    return ", ".join(part for part in parts if part)


def picture(snapshot: Mapping[str, Any], notes: Sequence[str] = ()) -> "RenderableType":
    """Draw how a campaign stands, as wide as the terminal and no wider."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_headline(snapshot), _bar(snapshot), _counts(snapshot)]
    said = (
        ("deliveries", words.deliveries(snapshot)),
        ("waiting for", waiting(snapshot)),
        ("in hand", _hands(snapshot)),
    )
    for label, text in said:
        if text:
            parts.append(_labelled(label, text))
    if snapshot.get("to_close"):
        parts.append(_labelled("to close", f"{snapshot['to_close']} Interactions without a message"))
    parts += [_recent(one) for one in list(snapshot.get("recent", ()))[:_RECENT]]
    parts += [Text(screen.plain(note), style="yellow") for note in notes]
    return Group(*parts)


def waiting(snapshot: Mapping[str, Any]) -> str:
    """Say what a campaign is waiting for, and until when."""
    found = snapshot.get("waiting_for")
    if not found:
        return ""
    return "; ".join(str(one) for one in found) if isinstance(found, list | tuple) else str(found)


def _headline(snapshot: Mapping[str, Any]) -> "RenderableType":
    from rich.text import Text

    text = Text(snapshot["id"], style="bold")
    text.append(f"  {snapshot['state']}", style="cyan")
    if snapshot["rate_per_s"]:
        text.append(f"  {words.pace(snapshot['rate_per_s'])}", style="default")
    if snapshot["eta_s"]:
        text.append(f"  about {words.duration(snapshot['eta_s'])} left", style="default")
    return text


def _bar(snapshot: Mapping[str, Any]) -> "RenderableType":
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    done, rows = words.ended(snapshot), snapshot["rows"]
    share = done / rows if rows else 1.0
    row = Table.grid(padding=(0, 1), expand=True)
    row.add_column(ratio=1)
    row.add_column(no_wrap=True)
    label = f"{share:4.0%}  {words.number(done)} of {words.number(rows)}"
    row.add_row(ProgressBar(total=max(rows, 1), completed=done), Text(label))
    return row


def _counts(snapshot: Mapping[str, Any]) -> "RenderableType":
    from rich.text import Text

    text = Text()
    for name, n in snapshot["counts"].items():
        if n:
            text.append(f"{words.number(n)} {words.status_name(name)}   ", style=words.status_style(name))
    return text


def _labelled(label: str, value: str) -> "RenderableType":
    from rich.text import Text

    return Text.assemble((f"{label}: ", "dim"), screen.plain(value))


def _recent(one: Mapping[str, Any]) -> "RenderableType":
    from rich.text import Text

    status = str(one["status"])
    text = Text.assemble(
        ("row ", "dim"), f"{one['row']} ", (words.status_name(status), words.status_style(status))
    )
    if one.get("sentence"):
        text.append(f"  {screen.plain(one['sentence'])}", style="dim")
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _hands(snapshot: Mapping[str, Any]) -> str:
    parts = []
    if snapshot["in_flight"]:
        parts.append(f"{snapshot['in_flight']} under way")
    if snapshot["in_doubt"]:
        parts.append(f"{snapshot['in_doubt']} in doubt, being looked up")
    return ", ".join(parts)
