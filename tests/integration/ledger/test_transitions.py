"""Run every method of the ledger against a row in every state: the table is the specification."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from builders import LedgerRig, opened_sids, sid

from worker.ledger.ledger import Claim, LoadRow, Looks
from worker.ledger.row import pack_new
from worker.ledger.scripts import Reply
from worker.ledger.states import TRANSITIONS, Delivery, Reason, State
from worker.ledger.suppression import contact

ID = "spring-1"
CODE = 21211
CONTACT = contact("sms", "+12025550100")
Act = Callable[[LedgerRig, str], object]


@dataclass(frozen=True)
class Case:
    """A method with arguments, and the state it takes a row to from each state it takes it from."""

    method: str
    act: Act
    target: State | dict[State, State] | None = None
    before: Callable[[LedgerRig], object] | None = None

    def targets(self) -> dict[State, State]:
        """Tell source -> target; without a target a row stays in its state."""
        if isinstance(self.target, dict):
            return self.target
        sources = TRANSITIONS[self.method][0]
        return {source: source if self.target is None else self.target for source in sources}


def claim_of(rig: LedgerRig, token: str) -> Claim:
    """Give the claim of an OPEN row's holder; of another otherwise, for a repeat of a claim is no second one."""
    claim = rig.claim()
    return claim._replace(token=token) if rig.state(ID) is State.OPEN else claim


def pause(rig: LedgerRig) -> None:
    rig.registry.pause(ID, "operator")


def cancel(rig: LedgerRig) -> None:
    rig.registry.cancel(ID)


def undelivered(rig: LedgerRig) -> None:
    rig.ledger.note_delivery(ID, 1, sid("IM", 1), Delivery.UNDELIVERED, 30003)


def suppressed(rig: LedgerRig) -> None:
    rig.suppression.add([(CONTACT[1], "asked for it", datetime.now(UTC))])


def outlast(rig: LedgerRig) -> None:
    rig.clock.pass_ms(120_000)


