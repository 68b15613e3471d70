"""Where the engines begin: the examples, the cases kept in `tests/data/fuzz`, and one of each kind of input."""

from pathlib import Path

from targets import PLAIN, SEPARATOR
from twilio_answers import CALLS, answered, true_body
from workbooks import sheet, text_row, whole

_ROOT = Path(__file__).parents[2]
KEPT = _ROOT / "tests" / "data" / "fuzz"
_EXAMPLES = sorted((_ROOT / "campaigns" / "examples").glob("*/"))
_MAX_SEED_BYTES = 6_000
# What formats give a meaning to.
TOKENS = {
    "definition": [b"{{", b"}}", b"{% if x %}", b"{% endif %}", b"[[", b"]]", b'"""', b"[routing]", b"{{ a|upper }}", b"= {", b"1979-05-27T07:32:00Z", b"inf", b"9" * 5000, b"[" * 2000, b"\n\n"],
    "customers": [b'"', b'""', b",", b";", b"\t", b"\r", b"\n", b"\r\n", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"sep=;\n", b"+447900900123", b"'=", b"\xe2\x80\xa8", b"4.47E+11", b"," * 500, b"a\n" * 500],
    "settings": [b"=", b"\n", b"'", b'"', b"export ", b"\\", b"#", b"_FILE=", b"${HOME}", b"\0", b"~nobody", b"/dev/null", b"9" * 5000],
    "webhook": [b"%00", b"%ed%a0%80", b"%ff", b"&&", b"=", b"%", b"+", b"\n=====\n", b"&EventType=onMessageAdded", b"&Attributes=" + b"%5B" * 3000, b"&Attributes=%7B%22outreach_key%22%3A%22%5Cud800%22%7D", b"&ErrorCode=" + b"9" * 5000, b"&DateCreated=9999-12-31T23%3A59%3A59-23%3A59", b"&a=1" * 200, b"algorithm=HMAC_SHA256", b"key=known,"],
    "wire": [b"\r\n", b"\r\n\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked", b"Content-Encoding: gzip\r\n", b"HTTP/1.1 ", b"HTTP/9.9 -1\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"ffffffffffff\r\n", b"-5\r\n", b"0\r\n\r\n", b"; ext", b"\x1f\x8b\x08"],
}  # fmt: skip
_KIND = {"definition": "definition", "whole_check": "definition", "customers_csv": "customers", "results_fed_back": "customers", "settings": "settings", "wire": "wire", "webhook": "webhook"}  # fmt: skip


def tokens_of(target: str) -> list[bytes]:
    """Return the tokens that are worth putting into an input of `target`."""
    return TOKENS.get(_KIND.get(target, ""), [])


def seeds_of(target: str) -> list[bytes]:
    """Return inputs for `target` that reach far."""
    kept = (path.read_bytes() for path in cases_of(target))
    # The large ones are there for the time that they took: mutating them takes that time again.
    return [case for case in kept if len(case) <= _MAX_SEED_BYTES] + _SEEDS[target]()


def cases_of(target: str) -> list[Path]:
    """Return the kept cases of `target`."""
    return sorted(path for path in (KEPT / target).glob("*") if path.is_file())


def _definitions() -> list[bytes]:
    email = PLAIN.replace('"sms"', '"email"').replace("+19252210100", "office@example.com").replace("phone", "email")  # fmt: skip
    window = '[window]\nfrom = "08:00"\nuntil = "{{ until }}"\ntimezone = "number"\n[pacing]\nmax_attempts = 3\nmessages_per_second = 0.5\n'
    later = '[[follow_up]]\nafter = "3d"\nbody = "Hi {{ first_name }}"\n[follow_up.window]\nfrom = "08:00"\nuntil = "21:00"\ntimezone = "UTC"\ndays = ["mon"]\nholidays = "US-CA"\n'
    later += (
        '[nightly]\nat = "18:00"\ntimezone = "UTC"\nmisfire = "skip"\n[replies]\nopt_out_words = ["BAJA"]\n'
    )
    jinja = PLAIN.replace(
        "{{ first_name }}", "{% if first_name %}{{ first_name|title }}{% else %}you{% endif %}"
    )
    examples = [(folder / "campaign.toml").read_bytes() for folder in _EXAMPLES]
    return [*examples, PLAIN.encode(), email.encode(), (PLAIN + window + later).encode(), jinja.encode()]


def _customers() -> list[bytes]:
    text = 'phone,first_name,due_date\n07900900123,Ann,1 May\n+447900900124,"Bob ""B""\n\nBo",\'=1 May\n'
    return [
        *((folder / "customers.csv").read_bytes() for folder in _EXAMPLES),
        text.encode(),
        text.replace(",", ";").encode("utf-16"),
        text.replace("Ann", "Zoë").replace(",", "\t").encode("cp1252"),
        b"sep=;\r\n" + text.replace(",", ";").encode(),
    ]


def _workbooks() -> list[bytes]:
    shared = '<row r="2"><c r="A2" t="s"><v>1</v></c><c r="B2" s="1"><v>46000</v></c><c r="C2" t="e"><v>#N/A</v></c></row>'
    rows = text_row(1, "phone", "first_name", "due_date") + text_row(2, "+447900900123", "Ann", "1 May")
    return [whole(sheet(rows + shared)), whole(sheet(""))]


def _whole_checks() -> list[bytes]:
    return [each + SEPARATOR + rows for each in _definitions() for rows in _customers()[:2]]


def _results() -> list[bytes]:
    ours = "outreach_row,outreach_status,outreach_code,outreach_reason,outreach_advice,interaction_sid,conversation_sid,message_sid,delivery_status,delivery_code,answered_at,follow_ups,attempts,finished_at"
    rows = "'+447900900123,Ann,1 May,1,accepted,,,,KD" + "0" * 32 + ",,IM" + "0" * 32 + ",sent,,,,1,2026-05-01T10:00:00Z\n"  # fmt: skip
    return [
        f"phone,first_name,due_date,{ours}\n{rows}'-x,''=Bob,,2,invalid,bad_number,\"A sentence, quoted.\",,,,,,,,,0,\n".encode()
    ]


def _settings() -> list[bytes]:
    example = (_ROOT / ".env.example").read_text(encoding="utf-8")
    return [example.encode(), example.replace("# ", "").encode(), b'export A="b\\n"\nOUTREACH_SETTLE_S=1,2\nTWILIO_AUTH_TOKEN_FILE=/dev/null\n']  # fmt: skip


def _answers() -> list[bytes]:
    return [bytes([name, status, 1, kind, *range(8)]) for name in range(len(CALLS)) for status in (0, 1, 8, 19) for kind in (0, 5)]  # fmt: skip


def _wires() -> list[bytes]:
    import json

    found = []
    for name in CALLS:
        body = json.dumps(true_body(name)).encode()
        found.append(answered(name, 200, body, f"Content-Length: {len(body)}\r\n"))
        found.append(answered(name, 200, f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n"))  # fmt: skip
    return found


def _webhooks() -> list[bytes]:
    ends = b"AccountSid=AC" + b"0" * 32 + b"&ConversationSid=CH" + b"0" * 32 + b"&MessageSid=IM" + b"0" * 32
    delivery = b"EventType=onDeliveryUpdated&Status=undelivered&ErrorCode=30003&" + ends
    reply = (
        b"EventType=onMessageAdded&Author=whatsapp%3A%2B14155550101&Body=Yes+please&Attributes=%7B%7D&DateCreated=2026-03-02T10%3A00%3A00.000Z&Source=WHATSAPP&Index=1&"
        + ends
    )
    key = b"key=known,algorithm=HMAC_SHA256"
    return [
        settings + b"\n0a1b2c3d4e5f6g7h8i9j0k1l2m3=" + SEPARATOR + form
        for settings in (b"", key)
        for form in (delivery, reply)
    ]


_SEEDS = {
    "definition": _definitions,
    "customers_csv": _customers,
    "customers_xlsx": _workbooks,
    "workbook": lambda: [bytes(range(size)) for size in (0, 8, 40, 200)],
    "whole_check": _whole_checks,
    "results_fed_back": _results,
    "settings": _settings,
    "answer": _answers,
    "wire": _wires,
    "webhook": _webhooks,
}
