"""Twilio's rules for what a message says: lengths, characters, and the variables of a content template."""

import re
import unicodedata

from campaigns.row_error import RowError, quote

MAX_VARIABLES = 100
MAX_VARIABLE_KEY_LENGTH = 16
MAX_VARIABLE_LENGTH = 1600  # https://www.twilio.com/docs/content/using-variables-with-content-api
MAX_BODY_LENGTH = 1600
MAX_SUBJECT_LENGTH = 256
MAX_ATTRIBUTES_BYTES = 4096

_VARIABLE_KEY = re.compile(r"[A-Za-z0-9_]+")
_LINE_BREAK = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# One search finds whether a variable has anything to look at; most have not.
_SUSPECT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd\ud800-\udfff]| {5}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# Marks that turn the direction of all that follows, and what UTF-8 looks like when it was read as Windows-1252.
_DOUBTFUL = re.compile("[\u202a-\u202e\u2066-\u2069]|[\u00c2\u00c3][\u0080-\u00bf]|\u00e2[\u0080\u20ac]")
_POLICY = "63013 (https://www.twilio.com/docs/api/errors/63013)"
_LIMITS = {"body": MAX_BODY_LENGTH, "subject": MAX_SUBJECT_LENGTH}

# What a spreadsheet, a database or a program leaves where a value is missing: it would be sent as text.
NOT_A_VALUE = frozenset(
    [
        "#N/A",
        "#REF!",
        "#VALUE!",
        "#DIV/0!",
        "#NAME?",
        "#NUM!",
        "#NULL!",
        "#SPILL!",
        "#CALC!",
        "#GETTING_DATA",
        "#ERROR!",
        "NULL",
        "null",
        "(null)",
        "(NULL)",
        "<null>",
        "<NULL>",
        "[NULL]",
        "\\N",
        "NaN",
        "NaT",
        "<NA>",
        "undefined",
        "#NV",
        "#WERT!",
        "#BEZUG!",
    ]
)
# These may be meant, a surname among them.
PERHAPS_NOT_A_VALUE = frozenset(
    [
        "N/A",
        "n/a",
        "NA",
        "None",
        "none",
        "NONE",
        "Null",
        "nan",
        "NAN",
        "nil",
        "Nil",
        "N.A.",
        "n.a.",
        "-",
        "--",
        "?",
        "TBC",
        "tbc",
    ]
)


def find_variable_key_fault(key: str) -> tuple[str, str] | None:
    """Find what is wrong with the name of a content variable."""
    if len(key) > MAX_VARIABLE_KEY_LENGTH or not _VARIABLE_KEY.fullmatch(key):
        advice = f"use the template's own: digits or letters, at most {MAX_VARIABLE_KEY_LENGTH} characters"
        return f'"{key}" can be no variable of a template', advice
    return None


def find_variable_fault(key: str, value: str, where: str = "") -> RowError | None:
    """Find what Twilio would refuse, or spoil, in the value of a content variable.

    `where` follows its name in the sentence (" of follow-up 2").
    """
    key += where
    if not value or value.isspace():
        advice = f"fill the cell: Twilio refuses an empty variable with error {_POLICY}"
        return RowError("missing_value", f"variable {key} is empty", advice)
    if len(value) > MAX_VARIABLE_LENGTH:
        return _too_long(f"variable {key}", len(value), MAX_VARIABLE_LENGTH)
    if not _SUSPECT.search(value):
        return None
    if _LINE_BREAK.search(value):
        what, advice = "holds a line break", "put it on one line"
    elif "\t" in value:
        what, advice = "holds a tab", "put a space in its place"
    elif "     " in value:
        what, advice = "holds more than four spaces in a row", "take the spare ones out"
    else:
        return _find_damage(f"variable {key}", value)
    return RowError("bad_text", f"variable {key} {what}", f"{advice}: Twilio refuses it with error {_POLICY}")


def find_text_fault(key: str, value: str, where: str = "") -> RowError | None:
    """Find what is wrong with a filled text of the message (`key`: body, subject or author).

    `where` follows its name in the sentence (" of follow-up 2").
    """
    name = f"the {key}{where}"
    if not value or value.isspace():
        return RowError("missing_value", f"{name} is empty", "fill the cells it is made of")
    if len(value) > (limit := _LIMITS.get(key, MAX_BODY_LENGTH)):
        return _too_long(name, len(value), limit)
    if key != "body" and _LINE_BREAK.search(value):
        return RowError("bad_text", f"{name} holds a line break", "put it on one line")
    return _find_damage(name, value) if _SUSPECT.search(value) else None


def find_text_doubt(value: str) -> RowError | None:
    """Find what an operator should look at in a cell that will be read by a customer."""
    if value in PERHAPS_NOT_A_VALUE:
        return RowError("perhaps_missing", f"{quote(value)} will be sent as text", "check it")
    if (odd := _DOUBTFUL.search(value)) is None:
        return None
    if odd[0] < "\u2000":
        sentence = f"{quote(odd[0])} in this cell looks like a character that was decoded wrongly"
        return RowError("perhaps_garbled", sentence, "export the file again, as UTF-8")
    return RowError("odd_character", "this cell holds a mark that turns the direction of text", "check it")


def _too_long(what: str, length: int, limit: int) -> RowError:
    return RowError("too_long", f"{what} has {length:,} characters, and Twilio takes {limit:,}", "shorten it")


def _find_damage(what: str, value: str) -> RowError | None:
    if "\ufffd" in value:
        sentence = f"{what} holds the mark \ufffd, where a character was lost before the file was saved"
        return RowError("bad_text", sentence, "export the file again, as UTF-8")
    if control := _CONTROL.search(value):
        name = f"U+{ord(control[0]):04X}"
        return RowError("bad_text", f"{what} holds a control character ({name})", "take it out of the cell")
    if any(unicodedata.category(char) == "Cs" for char in value):
        return RowError("bad_text", f"{what} holds half a character", "export the file again, as UTF-8")
    return None
