"""Tell whether a definition and a file become one campaign, whole, whoever is killed and whatever is repeated."""

import threading
from pathlib import Path

import pytest
from intake_desk import Desk, phone

from campaigns.problems import RefusedError
from worker.errors import RefusedHereError
from worker.ledger.states import Reason, State
from worker.pipeline.intake import carry_out

ROWS = 200


def states(desk: Desk, campaign_id: str) -> list[State]:
    info = desk.registry.get(campaign_id)
    return [record.state for _, record, _, _ in desk.ledger.iter_rows(campaign_id, info.rows)]


def test_new_file_is_loaded_whole_and_started(desk: Desk) -> None:
    definition, customers = desk.definition(), desk.customers(ROWS)

    done = desk.take_in(definition, customers)

    assert done.what == "new"
    assert done.rows == ROWS
    assert done.counts["pending"] == ROWS
    info = desk.registry.get(done.campaign_id)
    assert info.stands == "running"
    assert info.columns == ("phone", "name")
    assert info.file == "customers.csv"
    assert states(desk, done.campaign_id) == [State.PENDING] * ROWS


def test_bad_rows_are_kept_with_their_words_and_stop_nobody(desk: Desk) -> None:
    customers = desk.customers([(phone(1), "Ann"), ("12", "Bob"), (phone(1), "Ann again"), (phone(2), "Cem")])

    done = desk.take_in(desk.definition(), customers)

    assert states(desk, done.campaign_id) == [State.PENDING, State.INVALID, State.SKIPPED, State.PENDING]
    assert done.counts["invalid"] == done.counts["skipped"] == 1
    code, sentence, advice = desk.ledger.get_note(done.campaign_id, 2) or ("", "", "")
    assert code == "bad_number"
    assert sentence.endswith(".")
    assert advice.endswith(".")
    skipped = desk.ledger.get_row(done.campaign_id, 3).record
    assert (skipped.code, skipped.arg) == (Reason.DUPLICATE, 1)
    assert done.problem_count == len(done.problems) == 2


def test_the_same_again_goes_on_and_loads_nothing(desk: Desk) -> None:
    definition, customers = desk.definition(), desk.customers(3)
    first = desk.take_in(definition, customers)
    desk.rig.accept(first.campaign_id, 1)

    second = desk.take_in(definition, customers)

    assert (second.what, second.campaign_id) == ("unfinished", first.campaign_id)
    assert second.counts["accepted"] == 1
    assert len(desk.registry.ids()) == 1


def test_same_file_under_another_path_is_the_same_campaign(desk: Desk) -> None:
    first = desk.take_in(desk.definition(), desk.customers(3))

    second = desk.take_in(desk.definition(), desk.customers(3, file="copy.csv"))

    assert second.campaign_id == first.campaign_id


def test_finished_campaign_is_said_to_be_and_sends_nothing(desk: Desk) -> None:
    definition, customers = desk.definition(), desk.customers(3)
    first = desk.take_in(definition, customers)
    desk.accept_all(first.campaign_id)

    second = desk.take_in(definition, customers)

    assert second.what == "finished"
    assert second.counts["accepted"] == 3
    assert desk.registry.ids() == [first.campaign_id]


def test_cancelled_campaign_is_said_to_be(desk: Desk) -> None:
    definition, customers = desk.definition(), desk.customers(3)
    first = desk.take_in(definition, customers)
    desk.registry.cancel(first.campaign_id)

    assert desk.take_in(definition, customers).what == "cancelled"


def test_again_begins_a_new_campaign_that_leaves_nobody_out(desk: Desk) -> None:
    definition, customers = desk.definition(), desk.customers(3)
    first = desk.take_in(definition, customers)
    desk.accept_all(first.campaign_id)

    second = desk.take_in(definition, customers, again=True)
    third = desk.take_in(definition, customers)

    assert second.what == "new"
    assert second.campaign_id != first.campaign_id
    assert second.counts["pending"] == 3
    assert (third.what, third.campaign_id) == ("unfinished", second.campaign_id)


