"""A desk where tests write campaigns and customers' files, take them in, and have rows end as they like."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import redis
from builders import Clock, LedgerRig

from worker.ledger.keys import prefix
from worker.pacing.pacer import Pacer
from worker.pipeline.bench import Workbench
from worker.pipeline.intake import Decision, Intake, decide, take_in
from worker.pipeline.results import write_results
from worker.settings import Settings

ACCOUNT = "AC" + "0" * 31 + "1"
DEFINITION = """
name = "{name}"
channel = "sms"
from = "+12025550199"
to = "{{{{ phone }}}}"
{top}
[routing]
workspace_sid = "WS00000000000000000000000000000001"
workflow_sid = "WW00000000000000000000000000000001"
queue_sid = "WQ00000000000000000000000000000001"
worker_sid = "WK00000000000000000000000000000001"
[message]
author = "Renewals team"
body = "{body}"
{rest}
"""


_AREAS = (202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219)


def phone(number: int) -> str:
    """Give customer number `number` a phone number that nobody has."""
    return f"+1{_AREAS[number // 100]}55501{number % 100:02d}"


class Desk:
    """Files and the ledger of one account. `rig` moves rows; its clock is Redis's own unless a test sets one."""

    def __init__(self, folder: Path, url: str, client: "redis.Redis", base_url: str = "") -> None:
        self.folder = folder
        self.url = url
        self.client = client
        self.settings = Settings(
            account_sid=ACCOUNT,
            home=folder / "home",
            results_dir=folder / "results",
            twilio_base_url=base_url,
        )
        self.rig = LedgerRig(client, Clock(_now_ms(client)), self.settings.account_tag)
        self.ledger, self.registry = self.rig.ledger, self.rig.registry

    def definition(self, name: str = "renewals", body: str = "Hello", top: str = "", rest: str = "") -> Path:
        """Write a definition."""
        path = self.folder / f"{name}.toml"
        path.write_text(DEFINITION.format(name=name, body=body, top=top, rest=rest), encoding="utf-8")
        return path

    def customers(
        self, rows: Iterable[Sequence[str]] | int, header: str = "phone,name", file: str = "customers.csv"
    ) -> Path:
        """Write a customers' file: so many good rows, or those given."""
        if isinstance(rows, int):
            rows = [(phone(number), f"Ann {number}") for number in range(1, rows + 1)]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        path = self.folder / file
        path.write_text(f"{header}\n{text.getvalue()}", encoding="utf-8")
        return path

    def decide(self, definition: Path, customers: Path, **options: Any) -> Decision:
        """Decide which campaign they are."""
        return decide(self.registry, self.settings, definition, customers, **options)

    def take_in(self, definition: Path, customers: Path, **options: Any) -> Intake:
        """Take them in."""
        return take_in(self.ledger, self.registry, self.settings, definition, customers, **options)

    def begin(self, rows: Iterable[Sequence[str]] | int = 3, **definition: Any) -> str:
        """Take a small campaign in; its id."""
        return self.take_in(self.definition(**definition), self.customers(rows)).campaign_id

    def accept_all(self, campaign_id: str) -> None:
        """Have every row accepted that is to be sent."""
        for number, record, _, _ in list(
            self.ledger.iter_rows(campaign_id, self.registry.get(campaign_id).rows)
        ):
            if not record.state.is_ended:
                self.rig.accept(campaign_id, number)

    def results(self, campaign_id: str) -> list[dict[str, str]]:
        """Write the results file and read it."""
        assert self.settings.results_dir is not None
        path = self.settings.results_dir / f"{campaign_id}.csv"
        assert write_results(self.ledger, self.registry, campaign_id, path)
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def bench(self, gateway: Any = None) -> Workbench:
        """Put a workbench together; without a gateway it must not ask Twilio."""
        tag = self.settings.account_tag
        clock = _Stopped()
        return Workbench(
            settings=self.settings,
            ledger=self.ledger,
            registry=self.registry,
            pacer=Pacer(self.client, prefix(tag), clock=clock, sleep=clock.sleep),
            gateway=gateway,
            owner="tests/1/1",
            request_s=30.0,
            clock=clock,
            sleep=clock.sleep,
            rng=Random(1),
        )


class _Stopped:
    """A monotonic clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def __call__(self) -> float:
        return self._now_s

    def sleep(self, seconds: float) -> None:
        self._now_s += seconds


def _now_ms(client: "redis.Redis") -> int:
    seconds, micros = client.time()
    return int(seconds) * 1000 + int(micros) // 1000
