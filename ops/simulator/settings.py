"""Every setting of the simulator, all of which can be changed while it runs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ops.simulator.behaviour import DEFAULT_PATTERNS, FAULT_KINDS, WEBHOOK_FAULTS, Behaviour

PAIR_BUSY_WAYS = ("silent", "failed", "error")


@dataclass
class Template:
    """A content template: its text, sample values and WhatsApp approval."""

    body: str = "Hello {{1}}, your policy is due for renewal on {{2}}. Reply to this message to talk to us."
    variables: dict[str, str] = field(default_factory=lambda: {"1": "Jane", "2": "1 March"})
    status: str = "approved"
    category: str = "UTILITY"
    rejection_reason: str = ""
    type: str = "twilio/text"
    language: str = "en"
    friendly_name: str = "renewal_reminder"


@dataclass
class Settings:
    """How the simulator behaves; names carry their units."""

    seed: int = 1
    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    clock_skew_s: float = 0.0
    # limits
    flex_per_s: int = 20
    task_lookups_per_s: int = 3
    max_concurrent: int = 0
    limit_code: int = 20429
    limit_retry_after_s: float | None = None
    # set-up of an Interaction's channel
    setup_ms: float = 150.0
    slow_setup_ms: float = 4000.0
    no_conversation_share: float = 0.0
    channel_failures: dict[str, float] = field(default_factory=dict)
    pair_busy: str = "silent"
    # look-ups
    lookup_lag_s: float = 0.0
    forbidden: dict[str, int] = field(default_factory=dict)
    # faults
    fault: dict[str, float] = field(default_factory=dict)
    fault_getters: dict[str, float] = field(default_factory=dict)
    fault_close: dict[str, float] = field(default_factory=dict)
    retry_after_s: float = 1.0
    hang_s: float = 300.0
    patterns: dict[str, str] = field(default_factory=lambda: dict(DEFAULT_PATTERNS))
    patterns_on: bool = True
    error_style: str = "legacy"
    # delivery receipts
    sent_s: float = 0.2
    delivered_s: float = 1.0
    read_s: float = 4.0
    read_share: float = 0.6
    receipt_failures: dict[str, float] = field(default_factory=dict)
    # customers who write, and webhooks
    reply_s: float = 2.0
    replies: dict[str, float] = field(default_factory=dict)
    webhook_url: str = ""
    webhook_filters: list[str] = field(default_factory=lambda: ["onMessageAdded", "onDeliveryUpdated"])
    webhook_token: str = ""
    webhook_faults: dict[str, float] = field(default_factory=dict)
    webhook_late_s: float = 1.0
    # what exists
    credentials: list[str] = field(default_factory=list)
    account_sid: str = "AC" + "0" * 31 + "1"
    strict_templates: bool = False
    template: dict[str, Any] = field(default_factory=lambda: asdict(Template()))
    templates: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing_sids: list[str] = field(default_factory=list)
    senders: list[str] | None = None

    def change(self, values: dict[str, Any]) -> None:
        """Change the named settings, all of them or none.

        Raises: ValueError with a sentence that names the setting.
        """
        trial = Settings(**{**self.as_dict(), **_known(values)})
        trial._check()
        for name in values:
            setattr(self, name, getattr(trial, name))

    def as_dict(self) -> dict[str, Any]:
        """Return all settings as JSON has them."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def content(self, sid: str) -> Template | None:
        """Return the template of `sid`, or None where there is none."""
        own = self.templates.get(sid)
        if own is None and (self.strict_templates or sid.endswith("dead") or sid in self.missing_sids):
            return None
        return Template(**{**self.template, **(own or {})})

    def has_sid(self, sid: str) -> bool:
        """Return whether a TaskRouter resource of this SID exists."""
        return not sid.endswith("dead") and sid not in self.missing_sids

    def _check(self) -> None:
        for name in ("fault", "fault_getters", "fault_close"):
            _check_faults(name, getattr(self, name), FAULT_KINDS)
        _check_faults("webhook_faults", self.webhook_faults, WEBHOOK_FAULTS)
        _check_shares("replies", self.replies)
        _check_shares("receipt_failures", self.receipt_failures)
        _check_shares("channel_failures", self.channel_failures)
        if self.pair_busy not in PAIR_BUSY_WAYS:
            raise ValueError(f"pair_busy must be one of {', '.join(PAIR_BUSY_WAYS)}, not {self.pair_busy!r}")
        if self.error_style not in {"legacy", "rfc9457"}:
            raise ValueError(f"error_style must be legacy or rfc9457, not {self.error_style!r}")
        for suffix, words in self.patterns.items():
            Behaviour.parse(words, suffix)
        for template in [self.template, *self.templates.values()]:
            _check_template(template)


def _known(values: dict[str, Any]) -> dict[str, Any]:
    kinds = {one.name: one.type for one in fields(Settings)}
    for name, value in values.items():
        if name not in kinds:
            raise ValueError(f"there is no setting {name!r}; there are {', '.join(sorted(kinds))}")
        if not _fits(kinds[name], value):
            raise ValueError(f"{name} does not take {value!r}")
    return values


def _fits(declared: Any, value: Any) -> bool:
    """Return whether JSON's `value` suits a field declared so."""
    kind = str(getattr(declared, "__name__", declared))
    if value is None:
        return "None" in kind
    if isinstance(value, bool):
        return kind == "bool"
    if isinstance(value, int | float):
        return kind.startswith("float") or (kind.startswith("int") and isinstance(value, int))
    return kind.startswith(type(value).__name__)


def _check_shares(name: str, shares: dict[str, float]) -> None:
    for key, share in shares.items():
        if not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ValueError(f"{name}: the share of {key} must lie between 0 and 1, not {share!r}")
    if sum(shares.values()) > 1:
        raise ValueError(f"{name}: the shares add up to more than 1")


def _check_faults(name: str, faults: dict[str, float], kinds: Sequence[str]) -> None:
    for kind in faults:
        if kind not in kinds:
            raise ValueError(f"{name}: there is no fault {kind!r}; there are {', '.join(kinds)}")
    _check_shares(name, faults)


def _check_template(values: dict[str, Any]) -> None:
    names = {one.name for one in fields(Template)}
    for name in values:
        if name not in names:
            raise ValueError(f"a template has no {name!r}; it has {', '.join(sorted(names))}")
