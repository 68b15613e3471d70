"""The parts of an .xlsx file: a zip of XML, read a piece at a time and never further than a file of its size can mean."""

import lzma
import posixpath
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

from campaigns.problems import Problem, RefusedError

CHUNK_BYTES = 262_144
# Sheets unpack to 10 or 15 times their size, those with the same in every row to 30; a zip bomb to 1,000.
MAX_UNPACKED_RATIO = 64
MIN_UNPACKED_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
MAX_SHEETS = 256
_SAVE_AGAIN = "open it in a spreadsheet program and save it again, as CSV or .xlsx"
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, NotImplementedError, RuntimeError,
    OverflowError, expat.ExpatError, ValueError, LookupError,
)  # fmt: skip

Start = Callable[[str, dict[str, str]], None]


class SheetPart(NamedTuple):
    """A visible worksheet: its name, and the part that holds it."""

    name: str
    part: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What the workbook names; an empty part is none. `is_1904`: days count from 1904."""

    sheets: tuple[SheetPart, ...]
    strings: str
    styles: str
    is_1904: bool


class Workbook:
    """The parts of one file, by name; to be closed."""

    def __init__(self, path: Path) -> None:
        """Open the zip; raises RefusedError if it is none."""
        self._path = path
        self._limit = max(MIN_UNPACKED_BYTES, MAX_UNPACKED_RATIO * path.stat().st_size)
        self._unpacked = 0
        try:
            self._archive = zipfile.ZipFile(path)
        except _UNREADABLE:
            raise self.refused("it is not a whole zip file") from None
        if sum(info.file_size for info in self._archive.infolist()) > self._limit:
            raise self._refuse_bomb()
        self._infos = {_plain(info.filename): info for info in self._archive.infolist()}

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def contents(self) -> Contents:
        """Read which sheets there are, and where.

        Raises: RefusedError, as everything here, if the file is no workbook.
        """
        root = self._relations("")
        name = next((target for kind, target in root.values() if kind == "officeDocument"), "xl/workbook.xml")
        if name not in self._infos:
            what = "the file is a zip archive and holds no .xlsx workbook"
            raise RefusedError([Problem(str(self._path), None, None, what, _SAVE_AGAIN)])
        related = self._relations(name)
        found: list[SheetPart] = []
        is_1904 = False

        def start(tag: str, attributes: dict[str, str]) -> None:
            nonlocal is_1904
            # Excel writes a second one, of later years, that says nothing of dates.
            if tag == "workbookPr" and "date1904" in attributes:
                is_1904 = attributes["date1904"] in ("1", "true")
            if tag != "sheet" or attributes.get("state", "visible") != "visible":
                return
            relation = next((value for key, value in attributes.items() if key.endswith(":id")), "")
            kind, part = related.get(relation, ("", ""))
            if kind == "worksheet":
                found.append(SheetPart(attributes.get("name", ""), part))

        for _ in self.parse(name, start):
            pass
        if len(found) > MAX_SHEETS:
            raise self.refused(f"it has {len(found):,} sheets")
        parts = dict(related.values())
        # Some programs name texts that they have not written; without its styles a date would be read as a number.
        strings = parts.get("sharedStrings", "")
        return Contents(
            tuple(found), strings if strings in self._infos else "", parts.get("styles", ""), is_1904
        )

    def parse(
        self,
        part: str,
        start: Start,
        end: Callable[[str], None] | None = None,
        text: Callable[[str], None] | None = None,
    ) -> Iterator[None]:
        """Call the handlers with names without prefix, and yield after each piece of the part."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        depth = 0

        def begin(tag: str, attributes: dict[str, str]) -> None:
            nonlocal depth
            depth += 1
            if depth > MAX_DEPTH:
                raise self.refused("its XML is nested too deeply")
            start(tag if ":" not in tag else tag.rpartition(":")[2], attributes)

        def finish(tag: str) -> None:
            nonlocal depth
            depth -= 1
            if end is not None:
                end(tag if ":" not in tag else tag.rpartition(":")[2])

        def declare(*_: object) -> None:
            raise self.refused("its XML declares entities, which no spreadsheet program does")

        parser.StartElementHandler, parser.EndElementHandler = begin, finish
        parser.CharacterDataHandler = text
        parser.StartDoctypeDeclHandler = declare
        try:
            for piece in self._pieces(part):
                parser.Parse(piece, False)
                yield
            parser.Parse(b"", True)
        except _UNREADABLE as error:
            raise self.refused(f"{part} is broken: {_words(error)}") from None
        yield

    def refused(self, why: str) -> RefusedError:
        """Say that the file looks like a workbook, and why it is none that can be read."""
        what = f"the file looks like a workbook and cannot be read as one ({why})"
        return RefusedError([Problem(str(self._path), None, None, what, _SAVE_AGAIN)])

    def _refuse_bomb(self) -> RefusedError:
        return self.refused(f"it would unpack to more than {self._limit >> 20:,} MB")

    def _pieces(self, part: str) -> Iterator[bytes]:
        info = self._infos.get(part)
        if info is None:
            raise self.refused("a part of it is missing")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self.refused("it is packed in an unusual way")
        with self._archive.open(info) as stream:
            while piece := stream.read(CHUNK_BYTES):
                # Counted as it comes: what the zip says of its sizes need not be true.
                self._unpacked += len(piece)
                if self._unpacked > self._limit:
                    raise self._refuse_bomb()
                yield piece

    def _relations(self, part: str) -> dict[str, tuple[str, str]]:
        """Read what a part refers to: the last word of each relation's type, and the part meant."""
        folder, name = posixpath.split(part)
        path = _plain(posixpath.join(folder, "_rels", f"{name}.rels"))
        found: dict[str, tuple[str, str]] = {}

        def start(tag: str, attributes: dict[str, str]) -> None:
            if tag == "Relationship":
                target = _plain(posixpath.join("/", folder, attributes.get("Target", "").replace("\\", "/")))
                kind = attributes.get("Type", "").rpartition("/")[2]
                found[attributes.get("Id", "")] = kind, target

        if path in self._infos:
            for _ in self.parse(path, start):
                pass
        return found


def _plain(name: str) -> str:
    return posixpath.normpath(name.replace("\\", "/")).lstrip("/").lower()


def _words(error: Exception) -> str:
    return expat.ErrorString(error.code) if isinstance(error, expat.ExpatError) else "it cannot be unpacked"
