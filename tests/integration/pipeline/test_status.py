"""Tell whether a snapshot adds up, and names whom a campaign waits for and until when."""

from pathlib import Path

import pytest
import redis
from builders import sid
from intake_desk import Desk, phone

from worker.errors import NotFoundError
from worker.ledger.states import Delivery, Reason, State
from worker.pipeline import pace, receipts
from worker.pipeline.status import overview, snapshot
from worker.pipeline.story import explain
from worker.pipeline.waiting import say_clock

WANTED = {
    "id",
    "state",
    "rows",
    "counts",
    "in_flight",
    "in_doubt",
    "rate_per_s",
    "eta_s",
    "waiting_for",
}


def see_worker(desk: Desk) -> None:
    desk.registry.see_worker("host/1/1", {"host": "host", "pid": 1, "threads": 8})


def test_counts_add_up_and_all_keys_are_there(desk: Desk) -> None:
    campaign_id = desk.begin([(phone(1), "Ann"), (phone(2), "Bob"), ("12", "Cem"), (phone(1), "Ann")])
    see_worker(desk)
    desk.rig.accept(campaign_id, 1)

    seen = snapshot(desk.bench(), campaign_id)

    assert set(seen) >= WANTED
    assert seen["rows"] == sum(seen["counts"].values()) == 4
    assert seen["counts"]["accepted"] == seen["counts"]["invalid"] == seen["counts"]["skipped"] == 1
    assert seen["workers"][0]["host"] == "host"


def test_priority_is_shown_and_who_is_served_first(desk: Desk) -> None:
    usual = desk.begin(2)
    urgent = desk.begin([(phone(7), "Ann")], name="urgent", rest="[pacing]\npriority = 3\n")
    see_worker(desk)

    seen, first = snapshot(desk.bench(), usual), snapshot(desk.bench(), urgent)

    assert (seen["priority"], first["priority"]) == (0, 3)
    assert f"{urgent} is served first, for its priority is higher" in seen["waiting_for"]
    assert "served first" not in first["waiting_for"]


def test_deliveries_are_counted_by_word_and_reason_and_what_is_awaited(desk: Desk) -> None:
    campaign_id = desk.begin(5)
    desk.accept_all(campaign_id)
    for number, delivery, code in (
        (1, Delivery.DELIVERED, 0),
        (2, Delivery.FAILED, 21611),
        (3, Delivery.SENT, 0),
    ):
        assert desk.ledger.note_delivery(campaign_id, number, sid("IM", number), delivery, code).ok
    assert desk.ledger.note_answer(campaign_id, 1, desk.rig.clock()).ok

    seen = snapshot(desk.bench(), campaign_id)

    assert seen["deliveries"] == {
        "unknown": 2,
        "sent": 1,
        "delivered": 1,
        "undelivered": 0,
        "failed": 1,
        "read": 0,
    }
    assert (seen["answered"], seen["opted_out"], seen["deliveries_awaited"]) == (1, 0, 3)
    (why,) = seen["undelivered"]
    assert (why["code"], why["rows"]) == ("21611", 1)
    assert "outreach retry" in why["advice"], "by itself nothing is sent again any more"
    assert seen["is_polled"]


def test_looks_that_twilio_forbids_are_told_of(desk: Desk) -> None:
    campaign_id, bench = desk.begin(1), desk.bench()
    assert snapshot(bench, campaign_id)["deliveries_blocked_s"] == 0

    bench.pacer.slow_down(receipts.bucket_of_looks(bench), 300.0)

    assert 290 < snapshot(bench, campaign_id)["deliveries_blocked_s"] <= 300


