"""Foretells what a campaign will take: time from its pace, and SMS segments from what it says."""

import re
from dataclasses import dataclass

from campaigns.recipient import Recipient

# The GSM 03.38 alphabet; characters of the second row take two places each.
_GSM = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENSION = "\f^{}\\[~]|€"
_IN_GSM = re.compile(f"[{re.escape(_GSM + _GSM_EXTENSION)}]*")
_EXTENDED = re.compile(f"[{re.escape(_GSM_EXTENSION)}]")


@dataclass(frozen=True, slots=True)
class Segments:
    """How an SMS text is cut: `encoding` GSM-7 or UCS-2, `length` in its units, `count` of segments."""

    encoding: str
    length: int
    count: int


def count_segments(text: str) -> Segments:
    """Count the segments that a text takes as an SMS.

    Source: https://www.twilio.com/docs/glossary/what-sms-character-limit (160 or 153 and 70 or 67 a segment)
    """
    if _IN_GSM.fullmatch(text):
        length = len(text) + len(_EXTENDED.findall(text))
        return Segments("GSM-7", length, _cut(text, length, 160, 153, is_gsm=True))
    length = len(text.encode("utf-16-le", "surrogatepass")) // 2
    return Segments("UCS-2", length, _cut(text, length, 70, 67, is_gsm=False))


def _cut(text: str, length: int, alone: int, among: int, *, is_gsm: bool) -> int:
    if length <= alone:
        return 1
    count, used = 1, 0
    for char in text:
        # A character of two units is never cut in half: it moves to the next segment whole.
        size = 2 if (is_gsm and char in _GSM_EXTENSION) or (not is_gsm and ord(char) > 0xFFFF) else 1
        if used + size > among:
            count, used = count + 1, 0
        used += size
    return count


def duration_s(rows: int, *paces_per_s: float | None) -> float:
    """Say how long `rows` take at the slowest of the paces; None is no limit."""
    slowest = min((pace for pace in paces_per_s if pace is not None), default=0.0)
    return rows / slowest if slowest > 0 else 0.0


@dataclass(slots=True)
class Forecast:
    """What the ready rows of a campaign come to; fed row by row.

    `template_body`: the text of the content template, if known, with `{{1}}` for its variables.
    """

    template_body: str | None = None
    rows: int = 0
    segments: int = 0
    unicode_rows: int = 0
    longest: int = 0

    def add(self, recipient: Recipient) -> None:
        """Count one ready row; segments only on SMS."""
        self.rows += 1
        text = self._text_of(recipient)
        if recipient.channel != "sms" or text is None:
            return
        cut = count_segments(text)
        self.segments += cut.count
        self.unicode_rows += cut.encoding == "UCS-2"
        self.longest = max(self.longest, cut.count)

    def _text_of(self, recipient: Recipient) -> str | None:
        message = recipient.message
        if message.body is not None or self.template_body is None:
            return message.body
        return fill_template_body(self.template_body, message.variables)


def fill_template_body(body: str, variables: dict[str, str]) -> str:
    """Put the variables into a content template's text, as Twilio does."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: variables.get(match[1], match[0]), body)
