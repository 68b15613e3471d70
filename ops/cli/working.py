"""Work a campaign off in the foreground: workers, display, results file and exit code."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.cli import display, screen, summary, words
from ops.cli.crew import Crew
from ops.cli.failures import INTERRUPTED
from ops.cli.interrupts import Interrupts
from ops.cli.keeper import ResultsKeeper
from ops.cli.session import Desk, private_folder
from worker.errors import NotFoundError, OutreachError, RedisUnavailableError

_LOOK_EVERY_S = 0.25
# Rows in hand when a campaign was paused or cancelled are settled first, and owed closings are made; not for ever.
_SETTLE_AT_MOST_S = 120.0
_CLOSE_AT_MOST_S = 20.0
# Most messages are delivered within a second or two; for the others nobody waits who has other things to do.
_DELIVERIES_AT_MOST_S = 60.0
_GRACE_S = 60.0
# Who sends SIGTERM often kills after 30 s: by then the workers are gone and the results file is written.
_INTERRUPTED_GRACE_S = 27.0
# An open row waits for its customer to be let in; one whose channel hangs is left for the next time.
_FINISH_AT_MOST_S = 12.0
# A row that waits for its slot is not in flight yet, and opens when the slot comes.
_QUIET_S = 0.75
_AWAITING = "every row has ended; waiting up to a minute for the deliveries of what was sent last (Ctrl-C leaves at once)"
_STOPPING = "stopping: rows in hand are finished first; Ctrl-C again stops at once"


class LedgerLostError(OutreachError):
    """Report that the ledger has lost a campaign that was being sent."""

    exit_code = INTERRUPTED


def work(
    desk: Desk,
    campaign_id: str,
    crew: Crew,
    *,
    as_json: bool = False,
    hints: bool = True,
    follow_ups: bool = False,
) -> int:
    """Work until the campaign has ended, is paused or this command is interrupted; return the exit code.

    With `follow_ups` until its waves have ended, too; of a campaign that is finished already, the code is that of its waves.
    """
    is_about_waves = follow_ups and not desk.registry.get(campaign_id).left
    try:
        with Interrupts() as interrupts, _keeper(desk, campaign_id) as keeper:
            foreground = _Foreground(desk, campaign_id, crew, keeper, interrupts, follow_ups)
            with display.open_display() as shown:
                foreground.run(shown)
            if interrupts.count < 2:
                keeper.write()
            seen = foreground.last_look()
    finally:
        crew.close()
    if seen is None:
        screen.say(
            "interrupted before anything could be seen of the campaign; the same command again goes on."
        )
        return INTERRUPTED
    results, interrupted = desk.results_path(campaign_id), interrupts.count > 0
    code = words.exit_code(seen)
    if follow_ups:
        of_waves = words.waves_exit_code(seen["follow_ups"])
        code = of_waves if is_about_waves else max(code, of_waves)
    code = summary.report(seen, results, complaint=keeper.complaint, as_json=as_json, code=code)
    if hints:
        summary.say_how_to_go_on(seen, interrupted=interrupted)
        _say_next_night(desk, campaign_id)
    return code


def conclude(desk: Desk, campaign_id: str, *, as_json: bool = False) -> int:
    """Write the results file of a campaign that has ended, and sum it up; return the exit code."""
    keeper = _keeper(desk, campaign_id)
    keeper.write()
    seen = desk.snapshot(campaign_id)
    code = summary.report(seen, desk.results_path(campaign_id), complaint=keeper.complaint, as_json=as_json)
    summary.say_how_to_go_on(seen, interrupted=False)
    _say_next_night(desk, campaign_id)
    return code


def _say_next_night(desk: Desk, campaign_id: str) -> None:
    from worker.pipeline.nights import overview

    with contextlib.suppress(RedisUnavailableError):  # the campaign's own end has been told
        entries = overview(desk.bench, has_beat=desk.desks.has_beat())["entries"]
        summary.say_next_night(entries, campaign_id)


@dataclass
class _Foreground:
    desk: Desk
    campaign_id: str
    crew: Crew
    keeper: ResultsKeeper
    interrupts: Interrupts
    follow_ups: bool = False
    snapshot: Mapping[str, Any] | None = None
    note: str = ""
    trouble: str = ""
    still_since: dict[str, float] = field(default_factory=dict)

    def run(self, shown: display.Display) -> None:
        """Look, show and tend until there is nothing more to wait for; then take the workers down."""
        try:
            while not self.interrupts.count and not self._is_over():
                if not self.trouble:  # a worker that was started now would end at once
                    self.note = self.crew.tend(self.desk) or self.note
                self._look(shown, _AWAITING if self._awaits_deliveries() else "")
                self.interrupts.wait(_LOOK_EVERY_S)
        finally:
            self._take_down(shown)

    def last_look(self) -> Mapping[str, Any] | None:
        """Return how the campaign stands now, or stood when Redis could last be asked."""
        is_hurried = self.interrupts.count > 1 and self.trouble
        with contextlib.suppress(RedisUnavailableError):
            self.snapshot = self.snapshot if is_hurried else self.desk.snapshot(self.campaign_id)
        return self.snapshot

    def _look(self, shown: display.Display, saying: str) -> None:
        try:
            self.snapshot = self._see()
            self.trouble = ""
        except RedisUnavailableError as error:
            self.trouble = self.desk.wait_for_redis(error)
        caution = self.snapshot and self.snapshot["cautious"]
        notes = [caution, self.trouble, self.note, self.keeper.complaint, saying]
        shown.show(self.snapshot, [note for note in notes if note])

    def _see(self) -> Mapping[str, Any]:
        try:
            seen = self.desk.look(self.campaign_id)
        except NotFoundError:
            raise LedgerLostError(
                f"Redis knows nothing of {self.campaign_id} any more, though it was being sent.",
                "Put its data back and give the command again; where they are lost, give it with --rebuild.",
            ) from None
        is_starting = self.crew.is_ours and not self.interrupts.count
        if seen["redis"]:  # it can be read, but no worker can write
            return seen
        if is_starting and not seen["workers"] and seen["state"] in ("running", "waiting"):
            return {**seen, "waiting_for": "its workers to start"}
        return seen

    def _is_over(self) -> bool:
        """Tell whether there is nothing left that this command should wait for."""
        seen = self.snapshot
        if seen is None or self.trouble:
            return False
        busy = seen["in_flight"] + seen["in_doubt"]
        if seen["state"] == "paused":
            return not busy or self._has_lasted("paused", _SETTLE_AT_MOST_S)
        if seen["state"] == "cancelled" and seen["counts"]["pending"]:
            return self._has_lasted("cancelled", _SETTLE_AT_MOST_S)
        if self.follow_ups and any(words.is_wave_busy(wave) for wave in seen["follow_ups"]):
            return False
        if seen["state"] in ("finished", "cancelled"):
            is_closed = not seen["to_close"] or self._has_lasted("closing", _CLOSE_AT_MOST_S)
            has_heard = not self._awaits_deliveries() or self._has_lasted("deliveries", _DELIVERIES_AT_MOST_S)
            return is_closed and has_heard
        self.still_since.clear()
        return False

    def _awaits_deliveries(self) -> bool:
        seen = self.snapshot
        if seen is None or seen["state"] != "finished" or seen["deliveries_blocked_s"]:
            return False
        return bool(seen["deliveries_awaited"] and seen["is_polled"])

    def _has_lasted(self, what: str, at_most_s: float) -> bool:
        return time.monotonic() - self.still_since.setdefault(what, time.monotonic()) > at_most_s

    def _take_down(self, shown: display.Display) -> None:
        deadline = time.monotonic() + (_INTERRUPTED_GRACE_S if self.interrupts.count else _GRACE_S)
        if self.interrupts.count:
            self._finish_open_rows(shown)
        self.crew.ask_to_stop()
        while not self.crew.all_gone() and self.interrupts.count < 2 and time.monotonic() < deadline:
            if not self.trouble:  # a Redis that hangs takes 15 s to ask
                self._look(shown, _STOPPING if self.interrupts.count else "")
            self.crew.wait_gone(_LOOK_EVERY_S)

    def _finish_open_rows(self, shown: display.Display) -> None:
        """Keep our workers until no row is open: an agent would sit in its conversation, without a message."""
        deadline = time.monotonic() + _FINISH_AT_MOST_S
        while (
            self.crew.is_ours
            and not self.trouble
            and self.interrupts.count < 2
            and time.monotonic() < deadline
        ):
            # Again each time: a worker that is only starting does not listen yet.
            self.crew.ask_to_open_no_more()
            self._look(shown, _STOPPING)
            in_flight = self.snapshot["in_flight"] if self.snapshot else 0
            if in_flight:
                self.still_since.pop("stopping", None)
            if self.crew.all_gone() or (not in_flight and self._has_lasted("stopping", _QUIET_S)):
                return
            self.interrupts.wait(_LOOK_EVERY_S)


def _keeper(desk: Desk, campaign_id: str) -> ResultsKeeper:
    private_folder(desk.settings.results_dir_or_default)
    return ResultsKeeper(lambda: desk.write_results(campaign_id))