def test_story_goes_on_with_what_was_heard_in_the_order_in_which_it_happened(desk: Desk) -> None:
    campaign_id = desk.begin(1)
    desk.rig.accept(campaign_id, 1)
    wrote_ms = desk.rig.clock() + 5_000
    desk.rig.clock.pass_ms(60_000)
    assert desk.ledger.note_delivery(campaign_id, 1, sid("IM", 1), Delivery.DELIVERED).ok
    assert desk.ledger.note_answer(campaign_id, 1, wrote_ms).ok
    assert desk.ledger.note_delivery(campaign_id, 1, sid("IM", 1), Delivery.FAILED, 63024).ok

    story = explain(desk.ledger, desk.registry, campaign_id, 1)

    assert [line.text.split(".")[0] for line in story.lines[-3:]] == [
        "The customer answered",
        "Delivered to the customer",
        "The delivery failed (63024)",
    ]
    assert (story.delivery.word, story.delivery.words.code) == ("failed", "63024")
    assert story.delivery.page.endswith("/63024")
    assert story.answered_at.endswith("Z")


def test_delivery_without_a_reason_says_that_there_is_none(desk: Desk) -> None:
    campaign_id = desk.begin(1)
    desk.rig.accept(campaign_id, 1)
    assert desk.ledger.note_delivery(campaign_id, 1, sid("IM", 1), Delivery.UNDELIVERED).ok

    delivery = explain(desk.ledger, desk.registry, campaign_id, 1).delivery

    assert (delivery.words.code, delivery.page) == ("", "")
    assert delivery.words.sentence == "Twilio does not say why."


def test_rate_counts_sends_that_ended_of_late(desk: Desk) -> None:
    campaign_id = desk.begin(20)
    see_worker(desk)
    for number in range(1, 11):
        desk.rig.accept(campaign_id, number)

    seen = snapshot(desk.bench(), campaign_id)

    assert 1 <= seen["rate_per_s"] <= 10
    assert seen["eta_s"] == 1


