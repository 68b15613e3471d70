"""The templated keys of a definition, bound to the columns of a file and filled from a row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from campaigns.names import find_near_miss, fold_name, say_key, say_names
from campaigns.problems import Problem
from campaigns.row_error import RowError, one_line
from campaigns.template import Filler, Template, TemplateError, UnknownNameError

_MAX_GUESSES = 20


@dataclass(frozen=True, slots=True)
class Field:
    """One templated key; `column` is the one its faults are named after, `constant` its text if no row changes it."""

    key: str
    filler: Filler
    column: str | None
    constant: str | None


class UsedColumns(Mapping[str, int]):
    """The file's columns by folded name; each that is asked for gets a place among the values of a row."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._index = {folded: index for index, name in enumerate(columns) if (folded := fold_name(name))}
        self._place: dict[int, int] = {}

    @property
    def indexes(self) -> tuple[int, ...]:
        """Return where in the file the values stand, by place."""
        return tuple(self._place)

    def __getitem__(self, folded: str) -> int:
        return self._place.setdefault(self._index[folded], len(self._place))

    def __contains__(self, folded: object) -> bool:
        return folded in self._index

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)


class Binder:
    """Binds keys one after the other, and collects what is wrong with them."""

    def __init__(self, columns: Sequence[str], file: str) -> None:
        self.columns = tuple(columns)
        self.used = UsedColumns(columns)
        self.fields: list[Field] = []
        self.problems: list[Problem] = []
        self._file = file
        self._named = [column for column in self.columns if column]

    def bind(self, key: str, text: str) -> Field:
        """Bind the template under `key`; one that cannot be is among the problems."""
        try:
            filler = Template(text).bind(self.used)
        except UnknownNameError as error:
            self.problems.append(self._say_unknown(key, error.name))
            return Field(key, Filler((), (), is_plain=True), None, "")
        except TemplateError as error:
            self.problems.append(
                Problem(self._file, None, None, f"{one_line(say_key(key), 100)}: {error.what}", error.advice)
            )
            return Field(key, Filler((), (), is_plain=True), None, "")
        column = self.name(filler.positions[0]) if filler.positions else None
        field = Field(key, filler, column, filler.constant)
        self.fields.append(field)
        return field

    def bind_optional(self, key: str, text: str | None) -> Field | None:
        """Bind `key` if it is set."""
        return None if text is None else self.bind(key, text)

    def name(self, place: int) -> str:
        """Name the column at `place` among the used ones."""
        return self.columns[self.used.indexes[place]]

    def _say_unknown(self, key: str, name: str) -> Problem:
        names = self._named
        near = find_near_miss(name, names) if len(self.problems) < _MAX_GUESSES else None
        advice = f'did you mean "{near}"?' if near else f"the columns are {say_names(names)}"
        what = f"{one_line(say_key(key), 100)} uses {{{{ {one_line(name, 100)} }}}}, and the file has no such column"
        return Problem(self._file, None, None, what, advice)


class Filling:
    """One row while it is being filled: its values by place, and the faults found so far."""

    __slots__ = ("faults", "holes", "values")

    def __init__(self, values: list[str]) -> None:
        self.values = values
        self.faults: list[RowError] = []
        self.holes: set[int] = set()

    def fill(self, field: Field) -> str | None:
        """Fill one field; None if it cannot be, for a reason that is among the faults."""
        if field.constant is not None:
            return field.constant
        if self.holes and not self.holes.isdisjoint(field.filler.positions):
            return None
        try:
            return field.filler.fill(self.values)
        except TemplateError as error:
            self.faults.append(
                RowError("bad_template", f"{say_key(field.key)}: {error.what}", error.advice, field.column)
            )
            return None

    def fill_optional(self, field: Field | None) -> str | None:
        """Fill a field that may be absent or empty."""
        return None if field is None else self.fill(field) or None

    def blame(self, fault: RowError, field: Field) -> None:
        """Keep a fault under the column of `field`."""
        self.faults.append(replace(fault, column=field.column))
