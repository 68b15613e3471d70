"""Run a Celery worker that does its imports at once and waits to be told to begin: they are most of what a start takes.

    python -m worker.tasks.celery_when_told

A line on stdin (`begin_line`) lets it begin; where stdin ends without one, it ends too. Until then it has opened nothing, not even Redis.
It is what `celery worker` runs, without the command line of Celery, which imports a whole interactive shell.
"""

from __future__ import annotations

import importlib
import json
import os
import sys

from worker import logs

# What `worker.tasks.app` and a worker import, but not itself: that opens Redis. A name that is missing here is imported
# after all, a little later.
_NEEDED = (
    "billiard.pool",
    "celery.app.amqp",
    "celery.app.control",
    "celery.app.log",
    "celery.apps.worker",
    "celery.backends.base",
    "celery.concurrency.thread",
    "celery.events.receiver",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.consumer.delayed_delivery",
    "celery.worker.strategy",
    "kombu.transport.redis",
    "worker.wiring",
    "worker.pipeline.closing",
    "worker.pipeline.dispatch",
    "worker.pipeline.receipts",
    "worker.pipeline.reconcile",
    "worker.pipeline.refresh",
    "worker.pipeline.rescue",
    "worker.pipeline.send",
    # What the SDK itself imports with its first request to each of these.
    "twilio.rest.flex_api.v1",
    "twilio.rest.conversations.v1",
)


def main() -> None:
    """Get ready, wait, and be a worker."""
    for name in _NEEDED:
        importlib.import_module(name)
    logs.prepare()
    line = sys.stdin.readline()
    if not line:
        return
    told = json.loads(line)
    if told["log"]:
        _say_in(told["log"])
    from worker.tasks.app import app

    worker = app.Worker(
        concurrency=told["concurrency"],
        loglevel=told["log_level"],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    sys.exit(worker.exitcode)


def _say_in(log: str) -> None:
    """Append to a file, for its owner only, what this process says."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


if __name__ == "__main__":
    main()
