"""The commands `pause`, `resume` and `cancel`: they take effect on every worker within two seconds."""

import contextlib
import time
from typing import TYPE_CHECKING

import typer

from ops.cli import options, screen, words
from ops.cli.session import Desk, open_desk_of
from worker.errors import RefusedHereError

if TYPE_CHECKING:
    from worker.ledger.registry import CampaignInfo

_CANCEL_WITHIN_S = 60.0


def pause(campaign_id: options.CampaignId, as_json: options.Json = False) -> None:
    """Stop opening rows, of follow-ups too; those in hand are finished, never cut.

    Example: outreach pause renewal-reminder-1a2b3c4d5e
    """
    with open_desk_of(campaign_id) as desk:
        info = desk.registry.get(campaign_id)
        if info.state != "paused":
            _refuse_ended(desk, info, "paused")
            reply = desk.registry.pause(campaign_id, by="operator")
            _refuse_unless(reply.ok, desk, campaign_id, "paused")
        _tell(desk, campaign_id, "is paused", as_json=as_json)


def resume(
    campaign_id: options.CampaignId, as_json: options.Json = False, verbose: options.Verbose = False
) -> None:
    """Let a paused campaign go on: by workers elsewhere, or else here in the foreground.

    Example: outreach resume renewal-reminder-1a2b3c4d5e
    """
    with open_desk_of(campaign_id) as desk:
        from worker.pipeline.waves import find_waves

        info = desk.registry.get(campaign_id)
        _refuse_ended(desk, info, "resumed")
        desk.settings.require_credentials()
        desk.heed_results()
        if info.state == "paused":
            _refuse_unless(desk.registry.resume(campaign_id).ok, desk, campaign_id, "resumed")
        for wave in find_waves(desk.ledger, desk.registry, campaign_id):
            if wave.state == "paused":  # by the breaker: each wave has its own
                desk.registry.resume(wave.id)
        go_on(desk, campaign_id, "goes on", as_json=as_json, verbose=verbose)


def cancel(
    campaign_id: options.CampaignId,
    yes: options.Yes = False,
    as_json: options.Json = False,
    verbose: options.Verbose = False,
) -> None:
    """End a campaign and its follow-ups: rows not opened yet become cancelled, those in hand are finished. It can't be undone.

    A campaign whose loading was interrupted is removed.

    Example: outreach cancel renewal-reminder-1a2b3c4d5e --yes
    """
    with open_desk_of(campaign_id) as desk:
        desk.heed_results()
        info = desk.registry.get(campaign_id)
        if info.cautious:
            screen.warn(
                "the ledger may be older than what was sent; rows that are cancelled now are not looked up any more, "
                "so some of them may have been sent"
            )
        if info.state == "loading" and _discard(desk, info, yes=yes, as_json=as_json):
            return
        if info.state != "cancelled":
            _refuse_ended(desk, info, "cancelled")
            if not yes and not agrees(_question(desk, info)):
                raise typer.Exit(2)
            # First: a campaign that has nothing left but its follow-ups stays finished.
            desk.ledger.stop_follow_ups(campaign_id)
            if info.left:
                _refuse_unless(desk.registry.cancel(campaign_id).ok, desk, campaign_id, "cancelled")
        _cancel_rows(desk, campaign_id)
        if has_rows_left(desk, campaign_id):
            go_on(
                desk, campaign_id, "is cancelled; rows in hand are finished", as_json=as_json, verbose=verbose
            )
        _tell(desk, campaign_id, "is cancelled", as_json=as_json)


def go_on(desk: Desk, campaign_id: str, what: str, *, as_json: bool, verbose: bool) -> None:
    """Leave a campaign to workers elsewhere, or work on it here; ends the command either way."""
    from ops.cli.crew import Crew, find_active, has_live_workers, warn_of_other_campaigns

    if has_live_workers(desk.registry):
        _tell(desk, campaign_id, what, as_json=as_json)
        raise typer.Exit(0)
    from ops.cli.working import work

    warn_of_other_campaigns(find_active(desk), desk, campaign_id)
    desk.desks.hold_broker()
    with contextlib.closing(Crew(desk.desks.main, verbose=verbose)) as crew:
        raise typer.Exit(work(desk, campaign_id, crew, as_json=as_json, follow_ups=True))


