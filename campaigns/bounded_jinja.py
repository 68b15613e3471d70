"""Jinja's sandbox, and limits beside it: no template takes long or makes much, whatever it and the cells hold."""

from collections.abc import Callable
from typing import Any

import jinja2
from jinja2 import filters, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_MADE = 100_000  # characters that one filter or method makes
_MAX_BITS = 4_096
# What asks for a width, or formats: a number in a cell could ask for a gigabyte. `random` is no two times the same.
_NO_FILTERS = (
    "center",
    "format",
    "indent",
    "pprint",
    "random",
    "tojson",
    "urlize",
    "wordwrap",
    "xmlattr",
    "batch",
    "slice",
)
_NO_METHODS = frozenset(
    ("center", "expandtabs", "format", "format_map", "ljust", "rjust", "translate", "zfill")
)
_UNBOUNDED: dict[type[nodes.Node], str] = {
    nodes.Macro: "{% macro %}",
    nodes.CallBlock: "{% call %}",
    nodes.Assign: "{% set %}",
    nodes.AssignBlock: "{% set %}",
    nodes.Block: "{% block %}",
    nodes.Extends: "{% extends %}",
    nodes.Include: "{% include %}",
    nodes.Import: "{% import %}",
    nodes.FromImport: "{% from %}",
}


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox in which powers, repetitions, joins and replacements end while they are small."""

    # Named here, they are also not worked out while a template is compiled.
    intercepted_binops = frozenset(("*", "**", "%"))

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.globals.clear()
        for name in _NO_FILTERS:
            del self.filters[name]
        self.filters |= {"replace": _replace, "join": _join, "round": _round}

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        """Calculate, with numbers alone and as long as they are of use."""
        numbers = (int, float)
        if not isinstance(left, numbers) or not isinstance(right, numbers):
            raise SecurityError("only numbers are multiplied")
        bits = (
            _bits(left) + _bits(right)
            if operator == "*"
            else _bits(left) * abs(right)
            if operator == "**"
            else 0
        )
        if bits > _MAX_BITS:
            raise SecurityError("the number would be too large")
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Let only a text's harmless methods be used, and what a loop knows of itself."""
        if isinstance(obj, int | float | bytes) or attr in _NO_METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call(self, context: jinja2.runtime.Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a method; those that can make much of little are bounded."""
        bounded: dict[str, Callable[..., Any]] = {"replace": _replace_text, "join": _join_text}
        of, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(of, str) and name in bounded:
            return bounded[name](of, *args, **kwargs)
        return super().call(context, obj, *args, **kwargs)


def find_unbounded(tree: nodes.Template) -> str:
    """Find what could go on without end, or grow at each step; empty where there is nothing."""
    for node in tree.find_all(nodes.Node):
        if name := _UNBOUNDED.get(type(node)):
            return name
        if isinstance(node, nodes.For) and (
            node.recursive or any(body.find(nodes.For) or isinstance(body, nodes.For) for body in node.body)
        ):
            return "a {% for %} in another"
    return ""


def _bits(number: float) -> int:
    return number.bit_length() if isinstance(number, int) else 64


def _replace_text(text: str, old: Any, new: Any, count: int = -1) -> str:
    old, new = str(old), str(new)
    times = text.count(old) if count is None or count < 0 else min(count, text.count(old))
    if len(text) + times * len(new) > MAX_MADE:
        raise SecurityError("the text would be too long")
    return text.replace(old, new, times)


def _join_text(between: str, parts: Any) -> str:
    listed = [str(part) for part in parts]
    if len(between) * len(listed) + sum(map(len, listed)) > MAX_MADE:
        raise SecurityError("the text would be too long")
    return between.join(listed)


def _replace(text: Any, old: Any, new: Any, count: int | None = None) -> str:
    return _replace_text(str(text), old, new, -1 if count is None else count)


@jinja2.pass_eval_context
def _join(context: nodes.EvalContext, value: Any, d: Any = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        value = map(filters.make_attrgetter(context.environment, attribute), value)
    return _join_text(str(d), value)


def _round(value: Any, precision: int = 0, method: Any = "common") -> float:
    if abs(precision) > 20:
        raise SecurityError("nothing is rounded so finely")
    return filters.do_round(value, precision, method)