def test_again_on_an_unfinished_campaign_goes_on_with_it_and_says_so(desk: Desk) -> None:
    definition, customers = desk.definition(), desk.customers(3)
    first = desk.take_in(definition, customers, again=True)

    second = desk.take_in(definition, customers, again=True)

    assert (second.what, second.campaign_id) == ("unfinished", first.campaign_id)
    assert "--again" in second.warnings[0].what


def test_changed_definition_is_refused_with_the_difference(desk: Desk) -> None:
    customers = desk.customers(3)
    first = desk.take_in(desk.definition(body="Hello"), customers)

    with pytest.raises(RefusedError, match=r"message.body: 'Hello' -> 'Good day'.*--update"):
        desk.take_in(desk.definition(body="Good day"), customers)

    assert '"Hello"' in desk.registry.get(first.campaign_id).definition


def test_update_applies_a_changed_definition(desk: Desk) -> None:
    customers = desk.customers(3)
    first = desk.take_in(desk.definition(body="Hello"), customers)

    done = desk.take_in(desk.definition(body="Good day"), customers, update=True)

    assert (done.what, done.campaign_id) == ("updated", first.campaign_id)
    assert done.difference == ("message.body: 'Hello' -> 'Good day'",)
    info = desk.registry.get(first.campaign_id)
    assert '"Good day"' in info.definition
    assert info.version == 2


def test_update_never_changes_who_is_contacted(desk: Desk) -> None:
    customers = desk.customers([(phone(1), phone(2))], header="phone,mobile")
    desk.take_in(desk.definition(), customers)
    other = desk.definition()
    other.write_text(other.read_text().replace("{{ phone }}", "{{ mobile }}"))

    with pytest.raises(RefusedError, match="cannot change"):
        desk.take_in(other, customers, update=True)


def follow_ups(*texts: str) -> str:
    return "".join(f'[[follow_up]]\nafter = "1d"\nbody = "{text}"\n' for text in texts)


@pytest.mark.parametrize("changed", [("Then", "Then"), ("Then",), ("New", "First", "Then")])
def test_update_gives_no_follow_up_another_place_once_they_have_begun(
    desk: Desk, changed: tuple[str, ...]
) -> None:
    customers, before = desk.customers(2), follow_ups("First", "Then")
    campaign_id = desk.take_in(desk.definition(rest=before), customers).campaign_id
    assert desk.ledger.create_wave(f"{campaign_id}.f1-1", "{}").ok

    if changed == ("Then", "Then"):  # the first with other words
        desk.take_in(desk.definition(rest=follow_ups(*changed, "Last")), customers, update=True)
    else:
        with pytest.raises(RefusedError, match="now, and follow-ups of"):
            desk.take_in(desk.definition(rest=follow_ups(*changed)), customers, update=True)


def test_update_that_no_row_can_be_sent_with_is_refused_and_applied_to_none(desk: Desk) -> None:
    customers = desk.customers([(phone(1), "")])
    first = desk.take_in(desk.definition(), customers)

    with pytest.raises(RefusedError, match="no row can be sent"):
        desk.take_in(
            desk.definition(body="Hello {{{{ name }}}}".replace("{{{{", "{{").replace("}}}}", "}}")),
            customers,
            update=True,
        )

    assert desk.registry.get(first.campaign_id).version == 1


def test_changed_definition_of_a_finished_campaign_is_only_told(desk: Desk) -> None:
    customers = desk.customers(1)
    first = desk.take_in(desk.definition(), customers)
    desk.accept_all(first.campaign_id)

    done = desk.take_in(desk.definition(body="Good day"), customers)

    assert done.what == "finished"
    assert "another definition" in done.warnings[0].what


def test_edited_file_skips_whom_an_earlier_campaign_of_the_name_reached(desk: Desk) -> None:
    first = desk.take_in(desk.definition(), desk.customers(3))
    desk.rig.accept(first.campaign_id, 1)
    desk.rig.reject(first.campaign_id, 2)
    desk.rig.reject(first.campaign_id, 3)

    second = desk.take_in(desk.definition(), desk.customers(4))

    assert second.what == "new"
    assert states(desk, second.campaign_id) == [State.SKIPPED, State.PENDING, State.PENDING, State.PENDING]
    assert desk.ledger.get_row(second.campaign_id, 1).record.code == Reason.ALREADY_CONTACTED