S = State
CASES = {
    "dispatch": Case("dispatch", lambda g, t: g.ledger.dispatch(ID, fresh=9, old=9), S.QUEUED),
    "claim_opening": Case(
        "claim_opening", lambda g, t: g.ledger.claim_opening(ID, 1, g.claim(), g.pair()), S.OPENING
    ),
    "claim_opening, paused": Case(
        "claim_opening",
        lambda g, t: g.ledger.claim_opening(ID, 1, g.claim(), g.pair()),
        S.PENDING,
        before=pause,
    ),
    "claim_opening, cancelled": Case(
        "claim_opening",
        lambda g, t: g.ledger.claim_opening(ID, 1, g.claim(), g.pair()),
        S.CANCELLED,
        before=cancel,
    ),
    "claim_opening, suppressed": Case(
        "claim_opening",
        lambda g, t: g.ledger.claim_opening(ID, 1, g.claim(), g.pair(), contact=CONTACT),
        S.SKIPPED,
        before=suppressed,
    ),
    "claim_opening, cautious": Case(
        "claim_opening",
        lambda g, t: g.ledger.claim_opening(ID, 1, g.claim(), g.pair(), looks=Looks(always=True)),
        S.DOUBT_OPENING,
    ),
    "defer_queued": Case("defer_queued", lambda g, t: g.ledger.defer_queued(ID, 1, 5000), S.PENDING),
    "end_queued, skipped": Case(
        "end_queued", lambda g, t: g.ledger.end_queued(ID, 1, S.SKIPPED, Reason.SUPPRESSED), S.SKIPPED
    ),
    "end_queued, failed": Case(
        "end_queued", lambda g, t: g.ledger.end_queued(ID, 1, S.FAILED, Reason.UNREADABLE), S.FAILED
    ),
    "opened": Case("opened", lambda g, t: g.ledger.opened(ID, 1, t, **opened_sids(2)), S.OPEN),
    "defer_opening": Case(
        "defer_opening", lambda g, t: g.ledger.defer_opening(ID, 1, t, 5000, 429), S.PENDING
    ),
    "give_up_slot": Case(
        "give_up_slot",
        lambda g, t: g.ledger.give_up_slot(ID, 1, t, 0),
        {S.OPENING: S.PENDING, S.SENDING: S.OPEN},
    ),
    "reject_opening": Case(
        "reject_opening", lambda g, t: g.ledger.reject_opening(ID, 1, t, CODE, stop=False), S.FAILED
    ),
    "reject_opening, stop": Case(
        "reject_opening", lambda g, t: g.ledger.reject_opening(ID, 1, t, CODE, stop=True), S.PENDING
    ),
    "skip_opening": Case("skip_opening", lambda g, t: g.ledger.skip_opening(ID, 1, t, CODE), S.SKIPPED),
    "wait_opening": Case("wait_opening", lambda g, t: g.ledger.wait_opening(ID, 1, t, CODE, 9), S.PENDING),
    "doubt_opening": Case(
        "doubt_opening", lambda g, t: g.ledger.doubt_opening(ID, 1, t, 2000, 500), S.DOUBT_OPENING
    ),
    "take": Case("take", lambda g, t: g.ledger.take(ID, 1, g.claim()), before=outlast),
    "wait_open": Case("wait_open", lambda g, t: g.ledger.wait_open(ID, 1, t, 2000, counted=True)),
    "switch_interaction": Case(
        "switch_interaction", lambda g, t: g.ledger.switch_interaction(ID, 1, t, **opened_sids(2)), S.OPEN
    ),
    "use_conversation": Case(
        "use_conversation", lambda g, t: g.ledger.use_conversation(ID, 1, t, sid("CH", 9)), S.OPEN
    ),
    "abandon_open, failed": Case(
        "abandon_open", lambda g, t: g.ledger.abandon_open(ID, 1, t, S.FAILED, CODE), S.FAILED
    ),
    "abandon_open, skipped": Case(
        "abandon_open", lambda g, t: g.ledger.abandon_open(ID, 1, t, S.SKIPPED, CODE), S.SKIPPED
    ),
    "abandon_open, begun anew": Case(
        "abandon_open", lambda g, t: g.ledger.abandon_open(ID, 1, t, S.PENDING, CODE, waits=True), S.PENDING
    ),
    "claim_sending": Case(
        "claim_sending", lambda g, t: g.ledger.claim_sending(ID, 1, claim_of(g, t), sid("CH", 1)), S.SENDING
    ),
    "claim_sending, cautious": Case(
        "claim_sending",
        lambda g, t: g.ledger.claim_sending(ID, 1, claim_of(g, t), "", Looks(always=True)),
        S.DOUBT_SENDING,
    ),
    "claim_sending, suppressed": Case(
        "claim_sending",
        lambda g, t: g.ledger.claim_sending(ID, 1, claim_of(g, t), "", contact=CONTACT),
        S.SKIPPED,
        before=suppressed,
    ),
    "accepted": Case("accepted", lambda g, t: g.ledger.accepted(ID, 1, t, sid("IM", 1)), S.ACCEPTED),
    "defer_sending": Case("defer_sending", lambda g, t: g.ledger.defer_sending(ID, 1, t, 5000, 429), S.OPEN),
    "reject_sending": Case(
        "reject_sending", lambda g, t: g.ledger.reject_sending(ID, 1, t, CODE, stop=False), S.FAILED
    ),
    "reject_sending, stop": Case(
        "reject_sending", lambda g, t: g.ledger.reject_sending(ID, 1, t, CODE, stop=True), S.PENDING
    ),
    "reopen_sending": Case(
        "reopen_sending", lambda g, t: g.ledger.reopen_sending(ID, 1, t, CODE, 0), S.PENDING
    ),
    "doubt_sending": Case(
        "doubt_sending", lambda g, t: g.ledger.doubt_sending(ID, 1, t, 2000, 500), S.DOUBT_SENDING
    ),
    "look_again": Case("look_again", lambda g, t: g.ledger.look_again(ID, 1, t, 5000, empty=True, code=0)),
    "adopt_opening": Case(
        "adopt_opening", lambda g, t: g.ledger.adopt_opening(ID, 1, t, **opened_sids(9)), S.OPEN
    ),
    "absent_opening": Case(
        "absent_opening",
        lambda g, t: g.ledger.absent_opening(ID, 1, t, 0, max_attempts=5, code=Reason.NO_ANSWER),
        S.PENDING,
    ),
    "absent_opening, cancelled": Case(
        "absent_opening",
        lambda g, t: g.ledger.absent_opening(ID, 1, t, 0, max_attempts=5, code=Reason.NO_ANSWER),
        S.CANCELLED,
        before=cancel,
    ),
    "absent_opening, given up": Case(
        "absent_opening",
        lambda g, t: g.ledger.absent_opening(ID, 1, t, 0, max_attempts=1, code=Reason.NO_ANSWER),
        S.FAILED,
    ),
    "adopt_sent": Case(
        "adopt_sent",
        lambda g, t: g.ledger.adopt_sent(
            ID, 1, t, send=2, message=sid("IM", 1), conversation=sid("CH", 9), interaction=""
        ),
        S.ACCEPTED,
    ),
    "adopt_sending": Case(
        "adopt_sending", lambda g, t: g.ledger.adopt_sending(ID, 1, t, sid("IM", 1)), S.ACCEPTED
    ),
    "absent_sending": Case(
        "absent_sending",
        lambda g, t: g.ledger.absent_sending(ID, 1, t, 0, max_attempts=5, code=Reason.NO_ANSWER),
        S.OPEN,
    ),
    "absent_sending, given up": Case(
        "absent_sending",
        lambda g, t: g.ledger.absent_sending(ID, 1, t, 0, max_attempts=1, code=Reason.NO_ANSWER),
        S.FAILED,
    ),
    "absent_sending, given up as 19 before": Case(
        "absent_sending",
        lambda g, t: g.ledger.absent_sending(ID, 1, t, 0, max_attempts=1, code=Reason.NO_ANSWER),
        S.PENDING,
        before=lambda g: g.client.hset(
            g.ledger.key(ID), mapping={"streak_code": int(Reason.NO_ANSWER), "streak_n": 19}
        ),
    ),
    "review": Case("review", lambda g, t: g.ledger.review(ID, 1, t, Reason.LOOKUPS_FAILED), S.NEEDS_REVIEW),
    "expire": Case(
        "expire",
        lambda g, t: g.ledger.expire(ID, 1, 2000, Reason.WORKER_LOST),
        {
            S.OPENING: S.DOUBT_OPENING,
            S.SENDING: S.DOUBT_SENDING,
            S.OPEN: S.OPEN,
            S.DOUBT_OPENING: S.DOUBT_OPENING,
            S.DOUBT_SENDING: S.DOUBT_SENDING,
        },
        outlast,
    ),
    "rescue_queued": Case("rescue_queued", lambda g, t: g.ledger.rescue_queued(ID, older_ms=0), S.PENDING),
    "cancel_rows": Case("cancel_rows", lambda g, t: g.ledger.cancel_rows(ID), S.CANCELLED, before=cancel),
    "new_send": Case("new_send", lambda g, t: g.ledger.new_send(ID, 1, 1), {S.FAILED: S.PENDING}),
    "new_send, undelivered": Case(
        "new_send",
        lambda g, t: g.ledger.new_send(ID, 1, 1),
        {S.ACCEPTED: S.PENDING, S.FAILED: S.PENDING},
        before=undelivered,
    ),
    "note_delivery": Case(
        "note_delivery", lambda g, t: g.ledger.note_delivery(ID, 1, sid("IM", 1), Delivery.READ)
    ),
    "note_answer": Case("note_answer", lambda g, t: g.ledger.note_answer(ID, 1, g.clock())),
    "verdict, sent": Case(
        "verdict", lambda g, t: g.ledger.verdict(ID, 1, 1, "sent", message=sid("IM", 1)), S.ACCEPTED
    ),
    "verdict, sent without a proof": Case(
        "verdict",
        lambda g, t: g.ledger.verdict(ID, 1, 1, "sent", code=Reason.SENT_SAYS_OPERATOR),
        S.NEEDS_REVIEW,
    ),
    "verdict, not sent, cancelled": Case(
        "verdict", lambda g, t: g.ledger.verdict(ID, 1, 1, "not_sent"), S.CANCELLED, before=cancel
    ),
    "verdict, not sent": Case("verdict", lambda g, t: g.ledger.verdict(ID, 1, 1, "not_sent"), S.PENDING),
}
NAMES_A_TOKEN = (
    "opened",
    "defer_opening",
    "give_up_slot",
    "reject_opening",
    "reject_opening, stop",
    "skip_opening",
    "wait_opening",
    "doubt_opening",
    "wait_open",
    "use_conversation",
    "switch_interaction",
    "abandon_open, failed",
    "abandon_open, skipped",
    "abandon_open, begun anew",
    "claim_sending",
    "claim_sending, cautious",
    "claim_sending, suppressed",
    "accepted",
    "defer_sending",
    "reject_sending",
    "reject_sending, stop",
    "reopen_sending",
    "doubt_sending",
    "look_again",
    "adopt_opening",
    "absent_opening",
    "absent_sending",
    "adopt_sent",
    "adopt_sending",
    "review",
)


