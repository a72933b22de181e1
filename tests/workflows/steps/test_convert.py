"""convert: every format in and out, files included; and what hostile ones do not get to do."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook
from pydantic import ValidationError

from tests.workflows.steps.conftest import step
from workflows.errors import WorkflowStepError
from workflows.graph import Node
from workflows.steps import config_errors, kinds, reaches_out
from workflows.steps.base import StepContext
from workflows.transform import archives, markup, tables

PAGE = """<html><head><title>Shop</title><script>var x = "<p>"</script></head><body>
<h1>Our  <b>bread</b></h1><!-- not this -->
<div class="product new"><a href="/rye">Rye</a><span class="price">3.20</span></div>
<div class="product"><a href="/oat">Oat</a></div></body></html>"""
RSS = """<?xml version="1.0"?><rss version="2.0"><channel><title>News</title><link>http://a.test</link>
<item><title>One</title><link>http://a.test/1</link><guid>1</guid><pubDate>Tue, 24 Nov 2026 08:00:00 GMT</pubDate>
<description>Hi &lt;script&gt;alert(1)&lt;/script&gt;</description><category>x</category>
<enclosure url="http://a.test/a.mp3" type="audio/mpeg" length="3"/></item></channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title><entry><title>One</title><id>urn:1</id>
<link href="http://a.test/1"/><updated>2026-11-24T08:00:00+01:00</updated><author><name>Ada</name></author></entry></feed>"""


class Folder:
    """Files on a disk, as a workflow has them."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, path: str) -> bytes:
        if not (self._root / path).is_file():
            raise WorkflowStepError(f"There is no file “{path}”.", is_permanent=True)
        return (self._root / path).read_bytes()

    def save(self, path: str, content: bytes, content_type: str = "") -> dict[str, Any]:
        (self._root / path).parent.mkdir(parents=True, exist_ok=True)
        (self._root / path).write_bytes(content)
        return {"file": path, "name": Path(path).name, "size": len(content), "content_type": content_type}

    def remove(self, path: str) -> None:
        (self._root / path).unlink()

    def paths(self, below: str = "") -> list[str]:
        return sorted(f"{path.relative_to(self._root)}" for path in self._root.rglob("*") if path.is_file())


