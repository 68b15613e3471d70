"""The definition file: what is taken, and how what is not is told."""

from pathlib import Path

import pytest
from campaign_builders import CONTENT_SID, EMAIL, ROUTING, SIDS, SMS, WHATSAPP, campaign, refusals

from campaigns.campaign import Campaign, difference
from campaigns.definition import load_definition
from campaigns.problems import RefusedError

EXAMPLES = Path(__file__).parents[3] / "campaigns" / "examples"

FULL = f"""
name = "renewal-reminder"
account = "globex-uk"
channel = "whatsapp"
from = "whatsapp:+19251235555"
to = "{{{{ phone }}}}"
default_region = "US"
pair_busy = "wait"
pair_wait_max = "1h30m"
[routing]
workspace_sid = "{SIDS["workspace_sid"]}"
workflow_sid = "{SIDS["workflow_sid"]}"
queue_sid = "{SIDS["queue_sid"]}"
worker_sid = "{{{{ agent_sid }}}}"
task_channel = "chat"
priority = 0
timeout_s = 3600
[routing.attributes]
customerName = "{{{{ first_name }}}}"
[interaction]
context_sid = "HQ{"0" * 32}"
webhook_ttid = "flex_interactionwebhook_1"
[message]
author = "Renewals team"
content_sid = "{CONTENT_SID}"
[message.variables]
1 = "{{{{ first_name }}}}"
2 = "{{{{ due_date }}}}"
[pacing]
interactions_per_second = 20
messages_per_second = 0.5
max_attempts = 5
priority = -3
[window]
from = "08:00"
until = "21:00"
timezone = "{{{{ tz }}}}"
"""


def test_every_key_is_read() -> None:
    found = campaign(FULL)

    assert found.account == "globex-uk"
    assert found.from_ == "whatsapp:+19251235555"
    assert found.pair_wait_max_s == 5400
    assert found.routing.priority == 0
    assert found.routing.timeout_s == 3600
    assert found.interaction.webhook_ttid == "flex_interactionwebhook_1"
    assert found.message.variables == {"1": "{{ first_name }}", "2": "{{ due_date }}"}
    assert found.pacing.interactions_per_second == 20
    assert found.sender_messages_per_s == 0.5
    assert found.pacing.priority == -3
    assert found.window is not None
    assert (found.window.from_, found.window.timezone) == ("08:00", "{{ tz }}")


def test_what_is_not_set_has_its_default() -> None:
    found = campaign(WHATSAPP)

    assert (found.pair_busy, found.pair_wait_max_s, found.pacing.max_attempts) == ("skip", 86_400, 5)
    assert (found.default_region, found.window, found.message.author) == (None, None, "system")
    assert found.pacing.priority == 0
    assert found.account is None
    assert found.sender_messages_per_s == 80
    assert campaign(SMS).sender_messages_per_s is None


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/campaign.toml")))
def test_bundled_examples_are_right(path: Path) -> None:
    assert load_definition(path).name == path.parent.name


@pytest.mark.parametrize("text", [FULL, SMS, WHATSAPP, EMAIL])
def test_canonical_text_reads_back_and_is_stable(text: str) -> None:
    found = campaign(text)

    again = Campaign.from_canonical_json(found.canonical_json())

    assert again == found
    assert again.canonical_json() == found.canonical_json()


def test_order_and_comments_of_the_file_make_no_difference() -> None:
    moved = SMS.replace('channel = "sms"\n', "").replace(
        'name = "test"', '# a comment\nchannel = "sms"\nname = "test"'
    )

    assert campaign(moved).canonical_json() == campaign(SMS).canonical_json()


def test_difference_is_told_key_by_key() -> None:
    new = campaign(SMS.replace("Bye", "Cheers").replace('"GB"', '"US"') + "[pacing]\nmax_attempts = 3\n")

    assert difference(campaign(SMS), campaign(SMS)) == []
    assert difference(campaign(SMS), new) == [
        "default_region: 'GB' -> 'US'",
        "message.body: 'Hi {{ first_name }}, due {{ due_date }}. Bye' -> 'Hi {{ first_name }}, due {{ due_date }}. Cheers'",
        "pacing.max_attempts: 5 -> 3",
    ]


