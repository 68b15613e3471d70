"""The examinations of `doctor`: each looks at one thing and returns a finding; none changes a campaign."""

import contextlib
import platform
import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ops.cli.finding import Finding
from ops.cli.session import Desk, Desks, read_settings, redis_of
from ops.cli.webhook_findings import endpoint, registration, signing
from worker.errors import OutreachError, RedisUnavailableError, SettingsError
from worker.settings import Settings, make_home

_LITTLE_DISK_BYTES, _NO_DISK_BYTES = 1_000_000_000, 50_000_000
_MUCH_SKEW_S = 30.0
_CREDENTIALS = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_API_KEY", "TWILIO_API_SECRET")


def examine() -> list[Finding]:
    """Examine everything, as far as one thing does not stand in the way of the next."""
    findings = [_python()]
    try:
        settings = read_settings()
    except SettingsError as error:
        return [*findings, Finding("settings", "wrong", error.sentence, error.advice)]
    findings += [*_settings(settings), *_home(settings)]
    if findings[-1].verdict != "wrong":
        findings += _behind_the_ledger(settings)
    return findings


def _python() -> Finding:
    version = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("python", "well", f"{version}.")


def _settings(settings: Settings) -> Iterator[Finding]:
    for name in settings.unknown_names:
        yield Finding(
            "settings", "doubtful", f"{name} is no setting.", "See the table of settings; is it misspelt?"
        )
    if not settings.unknown_names:
        yield Finding("settings", "well", "Every setting is known and readable.")
    dotenv = Path(".env")
    if dotenv.is_file() and dotenv.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding("settings", "doubtful", ".env can be read by others.", "chmod 600 .env")


def _home(settings: Settings) -> Iterator[Finding]:
    try:
        home = make_home(settings.home)
        rights = stat.S_IMODE(home.stat().st_mode)
        free = shutil.disk_usage(home).free
    except (SettingsError, OSError) as error:
        yield Finding("home", "wrong", str(error), "Set OUTREACH_HOME to a folder of this user's own.")
        return
    if rights & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding("home", "doubtful", f"{home} can be read by others.", f"chmod 700 {home}")
    else:
        yield Finding("home", "well", f"{home}, for this user only.")
    sentence = f"{free / 1e9:.1f} GB free in OUTREACH_HOME."
    if free < _LITTLE_DISK_BYTES:
        verdict: Literal["doubtful", "wrong"] = "wrong" if free < _NO_DISK_BYTES else "doubtful"
        yield Finding("disk", verdict, sentence, "Make room: the ledger lives there.")
    else:
        yield Finding("disk", "well", sentence)


def _behind_the_ledger(main: Settings) -> Iterator[Finding]:
    """Look at each account's ledger and credentials; a Redis that several share is looked at once."""
    with Desks(main) as desks:
        seen: set[str] = set()
        for account in main.everyone():
            try:
                desk = desks.of(account)
                found = [] if redis_of(account) in seen else list(_redis(desk))
                found.append(_workers(desk))
            except RedisUnavailableError as error:
                found = [Finding("redis", "wrong", error.sentence, error.advice, is_unreachable=True)]
            seen.add(redis_of(account))
            yield from (replace(one, account=account.profile) for one in found)
        if redis_of(main) not in seen:
            yield from _broker(desks)
        yield from _beat(desks)
    yield endpoint(main)
    for account in main.everyone():
        yield from (replace(one, account=account.profile) for one in _twilio(account))


def _broker(desks: Desks) -> Iterator[Finding]:
    """Look at the main account's Redis where no account keeps its ledger: workers are woken through it."""
    try:
        yield from _redis(desks.of(desks.main))
    except RedisUnavailableError as error:
        yield Finding("redis", "wrong", error.sentence, error.advice, is_unreachable=True)


