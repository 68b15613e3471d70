"""A ledger that is lost is made anew from the results file: who ended there has ended, all others are looked up first."""

import csv
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from builders import sid
from intake_desk import Desk, phone

from campaigns.campaign import FollowUp
from campaigns.problems import RefusedError
from worker.ledger import keys
from worker.ledger.states import Delivery, Reason, State
from worker.pipeline.follow_ups import Left, decide
from worker.pipeline.results import write_results
from worker.pipeline.results_files import ResultsFile
from worker.pipeline.wave_records import standings


class KilledHereError(Exception):
    """The loading command dies at this point."""


def mixed(desk: Desk) -> str:
    """Begin a campaign of whose rows one has ended in each way, and write its results."""
    rows = [[phone(number), f"=Ann {number}"] for number in range(1, 8)]
    rows += [["not a number", "Bob\nSmith"], [phone(1), "Twice"], [phone(9), "'quoted"]]
    campaign_id = desk.take_in(desk.definition(), desk.customers(rows)).campaign_id
    rig = desk.rig
    rig.accept(campaign_id, 1)
    rig.reject(campaign_id, 2, 21211)
    rig.bring(campaign_id, State.NEEDS_REVIEW, 3)
    rig.bring(campaign_id, State.SKIPPED, 4)
    rig.open(campaign_id, 5)
    token = rig.sending(campaign_id, 6)
    desk.ledger.reject_sending(campaign_id, 6, token, int(Reason.CONVERSATION_CLOSED), stop=False)
    rig.doubt(campaign_id, 7)
    desk.results(campaign_id)
    return campaign_id


def path_of(desk: Desk, campaign_id: str) -> Path:
    assert desk.settings.results_dir is not None
    return desk.settings.results_dir / f"{campaign_id}.csv"


def read(desk: Desk, campaign_id: str) -> list[dict[str, str]]:
    with path_of(desk, campaign_id).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def lose(desk: Desk) -> None:
    desk.client.flushall()
    desk.rig.clock.pass_ms(3_600_000)


def files(desk: Desk) -> tuple[Path, Path]:
    return desk.folder / "renewals.toml", desk.folder / "customers.csv"


def test_row_with_follow_ups_in_the_lost_ledger_gets_no_more_of_them(desk: Desk) -> None:
    campaign_id = mixed(desk)
    path = path_of(desk, campaign_id)
    (first, *_), text = read(desk, campaign_id), path.read_text(encoding="utf-8")
    line = next(one for one in text.splitlines() if first["message_sid"] in one)
    assert ",,0,1," in line
    path.write_text(text.replace(line, line.replace(",,0,1,", ",,2,1,")), encoding="utf-8", newline="")
    lose(desk)

    desk.take_in(*files(desk), rebuild=True)

    always = [FollowUp.model_validate({"after_s": 60.0, "if": "always", "body": "Hello"})]
    info = desk.registry.get(campaign_id)
    found = {
        number: decide(always, record, mine.records, info.created_at + timedelta(days=9), mine.lost)
        for number, record, mine in standings(desk.ledger, info)
    }
    assert found[1] is Left.LOST_COUNT
    assert Left.LOST_COUNT not in [found[number] for number in range(2, 11)]
    assert [row["follow_ups"] for row in desk.results(campaign_id)] == ["2"] + ["0"] * 9
    wave_id = keys.wave_id(campaign_id, 1, 1)
    assert desk.ledger.create_wave(wave_id, "{}").ok
    reply = desk.ledger.begin_wave(wave_id, 1, 1)
    assert int(reply.values[0]) == 4, "no send that there was has this number"


def test_lost_ledger_is_offered_to_be_rebuilt_and_nothing_is_done(desk: Desk) -> None:
    mixed(desk)
    lose(desk)

    with pytest.raises(RefusedError, match="--rebuild"):
        desk.take_in(*files(desk))

    assert not list(desk.client.scan_iter())