def change(old: str, new: str, text: str = SMS) -> list[str]:
    """Return the refusals of a definition with one thing changed."""
    assert old in text
    return refusals(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'name = "test"',
            'name = "Test run"',
            '1: name is "Test run", use only a-z, 0-9 and -, at most 48 characters',
        ),
        ('name = "test"\n', "", "name is missing, write name = "),
        (
            'channel = "sms"',
            'account = "Acme"\nchannel = "sms"',
            '2: account is "Acme", write a name that stands in OUTREACH_ACCOUNTS: a-z first',
        ),
        ('channel = "sms"', 'account = "{{ a }}"\nchannel = "sms"', "2: account is "),
        ('channel = "sms"', 'account = ""\nchannel = "sms"', '2: account is "", write a name'),
        ('channel = "sms"', f'account = "{"a" * 25}"\nchannel = "sms"', "at most 24 characters"),
        (
            'channel = "sms"',
            'account = 5\nchannel = "sms"',
            '2: account is 5, which is no text, write account = "acme"',
        ),
        (
            "[message]",
            '[message]\naccount = "acme"',
            "account belongs at the top, before the first [section]",
        ),
        ('channel = "sms"', 'chanel = "sms"', "2: chanel is no key, did you mean channel?"),
        ('channel = "sms"', 'channel = "smss"', 'did you mean "sms"?'),
        ('to = "{{ phone }}"', "to = 5", '4: to is 5, which is no text, write it in quotes: to = "5"'),
        ('to = "{{ phone }}"', 'to = "+447900900123"', "to is the same for every row"),
        ('to = "{{ phone }}"', 'to = " "', "to is empty"),
        ('to = "{{ phone }}"', 'to = "{{ phone }"', "the template cannot be read"),
        ('to = "{{ phone }}"', 'to = "{{ phone | nosuch }}"', "the template cannot be read"),
        ('from = "+19252210100"\n', "", "from is missing: sms needs"),
        ('"+19252210100"', '"whatsapp:+19252210100"', "WhatsApp sender"),
        ('"+19252210100"', '"Acme"', "no number to send from"),
        ('"GB"', '"UK"', 'write "GB"'),
        ('"GB"', '"gb"', 'write "GB"'),
        ('default_region = "GB"', 'pair_busy = "no"', 'write "skip", "use" or "wait"'),
        ('default_region = "GB"', "pair_wait_max = 24", '"24h"'),
        ('default_region = "GB"', 'pair_wait_max = "24 h"', '"24h"'),
        ('default_region = "GB"', 'pair_wait_max = "0s"', '"24h"'),
        ('default_region = "GB"', "pair_wait_max_s = 24.0", "pair_wait_max"),
        ('default_region = "GB"', 'from_name = "x"', "from_name is for email"),
        ('default_region = "GB"', "max_attempts = 3", "max_attempts belongs in [pacing]"),
        (SIDS["workspace_sid"], "WS123", "no workspace SID, write WS and 32 hexadecimal digits"),
        (SIDS["queue_sid"], SIDS["worker_sid"], "no task queue SID"),
        ("worker_sid =", "workr_sid =", "did you mean worker_sid?"),
        (f'worker_sid = "{SIDS["worker_sid"]}"\n', "", "nobody is named"),
        ("[message]", 'agents = ["WK1"]\n[message]', "both worker_sid and agents"),
        ("[message]", 'agents = "WK1"\n[message]', 'write agents = ["WK...", "WK..."]'),
        ("[message]", 'agents = ["WK1", 5]\n[message]', 'write agents = ["WK...", "WK..."]'),
        ("[message]", "[[message]]", "11: message is a list, write a [message] section"),
        ("[routing]", "routing = 5\n[pacing]", "6: routing is 5, write a [routing] section"),
        (
            'to = "{{ phone }}"',
            'to = ["{{ phone }}"]',
            '4: to is a list, which is no text, write to = "{{ phone }}"',
        ),
        ('to = "{{ phone }}"', "to = { column = 1 }", "to is a section"),
        ("[message]", '[routing.attributes]\na.b = "x"\n[message]', "routing.attributes.a is a section"),
        ("[message]", "priority = -1\n[message]", "write a whole number from 0"),
        ("[message]", 'priority = "high"\n[message]', "write a whole number from 0"),
        ("[message]", "priority = 1.5\n[message]", "routing.priority is 1.5"),
        ("[message]", "timeout = 60\n[message]", "did you mean timeout_s?"),
        ("[message]", "timeout_s = 0\n[message]", "write a whole number from 1"),
        (
            "[message]",
            "[routing.attributes]\ncustomerId = 5\n[message]",
            '12: routing.attributes.customerId is 5, which is no text, write it in quotes: customerId = "5"',
        ),
        ("[message]", '[interaction]\ncontext_sid = "HQ1"\n[message]', "no interaction context SID"),
        ("[message]", "[pacing]\ninteractions_per_second = 0\n[message]", "a number greater than 0"),
        ("[message]", '[pacing]\ninteractions_per_second = "20"\n[message]', "a number without quotes"),
        ("[message]", "[pacing]\nmax_attempts = 0\n[message]", "from 1 to 100"),
        ("[message]", "[pacing]\npriority = 11\n[message]", "a whole number from -10 to 10"),
        ("[message]", "[pacing]\npriority = -11\n[message]", "a whole number from -10 to 10"),
        ("[message]", '[pacing]\npriority = "high"\n[message]', "a whole number without quotes"),
        ("[message]", "[pacing]\nmax_attempts = true\n[message]", "max_attempts is true"),
        (
            "[message]",
            '[window]\nfrom = "8"\nuntil = "21:00"\ntimezone = "Europe/London"\n[message]',
            "time of day",
        ),
        (
            "[message]",
            '[window]\nfrom = "21:00"\nuntil = "08:00"\ntimezone = "number"\n[message]',
            "closes before it opens",
        ),
        (
            "[message]",
            '[window]\nfrom = "08:00"\nuntil = "21:00"\ntimezone = "London"\n[message]',
            "no time zone",
        ),
        ("[message]", '[window]\nfrom = "08:00"\n[message]', "window.until is missing"),
        ("[message]\n", "[mesage]\n", "did you mean message?"),
        ('body = "Hi', 'content_sid = "HX1"\nbody = "Hi', "both content_sid and body"),
        ("body =", "text =", "message.text is no key"),
        ("body =", "author =", "there is no message"),
        ("[message]", '[message]\nauthor = ""', "author is empty"),
        ('"Hi {{ first_name }}, due {{ due_date }}. Bye"', f'"{"x" * 1601}"', "1,601 characters"),
        ('"Hi {{ first_name }}, due {{ due_date }}. Bye"', '"{{ first_name"', "the template cannot be read"),
        ('Bye"\n', 'Bye"\n[message.variables]\n1 = "x"\n', "variables are set without a template"),
        ('"sms"', '"chat"', "from is not used on chat"),
        ("[message]", "[message", "11:9: this is not TOML"),
        ('channel = "sms"', "channel = sms", "2:11: this is not TOML"),
        ('channel = "sms"', 'name = "again"', "this is not TOML: Cannot overwrite a value"),
    ],
)
def test_fault_is_told_with_its_place_and_what_to_write(old: str, new: str, said: str) -> None:
    found = change(old, new)

    assert any(said in line for line in found), found
    assert all(line.startswith("campaign.toml") for line in found)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (f'content_sid = "{CONTENT_SID}"', 'body = "Hi"', "63016"),
        (CONTENT_SID, "HX5", "no content template SID"),
        ('1 = "{{ first_name }}"', "1 = 5", 'write it in quotes: 1 = "5"'),
        ('1 = "{{ first_name }}"', '1 = ""', "variable 1 is empty"),
        ('1 = "{{ first_name }}"', '1 = "a\\nb"', "line break"),
        ('1 = "{{ first_name }}"', '1 = "a\\tb"', "tab"),
        ('1 = "{{ first_name }}"', '1 = "a     b"', "more than four spaces"),
        ('1 = "{{ first_name }}"', f'1 = "{"x" * 1601}"', "1,601 characters"),
        ('1 = "{{ first_name }}"', '"first name" = "x"', "can be no variable"),
        ('1 = "{{ first_name }}"', 'abcdefghijklmnopq = "x"', "can be no variable"),
        ('1 = "{{ first_name }}"', "".join(f'v{n} = "x"\n' for n in range(100)), "101 variables"),
    ],
)
def test_fault_of_a_template_campaign_is_told(old: str, new: str, said: str) -> None:
    found = change(old, new, WHATSAPP)

    assert any(said in line for line in found), found


