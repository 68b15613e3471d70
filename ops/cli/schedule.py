"""The commands `schedule …`: campaigns that begin by themselves, with each night's new files."""

import contextlib
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from ops.cli import failures, options, screen, words
from ops.cli.session import Desk, Desks, open_desk, read_settings
from worker.errors import NotFoundError, RefusedHereError

if TYPE_CHECKING:
    from ops.cli.interrupts import Interrupts
    from worker.ledger.timetable import Night

_NAME = re.compile(r"[a-z0-9-]{1,48}")
_LOOKS = 10
_LOOK_EVERY_S = 2.0
_EXIT_CODES = {
    "done": failures.ALL_WELL,
    "nothing": failures.ALL_WELL,
    "refused": failures.REFUSED,
    "waiting": failures.INTERRUPTED,
}

app = typer.Typer(
    help="Begin campaigns by themselves: a definition with each night's new files, at a cron time in a zone.",
    no_args_is_help=True,
)

OfAccount = Annotated[
    str | None,
    typer.Option("--account", metavar="NAME", help="Only this one of OUTREACH_ACCOUNTS.", show_default=False),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.", show_default=False)]


@app.command()
def add(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A name of your own: a-z, 0-9 and -.", show_default=False),
    ],
    campaign: options.CampaignFile,
    customers: Annotated[
        str,
        typer.Argument(
            metavar="CSV_OR_GLOB",
            help="The customers' file, or a quoted glob such as 'drop/*.csv'.",
            show_default=False,
        ),
    ],
    cron: Annotated[
        str,
        typer.Option(
            "--cron",
            metavar="FIELDS",
            help="Minute, hour, day of the month, month, day of the week.",
            show_default=False,
        ),
    ],
    timezone: Annotated[
        str, typer.Option("--timezone", metavar="ZONE", help="The zone that the times are in.")
    ] = "UTC",
    misfire: Annotated[
        str,
        typer.Option(
            "--misfire", metavar="RULE", help="catch_up or skip: what becomes of a night that was missed."
        ),
    ] = "catch_up",
    as_json: options.Json = False,
) -> None:
    """Have new files sent every night, by `outreach beat` and workers, which must see the same folders.

    Example: outreach schedule add renewals campaign.toml 'drop/*.csv' --cron "0 18 * * mon-fri" --timezone Europe/Berlin
    """
    from ops.cli.accounts import of_definition
    from worker.ledger.timetable import Schedule, Timetable
    from worker.pipeline.cron import Cron
    from worker.pipeline.new_files import find_files, is_text

    if not _NAME.fullmatch(name):
        raise RefusedHereError(f'"{name}" can\'t be a name.', "Write up to 48 of a-z, 0-9 and -.")
    if misfire not in ("catch_up", "skip"):
        raise RefusedHereError(f'"{misfire}" is no rule for missed nights.', "Write catch_up or skip.")
    Cron(cron, timezone)
    main = read_settings()
    account = of_definition(main, campaign)
    pattern = str(Path(customers).absolute())
    if not is_text(pattern) or not is_text(str(campaign.absolute())):
        raise RefusedHereError("A path that is not UTF-8 can't be kept.", "Rename the file or its folder.")
    if Path(pattern).is_dir():
        raise RefusedHereError(f"{pattern} is a folder.", f"Name its files: '{Path(customers) / '*.csv'}'.")
    schedule = Schedule(name, str(campaign.absolute()), pattern, " ".join(cron.split()), timezone, misfire)  # type: ignore[arg-type]
    with open_desk(account, main) as desk:
        if not Timetable(desk.registry).put_schedule(schedule).ok:
            raise RefusedHereError(
                f"There is a schedule {name} already.", f"Remove it first: `outreach schedule remove {name}`."
            )
        if not find_files(pattern):
            screen.warn(f"nothing matches {pattern} now; it is looked at again each night")
        _show_added(desk, name, as_json=as_json)


@app.command("list")
def list_(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="Show its nights and the files it has taken.", show_default=False
        ),
    ] = None,
    account: OfAccount = None,
    as_json: options.Json = False,
) -> None:
    """List what happens by itself, nightly follow-ups too: the next time, and what came of the last.

    Example: outreach schedule list
    """
    if name is None:
        _list_all(account, as_json=as_json)
        return
    from worker.pipeline.nights import history

    with _open_having(name, account) as desk:
        entry = _of_name(_overview(desk), name)
        nights = history(desk.bench, _key(entry))
    if as_json:
        screen.answer_json({**entry, **nights})
    else:
        _print_one(entry, nights)


