"""Whoever is on the do-not-contact list is not written to: neither loaded, nor opened, nor sent to any more."""

from datetime import UTC, datetime
from typing import Any

import pytest
from intake_desk import Desk, phone
from pipeline_bench import Rig, trouble, whatsapp
from pipeline_bench import phone as customer

from campaigns.problems import RefusedError
from worker.ledger.states import Reason, State
from worker.ledger.suppression import Suppression
from worker.pipeline.intake import carry_out

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def the_list(where: Desk | Rig) -> Suppression:
    settings = where.settings if isinstance(where, Desk) else where.bench.settings
    return Suppression(where.client, settings.account_tag)


def put(where: Desk | Rig, *fields: str) -> None:
    the_list(where).add([(field, "asked for it", NOW) for field in fields])


# Loading ----------------------------------------------------------------------------------------------------


def codes(desk: Desk, campaign_id: str) -> list[tuple[State, int]]:
    rows = desk.registry.get(campaign_id).rows
    return [(record.state, record.code) for _, record, _, _ in desk.ledger.iter_rows(campaign_id, rows)]


@pytest.mark.parametrize("hashed", [False, True])
def test_rows_on_the_list_are_skipped_when_they_are_loaded(desk: Desk, hashed: bool) -> None:
    put(desk, f"sms|{phone(2)}", f"*|{phone(100)}", f"whatsapp|{phone(3)}")
    if hashed:
        the_list(desk).hash()

    done = desk.take_in(desk.definition(), desk.customers(130))

    listed = [number for number, (_, code) in enumerate(codes(desk, done.campaign_id), 1) if code]
    assert listed == [2, 100]
    assert codes(desk, done.campaign_id)[1] == (State.SKIPPED, Reason.SUPPRESSED)
    assert (done.suppressed, done.counts["skipped"], done.counts["pending"]) == (2, 2, 128)
    row = desk.results(done.campaign_id)[1]
    assert (row["outreach_status"], row["outreach_code"]) == ("skipped", "suppressed")
    assert "`outreach suppress remove ADDRESS`" in row["outreach_advice"]


def test_beginning_again_does_not_lift_it(desk: Desk) -> None:
    definition, customers = desk.definition(), desk.customers(2)
    first = desk.take_in(definition, customers)
    desk.accept_all(first.campaign_id)
    put(desk, f"sms|{phone(2)}")

    second = desk.take_in(definition, customers, again=True)

    assert codes(desk, second.campaign_id) == [(State.PENDING, 0), (State.SKIPPED, Reason.SUPPRESSED)]


def test_file_of_nobody_but_them_is_refused_and_says_why(desk: Desk) -> None:
    put(desk, f"*|{phone(1)}", f"*|{phone(2)}")

    with pytest.raises(RefusedError, match="2 of them because the customer is on the do-not-contact list"):
        desk.take_in(desk.definition(), desk.customers(2))

    assert desk.registry.ids() == []


def test_ledger_made_anew_leaves_them_to_the_look_before_the_message(desk: Desk) -> None:
    definition, customers = desk.definition(), desk.customers(3)
    first = desk.take_in(definition, customers)
    desk.rig.accept(first.campaign_id, 1)
    desk.results(first.campaign_id)
    desk.client.flushall()
    put(desk, f"sms|{phone(1)}", f"sms|{phone(2)}")

    decision = desk.decide(definition, customers, rebuild=True)
    done = carry_out(desk.ledger, desk.registry, desk.settings, decision)

    states = [state for state, _ in codes(desk, done.campaign_id)]
    assert states == [State.ACCEPTED, State.PENDING, State.PENDING]
    assert not done.warnings


def test_ledger_made_anew_warns_that_the_list_may_be_lost_as_well(desk: Desk) -> None:
    definition, customers = desk.definition(), desk.customers(3)
    desk.results(desk.take_in(definition, customers).campaign_id)
    desk.client.flushall()

    done = desk.take_in(definition, customers, rebuild=True)

    assert [str(each).partition(": ")[2][:33] for each in done.warnings] == [
        "the do-not-contact list is empty;"
    ]


# Sending ----------------------------------------------------------------------------------------------------


def test_row_listed_while_it_waits_is_never_opened(rig: Rig) -> None:
    rig.campaign([customer(1), customer(2)])
    put(rig, f"sms|{customer(1)}")

    rig.drive()

    assert rig.states() == {"ACCEPTED": 1, "SKIPPED": 1}
    assert rig.row().record.code == Reason.SUPPRESSED
    assert len(rig.simulator.journal("interaction")) == 1
    rig.judge()


@pytest.mark.parametrize("field", ["sms|", "*|"])
def test_row_listed_after_it_was_opened_gets_no_message_and_leaves_no_task(rig: Rig, field: str) -> None:
    rig.simulator.settings(setup_ms=300)
    rig.campaign([customer(1)])
    rig.drive(until=lambda: rig.row().state is State.OPEN, jump=False)

    put(rig, field + customer(1))
    rig.drive(jump=False)

    assert rig.states() == {"SKIPPED": 1}
    assert rig.simulator.journal("message") == []
    assert len(rig.simulator.journal("interaction_closed")) == 1
    rig.judge()


def test_customer_of_another_channel_is_another_one(rig: Rig) -> None:
    put(rig, f"sms|{customer(1)}")
    rig.campaign([customer(1)], definition=whatsapp())

    rig.drive()

    assert rig.states() == {"ACCEPTED": 1}


def test_row_that_may_have_been_sent_is_looked_up_before_it_is_skipped(rig: Rig) -> None:
    rig.campaign([trouble(164), trouble(163)])
    rig.drive(until=lambda: rig.states() == {"DOUBT_SENDING": 2}, jump=False)

    put(rig, f"sms|{trouble(164)}", f"sms|{trouble(163)}")
    rig.drive()

    assert rig.row(1).state is State.ACCEPTED, "it had been sent"
    assert (rig.row(2).state, rig.row(2).record.code) == (State.SKIPPED, Reason.SUPPRESSED)
    rig.judge()


@pytest.mark.parametrize(
    ("person", "settings", "code"),
    [
        pytest.param(trouble(181), {}, 21610, id="to the message"),
        pytest.param(customer(2), {"channel_failures": {"63014": 1}}, 63014, id="to the channel"),
    ],
)
def test_customer_of_whom_twilio_says_so_is_put_on_the_list(
    rig: Rig, person: str, settings: dict[str, Any], code: int
) -> None:
    rig.simulator.settings(**settings)
    rig.campaign([person])
    rig.drive()
    assert rig.row().record.code == code

    rig.simulator.settings(channel_failures={})
    rig.campaign([person, customer(1)], "summer-1")
    rig.drive("summer-1")

    (entry,) = the_list(rig).entries()
    assert (entry.channel, entry.address, entry.reason) == ("sms", person, f"Twilio {code}")
    assert rig.row(1, "summer-1").record.code == Reason.SUPPRESSED
    assert len(rig.simulator.journal("interaction")) == 2
    rig.judge()
