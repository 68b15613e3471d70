"""Foretells what a campaign will take: time from its pace, and SMS segments from what it says."""

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from campaigns.recipient import Recipient
from campaigns.schedule import SendWindow

FORESEEN = timedelta(days=90)
_STEP = timedelta(minutes=10)
_MOST_COUNTED, _MOST_FOLLOWED = 1000, 30

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
class OpenHours:
    """How the windows of a campaign's rows draw it out; fed row by row.

    Of many different windows, the most frequent stand for all.
    """

    rows: Counter[SendWindow] = field(default_factory=Counter)

    def add(self, window: SendWindow) -> None:
        """Count one row that is kept to `window`."""
        if window in self.rows or len(self.rows) < _MOST_COUNTED:
            self.rows[window] += 1
        else:
            self.rows[next(iter(self.rows))] += 1

    @property
    def hours_a_day(self) -> tuple[float, float]:
        """Return for how many hours of a day the windows are open: the shortest and the longest of them."""
        lengths = [window.length / timedelta(hours=1) for window in self.rows]
        return min(lengths, default=24.0), max(lengths, default=24.0)

    def ends_at(self, now: datetime, per_s: float) -> datetime | None:
        """Foretell when the last row goes out at `per_s`, begun `now` (aware); None if not within FORESEEN."""
        common = self.rows.most_common(_MOST_FOLLOWED)
        share = self.rows.total() / max(1, sum(rows for _, rows in common))
        left = {window: rows * share for window, rows in common}
        moment = last = now.astimezone(UTC)
        while left and moment < now + FORESEEN:
            opens_at = {window: window.opens_at(moment) for window in left}
            known = [at for at in opens_at.values() if at is not None]
            if not known:
                return None
            if min(known) > moment:
                moment = min(known)
                continue
            room = per_s * _STEP.total_seconds()
            for window in [each for each, at in opens_at.items() if at == moment]:
                sent = min(room, left[window])
                room -= sent
                if sent == left[window]:
                    del left[window]
                else:
                    left[window] -= sent
            last = moment + _STEP - timedelta(seconds=room / per_s)
            moment += _STEP
        return None if left else last


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
