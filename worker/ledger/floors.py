"""How far this process has seen each campaign come: where Redis has not come so far, it holds an older ledger."""

from __future__ import annotations

import threading


class Floors:
    """The highest sequence number seen of each campaign, and which campaign of that id it was (`born`).

    For all threads of a process. What was seen before a call is what holds at the call, whatever others see meanwhile.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, int]] = {}
        self._lock = threading.Lock()

    def of(self, campaign_key: str) -> tuple[str, int]:
        """Give a campaign's `born` and sequence number; ("", 0) where nothing was seen of it."""
        return self._seen.get(campaign_key, ("", 0))

    def note(self, campaign_key: str, born: str, seq: int) -> None:
        """Note that a campaign has come so far; one that was created anew begins anew."""
        if not born:
            return
        with self._lock:
            known, highest = self.of(campaign_key)
            if known != born or seq > highest:
                self._seen[campaign_key] = (born, seq)
