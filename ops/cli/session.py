"""Open what a command works with: the settings, and the ledger behind them; nothing of Twilio unless asked."""

import contextlib
import importlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from ops.cli import screen, words
from worker.errors import OutreachError, RedisUnavailableError, RefusedHereError, SettingsError
from worker.settings import Settings, load_settings, make_home

if TYPE_CHECKING:
    from worker.ledger.ledger import Ledger
    from worker.ledger.registry import CampaignInfo, Registry
    from worker.pipeline.bench import Workbench

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Desk:
    """What commands that only read or steer campaigns need: an account's settings and ledger; `desks` has the others'."""

    settings: Settings
    desks: "Desks"
    ledger: "Ledger"
    registry: "Registry"
    bench: "Workbench"

    def snapshot(self, campaign_id: str) -> dict[str, Any]:
        """Return how a campaign stands, as `status --json` prints it."""
        from worker.pipeline.status import snapshot

        return self._named(snapshot(self.bench, campaign_id))

    def overview(self) -> list[dict[str, Any]]:
        """Return all campaigns of the account in short, the newest first."""
        from worker.pipeline.status import overview

        return [self._named(one) for one in overview(self.bench)]

    def _named(self, seen: dict[str, Any]) -> dict[str, Any]:
        return {"id": seen["id"], "account": self.settings.profile or None, **seen}

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

    def latest(self) -> "CampaignInfo | None":
        """Return the account's latest campaign; None where there is none."""
        ids = self.registry.ids()
        return self.registry.get(ids[0]) if ids else None

    def choose(self, campaign_id: str | None) -> "CampaignInfo":
        """Return the campaign of this id, or the latest.

        Raises: NotFoundError where there is none of this id; RefusedHereError where there is none at all.
        """
        found = self.registry.get(campaign_id) if campaign_id else self.latest()
        if found is None:
            raise RefusedHereError("There is no campaign yet.", "`outreach run CAMPAIGN CSV` begins one.")
        return found


