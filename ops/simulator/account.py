"""Imitate the rest that a preflight asks: templates and approvals, the account, numbers and senders."""

from typing import Any

from ops.simulator.call import Answer, Call, Endpoint, page
from ops.simulator.errors import Refused
from ops.simulator.settings import Template
from ops.simulator.twin import Twin

CONTENT = "/content/v1/Content/{content}"
ACCOUNT = "/api/2010-04-01/Accounts/{account}"


def fetch_content(twin: Twin, call: Call) -> Answer:
    """Answer with a content template and its sample values."""
    template = _template(twin, call)
    created, url = twin.clock.iso(twin.started_at), call.url(call.path)
    return 200, {
        "sid": call.params["content"],
        "account_sid": call.account,
        "friendly_name": template.friendly_name,
        "language": template.language,
        "variables": template.variables,
        "types": {template.type: {"body": template.body}},
        "date_created": created,
        "date_updated": created,
        "url": url,
        "links": {
            "approval_create": f"{url}/ApprovalRequests/whatsapp",
            "approval_fetch": f"{url}/ApprovalRequests",
        },
    }


def fetch_approval(twin: Twin, call: Call) -> Answer:
    """Answer with what WhatsApp thinks of a template."""
    template = _template(twin, call)
    return 200, {
        "sid": call.params["content"],
        "account_sid": call.account,
        "whatsapp": {
            "type": "whatsapp",
            "name": template.friendly_name,
            "category": template.category,
            "content_type": template.type,
            "status": template.status,
            "rejection_reason": template.rejection_reason,
            "allow_category_change": True,
        },
        "url": call.url(call.path),
    }


def fetch_account(twin: Twin, call: Call) -> Answer:
    """Answer with the account whose credentials these are."""
    sid = call.params["account"]
    if sid != call.account:
        raise call.missing()
    created = twin.clock.rfc2822(twin.started_at)
    return 200, {
        "sid": sid,
        "friendly_name": "Simulated account",
        "status": "active",
        "type": "Full",
        "owner_account_sid": sid,
        "date_created": created,
        "date_updated": created,
        "uri": f"/2010-04-01/Accounts/{sid}.json",
        "subresource_uris": {},
    }


def list_numbers(twin: Twin, call: Call) -> Answer:
    """Answer with the account's numbers; where no senders are set, the one asked for is there."""
    wanted = call.query.get("PhoneNumber", "")
    senders = twin.settings.senders
    numbers = (
        [wanted] if senders is None and wanted else [one for one in senders or () if one.startswith("+")]
    )
    numbers = [one for one in numbers if not wanted or one == wanted]
    return 200, {
        "incoming_phone_numbers": [_number(call, index, one) for index, one in enumerate(numbers)],
        "page": 0,
        "page_size": 50,
        "start": 0,
        "end": max(0, len(numbers) - 1),
        "uri": f"/2010-04-01/Accounts/{call.account}/IncomingPhoneNumbers.json",
        "first_page_uri": f"/2010-04-01/Accounts/{call.account}/IncomingPhoneNumbers.json?Page=0",
        "next_page_uri": None,
        "previous_page_uri": None,
    }


def list_senders(twin: Twin, call: Call) -> Answer:
    """Answer with the WhatsApp senders that are set; where none are set, say that looking is not allowed."""
    senders = twin.settings.senders
    if senders is None:
        raise Refused(403, 20403, "Forbidden: no list of senders is set, every sender will do")
    rows = [
        {"sid": f"XE{index + 1:032x}", "sender_id": one, "status": "ONLINE", "url": call.url(call.path)}
        for index, one in enumerate(senders)
        if one.startswith("whatsapp:")
    ]
    return 200, page(call, "senders", rows, 1000)


def _template(twin: Twin, call: Call) -> Template:
    sid = call.params["content"]
    template = twin.settings.content(sid) if sid.startswith("HX") and len(sid) == 34 else None
    if template is None:
        raise call.missing()
    return template


def _number(call: Call, index: int, number: str) -> dict[str, Any]:
    sid = f"PN{index + 1:032x}"
    return {
        "sid": sid,
        "account_sid": call.account,
        "phone_number": number,
        "friendly_name": number,
        "capabilities": {"voice": True, "sms": True, "mms": True, "fax": False},
        "uri": f"/2010-04-01/Accounts/{call.account}/IncomingPhoneNumbers/{sid}.json",
    }


ENDPOINTS = (
    Endpoint("GET", CONTENT, fetch_content),
    Endpoint("GET", f"{CONTENT}/ApprovalRequests", fetch_approval),
    Endpoint("GET", f"{ACCOUNT}.json", fetch_account),
    Endpoint("GET", f"{ACCOUNT}/IncomingPhoneNumbers.json", list_numbers),
    Endpoint("GET", "/messaging/v2/Channels/Senders", list_senders),
)
