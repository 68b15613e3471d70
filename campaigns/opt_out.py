"""Tells whether an answer asks us to stop: the whole of it, never a word inside a sentence."""

import unicodedata
from functools import lru_cache

# Twilio's own for SMS: https://help.twilio.com/articles/223134027
OPT_OUT_WORDS = ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT")

MAX_LENGTH = 1600  # of a message; what is longer is no word
_DOTLESS_I = str.maketrans({"ı": "i"})  # what a Turkish keyboard makes of I


def is_opt_out(text: str, more_words: tuple[str, ...] = ()) -> bool:
    """Tell whether `text` is one of the words, in any case, with or without accents, and whatever marks stand around it."""
    return len(text) <= MAX_LENGTH and fold_word(text) in _folded(more_words)


def fold_word(text: str) -> str:
    """Give the form in which two spellings of a word are the same; empty where nothing can be read in it."""
    text = unicodedata.normalize("NFKC", text).translate(_DOTLESS_I).casefold()
    text = "".join(char for char in unicodedata.normalize("NFD", text) if not _is_ignored(char))
    chars = list(unicodedata.normalize("NFKC", text))
    start, end = 0, len(chars)
    while start < end and _is_around(chars[start]):
        start += 1
    while end > start and _is_around(chars[end - 1]):
        end -= 1
    return " ".join("".join(chars[start:end]).split())


@lru_cache(maxsize=256)
def _folded(more_words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(fold_word(word) for word in (*OPT_OUT_WORDS, *more_words)) - {""}


def _is_ignored(char: str) -> bool:
    """Tell whether it is an accent, a vowel point of Hebrew or Arabic, or invisible.

    The vowel signs of Indic scripts and the tones of Thai make other words, and stay.
    """
    above = unicodedata.combining(char)
    return 10 <= above <= 36 or above >= 200 or unicodedata.category(char) == "Cf" or char == "\u0640"


def _is_around(char: str) -> bool:
    """Tell whether it is a space, a mark or a symbol (emoji too), which says nothing around a word."""
    category = unicodedata.category(char)
    return category[0] in "ZPSC" or category == "Me" or "\ufe00" <= char <= "\ufe0f"
