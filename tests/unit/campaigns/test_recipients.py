"""From a row to the recipient that Twilio is told of, on every channel."""

import pytest
from campaign_builders import CONTENT_SID, EMAIL, ROUTING, SIDS, SMS, WHATSAPP, recipient

from campaigns.recipients import Message, Recipient, Routing, RowError

BRITISH = "+447900900123"


def ready(text: str = SMS, row: int = 1, **cells: str) -> Recipient:
    """Return the recipient of a row that must be ready."""
    found = recipient(text, row, **cells)
    assert isinstance(found, Recipient), found
    return found


def fault(text: str = SMS, **cells: str) -> RowError:
    """Return what is wrong with a row that must be refused."""
    found = recipient(text, **cells)
    assert isinstance(found, RowError), found
    return found


def test_sms_has_address_proxy_and_body() -> None:
    found = ready(phone="07900 900123", first_name=" Ann ", due_date="1 May")

    assert found == Recipient(
        row=1,
        address=BRITISH,
        proxy_address="+19252210100",
        channel="sms",
        identity=None,
        name=None,
        level=None,
        from_address=None,
        from_name=None,
        routing=Routing(**SIDS, task_channel=None, priority=None, timeout_s=None, attributes={}),
        context_sid=None,
        webhook_ttid=None,
        message=Message("system", "Hi Ann, due 1 May. Bye", None, {}, None),
    )
    assert found.pair == f"{BRITISH}|+19252210100"


@pytest.mark.parametrize(
    "phone", [BRITISH, f"whatsapp:{BRITISH}", f"WhatsApp: {BRITISH}", "+44 (0)7900 900123"]
)
def test_whatsapp_prefix_is_added_where_it_is_missing(phone: str) -> None:
    text = WHATSAPP.replace('"whatsapp:+19252210100"', '"+19252210100"')

    found = ready(text, phone=phone, first_name="Ann", due_date="1 May")

    assert (found.address, found.proxy_address) == (f"whatsapp:{BRITISH}", "whatsapp:+19252210100")
    assert found.message == Message("system", None, CONTENT_SID, {"1": "Ann", "2": "1 May"}, None)


def test_whatsapp_address_is_refused_on_sms() -> None:
    assert "channel is sms" in fault(phone=f"whatsapp:{BRITISH}", first_name="A", due_date="1").sentence


def test_email_has_names_level_and_subject() -> None:
    found = ready(EMAIL, email="Ann@EXAMPLE.com", first_name="Ann")

    assert (found.address, found.name, found.level) == ("Ann@example.com", "Ann", "to")
    assert (found.from_address, found.from_name, found.proxy_address) == (
        "office@example.com",
        "Office",
        None,
    )
    assert found.message.subject == "Your renewal"
    assert found.pair == "ann@example.com|office@example.com"


@pytest.mark.parametrize(
    "email",
    [
        "ann",
        "ann@",
        "@example.com",
        "ann@example",
        "a b@example.com",
        "ann@example.com, bob@example.com",
        "ann@exa_mple.com",
        "ann..b@example.com",
    ],
)
def test_bad_email_is_refused(email: str) -> None:
    found = fault(EMAIL, email=email, first_name="Ann")

    assert (found.code, found.column) == ("bad_address", "email")


@pytest.mark.parametrize(
    "email", ["o'brien@example.com", "jörg@example.com", "a@münchen.example.com", "mailto:ann@example.com"]
)
def test_unusual_email_is_taken(email: str) -> None:
    assert "@" in ready(EMAIL, email=email, first_name="Ann").address


@pytest.mark.parametrize("channel", ["chat", "web"])
def test_chat_and_web_have_an_identity(channel: str) -> None:
    text = f'name = "test"\nchannel = "{channel}"\nto = "{{{{ id }}}}"\n{ROUTING}[message]\nbody = "Hi"\n'

    found = ready(text, id="customer-17")

    assert (found.identity, found.address, found.proxy_address) == ("customer-17", "customer-17", None)
    assert fault(text, id="customer 17").code == "bad_address"
    assert fault(text, id="x" * 257).code == "bad_address"


@pytest.mark.parametrize("channel", ["messenger", "gbm"])
def test_messenger_and_gbm_addresses_pass_as_they_are(channel: str) -> None:
    text = SMS.replace('"sms"', f'"{channel}"').replace("+19252210100", "messenger:123")

    found = ready(text, phone="messenger:456", first_name="A", due_date="1")

    assert (found.address, found.proxy_address) == ("messenger:456", "messenger:123")


