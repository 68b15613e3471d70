"""Phone numbers as people and spreadsheets write them -> E.164, or why not; never a guess at another country."""

import re
import unicodedata

import phonenumbers

from campaigns.message import NOT_A_VALUE, PERHAPS_NOT_A_VALUE
from campaigns.names import BLANKS
from campaigns.numbering import NumberingPlan, find_plan, plan_of_region
from campaigns.row_error import RowError, quote

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_USUAL = re.compile(r"\+?[0-9(][0-9 ()\-]{5,24}")
_MAX_LENGTH = 200
_WITHOUT_DECORATION = str.maketrans("", "", " ()-")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_DASHES = re.compile("[\u2010-\u2015\u2043\u2212\ufe58\ufe63]")
_ROUNDED = re.compile(r"[+-]?\d+(?:[.,]\d*)?E[+]?\d+", re.IGNORECASE)
_DECIMAL = re.compile(r"\+?\d{5,}[.,]0+")
_BETWEEN_NUMBERS = re.compile(r"[ ,;|&/]|\bor\b|\band\b")
_EXTENSION = re.compile(r"(?:ext\.?|extension|x|#)\s*\d{1,6}$", re.IGNORECASE)
_OPTIONAL_ZERO = re.compile(r"^(\+ ?[0-9]{1,3}|00[0-9]{1,3})[ .-]*\(0\)")
_PLUS_IN_BRACKETS = re.compile(r"^\( ?\+ ?([0-9]{1,3}) ?\)")
_DECORATION = re.compile(r"[ ().\-/]")

_AS_TEXT = (
    "format the column as text and fill the numbers in again from their source, with + and the country code"
)
_INTERNATIONAL = "write it with + and the country code, such as +447900900123"


def normalise_phone(text: str, region: str | None) -> str | RowError:
    """Give `text` as E.164; a number without + is read as one of `region`, and refused without one.

    Numbers of a possible length pass even if the library does not know their range: ranges are newer than libraries.
    """
    if quick := _read_usual(text, region):
        return quick
    if len(text) > _MAX_LENGTH:
        return _bad(f"{quote(text)} has {len(text):,} characters, which no number has", _INTERNATIONAL)
    written = _clean(text)
    if isinstance(written, RowError):
        return written
    if written.startswith("+"):
        return _read_international(written[1:], text)
    if written.startswith("00"):
        return _read_double_zero(written, text, region)
    if region is None:
        return _refuse_bare(written, text)
    return plan_of_region(region).find_dialled(written) or _read_national(written, text, region)


def _read_usual(text: str, region: str | None) -> str | None:
    """Read the forms that most rows have, without the library; None for all that needs a closer look."""
    if not _E164.fullmatch(text):
        if not _USUAL.fullmatch(text) or "(0)" in text:
            return None
        digits = text.translate(_WITHOUT_DECORATION)
        if not digits.startswith(("+", "00")):
            return plan_of_region(region).find_dialled(digits) if region is not None else None
        text = digits if digits.startswith("+") else f"+{digits[2:]}" if region is not None else ""
        if not _E164.fullmatch(text):
            return None
    plan = find_plan(text[1:])
    if plan is None:
        return None
    national = text[1 + len(plan.code) :]
    is_clear = len(national) in plan.lengths and (plan.trunk is None or not plan.trunk.match(national))
    return text if is_clear else None


def find_phone_doubt(text: str, number: str, region: str | None) -> RowError | None:
    """Find what an operator should know of a number that passed."""
    plan = find_plan(number[1:])
    if plan is None:
        return None
    if not plan.is_assigned(number[1 + len(plan.code) :]):
        sentence = f"{number} is in no range that is known to be in use"
        return RowError("unknown_range", sentence, "check it; it will be sent to nevertheless")
    if region is None or text[:1] in "+0" or plan.national_prefix != "0":
        return None
    written = _clean(text)
    if isinstance(written, str) and not written.startswith(("+", "0")):
        sentence = f"{quote(text)} lacks its leading 0 and was read as the {region} number {number}"
        return RowError(
            "zero_missing", sentence, "check that it is one of that country; better, write it with +"
        )
    return None


def _clean(text: str) -> str | RowError:
    """Take away what is only written around a number: an optional + and digits are left."""
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    if not plain.isascii():
        plain = "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in plain)
    plain = " ".join(_DASHES.sub("-", plain).split()).strip(BLANKS).lstrip("'`\u2019")
    if plain[:4].lower() in ("tel:", "sms:"):
        plain = plain[4:].strip()
    if fault := _find_odd_writing(plain, text):
        return fault
    plain = _OPTIONAL_ZERO.sub(r"\1", _PLUS_IN_BRACKETS.sub(r"+\1", plain))
    digits = _DECORATION.sub("", plain)
    if digits.startswith("+00"):
        digits = f"+{digits[3:]}"
    if re.fullmatch(r"\+?[0-9]+", digits):
        return digits
    if digits.count("+") > 1 and len(digits) > 14:
        return _several(text)
    odd = next((char for char in plain if char not in "0123456789+ ().-/"), "+")
    return _bad(f"{quote(text)} holds {quote(odd)}, which no number has in that place", _INTERNATIONAL)


