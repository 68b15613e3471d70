"""What is fuzzed: functions of bytes that return where all is well, used by Hypothesis, by atheris and for kept cases.

Allowed is what is documented: a RefusedError or OutreachError made of sentences, or a value. Anything else is a finding.
"""

import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from choices import Choices
from twilio_answers import answer, stop_serving, wire
from workbooks import build

from campaigns.campaign import Campaign, difference
from campaigns.check import check_rows, template_problems
from campaigns.definition import load_definition, parse_definition
from campaigns.duplicates import Duplicates
from campaigns.forecast import Forecast
from campaigns.problems import Problem, RefusedError, write_problems
from campaigns.recipients import compile_campaign
from campaigns.table import open_table
from worker.errors import OutreachError
from worker.gateway.webhooks import (
    MAX_AUTHOR,
    MAX_BODY,
    DeliveryEvent,
    SignatureChecker,
    read_event,
    read_form,
)
from worker.settings import load_settings

SEPARATOR = b"\n=====\n"
_FOLDER = tempfile.TemporaryDirectory(prefix="outreach-fuzz-")
_HERE = Path(_FOLDER.name)
_ROUTING = "[routing]\n" + "".join(
    f'{key} = "{prefix}{"a" * 32}"\n'
    for key, prefix in {
        "workspace_sid": "WS",
        "workflow_sid": "WW",
        "queue_sid": "WQ",
        "worker_sid": "WK",
    }.items()
)
PLAIN = (
    'name = "test"\nchannel = "sms"\nfrom = "+19252210100"\nto = "{{ phone }}"\ndefault_region = "GB"\n'
    + _ROUTING
    + '[message]\nbody = "Hi {{ first_name }}, due {{ due_date }}."\n'
)


def definition(data: bytes) -> None:
    """Read a definition from a file, and use what was read."""
    path = _write("campaign.toml", data)
    try:
        campaign = load_definition(path)
    except RefusedError as error:
        _expect_sentences(error.problems)
        return
    assert Campaign.from_canonical_json(campaign.canonical_json()) == campaign
    assert difference(campaign, campaign) == []
    template_problems(campaign, {"1": "Ann"})


def customers_csv(data: bytes) -> None:
    """Check a customers' file for a plain definition."""
    _check(parse_definition(PLAIN, "campaign.toml"), _write("customers.csv", data))


def customers_xlsx(data: bytes) -> None:
    """Check a workbook, byte by byte as it is."""
    _check(parse_definition(PLAIN, "campaign.toml"), _write("customers.xlsx", data))


def workbook(data: bytes) -> None:
    """Check a workbook that is built of choices."""
    customers_xlsx(build(Choices(data)))


def whole_check(data: bytes) -> None:
    """Check a file for a definition, both of them from `data`."""
    written, _, customers = data.partition(SEPARATOR)
    try:
        campaign = load_definition(_write("campaign.toml", written))
    except RefusedError as error:
        _expect_sentences(error.problems)
        return
    _check(campaign, _write("customers.csv", customers))


def results_fed_back(data: bytes) -> None:
    """Check a damaged results file, with columns of ours and escaped cells, as customers."""
    _check(parse_definition(PLAIN, "campaign.toml"), _write("results.csv", data))


def settings(data: bytes) -> None:
    """Read a `.env` file, and the same text as the environment's values."""
    dotenv = _write(".env", data)
    values = [line.decode("utf-8", "surrogateescape") for line in data.replace(b"\0", b"").split(b"\n")]
    environ = dict(line.split("=", 1) for line in values if line.find("=") > 0)
    for source, file in (({}, dotenv), (environ, None)):
        try:
            found = load_settings(source, file)
            found.require_credentials()
            _ = found.account_tag, repr(found)
        except OutreachError as error:
            sentence = error.sentence
        else:
            continue
        assert sentence.endswith((".", "?")), sentence


def webhook(data: bytes) -> None:
    """Take a request that says it is Twilio's: a line of settings, a line of signature, and a form."""
    head, _, body = data.partition(SEPARATOR)
    settings, _, signature = head.decode("utf-8", "surrogateescape").partition("\n")
    form = read_form(body)
    if form is None:
        return
    checker = SignatureChecker(secrets.token_hex(), {"known": secrets.token_hex()})
    headers = {"X-Twilio-Signature": signature, "X-Twilio-Webhooks-Signature-Settings": settings}
    assert not checker.is_genuine("https://example.com/twilio", form, headers), "nobody knows the secrets"
    event = read_event(form)
    if event is None:
        return
    for sid, prefix in ((event.conversation_sid, "CH"), (event.message_sid, "IM")):
        assert re.fullmatch(rf"{prefix}[0-9a-fA-F]{{32}}", sid), sid
    repr(event).encode()  # as a log does
    if isinstance(event, DeliveryEvent):
        assert event.status in ("sent", "delivered", "read", "undelivered", "failed")
        assert 0 <= event.error_code < 1_000_000
        return
    assert 0 < len(event.author) <= MAX_AUTHOR
    assert len(event.body) <= MAX_BODY
    "".join((event.author, event.body, event.key or "")).encode()  # as the ledger does
    assert event.created_at is None or event.created_at.utcoffset() == timedelta(0)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "definition": definition,
    "customers_csv": customers_csv,
    "customers_xlsx": customers_xlsx,
    "workbook": workbook,
    "whole_check": whole_check,
    "results_fed_back": results_fed_back,
    "settings": settings,
    "answer": answer,
    "wire": wire,
    "webhook": webhook,
}


def _write(name: str, data: bytes) -> Path:
    path = _HERE / name
    path.write_bytes(data)
    return path


def _check(campaign: Campaign, path: Path) -> None:
    """Do what `outreach check` does with a file, and expect whole rows."""
    count = 0
    try:
        with open_table(path) as table, Duplicates() as seen:
            _expect_sentences(table.warnings)
            compiled = compile_campaign(campaign, table.columns, table.file)
            forecast = Forecast("Hi {{1}}")
            for count, row in enumerate(check_rows(compiled, table, seen), start=1):
                assert row.number == count
                assert row.line > 0
                assert len(row.cells) == len(table.columns)
                assert (row.verdict == "ready") == (row.recipient is not None) == (not row.code)
                assert row.recipient is not None or (row.sentence and row.advice)
                _expect_sentences(row.problems)
                if row.recipient is not None:
                    forecast.add(row.recipient)
                    "".join(row.cells).encode()  # as the ledger keeps them
                if row.problems and count < 50:
                    write_problems(row.problems, _HERE / "problems.csv")
    except RefusedError as error:
        _expect_sentences(error.problems)
    assert count <= path.stat().st_size * 1100


def _expect_sentences(problems: Iterator[Problem] | tuple[Problem, ...] | list[Problem]) -> None:
    for problem in problems:
        text = str(problem)
        assert problem.what, problem
        assert problem.advice, problem
        assert len(text) < 2_000, f"{len(text)} characters: {text[:300]}"
        assert "\n" not in problem.what, problem.what[:300]
        assert "Traceback" not in text
        text.encode()  # goes to a terminal and to a file


def close() -> None:
    """Remove what was written, and stop the server that answers."""
    _FOLDER.cleanup()
    stop_serving()
