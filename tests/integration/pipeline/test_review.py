"""Tell whether an operator's verdict is believed only as far as Twilio bears it out."""

import time
from collections.abc import Iterator

import pytest
import redis
from gateway_builders import http_client
from intake_desk import ACCOUNT, Desk, phone
from simulator_process import SimulatorProcess

from campaigns.recipients import Recipient
from worker.errors import NotFoundError, RefusedHereError
from worker.gateway.caller import Credentials
from worker.gateway.outcome import Accepted
from worker.gateway.seen import ConversationSeen
from worker.gateway.twilio import TwilioGateway
from worker.ledger.states import Reason, State
from worker.pipeline import review
from worker.pipeline.bench import Workbench


@pytest.fixture
def gateway(simulator: SimulatorProcess) -> Iterator[TwilioGateway]:
    """Give a gateway to the simulator."""
    http = http_client(simulator.url)
    yield TwilioGateway(Credentials(account_sid=ACCOUNT, auth_token="secret"), http, time.time)
    http.close()


@pytest.fixture
def bench(desk: Desk, gateway: TwilioGateway) -> Workbench:
    """Give a workbench that may ask the simulator."""
    return desk.bench(gateway)


@pytest.fixture
def campaign_id(desk: Desk) -> str:
    """Give a campaign whose first row needs review, its conversation unknown, and whose second was accepted."""
    made = desk.begin(2)
    token = desk.rig.doubt(made, 1)
    desk.ledger.review(made, 1, token, int(Reason.LOOKUPS_FAILED))
    desk.rig.accept(made, 2)
    return made


def send(bench: Workbench, campaign_id: str) -> str:
    """Have row 1's message at Twilio, as if the answers had been lost; its SID."""
    loaded = bench.campaign(campaign_id)
    recipient = loaded.compiled.recipient(1, (phone(1), "Ann 1"))
    assert isinstance(recipient, Recipient)
    opened = bench.gateway.create_interaction(recipient, loaded.key(1, 1))
    assert isinstance(opened, Accepted)
    conversation = opened.value.conversation_sid
    assert conversation
    deadline = time.monotonic() + 60
    while bench.gateway.has_participant(conversation, recipient.address) != Accepted(True):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    sent = bench.gateway.create_message(conversation, recipient.message, loaded.key(1, 1))
    assert isinstance(sent, Accepted)
    return sent.value


def test_list_names_the_row_the_key_and_where_to_look(bench: Workbench, campaign_id: str) -> None:
    (row,) = review.find_rows(bench, campaign_id)

    assert (row.row, row.key, row.address) == (1, f"{campaign_id}:1:1", phone(1))
    assert row.key in row.words.advice
    assert phone(1) not in repr(row)


def test_sent_with_the_right_message_is_accepted(desk: Desk, bench: Workbench, campaign_id: str) -> None:
    message_sid = send(bench, campaign_id)

    verdict = review.judge_sent(bench, campaign_id, 1, message_sid)

    assert (verdict.status, verdict.message_sid) == ("accepted", message_sid)
    record = desk.ledger.get_row(campaign_id, 1).record
    assert (record.state, record.message_sid) == (State.ACCEPTED, message_sid)
    assert record.conversation_sid


def test_sent_without_naming_the_message_is_accepted_where_twilio_shows_it(
    bench: Workbench, campaign_id: str
) -> None:
    message_sid = send(bench, campaign_id)

    assert review.judge_sent(bench, campaign_id, 1).message_sid == message_sid


def test_sent_with_a_message_that_twilio_does_not_show_changes_nothing(
    desk: Desk, bench: Workbench, campaign_id: str
) -> None:
    with pytest.raises(RefusedHereError, match="shows no message with the key"):
        review.judge_sent(bench, campaign_id, 1, "IM" + "0" * 32)

    assert desk.ledger.get_row(campaign_id, 1).record.code == Reason.LOOKUPS_FAILED


def test_sent_with_another_message_than_ours_names_the_right_one(bench: Workbench, campaign_id: str) -> None:
    message_sid = send(bench, campaign_id)

    with pytest.raises(RefusedHereError, match=message_sid):
        review.judge_sent(bench, campaign_id, 1, "IM" + "0" * 32)


def test_sent_without_proof_stays_with_the_verdict_as_its_reason(
    desk: Desk, bench: Workbench, campaign_id: str
) -> None:
    verdict = review.judge_sent(bench, campaign_id, 1)

    assert verdict.status == "needs_review"
    (row, _) = desk.results(campaign_id)
    assert row["outreach_status"] == "needs_review"
    assert row["outreach_code"] == "sent_says_operator"
    assert row["message_sid"] == ""


