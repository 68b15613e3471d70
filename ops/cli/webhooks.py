"""The commands `webhooks …`: hear of deliveries and replies as they happen."""

from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli import options, screen
from ops.cli.accounts import chosen
from ops.cli.session import read_settings, set_up_logs
from worker.errors import RefusedHereError, SettingsError, TwilioUnavailableError

if TYPE_CHECKING:
    from worker.gateway.outcome import Deferred, Rejected, Unanswered, Unknown
    from worker.gateway.seen import WebhookConfig
    from worker.gateway.twilio import TwilioGateway
    from worker.settings import Settings

app = typer.Typer(
    help="Hear of deliveries and replies as they happen; without it they are polled.", no_args_is_help=True
)


@app.command()
def serve(
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8090,
) -> None:
    """Serve the endpoint that Twilio's webhooks are sent to, in the foreground, behind a proxy that speaks HTTPS.

    OUTREACH_WEBHOOK_URL is where Twilio finds it; what is not signed for that address is refused.

    Example: outreach webhooks serve --port 8090
    """
    from ops.webhooks.serving import serve as serve_endpoint

    serve_endpoint(read_settings(), host, port)


@app.command("set-up")
def set_up(
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of another address that is registered.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    account: options.Account = None,
    as_json: options.Json = False,
) -> None:
    """Register OUTREACH_WEBHOOK_URL at Twilio for deliveries and replies; events that others asked for stay.

    Example: outreach webhooks set-up --dry-run
    """
    from ops.webhooks.registration import make_plan
    from worker.gateway.outcome import Accepted

    settings = _ready(chosen(read_settings(), account))
    gateway = _gateway(settings)
    plan = make_plan(_fetch(gateway), settings.webhook_url, settings.profile, replace=replace)
    if plan.changes and not dry_run:
        answer = gateway.set_webhook_config(plan.url, plan.filters)
        if not isinstance(answer, Accepted):
            raise _refusal(answer)
    if as_json:
        screen.answer_json(
            {"url": plan.url, "filters": plan.filters, "changes": plan.changes, "dry_run": dry_run}
        )
        return
    for change in plan.changes:
        screen.answer(change)
    done = "Nothing was changed." if dry_run else "Registered at Twilio."
    screen.answer(done if plan.changes else "All is registered at Twilio as it should be.")


@app.command()
def status(account: options.Account = None, as_json: options.Json = False) -> None:
    """Show what is registered at Twilio.

    Example: outreach webhooks status
    """
    from ops.webhooks.registration import advise, find_fault

    settings = chosen(read_settings(), account)
    settings.require_credentials()
    config = _fetch(_gateway(settings))
    fault = find_fault(config, settings.webhook_url)
    if as_json:
        facts = {"url": config.post_url, "method": config.method, "filters": config.filters}
        screen.answer_json({**facts, "target": config.target, "fault": fault})
        return
    screen.answer(f"address: {config.post_url or 'none'}")
    screen.answer(f"events: {', '.join(config.filters) or 'none'}")
    screen.answer(f"method: {config.method or 'none'}")
    if not settings.webhook_url:
        screen.say("OUTREACH_WEBHOOK_URL is not set, so none of this is ours.")
    elif fault:
        screen.say(f"{fault} {advise(config, settings.webhook_url, settings.profile)}")


def _ready(settings: "Settings") -> "Settings":
    settings.require_credentials()
    if not settings.webhook_url:
        raise SettingsError(
            "OUTREACH_WEBHOOK_URL is not set.",
            "Set it to the address under which `outreach webhooks serve` is seen from outside.",
        )
    if settings.webhook_url.startswith("http://") and not settings.base_url:
        screen.warn("OUTREACH_WEBHOOK_URL is not HTTPS: anybody on the way reads what customers write")
    return settings


def _gateway(settings: "Settings") -> "TwilioGateway":
    from worker import wiring

    set_up_logs(settings)
    return wiring.build_gateway(settings, connections=1)


def _fetch(gateway: "TwilioGateway") -> "WebhookConfig":
    from worker.gateway.outcome import Accepted

    answer = gateway.fetch_webhook_config()
    if not isinstance(answer, Accepted):
        raise _refusal(answer)
    return answer.value


def _refusal(
    answer: "Unknown | Deferred | Rejected | Unanswered",
) -> RefusedHereError | TwilioUnavailableError:
    """Say why Twilio did not do it, or does not say whether it did."""
    code = getattr(answer, "code", 0)
    detail = getattr(answer, "detail", "") or getattr(answer, "reason", "") or str(code)
    if 0 < code < 500 or code >= 1_000:
        return RefusedHereError(
            f"Twilio refuses this: {detail} ({code}).", "Check the credentials and what they may do."
        )
    return TwilioUnavailableError(
        f"Twilio gives no answer that helps: {detail}.",
        "Give the command again: what is done already is not done twice.",
    )
