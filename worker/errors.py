"""Name what stops a command or a worker; what happens to one row is a value, never an exception.

OutreachError                 a sentence, an advice, the exit code of a command that ends with it
├── SettingsError             an environment variable, or a line of .env, is wrong                    2
├── RefusedHereError          asked for something that can't be done in this state or place           2
├── NotFoundError             there is no such campaign, row or file                                  2
├── RedisUnavailableError     Redis can't be reached, or doesn't start                                4
└── TwilioUnavailableError    Twilio can't be reached, or refuses the credentials                     4
"""

from typing import ClassVar


class OutreachError(Exception):
    """Say in one sentence what was wrong and where, and in another what to do."""

    exit_code: ClassVar[int] = 2

    def __init__(self, sentence: str, advice: str = "") -> None:
        super().__init__(sentence, advice)
        self.sentence = sentence
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.sentence} {self.advice}".strip()


class SettingsError(OutreachError):
    """Report a setting that is missing or impossible, by its variable's name."""


class RefusedHereError(OutreachError):
    """Report a request that would make sense elsewhere or at another time."""


class NotFoundError(OutreachError):
    """Report a name that leads nowhere."""


class RedisUnavailableError(OutreachError):
    """Report that Redis gives no answer."""

    exit_code = 4


class TwilioUnavailableError(OutreachError):
    """Report that Twilio gives no usable answer at all, as opposed to a verdict on one row."""

    exit_code = 4
