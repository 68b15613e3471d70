"""Follow-up waves of a campaign: begin those that are due, foretell the next ones, stop them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from campaigns.campaign import Nightly
from campaigns.definition import Campaign
from worker.errors import RefusedHereError
from worker.ledger import keys
from worker.ledger.ledger import Ledger
from worker.ledger.registry import CampaignInfo, Registry
from worker.logs import get_logger
from worker.pipeline import cautious
from worker.pipeline.bench import Workbench
from worker.pipeline.cron import Cron, daily
from worker.pipeline.follow_ups import Due, Later, Left, decide
from worker.pipeline.wave_records import standings

log = get_logger(__name__)

_OFTEN = 500
"""Rows after which it is asked whether to go on: some tenths of a second, where each of them is due."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What a night's run did: how many rows it put into each wave (by its id), and how many it came too late for.

    `why`: the reason where nothing may be begun now.
    """

    campaign_id: str
    waves: Mapping[str, int] = field(default_factory=dict)
    overtaken: int = 0
    why: str = ""

    @property
    def rows(self) -> int:
        """Count the rows that were put into some wave."""
        return sum(self.waves.values())


@dataclass(slots=True)
class Outlook:
    """What is foreseen of one follow-up: rows due now, and rows due later, the first of them in the night at `night`."""

    follow_up: int
    condition: str
    after_s: float
    due: int = 0
    later: int = 0
    night: datetime | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Who would be followed up at `at` and later; `left` counts those who will not be, by why.

    `why`: the reason where nothing may be begun now.
    """

    campaign_id: str
    at: datetime
    next_night: datetime | None
    outlooks: tuple[Outlook, ...]
    left: Counter[Left]
    why: str = ""

    @property
    def due(self) -> int:
        """Count the rows that are due now."""
        return sum(one.due for one in self.outlooks)


def begin(
    bench: Workbench, campaign_id: str, night: datetime, go_on: Callable[[], object] = lambda: None
) -> Begun:
    """Put every row that is due at `night`, the planned time, into its wave; to be called again where it was interrupted.

    The rows are sent by the workers, as those of any campaign. Nothing is begun while the campaign is paused.
    `go_on` is called often meanwhile; what it raises leaves the rest for another time.
    Raises: NotFoundError where there is no such campaign.
    """
    cautious.heed_campaign(bench.registry, campaign_id, bench.settings.results_dir)
    info = bench.registry.get(campaign_id)
    campaign = Campaign.from_canonical_json(info.definition)
    if why := why_not(info, campaign):
        return Begun(campaign_id, why=why)
    waves: Counter[str] = Counter()
    overtaken = 0
    for number, first, mine in standings(bench.ledger, info):
        if number % _OFTEN == 1:
            go_on()
        found = decide(campaign.follow_ups, first, mine.records, night, mine.lost)
        if not isinstance(found, Due):
            continue
        wave_id = keys.wave_id(campaign_id, *found.wave)
        if wave_id not in waves and not _have_wave(bench, wave_id, campaign.wave(found.wave[0])):
            break
        waves[wave_id] += 0
        only_unanswered = campaign.follow_ups[found.wave[0] - 1].if_ == "no_reply"
        latest = max([first.send, *(record.send for record in mine.records.values())])
        reply = bench.ledger.begin_wave(
            wave_id,
            number,
            first.send,
            found.last.conversation_sid,
            latest=latest,
            unless_answered=only_unanswered,
        )
        waves[wave_id] += reply.ok
        overtaken += not reply.ok
    log.info("waves.begun", campaign=campaign_id, rows=sum(waves.values()), overtaken=overtaken)
    return Begun(campaign_id, {wave: rows for wave, rows in waves.items() if rows}, overtaken)


