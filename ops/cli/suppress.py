"""The commands `suppress …`: who must not be contacted, by channel and address."""

import heapq
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli import failures, options, screen, words
from ops.cli.accounts import open_chosen
from ops.cli.control import agrees
from ops.cli.session import Desk
from worker.errors import RefusedHereError

if TYPE_CHECKING:
    from campaigns.problems import Problem
    from worker.ledger.suppression import Suppressed, Suppression
    from worker.pipeline.suppression_files import Entry

_PIECE = 500
_SHOWN_LINES = 20
_INTERRUPTED = "interrupted; the same command again takes the rest."

app = typer.Typer(
    help="Say who must not be contacted: looked at when a campaign is loaded, and before each message.",
    no_args_is_help=True,
)

Addresses = Annotated[
    list[str],
    typer.Argument(
        metavar="ADDRESS…", help="Phone numbers, e-mail addresses, identities.", show_default=False
    ),
]
Channel = Annotated[
    str,
    typer.Option("--channel", metavar="NAME", help="sms, whatsapp, email, chat, web, messenger, gbm or any."),
]
Region = Annotated[
    str | None,
    typer.Option(
        "--region", metavar="CC", help="The country of numbers without one, as GB.", show_default=False
    ),
]


@app.command()
def add(
    addresses: Addresses,
    channel: Channel = "any",
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever asks later.")
    ] = "",
    region: Region = None,
    account: options.Account = None,
    as_json: options.Json = False,
) -> None:
    """Put addresses on the do-not-contact list; those on it stay as they are.

    Example: outreach suppress add +447900900123 --reason "asked on the phone"
    """
    found = _read(addresses, channel, region)
    with open_chosen(account) as desk:
        new = _list(desk).add([_put(each, reason) for each in found])
    if as_json:
        screen.answer_json({"new": new, "known": len(found) - new})
    else:
        screen.answer(f"{_addresses(new)} put on the do-not-contact list{_known(len(found) - new)}.")


@app.command()
def remove(
    addresses: Addresses,
    channel: Annotated[
        str | None,
        typer.Option(
            "--channel",
            metavar="NAME",
            help="Only what is listed for this one; `any` is a line of its own. Default: every line.",
            show_default=False,
        ),
    ] = None,
    region: Region = None,
    account: options.Account = None,
    as_json: options.Json = False,
) -> None:
    """Take addresses off the do-not-contact list: off every channel, unless one is named.

    With `--channel any` only the line for any channel goes: who has opted out of one channel stays out of it.

    Example: outreach suppress remove +447900900123
    """
    found = _read(addresses, channel or "any", region)
    with open_chosen(account) as desk:
        listed = _list(desk)
        gone = sum(bool(listed.remove([each.field] if channel else each.fields())) for each in found)
        others = [each.fields() if channel == "any" else each.contact() for each in found]
        still = sum(listed.find(others))
    if as_json:
        screen.answer_json({"removed": gone, "unknown": len(found) - gone, "still_listed": still})
        return
    absent = f"; {_addresses(len(found) - gone)} not on it" if gone < len(found) else ""
    screen.answer(f"{_addresses(gone)} taken off the do-not-contact list{absent}.")
    if still:
        where = "channels of their own" if channel == "any" else "any channel"
        screen.warn(f"{_addresses(still)} still on it for {where}: leave --channel out to lift that")


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV, XLSX, or an address a line.", show_default=False)
    ],
    channel: Channel = "any",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="For lines without one.")] = "",
    region: Region = None,
    account: options.Account = None,
    as_json: options.Json = False,
) -> None:
    """Put the addresses of a file on the do-not-contact list: a column `address` or `phone`, or addresses alone.

    Columns `channel`, `reason` and `date` (2026-05-31) are taken where they are there. Lines that can't be read are named and
    left out, with exit code 1; given again, the same file changes nothing.

    Example: outreach suppress import optouts.csv --region GB
    """
    _check_channel(channel)
    _check_region(region)
    taking = _Taking(reason)
    with failures.stopped_softly(_INTERRUPTED), open_chosen(account) as desk:
        _take(file, channel, region, taking, _list(desk))
    failures.show_problems(taking.problems)
    if taking.left_out > len(taking.problems):
        screen.say(
            f"… and {words.number(taking.left_out - len(taking.problems))} more lines that can't be read"
        )
    if as_json:
        screen.answer_json(
            {"new": taking.new, "known": taking.taken - taking.new, "left_out": taking.left_out}
        )
    else:
        screen.answer(taking.sentence())
    raise typer.Exit(failures.NOT_ALL_ACCEPTED if taking.left_out else 0)


