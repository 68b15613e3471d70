"""Follow-ups, their hour and opt-out words in the definition: what is taken, what is not, and what each wave is."""

import json
from pathlib import Path

import pytest
from campaign_builders import (
    ANN,
    CONTENT_SID,
    EMAIL,
    HEADER,
    SMS,
    WHATSAPP,
    campaign,
    check,
    recipient,
    refusals,
    write,
)

from campaigns.campaign import Campaign, FollowUp, difference
from campaigns.problems import RefusedError
from campaigns.recipients import Recipient, compile_campaign

FIRST = f"""[[follow_up]]
after = "3d"
content_sid = "{CONTENT_SID}"
author = "Second try"
max = 2
[follow_up.variables]
1 = "{{{{ first_name }}}}"
[follow_up.window]
from = "10:00"
until = "12:00"
timezone = "UTC"
"""
SECOND = f"""[[follow_up]]
after = "1d12h"
if = "undelivered"
content_sid = "{CONTENT_SID}"
"""
NIGHT = """[nightly]
at = "18:00"
timezone = "Europe/Berlin"
misfire = "skip"
[replies]
opt_out_words = ["BAJA", "STOPP"]
"""
BOTH = "# Reminds twice.\n" + WHATSAPP + FIRST + SECOND + NIGHT
SHORT = '[[follow_up]]\nafter = "3d"\nbody = "Still there, {{ first_name }}?"\n'


def test_follow_ups_are_read() -> None:
    found = campaign(BOTH)

    first, second = found.follow_ups
    assert (first.after_s, first.if_, first.max, first.author) == (3 * 86_400, "no_reply", 2, "Second try")
    assert (first.content_sid, first.variables) == (CONTENT_SID, {"1": "{{ first_name }}"})
    assert first.window is not None
    assert second == FollowUp(after_s=129_600, if_="undelivered", content_sid=CONTENT_SID)
    assert found.nightly is not None
    assert (found.nightly.at, found.nightly.timezone, found.nightly.misfire) == (
        "18:00",
        "Europe/Berlin",
        "skip",
    )
    assert found.replies.opt_out_words == ("BAJA", "STOPP")


def test_hour_has_a_default_where_there_are_follow_ups() -> None:
    nightly = campaign(SMS + SHORT).nightly

    assert nightly is not None
    assert (nightly.at, nightly.timezone, nightly.misfire) == ("10:00", "UTC", "catch_up")
    assert campaign(SMS).nightly is None


def test_follow_ups_may_stand_in_one_line() -> None:
    text = (
        'follow_up = [{ after = "3d", body = "Hello?" }, { after = "9d", body = "Hello?", if = "always" }]\n'
    )

    assert [each.after_s for each in campaign(text + SMS).follow_ups] == [3 * 86_400, 9 * 86_400]


def test_canonical_text_of_follow_ups_reads_back() -> None:
    found = campaign(BOTH)

    assert Campaign.from_canonical_json(found.canonical_json()) == found


def test_canonical_text_of_an_earlier_version_is_read() -> None:
    found = campaign(SMS)
    known = json.loads(found.canonical_json())
    earlier = {key: known[key] for key in known.keys() - {"account", "follow_ups", "nightly", "replies"}}

    assert Campaign.from_canonical_json(json.dumps(earlier)) == found


def test_wave_is_the_campaign_with_the_words_and_hours_of_its_follow_up() -> None:
    whole = campaign('account = "acme"\n' + BOTH)

    first, second = whole.wave(1), whole.wave(2)

    assert (first.message.author, second.message.author) == ("Second try", whole.message.author)
    assert first.message.variables == {"1": "{{ first_name }}"}
    assert (first.window, second.window) == (whole.follow_ups[0].window, None)
    assert (first.pair_busy, first.follow_ups, first.nightly) == ("use", (), None)
    assert (first.account, first.routing, first.to, first.pacing, first.replies) == (
        "acme",
        whole.routing,
        whole.to,
        whole.pacing,
        whole.replies,
    )
    assert Campaign.from_canonical_json(first.canonical_json()) == first


def test_wave_keeps_the_window_and_subject_of_the_campaign() -> None:
    window = '[window]\nfrom = "08:00"\nuntil = "21:00"\ntimezone = "UTC"\n'
    plain = campaign(EMAIL + window + SHORT)
    named = campaign(EMAIL + window + SHORT + 'subject = "Your renewal, once more"\n')

    assert (plain.wave(1).subject, named.wave(1).subject) == ("Your renewal", "Your renewal, once more")
    assert plain.wave(1).window == plain.window