def test_who_ended_has_ended_with_all_that_the_file_says_of_it(desk: Desk) -> None:
    campaign_id = mixed(desk)
    before = read(desk, campaign_id)
    created = desk.registry.get(campaign_id).created_at
    lose(desk)

    intake = desk.take_in(*files(desk), rebuild=True)

    after = desk.results(campaign_id)
    assert (intake.what, intake.campaign_id, intake.rows) == ("rebuilt", campaign_id, 10)
    assert desk.registry.get(campaign_id).created_at == created
    ended = [row for row in before if row["outreach_status"] != "pending"]
    assert len(ended) == 7
    assert [row for row in after if row["outreach_status"] != "pending"] == ended
    pending = [row["outreach_row"] for row in after if row["outreach_status"] == "pending"]
    assert pending == ["5", "7", "10"]
    assert [row["interaction_sid"] for row in after if row["outreach_row"] in pending] == ["", "", ""]


def test_all_that_had_not_ended_is_looked_up_before_anything_is_asked_for(desk: Desk) -> None:
    campaign_id = mixed(desk)
    seen = desk.registry.get(campaign_id).seq
    lose(desk)

    desk.take_in(*files(desk), rebuild=True)

    info = desk.registry.get(campaign_id)
    assert (info.state, info.stands) == ("running", "running")
    assert info.cautious > seen, "the numbers go on above the file's, so that it may be written again"
    desk.rig.queue(campaign_id, 5)
    reply = desk.ledger.claim_opening(campaign_id, 5, desk.rig.claim(), desk.rig.pair(5))
    assert reply.why == "cautious"


def test_retry_of_a_rebuilt_row_is_looked_up_as_well(desk: Desk) -> None:
    campaign_id = mixed(desk)
    lose(desk)
    desk.take_in(*files(desk), rebuild=True)

    assert desk.ledger.new_send(campaign_id, 2, 1).ok
    desk.rig.queue(campaign_id, 2)

    reply = desk.ledger.claim_opening(campaign_id, 2, desk.rig.claim(), desk.rig.pair(2))
    assert reply.why == "cautious"


def test_finished_campaign_is_rebuilt_as_finished(desk: Desk) -> None:
    campaign_id = desk.begin(3)
    desk.accept_all(campaign_id)
    before = desk.results(campaign_id)
    lose(desk)

    desk.take_in(*files(desk), rebuild=True)

    assert desk.registry.get(campaign_id).stands == "finished"
    assert desk.results(campaign_id) == before


def heard(desk: Desk) -> str:
    """Begin a campaign whose rows were accepted; of three the delivery is known, of one an answer."""
    campaign_id = desk.begin(70)
    desk.accept_all(campaign_id)
    for number, delivery, code in (
        (1, Delivery.READ, 0),
        (2, Delivery.UNDELIVERED, 30003),
        (66, Delivery.SENT, 0),
    ):
        assert desk.ledger.note_delivery(campaign_id, number, sid("IM", number), delivery, code).ok
    assert desk.ledger.note_answer(campaign_id, 66, desk.rig.clock()).ok
    return campaign_id


def test_deliveries_and_answers_are_taken_back_and_counted(desk: Desk) -> None:
    campaign_id = heard(desk)
    before, known = desk.results(campaign_id), desk.registry.get(campaign_id)
    lose(desk)

    desk.take_in(*files(desk), rebuild=True)

    assert desk.results(campaign_id) == before
    info = desk.registry.get(campaign_id)
    assert (info.deliveries, info.undelivered, info.answered) == (known.deliveries, {30003: 1}, 1)


