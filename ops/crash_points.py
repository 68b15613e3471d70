"""Write the table of crash points into ops/RELIABILITY.md: what has just happened at each, and where it leaves the row.

python -m ops.crash_points          # prints the table
python -m ops.crash_points --write  # puts it into RELIABILITY.md, between its marks
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from worker import effects
from worker.ledger.states import TRANSITIONS

PAGE = Path(__file__).parent / "RELIABILITY.md"
BEGIN, END = "<!-- crash points: `python -m ops.crash_points --write` -->", "<!-- end of crash points -->"
AS_IT_WAS = "as it was"


def table() -> str:
    """Make the table, in Markdown."""
    head = ["| crash point | what has just happened | the row is |", "| --- | --- | --- |"]
    return "\n".join(head + [f"| `{point}` | {what} | {state} |" for point, what, state in rows()])


def rows() -> Iterator[tuple[str, str, str]]:
    """Go through all crash points: name, what has just happened, and in which state that leaves the row."""
    for name in effects.scripts():
        yield f"after {name}", _sentence(effects.SCRIPTS / f"{name}.lua"), _left(name)
    for name, (what, state) in effects.REQUESTS.items():
        yield f"sent {name}", f"{what} All of it is on the wire, nothing of the answer has been read.", state
        yield (
            f"after {name}",
            f"{what} The answer has been read, or none came, and nothing of it is stored.",
            state,
        )
    for name, what in effects.OTHERS.items():
        yield f"after {name}", what, AS_IT_WAS


def _sentence(script: Path) -> str:
    """Read what a script does, from the comment it begins with."""
    words: list[str] = []
    for line in script.read_text(encoding="utf-8").splitlines():
        words.append(line.removeprefix("--").strip())
        if line.endswith("."):
            break
    return " ".join(words)


def _left(name: str) -> str:
    """Say in which states a script may leave its row."""
    targets = TRANSITIONS[name][1] if name in TRANSITIONS else ()
    return ", ".join(state.name for state in sorted(targets)) or AS_IT_WAS


def page_with_table(page: str) -> str:
    """Put the table between the marks of the page."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> None:
    """Print the table, or write it into the page."""
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.write(f"{table()}\n")


if __name__ == "__main__":
    main()
