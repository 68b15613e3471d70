"""Kill workers, producer and Redis again and again while a campaign runs, and count who was doubled and who was lost.

    python tests/acceptance/soak.py --seed 1 --kills 1000 --rows 20000

The same seed strikes the same victims in the same ways after the same pauses. Exit code 1 where anybody was doubled, lost,
told untruly about or left in an empty conversation.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from soak_judge import Journal, Verdict, judge, longest_doubt_s, longest_empty_s, read_results
from soak_plan import EVERY_S, Strike, plan
from soak_stage import Stage

BESIDE = 1.6
"""How much faster than the kills alone would need the pace is: kills hold the campaign up."""
TAIL_S = 600.0
_TICK_S = 0.05
_ENDED = (0, 1)

Say = Callable[[str], None]


@dataclass
class Struck:
    """A strike as it came: when, on whom, and when what it took down was started again."""

    strike: Strike
    at: float
    rows_due: bool
    victims: list[str]
    back_at: float | None = None


@dataclass
class Soak:
    """One run."""

    seed: int
    kills: int
    rows: int
    folder: Path
    every_s: float = EVERY_S
    say: Say = lambda _: None
    struck: list[Struck] = field(default_factory=list)

    def run(self) -> tuple[dict[str, Any], Verdict]:
        """Run the campaign to its end under the strikes; return the figures and the verdict."""
        per_s = BESIDE * self.rows / (self.kills * self.every_s)
        self.stage = Stage(self.folder, rows=self.rows, per_s=per_s, seed=self.seed)
        self.journal = Journal(self.stage.simulator.journal_file)
        try:
            began = time.monotonic()
            self._strike_all()
            struck_s = time.monotonic() - began
            self._finish()
            seconds = time.monotonic() - began
            self.journal.read()
            verdict = judge(self.journal, read_results(self.stage.files.results_dir), self.rows)
            return self._figures(verdict, per_s, seconds, struck_s), verdict
        finally:
            self.journal.close()
            self.stage.close()

    def _strike_all(self) -> None:
        for strike in plan(self.seed, self.kills, self.every_s):
            # The rows must not run out before the kills.
            hurry = 0.5 if len(self.journal.told) / self.rows > self._killed() / self.kills else 1.0
            self._tend_until(time.monotonic() + strike.gap_s * hurry)
            while not (victims := self.stage.find_victims(strike)) and strike.kills and not self._has_ended():
                self._tend_until(time.monotonic() + _TICK_S)
            if self._has_ended():
                return
            if not victims:  # a stop, and enough are stopped
                continue
            rows_due = 0 < len(self.journal.reached) < self.rows
            self.struck.append(Struck(strike, time.monotonic(), rows_due, [each.name for each in victims]))
            self.stage.strike(strike, victims)

    def _finish(self) -> None:
        deadline = time.monotonic() + TAIL_S + self.rows / 5
        while not self._has_ended():
            self._tend_until(time.monotonic() + _TICK_S)
            assert time.monotonic() < deadline, f"the campaign does not end\n{self._last_words()}"

    def _has_ended(self) -> bool:
        """Tell whether the producer ended by itself because all rows had."""
        codes = self.stage.producer.codes
        return bool(codes) and codes[-1] in _ENDED

    def _tend_until(self, until: float) -> None:
        while not self._has_ended():
            starts = self.stage.redis.starts
            self.stage.tend()
            if self.stage.redis.starts > starts:
                self._note_back()
            self.journal.read()
            self.say(self._progress())
            if time.monotonic() >= until:
                return
            time.sleep(_TICK_S)

    def _note_back(self) -> None:
        for each in self.struck:
            if "redis" in each.victims and each.back_at is None:
                each.back_at = time.monotonic()

    def _killed(self) -> int:
        return sum(each.strike.kills for each in self.struck)

    def _progress(self) -> str:
        up = "".join("+" if place.is_up else "." for place in self.stage.places)
        return f"{self._killed()} of {self.kills} kills, {len(self.journal.told)} of {self.rows} rows told [{up}]"

    def _last_words(self) -> str:
        logs = ("producer.log", "workers.log", "redis.log")
        found = [self.folder / name for name in logs if (self.folder / name).exists()]
        return "\n".join(f"--- {path.name}\n{path.read_text()[-2000:]}" for path in found)

    def _figures(self, verdict: Verdict, per_s: float, seconds: float, struck_s: float) -> dict[str, Any]:
        blows = Counter((each.strike.victim, each.strike.way) for each in self.struck)
        starts = sum(place.starts for place in self.stage.places)
        return {
            "seed": self.seed,
            "rows": self.rows,
            "kills": self._killed(),
            "stops": len(self.struck) - self._killed(),
            "strikes": {f"{victim} {way}": n for (victim, way), n in sorted(blows.items())},
            "processes_started": starts,
            "exit_codes": dict(sorted(self._exit_codes().items())),
            "faults": len(self.journal.effects["fault"]),
            "pace_per_s": round(per_s, 1),
            "seconds": round(seconds),
            "rows_per_s": round(self.rows / seconds, 1),
            "seconds_of_strikes": round(struck_s),
            "statuses": dict(verdict.counts),
            "doubled": len(verdict.doubled),
            "lost": len(verdict.lost),
            "untrue": len(verdict.untrue),
            "left_open": len(verdict.left_open),
            "needs_review": verdict.counts["needs_review"],
            "interactions": len(self.journal.effects["interaction"]),
            "closed_empty": sum(not each["messages"] for each in self.journal.effects["interaction_closed"]),
            "longest_resume_s": self._resumes(),
            "longest_silence_s": round(self.journal.longest_silence_s(), 2),
            "longest_empty_s": round(longest_empty_s(self.journal), 1),
            "longest_doubt_s": round(longest_doubt_s(self.stage.stories()), 1),
        }

    def _exit_codes(self) -> Counter[str]:
        return Counter(
            f"{place.name.split('-')[0]} {code}" for place in self.stage.places for code in place.codes
        )

    def _resumes(self) -> dict[str, float]:
        """Say by victim how long it took at most until the next Interaction or message, while there were rows to open.

        Counted where nothing else was struck meanwhile: several strikes in a row show in the longest silence.
        """
        longest: dict[str, float] = {}
        for at, each in enumerate(self.struck):
            # What comes before Redis is back was on the wire when it died.
            resumed_at = self.journal.next_effect_after(each.back_at or each.at)
            following = self.struck[at + 1].at if at + 1 < len(self.struck) else resumed_at
            if not each.rows_due or resumed_at is None or following is None or following < resumed_at:
                continue
            kinds = {f"{each.strike.victim} {each.strike.way}": resumed_at - each.at}
            if each.back_at is not None:
                kinds[f"{each.strike.victim} from its restart"] = resumed_at - each.back_at
            for kind, seconds in kinds.items():
                longest[kind] = max(longest.get(kind, 0.0), round(seconds, 2))
        return dict(sorted(longest.items()))


def main() -> int:
    """Run a soak from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--every-s", type=float, default=EVERY_S, help="mean seconds between two strikes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep journal, logs and results there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as scratch:
        folder = given.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        soak = Soak(given.seed, given.kills, given.rows, folder, given.every_s, _teller())
        figures, verdict = soak.run()
    print("\n")
    for name, value in figures.items():
        shown = (
            ", ".join(f"{key}: {each}" for key, each in value.items()) if isinstance(value, dict) else value
        )
        print(f"{name.replace('_', ' '):>20}  {shown}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")
    if not verdict.is_well:
        print(verdict.say(), file=sys.stderr)
    return 0 if verdict.is_well and figures["kills"] >= given.kills else 1


def _teller() -> Say:
    """Show progress: in place on a terminal, elsewhere a line every ten seconds."""
    is_terminal, told_at = sys.stderr.isatty(), [time.monotonic()]

    def tell(line: str) -> None:
        if time.monotonic() - told_at[0] > (0.2 if is_terminal else 10.0):
            told_at[0] = time.monotonic()
            print(
                f"\r{line}" if is_terminal else line,
                end="" if is_terminal else "\n",
                file=sys.stderr,
                flush=True,
            )

    return tell


if __name__ == "__main__":
    sys.exit(main())