def test_row_of_a_wave_is_a_recipient_with_the_words_of_the_follow_up() -> None:
    compiled = compile_campaign(
        campaign(SMS + SHORT).wave(1), ("phone", "first_name", "due_date"), "customers.csv"
    )

    found = compiled.recipient(7, ("07900900123", "Ann", "1 May"))

    assert isinstance(found, Recipient)
    assert (found.row, found.message.body) == (7, "Still there, Ann?")


def change(old: str, new: str, text: str = BOTH) -> list[str]:
    """Return the refusals of a definition with one thing changed."""
    assert old in text
    return refusals(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'after = "3d"',
            'after = "3 days"',
            '17: after of follow-up 1 is "3 days", which is no duration, write a duration in quotes, such as "3d", "36h" or "90m"',
        ),
        ('after = "3d"', "after = 3", "17: after of follow-up 1 is 3, which is no duration"),
        ('after = "3d"', 'after = "0s"', '17: after of follow-up 1 is "0s", which is no duration'),
        (
            'after = "3d"\n',
            "",
            '16: after of follow-up 1 is missing, write in [[follow_up]] after = "3d"',
        ),
        ('after = "3d"', 'after = "366d"', "17: after of follow-up 1 is longer than a year"),
        ('after = "3d"', "after_s = 3", '17: after_s of follow-up 1 is no key, write after = '),
        ('after = "1d12h"', 'aftr = "1d"', "28: aftr of follow-up 2 is no key, did you mean after?"),
        (
            'if = "undelivered"',
            'if = "undeliverd"',
            '29: if of follow-up 2 is "undeliverd", write "no_reply", "undelivered" or "always" (did you mean "undelivered"?)',
        ),
        ('if = "undelivered"', "if = true", '29: if of follow-up 2 is true, write "no_reply"'),
        ('if = "undelivered"', 'if_ = "always"', "29: if_ of follow-up 2 is no key, did you mean if?"),
        ('if = "undelivered"', 'misfire = "skip"', "29: misfire of follow-up 2 is no key, misfire belongs in [nightly]"),
        ('if = "undelivered"', "max = 0", "29: max of follow-up 2 is 0, write a whole number from 1 to 10"),
        ('if = "undelivered"', "max = 11", "29: max of follow-up 2 is 11, write a whole number from 1 to 10"),
        ('if = "undelivered"', 'max = "2"', '29: max of follow-up 2 is "2", write a whole number without quotes'),
        (
            'if = "undelivered"',
            'body = "Hi"',
            "29: both content_sid and body of follow-up 2 are set, and Twilio ignores body then",
        ),
        (
            f'if = "undelivered"\ncontent_sid = "{CONTENT_SID}"',
            'body = "Hi"',
            "27: content_sid of follow-up 2 is missing: WhatsApp takes a message only from an approved template once the "
            "customer's last one is 24 h old, and refuses a body alone with error 63016 "
            '(https://www.twilio.com/docs/api/errors/63016), write content_sid = "HX..." and its [follow_up.variables]',
        ),
        ('if = "undelivered"', 'subject = "Hi"', "29: subject of follow-up 2 is for email"),
        ('if = "undelivered"', 'author = " "', "29: author of follow-up 2 is empty"),
        ('if = "undelivered"', "author = 5", '29: author of follow-up 2 is 5, which is no text, write it in quotes: author = "5"'),
        (f'"undelivered"\ncontent_sid = "{CONTENT_SID}"', '"always"\ncontent_sid = "HX5"', "30: content_sid of follow-up 2 is \"HX5\", which is no content template SID"),
        ('author = "Second try"', 'author = "{{ x"', "19: author of follow-up 1: the template cannot be read"),
        ('[follow_up.variables]\n1 = "{{ first_name }}"', '[follow_up.variables]\n1 = "a\\nb"', "22: variable 1 of follow-up 1 holds a line break"),
        ('[follow_up.variables]\n1 = "{{ first_name }}"', "[follow_up.variables]\n1 = 5", '22: variables.1 of follow-up 1 is 5, which is no text, write it in quotes: 1 = "5"'),
        ('[follow_up.variables]\n1 = "{{ first_name }}"', '[follow_up.variables]\n"a b" = "x"', '22: "a b" can be no variable of a template'),
        ('[follow_up.variables]', "[follow_up.variabls]", "21: variabls of follow-up 1 is no key, did you mean variables?"),
        ('from = "10:00"', 'from = "10"', '24: window.from of follow-up 1 is "10", write a time of day'),
        ('until = "12:00"', 'until = "09:00"', "25: the window of follow-up 1 closes before it opens"),
        ('until = "12:00"\n', "", "23: window.until of follow-up 1 is missing, write in [follow_up.window] until = "),
        ('until = "12:00"', 'unti = "12:00"', "25: window.unti of follow-up 1 is no key, did you mean until?"),
        ('timezone = "UTC"', 'timezone = "UTC+1"', '26: "UTC+1" is no time zone'),
        ('at = "18:00"', 'at = "18"', '32: nightly.at is "18", write a time of day, such as "18:00"'),
        ('at = "18:00"', "at = 18:00:00", '32: nightly.at is 18:00:00, which is no text, write at = "18:00"'),
        ('"Europe/Berlin"', '"Europe/Berln"', '33: "Europe/Berln" is no time zone, did you mean "Europe/Berlin"?'),
        ('"Europe/Berlin"', '"{{ tz }}"', '33: "{{ tz }}" is no time zone, write a name such as "Europe/London"'),
        ('"Europe/Berlin"', '"number"', '33: "number" is no time zone'),
        ('"skip"', '"catchup"', '34: nightly.misfire is "catchup", write "catch_up" or "skip" (did you mean "catch_up"?)'),
        ('"BAJA"', '"!"', '36: the opt-out word "!" has no letter or digit, remove it'),
        ('"BAJA"', f'"{"x" * 65}"', "has 65 characters, and may have 64"),
        ('["BAJA", "STOPP"]', str(["x"] * 201), "36: 201 opt_out_words are set, and there may be 200"),
        ('["BAJA", "STOPP"]', '"BAJA"', '36: replies.opt_out_words is "BAJA", write opt_out_words = ["BAJA", "ARRET"]'),
        ('"BAJA", ', "5, ", "36: replies.opt_out_words is 5, which is no text"),
    ],
)  # fmt: skip
def test_fault_is_told_with_the_line_of_the_right_follow_up(old: str, new: str, said: str) -> None:
    found = change(old, new)

    assert any(said in line for line in found), found
    assert all(line.startswith("campaign.toml:") for line in found)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('body = "Still', 'boddy = "Still', "16: boddy of follow-up 1 is no key, did you mean body?"),
        ('body = "Still there, {{ first_name }}?"', 'if = "always"', '14: follow-up 1 has no message, write in [[follow_up]] body = '),
        ('"Still there, {{ first_name }}?"', f'"{"x" * 1601}"', "16: the body of follow-up 1 has 1,601 characters, and Twilio takes 1,600"),
        ("[[follow_up]]", "[[follow_ups]]", "14: follow_ups is no key, did you mean follow_up?"),
        ("[[follow_up]]", "[follow_up]", "14: follow_up is a section, write [[follow_up]], with two brackets on each side"),
        (SHORT, NIGHT, "14: there is a [nightly] section and no follow-up to send"),
        (SHORT, SHORT * 11, "44: there are 11 follow-ups, and a campaign may have 10"),
        ("there, {{ first_name }}?\"\n", 'there?"\n[follow_up.variables]\n1 = "x"\n', "17: variables of follow-up 1 are set without a template"),
    ],
)  # fmt: skip
def test_fault_of_a_follow_up_by_sms_is_told(old: str, new: str, said: str) -> None:
    found = change(old, new, SMS + "\n" + SHORT)

    assert [line for line in found if said in line], found


