"""What Twilio knows of a send: the getters by which a row in doubt is settled and an opened one is watched."""

from __future__ import annotations

import json
from collections.abc import Sequence

from worker.gateway import reading
from worker.gateway.caller import Caller, UnreadableError, follow
from worker.gateway.outcome import Accepted, Answer
from worker.gateway.seen import ChannelSeen, ConversationSeen, FlexTaskSeen, MessageSeen

# So many quoted keys still fit into a URL of 8 KB, which every proxy takes.
MAX_KEYS_A_LOOK_UP = 50


class Lookups(Caller):
    """Ask, and say what was seen; nothing here has an effect."""

    def find_invite_conversation(self, interaction_sid: str, channel_sid: str) -> Answer[str | None]:
        """Find the conversation's SID in the channel's invites; None if none names it yet."""
        channel = self._client.flex_api.v1.interaction(interaction_sid).channels(channel_sid)

        def look() -> str | None:
            for invite in follow(channel.invites.page, "invites", page_size=50):
                found = reading.conversation_in_attributes(reading.routed_attributes(invite.get("routing")))
                if found:
                    return found
            return None

        return self._ask(look)

    def find_flex_task_conversation(self, workspace_sid: str, flex_task_sid: str) -> Answer[str | None]:
        """Find the conversation's SID in the Flex task's attributes; None if they don't name it yet."""
        task = self._client.taskrouter.v1.workspaces(workspace_sid).tasks(flex_task_sid)
        return self._ask(lambda: reading.conversation_in_attributes(task.fetch().attributes))

    def fetch_channel(self, interaction_sid: str) -> Answer[ChannelSeen | None]:
        """Fetch an Interaction's channel (it has one); None if there is none yet."""
        channels = self._client.flex_api.v1.interaction(interaction_sid).channels

        def look() -> ChannelSeen | None:
            for channel in follow(channels.page, "channels", page_size=50):
                sid = reading.sid_of("UO", channel.get("sid"))
                if sid is None:
                    raise UnreadableError("sid")
                code = reading.code_of(channel.get("error_code")) or None
                message = reading.text_of(channel.get("error_message"))
                return ChannelSeen(sid, reading.text_of(channel.get("status")), code, message)
            return None

        return self._ask(look)

    def has_participant(self, conversation_sid: str, address: str) -> Answer[bool]:
        """Say whether `address` (for chat and web an identity) takes part in the conversation."""
        participants = self._client.conversations.v1.conversations(conversation_sid).participants
        wanted = address.casefold()

        def look() -> bool:
            for participant in follow(participants.page, "participants", page_size=100):
                binding = reading.mapping_of(participant.get("messaging_binding"))
                named = (participant.get("identity"), binding.get("address"))
                if any(reading.text_of(each).casefold() == wanted for each in named):
                    return True
            return False

        return self._ask(look)

    def find_conversations(self, address: str) -> Answer[list[ConversationSeen]]:
        """Find every conversation that `address` takes part in, closed ones included."""
        return self._find_conversations(address=address)

    def find_conversations_of_identity(self, identity: str) -> Answer[list[ConversationSeen]]:
        """Find every conversation that a chat identity takes part in, closed ones included."""
        return self._find_conversations(identity=identity)

    def _find_conversations(self, **whose: str) -> Answer[list[ConversationSeen]]:
        participants = self._client.conversations.v1.participant_conversations

        def look() -> list[ConversationSeen]:
            found = []
            for each in follow(participants.page, "conversations", page_size=50, **whose):
                sid = reading.sid_of("CH", each.get("conversation_sid"))
                if sid is None:
                    raise UnreadableError("conversation_sid")
                binding = reading.mapping_of(each.get("participant_messaging_binding"))
                found.append(
                    ConversationSeen(
                        sid=sid,
                        state=reading.text_of(each.get("conversation_state")),
                        created_at=reading.moment_of(each.get("conversation_date_created")),
                        proxy_address=reading.text_of(binding.get("proxy_address")) or None,
                    )
                )
            return found

        return self._ask(look)

    def find_flex_tasks(self, workspace_sid: str, keys: Sequence[str]) -> Answer[list[FlexTaskSeen]]:
        """Find the Flex tasks of up to MAX_KEYS_A_LOOK_UP sends by their `outreach_key`; limited to 3 a second."""
        return self._find_tasks(workspace_sid, reading.KEY_ATTRIBUTE, keys)

    def find_flex_tasks_of_conversations(
        self, workspace_sid: str, conversation_sids: Sequence[str]
    ) -> Answer[list[FlexTaskSeen]]:
        """Find the Flex tasks of up to MAX_KEYS_A_LOOK_UP conversations; limited to 3 a second."""
        return self._find_tasks(workspace_sid, "conversationSid", conversation_sids)

    def find_message(self, conversation_sid: str, key: str) -> Answer[str | None]:
        """Find the message with our `key`, newest first; None once all of the conversation was seen."""
        messages = self._client.conversations.v1.conversations(conversation_sid).messages

        def look() -> str | None:
            for message in follow(messages.page, "messages", order="desc", page_size=100):
                if reading.key_of(message.get("attributes")) == key:
                    sid = reading.sid_of("IM", message.get("sid"))
                    if sid is None:
                        raise UnreadableError("sid")
                    return sid
            return None

        return self._ask(look)

    def find_message_from(self, conversation_sid: str, prefix: str, least: int) -> Answer[MessageSeen | None]:
        """Find the message of a row's earliest send from `least` on, whose key is `prefix` and the send; None as above.

        Not the newest: a conversation may hold the messages of many sends of a row, and each is that send's alone.
        """
        messages = self._client.conversations.v1.conversations(conversation_sid).messages

        def look() -> MessageSeen | None:
            best: MessageSeen | None = None
            for message in follow(messages.page, "messages", order="desc", page_size=100):
                key = reading.key_of(message.get("attributes")) or ""
                send = key.removeprefix(prefix)
                if key == send or not (send.isdecimal() and send.isascii()) or int(send) < least:
                    continue
                sid = reading.sid_of("IM", message.get("sid"))
                if sid is None:
                    raise UnreadableError("sid")
                if best is None or int(send) < best.send:
                    best = MessageSeen(sid, int(send))
                if best.send == least:
                    break
            return best

        return self._ask(look)

    def fetch_conversation_state(self, conversation_sid: str) -> Answer[str | None]:
        """Fetch a conversation's state (active, inactive, closed, initializing); None if there is no such one."""
        conversation = self._client.conversations.v1.conversations(conversation_sid)

        def look() -> str | None:
            state = reading.text_of(conversation.fetch().state)
            if not state:
                raise UnreadableError("state")
            return state

        return self._ask(look, if_absent=Accepted(None))

    def _find_tasks(
        self, workspace_sid: str, attribute: str, wanted: Sequence[str]
    ) -> Answer[list[FlexTaskSeen]]:
        assert 0 < len(wanted) <= MAX_KEYS_A_LOOK_UP, "one look-up takes 1 to MAX_KEYS_A_LOOK_UP keys"
        tasks = self._client.taskrouter.v1.workspaces(workspace_sid).tasks
        quoted = ",".join(json.dumps(each) for each in wanted)
        condition = f"{attribute} == {quoted}" if len(wanted) == 1 else f"{attribute} IN [{quoted}]"

        def look() -> list[FlexTaskSeen]:
            found = []
            pages = follow(tasks.page, "tasks", evaluate_task_attributes=condition, page_size=1000)
            for task in pages:
                seen = reading.flex_task(
                    task.get("sid"), task.get("attributes"), task.get("assignment_status")
                )
                if seen is None:
                    raise UnreadableError("sid")
                found.append(seen)
            return found

        return self._ask(look)