def test_redis_that_can_be_read_but_not_written_is_what_is_waited_for(
    desk: Desk, redis_client: "redis.Redis"
) -> None:
    campaign_id = desk.begin(3)
    used: int = redis_client.info("memory")["used_memory"]
    redis_client.config_set("maxmemory", used // 2)

    try:
        full = snapshot(desk.bench(), campaign_id)
    finally:
        redis_client.config_set("maxmemory", 0)
    freed = snapshot(desk.bench(), campaign_id)

    assert full["redis"] == full["waiting_for"]
    assert "Redis is full" in full["waiting_for"]
    assert freed["redis"] is None


def test_without_workers_nothing_is_foretold_and_that_is_said(desk: Desk) -> None:
    seen = snapshot(desk.bench(), desk.begin(3))

    assert seen["eta_s"] is None
    assert "no worker is running" in seen["waiting_for"]


def test_running_campaign_waits_for_the_slowest_pace(desk: Desk) -> None:
    campaign_id = desk.begin(30, rest="[pacing]\ninteractions_per_second = 5")
    see_worker(desk)

    seen = snapshot(desk.bench(), campaign_id)

    assert seen["state"] == "running"
    assert seen["waiting_for"] == "the campaign's own pace of 5 Interactions a second"
    assert seen["eta_s"] == 6
    assert [each["configured_per_s"] for each in seen["pace"]] == [20.0, 5.0]


def test_twilio_asking_to_slow_down_is_named_with_its_end(desk: Desk) -> None:
    campaign_id = desk.begin(3)
    see_worker(desk)
    bench = desk.bench()
    bench.pacer.slow_down(pace.account_bucket(bench), 30.0)

    seen = snapshot(bench, campaign_id)

    assert seen["waiting_for"].startswith("Twilio asked to slow down until ")
    assert "UTC" in seen["waiting_for"]


def test_slowed_pace_is_named_with_what_is_left_of_it(desk: Desk) -> None:
    campaign_id = desk.begin(3)
    see_worker(desk)
    bench = desk.bench()
    bench.pacer.slow_down(pace.account_bucket(bench), None)

    seen = snapshot(bench, campaign_id)
    assert "slowed to 19 a second since Twilio refused more (429)" in seen["waiting_for"]
    assert "more is tried from" in seen["waiting_for"]
    assert (seen["pace"][0]["per_s"], seen["pace"][0]["why"]) == (19, "429")
    assert 0 < seen["pace"][0]["tries_more_s"] <= 5


def test_breaker_names_the_reason_and_what_to_do(desk: Desk) -> None:
    campaign_id = desk.begin(3)
    see_worker(desk)
    desk.rig.reject(campaign_id, 1, 63041, stop=True)

    seen = snapshot(desk.bench(), campaign_id)

    assert seen["state"] == "paused"
    assert "63041" in seen["waiting_for"]
    assert f"Then `outreach resume {campaign_id}` lets it go on" in seen["waiting_for"]
    assert seen["paused"]["code"] == 63041
    assert seen["eta_s"] is None


@pytest.mark.parametrize(
    ("by", "said"), [("the night shift", "the night shift"), ("operator", "the operator")]
)
def test_pause_by_a_person_names_the_person(desk: Desk, by: str, said: str) -> None:
    campaign_id = desk.begin(3)
    desk.registry.pause(campaign_id, by)

    assert f"paused by {said};" in snapshot(desk.bench(), campaign_id)["waiting_for"]


def test_rows_in_doubt_are_counted_with_the_next_look(desk: Desk) -> None:
    campaign_id = desk.begin(1)
    see_worker(desk)
    token = desk.rig.opening(campaign_id, 1)
    desk.ledger.doubt_opening(campaign_id, 1, token, 60_000, 0)

    seen = snapshot(desk.bench(), campaign_id)

    assert seen["state"] == "waiting"
    assert seen["in_doubt"] == 1
    assert "1 row in doubt is being looked up, next look at " in seen["waiting_for"]
    assert seen["eta_s"] >= 50


def test_retries_due_later_are_named_with_their_time(desk: Desk) -> None:
    campaign_id = desk.begin(1)
    see_worker(desk)
    token = desk.rig.opening(campaign_id, 1)
    desk.ledger.defer_opening(campaign_id, 1, token, 60_000, int(Reason.NOT_REACHED))

    seen = snapshot(desk.bench(), campaign_id)

    assert seen["state"] == "waiting"
    assert seen["waiting_for"].startswith("the time of 1 row to be tried again")
    assert seen["waiting_for"].endswith(
        "UTC; row 1: Put off until its next turn. Twilio could not be reached."
    )


def test_row_that_waits_for_another_campaigns_row_says_so_and_tells_it_once(desk: Desk) -> None:
    one, two = desk.begin(1, name="one"), desk.begin(1, name="two")
    see_worker(desk)
    desk.rig.open(one, 1)
    for _ in range(3):
        desk.rig.queue(two, 1)
        assert desk.ledger.claim_opening(two, 1, desk.rig.claim(), desk.rig.pair()).why == "pair"

    story = explain(desk.ledger, desk.registry, two, 1)
    seen = snapshot(desk.bench(), two)

    sentence = "Another row, of this campaign or another, has the same customer and sender in hand."
    assert [line.text for line in story.lines] == [f"Waits (pair_in_hand). {sentence}"]
    assert story.words.code == "pair_in_hand"
    assert sentence in seen["waiting_for"]
    assert desk.results(two)[0]["outreach_reason"].endswith(sentence)


def test_opened_rows_without_their_customer_are_named(desk: Desk) -> None:
    campaign_id = desk.begin(1)
    see_worker(desk)
    token = desk.rig.open(campaign_id, 1)
    desk.ledger.wait_open(campaign_id, 1, token, 60_000)

    seen = snapshot(desk.bench(), campaign_id)

    assert seen["waiting_for"].startswith("the customer or the slot of 1 row that is open, next look at ")
    assert seen["in_flight"] == 1


def test_row_that_is_due_nowhere_is_not_passed_over_in_silence(desk: Desk) -> None:
    campaign_id = desk.begin(1)
    see_worker(desk)
    token = desk.rig.opening(campaign_id, 1)
    desk.ledger.defer_opening(campaign_id, 1, token, 60_000, 0)
    desk.client.delete(desk.ledger.key(campaign_id, "due"))

    assert snapshot(desk.bench(), campaign_id)["waiting_for"]


def test_rows_in_hand_wait_for_twilio(desk: Desk) -> None:
    campaign_id = desk.begin(1)
    see_worker(desk)
    desk.rig.opening(campaign_id, 1)

    assert snapshot(desk.bench(), campaign_id)["waiting_for"] == "Twilio's answers about 1 row in hand"


def test_moment_of_another_day_is_named_with_it() -> None:
    noon_ms = 1_795_348_800_000

    assert say_clock(noon_ms, noon_ms) == "12:00:00 UTC"
    assert say_clock(noon_ms + 86_400_000, noon_ms) == "2026-11-23 12:00:00 UTC"


def test_finished_campaign_waits_for_nothing(desk: Desk) -> None:
    campaign_id = desk.begin(2)
    desk.accept_all(campaign_id)

    seen = snapshot(desk.bench(), campaign_id)

    assert (seen["state"], seen["waiting_for"], seen["eta_s"]) == ("finished", None, 0)


def test_cancelled_campaign_waits_for_what_is_in_hand(desk: Desk) -> None:
    campaign_id = desk.begin(2)
    see_worker(desk)
    desk.rig.open(campaign_id, 1)
    desk.registry.cancel(campaign_id)
    desk.ledger.cancel_rows(campaign_id)

    seen = snapshot(desk.bench(), campaign_id)

    assert (seen["state"], seen["left"]) == ("cancelled", 1)
    assert "in hand" in seen["waiting_for"]


def test_half_loaded_campaign_says_how_far_it_is(desk: Desk) -> None:
    campaign_id = desk.rig.load(rows=64, start=False)
    desk.client.hset(desk.ledger.key(campaign_id), "definition", _definition(desk))

    seen = snapshot(desk.bench(), campaign_id)

    assert (seen["state"], seen["rows"]) == ("loading", 64)
    assert "64 rows so far" in seen["waiting_for"]


def test_all_campaigns_are_listed_newest_first(desk: Desk, tmp_path: Path) -> None:
    first, second = desk.begin(1, name="one"), desk.begin(1, name="two")

    assert [each["id"] for each in overview(desk.bench())] == [second, first]


def test_list_says_of_each_campaign_how_fast_it_goes_and_what_it_waits_for(desk: Desk) -> None:
    outlook = ("rate_per_s", "eta_s", "waiting_for")
    ended, paused, running, other = (desk.begin(1, name=name) for name in ("a", "b", "c", "d"))
    desk.registry.cancel(ended)
    desk.ledger.cancel_rows(ended)
    desk.registry.pause(paused, by="operator")
    desk.client.hset(desk.ledger.key(other), "definition", '{"later": 1}')
    bench = desk.bench()

    listed = {each["id"]: [each[key] for key in outlook] for each in overview(bench)}

    for campaign_id in (paused, running):
        seen = snapshot(bench, campaign_id)
        assert listed[campaign_id] == [seen[key] for key in outlook]
    assert "no worker is running" in listed[running][2]
    assert listed[ended] == [0, 0, None]
    assert listed[other] == [0, None, None], "a definition that can't be read costs none of the others"


def test_unknown_campaign_is_told(desk: Desk) -> None:
    with pytest.raises(NotFoundError):
        snapshot(desk.bench(), "nobody-1")


def test_doubts_beyond_what_can_be_looked_up_hold_new_rows_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.pipeline.waiting.MOST_DOUBTS", 0)
    campaign_id = desk.begin(3)
    see_worker(desk)
    desk.rig.bring(campaign_id, State.DOUBT_OPENING, 1)

    assert "before any new row is opened" in snapshot(desk.bench(), campaign_id)["waiting_for"]


def _definition(desk: Desk) -> str:
    from campaigns.definition import load_definition

    return load_definition(desk.definition()).canonical_json()
