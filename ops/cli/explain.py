"""The command `explain`: one row's whole story."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ops.cli import options, screen
from ops.cli.session import open_desk_of

if TYPE_CHECKING:
    from worker.pipeline.story import RowStory


def explain(campaign_id: options.CampaignId, row: options.RowNumber, as_json: options.Json = False) -> None:
    """Show one row's whole story: where it stands, why, and how it came there.

    Example: outreach explain renewal-reminder-1a2b3c4d5e 17
    """
    with open_desk_of(campaign_id) as desk:
        from worker.pipeline.story import explain as find_story

        story = find_story(desk.ledger, desk.registry, campaign_id, row)
    if as_json:
        screen.answer_json(_as_dict(story))
    else:
        _print(story)


def _as_dict(story: "RowStory") -> dict[str, Any]:
    record = story.record
    return {
        "campaign": story.campaign_id,
        "row": story.row,
        "status": story.status,
        **asdict(story.words),
        "outreach_key": story.key,
        "attempts": record.attempts,
        **_sids(story),
        "delivery_status": story.delivery.word,
        "delivery": {**asdict(story.delivery.words), "page": story.delivery.page},
        "answered_at": story.answered_at,
        "cells": dict(zip(story.columns, story.cells, strict=True)),
        "story": [
            {"at": line.at.isoformat(), "send": line.send, "follow_up": line.follow_up, "text": line.text}
            for line in story.lines
        ],
    }


def _print(story: "RowStory") -> None:
    facts = {
        "status": story.status.replace("_", " "),
        "code": story.words.code,
        "reason": story.words.sentence,
        "advice": story.words.advice,
        **{name.replace("_", " "): sid for name, sid in _sids(story).items()},
        "outreach key": story.key,
        "attempts": story.record.attempts,
        "delivery": " ".join(filter(None, (story.delivery.word, story.delivery.words.code))),
        "why not": story.delivery.words.sentence,
        "then": story.delivery.words.advice,
        "page": story.delivery.page,
        "answered at": story.answered_at,
    }
    screen.answer(f"Row {story.row} of {story.campaign_id}")
    for name, value in facts.items():
        if value != "":
            screen.answer(f"  {name + ':':18}{value}")
    screen.answer("\nThe customer's columns")
    for column, cell in zip(story.columns, story.cells, strict=True):
        screen.answer(f"  {column + ':':18}{cell}")
    screen.answer("\nWhat happened")
    for line in story.lines:
        which = f"send {line.send}: " if line.send > 1 else ""
        whose = f"follow-up {line.follow_up}, " if line.follow_up else ""
        screen.answer(f"  {line.at:%Y-%m-%d %H:%M:%S} UTC  {whose}{which}{line.text}")
    if not story.lines:
        screen.answer("  Nothing yet.")


def _sids(story: "RowStory") -> dict[str, str]:
    record = story.record
    return {
        "interaction_sid": record.interaction_sid,
        "conversation_sid": record.conversation_sid,
        "message_sid": record.message_sid,
    }