def test_edited_file_is_refused_while_the_earlier_one_is_being_sent(desk: Desk) -> None:
    first = desk.take_in(desk.definition(), desk.customers(3))
    desk.rig.accept(first.campaign_id, 1)

    with pytest.raises(RefusedError, match=rf"unfinished: {first.campaign_id} \(rows left: 2\)"):
        desk.take_in(desk.definition(), desk.customers(4))

    assert desk.registry.ids() == [first.campaign_id]


def test_cancelled_campaign_stands_in_nobodys_way(desk: Desk) -> None:
    first = desk.take_in(desk.definition(), desk.customers(3))
    desk.rig.accept(first.campaign_id, 1)
    assert desk.registry.cancel(first.campaign_id).ok

    second = desk.take_in(desk.definition(), desk.customers(4))

    assert states(desk, second.campaign_id) == [State.SKIPPED, State.PENDING, State.PENDING, State.PENDING]


def test_other_names_campaigns_leave_nobody_out(desk: Desk) -> None:
    first = desk.take_in(desk.definition(name="spring"), desk.customers(2))
    desk.accept_all(first.campaign_id)

    second = desk.take_in(desk.definition(name="autumn"), desk.customers(3))

    assert second.counts["pending"] == 3


def test_edited_file_with_again_skips_nobody(desk: Desk) -> None:
    first = desk.take_in(desk.definition(), desk.customers(2))
    desk.accept_all(first.campaign_id)

    second = desk.take_in(desk.definition(), desk.customers(3), again=True)

    assert second.counts["pending"] == 3
    assert desk.take_in(desk.definition(), desk.customers(3)).campaign_id == second.campaign_id


def test_file_without_a_sendable_row_is_refused_and_leaves_nothing(desk: Desk) -> None:
    with pytest.raises(RefusedError, match="no row can be sent: 2 invalid"):
        desk.take_in(desk.definition(), desk.customers([("1", "Ann"), ("2", "Bob")]))

    assert desk.registry.ids() == []
    assert not desk.rig.dump()


def test_header_alone_is_refused(desk: Desk) -> None:
    with pytest.raises(RefusedError, match="no customers"):
        desk.take_in(desk.definition(), desk.customers([]))