def given_row(rig: LedgerRig, state: State) -> str:
    """Load a row, bring it into `state`, give its holder's token; another row keeps the campaign unfinished."""
    loaded = {1: state} if state is State.INVALID else {}
    rig.load(ID, 2, loaded)
    token = rig.bring(ID, state)
    if state is not State.CANCELLED:
        rig.ledger.dispatch(ID, fresh=9, old=0)
        if rig.state(ID) is not state:  # a PENDING row is queued by that as well
            assert rig.ledger.defer_queued(ID, 1, 0).ok
    return token


def is_refused(answer: object) -> bool:
    return isinstance(answer, Reply) and not answer.ok


def test_every_line_of_the_table_has_its_case() -> None:
    """Keep the cases complete, both ways."""
    seen: dict[str, tuple[set[State], set[State]]] = {}
    for case in CASES.values():
        sources, targets = seen.setdefault(case.method, (set(), set()))
        sources.update(case.targets())
        targets.update(case.targets().values())

    assert {m: (frozenset(s), frozenset(t)) for m, (s, t) in seen.items()} == TRANSITIONS


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("name", CASES)
def test_method_moves_a_row_as_the_table_says_or_changes_nothing(
    rig: LedgerRig, name: str, state: State
) -> None:
    case = CASES[name]
    token = given_row(rig, state)
    if case.before:
        case.before(rig)
    before, other = rig.dump(), rig.state(ID, 2)

    answer = case.act(rig, token)

    if state in case.targets():
        assert rig.state(ID) is case.targets()[state], answer
    elif isinstance(answer, Reply) and case.method != "cancel_rows":
        assert not answer.ok
        assert rig.dump() == before
    else:
        assert rig.state(ID) is state
        if other is rig.state(ID, 2):
            assert rig.dump() == before


