"""What the cells of a sheet mean, as text: whole numbers without a point, dates as ISO 8601, errors as nothing."""

import math
import re
from datetime import date, datetime, time, timedelta

_DATE_IDS = frozenset({*range(14, 23), *range(27, 37), 45, 47, *range(50, 59)})
_DURATION_ID = 46
# The text of a format that a spreadsheet shows as it stands.
_LITERAL = re.compile(r'"[^"]*"|\\.', re.DOTALL)
_DURATION = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)
# What of a format is padding, a colour or a condition, and so no part of a date.
_NO_FORMAT = re.compile(r"_.|\*.|\[[^\]]*\]", re.DOTALL)
_DATE_LETTER = re.compile(r"[ymdhs]", re.IGNORECASE)
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
_DAY_MS = 86_400_000
_DAYS, _DAYS_1904 = 2_958_466, 2_957_004  # up to 9999-12-31
# Where a time of day is put that has to have a day.
_DAY_OF_TIMES = (date(1899, 12, 30), date(1899, 12, 31))
# A number up to here has all its digits; beyond 15 of them a spreadsheet shows none.
_MAX_EXACT = 2**53


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
    # The first part is the one for numbers above zero.
    shown = _LITERAL.sub("", code).partition(";")[0]
    if _DURATION.search(shown):
        return "duration"
    return "date" if _DATE_LETTER.search(_NO_FORMAT.sub("", shown)) else ""


def say_number(text: str, kind: str, *, is_1904: bool) -> str:
    """Write a number's cell as text, by the kind of its format."""
    if not kind and text.isascii() and text.isdigit() and text[0] != "0":
        return text
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    if kind and 0 <= number < (_DAYS_1904 if is_1904 else _DAYS):
        return _say_duration(number) if kind == "duration" else _say_date(number, is_1904=is_1904)
    return str(int(number)) if number.is_integer() and abs(number) <= _MAX_EXACT else f"{number:.15g}"


def say_iso_date(text: str) -> str:
    """Write a date or time that the sheet holds as ISO 8601."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return time.fromisoformat(text).isoformat("minutes") if ":" in text else text
        except ValueError:
            return text
    if moment.date() in _DAY_OF_TIMES:
        return f"{moment:%H:%M}"
    return _say_moment(moment.replace(tzinfo=None))


def _say_date(days: float, *, is_1904: bool) -> str:
    # Days are floats: what is a whole minute may lie a little before it.
    milliseconds = round(days * _DAY_MS)
    if days < 1:
        minutes = min(milliseconds, _DAY_MS - 1) // 60_000
        return f"{minutes // 60:02}:{minutes % 60:02}"
    # Lotus 1-2-3 took 1900 for a leap year, and every spreadsheet since: up to February 1900 a day is missing.
    first = datetime(1904, 1, 1) if is_1904 else datetime(1899, 12, 31 if days < 60 else 30)  # noqa: DTZ001 - a cell has no time zone
    last = (_DAYS_1904 if is_1904 else _DAYS) * _DAY_MS - 1
    return _say_moment(first + timedelta(milliseconds=min(milliseconds, last)))


def _say_moment(moment: datetime) -> str:
    return moment.date().isoformat() if moment.time() == time() else moment.isoformat(" ", "minutes")


def _say_duration(days: float) -> str:
    return str(timedelta(seconds=round(days * 86_400)))
