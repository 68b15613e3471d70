"""Builds .xlsx files of choices: well-formed, broken, and such that unpack to far more than they are."""

import io
import zipfile

from choices import Choices

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
TYPES = (
    f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/xl/workbook.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>'
)
RELATIONS = (
    f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
)
WORKBOOK = (
    f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
    '<sheet name="Customers" sheetId="1" r:id="rId1"/></sheets></workbook>'
)
SHEET_RELATIONS = (
    f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/>'
    f'<Relationship Id="rId3" Type="{_OFFICE}/sharedStrings" Target="sharedStrings.xml"/></Relationships>'
)
STYLES = (
    f'{_HEAD}<styleSheet xmlns="{_MAIN}"><numFmts count="1"><numFmt numFmtId="165" formatCode="yyyy/mm/dd hh:mm"/>'
    '</numFmts><cellXfs count="4"><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="165"/><xf numFmtId="46"/>'
    "</cellXfs></styleSheet>"
)
STRINGS = f'{_HEAD}<sst xmlns="{_MAIN}" count="2" uniqueCount="2"><si><t>phone</t></si><si><r><t>first</t></r><r><t>_name</t></r></si></sst>'
LAUGHS = (
    '<!DOCTYPE lolz [<!ENTITY a "lollollollollol">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + '<!ENTITY x SYSTEM "file:///etc/hostname">]>'
)
_PLACES = ("A1", "B1", "C1", "A2", "B2", "C3", "", "A1048576", "XFD1", "XFD1048576", "ZZZZZZ1", "A0", "A99999999999", "1A", "a1", "B")  # fmt: skip
_KINDS = ("inlineStr", "s", "", "n", "b", "e", "str", "d", "zz")
_VALUES = ("+447900900123", "0", "1", "2", "4294967295", "-1", "46000", "46000.5", "1e308", "NaN", "1E+400", "", "true", "#N/A", "2026-02-31", "99999999", "PT5H", "&i;", "&x;", "&#0;", "&#x110000;", "&bogus;", "]]>", "x" * 33_000)  # fmt: skip


def whole(xml: str, /, **changed: str | bytes | None) -> bytes:
    """Pack a workbook of one sheet; `changed` replaces or, with None, leaves out parts by short name."""
    parts: dict[str, tuple[str, str | bytes | None]] = {
        "types": ("[Content_Types].xml", TYPES),
        "rels": ("_rels/.rels", RELATIONS),
        "workbook": ("xl/workbook.xml", WORKBOOK),
        "relations": ("xl/_rels/workbook.xml.rels", SHEET_RELATIONS),
        "styles": ("xl/styles.xml", STYLES),
        "strings": ("xl/sharedStrings.xml", STRINGS),
        "sheet": ("xl/worksheets/sheet1.xml", xml),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for short, (name, original) in parts.items():
            content = changed.get(short, original)
            if content is not None:
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def sheet(rows: str, before: str = "", after: str = "", doctype: str = "") -> str:
    """Write a sheet's XML around its rows."""
    return (
        f'{_HEAD}{doctype}<worksheet xmlns="{_MAIN}">{before}<sheetData>{rows}</sheetData>{after}</worksheet>'
    )


def text_row(number: int, *texts: str) -> str:
    """Write a row of texts."""
    cells = "".join(
        f'<c r="{chr(65 + at)}{number}" t="inlineStr"><is><t>{text}</t></is></c>'
        for at, text in enumerate(texts)
    )
    return f'<row r="{number}">{cells}</row>'


def build(choices: Choices) -> bytes:
    """Build a workbook of what `choices` picks: cells at odd places, missing and broken parts, bombs."""
    changed: dict[str, str | bytes | None] = {}
    doctype = choices.one_of(("", "", "", LAUGHS))
    before = choices.one_of(
        ("", '<dimension ref="A1:C2"/>', '<dimension ref="A1:XFD1048576"/>', '<dimension ref="B2"/>', '<dimension ref="ZZZ"/>', "<cols/>")
    )  # fmt: skip
    after = choices.one_of(
        ("", '<mergeCells count="1"><mergeCell ref="A1:B2"/></mergeCells>', '<mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>', '<mergeCells><mergeCell ref="B2:A1"/></mergeCells>', '<mergeCells><mergeCell ref="::"/></mergeCells>')
    )  # fmt: skip
    for _ in range(choices.number(3)):
        part = choices.one_of(("strings", "styles", "relations", "workbook", "types", "rels"))
        original = {"strings": STRINGS, "styles": STYLES, "relations": SHEET_RELATIONS, "workbook": WORKBOOK, "types": TYPES, "rels": RELATIONS}[part]  # fmt: skip
        changed[part] = _damage(original, choices)
    rows = [text_row(1, "phone", "first_name", "due_date")] if choices.number(4) else []
    rows += [_row(choices, doctype) for _ in range(choices.number(12))]
    text = sheet("".join(rows), before, after, doctype)
    return whole(_damage(text, choices) if not choices.number(6) else text, **changed)


def _row(choices: Choices, doctype: str) -> str:
    number = choices.one_of(("2", "3", "", "1", "1048576", "4294967296", "-1", "x"))
    repeat = choices.one_of((1, 1, 1, 1, 1, 200))
    cells = "".join(_cell(choices) for _ in range(choices.number(5)))
    return f"<row{f' r={number!r}' if number else ''}>{cells * repeat}</row>" + "<row/>" * (
        choices.number(20) == 7
    )


def _cell(choices: Choices) -> str:
    place, kind, value = choices.one_of(_PLACES), choices.one_of(_KINDS), choices.one_of(_VALUES)
    style = choices.one_of(("", ' s="1"', ' s="2"', ' s="3"', ' s="9999999999"'))
    inside = f"<is><t>{value}</t></is>" if kind == "inlineStr" else f"<v>{value}</v>"
    named = f' r="{place}"' if place else ""
    return f"<c{named}{style}{f' t={kind!r}' if kind else ''}>{inside}</c>"


def _damage(text: str, choices: Choices) -> str | bytes | None:
    """Damage a part: leave it out, empty it, cut it, put bytes into it, or make it many times longer."""
    at = choices.number(len(text))
    kind = choices.number(6)
    if kind == 0:
        return None
    if kind == 1:
        return ""
    if kind == 2:
        return text[:at]
    if kind == 3:
        return text[:at].encode() + choices.take(8) + text[at:].encode()
    if kind == 4:
        return text[:at] + choices.one_of(("<", "</", "&", "<!--", "<![CDATA[", "<?", "<a " * 1000, "<a>" * 1000)) + text[at:]  # fmt: skip
    return text.replace("</si>", "</si>" + "<si><t>longer and longer</t></si>" * 5_000, 1)