def test_missing_file_is_refused_in_words(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no such file"):
        desk.take_in(desk.definition(), tmp_path / "nowhere.csv")


def test_file_that_turns_out_broken_midway_leaves_nothing(desk: Desk) -> None:
    customers = desk.customers(ROWS)
    with customers.open("a") as file:
        file.write('+12025550100,"never closed\n' + "more\n" * 5)

    with pytest.raises(RefusedError, match="quote"):
        desk.take_in(desk.definition(), customers)

    assert desk.registry.ids() == []
    assert not desk.rig.dump()


def test_file_that_changes_while_it_is_read_is_refused(desk: Desk) -> None:
    customers = desk.customers(ROWS)

    def edit(rows: int, size: int) -> None:
        if rows == 64:
            with customers.open("a") as file:
                file.write(f"{phone(ROWS + 1)},Late\n")

    with pytest.raises(RefusedError, match="changed while"):
        desk.take_in(desk.definition(), customers, progress=edit)

    assert desk.registry.ids() == []


class Killed(BaseException):
    """Ends a loader as a kill does: nothing of it is tidied up."""


@pytest.mark.parametrize("at", [0, 64, 128, ROWS])
def test_killed_load_is_completed_by_the_next_command(desk: Desk, at: int) -> None:
    definition, customers = desk.definition(), desk.customers(ROWS)

    def kill(rows: int, size: int) -> None:
        if rows >= max(at, 1):
            raise Killed

    with pytest.raises(Killed):
        desk.take_in(definition, customers, progress=kill)
    (campaign_id,) = desk.registry.ids()
    assert desk.registry.get(campaign_id).stands == "loading"
    assert not desk.ledger.dispatch(campaign_id, fresh=10, old=0).fresh

    done = desk.take_in(definition, customers)

    assert (done.what, done.campaign_id, done.rows) == ("loading", campaign_id, ROWS)
    assert states(desk, campaign_id) == [State.PENDING] * ROWS
    assert desk.registry.get(campaign_id).counts[State.PENDING] == ROWS


def test_load_killed_before_its_start_is_only_started(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    definition, customers = desk.definition(), desk.customers(ROWS)
    decision = desk.decide(definition, customers)
    carry_out(desk.ledger, desk.registry, desk.settings, decision)
    desk.client.hset(desk.ledger.key(decision.campaign_id), mapping={"state": "loading", "rows": 0})

    done = desk.take_in(definition, customers)

    assert done.what == "loading"
    assert desk.registry.get(done.campaign_id).stands == "running"
    assert done.counts["pending"] == ROWS


def test_changed_definition_of_a_half_load_is_refused(desk: Desk) -> None:
    customers = desk.customers(ROWS)

    def kill(rows: int, size: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        desk.take_in(desk.definition(), customers, progress=kill)

    with pytest.raises(RefusedError, match="--update"):
        desk.take_in(desk.definition(body="Good day"), customers)


def test_update_of_a_half_load_loads_the_whole_with_the_new_definition(desk: Desk) -> None:
    customers = desk.customers(ROWS)

    def kill(rows: int, size: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        desk.take_in(desk.definition(), customers, progress=kill)

    done = desk.take_in(desk.definition(body="Good day"), customers, update=True)

    info = desk.registry.get(done.campaign_id)
    assert info.stands == "running"
    assert '"Good day"' in info.definition
    assert states(desk, done.campaign_id) == [State.PENDING] * ROWS


def test_two_loaders_at_once_end_with_one_whole_campaign(desk: Desk) -> None:
    definition, customers = desk.definition(), desk.customers(1_000)
    barrier = threading.Barrier(2)
    done: list[str] = []

    def meet(rows: int, size: int) -> None:
        if rows in (64, 512):
            barrier.wait(60)

    def load() -> None:
        done.append(desk.take_in(definition, customers, progress=meet).campaign_id)

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(done) == 2
    assert desk.registry.ids() == done[:1] == done[1:]
    assert states(desk, done[0]) == [State.PENDING] * 1_000
    assert desk.registry.get(done[0]).counts[State.PENDING] == 1_000


def test_results_file_of_a_campaign_that_the_ledger_lost_stops_a_blind_start(desk: Desk) -> None:
    definition, customers = desk.definition(), desk.customers(2)
    first = desk.take_in(definition, customers)
    desk.results(first.campaign_id)
    desk.client.flushall()

    with pytest.raises(RefusedError, match="the ledger does not know it"):
        desk.take_in(definition, customers)

    again = desk.take_in(definition, customers, again=True)
    assert again.campaign_id != first.campaign_id


def test_campaign_of_the_name_that_reached_nobody_leaves_nobody_out(desk: Desk) -> None:
    first = desk.take_in(desk.definition(), desk.customers(2))
    desk.rig.reject(first.campaign_id, 1)
    desk.rig.reject(first.campaign_id, 2)

    second = desk.take_in(desk.definition(), desk.customers(3))

    assert second.counts["pending"] == 3


def test_of_two_updates_at_once_the_second_is_refused(desk: Desk) -> None:
    customers = desk.customers(3)
    first = desk.take_in(desk.definition(), customers)
    decisions = [desk.decide(desk.definition(body=body), customers, update=True) for body in ("One", "Two")]

    carry_out(desk.ledger, desk.registry, desk.settings, decisions[0], progress=lambda rows, size: None)
    with pytest.raises(RefusedError, match="another command has changed the definition"):
        carry_out(desk.ledger, desk.registry, desk.settings, decisions[1])

    assert '"One"' in desk.registry.get(first.campaign_id).definition


@pytest.mark.parametrize("at", [128, ROWS])
def test_load_that_another_command_discards_ends_in_words(desk: Desk, at: int) -> None:
    definition, customers = desk.definition(), desk.customers(ROWS)
    decision = desk.decide(definition, customers)

    def discard(rows: int, size: int) -> None:
        if rows == at:
            desk.registry.discard(decision.campaign_id)

    with pytest.raises(RefusedHereError, match="taken away by another command"):
        carry_out(desk.ledger, desk.registry, desk.settings, decision, discard)


def test_half_load_with_more_rows_than_the_file_is_never_started(desk: Desk) -> None:
    decision = desk.decide(desk.definition(), desk.customers(3))
    desk.rig.load(decision.campaign_id, 64, start=False)

    with pytest.raises(RefusedHereError, match=r"64 rows of .* and the file has 3"):
        carry_out(desk.ledger, desk.registry, desk.settings, decision)

    assert desk.registry.get(decision.campaign_id).state == "loading"


def test_corrected_file_leaves_out_whom_the_earlier_one_may_have_reached(desk: Desk) -> None:
    rows = [(phone(number), "Ann") for number in range(1, 6)]
    first = desk.begin(rows)
    for number, state in enumerate((State.NEEDS_REVIEW, State.DOUBT_SENDING, State.SENDING), start=1):
        desk.rig.bring(first, state, number)
    assert desk.registry.cancel(first).ok

    corrected = [(number, "Anna") for number, _ in rows]
    second = desk.take_in(desk.definition(), desk.customers(corrected, file="corrected.csv"))

    assert (second.counts["skipped"], second.counts["pending"]) == (3, 2)


def test_file_that_changes_before_it_is_loaded_is_refused(desk: Desk) -> None:
    definition, customers = desk.definition(), desk.customers(2)
    decision = desk.decide(definition, customers)

    desk.customers(4)
    with pytest.raises(RefusedError, match="changed while"):
        carry_out(desk.ledger, desk.registry, desk.settings, decision)

    assert desk.registry.ids() == []


def test_interrupted_load_leaves_out_whom_another_campaign_has_reached_meanwhile(desk: Desk) -> None:
    rows = [(phone(number), "Ann") for number in range(1, 101)]
    definition, customers = desk.definition(), desk.customers(rows)
    decision = desk.decide(definition, customers)

    def interrupt(rows: int, size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(desk.ledger, desk.registry, desk.settings, decision, interrupt)
    other = desk.take_in(definition, desk.customers(rows[:3], file="first.csv"))
    desk.accept_all(other.campaign_id)

    intake = desk.take_in(definition, customers)

    assert intake.what == "loading"
    assert (intake.counts["skipped"], intake.counts["pending"]) == (3, 97)


def test_file_that_vanishes_while_it_is_read_is_refused(desk: Desk) -> None:
    customers = desk.customers(ROWS)

    with pytest.raises(RefusedError, match="changed while"):
        desk.take_in(
            desk.definition(), customers, progress=lambda rows, size: customers.unlink(missing_ok=True)
        )


def test_progress_counts_rows_and_about_the_bytes(desk: Desk) -> None:
    customers = desk.customers(ROWS)
    seen: list[tuple[int, int]] = []

    desk.take_in(desk.definition(), customers, progress=lambda rows, size: seen.append((rows, size)))

    assert [rows for rows, _ in seen] == [64, 128, 192, 200]
    assert seen[-1][1] == pytest.approx(customers.stat().st_size, rel=0.1)


def test_two_files_of_one_name_that_are_loaded_at_the_same_moment_do_not_both_start(desk: Desk) -> None:
    definition = desk.definition()
    first, second = desk.customers(ROWS), desk.customers(ROWS - 1, file="second.csv")
    begun: list[str] = []

    def meanwhile(rows: int, size: int) -> None:
        if not begun:
            begun.append(desk.take_in(definition, second).campaign_id)
            desk.accept_all(begun[0])

    with pytest.raises(RefusedError, match="was begun while this one was loaded: renewals-"):
        desk.take_in(definition, first, progress=meanwhile)

    assert desk.registry.ids() == begun
    again = desk.take_in(definition, first)
    assert (again.counts["skipped"], again.counts["pending"]) == (ROWS - 1, 1)


def test_second_loader_of_a_file_is_told_that_it_goes_on_with_the_firsts(desk: Desk) -> None:
    definition, customers = desk.definition(), desk.customers(ROWS)
    decision = desk.decide(definition, customers)
    joined: list[str] = []

    def meanwhile(rows: int, size: int) -> None:
        if not joined:
            other = carry_out(desk.ledger, desk.registry, desk.settings, decision)
            joined.append(other.what)

    first = desk.take_in(definition, customers, progress=meanwhile)

    assert (first.what, joined) == ("new", ["loading"])
    assert desk.registry.get(first.campaign_id).counts[State.PENDING] == ROWS
