"""What is registered at Twilio for webhooks, what should be, and the way from one to the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from worker.errors import RefusedHereError
from worker.gateway.seen import WebhookConfig

WANTED = ("onMessageAdded", "onDeliveryUpdated")
"""The events that we hear; Twilio has others, which may be there for somebody else."""
_TARGETS = ("", "webhook")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be registered, and what changes with it in words; nothing where all is as it should be."""

    url: str
    filters: tuple[str, ...]
    changes: tuple[str, ...]


def missing_filters(config: WebhookConfig) -> list[str]:
    """List the events that we need and Twilio does not tell of."""
    return [each for each in WANTED if each not in config.filters]


def find_fault(config: WebhookConfig, url: str) -> str:
    """Say what keeps Twilio from telling `url` of what we need; empty where nothing does."""
    if not config.post_url:
        return "Nothing is registered at Twilio."
    if config.post_url != url:
        return f"Another address is registered at Twilio: {config.post_url}."
    if config.target not in _TARGETS:
        return f"Twilio gives the events to {config.target}, and to no address."
    if config.method != "POST":
        return f"Twilio calls by {config.method or 'no method'}, not by POST."
    missing = missing_filters(config)
    return f"Twilio does not tell of {' and '.join(missing)}." if missing else ""


def advise(config: WebhookConfig, url: str, profile: str = "") -> str:
    """Say which command mends the fault that was found, of the account that `profile` names."""
    return f"{_set_up(profile, replace=_is_of_others(config, url))} mends that."


def _set_up(profile: str, *, replace: bool) -> str:
    return f"`outreach webhooks set-up{' --replace' * replace}{profile and f' --account {profile}'}`"


def _is_of_others(config: WebhookConfig, url: str) -> bool:
    return bool(config.post_url and config.post_url != url) or config.target not in _TARGETS


def make_plan(config: WebhookConfig, url: str, profile: str = "", *, replace: bool) -> Plan:
    """Compare what is registered with what should be; filters of others stay.

    Raises: RefusedHereError where something else is registered that somebody may rely on, unless it is to be replaced.
    """
    if not replace:
        _refuse_strangers(config, url, profile)
    filters = (*config.filters, *missing_filters(config))
    changes = (
        *_change("PostWebhookUrl", config.post_url, url),
        *_change("Filters", _listed(config.filters), _listed(filters)),
        *_change("Method", config.method, "POST"),
        *(() if config.target in _TARGETS else _change("Target", config.target, "webhook")),
    )
    return Plan(url, filters, changes)


def _refuse_strangers(config: WebhookConfig, url: str, profile: str) -> None:
    if _is_of_others(config, url):
        raise RefusedHereError(
            find_fault(config, url),
            f"{_set_up(profile, replace=True)} puts ours in its place; whoever relies on it hears nothing any more then.",
        )


def _change(name: str, before: str, after: str) -> tuple[str, ...]:
    return () if before == after else (f"{name}: {before or 'nothing'} -> {after}",)


def _listed(filters: Sequence[str]) -> str:
    return ", ".join(filters)