def _find_odd_writing(plain: str, text: str) -> RowError | None:
    shown = quote(text)
    if plain in NOT_A_VALUE or plain in PERHAPS_NOT_A_VALUE or (plain and not plain.strip("#")):
        return _bad(f"{shown} stands where a number should", "fill in the number, or leave the row out")
    if _ROUNDED.fullmatch(plain):
        return _bad(
            f"{shown} is a number that a spreadsheet has rounded, so its last digits are lost", _AS_TEXT
        )
    if _DECIMAL.fullmatch(plain):
        return _bad(f"{shown} is a number that a spreadsheet or a program has made a decimal", _AS_TEXT)
    if plain.startswith("="):
        return _bad(f"{shown} is a formula", "put its result into the cell")
    parts = [part for part in _BETWEEN_NUMBERS.split(plain) if sum(char.isdigit() for char in part) >= 7]
    if len(parts) > 1:
        return _several(text)
    if _EXTENSION.search(plain) and sum(char.isdigit() for char in plain) > 7:
        return _bad(
            f"{shown} has an extension, and a message cannot be sent to one", "write the number alone"
        )
    if letters := [char for char in plain if char.isalpha()]:
        return _bad(
            f"{shown} holds letters ({quote(''.join(letters[:8]))})", "write digits only, O and l being none"
        )
    if not any(char.isdigit() for char in plain):
        return _bad(f"{shown} holds no digits", _INTERNATIONAL)
    return None


def _several(text: str) -> RowError:
    return _bad(
        f"{quote(text)} holds more than one number", "keep one, and give the other a row of its own if wanted"
    )


def _read_international(digits: str, text: str) -> str | RowError:
    plan = find_plan(digits)
    if plan is None or digits.startswith("0"):
        what = f"{quote(text)} begins with no country code"
        return _bad(what, "write + and the country code without a 0 before it, such as +447900900123")
    try:
        number = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        return _wrong_length(text, digits[len(plan.code) :], plan)
    return _checked(number, text, plan)


def _read_double_zero(written: str, text: str, region: str | None) -> str | RowError:
    if region is None:
        what = f"{quote(text)} begins with 00, and no default_region is set to dial from"
        return _bad(what, f"write +{quote(written[2:])[1:-1]} if 00 stands for the plus")
    return _read_international(written[2:], text)


def _refuse_bare(written: str, text: str) -> RowError:
    if hint := _find_lost_plus(written):
        return RowError(
            "plus_missing", f"{quote(text)} looks like {hint} without its plus", _plus_advice(hint)
        )
    what = f"{quote(text)} does not say its country, and no default_region is set"
    return _bad(what, "write it with + and the country code, or set default_region in the definition")


def _read_national(written: str, text: str, region: str) -> str | RowError:
    plan = plan_of_region(region)
    hint = _find_lost_plus(written)
    try:
        number = phonenumbers.parse(written, region, keep_raw_input=True)
    except phonenumbers.NumberParseException:
        return _wrong_length(text, written, plan)
    source = number.country_code_source
    if source == phonenumbers.CountryCodeSource.FROM_NUMBER_WITH_IDD:
        dialled = find_plan(str(number.country_code))
        return _checked(number, text, dialled or plan)
    # Where the trunk digit is the country code itself (1 in America), 1 202 555 0104 is a national number.
    if (
        source == phonenumbers.CountryCodeSource.FROM_NUMBER_WITHOUT_PLUS_SIGN
        and plan.national_prefix != plan.code
    ):
        hint = hint or f"+{written}"
        return RowError(
            "plus_missing", f"{quote(text)} looks like {hint} without its plus", _plus_advice(hint)
        )
    checked = _checked(number, text, plan)
    if isinstance(checked, RowError) and hint:
        what = f"{quote(text)} is no {region} number; it may be {hint} without its plus"
        return RowError("plus_missing", what, _plus_advice(hint))
    return checked


def _find_lost_plus(written: str) -> str | None:
    """Find the international number that `written` would be with a plus, if the library knows its range."""
    plan = find_plan(written)
    national = written[len(plan.code) :] if plan else ""
    return f"+{written}" if plan and len(national) in plan.lengths and plan.is_assigned(national) else None


def _plus_advice(number: str) -> str:
    return f"write {number} if that is the number; format the column as text so that a spreadsheet keeps the plus"


def _checked(number: phonenumbers.PhoneNumber, text: str, plan: NumberingPlan) -> str | RowError:
    national = phonenumbers.national_significant_number(number)
    if len(national) not in plan.lengths:
        return _wrong_length(text, national, plan)
    return f"+{number.country_code}{national}"


def _wrong_length(text: str, national: str, plan: NumberingPlan) -> RowError:
    lengths = sorted(plan.lengths)
    wanted = str(lengths[0]) if len(lengths) == 1 else f"{', '.join(map(str, lengths[:-1]))} or {lengths[-1]}"
    size = (
        "long" if len(national) > lengths[-1] else "short" if len(national) < lengths[0] else "odd in length"
    )
    what = f"{quote(text)} is too {size}" if size != "odd in length" else f"{quote(text)} is {size}"
    place = "" if plan.region == "001" else f" ({plan.region})"
    sentence = f"{what}: {len(national)} digits after +{plan.code}{place}, where there are {wanted}"
    return _bad(sentence, "compare it with its source; a digit may be missing or doubled")


def _bad(sentence: str, advice: str) -> RowError:
    return RowError("bad_number", sentence, advice)
