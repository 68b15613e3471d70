"""The table of Twilio's codes: complete, in plain words, and sensible about what it doesn't know."""

import re
from pathlib import Path
from typing import get_args

import pytest

from worker.gateway.codes import Kind, default_for, lookup, table

FACTS = Path(__file__).parents[3].parent / "shared" / "twilio.md"


def test_every_code_of_the_facts_page_is_known():
    if not FACTS.exists():
        pytest.skip("../shared/twilio.md is not here")
    text = FACTS.read_text(encoding="utf-8")
    text = text[text.index("### 5.1 ") : text.index("## 6. Content API")]
    named = {int(code) for code in re.findall(r"(?<![\d,+])\d{5}\b", text)}
    for first, last in re.findall(r"\b(\d{5})[–-](\d{5})\b", text):
        named |= set(range(int(first), int(last) + 1))

    assert len(named) >= 70
    assert sorted(named - set(table())) == []


def test_every_code_says_what_happened_and_what_to_do():
    for entry in table().values():
        assert entry.kind in get_args(Kind), entry
        assert re.fullmatch(r"[A-Z].*\.", entry.sentence), entry
        assert re.fullmatch(r"[A-Z].*\.", entry.advice), entry
        assert entry.page.startswith("https://www.twilio.com/docs/"), entry


def test_page_of_a_code_is_twilios():
    assert lookup(63016).page == "https://www.twilio.com/docs/api/errors/63016"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (21211, "row"),
        (20003, "campaign"),
        (63041, "campaign"),
        (63018, "pause"),
        (20429, "transient"),
        (45780, "transient"),
        (45352, "ambiguous"),
        (50416, "pair_busy"),
        (401, "campaign"),
        (403, "campaign"),
        (400, "row"),
        (404, "row"),
        (429, "transient"),
        (503, "ambiguous"),
    ],
)
def test_codes_stand_in_the_right_class(code, kind):
    assert lookup(code, 400).kind == kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "row"),
        (418, "row"),
        (401, "campaign"),
        (429, "transient"),
        (500, "ambiguous"),
        (599, "ambiguous"),
    ],
)
def test_unknown_code_means_what_its_status_means(status, kind):
    entry = lookup(77777, status)

    assert (entry.code, entry.kind) == (77777, kind)
    assert entry.page == "https://www.twilio.com/docs/api/errors/77777"
    assert "77777" in entry.sentence


def test_unknown_code_of_a_receipt_costs_the_row():
    entry = lookup(77777)

    assert (entry.kind, entry.retry) == ("row", False)


def test_status_of_its_own_has_words_of_its_own():
    assert default_for(503) is table()[503]
    assert default_for(418).sentence == "Twilio gave error 418, which this version does not know."
    assert default_for(418).page == "https://www.twilio.com/docs/usage/twilios-response"


@pytest.mark.parametrize(("code", "retry"), [(21610, False), (63003, False), (30003, True), (50416, True)])
def test_only_what_may_heal_is_worth_a_retry(code, retry):
    assert lookup(code).retry is retry