def test_list_of_follow_ups_in_one_line_is_told_with_that_line() -> None:
    found = refusals('follow_up = [{ after = "3d", body = "Hi" }, { after = "x", body = "Hi" }, 5]\n' + SMS)

    assert found == [
        'campaign.toml:1: after of follow-up 2 is "x", which is no duration, write a duration in quotes, such as "3d", "36h" or "90m"',
        "campaign.toml:1: follow-up 3 is 5, write [[follow_up]], with two brackets on each side, on a line of its own",
    ]


def test_difference_of_follow_ups_is_told_readably() -> None:
    old = campaign(BOTH)
    changed = campaign(BOTH.replace('"3d"', '"4d"').replace("max = 2\n", "").replace("Second try", "Team"))
    added = campaign(BOTH + f'[[follow_up]]\nafter = "9d"\nif = "always"\ncontent_sid = "{CONTENT_SID}"\n')

    assert difference(old, old) == []
    assert difference(old, changed) == [
        "follow-up 1, after: '3d' -> '4d'",
        "follow-up 1, author: 'Second try' -> 'Team'",
        "follow-up 1, max: 2 -> 1",
    ]
    assert difference(old, added) == [
        f"follow-up 3: not set -> after '9d', if 'always', content_sid '{CONTENT_SID}', max 1"
    ]
    assert difference(campaign(BOTH.replace(SECOND, "")), old)[0].startswith("follow-up 2: not set -> after")