@pytest.mark.parametrize("name", NAMES_A_TOKEN)
def test_method_with_a_stale_token_changes_nothing(rig: LedgerRig, name: str) -> None:
    for state in CASES[name].targets():
        rig.client.flushall()
        rig.load(ID, 1)
        token = rig.bring(ID, state)
        before = rig.dump()

        answers = [CASES[name].act(rig, stale) for stale in ("", f"{token}0", "token-0")]

        assert all(is_refused(answer) for answer in answers)
        assert rig.dump() == before


@pytest.mark.parametrize("name", NAMES_A_TOKEN)
def test_holder_who_lost_the_row_to_another_changes_nothing(rig: LedgerRig, name: str) -> None:
    for state in CASES[name].targets():
        rig.client.flushall()
        rig.load(ID, 1)
        stale = rig.bring(ID, state)
        rig.clock.pass_ms(120_000)
        assert rig.ledger.expire(ID, 1, 0, Reason.WORKER_LOST).ok
        rig.take(ID)
        before = rig.dump()

        assert is_refused(CASES[name].act(rig, stale))

        assert rig.dump() == before


def test_claim_whose_answer_was_lost_is_answered_again(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    claim = rig.claim()
    rig.opening(ID, 1, claim)
    story = rig.row(ID).record.story

    assert rig.ledger.claim_opening(ID, 1, claim, rig.pair()).ok
    assert rig.row(ID).record.story == story
    assert rig.ledger.opened(ID, 1, claim.token, **opened_sids()).ok
    assert rig.ledger.opened(ID, 1, claim.token, **opened_sids()).ok
    assert rig.ledger.take(ID, 1, claim).ok
    for _ in range(2):
        assert rig.ledger.claim_sending(ID, 1, claim, sid("CH", 1)).ok

    assert [each.event.name for each in rig.row(ID).record.story] == ["OPENING", "OPENED", "SENDING"]
    assert rig.row(ID).record.attempts == 1


def test_adoption_whose_answer_was_lost_is_answered_again(rig: LedgerRig) -> None:
    rig.load(ID, 1)
    token = rig.doubt(ID)
    assert rig.ledger.adopt_opening(ID, 1, token, **opened_sids()).ok
    before = rig.dump()

    assert rig.ledger.adopt_opening(ID, 1, token, **opened_sids()).ok
    assert not rig.ledger.adopt_opening(ID, 1, token, **opened_sids(2)).ok

    # A second seq or event would tell of a second adoption; refused, its holder would keep it till its lease is over.
    assert rig.dump() == before


def test_row_that_is_not_there_is_refused_by_every_method(rig: LedgerRig) -> None:
    rig.load(ID, 1, {1: S.INVALID})
    before = rig.dump()

    for method in (
        lambda: rig.ledger.claim_opening(ID, 7, rig.claim(), rig.pair(7)),
        lambda: rig.ledger.take(ID, 7, rig.claim()),
        lambda: rig.ledger.accepted(ID, 7, "token", sid("IM", 7)),
        lambda: rig.ledger.expire(ID, 7, 0, 0),
        lambda: rig.ledger.new_send(ID, 7, 1),
        lambda: rig.ledger.verdict(ID, 7, 1, "sent"),
        lambda: rig.ledger.defer_queued(ID, 7, 0),
    ):
        assert is_refused(method())

    assert rig.dump() == before
    with pytest.raises(KeyError):
        rig.row(ID, 7)


@pytest.mark.parametrize("malformed", ["KD123", "x" * 34, "KD" + "g" * 32])
def test_malformed_sid_changes_nothing(rig: LedgerRig, malformed: str) -> None:
    rig.load(ID, 1)
    token = rig.bring(ID, S.OPENING)
    before = rig.dump()

    with pytest.raises(Exception, match="SID"):
        rig.ledger.opened(ID, 1, token, **(opened_sids() | {"interaction": malformed}))

    assert rig.dump() == before


def test_a_record_is_loaded_as_it_was_packed(rig: LedgerRig) -> None:
    rig.load(ID, 0, start=False)
    record = pack_new(S.SKIPPED, b"addresss", Reason.DUPLICATE, 70_000)

    rig.ledger.load_rows(ID, 1, [LoadRow(("Zoë", "=1+1"), record)])

    row = rig.row(ID)
    assert (row.state, row.record.code, row.record.arg) == (S.SKIPPED, Reason.DUPLICATE, 70_000)
    assert (row.record.address_hash, row.cells) == (b"addresss", ("Zoë", "=1+1"))
