"""Campaigns with follow-ups on a test's workbench, and days that pass on all clocks at once."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pipeline_bench import ROUTING, SENDER, Rig, phone

from worker.ledger.states import Delivery

DAY = timedelta(days=1)


def definition(*entries: str, rest: str = "") -> str:
    """Write the definition of an SMS campaign with follow-ups, each given by its keys."""
    head = f'name = "spring"\nchannel = "sms"\nfrom = "{SENDER}"\nto = "{{{{ phone }}}}"\n'
    message = '[message]\nauthor = "Team"\nbody = "Hello {{ name }}"\n'
    return head + ROUTING + message + "".join(f"[[follow_up]]\n{entry}\n" for entry in entries) + rest


def entry(
    after: str = "3d", if_: str = "no_reply", text: str = "Still there, {{ name }}?", rest: str = ""
) -> str:
    """Write the keys of a follow-up."""
    return f'after = "{after}"\nif = "{if_}"\nbody = "{text}"\n{rest}'


ONE = definition(entry())


def now(rig: Rig) -> datetime:
    """Tell the time of the ledger."""
    return datetime.fromtimestamp(rig.ledger.now_ms() / 1000, tz=UTC)


def pass_time(rig: Rig, time: timedelta) -> datetime:
    """Let time pass, for the ledger and for Twilio; the time it is then."""
    rig.clock.shift_ms += int(time.total_seconds() * 1000)
    rig.simulator.settings(clock_skew_s=rig.clock.shift_ms / 1000)
    return now(rig)


def send_first(
    rig: Rig, text: str = ONE, people: Sequence[str] = (phone(1),), campaign_id: str = "spring-1"
) -> str:
    """Have the first messages of a campaign accepted; its id."""
    rig.campaign(people, campaign_id, definition=text)
    rig.drive(campaign_id)
    return campaign_id


def answer(rig: Rig, row: int = 1, campaign_id: str = "spring-1", *, opted_out: bool = False) -> None:
    """Have it noted that a customer has written just now."""
    contact = ("sms|somebody",)
    assert rig.ledger.note_answer(
        campaign_id, row, rig.ledger.now_ms(), opted_out=opted_out, contact=contact
    ).ok


def deliver(rig: Rig, delivery: Delivery, row: int = 1, campaign_id: str = "spring-1") -> None:
    """Have it noted what became of a row's message."""
    sid = rig.row(row, campaign_id).record.message_sid
    code = 30003 if delivery.is_lost else 0
    assert rig.ledger.note_delivery(campaign_id, row, sid, delivery, code).ok
