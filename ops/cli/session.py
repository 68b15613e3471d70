"""Open what a command works with: the settings, and the ledger behind them; nothing of Twilio unless asked."""

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker.errors import OutreachError, RedisUnavailableError, RefusedHereError, SettingsError
from worker.settings import Settings, load_settings, make_home

if TYPE_CHECKING:
    from worker.ledger.ledger import Ledger
    from worker.ledger.registry import CampaignInfo, Registry
    from worker.pipeline.bench import Workbench


@dataclass(frozen=True, slots=True)
class Desk:
    """What commands that only read or steer campaigns need."""

    settings: Settings
    ledger: "Ledger"
    registry: "Registry"
    bench: "Workbench"

    def snapshot(self, campaign_id: str) -> dict[str, Any]:
        """Return how a campaign stands, as `status --json` prints it."""
        from worker.pipeline.status import snapshot

        return snapshot(self.bench, campaign_id)

    def overview(self) -> list[dict[str, Any]]:
        """Return all campaigns in short, the newest first."""
        from worker.pipeline.status import overview

        return overview(self.bench)

    def results_path(self, campaign_id: str) -> Path:
        """Return where the results file of a campaign belongs."""
        from worker.pipeline.results import results_path

        return results_path(self.settings, campaign_id)

    def write_results(self, campaign_id: str) -> Path:
        """Write the results file; return its path.

        Raises: RefusedHereError where it can't be written.
        """
        from worker.pipeline.results import write_results

        path = self.results_path(campaign_id)
        write_results(self.ledger, self.registry, campaign_id, path)
        return path

    def heed_results(self) -> None:
        """Tell the ledger how far the campaigns had come by their results files, before anything is sent from here."""
        from worker.pipeline.cautious import heed_results

        heed_results(self.registry, self.settings.results_dir_or_default)

    def look(self, campaign_id: str) -> dict[str, Any]:
        """Return how a campaign stands; note beside its results file how far it has come, or see that Redis is behind."""
        from worker.pipeline.results import note_seen

        self.registry.watch()
        seen = self.snapshot(campaign_id)
        with contextlib.suppress(RefusedHereError):  # the keeper of the file itself complains
            note_seen(self.registry.get(campaign_id), self.results_path(campaign_id))
        return seen

    def wait_for_redis(self, why: RedisUnavailableError) -> str:
        """Say that Redis is lost; the embedded one is started again where it has died."""
        from worker.wiring import revive_redis

        try:
            why_so = revive_redis(self.settings) or why.sentence
        except OutreachError as error:
            why_so = str(error)
        return f"Redis is lost; waiting for it. Nothing that was confirmed is lost. {why_so}"

    def choose(self, campaign_id: str | None) -> "CampaignInfo":
        """Return the campaign of this id, or the latest.

        Raises: NotFoundError where there is none of this id; RefusedHereError where there is none at all.
        """
        if campaign_id:
            return self.registry.get(campaign_id)
        ids = self.registry.ids()
        if not ids:
            raise RefusedHereError("There is no campaign yet.", "`outreach run CAMPAIGN CSV` begins one.")
        return self.registry.get(ids[0])


def read_settings() -> Settings:
    """Read the settings from the environment and from `.env` in this folder."""
    return load_settings(os.environ, Path(".env"))


@contextlib.contextmanager
def open_desk(settings: Settings | None = None) -> Iterator[Desk]:
    """Open the ledger, starting the embedded Redis if it is the one to use.

    Raises: SettingsError, RedisUnavailableError.
    """
    settings = settings or read_settings()
    set_up_logs(settings)
    from worker import wiring

    with wiring.redis_url(settings) as url:
        bench = wiring.build(settings, wiring.connect(url))
        yield Desk(settings, bench.ledger, bench.registry, bench)


def log_folder(settings: Settings) -> Path:
    """Return the folder of this installation's logs, for its owner only."""
    folder = make_home(settings.home) / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def set_up_logs(settings: Settings) -> None:
    """Write this process's own log to a file, so that it never runs through a progress display.

    Raises: SettingsError where it can't be written.
    """
    from worker.logs import configure_logs

    try:
        path = log_folder(settings) / "outreach.log"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise SettingsError(
            f"OUTREACH_HOME, {settings.home}, can't be written: {(error.strerror or str(error)).lower()}.",
            "See that this user may write there and that the disk is not full, or name another folder.",
        ) from error
    configure_logs(settings, os.fdopen(descriptor, "a", encoding="utf-8", buffering=1))
    logging.raiseExceptions = False


def private_folder(path: Path) -> Path:
    """Create a folder for its owner only, where it is missing; customers' data will lie in it."""
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
