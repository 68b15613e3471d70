"""Decide which fault a request meets: one that its customer's number asks for, or one by chance."""

from ops.simulator.behaviour import FAULT_KINDS, chance, draw
from ops.simulator.call import Call
from ops.simulator.errors import Refused
from ops.simulator.interaction_request import address_in, key_in
from ops.simulator.twin import Twin


def fault_for(twin: Twin, call: Call) -> str | None:
    """Return the kind of fault this request meets, noted in the journal, or None."""
    settings, kind = twin.settings, call.endpoint.kind
    shares = {
        "interaction": settings.fault,
        "message": settings.fault,
        "close": settings.fault_close,
        "getter": settings.fault_getters,
    }.get(kind, {})
    if kind == "getter" and not shares:
        return None
    address, key = _who(twin, call)
    source = "pattern"
    found = _by_pattern(twin, kind, address)
    if found is None and shares:
        source, whom = "chance", address or key or call.path
        found = draw(shares, chance(settings.seed, kind, whom, twin.nth(f"chance {kind}", whom)))
    if found is not None:
        twin.journal.effect(
            "fault", call.now, fault=found, target=kind, source=source, key=key, address=address
        )
    return found


def _by_pattern(twin: Twin, kind: str, address: str) -> str | None:
    behaviour = twin.behaviour(address, kind)
    if behaviour is None or behaviour.what not in FAULT_KINDS:
        return None
    if behaviour.once and twin.nth(f"pattern {kind} {behaviour.what}", address) > 1:
        return None
    return behaviour.what


def _who(twin: Twin, call: Call) -> tuple[str, str]:
    """Return the customer's address and the caller's key, as far as the request tells."""
    kind = call.endpoint.kind
    try:
        if kind == "interaction":
            return address_in(call), key_in(call)
        if kind == "message":
            conversation = twin.store.conversations.get(call.params["conversation"])
            customer = conversation.customer(call.now) if conversation else None
            attributes = call.json_field("Attributes")
            key = str(attributes.get("outreach_key", "")) if isinstance(attributes, dict) else ""
            return customer.address if customer else "", key
    except Refused:  # the request is broken; the handler will say so
        return "", ""
    if kind == "close":
        interaction = twin.store.interactions.get(call.params["interaction"])
        return (interaction.address, interaction.key) if interaction else ("", "")
    return "", ""
