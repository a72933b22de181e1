"""One value in another format: what a `convert` step can do, and how."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from workflows import values
from workflows.comparison import said
from workflows.errors import InputError
from workflows.steps.base import Files
from workflows.transform import archives, markup, tables
from workflows.transform.bytes import Encoding, decoded, encoded, require_small
from workflows.transform.fields import text_of
from workflows.transform.hashes import from_base64
from workflows.transform.tables import Delimiter, Ragged
from workflows.transform.texts import require_short
from workflows.transform.thread import Stop
from workflows.transform.weight import require_light
from workflows.transform.wrong import require_few, wrong

DO: dict[str, Any] = {
    "json_read": "JSON → data",
    "json_write": "Data → JSON",
    "jsonl_read": "JSON lines → list",
    "jsonl_write": "List → JSON lines",
    "csv_read": "CSV → list of rows",
    "csv_write": "List of rows → CSV",
    "xlsx_read": "Spreadsheet (.xlsx) → list of rows",
    "xlsx_write": "List of rows → spreadsheet (.xlsx)",
    "xml_read": "XML → data",
    "xml_write": "Data → XML",
    "html_read": "HTML → fields, by CSS selectors",
    "html_text": "HTML → text",
    "html_markdown": "HTML → Markdown",
    "markdown_html": "Markdown → HTML",
    "feed_read": "RSS or Atom feed → entries",
    "lines_read": "Text → list of lines",
    "lines_write": "List → text of lines",
    "file_read": "File → text",
    "file_write": "Text → file",
    "base64_write": "File → Base64",
    "base64_read": "Base64 → file",
    "gunzip": "gzip file → file",
    "gzip": "File → gzip file",
    "unzip": "zip file → files",
    "zip": "Files → zip file",
}
Do = Literal[
    "json_read",
    "json_write",
    "jsonl_read",
    "jsonl_write",
    "csv_read",
    "csv_write",
    "xlsx_read",
    "xlsx_write",
    "xml_read",
    "xml_write",
    "html_read",
    "html_text",
    "html_markdown",
    "markdown_html",
    "feed_read",
    "lines_read",
    "lines_write",
    "file_read",
    "file_write",
    "base64_write",
    "base64_read",
    "gunzip",
    "gzip",
    "unzip",
    "zip",
]
#: What these make is no text: it must become a file.
FILE_ONLY = ("xlsx_write", "file_write", "base64_read", "gunzip", "gzip", "unzip", "zip")
TYPES = {
    "json_write": "application/json",
    "jsonl_write": "application/x-ndjson",
    "csv_write": "text/csv",
    "xlsx_write": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml_write": "application/xml",
    "html_markdown": "text/markdown",
    "markdown_html": "text/html",
    "gzip": "application/gzip",
    "zip": "application/zip",
    "base64_read": "",
    "gunzip": "",
}


@dataclass(frozen=True, slots=True)
class Options:
    """How; each for the formats that have it. `file`: where the result is kept, empty: in the data."""

    file: str = ""
    encoding: Encoding = "auto"
    delimiter: Delimiter = "auto"
    header: bool = True
    ragged: Ragged = "fill"
    numbers: bool = False
    columns: tuple[str, ...] = ()
    guard: bool = True
    sheet: str = ""
    root: str = "root"
    pretty: bool = False
    each: str = ""
    fields: tuple[markup.Selected, ...] = ()


def converted(do: Do, value: Any, options: Options, files: Files, stop: Stop) -> Any:
    """The result, or {"file": …} where it was kept as a file."""
    room = Room(options, files, stop)
    made = MAKE[do](value, room)
    if do == "unzip":
        return made
    if isinstance(made, bytes) or options.file:
        text = made if isinstance(made, bytes | str) else json.dumps(made, ensure_ascii=False, indent=2)
        content = text if isinstance(text, bytes) else encoded(text, options.encoding)
        require_small(len(content), "The result")
        return files.save(options.file, content, TYPES.get(do, "text/plain"))
    return require_light(made, stop)


@dataclass(frozen=True, slots=True)
class Room:
    options: Options
    files: Files
    stop: Stop

    def text(self, value: Any) -> str:
        """Of a text, or of a file in the data."""
        if isinstance(value, str):
            return require_short(value)
        if is_file(value):
            return decoded(self._read(value), self.options.encoding)
        raise wrong(f"Expected text, or a file; it is {said(value)}.")

    def content(self, value: Any) -> bytes:
        """Of a file in the data, or of its Base64."""
        if is_file(value):
            return self._read(value)
        if isinstance(value, str):
            return from_base64(require_short(value))
        raise wrong(f"Expected a file, or its Base64; it is {said(value)}.")

    def _read(self, value: dict[str, Any]) -> bytes:
        content = self.files.read(value["file"])
        require_small(len(content), f"“{value['file'][:100]}”")
        return content


def is_file(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("file"), str)


def _rows(value: Any) -> list[Any]:
    """A list; of one object a list of one."""
    rows = [value] if isinstance(value, dict) else value
    if not isinstance(rows, list):
        raise wrong(f"Expected a list of objects; it is {said(value)}.")
    require_few(len(rows), "This list")
    return rows


def _json(text: str, where: str = "") -> Any:
    try:
        return values.require(require_light(values.parse(text, "it"), what="The JSON"), "it")
    except InputError as error:
        raise wrong(f"{where}{error.message}") from None


def _json_text(value: Any, indent: int | None = None) -> str:
    return json.dumps(require_light(value), ensure_ascii=False, indent=indent)


def _json_lines(value: Any, room: Room) -> list[Any]:
    lines = [(number, line) for number, line in enumerate(room.text(value).splitlines(), 1) if line.strip()]
    require_few(len(lines), "This text")
    return [_json(line, f"Line {number:,}: ") for number, line in room.stop.each(lines)]


def _csv(value: Any, room: Room) -> Any:
    options = room.options
    return tables.read_csv(
        room.text(value), options.delimiter, options.header, options.ragged, options.numbers, room.stop
    )


def _write_csv(value: Any, room: Room) -> str:
    options = room.options
    return tables.write_csv(
        _rows(value), list(options.columns), options.delimiter, options.header, options.guard, room.stop
    )


def _write_xlsx(value: Any, room: Room) -> bytes:
    options = room.options
    return tables.write_xlsx(
        _rows(value), list(options.columns), options.sheet, options.header, options.guard, room.stop
    )


def _lines(value: Any, room: Room) -> list[str]:
    lines = room.text(value).splitlines()
    require_few(len(lines), "This text")
    return lines


def _write_lines(value: Any, room: Room) -> str:
    if not isinstance(value, list):
        raise wrong(f"Expected a list; it is {said(value)}.")
    return require_short("\n".join(text_of(line) for line in room.stop.each(value)))


def _feed(value: Any, room: Room) -> Any:
    """A file as it is: a feed says its encoding itself."""
    return markup.read_feed(room.content(value) if is_file(value) else room.text(value).encode(), room.stop)


def _any_content(value: Any, room: Room) -> bytes:
    return room.content(value) if is_file(value) else encoded(room.text(value), room.options.encoding)


def _unzip(value: Any, room: Room) -> list[dict[str, Any]]:
    folder = room.options.file.strip("/")
    found = archives.unzipped(room.content(value), room.stop)
    return [room.files.save(f"{folder}/{name}", content, "") for name, content in found]


def _zip(value: Any, room: Room) -> bytes:
    files = value if isinstance(value, list) else [value]
    if len(files) > archives.MOST_FILES:
        raise wrong(f"There are {len(files):,} files; a zip file takes at most {archives.MOST_FILES:,} here.")
    packed: dict[str, bytes] = {}
    for number, one in enumerate(room.stop.each(files), 1):
        if not is_file(one):
            raise wrong(f"Item {number:,}: expected a file; it is {said(one)}.", item=number)
        name = one["file"].rpartition("/")[2]
        packed[one["file"] if name in packed else name] = room.content(one)
        require_small(sum(map(len, packed.values())), "All files together")
    return archives.zipped(list(packed.items()))


def _root(value: Any, room: Room) -> str:
    return markup.write_xml(require_light(value), room.options.root)


MAKE: dict[str, Callable[[Any, Room], Any]] = {
    "json_read": lambda value, room: _json(room.text(value)),
    "json_write": lambda value, room: _json_text(value, 2 if room.options.pretty else None),
    "jsonl_read": _json_lines,
    "jsonl_write": lambda value, room: "".join(f"{_json_text(row)}\n" for row in room.stop.each(_rows(value))),
    "csv_read": _csv,
    "csv_write": _write_csv,
    "xlsx_read": lambda value, room: tables.read_xlsx(
        room.content(value), room.options.sheet, room.options.header, room.stop
    ),
    "xlsx_write": _write_xlsx,
    "xml_read": lambda value, room: markup.read_xml(room.text(value), room.stop),
    "xml_write": _root,
    "html_read": lambda value, room: markup.read_html(
        room.text(value), room.options.each, list(room.options.fields), room.stop
    ),
    "html_text": lambda value, room: markup.html_to_text(room.text(value), room.stop),
    "html_markdown": lambda value, room: markup.html_to_markdown(room.text(value), room.stop),
    "markdown_html": lambda value, room: markup.markdown_to_html(room.text(value), room.stop),
    "feed_read": _feed,
    "lines_read": _lines,
    "lines_write": _write_lines,
    "file_read": lambda value, room: room.text(value),
    "file_write": lambda value, room: room.text(value) if isinstance(value, str) else text_of(value),
    "base64_write": lambda value, room: base64.b64encode(_any_content(value, room)).decode(),
    "base64_read": lambda value, room: room.content(value),
    "gunzip": lambda value, room: archives.unpacked(room.content(value)),
    "gzip": lambda value, room: archives.packed(_any_content(value, room)),
    "unzip": _unzip,
    "zip": _zip,
}
