"""Celery and nothing but Celery: `celery -A worker.tasks worker -P threads`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker.tasks.app import app as app


def __getattr__(name: str) -> Any:
    # Late, so that `worker.tasks.command` can be read without Celery's half second of imports.
    if name in ("app", "celery"):
        from worker.tasks.app import app

        return app
    raise AttributeError(name)
