"""Where the account's events are told, and how they get there: signed, once and in order, unless the settings say otherwise."""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import aiohttp

from ops.simulator.behaviour import chance, draw
from ops.simulator.call import Answer, Call, Endpoint
from ops.simulator.errors import Refused
from ops.simulator.journal import Journal
from ops.simulator.settings import Settings

if TYPE_CHECKING:
    from ops.simulator.twin import Twin

PATH = "/conversations/v1/Configuration/Webhooks"
TIMEOUT_S = 5.0
_LANES = 16  # what one conversation has to tell goes out in order, however slow the others are heard


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """What an account has configured."""

    pre_url: str | None = None
    post_url: str | None = None
    method: str = "POST"
    filters: tuple[str, ...] = ()
    target: str = "webhook"


@dataclass(frozen=True, slots=True)
class _Letter:
    """One event on its way."""

    url: str
    form: dict[str, str]
    fault: str | None
    generation: int


class Webhooks:
    """Tell events to whoever asked for them; nothing is tried again."""

    def __init__(self, settings: Settings, journal: Journal, now: Callable[[], float]) -> None:
        self._settings, self._journal, self._now = settings, journal, now
        self._configs: dict[str, WebhookConfig] = {}
        self._told: dict[str, int] = {}
        self._held: dict[str, _Letter] = {}
        self._lanes: list[asyncio.Queue[_Letter]] = [asyncio.Queue() for _ in range(_LANES)]

    def config(self, account: str) -> WebhookConfig:
        """Return an account's configuration: its own, or what the settings say for all."""
        settings = self._settings
        return self._configs.get(account) or WebhookConfig(
            post_url=settings.webhook_url or None, filters=tuple(settings.webhook_filters)
        )

    def configure(self, account: str, config: WebhookConfig) -> None:
        """Give an account a configuration of its own."""
        self._configs[account] = config

    def wants(self, account: str, event: str) -> bool:
        """Tell whether an account has asked for this event."""
        config = self.config(account)
        return bool(config.post_url) and config.method == "POST" and event in config.filters

    def tell(self, form: dict[str, str], address: str) -> None:
        """Send an event on its way, whatever the settings have happen to it; `address` is the customer's."""
        settings = self._settings
        number = self._told[address] = self._told.get(address, 0) + 1
        fault = draw(settings.webhook_faults, chance(settings.seed, "webhook", address, number))
        url = self.config(form["AccountSid"]).post_url or ""
        letter = _Letter(url, form, fault, self._journal.generation)
        conversation_sid = form["ConversationSid"]
        if fault == "drop":
            self._note(letter, None)
        elif fault == "reorder" and conversation_sid not in self._held:
            self._held[conversation_sid] = letter
            asyncio.get_running_loop().call_later(settings.webhook_late_s, self._release, letter)
        else:
            for _ in range(2 if fault == "duplicate" else 1):
                self._post(letter)
            if held := self._held.get(conversation_sid):
                self._release(held)

    def forget(self) -> None:
        """Forget what was configured; what is still on its way is dropped."""
        self._configs.clear()
        self._told.clear()
        self._held.clear()

    async def deliver(self) -> None:
        """Deliver what is posted, until cancelled."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(self._carry(session, lane))

    def _release(self, letter: _Letter) -> None:
        """Post a letter that was held back, once."""
        conversation_sid = letter.form["ConversationSid"]
        if self._held.get(conversation_sid) is letter:
            del self._held[conversation_sid]
            self._post(letter)

    def _post(self, letter: _Letter) -> None:
        self._lanes[int(letter.form["ConversationSid"][2:], 16) % _LANES].put_nowait(letter)

    async def _carry(self, session: aiohttp.ClientSession, lane: asyncio.Queue[_Letter]) -> None:
        while True:
            letter = await lane.get()
            if letter.generation != self._journal.generation:
                continue
            headers = {"User-Agent": "TwilioProxy/1.1"}
            if token := self._settings.webhook_token:
                headers["X-Twilio-Signature"] = sign(token, letter.url, letter.form)
            try:
                async with session.post(
                    letter.url, data=letter.form, headers=headers, allow_redirects=False
                ) as answer:
                    status = answer.status
            except (aiohttp.ClientError, TimeoutError, ValueError):
                status = 0
            self._note(letter, status)

    def _note(self, letter: _Letter, answer: int | None) -> None:
        if letter.generation != self._journal.generation:
            return
        form = letter.form
        self._journal.effect(
            "webhook",
            self._now(),
            event=form["EventType"],
            conversation_sid=form["ConversationSid"],
            message_sid=form["MessageSid"],
            status=form.get("Status"),
            fault=letter.fault,
            answer=answer,
            account=form["AccountSid"],
        )


def sign(token: str, url: str, form: dict[str, str]) -> str:
    """Return Twilio's signature of a form: the URL, then each name and value in the names' order."""
    text = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), "sha1").digest()).decode()


def fetch_config(twin: Twin, call: Call) -> Answer:
    """Answer with the account's configuration."""
    return 200, _body(twin, call)


def update_config(twin: Twin, call: Call) -> Answer:
    """Change what is given of the configuration."""
    old, form = twin.webhooks.config(call.account), call.form
    new = replace(
        old,
        pre_url=_url(call, "PreWebhookUrl", old.pre_url),
        post_url=_url(call, "PostWebhookUrl", old.post_url),
        method=_one_of(call, "Method", ("GET", "POST"), old.method),
        filters=tuple(call.values("Filters")) if "Filters" in form else old.filters,
        target=_one_of(call, "Target", ("webhook", "flex"), old.target),
    )
    twin.webhooks.configure(call.account, new)
    facts = {"account": call.account, "filters": list(new.filters)}
    twin.journal.effect("webhooks_configured", call.now, url=new.post_url, **facts)
    return 200, _body(twin, call)


def _url(call: Call, name: str, old: str | None) -> str | None:
    value = call.form.get(name, old)
    if value and not value.startswith(("https://", "http://")):
        raise Refused(400, 20001, f"Invalid parameter: {name} must be an absolute URL")
    return value or None


def _one_of(call: Call, name: str, allowed: tuple[str, ...], old: str) -> str:
    value = call.form.get(name, old)
    if value not in allowed:
        raise Refused(400, 20001, f"Invalid parameter: {name} must be one of {', '.join(allowed)}")
    return value


def _body(twin: Twin, call: Call) -> dict[str, Any]:
    config = twin.webhooks.config(call.account)
    return {
        "account_sid": call.account,
        "pre_webhook_url": config.pre_url,
        "post_webhook_url": config.post_url,
        "method": config.method,
        "filters": list(config.filters),
        "target": config.target,
        "url": call.url(PATH),
    }


ENDPOINTS = (
    Endpoint("GET", PATH, fetch_config),
    Endpoint("POST", PATH, update_config, "other"),
)
