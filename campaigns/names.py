"""How names are matched: column headers, keys and the near misses of both."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import islice

from campaigns.row_error import quote

# What strip() takes for space, and the invisible characters that copying out of web pages and chats leaves behind.
BLANKS = (
    "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
    + "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"
)
# Comparing two names takes as long as their product.
_MAX_COMPARED, _MAX_KNOWN = 100, 2_000
_ALIKE = re.compile(rf"[{re.escape(BLANKS)}_\-\u2010-\u2015]+")

_FOLLOW_UP_KEY = re.compile(r"follow_up\.(\d+)(?:\.(.+))?", re.DOTALL)


def fold_name(name: str) -> str:
    """Give the form under which two spellings of a column are the same: no case, spaces, `-` or `_`."""
    return _ALIKE.sub("", unicodedata.normalize("NFKC", name)).casefold()


def find_near_miss(wanted: str, known: Iterable[str]) -> str | None:
    """Find the one of `known` that was probably meant by `wanted`; names and lists beyond reason are not compared."""
    if len(wanted) > _MAX_COMPARED:
        return None
    near = (name for name in islice(known, _MAX_KNOWN) if len(name) <= _MAX_COMPARED)
    by_fold = {folded: name for name in near if (folded := fold_name(name))}
    folded = fold_name(wanted)
    if close := difflib.get_close_matches(folded, by_fold, n=1, cutoff=0.7):
        return by_fold[close[0]]
    # "date due" for "due date": the same words in another order.
    for name in by_fold.values():
        if sorted(_words(name)) == sorted(_words(wanted)):
            return name
    # "phone" for "phone number": one is the beginning or the end of the other.
    for fold, name in by_fold.items():
        if min(len(fold), len(folded)) >= 4 and (folded in fold or fold in folded):
            return name
    return None


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", name.casefold())


def say_key(key: str) -> str:
    """Name a dotted key for a sentence: `follow_up.2.body` is the body of follow-up 2."""
    if not (match := _FOLLOW_UP_KEY.fullmatch(key)):
        return key
    return f"{match[2]} of follow-up {match[1]}" if match[2] else f"follow-up {match[1]}"


def say_names(names: Sequence[str], limit: int = 12) -> str:
    """List names for a sentence, cut after `limit`; a column without one is shown as such."""
    listed = (quote(name) if name else "(no name)" for name in names[:limit])
    rest = len(names) - limit
    return ", ".join(listed) + (f" and {rest:,} more" if rest > 0 else "")