def _discard(desk: Desk, info: "CampaignInfo", *, yes: bool, as_json: bool) -> bool:
    """Remove a campaign that never started; False where its load has come to its end meanwhile."""
    loaded = words.rows(info.loaded)
    if not yes and not agrees(f"Cancel {info.id}, with {loaded} loaded so far? Nobody has been contacted."):
        raise typer.Exit(2)
    seen = desk.snapshot(info.id)
    if not desk.registry.discard(info.id).ok:
        return False
    if as_json:
        nothing = {"rows": 0, "left": 0, "counts": dict.fromkeys(seen["counts"], 0)}
        screen.answer_json({**seen, **nothing, "state": "cancelled", "waiting_for": None, "eta_s": 0})
    else:
        screen.answer(
            f"{info.id} was never loaded to its end: it is gone, with the {loaded} loaded so far. Nobody was contacted."
        )
    return True


def _cancel_rows(desk: Desk, campaign_id: str) -> None:
    """End the waiting rows from here, so that nobody has to wait for a worker's tick."""
    deadline = time.monotonic() + _CANCEL_WITHIN_S
    ids = [campaign_id, *desk.ledger.waves(campaign_id)]
    while ids and time.monotonic() < deadline:
        reply = desk.ledger.cancel_rows(ids[0])
        if not reply.ok or not reply.values or not int(reply.values[0]):
            ids.pop(0)


def agrees(question: str) -> bool:
    """Ask whether to do what can't be undone.

    Raises: RefusedHereError where nobody can be asked.
    """
    if not screen.can_ask():
        raise RefusedHereError("This needs a yes.", "Give it with --yes where nobody can be asked.")
    return screen.ask(question)


def has_rows_left(desk: Desk, campaign_id: str) -> bool:
    """Tell whether rows of a campaign, or of its waves, have not ended."""
    from worker.pipeline.waves import find_waves

    waves = find_waves(desk.ledger, desk.registry, campaign_id)
    return any(info.left for info in (desk.registry.get(campaign_id), *waves))


def _question(desk: Desk, info: "CampaignInfo") -> str:
    from worker.pipeline.waves import find_waves

    followed = sum(wave.left for wave in find_waves(desk.ledger, desk.registry, info.id))
    if info.left:
        return f"Cancel {info.id} with {words.number(info.left + followed)} rows left? It can't be undone."
    return f"Stop the follow-ups of {info.id}, with {words.rows(followed)} under way?"


def _refuse_ended(desk: Desk, info: "CampaignInfo", done: str) -> None:
    from worker.pipeline.waves import has_more

    if info.stands == "finished" and has_more(desk.ledger, desk.registry, info):
        return
    if info.stands in ("finished", "cancelled", "loading"):
        advice = (
            f"Give the `run` or `load` command again to load the rest, or end it with `outreach cancel {info.id}`."
            if info.stands == "loading"
            else ""
        )
        raise RefusedHereError(f"{info.id} is {info.stands}, so it can't be {done}.", advice)


def _refuse_unless(ok: bool, desk: Desk, campaign_id: str, done: str) -> None:
    if not ok:
        state = desk.registry.get(campaign_id).stands
        raise RefusedHereError(f"{campaign_id} is {state}, so it can't be {done}.")


def _tell(desk: Desk, campaign_id: str, what: str, *, as_json: bool) -> None:
    seen = desk.snapshot(campaign_id)
    if as_json:
        screen.answer_json(seen)
    else:
        screen.answer(f"{campaign_id} {what}: {words.counts(seen['counts'])}.")
