"""Lua scripts as Redis is asked for them: by their digest, and with no more of a common head than they need."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha1
from importlib import resources
from typing import Any, NamedTuple

import redis

# TIME makes a script's effects differ from its text: servers before 7 must be told to pass on the effects.
_EFFECTS = "if redis.replicate_commands then redis.replicate_commands() end\n"


class Script(NamedTuple):
    """A script's text and its SHA-1."""

    text: str
    digest: str

    @classmethod
    def of(cls, text: str) -> Script:
        """Make a script of its text."""
        return cls(text, sha1(text.encode(), usedforsecurity=False).hexdigest())

    @classmethod
    def headed(cls, head: str, body: str) -> Script:
        """Make a script that changes something, of what it needs of a head and its body."""
        return cls.of(_EFFECTS + folded(headed(head, body)))

    def evaluate(self, client: redis.Redis, keys: Sequence[str], argv: Sequence[bytes | str | float]) -> Any:
        """Ask for it by its digest; where Redis does not know it yet, by its text."""
        try:
            return client.evalsha(self.digest, len(keys), *keys, *argv)
        except redis.exceptions.NoScriptError:
            return client.eval(self.text, len(keys), *keys, *argv)


def slots_head() -> str:
    """Give the text by which slots of the shared paces are read and taken: by the pacer's scripts, and by the ledger's claims."""
    folder = resources.files("worker") / "pacing"
    return "".join((folder / f"{part}.lua").read_text() for part in ("bucket", "slot"))


_PART = re.compile(r"^(?=local |if )", re.MULTILINE)
_NAMES = re.compile(r"local (?:function )?(\w+(?:, \w+)*)")
_BRANCH = re.compile(r"^(if .* then(?: --.*)?\n)((?: .*\n)+)(?=end$)", re.MULTILINE)


def headed(head: str, body: str) -> str:
    """Put before `body` the parts of `head` that it needs: Redis makes all that is there anew with each call, used or not.

    A part begins with each line that begins with `local` or `if`; one that names nothing new is always needed. Whoever
    uses a part stands behind it, as Lua has it. What only a branch at the margin of `body` needs stands in that branch,
    for most calls do not come there, and to make six functions costs as much as to read a field of Redis's.
    """
    parts = _PART.split(head)
    always = _needed(parts, _BRANCH.sub(r"\1", body))
    # A variable of `body` that has the name of a part would hide it from the others.
    if not _names(_PART.split(body)).isdisjoint(_names(parts)):
        always = _needed(parts, body)
    seldom = [part for part in parts if part not in always]

    def with_its_own(branch: re.Match[str]) -> str:
        return "".join((branch[1], *_needed(seldom, branch[2]), branch[2]))

    return "".join(always) + _BRANCH.sub(with_its_own, body)


def _needed(parts: Sequence[str], script: str) -> list[str]:
    found: list[str] = []
    used = _words(script)
    for part in reversed(parts):
        names = _names([part])
        if not names or not used.isdisjoint(names):
            found.insert(0, part)
            used |= _words(part)
    return found


def _names(parts: Sequence[str]) -> set[str]:
    matches = (_NAMES.match(part) for part in parts)
    return {name for names in matches if names for name in names[1].split(", ")}


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", re.sub(r"--.*", "", text)))


# What is written out is never changed, nor hidden by another of its name: a test reads the texts for that.
_CONSTANT = re.compile(r"^local ([A-Z][A-Z0-9_]+) = (\d[\d.]*|'[^'\n]*')[^\S\n]*(?:--.*)?\n", re.MULTILINE)
_TABLE = re.compile(
    r"^local ([A-Z_]+) = \{ ((?:[A-Z_]+ = \d+(?:,\s+| \}))+)[^\S\n]*(?:--.*)?\n", re.MULTILINE
)
_NUMBERED = re.compile(r"([A-Z_]+) = (\d+)")
_TOKEN = re.compile(r"--.*|'(?:\\.|[^'\\\n])*'|(?<![.:])\b[A-Z][A-Z0-9_]+(?:\.[A-Z_]+)?\b")


def folded(text: str) -> str:
    """Give a script with its constants, numbers and short texts, written out where they are used.

    They are there to be read. To Redis each would be a variable that every function that uses it has to find and to hold, and a
    table of them would be filled anew with each call.
    """
    values: dict[str, str] = {}
    for name, numbers in _TABLE.findall(text):
        values |= {f"{name}.{each}": number for each, number in _NUMBERED.findall(numbers)}
    values |= _CONSTANT.findall(text)
    text = _CONSTANT.sub("\n", _TABLE.sub("\n", text))
    return _TOKEN.sub(lambda token: values.get(token[0], token[0]), text)