@app.command()
def export(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to; default: stdout.", show_default=False),
    ] = None,
    account: options.Account = None,
) -> None:
    """Write the do-not-contact list as CSV, which `import` takes back.

    Example: outreach suppress export -o do-not-contact.csv
    """
    from worker.pipeline.suppression_files import Entry, write_entries

    with open_chosen(account) as desk:
        listed = _list(desk)
        if listed.is_hashed:
            raise RefusedHereError(
                f"Of the do-not-contact list only hashes are kept ({_addresses(listed.count())}): there are no addresses to write.",
                "It works as ever; the way to keep a copy is that of Redis itself.",
            )
        entries = (Entry(_channel(each), each.address, each.reason, each.date) for each in listed.entries())
        if output is None or output == Path("-"):
            with open(sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False) as stream:
                write_entries(entries, stream)
            return
        try:
            count = _write_privately(entries, output)
        except OSError as error:
            raise RefusedHereError(
                f"{output} can't be written: {error.strerror}.", "Name another file."
            ) from None
    screen.answer(f"{_addresses(count)} in {output}, which only this user can read.")


@app.command("list")
def list_(
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="How many, the latest first.")
    ] = 50,
    account: options.Account = None,
    as_json: options.Json = False,
) -> None:
    """Show the do-not-contact list, the latest first.

    Example: outreach suppress list --limit 20
    """
    with open_chosen(account) as desk:
        listed = _list(desk)
        count, is_hashed = listed.count(), listed.is_hashed
        latest = heapq.nlargest(limit, listed.entries(), key=lambda each: each.date)
    if as_json:
        screen.answer_json(
            {"count": count, "hashed": is_hashed, "entries": [_as_dict(each) for each in latest]}
        )
        return
    if not count:
        screen.answer("Nobody is on the do-not-contact list.")
        return
    table = screen.new_table(["address", "channel", "since", "reason"])
    for each in latest:
        screen.add_row(
            table, each.address or "(hash)", _channel(each), f"{each.date:%Y-%m-%d %H:%M}", each.reason
        )
    screen.print_table(
        table, f"{_addresses(count)} on the do-not-contact list{', as hashes' if is_hashed else ''}"
    )
    if count > len(latest):
        screen.answer(
            f"… and {words.number(count - len(latest))} more; --limit shows them, `export` writes all."
        )


@app.command("hash")
def hash_(yes: options.Yes = False, account: options.Account = None, as_json: options.Json = False) -> None:
    """Keep salted hashes in place of addresses, of all that are listed and of what comes; it can't be undone.

    The list works as before: whoever stands on it is not contacted, and can be taken off by his address. Nobody can read or
    export it any more.

    Example: outreach suppress hash --yes
    """
    with failures.stopped_softly(_INTERRUPTED), open_chosen(account) as desk:
        listed = _list(desk)
        question = (
            f"Replace {_addresses(listed.count())} by hashes? Nobody can read them then. It can't be undone."
        )
        if not yes and not agrees(question):
            raise typer.Exit(failures.REFUSED)
        turned = listed.hash()
    if as_json:
        screen.answer_json({"hashed": turned})
    else:
        screen.answer(f"Only hashes are kept from now on; {_addresses(turned)} turned into such.")