@pytest.mark.parametrize("key", ["from_name", "to_name", "subject", "from"])
def test_email_names_what_it_needs(key: str) -> None:
    without = "".join(line for line in EMAIL.splitlines(keepends=True) if not line.startswith(f"{key} ="))

    assert any(f"{key} is missing" in line for line in refusals(without))


def test_level_is_one_of_three() -> None:
    assert refusals(EMAIL.replace("to_name", 'level = "To"\nto_name')) == [
        'campaign.toml:6: level is "To", write level = "to", "cc" or "bcc"'
    ]


@pytest.mark.parametrize("channel", ["chat", "web"])
def test_chat_and_web_need_an_identity_alone(channel: str) -> None:
    text = f'name = "test"\nchannel = "{channel}"\nto = "{{{{ id }}}}"\n{ROUTING}[message]\nbody = "Hi"\n'

    assert refusals(text) == []


@pytest.mark.parametrize("channel", ["messenger", "gbm"])
def test_messenger_and_gbm_are_passed_through(channel: str) -> None:
    assert refusals(SMS.replace('"sms"', f'"{channel}"').replace("+19252210100", "messenger:123")) == []


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    found = refusals(SMS.replace('"test"', '"T"').replace('"GB"', "5").replace("body", "boddy"))

    assert len(found) == 3
    assert [int(line.split(":")[1]) for line in found] == [1, 5, 12]


def test_key_inside_a_long_text_is_not_taken_for_its_line() -> None:
    text = SMS.replace('name = "test"', "").replace(
        '[message]\nbody = "Hi {{ first_name }}, due {{ due_date }}. Bye"',
        '[message]\nbody = """\n[routing]\nname = "x"\n"""\nsubjct = "x"',
    )

    assert any(line.startswith("campaign.toml:16: message.subjct") for line in refusals(text)), refusals(text)


def test_unreadable_definitions_are_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no such file"):
        load_definition(tmp_path / "none.toml")
    with pytest.raises(RefusedError, match="this is a folder"):
        load_definition(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes(SMS.encode() + b"# caf\xe9\n")
    with pytest.raises(RefusedError, match=r"latin.toml:13: the file is not UTF-8"):
        load_definition(latin)


def test_definition_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "campaign.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SMS.encode())

    assert load_definition(path) == campaign(SMS)
