"""What is asked of Twilio, in Twilio's own words, for each channel."""

import pytest
from gateway_builders import CUSTOMER, KEY, RECIPIENT, SENDER, message, recipient, routing, sid

from worker.gateway import payloads


def test_whatsapp_channel_names_both_ends_of_the_pair():
    assert payloads.channel(RECIPIENT) == {
        "type": "whatsapp",
        "initiated_by": "agent",
        "properties": {"type": "whatsapp"},
        "participants": [{"address": CUSTOMER, "proxy_address": SENDER, "type": "whatsapp"}],
    }


def test_sms_channel_names_both_ends_of_the_pair():
    one = recipient(channel="sms", address="+14155550101", proxy_address="+14155550009")

    assert payloads.channel(one) == {
        "type": "sms",
        "initiated_by": "agent",
        "properties": {"type": "sms"},
        "participants": [{"address": "+14155550101", "proxy_address": "+14155550009", "type": "sms"}],
    }


def test_email_channel_has_the_business_address_among_its_properties():
    one = recipient(
        channel="email",
        address="ann@example.com",
        proxy_address=None,
        name="Ann",
        level=None,
        from_address="care@example.com",
        from_name="Care",
    )

    assert payloads.channel(one) == {
        "type": "email",
        "initiated_by": "agent",
        "properties": {"from": "care@example.com", "from_name": "Care"},
        "participants": [{"level": "to", "name": "Ann", "address": "ann@example.com"}],
    }


def test_email_participant_without_a_name_has_no_name():
    one = recipient(channel="email", address="ann@example.com", name="", level="cc")

    assert payloads.channel(one)["participants"] == [{"level": "cc", "address": "ann@example.com"}]


@pytest.mark.parametrize("channel", ["chat", "web"])
@pytest.mark.parametrize("identity", ["ann-1", None])
def test_chat_and_web_participants_are_identities(channel, identity):
    one = recipient(channel=channel, address="ann-1", identity=identity, proxy_address=None)

    assert payloads.channel(one) == {
        "type": channel,
        "initiated_by": "agent",
        "participants": [{"identity": "ann-1"}],
    }


@pytest.mark.parametrize("channel", ["messenger", "gbm"])
def test_unconfirmed_channels_are_passed_through(channel):
    one = recipient(channel=channel, address=f"{channel}:1", proxy_address=None)

    assert payloads.channel(one)["participants"] == [{"address": f"{channel}:1", "type": channel}]


def test_routing_carries_the_key_and_the_customer_among_the_attributes():
    assert payloads.routing(RECIPIENT, KEY) == {
        "properties": {
            "workspace_sid": sid("WS"),
            "workflow_sid": sid("WW"),
            "queue_sid": sid("WQ"),
            "worker_sid": sid("WK"),
            "task_channel_unique_name": "chat",
            "attributes": {"customerAddress": CUSTOMER, "customerName": "Ann", "outreach_key": KEY},
        }
    }


def test_routing_holds_what_the_campaign_asks_for_beside_it():
    one = recipient(name="Ann E.", routing=routing(priority=0, timeout_s=60, attributes={"tier": "gold"}))

    properties = payloads.routing(one, KEY)["properties"]

    assert (properties["priority"], properties["timeout"]) == (0, 60)
    assert properties["attributes"] == {
        "customerAddress": CUSTOMER,
        "customerName": "Ann E.",
        "tier": "gold",
        "outreach_key": KEY,
    }


def test_routing_leaves_out_what_is_not_set():
    one = recipient(routing=routing(workflow_sid="", queue_sid="", worker_sid="", task_channel=None))

    assert set(payloads.routing(one, KEY)["properties"]) == {"workspace_sid", "attributes"}


def test_campaign_cannot_replace_the_key():
    one = recipient(routing=routing(attributes={"outreach_key": "another"}))

    assert payloads.routing(one, KEY)["properties"]["attributes"]["outreach_key"] == KEY


def test_template_is_sent_with_its_variables_and_no_body():
    built = payloads.message(message(body="ignored", variables={"1": "Ánn"}), KEY)

    assert built == {
        "author": "Renewals team",
        "attributes": f'{{"outreach_key":"{KEY}"}}',
        "content_sid": sid("HX"),
        "content_variables": '{"1":"Ánn"}',
    }


def test_template_without_variables_is_sent_without_them():
    assert "content_variables" not in payloads.message(message(variables={}), KEY)


def test_text_is_sent_as_body_with_its_subject():
    built = payloads.message(message(content_sid=None, body="Hello", subject="News"), KEY)

    assert built == {
        "author": "Renewals team",
        "attributes": f'{{"outreach_key":"{KEY}"}}',
        "body": "Hello",
        "subject": "News",
    }
