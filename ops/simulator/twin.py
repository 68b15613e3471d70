"""The whole imitated account: settings, what exists, the journal, the limits."""

from copy import deepcopy
from pathlib import Path

from ops.simulator.agenda import Agenda
from ops.simulator.behaviour import Behaviour, Patterns
from ops.simulator.call import Window
from ops.simulator.clock import Clock
from ops.simulator.journal import Journal
from ops.simulator.settings import Settings
from ops.simulator.store import Store
from ops.simulator.webhooks import Webhooks


class Twin:
    """Everything the handlers work on."""

    def __init__(self, settings: Settings, clock: Clock, journal: Path | None = None) -> None:
        self.settings = settings
        self._at_first = deepcopy(settings.as_dict())
        self.clock = clock
        self.journal = Journal(clock, journal)
        self.store = Store()
        self.agenda = Agenda()
        self.webhooks = Webhooks(settings, self.journal, clock.now)
        self.windows: dict[tuple[str, str], Window] = {}
        self.seen: dict[tuple[str, str], int] = {}
        self.started_at = clock.now()
        self.settings_changed()

    def settings_changed(self) -> None:
        """Take over what is derived from the settings."""
        self.patterns = Patterns(self.settings.patterns, self.settings.patterns_on)
        self.clock.skew_s = self.settings.clock_skew_s
        self.agenda.catch_up(self.clock.now())
        self.agenda.changed()

    def reset(self, settings_too: bool = False) -> None:
        """Forget everything but the settings, or put these back to what they were at the start as well."""
        if settings_too:
            self.settings.change(deepcopy(self._at_first))
            self.settings_changed()
        self.store = Store()
        self.windows.clear()
        self.seen.clear()
        self.agenda.clear()
        self.webhooks.forget()
        self.journal.reset()

    def nth(self, what: str, whom: str) -> int:
        """Count one more `what` for `whom`; 1 is the first."""
        number = self.seen.get((what, whom), 0) + 1
        self.seen[(what, whom)] = number
        return number

    def behaviour(self, address: str, where: str) -> Behaviour | None:
        """Return what this customer does at `where`, if anything out of the ordinary."""
        found = self.patterns.of(address)
        return found if found is not None and found.where == where else None

    def take(self, endpoint: str, account: str, now: float, limit: int) -> bool:
        """Take a place within an endpoint's limit for one account."""
        window = self.windows.get((endpoint, account))
        if window is None:
            window = self.windows[(endpoint, account)] = Window()
        return window.take(now, limit)
