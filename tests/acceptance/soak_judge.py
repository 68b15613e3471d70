"""Reads a soak's journal and results file, and says who was contacted twice, who was lost, and how long things stood."""

from __future__ import annotations

import bisect
import csv
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaign_files import number

from worker.ledger.row import Story
from worker.ledger.states import Event

_IN_DOUBT = (Event.OPENING_UNANSWERED, Event.SENDING_UNANSWERED, Event.LEASE_OVER)


class Journal:
    """The simulator's journal file, read on as it grows."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._rest = b""
        self.effects: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.times: list[float] = []
        self.opened_until = 0.0
        self.reached: set[str] = set()
        self.told: set[str] = set()

    def read(self) -> None:
        """Read what has been written since."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for line in lines:
            if line.startswith(b'{"n":'):
                self._note(json.loads(line))

    def _note(self, effect: dict[str, Any]) -> None:
        kind = effect["effect"]
        self.effects[kind].append(effect)
        if kind in ("interaction", "message"):
            self.times.append(effect["at"])
            reached = len(self.reached)
            (self.reached if kind == "interaction" else self.told).add(effect["address"])
            self.opened_until = effect["at"] if len(self.reached) > reached else self.opened_until

    def next_effect_after(self, at: float) -> float | None:
        """Find when an Interaction or message came next."""
        place = bisect.bisect_right(self.times, at)
        return self.times[place] if place < len(self.times) else None

    def longest_silence_s(self) -> float:
        """Say how long there was neither an Interaction nor a message at most, while there were rows to open."""
        times = self.times[: bisect.bisect_right(self.times, self.opened_until)]
        return max((later - at for at, later in itertools.pairwise(times)), default=0.0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass
class Verdict:
    """What went wrong, by row; `needs_review` is not wrong, but is said."""

    doubled: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)
    left_open: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    reviews: Counter[str] = field(default_factory=Counter)

    @property
    def is_well(self) -> bool:
        """Tell whether nobody was doubled, lost, told untruly about, or left in an empty conversation."""
        return not (self.doubled or self.lost or self.untrue or self.left_open)

    def say(self) -> str:
        """Name what is wrong, some of each kind."""
        wrong = {"doubled": self.doubled, "lost": self.lost, "untrue": self.untrue, "open": self.left_open}
        return "\n".join(
            f"{what}: {len(found)}: {'; '.join(found[:5])}" for what, found in wrong.items() if found
        )


def judge(journal: Journal, results: Sequence[dict[str, str]], rows: int) -> Verdict:
    """Hold the results file against the journal."""
    verdict = Verdict(counts=Counter(row["outreach_status"] for row in results))
    messages: dict[str, list[str]] = defaultdict(list)
    for message in journal.effects["message"]:
        messages[str(message["address"]).removeprefix("whatsapp:")].append(message["message_sid"])
    if [row["outreach_row"] for row in results] != [str(at) for at in range(1, rows + 1)]:
        verdict.lost.append(f"the file has {len(results)} rows, not {rows}, or not in order")
    for at, row in enumerate(results):
        _judge_row(verdict, row, messages.pop(number(at), []))
    verdict.untrue += [f"{len(sids)} messages to nobody of ours" for sids in messages.values()]
    verdict.left_open = _left_open(journal)
    return verdict


def _judge_row(verdict: Verdict, row: dict[str, str], sids: list[str]) -> None:
    name, status, reason = f"row {row['outreach_row']}", row["outreach_status"], row["outreach_reason"]
    if len(sids) > 1:
        verdict.doubled.append(f"{name} ({len(sids)} messages)")
    if status == "accepted":
        if row["message_sid"] not in sids:
            (verdict.untrue if sids else verdict.lost).append(f"{name} has not the message it names")
    elif status == "needs_review":
        verdict.reviews[reason] += 1
        if not (reason and row["outreach_advice"]):
            verdict.untrue.append(f"{name} is to be reviewed and says not why")
    elif status == "pending":
        verdict.lost.append(f"{name} is still pending")
    elif sids or not reason:
        verdict.untrue.append(f"{name} is {status} ({reason or 'no reason'}) with {len(sids)} messages")


def _left_open(journal: Journal) -> list[str]:
    """Name the Interactions that an agent still has without a message in them."""
    closed = {each["interaction_sid"] for each in journal.effects["interaction_closed"]}
    told = {each["conversation_sid"] for each in journal.effects["message"]}
    return [
        f"{each['interaction_sid']} of {each['key']}"
        for each in journal.effects["interaction"]
        if each["interaction_sid"] not in closed and each["conversation_sid"] not in told
    ]


def longest_empty_s(journal: Journal) -> float:
    """Say how long a customer's conversation stood at most before its message."""
    opened = {each["conversation_sid"]: each["at"] for each in journal.effects["interaction"]}
    return max(
        (
            each["at"] - opened[each["conversation_sid"]]
            for each in journal.effects["message"]
            if each["conversation_sid"] in opened
        ),
        default=0.0,
    )


def longest_doubt_s(stories: Iterable[Sequence[Story]]) -> float:
    """Say how long a row was in doubt at most, from the lost answer or holder until it was settled."""
    longest = 0.0
    for story in stories:
        since = None
        for each in story:
            if each.event in _IN_DOUBT:
                since = each.at
            elif since is not None and each.event is not Event.LOOKED:
                longest, since = max(longest, (each.at - since).total_seconds()), None
    return longest


def read_results(folder: Path) -> list[dict[str, str]]:
    """Read the one results file."""
    (path,) = folder.glob("*.csv")
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))