def preview(ledger: Ledger, registry: Registry, campaign_id: str, now: datetime) -> Plan:
    """Foretell who is due at `now` and later; changes nothing.

    Raises: NotFoundError where there is no such campaign.
    """
    info = registry.get(campaign_id)
    campaign = Campaign.from_canonical_json(info.definition)
    outlooks = tuple(
        Outlook(number, one.if_, one.after_s) for number, one in enumerate(campaign.follow_ups, start=1)
    )
    left: Counter[Left] = Counter()
    first_at: dict[int, datetime] = {}
    for _, first, mine in standings(ledger, info) if outlooks else ():
        match decide(campaign.follow_ups, first, mine.records, now, mine.lost):
            case Due(wave=(number, _)):
                outlooks[number - 1].due += 1
            case Later(follow_up=number, at=at):
                outlooks[number - 1].later += 1
                first_at[number] = min(at, first_at.get(number, at))
            case Left() as why:
                left[why] += 1
    for number, at in first_at.items():
        outlooks[number - 1].night = _next_night(campaign, at)
    next_night = _next_night(campaign, now) if outlooks else None
    return Plan(campaign_id, now, next_night, outlooks, left, why_not(info, campaign))


def stop(ledger: Ledger, registry: Registry, campaign_id: str, *, stopped: bool = True) -> bool:
    """Begin no more waves of a campaign, and cancel the rows of theirs that were not opened yet; False where that is so already.

    Without `stopped` waves may be begun again; what was cancelled stays so.
    Raises: NotFoundError where there is no such campaign; RefusedHereError where it has no follow-ups.
    """
    info = registry.get(campaign_id)
    if not Campaign.from_canonical_json(info.definition).follow_ups and not ledger.waves(campaign_id):
        raise no_follow_ups(campaign_id)
    changed = ledger.stop_follow_ups(campaign_id, stopped=stopped).ok
    if stopped:
        cancel_rows(ledger, campaign_id)
    return changed


def cancel_rows(ledger: Ledger, campaign_id: str) -> None:
    """End the rows of the campaign's waves that were not opened yet, where it was cancelled or its follow-ups stopped."""
    for wave_id in ledger.waves(campaign_id):
        reply = ledger.cancel_rows(wave_id)
        while reply.ok and int(reply.values[0]):
            reply = ledger.cancel_rows(wave_id)


def find_waves(ledger: Ledger, registry: Registry, campaign_id: str) -> list[CampaignInfo]:
    """Read the campaign's waves, in the order of its follow-ups."""
    found = (registry.find(wave_id) for wave_id in ledger.waves(campaign_id))
    return [info for info in found if info is not None]


def has_more(ledger: Ledger, registry: Registry, info: CampaignInfo) -> bool:
    """Tell whether waves of a campaign go on, or may be begun yet."""
    campaign = Campaign.from_canonical_json(info.definition)
    may_begin = bool(campaign.follow_ups) and why_not(info, campaign) in ("", _PAUSED)
    return may_begin or any(wave.left for wave in find_waves(ledger, registry, info.id))


_PAUSED = "it is paused"


def why_not(info: CampaignInfo, campaign: Campaign) -> str:
    """Say why no wave of a campaign may be begun now; empty where it may."""
    if not campaign.follow_ups:
        return "its definition has no follow-ups"
    if info.has_follow_ups_stopped:
        return "its follow-ups were stopped"
    return {"running": "", "paused": _PAUSED, "loading": "it is still being loaded"}.get(
        info.state, f"it is {info.state}"
    )


def no_follow_ups(campaign_id: str) -> RefusedHereError:
    """Say that a campaign has no follow-ups, and how it comes to have some."""
    return RefusedHereError(
        f"{campaign_id} has no follow-ups.", "Write [[follow_up]] sections into the definition of a campaign."
    )


def _next_night(campaign: Campaign, moment: datetime) -> datetime:
    """Give the first nightly time of a campaign that is not before `moment`."""
    nightly = campaign.nightly or Nightly()
    return Cron(daily(nightly.at), nightly.timezone).next_after(moment - timedelta(microseconds=1))


def _have_wave(bench: Workbench, wave_id: str, definition: Campaign) -> bool:
    """Create a wave unless it is there, with the definition as it is now; False where no more are wanted."""
    text = definition.canonical_json()
    reply = bench.ledger.create_wave(wave_id, text)
    if not reply.ok and reply.why != "there":
        return False
    info = bench.registry.get(wave_id)
    if info.definition != text:
        bench.registry.update_definition(wave_id, text, info.version)
    return True