def _redis(desk: Desk) -> Iterator[Finding]:
    from worker.redis_server import durability_warning

    client = desk.ledger.client
    info: dict[str, Any] = client.info("server")
    software = info.get("server_name", "redis")
    version = info.get("valkey_version", info["redis_version"])
    yield Finding("redis", "well", f"{software} {version}, {_where(desk)}, answers.")
    trouble = desk.registry.write_trouble()
    if trouble:
        yield Finding("redis", "wrong", trouble, "Until then nothing is sent; nothing is lost either.")
    warning = durability_warning(client)
    if warning:
        yield Finding("redis", "doubtful", warning)
    else:
        yield Finding("redis", "well", "It keeps on disk what it has confirmed.")


def _where(desk: Desk) -> str:
    if desk.settings.redis_url is None:
        return "the embedded one"
    name = "OUTREACH_REDIS_URL"
    is_own = redis_of(desk.settings) != redis_of(desk.desks.main)
    return f"of {desk.settings.variable(name) if is_own else name}"


def _workers(desk: Desk) -> Finding:
    from worker.pipeline.status import alive_workers

    alive = len(alive_workers(desk.bench))
    unfinished = sum(_has_work(desk, each) for each in desk.registry.active())
    campaigns = "1 campaign has" if unfinished == 1 else f"{unfinished} campaigns have"
    sentence = f"{alive} alive; {campaigns} rows or closings left."
    if unfinished and not alive:
        return Finding(
            "workers",
            "doubtful",
            sentence,
            "`outreach run` goes on with a campaign, `outreach worker` with all.",
        )
    return Finding("workers", "well", sentence)


def _beat(desks: Desks) -> Iterator[Finding]:
    from worker.pipeline.nights import NO_BEAT, has_entries

    if desks.has_beat():
        yield Finding("beat", "well", "One acts.")
        return
    with contextlib.suppress(RedisUnavailableError):  # of which was told above
        if any(needed for _, needed in desks.ask_all(lambda desk: has_entries(desk.bench))):
            what, _, advice = NO_BEAT.partition(": ")
            yield Finding("beat", "doubtful", f"{what}.", f"{advice[:1].upper()}{advice[1:]}")


def _has_work(desk: Desk, campaign_id: str) -> bool:
    # Of those that are marked active some have just ended: workers tidy up within a second, or when they next run.
    info = desk.registry.find(campaign_id)
    return info is not None and bool(info.left or desk.ledger.to_close_count(campaign_id))


def _twilio(settings: Settings) -> Iterator[Finding]:
    from worker.gateway.outcome import Unknown
    from worker.wiring import build_gateway

    try:
        settings.require_credentials()
    except OutreachError as error:
        yield Finding("twilio", "doubtful", error.sentence, error.advice)
        return
    if settings.base_url:
        yield Finding("twilio", "doubtful", f"Requests go to {settings.base_url}, not to Twilio itself.")
    if settings.webhook_url:
        yield from signing(settings)
    gateway = build_gateway(settings, connections=1)
    answer = gateway.check_credentials()
    if isinstance(answer, Unknown):
        detail = answer.detail or str(answer.code)
        is_down = answer.code == 0 or answer.code >= 500
        what = "can't be reached" if is_down else "does not say whether the credentials are right"
        advice = "Check the network, HTTPS_PROXY and SSL_CERT_FILE." if is_down else ""
        verdict: Literal["doubtful", "wrong"] = "wrong" if is_down else "doubtful"
        yield Finding("twilio", verdict, f"Twilio {what}: {detail}.", advice, is_unreachable=is_down)
        return
    if not answer.value:
        sid, token, key, secret = map(settings.variable, _CREDENTIALS)
        advice = f"Check {sid} with {token}, or {key} with {secret}."
        yield Finding("twilio", "wrong", "Twilio refuses the credentials.", advice, is_unreachable=True)
        return
    yield Finding("twilio", "well", "Twilio takes the credentials.")
    if abs(gateway.clock_skew_s) > _MUCH_SKEW_S:
        skew = f"This machine's clock is {abs(gateway.clock_skew_s):.0f} s off Twilio's."
        yield Finding("twilio", "doubtful", skew, "Set it, with NTP for example.")
    if settings.webhook_url:
        yield registration(gateway, settings)