def test_everything_may_come_from_the_row() -> None:
    names = ["from", "region", *SIDS, "channel", "prio", "timeout", "context", "ttid", "author", "content"]
    text = (
        'name = "test"\nchannel = "whatsapp"\nfrom = "{{ from }}"\nto = "{{ phone }}"\ndefault_region = "{{ region }}"\n[routing]\n'
        + "".join(f'{key} = "{{{{ {key} }}}}"\n' for key in SIDS)
        + 'task_channel = "{{ channel }}"\npriority = "{{ prio }}"\ntimeout_s = "{{ timeout }}"\n'
        '[routing.attributes]\ncustomerName = "{{ first_name }}"\n'
        '[interaction]\ncontext_sid = "{{ context }}"\nwebhook_ttid = "{{ ttid }}"\n'
        '[message]\nauthor = "{{ author }}"\ncontent_sid = "{{ content }}"\n[message.variables]\n1 = "{{ first_name }}"\n'
    )
    context = "HQ" + "0" * 32
    values = [
        "+1 925 221 0100",
        "GB",
        *SIDS.values(),
        "chat",
        "7",
        "60",
        context,
        "hook",
        "Team",
        CONTENT_SID,
    ]
    cells = dict(zip(names, values, strict=True)) | {"phone": "07900900123", "first_name": "Ann"}

    found = ready(text, **cells)

    assert found.proxy_address == "whatsapp:+19252210100"
    assert found.address == f"whatsapp:{BRITISH}"
    assert found.routing == Routing(
        **SIDS, task_channel="chat", priority=7, timeout_s=60, attributes={"customerName": "Ann"}
    )
    assert (found.context_sid, found.webhook_ttid) == (context, "hook")
    assert (found.message.author, found.message.content_sid) == ("Team", CONTENT_SID)

    emptied = ready(text, **(cells | dict.fromkeys(["channel", "prio", "timeout", "context", "ttid"], "")))
    assert (emptied.routing.task_channel, emptied.routing.priority, emptied.routing.timeout_s) == (
        None,
        None,
        None,
    )
    assert (emptied.context_sid, emptied.webhook_ttid) == (None, None)

    for column, wrong, code in [
        ("workspace_sid", "WS1", "bad_sid"),
        ("worker_sid", SIDS["queue_sid"], "bad_sid"),
        ("context", "HQ1", "bad_sid"),
        ("content", "HX", "bad_sid"),
        ("worker_sid", "", "missing_value"),
        ("prio", "high", "bad_value"),
        ("timeout", "0", "bad_value"),
        ("region", "UK", "bad_region"),
        ("from", "Acme", "bad_sender"),
    ]:
        wrongly = fault(text, **(cells | {column: wrong}))
        assert (wrongly.code, wrongly.column) == (code, column)
    assert fault(text, **(cells | {"region": ""})).code == "bad_number"


def test_agents_are_dealt_evenly_and_the_same_way_each_time() -> None:
    agents = ["WK" + digit * 32 for digit in "123"]
    text = SMS.replace(f'worker_sid = "{SIDS["worker_sid"]}"', f"agents = {agents}".replace("'", '"'))

    dealt = [
        ready(text, row, phone="07900900123", first_name="A", due_date="1").routing.worker_sid
        for row in range(1, 8)
    ]

    assert dealt == [*agents, *agents, agents[0]]


@pytest.mark.parametrize(
    ("cell", "code", "words"),
    [
        ("", "missing_value", "first_name is empty"),
        (" \u00a0\u200b", "missing_value", "first_name is empty"),
        ("NULL", "missing_value", '"NULL", which would be sent as text'),
        ("#N/A", "missing_value", '"#N/A", which would be sent as text'),
        ("#REF!", "missing_value", "#REF!"),
        ("NaN", "missing_value", "NaN"),
        ("An\nn", "bad_text", "line break"),
        ("An\u2028n", "bad_text", "line break"),
        ("An\tn", "bad_text", "tab"),
        ("An     n", "bad_text", "more than four spaces"),
        ("An\x00n", "bad_text", "control character (U+0000)"),
        ("An\x07n", "bad_text", "control character (U+0007)"),
        ("An\ufffdn", "bad_text", "a character was lost"),
        ("x" * 1601, "too_long", "1,601 characters, and Twilio takes 1,600"),
    ],
)
def test_bad_variable_is_refused(cell: str, code: str, words: str) -> None:
    found = fault(WHATSAPP, phone=BRITISH, first_name=cell, due_date="1 May")

    assert (found.code, found.column) == (code, "first_name")
    assert words in found.sentence