@pytest.fixture
def files(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def convert(do: str, value: Any, files: Any = None, **config: Any) -> Any:
    made = step("convert", do=do, field="v", **config)
    ctx = StepContext({}, {"v": value, "other": 1}, "a", 1, datetime.now(UTC), "1:a:0")
    ctx.files = files or ctx.files
    output = asyncio.run(made.run(ctx)).output
    assert output["other"] == 1 and output["v"] == value, "the data goes on"
    return output["result"]


def refused(do: str, value: Any, files: Any = None, **config: Any) -> str:
    with pytest.raises(WorkflowStepError) as caught:
        convert(do, value, files, **config)
    assert caught.value.is_permanent and caught.value.details["field"] == "v"
    return caught.value.message.partition("from “v”: ")[2]


def kept(files: Folder, content: bytes, path: str = "in.bin") -> dict[str, Any]:
    return files.save(path, content)


# JSON


def test_json_and_its_lines_in_and_out() -> None:
    assert convert("json_read", '{"a": [1, "ü", null]}') == {"a": [1, "ü", None]}
    assert convert("json_write", {"a": [1, "ü"]}) == '{"a": [1, "ü"]}'
    assert convert("json_write", {"a": 1}, pretty=True) == '{\n  "a": 1\n}'
    assert convert("jsonl_read", '{"a": 1}\n\n[2]\r\n') == [{"a": 1}, [2]]
    assert convert("jsonl_write", [{"a": 1}, 2]) == '{"a": 1}\n2\n'


@pytest.mark.parametrize(
    ("do", "text", "words"),
    [
        ("json_read", '{"a":', "This is not valid JSON: Expecting value at line 1, column 6."),
        ("json_read", "[NaN]", "This is not valid JSON: NaN is not a JSON value."),
        ("json_read", "[1e999]", "it[0] is inf, which JSON cannot hold."),
        ("json_read", "[" * 100_000, "This is not valid JSON: it is nested too deep."),
        ("json_read", "[" * 70 + "]" * 70, "The JSON is nested more than 64 levels deep."),
        ("json_read", '"\\u0000"', "it holds a NUL or half of a surrogate pair"),
        ("json_read", "9" * 5_000, "This is not valid JSON: Exceeds the limit"),
        ("json_read", 5, "Expected text, or a file; it is 5."),
        ("jsonl_read", '{"a": 1}\n{oops}', "Line 2: This is not valid JSON: Expecting property name"),
    ],
)
def test_what_is_no_json_is_said(do: str, text: Any, words: str) -> None:
    assert refused(do, text).startswith(words)


# CSV


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_csv_is_read_whatever_stands_between_the_columns(mark: str) -> None:
    assert convert("csv_read", f'name{mark}town\n"A{mark}""B"""{mark}Köln\n') == [
        {"name": f'A{mark}"B"', "town": "Köln"}
    ]


def test_odd_tables_are_read_as_far_as_they_go() -> None:
    text = "name;age;name;\nA;1\n\nB;2;x;y;z\n"
    assert convert("csv_read", text) == [
        {"name": "A", "age": "1", "name_2": None, "column_4": None},
        {"name": "B", "age": "2", "name_2": "x", "column_4": "y", "column_5": "z"},
    ]
    assert convert("csv_read", "a,a_2,a\n1,2,3") == [{"a": "1", "a_2": "2", "a_3": "3"}]
    assert convert("csv_read", "1,2\n3,4", header=False) == [
        {"column_1": "1", "column_2": "2"},
        {"column_1": "3", "column_2": "4"},
    ]
    assert convert("csv_read", "") == [] == convert("csv_read", "only,headers\n")


def test_numbers_are_read_where_that_loses_nothing() -> None:
    (row,) = convert("csv_read", "a,b,c,d,e,f\n7,-2.5,007,+49,1e5,NaN", numbers=True)
    assert row == {"a": 7, "b": -2.5, "c": "007", "d": "+49", "e": "1e5", "f": "NaN"}


@pytest.mark.parametrize(
    ("text", "config", "words"),
    [
        ("a,b\n1", {"ragged": "fail"}, "Line 2 has 1 columns; expected 2, as in the first line."),
        ('a,b\n"x,1\n', {}, "This is not valid CSV: line 2: a quotation mark was opened and never closed."),
        ('a\n"x"y\n', {"delimiter": "comma"}, "This is not valid CSV: line 2:"),
        ("," * 1_001, {}, ""),
        ("x," * 1_001, {}, "Line 1 has 1,002 columns; at most 1,000 are possible."),
        ("a\n" + "1\n" * 100_001, {}, "This table would give more than 100,000 items"),
    ],
)
def test_a_table_that_cannot_be_read_names_its_line(text: str, config: dict[str, Any], words: str) -> None:
    if words:
        assert refused("csv_read", text, **config).startswith(words)
    else:
        assert convert("csv_read", text, **config) == []


def test_rows_are_written_with_every_field_that_one_of_them_has() -> None:
    rows = [{"a": 1, "b": "x,y"}, {"c": None, "a": [1]}]
    assert convert("csv_write", rows) == 'a,b,c\r\n1,"x,y",\r\n[1],,\r\n'
    assert convert("csv_write", rows, columns=["b", "a"], delimiter="semicolon", header=False) == "x,y;1\r\n;[1]\r\n"
    assert convert("csv_write", [[1, 2], [3]]) == "column_1,column_2\r\n1,2\r\n3,\r\n"
    assert refused("csv_write", [{}, 5]) == "Item 2 must be an object or a list of cells; it is 5."
    assert refused("csv_write", "a") == "Expected a list of objects; it is “a”."


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_that_a_spreadsheet_would_run_is_written_as_text(text: str) -> None:
    (row,) = convert("csv_read", convert("csv_write", [{"a": text}]))
    assert row["a"] == f"'{text}"
    (row,) = convert("csv_read", convert("csv_write", [{"a": text}], guard=False))
    assert row["a"] == text


def test_numbers_are_no_formulas_and_names_of_columns_may_be() -> None:
    assert convert("csv_write", [{"a": -5, "b": "-5.5", "=c": "+49"}]) == "a,b,'=c\r\n-5,-5.5,+49\r\n"


# Encodings


def test_a_file_is_read_in_its_encoding(files: Folder) -> None:
    text = "name\nKöln\n"
    for content in (text.encode(), b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16")):
        assert convert("csv_read", kept(files, content), files) == [{"name": "Köln"}]
    old = kept(files, text.encode("windows-1252"))
    assert convert("csv_read", old, files, encoding="windows-1252") == [{"name": "Köln"}]
    assert refused("csv_read", old, files).startswith("The text is not in UTF-8: 0xf6 at byte 7 does not fit.")


def test_a_file_is_written_in_an_encoding(files: Folder) -> None:
    made = convert("csv_write", [{"a": "Köln"}], files, file="out/a.csv", encoding="utf-8-sig")
    assert made == {"file": "out/a.csv", "name": "a.csv", "size": 13, "content_type": "text/csv"}
    assert files.read("out/a.csv") == "\ufeffa\r\nKöln\r\n".encode()
    words = "“☃” cannot be written in Windows-1252 (Western Europe). Choose UTF-8."
    assert refused("csv_write", [{"a": "☃"}], files, file="b.csv", encoding="windows-1252") == words
    assert files.paths() == ["out/a.csv"]


def test_a_file_that_is_gone_or_is_none_is_said(files: Folder) -> None:
    assert refused("csv_read", {"file": "gone.csv"}, files) == "There is no file “gone.csv”."
    assert refused("csv_read", {"path": "a.csv"}, files) == "Expected text, or a file; it is an object of 1 entry."
    assert refused("xlsx_read", [1], files) == "Expected a file, or its Base64; it is a list of 1 item."
    assert "runs outside of a workflow" in refused("csv_read", {"file": "a.csv"})


def test_a_file_that_is_too_large_is_refused(files: Folder) -> None:
    assert refused("lines_read", kept(files, b"x" * 16_777_217), files).endswith("at most 16 MiB are possible.")


# Spreadsheets


def book(*rows: list[Any], name: str = "Orders") -> bytes:
    made, to = Workbook(), io.BytesIO()
    assert made.active is not None
    made.active.title = name
    for row in rows:
        made.active.append(row)
    made.create_sheet("Other").append(["x"])
    made.save(to)
    return to.getvalue()


def test_a_spreadsheet_is_read_with_its_types(files: Folder) -> None:
    content = book(
        ["id", "at", "sum", "id"], [1, date(2026, 11, 24), 2.5, None], [], [True, datetime(2026, 1, 2, 3, 4)]
    )
    source = kept(files, content)
    rows = [
        {"id": 1, "at": "2026-11-24", "sum": 2.5, "id_2": None},
        {"id": True, "at": "2026-01-02T03:04:00", "sum": None, "id_2": None},
    ]
    assert convert("xlsx_read", source, files) == rows
    assert convert("xlsx_read", source, files, sheet="orders ") == rows
    assert convert("xlsx_read", source, files, sheet="Other", header=False) == [{"column_1": "x"}]
    assert refused("xlsx_read", source, files, sheet="Gone") == "There is no sheet “Gone”; there is “Orders”, “Other”."


def test_a_spreadsheet_is_written_and_what_looks_like_a_formula_stays_text(files: Folder) -> None:
    rows = [{"id": 1, "t": "=1+1", "n": None, "l": [1]}, {"id": 10**20, "t": "a\x00b", "n": True}]
    made = convert("xlsx_write", rows, files, file="a.xlsx", sheet="My: sheet")
    assert made["content_type"].endswith("spreadsheetml.sheet")
    page = load_workbook(io.BytesIO(files.read("a.xlsx")))["My  sheet"]
    assert [cell.value for cell in page[2]] == [1, "=1+1", None, "[1]"] and page["B2"].data_type == "s"
    assert [cell.value for cell in page[3]] == ["100000000000000000000", "a\ufffdb", True, None]
    convert("xlsx_write", rows, files, file="b.xlsx", guard=False)
    assert load_workbook(io.BytesIO(files.read("b.xlsx"))).worksheets[0]["B2"].data_type == "f"
    assert convert("xlsx_read", made, files)[0]["t"] == "=1+1"


def test_a_cell_that_no_spreadsheet_takes_is_named(files: Folder) -> None:
    words = "A cell of item 1 has 32,768 characters; a spreadsheet takes at most 32,767."
    assert refused("xlsx_write", [{"a": "x" * 32_768}], files, file="a.xlsx") == words


def packed_with(**parts: bytes) -> bytes:
    to = io.BytesIO()
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return to.getvalue()


def test_cells_that_are_not_there_are_not_looked_at(files: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of 2 kB with one cell far away was a hundred million of them, for 18 seconds."""
    looked: list[Any] = []

    def look(cell: Any) -> Any:
        looked.append(cell)
        return cell

    monkeypatch.setattr(tables, "_cell", look)
    far = b'<row r="1"><c r="A1"><v>1</v></c></row><row r="50000"><c r="C50000"><v>2</v></c></row>'
    start = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    sheet = with_part(book([1]), "xl/worksheets/sheet1.xml", start + far + b"</sheetData></worksheet>")

    assert convert("xlsx_read", kept(files, sheet), files, header=False)[1]["column_3"] == 2
    assert looked == [1, None, None, 2]


def test_hostile_spreadsheets_are_refused(files: Folder) -> None:
    bomb = packed_with(**{"xl/sharedStrings.xml": b"\0" * (129 * 1024 * 1024)})
    assert "at most 128 MiB are possible" in refused("xlsx_read", kept(files, bomb), files)
    assert "not a spreadsheet (.xlsx)" in refused("xlsx_read", kept(files, b"\xd0\xcf\x11\xe0 an old .xls"), files)
    assert "not a spreadsheet that can be read" in refused("xlsx_read", kept(files, packed_with(a=b"x")), files)
    entities = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><workbook>&b;</workbook>'
    evil = with_part(book(["a"], [1]), "xl/workbook.xml", entities)
    assert "not a spreadsheet that can be read" in refused("xlsx_read", kept(files, evil), files)
    evil = with_part(book(["a"], [1]), "xl/worksheets/sheet1.xml", entities)
    assert "not a spreadsheet that can be read" in refused("xlsx_read", kept(files, evil), files)
    far = with_part(
        book(["a"]),
        "xl/worksheets/sheet1.xml",
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><dimension ref="A1:XFD1048576"/>'
        b'<sheetData><row r="1"><c r="A1"><v>1</v></c></row><row r="3"><c r="XFD3"><v>2</v></c></row></sheetData>'
        b"</worksheet>",
    )
    assert convert("xlsx_read", kept(files, far), files, header=False) == [{"column_1": 1}]


def with_part(content: bytes, name: str, inside: bytes) -> bytes:
    to = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(to, "w") as new:
        for member in old.namelist():
            new.writestr(member, inside if member == name else old.read(member))
    return to.getvalue()


# XML


def test_xml_in_and_out() -> None:
    text = '<?xml version="1.0" encoding="iso-8859-1"?><o id="1"><l>ä</l><l>b</l><n/></o>'
    assert convert("xml_read", text) == {"o": {"@id": "1", "l": ["ä", "b"], "n": None}}
    assert convert("xml_read", convert("xml_write", {"o": {"@id": 1, "l": ["<", "b"]}})) == {
        "o": {"@id": "1", "l": ["<", "b"]}
    }
    assert "<root>" in convert("xml_write", {"a": 1, "b": 2})
    assert convert("xml_write", [1, 2], root="numbers").count("<item>") == 2
    assert refused("xml_write", {"a b": 1}).startswith("“a b” is no name of an XML element")
    assert "control character" in refused("xml_write", {"a": "\x01"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<a>", "This is not valid XML: no element found"),
        ("<a></b>", "This is not valid XML: mismatched tag: line 1, column 5."),
        ("", "This is not valid XML"),
        ("<a>&nbsp;</a>", "This is not valid XML: undefined entity"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "The XML declares entities of its own"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "The XML declares entities of its own"),
        ('<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:1/"> %x;]><a/>', "The XML declares entities of its own"),
        ("<a>" * 100_000, "The XML is nested more than 60 levels deep."),
        ("<a>" + "<b/>" * 500_000 + "</a>", "The XML has more than 500,000 elements"),
    ],
)
def test_xml_that_is_broken_or_hostile_is_refused(text: str, words: str) -> None:
    assert refused("xml_read", text).startswith(words)


def test_a_document_type_outside_is_not_followed() -> None:
    assert convert("xml_read", '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><a>1</a>') == {"a": "1"}


# HTML and Markdown


def fields(**selectors: str) -> list[dict[str, Any]]:
    return [{"name": name, "selector": selector} for name, selector in selectors.items()]


def test_fields_are_taken_out_of_a_page() -> None:
    rows = [
        *fields(title="h1", gone="h6"),
        {"name": "link.first", "selector": "a", "take": "attribute"},
        {"name": "names", "selector": ".product a", "every": True},
        {"name": "html", "selector": "h1 b", "take": "html"},
        {"name": "classes", "selector": ".new", "take": "attribute", "attribute": "class"},
    ]
    assert convert("html_read", PAGE, fields=rows) == {
        "title": "Our bread",
        "gone": None,
        "link": {"first": "/rye"},
        "names": ["Rye", "Oat"],
        "html": "<b>bread</b>",
        "classes": "product new",
    }


def test_each_element_of_a_kind_gives_an_object() -> None:
    made = convert("html_read", PAGE, each=".product", fields=fields(name="a", price=".price"))
    assert made == [{"name": "Rye", "price": "3.20"}, {"name": "Oat", "price": None}]
    assert convert("html_read", "no page", each=".product", fields=fields(name="a")) == []


def test_a_page_as_text_and_as_markdown_has_no_scripts() -> None:
    assert convert("html_text", PAGE) == "Shop\nOur bread\nRye3.20\nOat"
    assert convert("html_text", "a<br>b<p>c <i>d</i></p>e") == "a\nb\nc d\ne"
    made = convert("html_markdown", "<h2>A</h2><ul><li><a href='/x'>b</a></li></ul><script>no()</script>")
    assert made == "## A\n\n- [b](/x)"


def test_markdown_becomes_html_in_which_nothing_runs() -> None:
    made = convert("markdown_html", "# A\n\n<script>x</script> [a](javascript:alert(1)) **b**\n\n|c|\n|-|\n|d|")
    assert "<h1>A</h1>" in made and "<strong>b</strong>" in made and "<td>d</td>" in made
    assert "<script" not in made and "href" not in made


@pytest.mark.parametrize("do", ["html_read", "html_text", "html_markdown"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<div>" * 1_001, "The page is nested more than 1,000 elements deep."),
        ("<i></i>" * 1_001, "The page has more than 1,000 elements"),
        ("x" * 4_194_305, "The page has 4,194,305 bytes; at most 4 MiB are possible."),
    ],
)
def test_pages_that_would_take_too_much_are_refused(
    do: str, text: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(markup, "ELEMENTS", 5_000 if "deep" in words else 1_000)
    more = {"fields": fields(a="p")} if do == "html_read" else {}
    assert refused(do, text, **more).startswith(words)


def test_a_page_that_grows_at_each_level_is_refused_as_markdown() -> None:
    assert "written as Markdown" in refused("html_markdown", "<blockquote>" * 150 + "<p>xx</p>" * 2_000)


def test_selectors_that_take_too_long_are_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markup, "SEARCH_S", 0.0)
    words = refused("html_read", "<i></i>" * 1_000, fields=fields(a="b ~ i ~ i ~ u", b="i:nth-last-child(3n+1) ~ u"))
    assert words == "The selectors take too long on this page: more than 0 s. Make them shorter."


@pytest.mark.parametrize(
    "text", ["", "<", "<!DOCTYPE", "<![CDATA[", "<a" * 1_000, "&#x110000;&#0;", "<p \0=\0>", "</p>" * 1_000]
)
def test_broken_pages_are_read_as_far_as_they_go(text: str) -> None:
    assert convert("html_read", text, fields=fields(a="p")) in ({"a": None}, {"a": ""})
    assert isinstance(convert("html_text", text), str) and isinstance(convert("html_markdown", text), str)


# Feeds


def test_feeds_of_both_kinds_give_the_same_fields() -> None:
    rss, atom = convert("feed_read", RSS), convert("feed_read", ATOM)
    assert rss["title"] == atom["title"] == "News"
    (one,), (other,) = rss["entries"], atom["entries"]
    assert one.keys() == other.keys()
    assert (one["id"], one["link"], one["published"]) == ("1", "http://a.test/1", "2026-11-24T08:00:00+00:00")
    assert one["files"] == [{"url": "http://a.test/a.mp3", "type": "audio/mpeg", "size": "3"}] and one["tags"] == ["x"]
    assert (other["id"], other["author"], other["updated"]) == ("urn:1", "Ada", "2026-11-24T07:00:00+00:00")
    assert "<script" not in one["summary"]


def test_a_feed_in_a_file_says_its_encoding_itself(files: Folder) -> None:
    text = ATOM.replace("One", "Köln")
    content = f'<?xml version="1.0" encoding="iso-8859-1"?>{text}'.encode("iso-8859-1")
    assert convert("feed_read", kept(files, content), files)["entries"][0]["title"] == "Köln"


@pytest.mark.parametrize(
    "text", ["hello", "", "http://127.0.0.1:1/feed", "/etc/passwd", "file:///etc/passwd", "<html></html>"]
)
def test_what_is_no_feed_is_refused_and_nothing_is_fetched(text: str) -> None:
    assert refused("feed_read", text).startswith("This is no RSS or Atom feed")


def test_a_feed_with_entities_of_its_own_is_refused() -> None:
    assert "declares entities" in refused("feed_read", f'<!DOCTYPE rss [<!ENTITY a "b">]>{RSS[21:]}')


# Lines, Base64, packed files


def test_lines_and_base64_in_and_out(files: Folder) -> None:
    assert convert("lines_read", "a\r\nb\n") == ["a", "b"]
    assert convert("lines_write", ["a", 1, None]) == "a\n1\n"
    assert refused("lines_write", "a") == "Expected a list; it is “a”."
    made = convert("base64_read", "AP8=", files, file="a.bin")
    assert files.read("a.bin") == b"\x00\xff" and convert("base64_write", made, files) == "AP8="
    assert convert("file_read", kept(files, "ü".encode()), files) == "ü"
    assert convert("file_write", "ü", files, file="b.txt", encoding="iso-8859-1")["size"] == 1


def test_files_are_packed_and_unpacked(files: Folder) -> None:
    one, other = kept(files, b"one", "a/x.txt"), kept(files, b"two", "b/x.txt")
    packed = convert("zip", [one, other], files, file="all.zip")
    made = convert("unzip", packed, files, file="out")
    assert {one["file"]: files.read(one["file"]) for one in made} == {"out/x.txt": b"one", "out/b/x.txt": b"two"}
    small = convert("gzip", one, files, file="x.gz")
    assert gzip.decompress(files.read("x.gz")) == b"one"
    assert convert("gunzip", small, files, file="y.txt")["size"] == 3
    assert refused("zip", ["a"], files, file="z.zip") == "Item 1: expected a file; it is “a”."


def test_bombs_and_broken_archives_are_refused(files: Folder) -> None:
    zeros = b"\0" * 20_000_000
    assert refused("gunzip", kept(files, gzip.compress(zeros)), files, file="o") == archives.TOO_MUCH
    assert refused("unzip", kept(files, packed_with(a=zeros)), files, file="o") == archives.TOO_MUCH
    many = packed_with(**{f"{n}": b"" for n in range(1_001)})
    assert refused("unzip", kept(files, many), files, file="o").startswith("The zip file has 1,001 files")
    assert "not a gzip file" in refused("gunzip", kept(files, b"no"), files, file="o")
    assert "cut off" in refused("gunzip", kept(files, gzip.compress(b"abc" * 99)[:-9]), files, file="o")
    assert "not a zip file" in refused("unzip", kept(files, b"no"), files, file="o")
    assert files.paths() == ["in.bin"], "nothing was written"


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../b", "c:/windows", "..\\evil", "a//b"])
def test_a_zip_file_writes_nowhere_else(files: Folder, name: str) -> None:
    assert "leads out of its folder" in refused("unzip", kept(files, packed_with(**{name: b"x"})), files, file="o")
    assert files.paths() == ["in.bin"]


# Settings


@pytest.mark.parametrize(
    ("config", "place", "words"),
    [
        ({"do": "xlsx_write"}, "file", "expected a path such as reports/orders.xlsx: this can only be kept as a file"),
        ({"do": "html_read"}, "fields", "Fields to take out: add at least one."),
        ({"do": "html_read", "fields": fields(a="h1[")}, "fields.0.selector", "expected a CSS selector such as h1"),
        ({"do": "html_read", "fields": fields(a="h1" * 200)}, "fields.0.selector", "at most 300 characters"),
        ({"do": "html_read", "fields": fields(a=":is(a)" * 5)}, "fields.0.selector", "at most four of :has()"),
        ({"do": "html_read", "fields": fields(a="a"), "each": ">"}, "each", "expected a CSS selector"),
        ({"do": "xml_write", "root": "a b"}, "root", "expected the name of an element such as orders; it is “a b”"),
        ({"do": "csv_read", "encoding": "rot13"}, "encoding", "must be one of"),
        ({"do": "pdf_read"}, "do", "must be one of"),
    ],
)
def test_what_publishing_can_see_is_named_at_its_field(config: dict[str, Any], place: str, words: str) -> None:
    ((where, text),) = config_errors(kinds()["convert"], config)
    assert where == place and words in text


def test_a_step_without_a_source_says_so() -> None:
    made = step("convert", do="json_read")
    with pytest.raises(WorkflowStepError, match="Name the field that is read, or give a value"):
        asyncio.run(made.run(StepContext({}, {}, "a", 1, datetime.now(UTC), "1:a:0")))


def test_a_value_from_an_expression_counts_also_where_it_is_nothing() -> None:
    made = step("convert", do="json_read", value=None)
    with pytest.raises(WorkflowStepError, match="Expected text, or a file; it is nothing"):
        asyncio.run(made.run(StepContext({}, {"v": "{}"}, "a", 1, datetime.now(UTC), "1:a:0")))


def test_a_step_that_writes_a_file_reaches_outside_and_any_other_does_not() -> None:
    assert reaches_out(Node("a", "convert", {"do": "csv_write", "file": "a.csv"}))
    assert not reaches_out(Node("a", "convert", {"do": "csv_write"}))


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValidationError):
        step("convert", save_as="")


def test_what_comes_out_is_json() -> None:
    json.dumps(convert("feed_read", RSS))
