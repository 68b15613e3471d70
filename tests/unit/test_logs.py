"""Tell whether logs hold what happened, and neither people nor secrets."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from worker.logs import Masker, configure_logs, get_logger
from worker.settings import Settings, load_settings

PHONE_TEXTS = [
    "+14155550100",
    "whatsapp:+14155550100",
    "+44 20 7946 0958",
    "+1 (415) 555-0100",
    "?Address=whatsapp%3A%2B14155550100&PageSize=5",
    "004420 79460958",
    "(415) 555-0100",
    "415.555.0100",
    "020 7946 0958",
    "tel:4155550100",
    "'4155550100'",
    "٠٢٠٧٩٤٦٠٩٥٨",
]
HARMLESS_TEXTS = [
    "2026-11-22 17:42:10.123456",
    "2026-11-22T17:42:10.123456+00:00",
    "CH01234567890123456789012345678901",
    "renewal-12345678:17:1",
    "12345678-90ab-4cde-8f01-123456789012",
    "0.1234567890123",
    "row 1000000 of 1000000",
    "http://127.0.0.1:8080/flex-api/v1/Interactions",
    'File "/srv/app.py", line 1234, in 0x7f1234567890',
]


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def settings(**environ: str) -> Settings:
    return load_settings({f"OUTREACH_{name}": value for name, value in environ.items()}, None)


@pytest.mark.parametrize("text", PHONE_TEXTS)
def test_phone_number_is_masked_in_any_spelling(text: str) -> None:
    masked = Masker().text(text)

    assert "[phone]" in masked
    assert not any(run in masked for run in ("0100", "0958", "٠٩٥٨"))


@pytest.mark.parametrize("text", HARMLESS_TEXTS)
def test_dates_ids_and_figures_are_left_readable(text: str) -> None:
    assert Masker().text(text) == text


@pytest.mark.parametrize(
    "text", ["ana.lee+x@mail.example.org", "To=ana%40example.org", "<o'neil@example.org>"]
)
def test_email_address_is_masked(text: str) -> None:
    masked = Masker().text(text)

    assert "[e-mail]" in masked
    assert "example" not in masked


@pytest.mark.parametrize(
    "text", ["redis://:hush-hush@127.0.0.1:6379/0", "Authorization: Basic aHVzaC1odXNo", "it is hush-hush!"]
)
def test_secret_is_masked_where_it_stands(text: str) -> None:
    masked = Masker(["hush-hush", "hush"]).text(text)

    assert "[secret]" in masked
    assert "hush" not in masked
    assert "aHVzaC1odXNo" not in masked


@given(st.from_regex(r"\A\+[1-9][0-9]{7,14}\Z"), st.text(max_size=20))
def test_no_full_number_with_a_plus_survives_any_neighbourhood(number: str, around: str) -> None:
    assert number not in Masker().text(around + number + around)


def test_masks_reach_nested_values_objects_and_keys() -> None:
    class Thing:
        def __repr__(self) -> str:
            return "Thing(+14155550100)"

    event: dict[str, Any] = {
        "event": "seen",
        "found": [{"+14155550100": ("+14155550100",)}, Thing(), b"+14155550100"],
        "auth_token": "anything",
        "body": "Dear you",
        "row": 123456789,
    }

    masked = Masker()(None, "info", event)

    assert "4155550100" not in repr(masked)
    assert masked["auth_token"] == "[secret]"
    assert masked["body"] == "[personal]"
    assert masked["row"] == 123456789


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_exception_text_is_masked_too(log_format: str) -> None:
    stream = io.StringIO()
    configure_logs(settings(LOG_FORMAT=log_format), stream)

    try:
        {}["no channel for +14155550100"]
    except KeyError:
        get_logger("worker.some").exception("row.failed", campaign="renewal-1a2b3c4d", row=7)

    written = stream.getvalue()
    assert "no channel for [phone]" in written
    assert "Traceback" in written
    assert "4155550100" not in written
    assert "renewal-1a2b3c4d" in written


def test_other_libraries_logs_come_in_the_same_form() -> None:
    stream = io.StringIO()
    configure_logs(settings(LOG_FORMAT="json"), stream)
    structlog.contextvars.bind_contextvars(campaign="renewal-1a2b3c4d")

    logging.getLogger("celery.worker").warning("lost %s", "+14155550100")

    line = json.loads(stream.getvalue())
    assert line["event"] == "lost [phone]"
    assert (line["level"], line["logger"], line["campaign"]) == (
        "warning",
        "celery.worker",
        "renewal-1a2b3c4d",
    )
    assert line["timestamp"].endswith("Z")


def test_level_is_kept_and_bodies_of_requests_stay_out_at_debug() -> None:
    stream = io.StringIO()
    configure_logs(settings(LOG_LEVEL="DEBUG"), stream)
    logging.getLogger("twilio.http_client").debug("BODY: Dear Ana")
    get_logger("worker.some").debug("worker.ready")
    configure_logs(settings(LOG_LEVEL="WARNING"), stream)
    get_logger("worker.some").info("too.quiet")

    assert "worker.ready" in stream.getvalue()
    assert "Ana" not in stream.getvalue()
    assert "too.quiet" not in stream.getvalue()


def test_own_credentials_are_masked(tmp_path: Path) -> None:
    stream = io.StringIO()
    environ = {"TWILIO_AUTH_TOKEN": "tok3n-of-mine", "OUTREACH_REDIS_URL": "redis://:opensesame@localhost"}
    configure_logs(load_settings(environ, None), stream)

    get_logger("worker.some").error("odd", seen="got tok3n-of-mine, AUTH opensesame")

    assert "tok3n" not in stream.getvalue()
    assert "opensesame" not in stream.getvalue()


def test_warnings_become_logs() -> None:
    stream = io.StringIO()
    configure_logs(settings(), stream)

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old way for +14155550100", stacklevel=1)

    assert "old way for [phone]" in stream.getvalue()
