"""The commands `status` and `watch`: how campaigns stand, once or live."""

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from ops.cli import options, screen, words
from ops.cli.session import Desk, Desks, open_desk_of, read_settings
from worker.errors import RedisUnavailableError

if TYPE_CHECKING:
    from ops.cli.interrupts import Interrupts

_LOOK_EVERY_S = 0.5
_JSON_EVERY_S = 1.0
_WIDTH_BESIDE_IDS = 62
_LEFT_OPEN = 10
_UNDELIVERED = 10
NOT_POLLED = (
    "no worker runs, so Twilio is not asked for the deliveries that are still to come; `outreach worker` asks"
)


def status(campaign_id: options.MaybeCampaignId = None, as_json: options.Json = False) -> None:
    """Say how a campaign stands, or list all campaigns, those of all accounts.

    Example: outreach status renewal-reminder-1a2b3c4d5e
    """
    if campaign_id is None:
        _list(as_json=as_json)
        return
    with open_desk_of(campaign_id) as desk:
        found = desk.snapshot(campaign_id)
    if as_json:
        screen.answer_json(found)
    else:
        _print(found)


def _list(*, as_json: bool) -> None:
    main = read_settings()
    with Desks(main) as desks:
        found = [one for _, campaigns in desks.ask_all(Desk.overview) for one in campaigns]
    found.sort(key=lambda one: one["created_at"] or "", reverse=True)
    if as_json:
        screen.answer_json(found)
    else:
        _print_all(found, name_accounts=len(main.everyone()) > 1)
    if desks.away:
        raise desks.away_error("what there is of it is not listed")


def watch(campaign_id: options.MaybeCampaignId = None, as_json: options.Json = False) -> None:
    """Show live how a campaign stands, by default the latest one, until it ends, is paused, or Ctrl-C.

    While workers run it goes on after the last row, until every message is known to be delivered, or not to be. With --json: one object a line, every second. Exits with the campaign's exit code.

    Example: outreach watch
    """
    from ops.cli.interrupts import Interrupts

    with open_desk_of(campaign_id) as desk, Interrupts() as interrupts:
        chosen = desk.choose(campaign_id).id
        seen = _watch_json(desk, chosen, interrupts) if as_json else _watch(desk, chosen, interrupts)
        if not as_json:
            screen.answer(
                f"{chosen}: {seen['state']}, {words.counts(seen['counts'])}{words.in_brackets(seen)}"
            )
            if seen["deliveries_awaited"] and not seen["workers"]:
                screen.say(NOT_POLLED)
    raise typer.Exit(words.exit_code(seen))


def _watch(desk: Desk, campaign_id: str, interrupts: "Interrupts") -> Mapping[str, Any]:
    from ops.cli.display import open_display

    seen = desk.snapshot(campaign_id)
    with open_display() as display:
        while not interrupts.count and not _is_still(seen):
            display.show(seen, [])
            interrupts.wait(_LOOK_EVERY_S)
            try:
                seen = desk.snapshot(campaign_id)
            except RedisUnavailableError as error:
                display.show(None, [desk.wait_for_redis(error)])
    return seen


def _watch_json(desk: Desk, campaign_id: str, interrupts: "Interrupts") -> Mapping[str, Any]:
    seen, lost = desk.snapshot(campaign_id), ""
    while True:
        if not lost:
            sys.stdout.write(json.dumps(seen, ensure_ascii=False, default=str) + "\n")
            sys.stdout.flush()
        if interrupts.count or _is_still(seen):
            return seen
        interrupts.wait(_JSON_EVERY_S)
        try:
            seen, lost = desk.snapshot(campaign_id), ""
        except RedisUnavailableError as error:
            note = desk.wait_for_redis(error)
            if note != lost:
                screen.say(note)
            lost = note


def _is_still(seen: Mapping[str, Any]) -> bool:
    """Tell whether nothing more happens by itself."""
    if seen["state"] == "paused":
        return not seen["in_flight"] + seen["in_doubt"]
    if seen["state"] == "cancelled":
        return not seen["counts"]["pending"]
    return seen["state"] == "finished" and not is_heard_of(seen)


def is_heard_of(seen: Mapping[str, Any]) -> bool:
    """Tell whether deliveries are still to come, and somebody asks for them."""
    return bool(seen["deliveries_awaited"] and seen["is_polled"] and seen["workers"])


