"""A finding of `doctor`: how one thing stands, and what to do about it."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one thing; `advice` says what to do where it isn't as it should be.

    `account`: whose it is, where there are several; empty is the main one's, or everybody's.
    """

    name: str
    verdict: Literal["well", "doubtful", "wrong"]
    sentence: str
    advice: str = ""
    is_unreachable: bool = False
    account: str = ""

    @property
    def title(self) -> str:
        """Return what it is about, for a table."""
        return f"{self.name} {self.account}".rstrip()

    @property
    def mark(self) -> str:
        """Return the verdict as a word of two letters or so."""
        return {"well": "ok", "doubtful": "!", "wrong": "WRONG"}[self.verdict]

    @property
    def style(self) -> str:
        """Return the verdict's colour."""
        return {"well": "default", "doubtful": "yellow", "wrong": "red"}[self.verdict]

    def as_dict(self) -> dict[str, Any]:
        """Return the finding for a program."""
        return {
            "name": self.name,
            "account": self.account or None,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "advice": self.advice,
        }
