"""What must exist at Twilio before a campaign starts: credentials, the SIDs it names, its sender and its template."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from worker.gateway import reading
from worker.gateway.caller import Caller, UnreadableError, follow
from worker.gateway.outcome import Accepted, Answer, Unknown
from worker.gateway.seen import TemplateSeen


class Preflight(Caller):
    """Ask what stands, before anything is sent."""

    def check_credentials(self) -> Answer[bool]:
        """Say whether Twilio accepts the credentials.

        Any look-up of those that sending needs will do; a standard API key may not read the account itself.
        """
        lists = self._client.conversations.v1.participant_conversations

        def look() -> bool:
            lists.page(identity="outreach-preflight", page_size=1)
            return True

        seen = self._ask(look)
        return Accepted(False) if isinstance(seen, Unknown) and seen.code in {401, 20003} else seen

    def fetch_workspace(self, workspace_sid: str) -> Answer[bool]:
        """Say whether the workspace exists."""
        return self._exists(self._client.taskrouter.v1.workspaces(workspace_sid).fetch)

    def fetch_workflow(self, workspace_sid: str, workflow_sid: str) -> Answer[bool]:
        """Say whether the workflow exists in the workspace."""
        workspace = self._client.taskrouter.v1.workspaces(workspace_sid)
        return self._exists(workspace.workflows(workflow_sid).fetch)

    def fetch_queue(self, workspace_sid: str, queue_sid: str) -> Answer[bool]:
        """Say whether the queue exists in the workspace."""
        workspace = self._client.taskrouter.v1.workspaces(workspace_sid)
        return self._exists(workspace.task_queues(queue_sid).fetch)

    def fetch_worker(self, workspace_sid: str, worker_sid: str) -> Answer[bool]:
        """Say whether the agent exists in the workspace."""
        workspace = self._client.taskrouter.v1.workspaces(workspace_sid)
        return self._exists(workspace.workers(worker_sid).fetch)

    def has_sender(self, channel: str, address: str) -> Answer[bool]:
        """Say whether the account owns the sender; Unknown where Twilio has no list of such senders."""
        if channel == "whatsapp":
            senders = self._client.messaging.v2.channels_senders
            return self._ask(
                lambda: (
                    address
                    in (
                        each.get("sender_id")
                        for each in follow(senders.page, "senders", channel=channel, page_size=50)
                    )
                )
            )
        if channel == "sms" and address.startswith("+") and self._account_sid:
            numbers = self._client.api.v2010.accounts(self._account_sid).incoming_phone_numbers
            key = "incoming_phone_numbers"
            return self._ask(
                lambda: (
                    address
                    in (each.get("phone_number") for each in follow(numbers.page, key, phone_number=address))
                )
            )
        return Unknown(0, "Twilio has no list of such senders")

    def fetch_template(self, content_sid: str) -> Answer[TemplateSeen | None]:
        """Fetch a template with WhatsApp's verdict on it (two requests); None if the account has no such one."""
        template = self._client.content.v1.contents(content_sid)
        content = self._ask(lambda: _template(template.fetch()), if_absent=Accepted(None))
        if isinstance(content, Unknown) or content.value is None:
            return content
        never_asked: Accepted[dict[str, Any]] = Accepted({})
        verdict = self._ask(
            lambda: reading.mapping_of(template.approval_fetch().fetch().whatsapp), if_absent=never_asked
        )
        if isinstance(verdict, Unknown):
            return verdict
        seen = replace(
            content.value,
            approval_status=reading.text_of(verdict.value.get("status")).lower() or None,
            rejection_reason=reading.text_of(verdict.value.get("rejection_reason")),
            category=reading.text_of(verdict.value.get("category")),
        )
        return Accepted(seen)

    def _exists(self, fetch: Callable[[], Any]) -> Answer[bool]:
        def look() -> bool:
            if not reading.text_of(fetch().sid):
                raise UnreadableError("sid")
            return True

        return self._ask(look, if_absent=Accepted(False))


def _template(found: Any) -> TemplateSeen | None:
    sid = reading.sid_of("HX", found.sid)
    if sid is None or not isinstance(found.types, dict):
        raise UnreadableError("sid")
    bodies = [reading.text_of(reading.mapping_of(each).get("body")) for each in found.types.values()]
    return TemplateSeen(
        sid=sid,
        variables={
            reading.text_of(name): reading.text_of(str(value))
            for name, value in reading.mapping_of(found.variables).items()
        },
        types=tuple(map(reading.text_of, found.types)),
        body=next((body for body in bodies if body), None),
    )
