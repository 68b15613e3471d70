"""Find whom earlier campaigns of a name have reached, by the hashes that the ledger keeps of their addresses."""

from __future__ import annotations

from collections.abc import Iterator

from campaigns.duplicates import AddressHashes
from worker.ledger.ledger import Ledger
from worker.ledger.registry import CampaignInfo, Registry
from worker.ledger.states import State


def find_contacted(
    ledger: Ledger, registry: Registry, name: str, campaign_id: str
) -> tuple[AddressHashes, list[CampaignInfo]]:
    """Give the addresses accepted by other campaigns of this name, and those of them that are unfinished."""
    others = [
        info
        for each in registry.ids()
        if each != campaign_id and (info := registry.find(each)) is not None and info.name == name
    ]
    unfinished = [info for info in others if info.left]
    return AddressHashes(_accepted(ledger, others)), unfinished


def holds_contacted(ledger: Ledger, info: CampaignInfo, contacted: AddressHashes) -> bool:
    """Tell whether a load that was interrupted has taken somebody in whom another campaign has reached meanwhile."""
    return any(each in contacted for each in ledger.address_hashes(info.id, info.loaded, State.PENDING))


def _accepted(ledger: Ledger, campaigns: list[CampaignInfo]) -> Iterator[bytes]:
    for info in campaigns:
        if info.counts.get(State.ACCEPTED):
            yield from ledger.address_hashes(info.id, info.rows, State.ACCEPTED)