@app.command()
def remove(name: Name, account: OfAccount = None, as_json: options.Json = False) -> None:
    """Remove a schedule, with what is known of its nights; campaigns that it has begun go on.

    Example: outreach schedule remove renewals
    """
    from worker.ledger.timetable import Timetable

    if not _NAME.fullmatch(name):
        raise _unknown(name)
    with _open_having(name, account) as desk:
        if not Timetable(desk.registry).drop_schedule(name).ok:
            raise _unknown(name) if desk.registry.find(name) is None else _is_campaign(name, "stop")
    if as_json:
        screen.answer_json({"removed": name})
    else:
        screen.answer(f"The schedule {name} is removed.")


@app.command("run-now")
def run_now(name: Name, account: OfAccount = None, as_json: options.Json = False) -> None:
    """Look for new files now, load them and leave them to the workers; it counts as a night of its own.

    Example: outreach schedule run-now renewals
    """
    from ops.cli.interrupts import Interrupts
    from ops.cli.run import refuse_without_workers, warn_of_durability
    from worker.ledger.timetable import Timetable
    from worker.pipeline.nights import describe_night

    if not _NAME.fullmatch(name):
        raise _unknown(name)
    with _open_having(name, account) as desk, Interrupts() as interrupts:
        desk.settings.require_credentials()
        if Timetable(desk.registry).find_schedule(name) is None and desk.registry.find(name):
            raise _is_campaign(name, "run")
        refuse_without_workers(desk)
        warn_of_durability(desk)
        desk.heed_results()
        night = _run(desk, name, interrupts)
    if night is None:
        left = "interrupted" if interrupts.count else "a worker is at it just now"
        screen.say(f"{name}: {left}; `outreach schedule list {name}` shows how it stands.")
        raise typer.Exit(failures.INTERRUPTED)
    for problem in night.problems:
        screen.say(problem, "red")
    if as_json:
        screen.answer_json(describe_night(night))
    else:
        screen.answer(f"{name}: {night.outcome}")
    code = failures.UNREACHABLE if night.waits_for == "twilio" else _EXIT_CODES[night.state]
    raise typer.Exit(code)


def _run(desk: Desk, name: str, interrupts: "Interrupts") -> "Night | None":
    """Carry the schedule out; a file that may still be written is looked at again for some seconds."""
    from worker.pipeline.timetable import run_now as carry_out
    from worker.wiring import is_gone

    night = None
    for look in range(_LOOKS):
        night = carry_out(desk.bench, name, is_gone, lambda: not interrupts.count)
        if night is None or night.waits_for != "file" or interrupts.count:
            break
        if look == 0:
            screen.say(night.outcome)
        interrupts.wait(_LOOK_EVERY_S)
    return night


@contextlib.contextmanager
def _open_having(name: str, profile: str | None) -> Iterator[Desk]:
    """Open the ledger of the account that has a schedule of this name, or a campaign of this id; any where none has.

    Raises: RefusedHereError where several accounts have one; RedisUnavailableError where one that can't be asked may have it.
    """
    from worker.pipeline.new_files import is_text

    main = read_settings()
    if not is_text(name):  # Redis can't be asked for it
        raise _unknown(name)
    with Desks(main) as desks:
        if profile is not None:
            yield desks.of(main.of(profile))
            return
        asked = desks.ask_all(lambda desk: _has(desk, name))
        having = [desk for desk, has in asked if has]
        if len(having) > 1:
            names = ", ".join(words.account(desk.settings.profile) for desk in having)
            raise RefusedHereError(
                f"There is a schedule {name} in several accounts: {names}.", "Give --account NAME."
            )
        if desks.away and not having:
            raise desks.away_error(f"no other account has a schedule {name}")
        yield having[0] if having else asked[0][0]


def _has(desk: Desk, name: str) -> bool:
    from worker.ledger.timetable import Timetable

    return Timetable(desk.registry).find_schedule(name) is not None or desk.registry.find(name) is not None


def _overview(desk: Desk) -> dict[str, Any]:
    from worker.pipeline.nights import overview

    found = overview(desk.bench, has_beat=desk.desks.has_beat())
    account = desk.settings.profile or None
    return {**found, "entries": [{"account": account, **entry} for entry in found["entries"]]}


def _show_added(desk: Desk, name: str, *, as_json: bool) -> None:
    found = _overview(desk)
    entry = _of_name(found, name)
    for sentence in found["missing"]:
        screen.warn(sentence)
    if as_json:
        screen.answer_json(entry)
    else:
        screen.answer(f"{name}: next on {_when(entry)}. Workers must see {entry['customers']}.")


