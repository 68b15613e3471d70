"""What the cells of a sheet mean, as text: whole numbers without a point, dates as ISO 8601, errors as nothing."""

import math
import re
from datetime import datetime, timedelta

_DATE_IDS = frozenset({*range(14, 23), *range(27, 37), 45, 47, *range(50, 59)})
_DURATION_ID = 46
_DURATION = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)
# What of a format is text, padding, a colour or a condition, and so no part of a date.
_NO_FORMAT = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]', re.DOTALL)
_DATE_LETTER = re.compile(r"[ymdhs]", re.IGNORECASE)
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
_LAST_DAY = 2_958_466  # the day after 9999-12-31


def unescape(text: str) -> str:
    """Read `_x000D_`, by which a spreadsheet writes what XML cannot hold."""
    return _ESCAPE.sub(_character, text) if "_x" in text else text


def _character(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    return match[0] if 0xD800 <= code <= 0xDFFF else chr(code)


def kind_of_format(format_id: int, code: str | None) -> str:
    """Tell whether a number format shows a `date`, a `duration`, or (empty) a number."""
    if code is None:
        return "date" if format_id in _DATE_IDS else "duration" if format_id == _DURATION_ID else ""
    if _DURATION.search(code):
        return "duration"
    return "date" if _DATE_LETTER.search(_NO_FORMAT.sub("", code)) and code.lower() != "general" else ""


def say_number(text: str, kind: str, *, is_1904: bool) -> str:
    """Write a number's cell as text, by the kind of its format."""
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    if kind and 0 <= number < _LAST_DAY:
        return _say_duration(number) if kind == "duration" else _say_date(number, is_1904=is_1904)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def say_iso_date(text: str) -> str:
    """Write a date that the sheet holds as ISO 8601."""
    return text.removesuffix("T00:00:00").replace("T", " ", 1) if text[:4].isdigit() else text


def _say_date(days: float, *, is_1904: bool) -> str:
    seconds = round(days * 86_400)
    if seconds < 86_400 and not is_1904:
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}"
    # Lotus 1-2-3 took 1900 for a leap year, and every spreadsheet since: up to February 1900 a day is missing.
    first = datetime(1904, 1, 1) if is_1904 else datetime(1899, 12, 31 if days < 60 else 30)  # noqa: DTZ001 - a cell has no time zone
    try:
        moment = first + timedelta(seconds=seconds)
    except OverflowError:
        return repr(days)
    is_midnight = seconds % 86_400 == 0
    return moment.date().isoformat() if is_midnight else moment.isoformat(" ", "minutes")


def _say_duration(days: float) -> str:
    return str(timedelta(seconds=round(days * 86_400)))