def test_not_sent_begins_a_new_send(desk: Desk, bench: Workbench, campaign_id: str) -> None:
    desk.registry.set_active(campaign_id, active=False)

    verdict = review.judge_not_sent(bench, campaign_id, 1)

    assert verdict.status == "pending"
    record = desk.ledger.get_row(campaign_id, 1).record
    assert (record.state, record.send) == (State.PENDING, 2)
    assert desk.registry.active() == [campaign_id]


def test_not_sent_is_refused_where_twilio_shows_the_message(
    desk: Desk, bench: Workbench, campaign_id: str
) -> None:
    message_sid = send(bench, campaign_id)

    with pytest.raises(RefusedHereError, match=f"Twilio has the message {message_sid}"):
        review.judge_not_sent(bench, campaign_id, 1)

    assert desk.rig.state(campaign_id, 1) is State.NEEDS_REVIEW


def test_twilio_that_does_not_answer_leaves_it_to_the_operators_word(
    desk: Desk, bench: Workbench, campaign_id: str, simulator: SimulatorProcess
) -> None:
    simulator.settings(forbidden={"GET conversations/v1/ParticipantConversations": 403})

    with pytest.raises(RefusedHereError, match="could not be asked"):
        review.judge_sent(bench, campaign_id, 1, "IM" + "0" * 32)
    verdict = review.judge_sent(bench, campaign_id, 1)

    assert verdict.status == "needs_review"
    assert "could not be asked" in verdict.sentence


def test_message_is_looked_for_in_the_rows_own_conversation(desk: Desk, bench: Workbench) -> None:
    campaign_id = desk.begin(2)
    desk.rig.bring(campaign_id, State.NEEDS_REVIEW, 1)
    desk.rig.bring(campaign_id, State.NEEDS_REVIEW, 2)

    first, second = review.find_rows(bench, campaign_id)
    verdict = review.judge_sent(bench, campaign_id, 1)

    assert first.record.conversation_sid in first.words.advice
    assert second.row == 2
    assert verdict.status == "needs_review"  # Twilio knows no such conversation, which proves nothing


def test_row_that_cannot_be_read_any_more_is_left_to_the_operators_word(desk: Desk, bench: Workbench) -> None:
    campaign_id = desk.begin(1)
    token = desk.rig.doubt(campaign_id, 1)
    desk.ledger.review(campaign_id, 1, token, int(Reason.LOOKUPS_FAILED))
    desk.client.hset(desk.ledger.key(campaign_id, "in:0"), "0", '["nobody", "Ann"]')

    (row,) = review.find_rows(bench, campaign_id)
    verdict = review.judge_sent(bench, campaign_id, 1)

    assert row.address == ""
    assert "could not be asked" in verdict.sentence


def test_all_conversations_of_the_customer_are_searched(
    desk: Desk, bench: Workbench, campaign_id: str, simulator: SimulatorProcess
) -> None:
    simulator.occupy(phone(1), "+12025550199", ACCOUNT)
    simulator.occupy(phone(1), "+12025550188", ACCOUNT)

    verdict = review.judge_sent(bench, campaign_id, 1)

    assert "shows no message with the key" in verdict.sentence


def test_verdict_that_comes_second_is_told(desk: Desk, bench: Workbench, campaign_id: str) -> None:
    seen = bench.ledger.get_row(campaign_id, 1).record
    bench.ledger.verdict(campaign_id, 1, seen.send, "not_sent")

    with pytest.raises(RefusedHereError, match="needs no review"):
        review._record(bench, campaign_id, 1, seen, "sent", review._Proof())


def test_row_that_needs_no_review_is_not_judged(bench: Workbench, campaign_id: str) -> None:
    with pytest.raises(RefusedHereError, match="needs no review"):
        review.judge_sent(bench, campaign_id, 2)
    with pytest.raises(NotFoundError):
        review.judge_not_sent(bench, campaign_id, 3)
    with pytest.raises(RefusedHereError, match="message SID"):
        review.judge_sent(bench, campaign_id, 1, "hello")


def test_campaign_without_such_rows_has_an_empty_list(
    desk: Desk, bench: Workbench, redis_client: "redis.Redis"
) -> None:
    assert list(review.find_rows(bench, desk.begin(1))) == []


def test_chat_customer_is_looked_for_by_identity(
    desk: Desk, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = desk.definition()
    chat.write_text(
        chat.read_text()
        .replace('"sms"', '"chat"')
        .replace('from = "+12025550199"\n', "")
        .replace("{{ phone }}", "{{ name }}")
    )
    made = desk.take_in(chat, desk.customers([("", "ann-1")])).campaign_id
    desk.ledger.review(made, 1, desk.rig.doubt(made, 1), int(Reason.LOOKUPS_FAILED))
    asked: list[str] = []

    def note(_: TwilioGateway, identity: str) -> Accepted[list[ConversationSeen]]:
        asked.append(identity)
        return Accepted([])

    monkeypatch.setattr(TwilioGateway, "find_conversations_of_identity", note)

    review.judge_not_sent(bench, made, 1)

    assert asked == ["ann-1"]
