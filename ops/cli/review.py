"""The command `review`: rows that only a person can settle, and what that person found."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli import options, screen, words
from ops.cli.session import Desk, open_desk_of

if TYPE_CHECKING:
    from worker.pipeline.review import ReviewRow

_SHOWN = 50


def review(
    campaign_id: options.CampaignId,
    row: Annotated[
        int | None, typer.Option("--row", metavar="N", min=1, help="The row the verdict is on.")
    ] = None,
    sent: Annotated[
        bool | None,
        typer.Option("--sent/--not-sent", help="It was sent, or not (and is sent now).", show_default=False),
    ] = None,
    message_sid: Annotated[
        str,
        typer.Option("--message-sid", metavar="IM…", help="The message that proves it.", show_default=False),
    ] = "",
    as_json: options.Json = False,
) -> None:
    """List the rows in need of review and where to look, or record what you found about one of them.

    Example: outreach review renewal-reminder-1a2b3c4d5e --row 17 --not-sent
    """
    _check_usage(row, sent, message_sid)
    with open_desk_of(campaign_id) as desk:
        if row is None or sent is None:
            _list(desk, campaign_id, as_json=as_json)
        else:
            _judge(desk, campaign_id, row, message_sid, sent=sent, as_json=as_json)


def _check_usage(row: int | None, sent: bool | None, message_sid: str) -> None:
    if (row is None) != (sent is None):
        raise typer.BadParameter("a verdict is --row N together with --sent or --not-sent")
    if message_sid and not sent:
        raise typer.BadParameter("--message-sid goes with --sent")


def _judge(desk: Desk, campaign_id: str, row: int, message_sid: str, *, sent: bool, as_json: bool) -> None:
    from worker.pipeline.review import judge_not_sent, judge_sent

    desk.settings.require_credentials()
    bench = desk.bench
    verdict = (
        judge_sent(bench, campaign_id, row, message_sid) if sent else judge_not_sent(bench, campaign_id, row)
    )
    if as_json:
        screen.answer_json(
            {
                "row": row,
                "status": verdict.status,
                "message_sid": verdict.message_sid,
                "sentence": verdict.sentence,
            }
        )
    else:
        screen.paragraph(verdict.sentence)
    if verdict.status == "pending":
        _say_who_sends(desk, campaign_id)


def _say_who_sends(desk: Desk, campaign_id: str) -> None:
    from ops.cli.crew import has_live_workers

    if not has_live_workers(desk.registry):
        screen.say(f"No worker is running: `outreach resume {campaign_id}` sends it.")


def _list(desk: Desk, campaign_id: str, *, as_json: bool) -> None:
    from worker.pipeline.review import find_rows

    found = find_rows(desk.bench, campaign_id)
    if as_json:
        screen.answer_json([_as_dict(one) for one in found])
        return
    shown = list(islice(found, _SHOWN))
    if not shown:
        screen.answer(f"No row of {campaign_id} needs a review.")
        return
    for one in shown:
        screen.paragraph(f"row {one.row}, {one.address}: {one.words.sentence}")
        screen.paragraph(one.words.advice, indent=4)
    more = sum(1 for _ in found)
    if more:
        screen.answer(f"… and {words.number(more)} more; --json lists all of them.")


def _as_dict(one: "ReviewRow") -> dict[str, Any]:
    return {
        "row": one.row,
        "send": one.send,
        "outreach_key": one.key,
        "address": one.address,
        "code": one.words.code,
        "sentence": one.words.sentence,
        "advice": one.words.advice,
        "interaction_sid": one.record.interaction_sid,
        "conversation_sid": one.record.conversation_sid,
    }