def _list_all(profile: str | None, *, as_json: bool) -> None:
    main = read_settings()
    with Desks(main) as desks:
        if profile is None:
            parts = desks.ask_all(_overview)
        else:
            desk = desks.of(main.of(profile))
            parts = [(desk, _overview(desk))]
    found = _join(parts) if len(parts) > 1 else parts[0][1]
    if as_json:
        screen.answer_json(found)
    else:
        _print_all(found, name_accounts=len(main.everyone()) > 1)
    if desks.away:
        raise desks.away_error("what happens by itself there is not listed")


def _join(parts: list[tuple[Desk, dict[str, Any]]]) -> dict[str, Any]:
    """Put the timetables of several accounts together; a worker serves all of them, or those that its settings name."""
    missing = [
        sentence if "beat" in sentence else f"For {words.account(desk.settings.profile)}: {sentence}"
        for desk, found in parts
        for sentence in found["missing"]
    ]
    return {
        "entries": [entry for _, found in parts for entry in found["entries"]],
        "beat": any(found["beat"] for _, found in parts),
        "workers": max(found["workers"] for _, found in parts),
        "missing": list(dict.fromkeys(missing)),
    }


def _of_name(found: dict[str, Any], name: str) -> dict[str, Any]:
    # A campaign's id names its nightly follow-ups; a schedule comes first.
    for entry in found["entries"]:
        if entry["name"] == name:
            return dict(entry)
    raise _unknown(name)


def _key(entry: dict[str, Any]) -> str:
    return f"{entry['kind']}:{entry['name']}"


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"There is no schedule {name}.", "`outreach schedule list` lists those there are.")


def _is_campaign(name: str, command: str) -> NotFoundError:
    advice = f"Its follow-ups are in the timetable by its definition: `outreach follow-up {command} {name}`."
    return NotFoundError(f"{name} is a campaign, not a schedule.", advice)


# Words ------------------------------------------------------------------------------------------------------


def _print_all(found: dict[str, Any], *, name_accounts: bool) -> None:
    if not found["entries"]:
        screen.answer(
            "Nothing happens by itself yet; `outreach schedule add` has new files sent every night."
        )
        return
    account = ("account",) if name_accounts else ()
    table = screen.new_table(("name", *account, "next", "last night", "what came of it"))
    for entry in found["entries"]:
        last = entry["last"]
        planned = _at(last["planned_at"], entry["timezone"]) if last else ""
        whose = (words.account_name(entry),) if account else ()
        outcome = last["outcome"] if last else "none yet"
        screen.add_row(table, entry["name"], *whose, _when(entry), planned, outcome)
    screen.print_table(table)
    _print_attendance(found)


def _print_attendance(found: dict[str, Any]) -> None:
    for sentence in found["missing"]:
        screen.warn(sentence)
    if not found["missing"]:
        workers = "1 worker" if found["workers"] == 1 else f"{found['workers']} workers"
        screen.answer(f"A beat and {workers} are running.")


def _print_one(entry: dict[str, Any], nights: dict[str, Any]) -> None:
    source = f"{entry['campaign']} with {entry['customers']}" if entry["campaign"] else "nightly follow-ups"
    screen.answer(f"{entry['name']}: {source}")
    screen.answer(
        f'"{entry["cron"]}" in {entry["timezone"]}, misfire {entry["misfire"]}; next on {_when(entry)}'
    )
    table = screen.new_table(("night", "state", "what came of it", "campaigns"))
    for night in nights["nights"]:
        outcome = " ".join([night["outcome"], *night["problems"]])
        planned = _at(night["planned_at"], entry["timezone"]) + (" by hand" if night["by_hand"] else "")
        screen.add_row(
            table, planned, night["state"].replace("_", " "), outcome, ", ".join(night["campaigns"])
        )
    screen.print_table(table)
    if nights["taken"]:
        table = screen.new_table(("file taken", "night", "SHA-256", "campaign"))
        for file in nights["taken"]:
            night_at = _at(file["night"], entry["timezone"])
            screen.add_row(table, file["file"], night_at, file["sha256"], file["campaign"])
        screen.print_table(table)


def _when(entry: dict[str, Any]) -> str:
    if entry["is_due"]:
        return f"now (planned for {_at(entry['next_at'], entry['timezone'])})"
    in_utc = datetime.fromisoformat(entry["next_at_utc"])
    local = _at(entry["next_at"], entry["timezone"])
    utc = "" if entry["timezone"] == "UTC" else f" ({in_utc:%d %b %H:%M} UTC)"
    return f"{local} {entry['timezone']}{utc}"


def _at(iso: str, timezone: str) -> str:
    return f"{datetime.fromisoformat(iso).astimezone(ZoneInfo(timezone)):%a %d %b %Y %H:%M}"
