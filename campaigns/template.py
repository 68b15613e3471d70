"""Templates over a row's columns: `{{ first_name }}` by hand, all else by sandboxed Jinja; a cell is never run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import jinja2
import jinja2.meta

from campaigns.bounded_jinja import (
    BoundedEnvironment,
    BoundError,
    bound_variables,
    find_unbounded,
    join_bounded,
)
from campaigns.names import BLANKS, fold_name
from campaigns.row_error import one_line

MAX_LENGTH = 16_384
_BARE_NAME = re.compile(r"[\w](?:[\w \-?.]*[\w?.])?")
_MARKS = ("{{", "}}", "{%", "{#")


class TemplateError(Exception):
    """A template that cannot be used, or cannot be filled from a row; the text is a sentence without cells."""

    def __init__(self, what: str, advice: str) -> None:
        self.what, self.advice = what, advice
        super().__init__(f"{what}, {advice}")


class UnknownNameError(TemplateError):
    """A template asks for `name`, which is no column."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{{{{ {name} }}}} is no column of the file", "write the name as the header has it")


@dataclass(frozen=True, slots=True)
class Filler:
    """A template bound to columns: fills itself from the values at `positions`.

    `is_plain`: only text and bare column names, so that an empty column leaves a hole in the text.
    """

    pieces: tuple[str | int, ...]
    positions: tuple[int, ...]
    is_plain: bool
    program: jinja2.Template | None = None
    names: tuple[tuple[str, int], ...] = ()
    only: int | None = None  # the one position, where the template is nothing but that column

    @property
    def constant(self) -> str | None:
        """Return the text, where no row changes it."""
        if self.program is not None or self.positions:
            return None
        return "".join(str(piece) for piece in self.pieces)

    def fill(self, values: Sequence[str]) -> str:
        """Fill the template.

        Raises: TemplateError if a filter or an expression of the template fails on these values.
        """
        if self.only is not None:
            return values[self.only]
        if self.program is not None:
            return _render(self.program, {name: values[position] for name, position in self.names})
        return "".join([piece if type(piece) is str else values[piece] for piece in self.pieces])  # type: ignore[index]


@dataclass(frozen=True, slots=True)
class Template:
    """A template as the definition has it."""

    text: str

    @property
    def is_constant(self) -> bool:
        """Tell whether the text holds nothing to fill."""
        return not any(mark in self.text for mark in _MARKS)

    def check(self) -> None:
        """Refuse what no columns could make right: broken braces and broken Jinja.

        Raises: TemplateError.
        """
        self._refuse_long()
        if not self.is_constant and self._bare_names() is None:
            _parse(self.text)

    def bind(self, columns: Mapping[str, int]) -> Filler:
        """Find the template's names among `columns` (folded name -> position).

        Raises: UnknownNameError for a name that is none of them; TemplateError for broken Jinja.
        """
        self._refuse_long()
        if self.is_constant:
            return Filler(pieces=(self.text,) if self.text else (), positions=(), is_plain=True)
        names = self._bare_names()
        if names is not None and all(fold_name(name) in columns for name in names):
            return self._bind_plain(columns)
        if names is not None and (unknown := next((n for n in names if _unknown_bare(n, columns)), None)):
            raise UnknownNameError(unknown)
        return self._bind_jinja(columns)

    def _refuse_long(self) -> None:
        if len(self.text) > MAX_LENGTH:
            what = f"the text has {len(self.text):,} characters, and a template may have {MAX_LENGTH:,}"
            raise TemplateError(what, "shorten it")

    def _bare_names(self) -> list[str] | None:
        """Return the names between the braces, or None where more than text and bare names stands there."""
        parts = _split(self.text)
        if any(mark in "".join(parts[::2]) for mark in _MARKS):
            return None
        names = [name.strip(BLANKS) for name in parts[1::2]]
        return names if all(_BARE_NAME.fullmatch(name) for name in names) else None

    def _bind_plain(self, columns: Mapping[str, int]) -> Filler:
        pieces: list[str | int] = []
        for index, part in enumerate(_split(self.text)):
            if index % 2:
                pieces.append(columns[fold_name(part)])
            elif part:
                pieces.append(part)
        positions = tuple(dict.fromkeys(piece for piece in pieces if isinstance(piece, int)))
        only = pieces[0] if len(pieces) == 1 and isinstance(pieces[0], int) else None
        return Filler(pieces=tuple(pieces), positions=positions, is_plain=True, only=only)

    def _bind_jinja(self, columns: Mapping[str, int]) -> Filler:
        tree, program = _parse(self.text)
        names = sorted(jinja2.meta.find_undeclared_variables(tree))
        for name in names:
            if fold_name(name) not in columns:
                raise UnknownNameError(name)
        bound = tuple((name, columns[fold_name(name)]) for name in names)
        positions = tuple(dict.fromkeys(position for _, position in bound))
        return Filler(pieces=(), positions=positions, is_plain=False, program=program, names=bound)


def _unknown_bare(name: str, columns: Mapping[str, int]) -> bool:
    """Tell whether a name that could only be a column is none; `a or b` is left to Jinja."""
    return fold_name(name) not in columns and not re.search(r"\s(?:or|and|if|in|is|not)\s|\.", name)


def _split(text: str) -> list[str]:
    """Part the text at its braces: every second part stood between them."""
    parts, at = list[str](), 0
    while (opening := text.find("{{", at)) >= 0 and (closing := text.find("}}", opening + 2)) >= 0:
        parts += [text[at:opening], text[opening + 2 : closing]]
        at = closing + 2
    return [*parts, text[at:]]


@cache
def _environment() -> BoundedEnvironment:
    return BoundedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)


@lru_cache(maxsize=256)
def _parse(text: str) -> tuple[jinja2.nodes.Template, jinja2.Template]:
    if text.count("}}") > text.count("{{"):
        # Jinja takes it for text; nobody means it.
        raise TemplateError(
            "the template closes a brace that it does not open", "write columns as {{ column_name }}"
        )
    try:
        tree = _environment().parse(text)
        unbounded = find_unbounded(tree)
        bound_variables(tree, _environment())
        # Finds filters and tests that do not exist.
        program = _environment().from_string(tree) if not unbounded else None
    except jinja2.TemplateAssertionError as error:
        what = f"the template cannot be read: {one_line(error.message or '', 100).rstrip('.')}"
        raise TemplateError(what, "use one that Jinja has, or prepare the text in a column") from None
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(
            f"the template cannot be read: {one_line(error.message or '', 100)}",
            "write columns as {{ column_name }} and close every pair of braces",
        ) from None
    except (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError):
        raise TemplateError("the template is nested too deeply", "write it in fewer steps") from None
    if program is None:
        what = f"the template uses {unbounded}, which is not offered here"
        advice = "write text, columns, filters, {% if %}, {% set %} and plain loops, or prepare the text in a column"
        raise TemplateError(what, advice)
    return tree, program


def _render(program: jinja2.Template, names: dict[str, str]) -> str:
    try:
        return join_bounded(program.generate(names))
    except BoundError as error:
        what = f"the template cannot be filled from this row: {error}"
        raise TemplateError(what, "shorten the cell, or prepare the text in a column") from None
    except Exception as error:  # noqa: BLE001 - a filter may raise anything; its text may hold a cell, so it is not kept
        raise TemplateError(
            f"the template cannot be filled from this row ({type(error).__name__})",
            "check what its filters and expressions expect of the cells",
        ) from None
