"""The do-not-contact list: plain, then as salted hashes; asked for by channel and by address."""

from datetime import UTC, datetime

from builders import LedgerRig

from worker.ledger.suppression import Suppressed, contact

DAY = datetime(2026, 3, 1, tzinfo=UTC)
ANN, BEN = contact("sms", "+12025550100"), contact("whatsapp", "whatsapp:+12025550101")


def test_fields_name_the_channel_and_any_channel() -> None:
    assert ANN == ("sms|+12025550100", "*|+12025550100")
    assert BEN == ("whatsapp|+12025550101", "*|+12025550101")
    assert contact("email", "Ann@Example.com")[0] == "email|ann@example.com"


def test_entry_of_a_channel_counts_there_and_one_of_any_channel_everywhere(rig: LedgerRig) -> None:
    assert rig.suppression.add([(ANN[0], "asked", DAY), (BEN[1], "asked", DAY)]) == 2

    found = rig.suppression.find(
        [ANN, contact("whatsapp", "+12025550100"), BEN, contact("sms", "+12025550101")]
    )

    assert found == [True, False, True, True]
    assert rig.suppression.find([]) == []


def test_entry_that_is_there_keeps_its_reason_and_date(rig: LedgerRig) -> None:
    rig.suppression.add([(ANN[0], "asked", DAY)])

    assert rig.suppression.add([(ANN[0], "again", datetime.now(UTC))]) == 0

    assert list(rig.suppression.entries()) == [Suppressed("sms", "+12025550100", "asked", DAY, ANN[0])]
    assert rig.suppression.remove([ANN[0], BEN[0]]) == 1
    assert rig.suppression.count() == 0


def test_hashed_list_answers_as_before_and_holds_no_address(rig: LedgerRig) -> None:
    rig.suppression.add([(ANN[0], "asked", DAY)])
    assert rig.suppression.hash() == 1
    rig.suppression.add([(BEN[0], "asked", DAY)])
    rig.load("spring-1", 1)
    rig.queue("spring-1")

    assert rig.suppression.is_hashed
    assert rig.suppression.find([ANN, BEN, contact("sms", "+12025550102")]) == [True, True, False]
    claim = rig.ledger.claim_opening("spring-1", 1, rig.claim(), rig.pair(), contact=ANN)
    assert claim.why == "suppressed"
    assert b"202555" not in b"".join(rig.client.hkeys(rig.suppression.key))
    assert {each.address for each in rig.suppression.entries()} == {""}
    assert rig.suppression.hash() == 0
    assert rig.suppression.remove([ANN[0]]) == 1
    assert rig.suppression.find([ANN, BEN]) == [False, True]


def test_list_that_is_only_half_hashed_misses_nobody(rig: LedgerRig) -> None:
    rig.suppression.add([(ANN[0], "asked", DAY), (BEN[0], "asked", DAY)])

    rig.suppression.scripts.run(
        "hash_suppressed", (rig.suppression.key,), {"salt": "5a17", "fields": [BEN[0]]}
    )

    assert rig.suppression.find([ANN, BEN]) == [True, True]
    rig.load("spring-1", 2)
    for row, who in ((1, ANN), (2, BEN)):
        rig.queue("spring-1", row)
        claim = rig.ledger.claim_opening("spring-1", row, rig.claim(), rig.pair(row), contact=who)
        assert claim.why == "suppressed"
