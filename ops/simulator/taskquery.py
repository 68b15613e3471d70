"""Read `EvaluateTaskAttributes`: comparisons joined by AND and OR, over a task's attributes."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ops.simulator.errors import Refused

Test = Callable[[Mapping[str, Any]], bool]
_TOKEN = re.compile(
    r"""\s*(?:(\()|(\))|(\[)|(\])|(,)|(==|!=|>=|<=|>|<)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(-?\d+(?:\.\d+)?)|([A-Za-z_][\w.]*))"""
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
}


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """A parsed expression: a test, and where possible the values that an index can be asked for."""

    test: Test
    wanted: (
        frozenset[tuple[str, str]] | None
    )  # any match has one of these (attribute, value); None: cannot tell


def parse_query(text: str) -> TaskQuery:
    """Return the query of an expression.

    Raises: Refused if it cannot be read.
    """
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise _unreadable()
            self._tokens.append(found[0].strip())
            at = found.end()
        self._at = 0

    def parse(self) -> TaskQuery:
        query = self._any()
        if self._at < len(self._tokens):
            raise _unreadable()
        return query

    def _next(self) -> str:
        if self._at >= len(self._tokens):
            raise _unreadable()
        self._at += 1
        return self._tokens[self._at - 1]

    def _took(self, word: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at].upper() == word:
            self._at += 1
            return True
        return False

    def _any(self) -> TaskQuery:
        left = self._all()
        while self._took("OR"):
            left = _either(left, self._all())
        return left

    def _all(self) -> TaskQuery:
        left = self._one()
        while self._took("AND"):
            left = _both(left, self._one())
        return left

    def _one(self) -> TaskQuery:
        if self._took("("):
            query = self._any()
            if not self._took(")"):
                raise _unreadable()
            return query
        name, operator = self._next(), self._next().upper()
        if operator == "IN":
            values = self._values()
            return TaskQuery(lambda row: _value(row, name) in values, _wanted(name, values))
        if operator in {"HAS", "CONTAINS"}:
            value = _literal(self._next())
            return TaskQuery(lambda row: _contains(_value(row, name), value), None)
        if operator not in _COMPARE:
            raise _unreadable()
        value = _literal(self._next())
        return TaskQuery(
            lambda row: _compared(operator, _value(row, name), value),
            _wanted(name, [value]) if operator == "==" else None,
        )

    def _values(self) -> list[Any]:
        if not self._took("["):
            raise _unreadable()
        values: list[Any] = []
        while not self._took("]"):
            values.append(_literal(self._next()))
            self._took(",")
        return values


def _both(left: TaskQuery, right: TaskQuery) -> TaskQuery:
    wanted = left.wanted if left.wanted is not None else right.wanted
    return TaskQuery(lambda row: left.test(row) and right.test(row), wanted)


def _either(left: TaskQuery, right: TaskQuery) -> TaskQuery:
    known = left.wanted is not None and right.wanted is not None
    wanted = (left.wanted or frozenset()) | (right.wanted or frozenset()) if known else None
    return TaskQuery(lambda row: left.test(row) or right.test(row), wanted)


def _wanted(name: str, values: list[Any]) -> frozenset[tuple[str, str]] | None:
    return frozenset((name, one) for one in values) if all(isinstance(one, str) for one in values) else None


def _value(row: Mapping[str, Any], name: str) -> Any:
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _compared(operator: str, left: Any, right: Any) -> bool:
    try:
        return _COMPARE[operator](left, right)
    except TypeError:
        return False


def _contains(left: Any, right: Any) -> bool:
    return right in left if isinstance(left, list | str) else False


def _literal(token: str) -> Any:
    if token[0] == "'":
        return token[1:-1].replace("\\'", "'")
    try:
        return json.loads(token)
    except ValueError:
        raise _unreadable() from None


def _unreadable() -> Refused:
    return Refused(400, 20001, "Invalid parameter: EvaluateTaskAttributes could not be read")
