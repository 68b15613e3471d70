"""Tell whether every row that is not accepted has words that name what happened and what to do."""

from datetime import UTC, datetime

import pytest

from worker.gateway.codes import table
from worker.ledger.row import Record, Story
from worker.ledger.states import Event, Reason, State
from worker.pipeline.reasons import REASONS, Words, code_words, is_worth_retrying, words_of

ID = "renewals-1a2b3c4d"
AT = datetime(2026, 11, 22, 14, 3, 22, tzinfo=UTC)
CONVERSATION = "CH" + "0" * 31 + "7"


def words(state: State, note: tuple[str, str, str] | None = None, **record: object) -> Words:
    return words_of(Record(state, **record), note, ID, 7)  # type: ignore[arg-type]


def test_every_reason_has_words() -> None:
    assert set(REASONS) == set(Reason)
    for entry in REASONS.values():
        assert entry.code
        assert entry.sentence.endswith(".")
        assert entry.advice.endswith(".")


def test_accepted_row_needs_no_words() -> None:
    assert words(State.ACCEPTED) == Words()


@pytest.mark.parametrize("state", set(State) - {State.ACCEPTED})
def test_every_other_row_has_a_sentence_and_an_advice(state: State) -> None:
    seen = words(state, code=21211)

    assert seen.sentence
    assert seen.advice


def test_duplicate_names_the_first_row() -> None:
    seen = words(State.SKIPPED, code=Reason.DUPLICATE, arg=3)

    assert (seen.code, seen.sentence) == ("duplicate", "Row 3 has the same address.")
    assert "row 3" in seen.advice


def test_invalid_row_has_its_own_words() -> None:
    note = ("bad_number", "No number.", "Correct it.")

    assert words(State.INVALID, note, code=Reason.INVALID) == Words(*note)


def test_twilios_code_has_the_sentence_of_the_table() -> None:
    code, entry = next(iter(table().items()))

    assert words(State.FAILED, code=code) == Words(str(code), entry.sentence, entry.advice)


def test_unknown_codes_still_have_words() -> None:
    assert "99999" in code_words(99_999).sentence
    assert code_words(98).code == "unknown"


def test_row_in_review_says_where_to_look_with_its_conversation() -> None:
    seen = words(
        State.NEEDS_REVIEW,
        code=Reason.LOOKUPS_FAILED,
        arg=State.DOUBT_SENDING,
        conversation_sid=CONVERSATION,
        send=2,
    )

    assert seen.code == "lookups_failed"
    assert "message was lost" in seen.sentence
    assert CONVERSATION in seen.advice
    assert f"{ID}:7:2" in seen.advice
    assert f"outreach review {ID} --row 7" in seen.advice


def test_row_in_review_without_a_conversation_says_to_look_by_address() -> None:
    seen = words(State.NEEDS_REVIEW, code=Reason.LOOKUPS_FAILED, arg=State.DOUBT_OPENING)

    assert "Interaction was lost" in seen.sentence
    assert "address" in seen.advice
    assert f"{ID}:7:1" in seen.advice


def test_operators_word_without_proof_is_the_reason() -> None:
    seen = words(State.NEEDS_REVIEW, code=Reason.SENT_SAYS_OPERATOR, arg=State.DOUBT_SENDING)

    assert seen.code == "sent_says_operator"
    assert "operator" in seen.sentence


def test_row_that_was_put_off_says_for_what() -> None:
    seen = words(State.PENDING, story=(Story(Event.OPENING_DEFERRED, AT, Reason.NOT_REACHED),))

    assert seen.code == "not_reached"
    assert seen.sentence == "Put off until its next turn. Twilio could not be reached."


def test_row_that_was_looked_up_and_not_found_waits_for_its_next_turn() -> None:
    seen = words(State.PENDING, story=(Story(Event.ABSENT_OPEN, AT, 0),))

    assert "next turn" in seen.sentence


def test_row_that_a_changed_definition_does_not_fit_says_so() -> None:
    seen = words(State.FAILED, code=Reason.INVALID)

    assert "definition" in seen.sentence
    assert f"outreach retry {ID} --row 7" in seen.advice


def test_row_with_a_new_send_only_waits_for_its_turn() -> None:
    seen = words(State.PENDING, story=(Story(Event.NEW_SEND, AT, 0),))

    assert (seen.code, seen.sentence) == ("", "It has not been its turn yet.")


@pytest.mark.parametrize(
    ("code", "worth"),
    [
        (Reason.NO_ANSWER, True),
        (Reason.CHANNEL_TIMEOUT, True),
        (Reason.INVALID, False),
        (Reason.NONE, False),
        (21211, False),
    ],
)
def test_only_what_may_pass_is_worth_a_retry(code: int, worth: bool) -> None:
    assert is_worth_retrying(code) is worth


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (Reason.WINDOW, "Put off until the customer's window opens, at 2026-11-23 08:00 in Europe/London."),
        (Reason.NOT_REACHED, "Put off until its next turn. Twilio could not be reached."),
    ],
)
def test_row_that_waits_for_its_window_says_until_when(code: Reason, sentence: str) -> None:
    record = Record(State.PENDING, story=(Story(Event.WAITING, AT, code),))

    assert words_of(record, None, ID, 7, "2026-11-23 08:00 in Europe/London").sentence == sentence
