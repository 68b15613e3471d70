"""Follow-up waves in the ledger: each is a ledger of its own beside its campaign, with some of the campaign's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from worker.ledger import keys
from worker.ledger.reading import LedgerReader
from worker.ledger.scripts import Reply


class Waves(LedgerReader):
    """Creates waves, and puts rows into them: each row once a wave, whatever is restarted."""

    def create_wave(self, wave_id: str, definition: str) -> Reply:
        """Create an empty wave with its definition (canonical JSON).

        Refused as `there` where it exists, as `stopped` where no more follow-ups are wanted, or with the campaign's state.
        """
        args = {"definition": definition, "birth": uuid4().hex[:12]}
        return self.scripts.run("create_wave", self._wave_keys(wave_id), args)

    def begin_wave(
        self,
        wave_id: str,
        row: int,
        send: int,
        conversation: str = "",
        *,
        latest: int | None = None,
        unless_answered: bool = False,
    ) -> Reply:
        """Put a row into a wave; the number of its new send.

        `send`: of the campaign's record, as it was when the row was found to be due; `conversation`: that of the row's
        latest message; `latest`: the highest number of its sends, those of waves too, as it was then. Refused as `there`,
        `stopped`, `answered`, `opted_out`, `sends` (it has had 255) or `changed`.
        """
        args: dict[str, Any] = {"row": row, "send": send, "conversation": conversation, "latest": latest}
        args["unless_answered"] = unless_answered or None
        return self.scripts.run("begin_wave", self._wave_keys(wave_id), args)

    def stop_follow_ups(self, campaign_id: str, *, stopped: bool = True) -> Reply:
        """Begin no more waves of a campaign; or, with `stopped` False, do so again. Refused where that is so already."""
        return self._run("stop_follow_ups", campaign_id, stopped=stopped or None)

    def waves(self, campaign_id: str) -> list[str]:
        """List the ids of a campaign's waves, in the order of its follow-ups."""
        found = self.scripts.ask(lambda: self.client.smembers(self.key(campaign_id, "waves")))
        return sorted((name.decode() for name in found), key=keys.place_in_wave)

    def waved(self, campaign_id: str, rows: Sequence[int]) -> list[int]:
        """Tell the highest number of a send that a wave has given each of `rows`; 0 where none has."""
        if not rows:
            return []
        found = self.scripts.ask(
            lambda: self.client.hmget(self.key(campaign_id, "waved"), [str(row) for row in rows])
        )
        return [int(number or 0) for number in found]

    def _wave_keys(self, wave_id: str) -> tuple[str, str]:
        return self.key(wave_id), self.key(keys.parent_of(wave_id))
