"""Find whom earlier campaigns of a name have reached, by the hashes that the ledger keeps of their addresses."""

from __future__ import annotations

from collections.abc import Iterator

from campaigns.duplicates import AddressHashes
from worker.ledger.ledger import Ledger
from worker.ledger.registry import CampaignInfo, Registry
from worker.ledger.states import IN_DOUBT, IN_FLIGHT, State

# Whose row is under way or in doubt may have a message: the campaign that has it settles that, and nobody is contacted blind.
_REACHED = (State.ACCEPTED, State.NEEDS_REVIEW, *IN_FLIGHT, *IN_DOUBT)


def find_others(registry: Registry, name: str, campaign_id: str) -> list[CampaignInfo]:
    """List the other campaigns of this name that have started."""
    found = (registry.find(each) for each in registry.ids() if each != campaign_id)
    return [info for info in found if info is not None and info.name == name and info.state != "loading"]


def find_contacted(ledger: Ledger, others: list[CampaignInfo]) -> tuple[AddressHashes, list[CampaignInfo]]:
    """Give the addresses that `others` have reached or may have, and which of them go on sending."""
    return AddressHashes(_reached(ledger, others)), find_unfinished(others)


def find_unfinished(others: list[CampaignInfo]) -> list[CampaignInfo]:
    """Give those of `others` that go on sending."""
    return [info for info in others if info.left and info.state in ("running", "paused")]


def holds_contacted(ledger: Ledger, info: CampaignInfo, contacted: AddressHashes) -> bool:
    """Tell whether a load that was interrupted has taken somebody in whom another campaign has reached meanwhile."""
    return any(each in contacted for each in ledger.address_hashes(info.id, info.loaded, State.PENDING))


def _reached(ledger: Ledger, campaigns: list[CampaignInfo]) -> Iterator[bytes]:
    for info in campaigns:
        if any(info.counts.get(state) for state in _REACHED):
            yield from ledger.address_hashes(info.id, info.rows, *_REACHED)
