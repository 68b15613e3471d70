"""A campaign on disk with as many customers as a test wants, and the environment of the commands that send it."""

import csv
import os
import sys
from pathlib import Path

from zygote import Forked, Zygote

ACCOUNT = "AC" + "a1" * 16
_AREAS = (
    "202",
    "212",
    "305",
    "312",
    "404",
    "415",
    "503",
    "512",
    "602",
    "617",
    "702",
    "713",
    "718",
    "808",
    "901",
    "919",
)

_DEFINITION = """\
name = "{name}"
channel = "whatsapp"
from = "whatsapp:+19252210100"
to = "{{{{ phone }}}}"
[routing]
workspace_sid = "WS5f1d2c3b4a59687766554433221100ff"
workflow_sid = "WW0a1b2c3d4e5f60718293a4b5c6d7e8f9"
queue_sid = "WQ9f8e7d6c5b4a39281706f5e4d3c2b1a0"
agents = ["WK11223344556677889900aabbccddeeff", "WKffeeddccbbaa00998877665544332211"]
[message]
author = "Renewals team"
content_sid = "HX3a4b5c6d7e8f90123456789abcdef012"
[message.variables]
1 = "{{{{ first_name }}}}"
2 = "{{{{ due_date }}}}"
[pacing]
max_attempts = {max_attempts}
"""


def number(index: int) -> str:
    """Give the index-th of 160,000 distinct numbers that libphonenumber takes."""
    return f"+1{_AREAS[index % 16]}{220 + index // 16 // 1000}{index // 16 % 1000:04d}"


class CampaignFiles:
    """A folder with a definition and a customers' file, and the commands that are run on them."""

    def __init__(
        self, folder: Path, base_url: str, *, rows: int, per_s: float, name: str = "reminder", **more: str
    ) -> None:
        self.folder = folder
        self._said = folder / "said.txt"
        self._zygote = Zygote()
        self.results_dir = folder / "results"
        self.definition = folder / "campaign.toml"
        self.customers = folder / "customers.csv"
        self.definition.write_text(_DEFINITION.format(name=name, max_attempts=8))
        with self.customers.open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(("phone", "first_name", "due_date"))
            writer.writerows((number(at), f"Customer {at}", "1 March") for at in range(rows))
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("OUTREACH_", "TWILIO_"))
            },
            "OUTREACH_HOME": str(folder / "home"),
            "OUTREACH_RESULTS_DIR": str(self.results_dir),
            "OUTREACH_TWILIO_BASE_URL": base_url,
            "OUTREACH_ACCOUNT_INTERACTIONS_PER_S": str(per_s),
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": "secret",
            **more,
        }

    def start(self, *arguments: str) -> Forked:
        """Start `outreach` with `arguments` in a process group of its own; its output goes to a file beside."""
        whole = [sys.executable, "-m", "ops.cli", *arguments]
        return self._zygote.start(whole, self.environment, cwd=self.folder, log=self._said)

    def run(self) -> Forked:
        """Start `outreach run` on this campaign."""
        return self.start("run", str(self.definition), str(self.customers))

    def said(self) -> str:
        """Return all that the commands have printed so far."""
        return self._said.read_text()

    def results(self) -> list[dict[str, str]]:
        """Read the one results file."""
        (path,) = self.results_dir.glob("*.csv")
        with path.open(newline="", encoding="utf-8") as lines:
            return list(csv.DictReader(lines))
