"""Whose open conversation keeps a (customer, sender) pair busy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import takewhile

from campaigns.recipients import Recipient
from worker.gateway.lookups import MAX_KEYS_A_LOOK_UP
from worker.gateway.outcome import Accepted, Answer, Unknown
from worker.gateway.seen import ConversationSeen, FlexTaskSeen
from worker.ledger.row import Row
from worker.ledger.states import State
from worker.pipeline import pace
from worker.pipeline.bench import LoadedCampaign, Workbench

NEWEST = 5
"""Open conversations of a customer that are asked after: our own is among the newest, by whatever clock."""

UNUSABLE = frozenset({None, "closed"})


@dataclass(frozen=True, slots=True)
class Busy:
    """An open conversation of the pair; `ours` is its Flex task where that carries a key of the row.

    `is_unsure`: its Flex task could not be looked up; or it has none yet, and an earlier request of this send was taken
    for absent: look-ups may lag.
    """

    conversation_sid: str
    ours: FlexTaskSeen | None
    is_unsure: bool = False


def open_ones(seen: Iterable[ConversationSeen], recipient: Recipient) -> list[ConversationSeen]:
    """Keep the conversations that hold the pair: not closed, and with the same sender. Newest first."""
    kept = [
        each
        for each in seen
        if each.state != "closed" and (each.proxy_address is None or each.proxy_address == recipient.sender)
    ]
    return sorted(
        kept, key=lambda each: each.created_at.timestamp() if each.created_at else 0.0, reverse=True
    )


def find_conversations(bench: Workbench, recipient: Recipient) -> Answer[list[ConversationSeen]]:
    """Find the conversations of a customer: by identity on chat and web, by address elsewhere."""
    if recipient.identity is not None:
        return bench.gateway.find_conversations_of_identity(recipient.identity)
    return bench.gateway.find_conversations(recipient.address)


def find_busy(
    bench: Workbench, loaded: LoadedCampaign, row: Row, recipient: Recipient, conversation_sid: str | None
) -> Busy | None:
    """Find the conversation that holds the row's pair, and whether it is our own.

    `conversation_sid` is the one that Twilio named, if it did. None: it could not be found out, or there is none.
    """
    if not conversation_sid:
        if recipient.proxy_address is None:  # chat, web and email have no pair that could be taken
            return None
        seen = find_conversations(bench, recipient)
        if isinstance(seen, Unknown):
            return None
        candidates = open_ones(seen.value, recipient)
        if not candidates:
            return None
        conversation_sid = candidates[0].sid
    sid = conversation_sid
    workspace = recipient.routing.workspace_sid
    tasks = pace.ask(
        bench, pace.task_look_ups(), lambda: bench.gateway.find_flex_tasks_of_conversations(workspace, [sid])
    )
    if not isinstance(tasks, Accepted):
        return Busy(sid, None, is_unsure=True)
    keys = own_keys(bench, loaded, row)
    # Of an opened row one attempt is the one that opened it.
    is_unsure = not tasks.value and (row.hand.lost or row.record.attempts > (row.state is State.OPEN))
    return Busy(sid, next((task for task in tasks.value if task.key in keys), None), is_unsure)


def find_lost_message(bench: Workbench, loaded: LoadedCampaign, row: Row) -> Answer[str | None]:
    """Find a message that was called absent, in a conversation that the row has given up since."""
    conversation, send = row.hand.lost_in, row.hand.lost_send
    if not conversation:
        return Accepted(None)
    return bench.gateway.find_message(conversation, loaded.key(row.number, send))


def find_lost(
    bench: Workbench, loaded: LoadedCampaign, row: Row, recipient: Recipient
) -> Answer[FlexTaskSeen | None]:
    """Find an Interaction of the row that was called absent and has shown since: the last look before another.

    By the customer's address; where Twilio would take a second one beside it (chat, web, email), by key as well.
    """
    workspace, keys = recipient.routing.workspace_sid, own_keys(bench, loaded, row)
    seen = find_conversations(bench, recipient)
    if isinstance(seen, Unknown):
        return seen
    sids = [each.sid for each in open_ones(seen.value, recipient)[:NEWEST]]
    looks: list[Callable[[], Answer[list[FlexTaskSeen]]]] = []
    if sids:
        looks.append(lambda: bench.gateway.find_flex_tasks_of_conversations(workspace, sids))
    if recipient.proxy_address is None:
        looks.append(lambda: bench.gateway.find_flex_tasks(workspace, keys[-MAX_KEYS_A_LOOK_UP:]))
    for look in looks:
        tasks = pace.ask(bench, pace.task_look_ups(), look)
        if isinstance(tasks, Unknown):
            return tasks
        for task in tasks.value:
            state = conversation_state(bench, task) if task.key in keys else Accepted(None)
            if isinstance(state, Unknown):
                return state
            if state.value not in UNUSABLE:
                return Accepted(task)
    return Accepted(None)


def conversation_state(bench: Workbench, task: FlexTaskSeen) -> Answer[str | None]:
    """Fetch the state of a Flex task's conversation, to which a message can go unless it is in UNUSABLE.

    A task whose agent declined it counts as any other: its conversation holds the customer all the same.
    """
    if task.conversation_sid:
        return bench.gateway.fetch_conversation_state(task.conversation_sid)
    return Accepted(None if task.has_ended else "initializing")


def own_keys(bench: Workbench, loaded: LoadedCampaign, row: Row) -> list[str]:
    """List the keys of the sends of a row whose Interactions are its own: what an earlier one has left is so, too.

    But not what was opened before the last message that reached the customer: that conversation is an agent's.
    """
    sends = [row.record.send]
    if row.record.send > 1:
        past = reversed(bench.ledger.get_past(loaded.info.id, row.number))
        sends += (each.send for each in takewhile(lambda each: each.state is not State.ACCEPTED, past))
    return [loaded.key(row.number, send) for send in reversed(sends)]


def is_still_open(bench: Workbench, row: Row, recipient: Recipient) -> Answer[bool]:
    """Ask whether the conversation of the row's earlier message can take another one: it is open, and the customer in it."""
    state = bench.gateway.fetch_conversation_state(row.hand.adopt)
    if isinstance(state, Unknown):
        return state
    if state.value in UNUSABLE:
        return Accepted(False)
    return bench.gateway.has_participant(row.hand.adopt, recipient.identity or recipient.address)


def wait_is_over(bench: Workbench, loaded: LoadedCampaign, row: Row) -> bool:
    """Tell whether a row has waited for its pair as long as the campaign lets it."""
    return has_waited(bench, row, loaded.campaign.pair_wait_max_s)


def has_waited(bench: Workbench, row: Row, for_s: float) -> bool:
    """Tell whether a row has waited for its pair for so long."""
    return bool(row.hand.waiting) and bench.ledger.now_ms() - row.hand.waiting >= for_s * 1000
