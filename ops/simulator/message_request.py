"""Check a message, render its template, and settle what its delivery receipts will say."""

import json
import re
from typing import Any

from ops.simulator.behaviour import chance, draw
from ops.simulator.call import Call
from ops.simulator.errors import Refused, sentence
from ops.simulator.events import plan_deliveries
from ops.simulator.replies import plan_reply
from ops.simulator.settings import Template
from ops.simulator.store import Conversation, Message, Participant, Receipt, new_sid
from ops.simulator.twin import Twin

BODY_MAX = 1600
ATTRIBUTES_MAX = 4096
WHATSAPP_MAX = 1024
WINDOW_S = 24 * 3600.0
_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z0-9_]{1,16})\s*\}\}")
_UNDELIVERED = range(30001, 30700)
_APPROVAL_CODES = {"rejected": 63040, "paused": 63041, "disabled": 63042}


def post_message(twin: Twin, call: Call, conversation: Conversation) -> Message:
    """Add a message to a conversation and note it in the journal.

    Raises: Refused for what Twilio finds wrong at once; the rest shows in the receipts.
    """
    customer = conversation.customer(call.now)
    address = customer.address if customer else ""
    behaviour = twin.behaviour(address, "message")
    if behaviour and behaviour.what == "reject":
        raise Refused(400, behaviour.code, sentence(behaviour.code))
    content_sid = call.form.get("ContentSid") or None
    attributes = _attributes(call)
    template, variables = _template(twin, content_sid), _variables(call)
    text = _text(call, template, variables)
    message = Message(
        sid=new_sid("IM"),
        index=len(conversation.messages),
        author=call.form.get("Author") or "system",
        body=text,
        attributes=attributes,
        content_sid=content_sid,
        subject=call.form.get("Subject"),
        created_at=call.now,
    )
    conversation.messages.append(message)
    conversation.updated_at = call.now
    for one in conversation.present(call.now):
        if one.binding:
            message.receipts.append(_receipt(twin, call, one, template, variables, text))
    _note(twin, call, conversation, message, variables, customer)
    plan_deliveries(twin, conversation, message)
    if customer and all(one.steps[-1][1] in {"delivered", "read"} for one in message.receipts):
        plan_reply(twin, call.account, customer, call.now)
    return message


def render(template: Template, variables: dict[str, str]) -> str:
    """Return a template's text; a variable that isn't given falls back to the sample value."""
    values = {**template.variables, **variables}
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template.body)


def _attributes(call: Call) -> str:
    text = call.form.get("Attributes") or "{}"
    try:
        json.loads(text)
    except ValueError:
        raise Refused(400, 20001, "Invalid parameter: Attributes is not valid JSON") from None
    if len(text.encode()) > ATTRIBUTES_MAX:
        raise Refused(400, 20001, f"Invalid parameter: Attributes is longer than {ATTRIBUTES_MAX} bytes")
    return text


def _template(twin: Twin, content_sid: str | None) -> Template | None:
    if content_sid is None:
        return None
    if not re.fullmatch("HX[0-9a-fA-F]{32}", content_sid):
        raise Refused(400, 50526, f"Invalid content SID {content_sid}")
    template = twin.settings.content(content_sid)
    if template is None:
        raise Refused(400, 50526, f"Content SID {content_sid} was not found")
    return template


def _variables(call: Call) -> dict[str, str]:
    text = call.form.get("ContentVariables")
    if not text:
        return {}
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(one, str) for one in values.values()):
        raise Refused(400, 50527, "Invalid content variables format")
    if not call.form.get("ContentSid"):
        raise Refused(400, 50528, "Content SID is missing")
    if any(len(one) > BODY_MAX for one in values.values()):
        raise Refused(400, 50529, "Content variables are too long")
    return values


