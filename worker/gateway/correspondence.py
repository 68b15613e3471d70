"""What became of a message: its conversation, the receipts of its delivery, and where Twilio tells of both by itself."""

from __future__ import annotations

from datetime import datetime

from worker.gateway import reading
from worker.gateway.caller import Caller, UnreadableError, follow
from worker.gateway.outcome import Accepted, Answer
from worker.gateway.seen import MessageRead, ReceiptSeen, WebhookConfig

_RANKS = {word: rank for rank, word in enumerate(reversed(reading.DELIVERIES), start=1)}


class Correspondence(Caller):
    """Ask how messages fared; nothing here has an effect."""

    def read_conversation(
        self, conversation_sid: str, since: datetime | None = None
    ) -> Answer[tuple[MessageRead, ...]]:
        """Read a conversation's messages, newest first, back to `since`; empty where there is no such conversation.

        Twilio dates to the second: what was written within the second of `since` is there too.
        """
        messages = self._client.conversations.v1.conversations(conversation_sid).messages
        from_then = since.replace(microsecond=0) if since else None

        def look() -> tuple[MessageRead, ...]:
            found = []
            for message in follow(messages.page, "messages", order="desc", page_size=100):
                sid, created_at = (
                    reading.sid_of("IM", message.get("sid")),
                    reading.moment_of(message.get("date_created")),
                )
                if sid is None or created_at is None:
                    raise UnreadableError("sid, date_created")
                if from_then is not None and created_at < from_then:
                    break
                found.append(
                    MessageRead(
                        sid=sid,
                        key=reading.key_of(message.get("attributes")),
                        author=reading.text_of(message.get("author")),
                        body=reading.text_of(message.get("body")),
                        created_at=created_at,
                        delivery=reading.delivery_of(message.get("delivery")),
                    )
                )
            return tuple(found)

        return self._ask(look, if_absent=Accepted(()))

    def fetch_receipt(self, conversation_sid: str, message_sid: str) -> Answer[ReceiptSeen | None]:
        """Fetch the receipt that says most about a message, as its summary does; None if none says anything yet."""
        message = self._client.conversations.v1.conversations(conversation_sid).messages(message_sid)

        def look() -> ReceiptSeen | None:
            receipts = follow(message.delivery_receipts.page, "delivery_receipts", page_size=50)
            seen = [
                ReceiptSeen(reading.text_of(each.get("status")), reading.code_of(each.get("error_code")))
                for each in receipts
            ]
            known = [each for each in seen if each.status in _RANKS]
            return max(known, key=lambda each: _RANKS[each.status], default=None)

        return self._ask(look, if_absent=Accepted(None))

    def fetch_webhook_config(self) -> Answer[WebhookConfig]:
        """Fetch where the account has the events of its conversations told."""
        webhooks = self._client.conversations.v1.configuration.webhooks()

        def look() -> WebhookConfig:
            seen = webhooks.fetch()
            config = reading.webhook_config(
                seen.account_sid, seen.post_webhook_url, seen.filters, seen.method, seen.target
            )
            if config is None:
                raise UnreadableError("account_sid")
            return config

        return self._ask(look)