# What is wrong with a row -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cell", "code", "said"),
    [
        ('body = "{{ note }}"', "", "missing_value", "note is empty, and the body of follow-up 1 is made of it"),
        ('body = "{{ note }}"', "#N/A", "missing_value", 'note holds "#N/A", which would be sent as text'),
        ('body = "{{ note | trim }}"', "", "missing_value", "the body of follow-up 1 is empty"),
        ('body = "{{ note }}"', "x" * 1601, "too_long", "the body of follow-up 1 has 1,601 characters, and Twilio takes 1,600"),
        ('body = "{{ 1 // note | length }}"', "", "bad_template", "body of follow-up 1: the template cannot be filled from this row"),
        ('content_sid = "{{ note }}"', "HX1", "bad_sid", 'content_sid of follow-up 1 is "HX1", which is no content template SID'),
        (f'content_sid = "{CONTENT_SID}"\nvariables = {{ 1 = "{{{{ note }}}}" }}', "a\tb", "bad_text", "variable 1 of follow-up 1 holds a tab"),
        ('body = "x"\nwindow = { from = "{{ note }}", until = "21:00", timezone = "UTC" }', "8", "bad_window", 'window.from of follow-up 1 is "8"'),
        ('body = "x"\nwindow = { from = "08:00", until = "21:00", timezone = "{{ note }}" }', "Nowhere", "bad_window", '"Nowhere" is no time zone'),
    ],
)  # fmt: skip
def test_row_that_a_follow_up_could_not_be_sent_to_is_invalid(
    tmp_path: Path, text: str, cell: str, code: str, said: str
) -> None:
    definition = SMS + f'[[follow_up]]\nafter = "1d"\n{text}\n'
    path = write(tmp_path, f'phone,first_name,due_date,note\n07900900123,Ann,1 May,"{cell}"\n')

    (row,) = check(path, definition)

    assert (row.verdict, row.code) == ("invalid", code)
    assert said in row.sentence
    first = recipient(definition, phone="07900900123", first_name="Ann", due_date="1 May", note=cell)
    assert isinstance(first, Recipient), "a follow-up holds no first message back"


def test_cell_that_is_wrong_for_the_first_message_is_told_once(tmp_path: Path) -> None:
    definition = WHATSAPP + FIRST
    path = write(tmp_path, HEADER + "+447900900123,A\tB,1 May\n")

    (row,) = check(path, definition)

    assert [problem.what for problem in row.problems] == ["variable 1 holds a tab"]


def test_doubtful_cell_of_a_follow_up_is_warned_of(tmp_path: Path) -> None:
    definition = SMS + '[[follow_up]]\nafter = "1d"\nbody = "{{ note }}"\n'
    path = write(tmp_path, "phone,first_name,due_date,note\n07900900123,Ann,1 May,TBC\n")

    (row,) = check(path, definition)

    assert row.verdict == "ready"
    assert [problem.what for problem in row.problems] == ['"TBC" will be sent as text']


def test_column_that_only_a_follow_up_names_must_be_in_the_file(tmp_path: Path) -> None:
    definition = SMS + '[[follow_up]]\nafter = "1d"\nbody = "{{ frist_name }}"\n'

    with pytest.raises(RefusedError) as caught:
        check(write(tmp_path, HEADER + ANN), definition)

    (problem,) = caught.value.problems
    assert problem.what == "body of follow-up 1 uses {{ frist_name }}, and the file has no such column"
    assert problem.advice == 'did you mean "first_name"?'
