"""A changed definition applies to the rows that are not opened yet, and to no other."""

from pipeline_bench import Rig, phone, sms

from campaigns.definition import parse_definition
from worker.pipeline.bench import Workbench


def update(rig: Rig, body: str) -> None:
    """Change the campaign's message, and let the worker see it."""
    changed = parse_definition(sms().replace("Hello {{ name }}", body), "campaign.toml")
    info = rig.info()
    assert rig.registry.update_definition("spring-1", changed.canonical_json(), info.version).ok
    skip_a_second(rig.bench)


def skip_a_second(bench: Workbench) -> None:
    clock = bench.clock
    bench.clock = lambda: clock() + 1.1


def test_opened_row_keeps_the_definition_it_was_opened_with(rig: Rig) -> None:
    rig.simulator.settings(setup_ms=300)
    rig.campaign([phone(1), phone(2)])
    rig.ledger.dispatch("spring-1", fresh=1, old=0)
    rig.work([("send_rows", "spring-1", [1])])
    assert rig.states() == {"OPEN": 1, "PENDING": 1}

    update(rig, "Goodbye {{ name }}")
    rig.drive(jump=False)

    bodies = {message["key"]: message["body"] for message in rig.simulator.journal("message")}
    assert bodies == {"spring-1:1:1": "Hello Ann", "spring-1:2:1": "Goodbye Ann"}
    rig.judge()


def test_row_in_doubt_is_looked_up_where_it_was_opened(rig: Rig) -> None:
    rig.simulator.settings(fault={"500_after": 1.0})
    rig.campaign([phone(1)])
    rig.ledger.dispatch("spring-1", fresh=1, old=0)
    rig.work([("send_rows", "spring-1", [1])])
    assert rig.states() == {"DOUBT_OPENING": 1}
    rig.simulator.settings(fault={})

    update(rig, "Goodbye {{ name }}")
    rig.drive()

    (message,) = rig.simulator.journal("message")
    assert message["body"] == "Hello Ann"
    rig.judge()
