"""Check a campaign and its file as a whole, a row at a time: counts, problems, a forecast, and what Twilio says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from campaigns.check import check_rows
from campaigns.definition import Campaign
from campaigns.duplicates import Duplicates
from campaigns.forecast import Forecast, OpenHours, duration_s
from campaigns.problems import Problem
from campaigns.recipients import compile_campaign
from campaigns.table import open_table
from worker.errors import TwilioUnavailableError
from worker.gateway.outcome import Unknown
from worker.pipeline.preflight import Named, ask_twilio, telling_rows
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.gateway.twilio import TwilioGateway

_TELL_EVERY_ROWS = 256


@dataclass
class Checking:
    """What was found so far; complete when `problems` has been exhausted."""

    settings: Settings
    campaign: Campaign
    definition: Path
    customers: Path
    gateway: "TwilioGateway | None"
    sleep: Callable[[float], None]
    now: datetime
    rows: int = 0
    by_verdict: dict[str, int] = field(default_factory=lambda: {"ready": 0, "invalid": 0, "skipped": 0})
    by_code: dict[str, int] = field(default_factory=dict)
    forecast: Forecast = field(default_factory=Forecast)
    hours: OpenHours = field(default_factory=OpenHours)
    file_format: str = ""
    twilio_errors: int = 0
    unreachable: TwilioUnavailableError | None = None

    def problems(self, progress: Callable[[int, int], None]) -> Iterator[Problem]:
        """Check everything, and give each problem as it is found.

        Raises: RefusedError for a file that is refused as a whole.
        """
        named = Named()
        self.forecast.template_body = self._template_body()
        with open_table(self.customers) as table, Duplicates() as seen:
            self.file_format = f"{table.encoding}, {_delimiter(table.delimiter)}".rstrip(", ")
            yield from table.warnings
            compiled = compile_campaign(self.campaign, table.columns, table.file)
            size, telling = 0, telling_rows(self.campaign)
            is_sms = self.campaign.channel == "sms"
            for row in check_rows(compiled, table, seen):
                self.rows += 1
                self.by_verdict[row.verdict] += 1
                if row.code:
                    self.by_code[row.code] = self.by_code.get(row.code, 0) + 1
                if row.recipient is not None:
                    if telling is None or self.by_verdict["ready"] <= telling:
                        named.see(row.recipient)
                    if row.recipient.window is not None:
                        self.hours.add(row.recipient.window)
                    if is_sms:
                        self.forecast.add(row.recipient)
                yield from row.problems
                size += sum(map(len, row.cells)) + len(row.cells)
                if self.rows % _TELL_EVERY_ROWS == 0:
                    progress(self.rows, size)
        yield from self._ask_twilio(named)

    @property
    def duration_s(self) -> float:
        """Return how long the ready rows take at the pace."""
        ceiling = self.campaign.pacing.interactions_per_second
        account, sender = self.settings.account_interactions_per_s, self.campaign.sender_messages_per_s
        return duration_s(self.by_verdict["ready"], account, ceiling, sender)

    def ends_at(self) -> datetime | None:
        """Foretell when the last message goes out, kept to the windows; None where that is beyond what is foreseen."""
        if not self.hours.rows:
            return self.now + timedelta(seconds=self.duration_s)
        return self.hours.ends_at(self.now, self.by_verdict["ready"] / self.duration_s)

    @property
    def exit_code(self) -> int:
        """Return 2 where it could not be sent at all, 4 where Twilio could not be asked, 1 where rows are invalid."""
        if self.twilio_errors or not self.by_verdict["ready"]:
            return 2
        if self.unreachable is not None:
            return self.unreachable.exit_code
        return 1 if self.by_verdict["invalid"] else 0

    def as_dict(self) -> dict[str, Any]:
        """Return what is known, for a program; `ends_at` is foretold as if it were begun now."""
        ends_at = self.ends_at()
        return {
            "campaign": self.campaign.name,
            "file": str(self.customers),
            "format": self.file_format,
            "rows": self.rows,
            **self.by_verdict,
            "codes": self.by_code,
            "duration_s": round(self.duration_s, 1),
            "ends_at": f"{ends_at:%Y-%m-%dT%H:%M:%SZ}" if ends_at else None,
            "segments": self.forecast.segments if self.campaign.channel == "sms" else None,
            "twilio_asked": self.gateway is not None and self.unreachable is None,
            "exit_code": self.exit_code,
        }

    def _ask_twilio(self, named: Named) -> Iterator[Problem]:
        if self.gateway is None:
            return
        try:
            found = ask_twilio(self.gateway, self.campaign, named, self.sleep, str(self.definition))
        except TwilioUnavailableError as error:
            self.unreachable = error
            return
        self.twilio_errors = sum(problem.severity == "error" for problem in found)
        yield from found

    def _template_body(self) -> str | None:
        """Fetch the text that an SMS template has, for the count of its segments."""
        sid = self.campaign.message.content_sid
        if self.gateway is None or self.campaign.channel != "sms" or not sid or "{" in sid:
            return None
        found = self.gateway.fetch_template(sid)
        return None if isinstance(found, Unknown) or found.value is None else found.value.body


def _delimiter(delimiter: str) -> str:
    return {",": "comma", ";": "semicolon", "\t": "tab", "": ""}.get(delimiter, repr(delimiter))
