"""Take a definition and a customers' file in: decide which campaign they are, and load what is not loaded yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from campaigns.definition import Campaign, difference, load_definition, refuse_key
from campaigns.identity import campaign_identity
from campaigns.problems import Problem, RefusedError
from campaigns.table import file_sha256, open_table
from worker.ledger.ledger import Ledger
from worker.ledger.registry import CampaignInfo, Registry
from worker.ledger.suppression import Suppression
from worker.pipeline.contacted import find_contacted, find_others, find_unfinished, holds_contacted
from worker.pipeline.loading import (
    Loaded,
    Progress,
    UnfinishedError,
    check_again,
    load_file,
    stamp_of,
)
from worker.pipeline.results import is_known_by_results
from worker.settings import Settings

What = Literal["new", "rebuilt", "loading", "unfinished", "updated", "finished", "cancelled"]

# They decide who is contacted, and rows are told apart by them: another one could contact somebody twice.
_FIXED = ("to", "channel", "default_region")


@dataclass(frozen=True, slots=True)
class Decision:
    """Which campaign a definition and a file are, and what is to be done.

    `what`: `new`, `rebuilt` (the ledger has lost it, its `results` have not) and `loading` (a load that was interrupted) are
    to be loaded; `updated` has a changed definition to
    apply; `unfinished` goes on as it is; `finished` and `cancelled` send nothing more. `file_stamp` is that of the file
    whose bytes decided.
    """

    what: What
    campaign_id: str
    campaign: Campaign
    definition_file: Path
    customers_file: Path
    file_sha256: str
    file_stamp: tuple[int, ...]
    generation: int
    info: CampaignInfo | None = None
    difference: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()
    results: Path | None = None

    @property
    def begins(self) -> bool:
        """Tell whether rows are to be loaded, so that Twilio should be asked first whether all stands."""
        return self.what in ("new", "rebuilt", "loading")


@dataclass(frozen=True, slots=True)
class Intake:
    """What was done. `counts` are the results file's words; `problems` the first ones of `problem_count`.

    `suppressed`: rows that were left out just now because the customer is on the do-not-contact list.
    """

    what: What
    campaign_id: str
    rows: int
    counts: Mapping[str, int]
    problems: tuple[Problem, ...] = ()
    problem_count: int = 0
    warnings: tuple[Problem, ...] = ()
    difference: tuple[str, ...] = ()
    suppressed: int = 0


def take_in(
    ledger: Ledger,
    registry: Registry,
    settings: Settings,
    definition: Path,
    customers: Path,
    *,
    again: bool = False,
    update: bool = False,
    rebuild: bool = False,
    results_dir: Path | None = None,
    progress: Progress | None = None,
) -> Intake:
    """Decide, and carry it out. Raises: as `decide` and `carry_out`."""
    decision = decide(
        registry,
        settings,
        definition,
        customers,
        again=again,
        update=update,
        rebuild=rebuild,
        results_dir=results_dir,
    )
    return carry_out(ledger, registry, settings, decision, progress)


def decide(
    registry: Registry,
    settings: Settings,
    definition: Path,
    customers: Path,
    *,
    again: bool = False,
    update: bool = False,
    rebuild: bool = False,
    results_dir: Path | None = None,
) -> Decision:
    """Find the campaign that a definition and a file are; changes nothing.

    Raises: RefusedError where either can't be used, where the definition of an unfinished campaign has changed and
    `update` is not given, or where a results file knows of a campaign that the ledger has lost and `rebuild` is not given.
    """
    campaign = load_definition_of(settings, definition)
    stamp = stamp_of(customers)  # before the bytes are read: whatever changes from here on is noticed
    digest = _hash(customers)
    folder = results_dir or settings.results_dir_or_default
    named = list(_generations(registry, settings, campaign.name, digest, folder))
    generation, campaign_id, info = named[-1] if named else (0, "", None)
    decision = Decision("new", campaign_id, campaign, definition, customers, digest, stamp, generation, info)
    if not named or (again and (info is None or info.stands in ("finished", "cancelled"))):
        return _begin(decision, settings, again=again)
    results = folder / f"{campaign_id}.csv"
    if info is None:
        if not rebuild:
            raise _lost(customers, results)
        return replace(decision, what="rebuilt", results=results)
    decision = _compare(replace(decision, what=_what(info)), info, update=update)
    if decision.what == "loading" and info.is_rebuilt:  # it was interrupted
        decision = replace(decision, results=results)
    elif rebuild:
        decision = _warn_of_rebuild(decision)
    return _warn_of_again(decision) if again else decision


def load_definition_of(settings: Settings, definition: Path) -> Campaign:
    """Read a definition for the account of `settings`.

    Raises: RefusedError where it can't be used, or is another account's: a schedule's may have changed since it was added.
    """
    campaign = load_definition(definition)
    if (campaign.account or "") == settings.profile:
        return campaign
    written = f'account is "{campaign.account}"' if campaign.account else "it names no account"
    here = f'account "{settings.profile}"' if settings.profile else "main account"
    what = f"{written}, and what is begun here is the {here}'s"
    advice = "put it back; to have another account send on a schedule, remove the schedule and add it anew"
    raise refuse_key(definition, "account", what, advice)


def carry_out(
    ledger: Ledger,
    registry: Registry,
    settings: Settings,
    decision: Decision,
    progress: Progress | None = None,
) -> Intake:
    """Load, complete or update the campaign of `decision`, and start it; where nothing is to be done, say how it stands.

    Raises: RefusedError where the file is refused as a whole, no row of it can be sent, or another file of the same name is
    still being sent; nothing of it is left then.
    """
    loaded = Loaded()
    suppression = Suppression(ledger.client, settings.account_tag)
    if decision.what == "rebuilt" and not suppression.count():
        decision = _warn_of_lost_list(decision)
    warnings = list(decision.warnings)
    if decision.begins:
        others = find_others(registry, decision.campaign.name, decision.campaign_id)
        contacted, unfinished = find_contacted(ledger, others)
        spared = contacted if decision.generation == 0 else None
        if unfinished and spared is not None:
            raise _unfinished(decision, unfinished[0])
        # Half of the rows were checked against another definition, or before another campaign reached some of them.
        if decision.difference or (
            decision.info and spared and holds_contacted(ledger, decision.info, spared)
        ):
            registry.discard(decision.campaign_id)
        loaded = load_file(
            ledger,
            registry,
            decision.campaign_id,
            decision.campaign,
            decision.customers_file,
            _fields(decision, settings),
            spared,
            progress,
            decision.file_stamp,
            decision.results,
            None if spared is None else [other.id for other in others],
            suppression,
        )
        if loaded.joined:
            decision = replace(decision, what="loading")
    elif decision.what == "updated" and decision.info is not None:
        if ledger.waves(decision.campaign_id):
            _refuse_moved(decision, decision.info)
        loaded = check_again(decision.campaign, decision.customers_file, progress)
        _update(registry, decision, decision.info)
    info = registry.get(decision.campaign_id)
    return Intake(
        what=decision.what,
        campaign_id=decision.campaign_id,
        rows=info.rows,
        counts=info.status_counts(),
        problems=tuple(loaded.problems),
        problem_count=loaded.problem_count,
        warnings=(*warnings, *loaded.warnings),
        difference=decision.difference,
        suppressed=loaded.suppressed,
    )


def refuse_too_early(registry: Registry, decision: Decision) -> None:
    """Refuse a file while another one of its name is being sent, before Twilio is asked or anything is read.

    Raises: UnfinishedError, as `carry_out` would.
    """
    others = find_others(registry, decision.campaign.name, decision.campaign_id)
    unfinished = find_unfinished(others)
    if decision.begins and decision.generation == 0 and unfinished:
        raise _unfinished(decision, unfinished[0])


def _generations(
    registry: Registry, settings: Settings, name: str, digest: str, folder: Path
) -> Iterator[tuple[int, str, CampaignInfo | None]]:
    """Go through the campaigns that this name and file have been; generation 0 is missing where `--again` was first."""
    generation = 0
    while True:
        campaign_id = campaign_identity(settings.account, settings.base_url, name, digest, generation)
        info = registry.find(campaign_id)
        if info is not None or is_known_by_results(folder, campaign_id):
            yield generation, campaign_id, info
        elif generation > 0:
            return
        generation += 1


def _begin(decision: Decision, settings: Settings, *, again: bool) -> Decision:
    # A generation above 0 says that nobody is left out for having been contacted before.
    generation = decision.generation + 1 if decision.campaign_id or again else 0
    name, digest = decision.campaign.name, decision.file_sha256
    campaign_id = campaign_identity(settings.account, settings.base_url, name, digest, generation)
    return replace(decision, what="new", generation=generation, campaign_id=campaign_id, info=None)


def _what(info: CampaignInfo) -> What:
    known: dict[str, What] = {"loading": "loading", "finished": "finished", "cancelled": "cancelled"}
    return known.get(info.stands, "unfinished")


def _compare(decision: Decision, info: CampaignInfo, *, update: bool) -> Decision:
    """Look at what changed in the definition since the campaign was begun."""
    changes = tuple(difference(Campaign.from_canonical_json(info.definition), decision.campaign))
    if not changes:
        return decision
    decision = replace(decision, difference=changes)
    file, campaign_id = str(decision.definition_file), decision.campaign_id
    if decision.what in ("finished", "cancelled"):
        what = f"the campaign {campaign_id} is {decision.what}; it ran with another definition"
        advice = "`--again` begins a new campaign with this one"
        return replace(decision, warnings=(Problem(file, None, None, what, advice, "warning"),))
    if not update:
        what = f"the definition has changed since the unfinished campaign {campaign_id} was begun: "
        advice = "`--update` applies it to the rows not opened yet, or put the definition back"
        raise RefusedError([Problem(file, None, None, what + "; ".join(changes), advice)])
    if decision.what == "loading":  # nobody was contacted yet
        return decision
    fixed = [line for line in changes if line.split(":", 1)[0] in _FIXED]
    if fixed:
        what = f"this cannot change while the campaign {campaign_id} is unfinished: {'; '.join(fixed)}"
        advice = "put it back, or cancel the campaign and begin a new one under another name"
        raise RefusedError([Problem(file, None, None, what, advice)])
    return replace(decision, what="updated")


def _refuse_moved(decision: Decision, info: CampaignInfo) -> None:
    """Refuse follow-ups in another order once some have begun: which of them a row has had is known by their places."""
    olds, news = Campaign.from_canonical_json(info.definition).follow_ups, decision.campaign.follow_ups
    for follow_up in olds:
        before, now = ({at for at, one in enumerate(each, 1) if one == follow_up} for each in (olds, news))
        if before - now and now - before:
            what = (
                f"follow-up {min(before - now)} is number {min(now - before)} now, and follow-ups of {info.id} have begun: "
                "it would be sent again, or another never"
            )
            advice = "leave each where it was, and write new ones after them"
            raise RefusedError([Problem(str(decision.definition_file), None, None, what, advice)])


def _update(registry: Registry, decision: Decision, info: CampaignInfo) -> None:
    reply = registry.update_definition(info.id, decision.campaign.canonical_json(), info.version)
    if not reply.ok:
        file = str(decision.definition_file)
        what = f"another command has changed the definition of {info.id} at the same time"
        raise RefusedError([Problem(file, None, None, what, "look at it and give the command again")])


def _fields(decision: Decision, settings: Settings) -> dict[str, str]:
    return {
        "name": decision.campaign.name,
        "definition": decision.campaign.canonical_json(),
        "file": decision.customers_file.name,
        "file_sha256": decision.file_sha256,
        "generation": str(decision.generation),
        "base_url": settings.base_url,
        "account": settings.account,
    }


def _hash(customers: Path) -> str:
    with open_table(customers):  # which says in words what is wrong with the file
        return file_sha256(customers)


def _warn_of_again(decision: Decision) -> Decision:
    what = f"the campaign {decision.campaign_id} of this file is unfinished, so `--again` goes on with it"
    return _warned(decision, what, "cancel it first to begin a new one")


def _warn_of_rebuild(decision: Decision) -> Decision:
    what = f"the ledger knows the campaign {decision.campaign_id}, so nothing is rebuilt"
    return _warned(decision, what, "leave `--rebuild` out")


def _warn_of_lost_list(decision: Decision) -> Decision:
    what = "the do-not-contact list is empty; where it was lost with the ledger, those on it are contacted as everybody is"
    return _warned(decision, what, "`outreach suppress import` brings a copy of it back")


def _warned(decision: Decision, what: str, advice: str) -> Decision:
    warning = Problem(str(decision.customers_file), None, None, what, advice, "warning")
    return replace(decision, warnings=(*decision.warnings, warning))


def _unfinished(decision: Decision, other: CampaignInfo) -> UnfinishedError:
    """Two files of one name at work would contact those twice who stand in both and are in neither yet."""
    what = f"another file of the campaign {decision.campaign.name} is unfinished: {other.id} (rows left: {other.left})"
    advice = (
        f"let it finish, or end it with `outreach cancel {other.id}`; then this file contacts those whom it has not reached; "
        "`--again` contacts everybody"
    )
    return UnfinishedError([Problem(str(decision.customers_file), None, None, what, advice)])


def _lost(customers: Path, results: Path) -> RefusedError:
    what = f"{results} says that this campaign was begun, and the ledger does not know it"
    advice = (
        "check that OUTREACH_REDIS_URL and OUTREACH_HOME are those it was begun with; where that ledger is lost, `--rebuild` makes "
        "it anew from the results file, and looks each row up that has not ended there before it is sent; "
        "`--again` contacts everybody once more"
    )
    return RefusedError([Problem(str(customers), None, None, what, advice)])


__all__ = [
    "Decision",
    "Intake",
    "Progress",
    "UnfinishedError",
    "carry_out",
    "decide",
    "load_definition_of",
    "refuse_too_early",
    "stamp_of",
    "take_in",
]
