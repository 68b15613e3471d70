"""Set up logging: structlog and the standard library's loggers in one form, with people and secrets masked here only."""

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urlsplit

from worker.settings import LogFormat, Settings

if TYPE_CHECKING:
    import structlog
    from structlog.typing import EventDict, Processor

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

    def __call__(self, _logger: object, _method: str, event: "EventDict") -> "EventDict":
        """Mask every value of an event, as a structlog processor."""
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


def configure_logs(settings: Settings, stream: TextIO | None = None) -> None:
    """Send every log of this process to stderr, or `stream`, in the form the settings ask for.

    Celery would replace the root logger: the tasks room calls this from Celery's `setup_logging` signal.
    """
    _Structlog.is_configured = False
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Formatter(settings, colors=handler.stream.isatty()))
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    logging.captureWarnings(True)
    # At DEBUG the SDK writes whole bodies, and urllib3 whole paths: texts and names that no pattern finds.
    logging.getLogger("twilio.http_client").setLevel(max(logging.INFO, logging.root.level))
    logging.getLogger("urllib3").setLevel(max(logging.INFO, logging.root.level))


def get_logger(name: str) -> "structlog.stdlib.BoundLogger":
    """Give the logger of a module: `log = get_logger(__name__)`."""
    return _Logger(name)  # type: ignore[return-value]


def prepare() -> None:
    """Import ahead what the first line of the log would import."""
    _structlog()


class _Logger:
    """A logger of structlog, which is imported with the first line: most commands write none."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        return getattr(_structlog().get_logger(self._name), method)


class _Structlog:
    is_configured = True
    """As it comes, until a process says how its logs are to be."""


def _structlog() -> ModuleType:
    """Import structlog, and set it up if `configure_logs` wants that; without rich, which makes three quarters of its cost.

    It would draw tracebacks that we do not want, for they show the values of variables. None in its place refuses an import.
    """
    if "structlog" not in sys.modules and "rich" not in sys.modules:
        sys.modules["rich"] = None  # type: ignore[assignment]
        try:
            import structlog
        finally:
            del sys.modules["rich"]
    import structlog

    if not _Structlog.is_configured:
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                *_shared_processors(),
                structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
            logger_factory=structlog.stdlib.LoggerFactory(),
        )
        _Structlog.is_configured = True
    return structlog


class _Formatter(logging.Formatter):
    """Writes a line of whatever logger; the first one makes what it takes."""

    def __init__(self, settings: Settings, *, colors: bool) -> None:
        super().__init__()
        self._settings, self._colors = settings, colors
        self._made: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        if self._made is None:
            self._made = _formatter(self._settings, colors=self._colors)
        return self._made.format(record)


def _shared_processors() -> "list[Processor]":
    import structlog

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
    ]


def _formatter(settings: Settings, *, colors: bool) -> logging.Formatter:
    structlog = _structlog()
    formatter: logging.Formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared_processors(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            # After the exceptions have become text, before the timestamp, which looks like a number.
            Masker(_secrets(settings)),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _renderer(settings.log_format, colors=colors),
        ],
    )
    return formatter


def _renderer(log_format: LogFormat, *, colors: bool) -> "Processor":
    import structlog

    if log_format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)


def _secrets(settings: Settings) -> list[str]:
    urls = (urlsplit(url.get_secret_value()) for url in (settings.redis_url, settings.https_proxy) if url)
    return [
        settings.auth_token.get_secret_value(),
        settings.api_secret.get_secret_value(),
        *settings.webhook_secrets.values(),
        *(url.password for url in urls if url.password),
    ]
