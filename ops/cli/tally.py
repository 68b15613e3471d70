"""Count why rows were not accepted, from the results file itself: what the customer reads is what is summed up."""

import csv
from dataclasses import dataclass
from pathlib import Path

# A cell may be as long as a customer made it; Python's csv stops at 131,072 characters otherwise.
_LONGEST_CELL = 2**31 - 1


@dataclass(slots=True)
class ReasonCount:
    """How many rows have a status for a reason; `sentence` is that of the first of them, `alike` tells if of all."""

    status: str
    code: str
    sentence: str
    rows: int = 0
    alike: bool = True


def tally(results: Path) -> list[ReasonCount]:
    """Count the rows of a results file that ended without being accepted, the commonest reason first."""
    found: dict[tuple[str, str], ReasonCount] = {}
    csv.field_size_limit(_LONGEST_CELL)
    with results.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        header = next(rows)
        at_status, at_code, at_sentence = (
            header.index(f"outreach_{name}") for name in ("status", "code", "reason")
        )
        for row in rows:
            status = row[at_status]
            if status not in ("accepted", "pending"):
                first = ReasonCount(status, row[at_code], row[at_sentence])
                one = found.setdefault((status, row[at_code]), first)
                one.rows += 1
                one.alike = one.alike and one.sentence == row[at_sentence]
    return sorted(found.values(), key=lambda one: -one.rows)
