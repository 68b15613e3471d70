"""Turn the text of a setting into its value, or say what is wrong with it and what to write."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit


class SecretStr:
    """Hold text that neither `print` nor a log nor a traceback shows.

    Our own, for pydantic's would have every command import pydantic, most of which read no definition.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        """Give the text."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretStr) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "SecretStr('**********')" if self._text else "SecretStr('')"

    def __str__(self) -> str:
        return "**********" if self._text else ""


class UnusableError(ValueError):
    """Carry what is wrong with a value and what to write; the value itself may be a secret."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what)
        self.what, self.advice = what, advice


def shaped(pattern: str, what: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def read(text: str) -> str:
        if not compiled.fullmatch(text):
            raise UnusableError(f"is not {what}", f"Write {what}.")
        return text

    return read


def number_per_s(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 10_000:
        raise UnusableError("is not a number above 0, at most 10000", "Write Interactions a second, like 20.")
    return number


def settle_times_s(text: str) -> tuple[float, ...]:
    try:
        times_s = tuple(float(part) for part in text.split(","))
    except ValueError:
        times_s = ()
    ascending = all(a < b for a, b in pairwise(times_s))
    if len(times_s) < 2 or not ascending or not 0 <= times_s[0] <= times_s[-1] <= 86_400:
        raise UnusableError(
            "is not a list of at least two rising times in seconds, a day at most", "Write like 2,5,15,45."
        )
    return times_s


def thread_count(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= 1000:
        raise UnusableError(
            "is not a whole number from 1 to 1000", "Write how many rows it has in hand, like 64."
        )
    return int(text)


def profile_names(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    # `…__FILE` and `…__X_FILE` are files that hold a setting's value.
    if not all(re.fullmatch("(?!(.*-)?file$)[a-z][a-z0-9-]{0,23}", name) for name in names):
        raise UnusableError(
            "is not a list of names of a-z, 0-9 and -, at most 24 long, with a letter first and not ending in `file`",
            "Write like acme,globex-uk.",
        )
    if len(set(names)) < len(names):
        raise UnusableError("names an account twice", "Write each name once.")
    return names


def yes_or_no(text: str) -> bool:
    if text.lower() not in ("yes", "no"):
        raise UnusableError("is neither yes nor no", "Write yes or no.")
    return text.lower() == "yes"


def one_of(*words: str, fold: Callable[[str], str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if fold(text) not in words:
            raise UnusableError("is not one of its words", f"Write one of {', '.join(words)}.")
        return fold(text)

    return read


def url(*schemes: str, example: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        try:
            url = urlsplit(text)
            is_usable = url.scheme in schemes and bool(url.path if url.scheme == "unix" else url.hostname)
            _ = url.port
        except ValueError:
            is_usable = False
        if not is_usable:
            raise UnusableError(f"is not a URL of {' or '.join(schemes)}", f"Write like {example}.")
        return text.rstrip("/")

    return read


def address_of_webhooks(text: str) -> str:
    example = "https://outreach.example/twilio"
    # As it stands, a slash at its end too: Twilio signs the very text.
    url("http", "https", example=example)(text)
    found = urlsplit(text)
    if found.username or found.password or found.fragment or not text.isprintable() or " " in text:
        raise UnusableError(
            "holds what Twilio can't call: a user, a fragment or a space", f"Write like {example}."
        )
    return text


def read_pairs(text: str) -> dict[str, str]:
    """Read id=secret,id=secret."""
    pairs = (part.strip().partition("=") for part in text.split(",") if part.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


def secret_pairs(text: str) -> SecretStr:
    found = read_pairs(text)
    if not found or not all(name and value for name, value in found.items()):
        raise UnusableError("is not a list of id=secret", "Write like webhooks_sharedkey_1=secret.")
    return SecretStr(text)


def secret_url(*schemes: str, example: str) -> Callable[[str], SecretStr]:
    read = url(*schemes, example=example)
    return lambda text: SecretStr(read(text))


def folder(text: str) -> Path:
    try:
        path = _whole_path(text)
        is_other = path.exists() and not path.is_dir()
    except OSError as error:
        raise UnusableError(f"can't be a path ({error.strerror})", "Write the path of a folder.") from error
    if is_other:
        raise UnusableError("is a file, not a folder", "Write the path of a folder.")
    return path


def existing_file(text: str) -> Path:
    path = _whole_path(text)
    try:
        is_file = path.is_file()
    except OSError as error:
        raise UnusableError(f"can't be a path ({error.strerror})", "Write the path of a PEM file.") from error
    if not is_file:
        raise UnusableError(f"names {path}, which is no file", "Write the path of a PEM file.")
    return path


def _whole_path(text: str) -> Path:
    if not text.isprintable():
        raise UnusableError("holds a character that no path has", "Write the path again, by hand.")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise UnusableError("begins with a `~` whose user is not known", "Write the whole path.") from error
