"""Show how far the reading of a file has come, where a person looks on."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from ops.cli import screen


@contextlib.contextmanager
def reading(path: Path, what: str) -> Iterator[Callable[[int, int], None]]:
    """Return what is to be told the rows and bytes of `path` read so far; says nothing where nobody looks on."""
    console = screen.err()
    if not console.is_terminal:
        yield lambda _rows, _size: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rows]:,} rows"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bars:
        bar = bars.add_task("", total=max(_size_of(path), 1), rows=0)
        yield lambda rows, size: bars.update(bar, completed=size, rows=rows)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
