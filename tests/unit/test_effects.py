"""Every effect of a row's way is named, and surrounded by its crash point: seen in the source, and in a process that dies."""

import ast
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import worker
from worker import effects

WORKER = Path(worker.__file__).parent
# How anything leaves a process for good: to Redis, to Twilio, to a file, to the broker.
OUTWARD = {
    "evalsha", "eval", "register_script", "set", "setex", "hset", "hdel", "hincrby", "sadd", "srem", "zadd", "zrem", "xadd", "rpush",
    "lpush", "delete", "unlink", "publish", "flushdb", "sendall", "rename", "replace", "pwrite", "write_text", "write_bytes",
    "apply_async", "delay", "send_task", "evaluate",
}  # fmt: skip
# What is not on a row's way, by file and function, and why no crash there can cost a row or double it.
ELSEWHERE = {
    ("ledger/registry.py", "set_active"): "only wakes the tick; taking a campaign out of it is a script",
    ("ledger/registry.py", "see_worker"): "who is alive",
    ("ledger/registry.py", "forget_worker"): "who is alive",
    ("ledger/registry.py", "_look"): "who does the tick; every transition is guarded without it",
    ("ledger/registry.py", "unlead"): "as above",
    ("ledger/registry.py", "write_trouble"): "only asks whether anything can be written",
    ("ledger/standings.py", "read_standings"): "changes nothing",
    ("pacing/pacer.py", "_run"): "who calls it stands in an effect, or changes nothing",
    ("tasks/beat.py", "_take_lock"): "registers, runs nothing",
    ("tasks/beat.py", "_begin_anew"): "when beat last woke the timetable; what is due stands in the ledger",
    ("gateway/wire.py", "converse"): "called inside the effect of the client's _exchange",
    (
        "pipeline/results_files.py",
        "replacing",
    ): "what a dead writer left, and what this one leaves when it fails",
    ("pipeline/results_files.py", "_write"): "called inside the effects of `replacing`",
}
ROOMS_OUTSIDE = ("redis_", "settings.py", "logs.py", "effects.py", "wiring.py", "setting_values.py")


def _outward_calls(path: Path) -> Iterator[tuple[str, int, str, bool]]:
    """Find the calls that reach outside: function, line, name, and whether an effect surrounds them."""

    def visit(node: ast.AST, function: str, inside: bool) -> Iterator[tuple[str, int, str, bool]]:
        if isinstance(node, ast.FunctionDef):
            function, inside = node.name, False
        if isinstance(node, ast.With):
            inside = inside or any(_is_effect(item.context_expr) for item in node.items)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in OUTWARD:
            yield function, node.lineno, node.func.attr, inside
        for child in ast.iter_child_nodes(node):
            yield from visit(child, function, inside)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), "", inside=False)


def _is_effect(expression: ast.expr) -> bool:
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "effect"
        for node in ast.walk(expression)
    )


def test_every_call_that_reaches_outside_is_an_effect_with_a_name() -> None:
    unnamed = [
        f"{path.relative_to(WORKER)}:{line} {function}: {name}"
        for path in sorted(WORKER.rglob("*.py"))
        if not path.name.startswith(ROOMS_OUTSIDE)
        for function, line, name, inside in _outward_calls(path)
        if not inside and not _is_harmless(path, function, line, name)
    ]

    assert unnamed == []


def _is_harmless(path: Path, function: str, line: int, name: str) -> bool:
    if (str(path.relative_to(WORKER)), function) in ELSEWHERE:
        return True
    # Text and dataclasses have a `replace`, events and context variables a `set`: what they are called on tells.
    source = path.read_text(encoding="utf-8").splitlines()[line - 1]
    return name in ("replace", "set") and not any(
        word in source for word in ("client", "pipe", "Path(", "path.")
    )


def test_exceptions_are_still_needed() -> None:
    found = {
        (str(path.relative_to(WORKER)), function)
        for path in WORKER.rglob("*.py")
        for function, *_ in _outward_calls(path)
    }

    assert set(ELSEWHERE) <= found


def test_names_of_effects_are_told_apart() -> None:
    assert len(set(effects.points())) == len(effects.points())
    assert not set(effects.REQUESTS) & set(effects.OTHERS)


PROCESS = """
import sys
from worker import effects
effects.arm(sys.argv[1])
with effects.effect("opened"):
    print("stored", flush=True)
print("went on", flush=True)
with effects.effect("accepted"):
    raise ValueError("no answer")
"""


@pytest.mark.parametrize(
    ("point", "said", "code"),
    [
        ("after opened", "stored\n", -signal.SIGKILL),
        ("after accepted", "stored\nwent on\n", -signal.SIGKILL),
        ("after claim_opening", "stored\nwent on\n", 1),
    ],
)
def test_process_dies_right_after_the_effect_that_the_file_names(
    tmp_path: Path, point: str, said: str, code: int
) -> None:
    file = tmp_path / "crash"
    file.write_text(f"{point}\n")

    done = subprocess.run(
        [sys.executable, "-c", PROCESS, str(file)], capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.returncode) == (said, code)
    assert file.exists() == (code == 1), "who dies takes the file away: the next process lives"


def test_effect_without_a_name_is_refused_wherever_crash_points_are_armed(tmp_path: Path) -> None:
    effects.arm(str(tmp_path / "none"))
    try:
        with pytest.raises(AssertionError, match="the table"), effects.effect("new_effect"):
            pass
    finally:
        effects.arm(None)
