"""Rows from CSV and spreadsheets, and back. A row is an object: its keys are the headers of the first line."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Literal

from workflows.comparison import number_of, said
from workflows.transform.fields import text_of
from workflows.transform.thread import Stop
from workflows.transform.wrong import MOST_BYTES, require_few, wrong
from workflows.values import clean_text

Delimiter = Literal["auto", "comma", "semicolon", "tab", "pipe"]
CHARACTERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
Ragged = Literal["fill", "fail"]
COLUMNS = 1_000
CELL = 32_767  # characters, as spreadsheets have it
UNPACKED = 128 * 1024 * 1024  # bytes of all parts of a spreadsheet
FORMULA = ("=", "+", "-", "@", "\t", "\r")

csv.field_size_limit(MOST_BYTES)


# CSV


def read_csv(
    text: str, delimiter: Delimiter, has_header: bool, ragged: Ragged, numbers: bool, stop: Stop
) -> list[dict[str, Any]]:
    mark = CHARACTERS.get(delimiter) or guessed(text)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    return list(_rows(_lines(lines, text, stop), has_header, ragged, numbers))


def _lines(lines: Any, text: str, stop: Stop) -> Iterator[tuple[int, Sequence[Any]]]:
    """(line in the text, its cells), without empty lines."""
    try:
        for cells in stop.each(lines):
            if any(cells):
                yield lines.line_num, cells
    except csv.Error as error:
        why = "a quotation mark was opened and never closed" if "unexpected end" in str(error) else str(error)
        raise wrong(f"This is not valid CSV: line {lines.line_num:,}: {why}.", line=lines.line_num) from None


def guessed(text: str) -> str:
    """The mark that its first line has most of."""
    first = text.lstrip("\r\n").partition("\n")[0][:10_000]
    return max(CHARACTERS.values(), key=lambda mark: (_outside(first, mark), mark == ","))


def _outside(line: str, mark: str) -> int:
    return sum(piece.count(mark) for piece in line.split('"')[::2])


def _rows(
    lines: Iterable[tuple[int, Sequence[Any]]], has_header: bool, ragged: Ragged, numbers: bool
) -> Iterator[dict[str, Any]]:
    """Missing cells are null; cells beyond the headers are called column_5."""
    names: list[str] = []
    for many, (line, cells) in enumerate(lines):
        if len(cells) > COLUMNS:
            raise wrong(f"Line {line:,} has {len(cells):,} columns; at most {COLUMNS:,} are possible.", line=line)
        if many == 0:
            names = headers(cells) if has_header else [f"column_{at}" for at in range(1, len(cells) + 1)]
            if has_header:
                continue
        require_few(many, "This table")
        if ragged == "fail" and len(cells) != len(names):
            raise wrong(
                f"Line {line:,} has {len(cells)} columns; expected {len(names)}, as in the first line.", line=line
            )
        names += [f"column_{at}" for at in range(len(names) + 1, len(cells) + 1)]
        values = [*cells, *[None] * (len(names) - len(cells))]
        yield {name: _number(value) if numbers else value for name, value in zip(names, values, strict=True)}


def headers(cells: Sequence[Any]) -> list[str]:
    """Each once: a second “name” is called name_2; an empty one by its place, column_3."""
    made: list[str] = []
    taken = {text_of(cell).strip() for cell in cells}
    for at, cell in enumerate(cells, 1):
        name = clean_text(text_of(cell).strip()) or f"column_{at}"
        number, bare = 1, name
        while name in made or (number > 1 and name in taken):
            number += 1
            name = f"{bare}_{number}"
        made.append(name)
    return made


def _number(value: Any) -> Any:
    """A number that would be written the same again: 007 and 1,5 stay text, as does a telephone number."""
    if not isinstance(value, str):
        return value
    made = number_of(value)
    return made if made is not None and len(value) <= 17 and str(made) == value.strip() else value


def write_csv(
    rows: list[Any], columns: list[str], delimiter: Delimiter, has_header: bool, is_guarded: bool, stop: Stop
) -> str:
    names, to = columns or names_of(rows, stop), io.StringIO()
    lines = csv.writer(to, delimiter=CHARACTERS.get(delimiter, ","), lineterminator="\r\n")
    if has_header:
        lines.writerow([guarded(name) if is_guarded else name for name in names])
    for cells in _cells(rows, names, stop):
        texts = map(text_of, cells)
        lines.writerow([guarded(text) if is_guarded else text for text in texts])
        if to.tell() > MOST_BYTES:
            raise wrong(f"The table would be larger than {MOST_BYTES // 1024 // 1024} MiB.")
    return to.getvalue()


def guarded(text: str) -> str:
    """A spreadsheet would run what begins like a formula; with an apostrophe before it, it shows it. Numbers stay."""
    return f"'{text}" if text.startswith(FORMULA) and number_of(text) is None else text


def names_of(rows: list[Any], stop: Stop) -> list[str]:
    """Every field of any row, in the order in which they first come. Raises WorkflowStepError for what is no row."""
    names: dict[str, None] = {}
    for number, row in enumerate(stop.each(rows), 1):
        if isinstance(row, list):
            names.update(dict.fromkeys(f"column_{at}" for at in range(1, len(row) + 1)))
        elif isinstance(row, dict):
            names.update(dict.fromkeys(row))
        else:
            raise wrong(f"Item {number:,} must be an object or a list of cells; it is {said(row)}.", item=number)
        if len(names) > COLUMNS:
            raise wrong(
                f"The items have more than {COLUMNS:,} different fields; a table has at most that many columns."
            )
    return list(names)


def _cells(rows: list[Any], names: list[str], stop: Stop) -> Iterator[list[Any]]:
    for row in stop.each(rows):
        if isinstance(row, list):
            yield [*row, *[None] * (len(names) - len(row))][: len(names)]
        else:
            yield [row.get(name) if isinstance(row, dict) else None for name in names]


# Spreadsheets


def read_xlsx(content: bytes, sheet: str, has_header: bool, stop: Stop) -> list[dict[str, Any]]:
    """Values, not formulas: what the program that wrote the file had worked out. Dates are ISO texts."""
    import openpyxl

    _require_harmless(content)
    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
    except Exception as error:  # whatever a broken part makes it stumble over
        why = str(error).partition("\n")[0][:200]
        raise wrong(f"This is not a spreadsheet that can be read (.xlsx), or it is damaged: {why}") from None
    try:
        page = _sheet(book, sheet)
        page.reset_dimensions()  # a file may claim more than it has
        lines = _sheet_lines(page, stop)
        return list(_rows(lines, has_header, "fill", False))
    finally:
        book.close()


def _require_harmless(content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            size = sum(part.file_size for part in packed.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        raise wrong("This is not a spreadsheet (.xlsx). Save it as “Excel workbook (.xlsx)” and try again.") from None
    if size > UNPACKED:
        raise wrong(f"The spreadsheet is {size:,} bytes unpacked; at most {UNPACKED // 1024 // 1024} MiB are possible.")


def _sheet(book: Any, name: str) -> Any:
    pages = book.worksheets
    if not pages:
        raise wrong("The spreadsheet has no sheet with cells.")
    if not name.strip():
        return pages[0]
    for page in pages:
        if page.title.strip().casefold() == name.strip().casefold():
            return page
    raise wrong(f"There is no sheet “{name[:60]}”; there is {', '.join(f'“{page.title[:40]}”' for page in pages[:8])}.")


def _sheet_lines(page: Any, stop: Stop) -> Iterator[tuple[int, Sequence[Any]]]:
    from workflows.transform.wrong import MOST_ROWS

    try:
        rows = page.iter_rows(max_row=MOST_ROWS + 2, max_col=COLUMNS, values_only=True)
        for line, cells in enumerate(stop.each(rows), 1):
            if cells.count(None) == len(
                cells
            ):  # most are, where one cell is far away: a small file has them by millions
                continue
            end = next(at for at in range(len(cells), 0, -1) if cells[at - 1] is not None)
            yield line, [_cell(cell) for cell in cells[:end]]
    except (KeyError, ValueError, TypeError, IndexError, SyntaxError, zipfile.BadZipFile) as error:
        raise wrong(f"The sheet cannot be read: {str(error)[:200]}") from None


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return clean_text(value) if isinstance(value, str) else number_of(value) if isinstance(value, float) else value


def write_xlsx(
    rows: list[Any], columns: list[str], sheet: str, has_header: bool, is_guarded: bool, stop: Stop
) -> bytes:
    from openpyxl import Workbook

    names = columns or names_of(rows, stop)
    book = Workbook(write_only=True)
    page = book.create_sheet(_title(sheet))
    try:
        if has_header:
            page.append([_to_cell(page, name, is_guarded, "the header") for name in names])
        for number, cells in enumerate(_cells(rows, names, stop), 1):
            page.append([_to_cell(page, cell, is_guarded, f"item {number:,}") for cell in cells])
    finally:
        page.close()  # also where it is given up: it holds an open file
    to = io.BytesIO()
    book.save(to)
    return to.getvalue()


def _title(sheet: str) -> str:
    return "".join(" " if letter in "[]:*?/\\" else letter for letter in sheet).strip(" '")[:31] or "Sheet1"


def _to_cell(page: Any, value: Any, is_guarded: bool, where: str) -> Any:
    """Text is a text, also where it begins with “=”, unless somebody wants formulas."""
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if number_of(value) is not None and abs(value) < 1e15 else text_of(value)
    text = ILLEGAL_CHARACTERS_RE.sub("\ufffd", text_of(value))
    if len(text) > CELL:
        raise wrong(f"A cell of {where} has {len(text):,} characters; a spreadsheet takes at most {CELL:,}.")
    cell = WriteOnlyCell(page, text)
    if is_guarded:
        cell.data_type = "s"
    return cell
