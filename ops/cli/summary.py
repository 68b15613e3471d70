"""Say at the end what became of a campaign: by status, by reason, and where the results file is."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ops.cli import screen, words
from ops.cli.tally import ReasonCount, tally

_MOST_REASONS = 10


def report(
    seen: Mapping[str, Any],
    results: Path,
    *,
    complaint: str = "",
    as_json: bool = False,
    code: int | None = None,
) -> int:
    """Print the summary on stdout; return the exit code that goes with it: `code`, or that of the campaign's own rows.

    `complaint`: of the results file.
    """
    code = words.exit_code(seen) if code is None else code
    reasons = tally(results) if not complaint and results.exists() else []
    if as_json:
        rows = [asdict(one) for one in reasons]
        screen.answer_json({**seen, "reasons": rows, "results_file": str(results), "exit_code": code})
    else:
        _print(seen, reasons)
        if not complaint:
            screen.answer(f"results file: {words.path(results)}")
    if complaint:
        screen.say(f"error: {complaint}", "red")
        screen.say(f"`outreach results {seen['id']} -o FILE` writes it elsewhere.")
    return max(code, 1) if complaint else code


def _print(seen: Mapping[str, Any], reasons: Sequence[ReasonCount]) -> None:
    # Nobody works on it any more, whatever its state in the ledger is called.
    state = "unfinished" if seen["state"] in ("running", "waiting") else seen["state"]
    title = f"{seen['id']}: {state}, {words.rows(seen['rows'])}"
    table = screen.new_table(["status", "rows"], right=["rows"])
    for name, n in seen["counts"].items():
        if n:
            screen.add_row(table, words.status_name(name), words.number(n), style=words.status_style(name))
    screen.print_table(table, title)
    if reasons:
        _print_reasons(reasons)
    _print_deliveries(seen)
    _print_follow_ups(seen["follow_ups"])


def _print_follow_ups(waves: Sequence[Mapping[str, Any]]) -> None:
    if not waves:
        return
    table = screen.new_table(["follow-up", "state", "rows", "status"], right=["rows"])
    for wave in waves:
        again = f" ({wave['time']})" if wave["time"] > 1 else ""
        counts = words.counts(wave["counts"])
        screen.add_row(
            table, f"{wave['follow_up']}{again}", wave["state"], words.number(wave["rows"]), counts
        )
    screen.print_table(table, "Follow-ups")


def _print_reasons(reasons: Sequence[ReasonCount]) -> None:
    table = screen.new_table(["rows", "status", "code", "reason"], right=["rows"])
    for one in reasons[:_MOST_REASONS]:
        sentence = one.sentence if one.alike else f"For example: {one.sentence}"
        screen.add_row(table, words.number(one.rows), words.status_name(one.status), one.code, sentence)
    screen.print_table(table, "Why, where not accepted")
    if len(reasons) > _MOST_REASONS:
        more = len(reasons) - _MOST_REASONS
        screen.answer(f"… and {more} more reason{'s' if more > 1 else ''}; the results file has them all.")


def _print_deliveries(seen: Mapping[str, Any]) -> None:
    told = {word: n for word, n in seen["deliveries"].items() if n}
    if not told.keys() - {"unknown"} and not seen["answered"]:
        return
    table = screen.new_table(["delivery", "messages"], right=["messages"])
    for word, n in told.items():
        name = "not known yet" if word == "unknown" else word
        screen.add_row(table, name, words.number(n), style=words.status_style(word))
    if seen["answered"]:
        screen.add_row(table, "answered", words.number(seen["answered"]), style="green")
    screen.print_table(table, "What became of the accepted messages")
    if seen["undelivered"]:
        table = screen.new_table(["messages", "code", "reason"], right=["messages"])
        for one in seen["undelivered"][:_MOST_REASONS]:
            screen.add_row(table, words.number(one["rows"]), one["code"], one["sentence"])
        screen.print_table(table, "Why, where not delivered")


def say_how_to_go_on(seen: Mapping[str, Any], *, interrupted: bool) -> None:
    """Say which command comes next."""
    counts, campaign_id = seen["counts"], seen["id"]
    if seen["state"] == "paused":
        screen.say(words.paused(seen))
        screen.say(f"`outreach resume {campaign_id}` goes on with it.")
    elif interrupted and counts["pending"]:
        screen.say("interrupted; the same command again goes on where it was.")
    if (counts["failed"] or seen["undelivered"]) and seen["state"] == "finished":
        screen.say(f"`outreach retry {campaign_id}` sends those again that are worth it.")
    if seen["state"] == "finished" and seen["is_polled"]:
        awaited = seen["deliveries_awaited"]
        deliveries = "1 delivery" if awaited == 1 else f"{words.number(awaited)} deliveries"
        whose = f"{deliveries} and the" if awaited else "The"
        screen.say(
            f"{whose} answers are still to come: a worker (`outreach worker`) asks Twilio for them, up to 72 h, or "
            f"Twilio tells them (`outreach webhooks`); `outreach watch {campaign_id}` and `status` show them."
        )
    if counts["needs_review"]:
        screen.say(f"`outreach review {campaign_id}` lists the rows that need a person's look.")


def say_next_night(entries: Sequence[Mapping[str, Any]], campaign_id: str) -> None:
    """Say when the campaign's follow-ups are next looked for, and what it takes: nothing of it runs by itself here."""
    for entry in entries:
        if (entry["kind"], entry["name"]) == ("follow-ups", campaign_id):
            at = "now" if entry["is_due"] else f"on {entry['next_at_utc'][:16].replace('T', ' ')} UTC"
            screen.say(
                f"Follow-ups are looked for {at}, where `outreach beat` and `outreach worker` run then; "
                f"`outreach follow-up preview {campaign_id}` shows who is due."
            )
