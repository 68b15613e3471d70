"""Finds out what a customers' file is made of: its encoding by its bytes, its delimiter by its header."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from campaigns.problems import Problem, RefusedError

CHUNK_BYTES = 1 << 20
DELIMITERS = (",", ";", "\t")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
_OTHER_KINDS = {
    b"%PDF": "a PDF",
    b"\x1f\x8b": "gzip-compressed",
    b"\x89PNG": "a picture",
    b"PAR1": "a Parquet file",
}
_CONTROL = re.compile("[\x00-\x08\x0e-\x19\x1b-\x1f]")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
NAMES = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "utf-32": "UTF-32",
    "cp1252": "Windows-1252",
}


@dataclass(frozen=True, slots=True)
class Contents:
    """What kind of file this is; `encoding` is Python's name, empty for a spreadsheet."""

    kind: Literal["text", "sheet"]
    encoding: str = ""


def find_contents(path: Path) -> Contents:
    """Look at the whole file, a piece at a time, and say how to read it.

    Raises: RefusedError if it is empty, binary, or in no encoding that all of it agrees with.
    """
    head = next(_chunks(path), b"")
    if not head.strip(b" \t\r\n\x00\xef\xbb\xbf\xff\xfe\x1a"):
        raise _refused(
            path, "the file is empty", "export it again, with a header line and one customer a line"
        )
    if head.startswith(_SHEETS):
        return Contents("sheet")
    for magic, kind in _OTHER_KINDS.items():
        if head.startswith(magic):
            raise _refused(path, f"the file is {kind}, not a table", "save it as CSV or .xlsx")
    encoding = next((name for bom, name in _BOMS if head.startswith(bom)), None) or _guess_utf16(head)
    _refuse_binary(path, head, encoding or "latin-1")
    if encoding is None:
        encoding = "utf-8" if _find_undecodable(path, "utf-8") is None else _settle_for_windows(path)
    elif (offset := _find_undecodable(path, encoding)) is not None:
        where = _line_at(path, offset, encoding)
        what = f"the file says it is {NAMES[encoding]}, and here it is not"
        raise RefusedError([Problem(str(path), where, None, what, "save it as UTF-8 and try again")])
    return Contents("text", encoding)


def find_delimiter(sample: str, path: Path) -> str:
    """Choose the delimiter by the header line, and by the lines after it where that leaves two."""
    lines = [line for line in re.split(r"\r\n|\r|\n", _QUOTED.sub("", sample)) if line.strip()]
    header = lines[0] if lines else ""
    counts = {delimiter: header.count(delimiter) for delimiter in DELIMITERS}
    most = max(counts.values())
    if most == 0:
        if "|" in header:
            raise _refused(
                path, "the columns are parted by |", "save the file with commas, semicolons or tabs"
            )
        return ","
    best = [delimiter for delimiter, count in counts.items() if count == most]
    return max(best, key=lambda delimiter: sum(line.count(delimiter) == most for line in lines[1:20]))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _guess_utf16(head: bytes) -> str | None:
    """Recognise UTF-16 without a mark: delimiters and line ends have a zero byte on one side only."""
    sample = head[:4096]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) < max(2, len(sample) // 20) or min(even, odd) * 5 > max(even, odd):
        return None
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    line_end = "\n".encode(encoding), "\r".encode(encoding)
    return encoding if any(end in sample for end in line_end) or len(head) < 200 else None


def _find_undecodable(path: Path, encoding: str) -> int | None:
    decoder = codecs.getincrementaldecoder(encoding)()
    before, chunk = 0, b""
    try:
        for chunk in _chunks(path):
            pending = len(decoder.getstate()[0])
            decoder.decode(chunk)
            before += len(chunk)
        pending, chunk = len(decoder.getstate()[0]), b""
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return before - pending + error.start
    return None


def _settle_for_windows(path: Path) -> str:
    """Take Windows-1252 where nothing speaks for UTF-8; refuse a file that is mostly UTF-8 with broken places."""
    multibyte = broken = 0
    for chunk in _chunks(path):
        if chunk.isascii():
            continue
        multibyte += len(_MULTIBYTE.findall(chunk))
        broken += sum(byte >= 0x80 for byte in _MULTIBYTE.sub(b"", chunk))
    if multibyte > broken or _find_undecodable(path, "cp1252") is not None:
        offset = _find_undecodable(path, "utf-8") or 0
        what = "the file is neither wholly UTF-8 nor Windows-1252: a character here cannot be read"
        where = _line_at(path, offset, "utf-8")
        raise RefusedError(
            [Problem(str(path), where, None, what, "save it as UTF-8 from the program that made it")]
        )
    return "cp1252"


def _line_at(path: Path, offset: int, encoding: str) -> int:
    if encoding.startswith(("utf-16", "utf-32")):
        return path.read_bytes()[:offset].decode(encoding, "ignore").count("\n") + 1
    line, left, feeds, returns = 1, offset, 0, 0
    for chunk in _chunks(path):
        part = chunk[:left]
        feeds += part.count(b"\n")
        returns += part.count(b"\r") - part.count(b"\r\n")
        left -= len(part)
        if not left:
            break
    return line + feeds + returns


def _refuse_binary(path: Path, head: bytes, encoding: str) -> None:
    text = head[:65_536].decode(encoding, "ignore")
    controls = len(_CONTROL.findall(text))
    if controls > 8 and controls * 50 > len(text):
        raise _refused(
            path, "the file is not a table: it is full of control characters", "save it as CSV or .xlsx"
        )


def _refused(path: Path, what: str, advice: str) -> RefusedError:
    return RefusedError([Problem(str(path), None, None, what, advice)])
