"""Set up logging: our events and other libraries' lines in one form, with people and secrets masked here only."""

import json
import logging
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO
from urllib.parse import urlsplit

from worker.settings import Settings

# A library for this would cost every command and worker more of its start than all modules of ours together.

# Values under these names are never written, whatever they look like.
_SECRET_KEYS = frozenset({"auth_token", "api_secret", "password", "authorization", "secret", "token"})
_PERSONAL_KEYS = frozenset({"address", "body", "cells", "identity", "variables"})

_USER_IN_URL = re.compile(r"(?<=://)[^/\s@]*(?=@)")
_AUTHORIZATION = re.compile(r"\b(Basic|Bearer) +[\w+/=.~-]{6,}", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+%'-]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63})+")
# With a plus (or %2B in a URL), in national groups, or a bare run of digits. Dates, fractions, SIDs, UUIDs and
# campaign ids (`name-0a1b2c3d`) are not numbers of people; whole numbers that are not text are left alone too.
_PHONE = re.compile(
    r"""
      (?:\+|%2B|\b00)\s?\(?\d[\d ()./-]{5,20}\d
    | (?<![\w.])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\w)
    | (?<![\w.])\(?0\d{1,4}\)?[ .-]\d{3,4}[ .-]\d{3,4}(?!\w)
    | (?<![\w.-])\d{8,}(?!\w|-[0-9a-f]{4}-)
    """,
    re.VERBOSE | re.IGNORECASE,
)


class Masker:
    """Replace phone numbers, e-mail addresses and secrets in all that is logged."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # Longest first, so that no secret's tail is left where another is its beginning.
        known = sorted({secret for secret in secrets if len(secret) >= 4}, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, known))) if known else None

    def event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Mask every value of an event."""
        return {key: self._value(key, value) for key, value in event.items()}

    def text(self, text: str) -> str:
        """Mask one text."""
        if self._secrets:
            text = self._secrets.sub("[secret]", text)
        text = _AUTHORIZATION.sub(r"\1 [secret]", _USER_IN_URL.sub("[secret]", text))
        return _PHONE.sub("[phone]", _EMAIL.sub("[e-mail]", text))

    def _value(self, key: str, value: Any) -> Any:
        if key.lower() in _SECRET_KEYS:
            return "[secret]"
        if key.lower() in _PERSONAL_KEYS:
            return "[personal]"
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self.text(str(name)): self._value(str(name), inner) for name, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value("", inner) for inner in value]
        return self.text(value if isinstance(value, str) else repr(value))


class Log:
    """Write events by their names, each with what is known of it: `log.warning("row.stopped", row=7)`."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **facts: Any) -> None:
        """Write what only helps to find a fault."""
        self._write(logging.DEBUG, event, facts)

    def info(self, event: str, **facts: Any) -> None:
        """Write what happened."""
        self._write(logging.INFO, event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        """Write what somebody may have to look at."""
        self._write(logging.WARNING, event, facts)

    def error(self, event: str, exc_info: BaseException | None = None, **facts: Any) -> None:
        """Write what went wrong."""
        self._write(logging.ERROR, event, facts, exc_info)

    def exception(self, event: str, **facts: Any) -> None:
        """Write what went wrong, with the exception that is being handled."""
        self._write(logging.ERROR, event, facts, sys.exception())

    def _write(
        self, level: int, event: str, facts: dict[str, Any], exc_info: BaseException | None = None
    ) -> None:
        self._logger.log(level, event, exc_info=exc_info, extra={"facts": facts})


def get_logger(name: str) -> Log:
    """Give the logger of a module: `log = get_logger(__name__)`."""
    return Log(name)


def configure_logs(settings: Settings, stream: TextIO | None = None) -> None:
    """Send every log of this process to stderr, or `stream`, in the form the settings ask for.

    Celery would replace the root logger: the tasks room calls this from Celery's `setup_logging` signal.
    """
    masker = Masker(_secrets(settings))
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json(masker) if settings.log_format == "json" else _Console(masker))
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    logging.captureWarnings(True)
    # At DEBUG the SDK writes whole bodies, and urllib3 whole paths: texts and names that no pattern finds.
    logging.getLogger("twilio.http_client").setLevel(max(logging.INFO, logging.root.level))
    logging.getLogger("urllib3").setLevel(max(logging.INFO, logging.root.level))


class _Json(logging.Formatter):
    """Make an event of each record, masked, in a line of JSON."""

    def __init__(self, masker: Masker) -> None:
        super().__init__()
        self._masker = masker

    def format(self, record: logging.LogRecord) -> str:
        event = {
            **getattr(record, "facts", {}),
            "event": record.getMessage(),
            "logger": record.name,
            "level": record.levelname.lower(),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        # The time is put to it after masking: it looks like a number.
        at = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
        return self.written(at.isoformat(timespec="microseconds") + "Z", self._masker.event(event))

    def written(self, timestamp: str, event: dict[str, Any]) -> str:
        return json.dumps({**event, "timestamp": timestamp})


class _Console(_Json):
    """Make a line for people of it, and put an exception under that."""

    def written(self, timestamp: str, event: dict[str, Any]) -> str:
        exception = event.pop("exception", None)
        head = f"{timestamp} [{event.pop('level'):<8}] {event.pop('event'):<30} [{event.pop('logger')}]"
        line = " ".join([head, *(f"{name}={_shown(value)}" for name, value in event.items())])
        return line if exception is None else f"{line}\n{exception}"


def _shown(value: Any) -> str:
    is_plain = isinstance(value, str) and value.isprintable() and not set(value) & set(" =\"'")
    return value if is_plain else repr(value)


def _secrets(settings: Settings) -> list[str]:
    urls = (urlsplit(url.get_secret_value()) for url in (settings.redis_url, settings.https_proxy) if url)
    return [
        settings.auth_token.get_secret_value(),
        settings.api_secret.get_secret_value(),
        *settings.webhook_secrets.values(),
        *(url.password for url in urls if url.password),
    ]