class Desks:
    """The desks of all accounts; a Redis that several of them share is connected to once.

    `away`: the accounts that could not be asked, and why.
    """

    def __init__(self, main: Settings) -> None:
        self.main = main
        self._clients: dict[str, Any] = {}  # by Redis; or why there is none
        self._stack = contextlib.ExitStack()
        self.away: list[tuple[Settings, RedisUnavailableError]] = []

    def __enter__(self) -> "Desks":
        set_up_logs(self.main)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, account: Settings) -> Desk:
        """Open the desk of one account.

        Raises: RedisUnavailableError.
        """
        client = self._client(account)
        from worker import wiring

        bench = wiring.build(account, client)
        return Desk(account, self, bench.ledger, bench.registry, bench)

    def hold_broker(self) -> None:
        """Have the broker run meanwhile, for workers are to be started: it is on the main account's Redis, whosever the campaign.

        Raises: RedisUnavailableError.
        """
        self._client(self.main)

    def has_beat(self) -> bool:
        """Tell whether a beat acts: one for all accounts, which keeps its lock on the main one's Redis."""
        from worker.ledger.registry import Registry
        from worker.ledger.timetable import Timetable

        try:
            return Timetable(Registry(self._client(self.main), self.main.account_tag)).has_beat()
        except RedisUnavailableError:
            return False

    def ask_all(self, ask: "Callable[[Desk], T]") -> "list[tuple[Desk, T]]":
        """Ask at every desk; an account whose Redis is away is put among those `away`.

        Raises: RedisUnavailableError where none can be asked.
        """
        found = []
        for account in self.main.everyone():
            try:
                desk = self.of(account)
                found.append((desk, ask(desk)))
            except RedisUnavailableError as error:
                self.away.append((account, error))
        if not found:
            raise self.away[0][1]
        return found

    def having(self, campaign_id: str) -> Desk:
        """Open the desk of the account that has a campaign, or any; each Redis is asked once, for all of its accounts.

        Raises: RedisUnavailableError where it may be in an account that can't be asked.
        """
        from worker.ledger.whereabouts import find_account

        for accounts in self._by_redis():
            tags = {account.account_tag: account for account in accounts}
            try:
                tag = find_account(self._client(accounts[0]), campaign_id, list(tags))
            except RedisUnavailableError as error:
                self.away += [(account, error) for account in accounts]
                continue
            if tag is not None:
                return self.of(tags[tag])
        if not self.away:
            return self.of(self.main.everyone()[0])  # whose ledger says so
        raise RedisUnavailableError(
            f"{campaign_id} is not among the campaigns of the other accounts; {self.away_words()}.",
            self.away[0][1].advice,
        )

    def having_latest(self) -> Desk:
        """Open the desk of the account whose campaign is the latest, or any where there is none."""
        found = self.ask_all(Desk.latest)
        begun = [(info.created_at, desk) for desk, info in found if info is not None]
        return max(begun, key=lambda each: each[0])[1] if begun else found[0][0]

    def away_words(self) -> str:
        """Say which accounts could not be asked, and why."""
        names = " and ".join(words.account(account.profile) for account, _ in self.away)
        whys = dict.fromkeys(error.sentence.rstrip(".") for _, error in self.away)
        return f"{names} can't be asked: {'; '.join(whys)}"

    def away_error(self, so: str) -> RedisUnavailableError:
        """Make the error of an answer that lacks something, for accounts could not be asked."""
        what = self.away_words()
        return RedisUnavailableError(f"{what[0].upper()}{what[1:]}; {so}.", self.away[0][1].advice)

    def _by_redis(self) -> list[list[Settings]]:
        groups: dict[str, list[Settings]] = {}
        for account in self.main.everyone():
            groups.setdefault(redis_of(account), []).append(account)
        return list(groups.values())

    def _client(self, account: Settings) -> Any:
        where = redis_of(account)
        if where not in self._clients:
            from worker.redis_server import redis_url

            try:
                with _importing("worker.wiring"):
                    url = self._stack.enter_context(redis_url(account))
                from worker import wiring

                self._clients[where] = wiring.connect(url)
            except RedisUnavailableError as error:
                name = "OUTREACH_REDIS_URL"
                is_own = where != redis_of(self.main)
                advice = error.advice.replace(name, account.variable(name) if is_own else name)
                self._clients[where] = RedisUnavailableError(error.sentence, advice)
        client = self._clients[where]
        if isinstance(client, RedisUnavailableError):
            raise client
        return client


@contextlib.contextmanager
def _importing(name: str) -> Iterator[None]:
    """Import a module beside what is inside, which mostly waits: for the embedded Redis to start."""
    thread = Thread(target=importlib.import_module, args=(name,))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def read_settings() -> Settings:
    """Read the settings from the environment and from `.env` in this folder."""
    return load_settings(os.environ, Path(".env"))


@contextlib.contextmanager
def open_desk(account: Settings, main: Settings) -> Iterator[Desk]:
    """Open the ledger of an account, starting the embedded Redis if it is the one to use.

    Raises: SettingsError, RedisUnavailableError.
    """
    with Desks(main) as desks:
        yield desks.of(account)


@contextlib.contextmanager
def open_desk_of(campaign_id: str | None) -> Iterator[Desk]:
    """Open the ledger of the account that has a campaign; without an id, that of the latest campaign.

    Whether there is one it does not say; that is for whoever reads it.

    Raises: SettingsError, RedisUnavailableError.
    """
    main = read_settings()
    with Desks(main) as desks:
        if campaign_id is None:
            desk = desks.having_latest()
        elif len(main.everyone()) == 1:
            desk = desks.of(main.everyone()[0])
        else:
            desk = desks.having(campaign_id)
        if desks.away and campaign_id is None:
            screen.warn(f"{desks.away_words()}; the latest campaign of the others is taken")
        yield desk


def log_folder(settings: Settings) -> Path:
    """Return the folder of this installation's logs, for its owner only."""
    folder = make_home(settings.home) / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def redis_of(account: Settings) -> str:
    """Tell which Redis an account's ledger is on; empty is the embedded one."""
    return account.redis_url.get_secret_value() if account.redis_url else ""


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