def _print_all(campaigns: list[dict[str, Any]], *, name_accounts: bool) -> None:
    if not campaigns:
        screen.say("There is no campaign yet; `outreach run CAMPAIGN CSV` begins one.")
        return
    numbers = ["rows", "accepted", "not", "left"]
    account = ["account"] if name_accounts else []
    # An id is there to be copied: rather than break it, a narrow terminal goes without the date.
    beside = _WIDTH_BESIDE_IDS + (max(len(words.account_name(one)) for one in campaigns) + 3) * name_accounts
    has_room = screen.out().width >= beside + max(len(one["id"]) for one in campaigns)
    dates = ["begun (UTC)"] if has_room else []
    table = screen.new_table(["campaign", *account, "state", *numbers, *dates], right=numbers)
    table.columns[0].overflow = "fold"
    for one in campaigns:
        counts = one["counts"]
        not_accepted = one["rows"] - counts["accepted"] - counts["pending"]
        cells = (one["rows"], counts["accepted"], not_accepted, counts["pending"])
        begun = [(one["created_at"] or "")[5:16].replace("T", " ")] if dates else []
        whose = [words.account_name(one)] if account else []
        screen.add_row(table, one["id"], *whose, one["state"], *map(words.number, cells), *begun)
    screen.print_table(table)


def _say_wave(wave: Mapping[str, Any]) -> str:
    state = words.paused(wave) if wave["state"] == "paused" else wave["state"]
    waits = (
        f"; waiting for: {wave['waiting_for']}" if wave["waiting_for"] and wave["state"] != "paused" else ""
    )
    again = f" for time {wave['time']}" if wave["time"] > 1 else ""
    return f"number {wave['follow_up']}{again}: {state}, {words.counts(wave['counts'])}{waits}"


def _print(seen: Mapping[str, Any]) -> None:
    done = f"{words.number(words.ended(seen))} of {words.number(seen['rows'])}"
    left = words.duration(seen["eta_s"]) if seen["eta_s"] is not None else "unknown"
    facts = {
        "account": seen["account"] or "",
        "state": words.paused(seen) if seen["state"] == "paused" else seen["state"],
        "rows done": f"{done}: {words.counts(seen['counts'])}",
        "under way": f"{seen['in_flight']}, and {seen['in_doubt']} in doubt",
        "deliveries": words.deliveries(seen),
        "rate": words.pace(seen["rate_per_s"]),
        "left": "" if seen["state"] in ("finished", "cancelled") else left,
        "priority": seen["priority"] or "",
        "waiting for": seen["waiting_for"] or "",
        "cautious": seen["cautious"] or "",
        "to close": f"{seen['to_close']} Interactions without a message" if seen["to_close"] else "",
        "workers": len(seen["workers"]),
    }
    screen.answer(f"{seen['id']}")
    for name, value in facts.items():
        if value != "":
            screen.answer(f"  {name + ':':13}{value}")
    for wave in seen["follow_ups"]:
        screen.answer(f"  {'follow-up:':13}{_say_wave(wave)}")
    for one in seen["undelivered"][:_UNDELIVERED]:
        code = f" ({one['code']})" if one["code"] else ""
        screen.answer(f"  {'undelivered:':13}{words.number(one['rows'])}{code} {one['sentence']}")
    if len(seen["undelivered"]) > _UNDELIVERED:
        screen.answer(
            f"  {'':13}… and {len(seen['undelivered']) - _UNDELIVERED} more reasons; --json lists all of them"
        )
    if seen["deliveries_blocked_s"]:
        wait = words.duration(seen["deliveries_blocked_s"])
        screen.answer(
            f"  {'':13}Twilio does not let deliveries be asked for now; they are asked for again in {wait}"
        )
    for one in seen["left_open"][:_LEFT_OPEN]:
        refused = f"Twilio refuses to close it ({one['code']}); end its task in Flex by hand"
        screen.answer(f"  {'left open:':13}row {one['row']}, Interaction {one['interaction_sid']}: {refused}")
    if len(seen["left_open"]) > _LEFT_OPEN:
        screen.answer(f"  {'':13}… and {len(seen['left_open']) - _LEFT_OPEN} more; --json lists all of them")
    for pace in seen["pace"]:
        slowed = f", now {words.pace(pace['per_s'])}: {pace['why']}" if pace["why"] else ""
        screen.answer(f"  {'pace:':13}{pace['label']}{slowed}")
