"""The usual way of a row, on every channel."""

import pytest
from pipeline_bench import BODY, ROUTING, Rig, phone, sms, whatsapp

from worker.ledger.states import Event

EMAIL = (
    'name = "spring"\nchannel = "email"\nfrom = "team@example.com"\nfrom_name = "Team"\nto = "{{ phone }}"\n'
    'to_name = "{{ name }}"\nsubject = "Renewal"\nlevel = "to"\n'
)


def head(channel: str, sender: str = "") -> str:
    """Give the beginning of a definition."""
    return f'name = "spring"\nchannel = "{channel}"\nto = "{{{{ phone }}}}"\n{sender}'


WAYS = {
    "sms": (sms(), phone(1)),
    "whatsapp": (whatsapp(), phone(1)),
    "email": (EMAIL + ROUTING + BODY, "ann@example.com"),
    "chat": (head("chat") + ROUTING + BODY, "ann-17"),
    "web": (head("web") + ROUTING + BODY, "ann-17"),
    "messenger": (head("messenger", 'from = "messenger:1234"\n') + ROUTING + BODY, "messenger:5678"),
    "gbm": (head("gbm", 'from = "gbm:1234"\n') + ROUTING + BODY, "gbm:5678"),
}


@pytest.mark.parametrize("channel", WAYS)
def test_customer_gets_the_message_on_every_channel(rig: Rig, channel: str) -> None:
    definition, address = WAYS[channel]
    rig.campaign([address], definition=definition)

    rig.drive()

    assert rig.states() == {"ACCEPTED": 1}
    assert rig.events() == [Event.OPENING, Event.OPENED, Event.SENDING, Event.ACCEPTED]
    assert rig.simulator.journal("interaction")[0]["channel"] == channel
    rig.judge()
