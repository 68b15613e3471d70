"""Jinja's sandbox, and limits beside it: no template takes long or makes much, whatever it and the cells hold."""

import re
from collections.abc import Callable, Iterable, Iterator
from string import Formatter
from typing import Any

import jinja2
from jinja2 import filters, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_MADE = 100_000  # characters that one filter or method makes, one variable holds, or the whole template
MAX_STEPS = 256  # of a loop, and of `map`, which makes a text for each
_MAX_BITS = 4_096
_MAX_NUMBER = 512  # characters of a number, written with two digits of width and of precision
_WIDE = re.compile(r"[*{]|\d{3}")
_PERCENT = re.compile(r"%(?:\([^()]*\))?[#0\- +]*([\d*]*(?:\.[\d*]*)?)")
_NESTED_KEY = re.compile(r"%\([^)]*\(")
_KEEP, _STEPS = "_keep", "_steps"
# What asks for a width: a number in a cell could ask for a gigabyte. `random` is no two times the same.
_NO_FILTERS = (
    "center",
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
    nodes.Block: "{% block %}",
    nodes.Extends: "{% extends %}",
    nodes.Include: "{% include %}",
    nodes.Import: "{% import %}",
    nodes.FromImport: "{% from %}",
}


class BoundError(SecurityError):
    """Something would be too large, or is not offered; the text is a sentence's part without cells."""


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox in which powers, repetitions, joins and replacements end while they are small."""

    # Named here, they are also not worked out while a template is compiled.
    intercepted_binops = frozenset(("*", "**", "%"))

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.globals.clear()
        for name in _NO_FILTERS:
            del self.filters[name]
        self.filters |= {"replace": _replace, "join": _join, "round": _round, "format": _format, "map": _map}
        self.filters |= {_KEEP: _keep, _STEPS: _at_most}

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        """Calculate, with numbers alone and as long as they are of use; `%` also formats."""
        numbers = (int, float)
        if operator == "%" and isinstance(left, str):
            return _format_percent(left, right)
        if not isinstance(left, numbers) or not isinstance(right, numbers):
            raise BoundError("only numbers are multiplied")
        bits = (
            _bits(left) + _bits(right)
            if operator == "*"
            else _bits(left) * abs(right)
            if operator == "**"
            else 0
        )
        if bits > _MAX_BITS:
            raise BoundError("the number would be too large")
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Let only a text's harmless methods be used, and what a loop knows of itself."""
        if isinstance(obj, int | float | bytes) or attr in _NO_METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Let texts be formatted by `{}`, a little wide at most."""
        formatted = super().wrap_str_format(value)
        if formatted is None or value.__name__ != "format":
            return None
        text = value.__self__

        def bounded(*args: Any, **kwargs: Any) -> str:
            for _, _, width, _ in Formatter().parse(text):
                _refuse_wide(width or "")
            _refuse_much(text, text.count("{"), (*args, *kwargs.values()))
            return formatted(*args, **kwargs)

        return bounded

    def call(self, context: jinja2.runtime.Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a method; those that can make much of little are bounded."""
        bounded: dict[str, Callable[..., Any]] = {"replace": _replace_text, "join": _join_text}
        of, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(of, str) and name in bounded:
            return bounded[name](of, *args, **kwargs)
        return super().call(context, obj, *args, **kwargs)


def find_unbounded(tree: nodes.Template) -> str:
    """Find what could go on without end; empty where there is nothing."""
    for node in tree.find_all(nodes.Node):
        if name := _UNBOUNDED.get(type(node)):
            return name
        if isinstance(node, nodes.Filter) and node.name in _NO_FILTERS:
            return f'the filter "{node.name}"'
        if isinstance(node, nodes.For) and (
            node.recursive or any(body.find(nodes.For) or isinstance(body, nodes.For) for body in node.body)
        ):
            return "a {% for %} in another"
        if isinstance(node, nodes.AssignBlock | nodes.FilterBlock) and node.find(nodes.For):
            return "a {% for %} in a {% set %} or {% filter %}"
    return ""


