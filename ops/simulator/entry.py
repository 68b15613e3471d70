"""Read the command line, start the server, stop it in order."""

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from ops.simulator.clock import Clock
from ops.simulator.server import build_app
from ops.simulator.settings import PAIR_BUSY_WAYS, Settings
from ops.simulator.twin import Twin


def run(argv: Sequence[str] | None = None) -> int:
    """Run the simulator with these arguments; return the exit code."""
    parser = build_parser()
    options = parser.parse_args(argv)
    settings = Settings()
    try:
        settings.change(chosen_settings(options))
    except ValueError as error:
        parser.error(str(error))
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    try:
        asyncio.run(_serve(options, Twin(settings, Clock(), options.journal)))
    except OSError as error:
        print(f"the simulator cannot start: {error}", file=sys.stderr)  # noqa: T201  its only way to say so
        return 1
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the simulator's command line."""
    parser = argparse.ArgumentParser(prog="outreach simulator", description="A Twilio look-alike over HTTP.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--port", type=int, default=0, help="0 takes a free one; the first line printed names it"
    )
    parser.add_argument(
        "--journal", type=Path, metavar="FILE", help="append each effect and request as a JSON line"
    )
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when standard input ends")
    parser.add_argument("--latency-ms", type=float, metavar="MS")
    parser.add_argument(
        "--jitter-ms", type=float, metavar="MS", help="latency is spread evenly by this, up and down"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="the same seed deals the same faults to the same rows"
    )
    parser.add_argument(
        "--flex-per-s", type=int, metavar="N", help="limit of each Flex endpoint an account; 0: none"
    )
    parser.add_argument("--task-lookups-per-s", type=int, metavar="N")
    parser.add_argument("--max-concurrent", type=int, metavar="N")
    parser.add_argument(
        "--setup-ms", type=float, metavar="MS", help="until the customer is in the conversation"
    )
    parser.add_argument(
        "--no-conversation-share", type=float, metavar="P", help="share of answers without conversationSid"
    )
    parser.add_argument(
        "--pair-busy", choices=PAIR_BUSY_WAYS, help="how a second conversation with a customer fails"
    )
    parser.add_argument("--lookup-lag-s", type=float, metavar="S")
    parser.add_argument("--retry-after-s", type=float, metavar="S")
    parser.add_argument(
        "--clock-skew-s", type=float, metavar="S", help="Twilio's clock against this machine's"
    )
    parser.add_argument(
        "--strict-templates", action="store_true", default=None, help="only templates set are known"
    )
    parser.add_argument("--no-patterns", dest="patterns_on", action="store_false", default=None)
    parser.add_argument("--account-sid", metavar="AC", help="the account that API keys belong to")
    for name, value in (("--fault", "KIND=P"), ("--fault-getters", "KIND=P"), ("--fault-close", "KIND=P"),
                        ("--channel-failure", "CODE=P"), ("--receipt-failure", "CODE=P")):  # fmt: skip
        parser.add_argument(name, action="append", type=_share, metavar=value)
    parser.add_argument("--pattern", action="append", type=_pair, metavar="SUFFIX=BEHAVIOUR")
    parser.add_argument("--credentials", action="append", metavar="USER:SECRET", help="only these are let in")
    parser.add_argument(
        "--sender", action="append", dest="senders", metavar="ADDRESS", help="only these are senders"
    )
    parser.add_argument(
        "--set", action="append", type=_setting, metavar="NAME=JSON", help="any setting, see the README"
    )
    parser.add_argument("--missing-sid", action="append", dest="missing_sids", metavar="SID")
    return parser


def chosen_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the command line sets."""
    given = {name: value for name, value in vars(options).items() if value is not None}
    for name in ("host", "port", "journal", "exit_with_parent"):
        given.pop(name, None)
    chosen = {
        name: dict(value)
        for name in ("fault", "fault_getters", "fault_close")
        if (value := given.pop(name, None))
    }
    for flag, name in (("channel_failure", "channel_failures"), ("receipt_failure", "receipt_failures")):
        if value := given.pop(flag, None):
            chosen[name] = dict(value)
    if value := given.pop("pattern", None):
        chosen["patterns"] = {**Settings().patterns, **dict(value)}
    chosen |= dict(given.pop("set", ()))
    return {**given, **chosen}


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _setting(text: str) -> tuple[str, Any]:
    name, value = _pair(text)
    try:
        return name, json.loads(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} in {text!r} is not JSON") from None


def _share(text: str) -> tuple[str, float]:
    name, value = _pair(text)
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} in {text!r} is not a number between 0 and 1") from None


async def _serve(options: argparse.Namespace, twin: Twin) -> None:
    # Nearly everything here lives as long as the process; a full collection over it would stop the limits' clock.
    gc.set_threshold(20_000, 50, 1000)
    runner = web.AppRunner(build_app(twin), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, stop.set)
    site = web.TCPSite(runner, options.host, options.port, backlog=1024)
    try:
        await site.start()
        port = runner.addresses[0][1]
        print(f"listening on http://{options.host}:{port}", flush=True)  # noqa: T201  what its starter waits for
        watch = asyncio.create_task(_parent_gone(stop)) if options.exit_with_parent else None
        await stop.wait()
        if watch:
            watch.cancel()
    finally:
        await runner.cleanup()
        twin.journal.close()


async def _parent_gone(stop: asyncio.Event) -> None:
    """Stop when the parent is gone: standard input ends, or somebody else has become the parent."""
    reader = asyncio.StreamReader()
    loop, parent = asyncio.get_running_loop(), os.getppid()
    try:
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    except (ValueError, OSError):  # standard input is a file, or closed
        while os.getppid() == parent:
            await asyncio.sleep(0.5)
    else:
        while await reader.read(4096):
            pass
    stop.set()