def test_rebuilt_rows_are_polled_and_found_by_their_conversations(desk: Desk) -> None:
    campaign_id = heard(desk)
    desk.results(campaign_id)
    lose(desk)

    desk.take_in(*files(desk), rebuild=True)

    assert desk.ledger.polling() == [campaign_id]
    desk.rig.clock.pass_ms(2_000)
    assert [poll.bucket for poll in desk.ledger.take_polls(campaign_id, 10, 60_000)] == [0, 1]
    for number in (1, 2, 66, 70):
        assert desk.ledger.find_by_conversation(sid("CH", number)) == [(campaign_id, number)]


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("delivery_status", "arrived", "none of Twilio's words"),
        ("delivery_code", "30003x", "none of Twilio's codes"),
        ("answered_at", "yesterday", "answered_at is not a moment"),
    ],
)
def test_delivery_that_was_edited_is_refused(desk: Desk, column: str, cell: str, said: str) -> None:
    campaign_id = heard(desk)
    desk.results(campaign_id)
    edit(desk, campaign_id, lambda lines: lines[1].update({column: cell}))
    lose(desk)

    with pytest.raises(RefusedError, match=said):
        desk.take_in(*files(desk), rebuild=True)


def test_row_that_the_file_calls_invalid_stays_so_though_it_would_pass_now(desk: Desk) -> None:
    campaign_id = mixed(desk)
    edit(
        desk,
        campaign_id,
        lambda lines: lines[2].update({"outreach_status": "invalid", "outreach_code": "bad"}),
    )
    lose(desk)

    desk.take_in(*files(desk), rebuild=True)

    row = desk.results(campaign_id)[2]
    assert (row["outreach_status"], row["outreach_code"]) == ("invalid", "bad")


@pytest.mark.parametrize("flag", [False, True])
def test_rebuilding_that_was_killed_goes_on_by_itself_and_never_starts_half(desk: Desk, flag: bool) -> None:
    campaign_id = desk.begin(150)
    for number in range(1, 101):
        desk.rig.accept(campaign_id, number)
    before = desk.results(campaign_id)
    lose(desk)

    def die(rows: int, _: int) -> None:
        if rows >= 128:
            raise KilledHereError

    with pytest.raises(KilledHereError):
        desk.take_in(*files(desk), rebuild=True, progress=die)

    info = desk.registry.get(campaign_id)
    assert (info.state, info.loaded >= 128) == ("loading", True)
    path = path_of(desk, campaign_id)
    assert not write_results(desk.ledger, desk.registry, campaign_id, path), "the file is not made poorer"
    assert desk.take_in(*files(desk), rebuild=flag).what == "loading"
    info = desk.registry.get(campaign_id)
    assert (info.counts[State.ACCEPTED], info.counts[State.PENDING]) == (100, 50)
    assert desk.results(campaign_id) == before


def test_rebuilding_that_was_killed_needs_its_results_file_to_go_on(desk: Desk) -> None:
    campaign_id = mixed(desk)
    lose(desk)
    hidden = path_of(desk, campaign_id)

    def die(rows: int, _: int) -> None:
        raise KilledHereError

    with pytest.raises(KilledHereError):
        desk.take_in(*files(desk), rebuild=True, progress=die)
    hidden.unlink()

    with pytest.raises(RefusedError, match="cannot be read"):
        desk.take_in(*files(desk))

    assert desk.registry.get(campaign_id).state == "loading"


def test_ledger_that_is_there_is_not_rebuilt(desk: Desk) -> None:
    campaign_id = mixed(desk)

    intake = desk.take_in(*files(desk), rebuild=True)

    assert intake.what == "unfinished"
    assert any("nothing is rebuilt" in str(warning) for warning in intake.warnings)
    assert desk.registry.get(campaign_id).cautious == 0


Edit = Callable[[list[dict[str, str]]], object]


def edit(desk: Desk, campaign_id: str, change: Edit, *drop: str) -> None:
    lines = read(desk, campaign_id)
    columns = [name for name in lines[0] if name not in drop]
    change(lines)
    with path_of(desk, campaign_id).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(lines)