def bound_variables(tree: nodes.Template, environment: jinja2.Environment) -> None:
    """Let each variable be measured when it is set: one made of two others could double at each step. Count loops' steps."""
    for node in tree.find_all((nodes.Assign, nodes.AssignBlock, nodes.With, nodes.For)):
        if isinstance(node, nodes.Assign):
            node.node = _measured(node.node)
        elif isinstance(node, nodes.AssignBlock):
            node.filter = _measured(node.filter)
        elif isinstance(node, nodes.With):
            node.values = [_measured(value) for value in node.values]
        elif isinstance(node, nodes.For):
            node.iter = _through(_STEPS, node.iter)
    tree.set_environment(environment)


def join_bounded(pieces: Iterable[str]) -> str:
    """Join what a template makes, until it is too much."""
    made: list[str] = []
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > MAX_MADE:
            raise BoundError(f"it would make more than {MAX_MADE:,} characters")
        made.append(piece)
    return "".join(made)


def _measured(value: Any) -> nodes.Filter:
    return _through(_KEEP, value)


def _through(name: str, value: Any) -> nodes.Filter:
    return nodes.Filter(value, name, [], [], None, None, lineno=1)


def _at_most(parts: Iterable[Any]) -> Iterator[Any]:
    for step, part in enumerate(parts):
        if step == MAX_STEPS:
            raise BoundError(f"a loop or `map` has more than {MAX_STEPS} steps")
        yield part


def _keep(value: Any) -> Any:
    """Measure what a variable is set to: text, a number, or a flat list or mapping of these."""
    parts = [value]
    if isinstance(value, list | tuple):
        parts = list(value)
    elif isinstance(value, dict):
        parts = [*value, *value.values()]
    length = len(parts)
    for part in parts:
        if isinstance(part, str):
            length += len(part)
        elif part is not None and not isinstance(part, int | float | jinja2.Undefined):
            raise BoundError("a variable holds text, a number, or a list or mapping of these")
    if length > MAX_MADE:
        raise BoundError("a variable would be too long")
    return value


def _format(text: Any, *args: Any, **kwargs: Any) -> str:
    if args and kwargs:
        raise BoundError("a format takes values by place or by name")
    return _format_percent(str(text), kwargs or args)


def _format_percent(text: str, values: Any) -> str:
    if _NESTED_KEY.search(text):
        raise BoundError("a format's names hold no brackets")
    for width in _PERCENT.findall(text):
        _refuse_wide(width)
    _refuse_much(text, text.count("%"), values if isinstance(values, tuple) else (values,))
    made: str = text % values
    return made


def _refuse_wide(width: str) -> None:
    if _WIDE.search(width):
        raise BoundError("a format's width and precision are numbers of two digits at most")


def _refuse_much(text: str, fields: int, values: tuple[Any, ...]) -> None:
    longest = max((len(str(value)) for value in values), default=0)
    if len(text) + fields * (longest + _MAX_NUMBER) > MAX_MADE:
        raise BoundError("the text would be too long")


def _bits(number: float) -> int:
    return number.bit_length() if isinstance(number, int) else 64


def _replace_text(text: str, old: Any, new: Any, count: int = -1) -> str:
    old, new = str(old), str(new)
    times = text.count(old) if count is None or count < 0 else min(count, text.count(old))
    if len(text) + times * len(new) > MAX_MADE:
        raise BoundError("the text would be too long")
    return text.replace(old, new, times)


def _join_text(between: str, parts: Any) -> str:
    listed = [str(part) for part in parts]
    if len(between) * len(listed) + sum(map(len, listed)) > MAX_MADE:
        raise BoundError("the text would be too long")
    return between.join(listed)


def _replace(text: Any, old: Any, new: Any, count: int | None = None) -> str:
    return _replace_text(str(text), old, new, -1 if count is None else count)


@jinja2.pass_context
def _map(context: jinja2.runtime.Context, value: Iterable[Any], *args: Any, **kwargs: Any) -> Iterable[Any]:
    return filters.sync_do_map(context, _at_most(value), *args, **kwargs)


@jinja2.pass_eval_context
def _join(context: nodes.EvalContext, value: Any, d: Any = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        value = map(filters.make_attrgetter(context.environment, attribute), value)
    return _join_text(str(d), value)


def _round(value: Any, precision: int = 0, method: Any = "common") -> float:
    if abs(precision) > 20:
        raise BoundError("nothing is rounded so finely")
    return filters.do_round(value, precision, method)