class _Taking:
    """What an import has taken so far."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.taken = self.new = self.left_out = 0
        self.problems: list[Problem] = []

    def see(self, problem: "Problem") -> None:
        """Count a line that is left out; keep the first problems."""
        self.left_out += problem.severity == "error"
        if len(self.problems) < _SHOWN_LINES:
            self.problems.append(problem)

    def sentence(self) -> str:
        """Say what was taken."""
        left = f"; {words.number(self.left_out)} lines left out, see above" if self.left_out > 1 else ""
        left = "; 1 line left out, see above" if self.left_out == 1 else left
        known = _known(self.taken - self.new)
        return f"{_addresses(self.new)} put on the do-not-contact list{known}{left}."


def _take(file: Path, channel: str, region: str | None, taking: _Taking, listed: "Suppression") -> None:
    from campaigns.problems import Problem
    from ops.cli.interrupts import Interrupts
    from ops.cli.progress import reading
    from worker.pipeline.suppression_files import read_entries

    piece: list[tuple[str, str, datetime]] = []

    def put() -> None:
        taking.new += listed.add(piece)
        taking.taken += len(piece)
        piece.clear()

    with reading(file, "importing") as progress, Interrupts() as interrupts:
        for each in read_entries(file, channel, region, progress):
            if isinstance(each, Problem):
                taking.see(each)
            else:
                piece.append(_put(each, taking.reason))
            if len(piece) == _PIECE or interrupts.count:
                put()
            if interrupts.count:
                screen.say(taking.sentence())
                raise KeyboardInterrupt
        put()


def _list(desk: Desk) -> "Suppression":
    from worker.ledger.suppression import Suppression

    return Suppression(desk.ledger.client, desk.settings.account_tag)


def _read(addresses: Iterable[str], channel: str, region: str | None) -> list["Entry"]:
    """Read the addresses of a command line; all of them, or none where one can't be read."""
    from campaigns.problems import Problem, RefusedError
    from campaigns.row_error import RowError
    from worker.pipeline.suppression_files import Entry, read_address

    _check_channel(channel)
    _check_region(region)
    found, faults = [], []
    for text in dict.fromkeys(addresses):
        address = read_address(text, channel, region)
        if isinstance(address, RowError):
            faults.append(Problem("", None, None, address.sentence, address.advice))
        else:
            found.append(Entry(channel, address))
    if faults:
        raise RefusedError(faults)
    return found


def _check_channel(channel: str) -> None:
    from worker.pipeline.suppression_files import CHANNELS

    if channel not in CHANNELS:
        raise typer.BadParameter(f"{channel} is no channel; write one of {', '.join(CHANNELS)}")


def _check_region(region: str | None) -> None:
    from campaigns.address import find_region_fault

    if region is not None and (fault := find_region_fault(region)):
        raise typer.BadParameter(", ".join(fault).replace("default_region", "--region"))


def _write_privately(entries: Iterable["Entry"], path: Path) -> int:
    """Write the list for this user only; what was there before stays where that can't be done."""
    from worker.pipeline.suppression_files import write_entries

    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
            count = write_entries(entries, out)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return count


def _put(entry: "Entry", reason: str) -> tuple[str, str, datetime]:
    # A terminal that speaks no UTF-8 gives halves of characters, which nothing can keep.
    said = (entry.reason or reason).encode(errors="replace").decode()
    return entry.field, said, entry.date or datetime.now(UTC)


def _as_dict(entry: "Suppressed") -> dict[str, Any]:
    channel = _channel(entry)
    date = entry.date.isoformat(timespec="seconds")
    return {"address": entry.address, "channel": channel, "reason": entry.reason, "date": date}


def _channel(entry: "Suppressed") -> str:
    return "any" if entry.channel == "*" else entry.channel


def _addresses(count: int) -> str:
    return "1 address" if count == 1 else f"{words.number(count)} addresses"


def _known(count: int) -> str:
    return f", {words.number(count)} on it before" if count else ""