@pytest.mark.parametrize(
    "cell",
    [
        "x" * 1600,
        "An    n",
        "Zoë 😀",
        "=1+1",
        '=HYPERLINK("http://x.example","pay")',
        "-1",
        "Null",
        "אן\u200f",
    ],
)
def test_unusual_variable_is_taken_as_it_is(cell: str) -> None:
    assert ready(WHATSAPP, phone=BRITISH, first_name=cell, due_date="1 May").message.variables[
        "1"
    ] == cell.strip("\u200f")


def test_body_may_have_lines_and_is_measured_after_filling() -> None:
    fixed = len("Hi , due 1 May. Bye")
    at_limit = "x" * (1600 - fixed)

    assert ready(phone=BRITISH, first_name="A\nB", due_date="1 May").message.body == "Hi A\nB, due 1 May. Bye"
    assert len(ready(phone=BRITISH, first_name=at_limit, due_date="1 May").message.body or "") == 1600
    found = fault(phone=BRITISH, first_name=at_limit + "x", due_date="1 May")
    assert (found.code, found.sentence) == (
        "too_long",
        "the body has 1,601 characters, and Twilio takes 1,600",
    )


def test_subject_is_one_line_of_256_characters() -> None:
    text = EMAIL.replace('"Your renewal"', '"{{ first_name }}"')

    assert ready(text, email="a@example.com", first_name="x" * 256).message.subject == "x" * 256
    assert fault(text, email="a@example.com", first_name="x" * 257).code == "too_long"
    assert fault(text, email="a@example.com", first_name="x\ny").code == "bad_text"


def test_attributes_are_measured_and_may_be_empty() -> None:
    text = SMS.replace("[message]", '[routing.attributes]\nnote = "{{ note }}"\n[message]')
    cells = {"phone": BRITISH, "first_name": "A", "due_date": "1"}

    assert ready(text, **cells, note="").routing.attributes == {"note": ""}
    assert fault(text, **cells, note="é" * 700).code == "too_long"


def test_window_cells_are_judged() -> None:
    text = SMS + '[window]\nfrom = "{{ opens }}"\nuntil = "21:00"\ntimezone = "{{ tz }}"\n'
    cells = {"phone": BRITISH, "first_name": "A", "due_date": "1"}

    ready(text, **cells, opens="08:00", tz="Europe/London")
    assert fault(text, **cells, opens="8", tz="Europe/London").column == "opens"
    assert fault(text, **cells, opens="08:00", tz="London").column == "tz"


def test_missing_address_is_not_a_bad_address() -> None:
    found = fault(phone=" ", first_name="A", due_date="1")

    assert (found.code, found.sentence) == ("missing_value", "phone is empty")


def test_template_that_fails_on_a_row_is_that_rows_fault() -> None:
    text = SMS.replace("{{ due_date }}", "{{ due_date | int // 0 }}")

    found = fault(text, phone=BRITISH, first_name="A", due_date="1")

    assert found.code == "bad_template"
    assert "message.body" in found.sentence


def test_address_made_by_an_expression_may_be_missing() -> None:
    text = SMS.replace('"{{ phone }}"', '"{{ mobile or phone }}"')

    assert fault(text, mobile="", phone="", first_name="A", due_date="1").sentence == "the address is empty"
    assert ready(text, mobile="", phone=BRITISH, first_name="A", due_date="1").address == BRITISH


def test_region_that_an_expression_cannot_give_is_that_rows_fault() -> None:
    text = SMS.replace('"GB"', '"{{ country | int // 0 }}"')

    assert fault(text, phone=BRITISH, first_name="A", due_date="1", country="x").code == "bad_template"


def test_level_may_come_from_the_row() -> None:
    text = EMAIL.replace("to_name", 'level = "{{ level }}"\nto_name')

    assert ready(text, email="a@example.com", first_name="A", level="cc").level == "cc"
    assert fault(text, email="a@example.com", first_name="A", level="CC").code == "bad_value"
