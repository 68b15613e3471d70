"""Turn what stops a command into a sentence and an exit code; a person never sees a traceback.

0 all well; 1 finished with rows that were not accepted; 2 refused before anything was sent; 3 interrupted or
paused; 4 Redis or Twilio can't be reached at the start; 70 a fault of outreach itself, its traceback in a file.
"""

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

from campaigns.problems import Problem, RefusedError
from ops.cli import screen
from worker.errors import OutreachError

ALL_WELL, NOT_ALL_ACCEPTED, REFUSED, INTERRUPTED, UNREACHABLE, FAULT = 0, 1, 2, 3, 4, 70
_BROKEN_PIPE = 141
_SHOWN_PROBLEMS = 20


@contextlib.contextmanager
def stopped_softly(saying: str) -> Iterator[None]:
    """Have SIGTERM and SIGHUP end what is inside as Ctrl-C does: orderly, with `saying` and the exit code 3."""
    # What is ignored stays so: `nohup` means that a closed terminal is no reason to stop.
    heeded = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is not signal.SIG_IGN]
    before = {one: signal.signal(one, signal.default_int_handler) for one in heeded}
    try:
        yield
    except KeyboardInterrupt:
        screen.say(saying)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Say in words what stops the command inside, and end it with the exit code that goes with it."""
    try:
        yield
    except (typer.Exit, typer.Abort, typer.TyperException):
        raise
    except OutreachError as error:
        screen.say(f"error: {error}", "red")
        raise typer.Exit(error.exit_code) from None
    except RefusedError as error:
        show_problems(error.problems)
        raise typer.Exit(REFUSED) from None
    except KeyboardInterrupt:
        screen.say("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read us has enough; Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_BROKEN_PIPE) from None
    except Exception as error:  # noqa: BLE001  here is where it becomes a sentence
        where = _write_traceback(error)
        screen.say(f"error: {_sentence(error)}; {where}", "red")
        raise typer.Exit(FAULT) from None


def show_problems(
    problems: Sequence[Problem],
    total: int | None = None,
    file: Path | None = None,
    most: int = _SHOWN_PROBLEMS,
) -> None:
    """Say the first problems, how many more there are, and where all of them are."""
    for problem in problems[:most]:
        screen.say(str(problem), "red" if problem.severity == "error" else "yellow")
    more = (len(problems) if total is None else total) - min(len(problems), most)
    if file is not None:
        screen.say(f"the only problem is in {file}" if total == 1 else f"all {total} problems are in {file}")
    elif more > 0:
        screen.say(f"… and {more} more; `outreach check CAMPAIGN CSV --problems FILE` writes all of them.")


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"outreach failed in a way it should not ({type(error).__name__})"


def _write_traceback(error: BaseException) -> str:
    """Write the traceback, masked, where only this user reads; say where it is."""
    try:
        path = _log_folder() / "errors.log"
        text = "".join(traceback.format_exception(error))
        with os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="utf-8"
        ) as log:
            log.write(_masked(text) + "\n")
    except Exception:  # noqa: BLE001  the first failure is the one to tell of
        return "its traceback could not be written."
    return f"the traceback is in {path}."


def _log_folder() -> Path:
    from ops.cli.session import log_folder, read_settings

    return log_folder(read_settings())


def _masked(text: str) -> str:
    from worker.logs import Masker

    return Masker().text(text)
