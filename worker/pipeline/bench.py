"""The workbench: what every step of a row needs, handed in from outside."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from secrets import token_hex

from campaigns.definition import Campaign
from campaigns.recipients import CompiledCampaign, compile_campaign
from worker import loop
from worker.gateway.twilio import TwilioGateway
from worker.ledger import keys
from worker.ledger.ledger import UNDER_WAY_MS, Claim, Ledger
from worker.ledger.registry import CampaignInfo, Registry
from worker.ledger.row import Row
from worker.ledger.scripts import Reply, retrying
from worker.ledger.states import WAITING
from worker.pacing.pacer import Pacer
from worker.pipeline.reasons import outreach_key
from worker.settings import Settings

_ROOM_S = UNDER_WAY_MS / 1000
"""What a lease has beyond a request's total deadline: the wait for a slot, and room to write what came of it."""

_FRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class LoadedCampaign:
    """A campaign as a worker keeps it: its definition read and its templates compiled."""

    info: CampaignInfo
    campaign: Campaign
    compiled: CompiledCampaign
    read_at: float

    def key(self, row: int, send: int) -> str:
        """Give the key by which a send is found again at Twilio."""
        return outreach_key(self.info.id, row, send)

    @property
    def parent_id(self) -> str:
        """Give the campaign's id, of a wave: that of the campaign it belongs to."""
        return keys.parent_of(self.info.id)


@dataclass(slots=True)
class Workbench:
    """The parts a worker works with.

    `request_s` is the total deadline of a request; `clock` is monotonic, in seconds, and goes on while the machine sleeps.
    """

    settings: Settings
    ledger: Ledger
    registry: Registry
    pacer: Pacer
    gateway: TwilioGateway
    owner: str
    request_s: float
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    rng: Random
    _loaded: dict[str, LoadedCampaign] = field(default_factory=dict)
    _earlier: dict[tuple[str, int], LoadedCampaign] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def campaign(self, campaign_id: str) -> LoadedCampaign:
        """Give a campaign, compiled; a changed definition is seen within a second."""
        found = self._loaded.get(campaign_id)
        if found and self.clock() - found.read_at < _FRESH_S:
            return found
        # Where somebody else just reads it, what is known will do. In a loop nobody may wait for a lock: its holder may be one of its rows.
        if not self._lock.acquire(blocking=found is None and loop.here() is None):
            return found or self._read(campaign_id, None)
        try:
            found = self._loaded.get(campaign_id)
            if found and self.clock() - found.read_at < _FRESH_S:
                return found
            return self._read(campaign_id, found)
        finally:
            self._lock.release()

    def _read(self, campaign_id: str, known: LoadedCampaign | None) -> LoadedCampaign:
        info = self.registry.get(campaign_id)
        if known and known.info.version == info.version:
            fresh = LoadedCampaign(info, known.campaign, known.compiled, self.clock())
        else:
            fresh = _load(info, info.definition, self.clock())
        self._loaded[campaign_id] = fresh
        return fresh

    def campaign_of(self, row: Row, campaign_id: str) -> LoadedCampaign:
        """Give the campaign as a row was opened with it: an update applies to rows not opened yet."""
        present, version = self.campaign(campaign_id), row.hand.version
        if row.state in WAITING or version in (0, present.info.version):
            return present
        found = self._earlier.get((campaign_id, version))
        if found is None:
            definition = self.registry.definition(campaign_id, version)
            found = self._earlier[campaign_id, version] = _load(present.info, definition, present.read_at)
        return found

    def write(self, act: Callable[[], Reply], until: float) -> Reply:
        """Write down what Twilio has answered, waiting for a Redis that is away until a lease is over."""
        return retrying(act, until, self.clock, self.sleep)

    def claim(self, requests: int = 1) -> Claim:
        """Make a claim's token, with a lease that lasts for so many requests."""
        lease_ms = int((requests * self.request_s + _ROOM_S) * 1000)
        return Claim(token_hex(16), self.owner, lease_ms)


def _load(info: CampaignInfo, definition: str, read_at: float) -> LoadedCampaign:
    campaign = Campaign.from_canonical_json(definition)
    return LoadedCampaign(info, campaign, compile_campaign(campaign, info.columns, info.file), read_at)
