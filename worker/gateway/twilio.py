"""Twilio as the pipeline sees it: effects that come to one of four outcomes, look-ups that come to one of two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from worker import json_text
from worker.gateway import exchange, payloads, reading
from worker.gateway.correspondence import Correspondence
from worker.gateway.lookups import Lookups
from worker.gateway.outcome import Accepted, Outcome, Rejected
from worker.gateway.preflight import Preflight
from worker.gateway.seen import Opened, WebhookConfig

if TYPE_CHECKING:
    from campaigns.recipients import Message, Recipient


class TwilioGateway(Lookups, Correspondence, Preflight):
    """Everything the pipeline may ask of Twilio; each method is one HTTP request a page unless it says otherwise."""

    def create_interaction(
        self, recipient: Recipient, key: str, gate: exchange.Gate | None = None
    ) -> Outcome[Opened]:
        """Open an Interaction for `recipient`, marked with `key`. Accepted means taken on, no more.

        The request passes `gate`; where that holds it back nothing goes out: Deferred.
        """
        channel = json_text.dumps(payloads.channel(recipient))
        routing = json_text.dumps(payloads.routing(recipient, key))
        with exchange.gated(gate):
            return self._send(
                lambda: self._client.flex_api.v1.interaction.create(
                    channel=channel,
                    routing=routing,
                    interaction_context_sid=recipient.context_sid,
                    webhook_ttid=recipient.webhook_ttid,
                ),
                lambda made: reading.opened(made.sid, made.channel, made.routing),
            )

    def create_message(
        self, conversation_sid: str, message: Message, key: str, gate: exchange.Gate | None = None
    ) -> Outcome[str]:
        """Send `message`, marked with `key`, into a conversation; Accepted holds its IM SID. `gate`: as above."""
        fields = payloads.message(message, key)
        messages = self._client.conversations.v1.conversations(conversation_sid).messages
        with exchange.gated(gate):
            return self._send(lambda: messages.create(**fields), lambda made: reading.sid_of("IM", made.sid))

    def close_interaction(self, interaction_sid: str, channel_sid: str) -> Outcome[None]:
        """Close an Interaction's channel and its Flex task, which frees the agent and the pair of addresses.

        One request, and a look-up after a refusal: a channel that is closed or gone already is Accepted.
        """
        channel = self._client.flex_api.v1.interaction(interaction_sid).channels(channel_sid)
        outcome = self._send(
            lambda: channel.update(status="closed", routing={"status": "closed"}),
            lambda made: reading.sid_of("UO", made.sid),
        )
        if isinstance(outcome, Accepted):
            return Accepted(None)
        if isinstance(outcome, Rejected) and (outcome.code == 20404 or self._is_closed(channel)):
            return Accepted(None)
        return outcome

    def set_webhook_config(self, url: str, filters: Sequence[str]) -> Outcome[WebhookConfig]:
        """Have the events of all the account's conversations told to `url`, those that `filters` names.

        Twilio keeps one URL an account: whatever stood there is replaced. A pre-event URL stays as it is.
        """
        webhooks = self._client.conversations.v1.configuration.webhooks()
        return self._send(
            lambda: webhooks.update(
                post_webhook_url=url, filters=list(filters), method="POST", target="webhook"
            ),
            lambda made: reading.webhook_config(
                made.account_sid, made.post_webhook_url, made.filters, made.method, made.target
            ),
        )

    def _is_closed(self, channel: object) -> bool:
        seen = self._ask(lambda: str(channel.fetch().status))  # type: ignore[attr-defined]
        return isinstance(seen, Accepted) and seen.value == "closed"