EDITS: dict[str, tuple[Edit, str]] = {
    "an address": (lambda lines: lines[4].update(phone=phone(77)), "phone is not what"),
    "a name": (lambda lines: lines[4].update(name="Mallory"), "name is not what"),
    "a row removed": (lambda lines: lines.pop(4), "row 5 is missing"),
    "rows sorted": (lambda lines: lines.reverse(), "row 1 is missing"),
    "the end removed": (lambda lines: lines.pop(), "ends before row 10"),
    "a row added": (lambda lines: lines.append(lines[0] | {"outreach_row": "11"}), "more rows"),
    "a status": (lambda lines: lines[0].update(outreach_status="done"), "no status"),
    "an SID": (lambda lines: lines[0].update(message_sid="IM12"), "SIDs"),
    "no SID": (lambda lines: lines[0].update(message_sid=""), "has a message SID"),
    "the attempts": (lambda lines: lines[0].update(attempts="many"), "attempts"),
    "the moment": (lambda lines: lines[0].update(finished_at="yesterday"), "moment"),
}


@pytest.mark.parametrize("name", EDITS)
def test_file_that_was_edited_is_refused_with_the_place_and_nothing_is_done(desk: Desk, name: str) -> None:
    campaign_id = mixed(desk)
    change, what = EDITS[name]
    edit(desk, campaign_id, change)
    lose(desk)

    with pytest.raises(RefusedError, match=what) as refused:
        desk.take_in(*files(desk), rebuild=True)

    assert phone(5) not in str(refused.value)
    assert desk.registry.ids() == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"phone,name\r\n1,2\r\n", "its columns"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"", "its columns"),
    ],
)
def test_file_that_is_no_results_file_is_refused(desk: Desk, text: bytes, what: str) -> None:
    campaign_id = mixed(desk)
    path_of(desk, campaign_id).write_bytes(text)
    lose(desk)

    with pytest.raises(RefusedError, match=what):
        desk.take_in(*files(desk), rebuild=True)

    assert desk.registry.ids() == []


def test_line_with_cells_too_many_is_refused(desk: Desk) -> None:
    campaign_id = mixed(desk)
    path = path_of(desk, campaign_id)
    lines = path.read_bytes().split(b"\r\n")
    path.write_bytes(b"\r\n".join([lines[0], lines[1] + b",more", *lines[2:]]))
    lose(desk)

    with pytest.raises(RefusedError, match="cells"):
        desk.take_in(*files(desk), rebuild=True)


def test_file_without_what_stands_hidden_beside_it_is_refused(desk: Desk) -> None:
    campaign_id = mixed(desk)
    path = path_of(desk, campaign_id)
    (path.parent / f".{campaign_id}.seq").write_bytes(b"")
    lose(desk)

    with pytest.raises(RefusedError, match="hidden"):
        desk.take_in(*files(desk), rebuild=True)


def test_how_far_a_campaign_was_seen_to_come_stands_beside_its_file(desk: Desk, tmp_path: Path) -> None:
    file = ResultsFile(tmp_path / "spring-1.csv", "spring-1")

    assert (file.seen(), file.kept_seq()) == (0, 0)
    file.note_seen(7, 1_000)
    assert (file.seen(), file.created_ms(), file.kept_seq(), file.is_ours) == (7, 1_000, 0, False)
    with file.turn(wait=True), file.replacing(5) as stream:
        stream.write("x")
        file.note_seen(9, 1_000)
    file.note_seen(8, 1_000)

    assert (file.seen(), file.created_ms(), file.kept_seq(), file.is_ours) == (9, 1_000, 5, True)
    with file.turn(wait=True), file.replacing(20) as stream:
        stream.write("x")
    assert (file.seen(), file.created_ms(), file.kept_seq()) == (20, 1_000, 20)


def test_first_note_waits_for_no_writer(tmp_path: Path) -> None:
    file = ResultsFile(tmp_path / "spring-1.csv", "spring-1")

    with ResultsFile(tmp_path / "spring-1.csv", "spring-1").turn(wait=True):
        file.note_seen(7, 1_000)

    assert file.seen() == 0