def _text(call: Call, template: Template | None, variables: dict[str, str]) -> str | None:
    if template is not None:
        return render(template, variables)
    body = call.form.get("Body")
    if not body and not call.form.get("MediaSid"):
        raise Refused(400, 20001, "Invalid parameter: one of Body, MediaSid and ContentSid is required")
    if body and len(body) > BODY_MAX:
        raise Refused(400, 50504, "Message body parameter is too long")
    return body


def _receipt(
    twin: Twin,
    call: Call,
    to: Participant,
    template: Template | None,
    variables: dict[str, str],
    text: str | None,
) -> Receipt:
    settings, now = twin.settings, call.now
    whatsapp = to.address.startswith("whatsapp:")
    sent, delivered = now + settings.sent_s, now + settings.delivered_s
    steps: list[tuple[float, str, int]]
    code = _failure(twin, call, to, template, variables, text)
    behaviour = twin.behaviour(to.address, "receipt")
    if code is not None:
        undelivered = code in _UNDELIVERED
        steps = (
            [(sent, "sent", 0), (delivered, "undelivered", code)] if undelivered else [(sent, "failed", code)]
        )
    elif behaviour and behaviour.what == "stuck":
        steps = [(sent, "sent", 0)]
    else:
        steps = [(sent, "sent", 0), (delivered, "delivered", 0)]
        number = twin.nth("read", to.address)
        if whatsapp and chance(settings.seed, "read", to.address, number) < settings.read_share:
            steps.append((now + settings.read_s, "read", 0))
    prefix = "WA" if whatsapp else "SM"
    return Receipt(new_sid("DY"), new_sid(prefix), to.sid, tuple(steps))


def _failure(
    twin: Twin,
    call: Call,
    to: Participant,
    template: Template | None,
    variables: dict[str, str],
    text: str | None,
) -> int | None:
    """Return the code with which delivery will fail, or None."""
    address = to.address
    pair = (call.account, address, str((to.binding or {}).get("proxy_address")))
    behaviour = twin.behaviour(address, "receipt")
    if behaviour and behaviour.what == "failed":
        return behaviour.code or 30008
    if pair in twin.store.opted_out:
        return 21610
    if address.startswith("whatsapp:"):
        written_at = twin.store.last_written.get(pair)
        is_open = written_at is not None and call.now < written_at + WINDOW_S
        if code := _whatsapp_failure(template, variables, text, is_open):
            return code
    number = twin.nth("receipt", address)
    drawn = draw(twin.settings.receipt_failures, chance(twin.settings.seed, "receipt", address, number))
    return int(drawn) if drawn else None


def _whatsapp_failure(
    template: Template | None, variables: dict[str, str], text: str | None, is_open: bool
) -> int | None:
    """Return the code of a broken WhatsApp rule; within 24 hours of the customer's last message anything goes."""
    if template is None:
        return None if is_open else 63016
    if template.type in {"twilio/list-picker", "twilio/location"} and not is_open:
        return 63016
    status = template.status.lower()
    if status != "approved":
        return _APPROVAL_CODES.get(status, 63016)
    if any(not value.strip() or re.search(r"[\n\t]| {5}", value) for value in variables.values()):
        return 63013
    return 63021 if text and len(text) > WHATSAPP_MAX else None


def _note(
    twin: Twin,
    call: Call,
    conversation: Conversation,
    message: Message,
    variables: dict[str, str],
    customer: Participant | None,
) -> None:
    attributes: Any = json.loads(message.attributes)
    last = [one.steps[-1] for one in message.receipts]
    twin.journal.effect(
        "message",
        call.now,
        key=str(attributes.get("outreach_key", "")) if isinstance(attributes, dict) else "",
        address=customer.address if customer else None,
        customer_in=customer is not None,
        conversation_sid=conversation.sid,
        message_sid=message.sid,
        author=message.author,
        body=message.body,
        content_sid=message.content_sid,
        variables=variables,
        subject=message.subject,
        delivery=last[0][1] if last else None,
        delivery_code=last[0][2] if last else None,
        account=call.account,
    )
