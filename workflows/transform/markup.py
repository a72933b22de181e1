"""XML, HTML, Markdown and feeds. What comes out is data: a page that shows it must treat it as text.

Nothing here fetches anything: no entity, style, picture or address is followed.
"""

from __future__ import annotations

import calendar
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Literal
from xml.parsers import expat
from xml.parsers.expat import ExpatError

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from workflows.comparison import said
from workflows.transform.bytes import require_small
from workflows.transform.places import Place
from workflows.transform.thread import Stop
from workflows.transform.wrong import MOST_BYTES, require_few, setting, wrong
from workflows.values import MAX_DEPTH

HTML_BYTES = 4 * 1024 * 1024  # a tree takes many times as much
MARKDOWN_BYTES = 1024 * 1024
ELEMENTS = 100_000
DEEPEST = 1_000
XML_ELEMENTS = 500_000
SEARCH_S = 10.0  # for all selectors of a step
SELECTOR = 300  # characters
NAME = re.compile(r"[^\W\d][\w.:-]*")
Take = Literal["text", "attribute", "html"]


class Selected(BaseModel):
    """A field, and where its value stands in the page."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Place = Field(
        "",
        title="Name",
        description="Of the field that it becomes, such as price.",
        validate_default=True,
        json_schema_extra={"example": "price"},
    )
    selector: str = Field(
        "",
        title="CSS selector",
        description="Such as h1, .price or a[href^=http]. Empty: the repeated element itself.",
        json_schema_extra={"example": ".price"},
    )
    take: Take = Field(
        "text",
        title="Take",
        description="What of the element.",
        json_schema_extra={"words": {"text": "its text", "attribute": "an attribute", "html": "its HTML"}},
    )
    attribute: str = Field(
        "href",
        title="Attribute",
        description="Such as href, src or content.",
        max_length=100,
        json_schema_extra={"when": {"take": ["attribute"]}},
    )
    every: bool = Field(False, title="All matches, as a list", description="Else the first one.")

    @field_validator("selector")
    @classmethod
    def _is_a_selector(cls, selector: str, known: ValidationInfo) -> str:
        return require_selector(selector)


def require_selector(selector: str) -> str:
    bare = selector.strip()
    if len(bare) > SELECTOR:
        raise setting(f"a selector has at most {SELECTOR} characters")
    if bare.count(":has(") + bare.count(":nth-") + bare.count(":is(") + bare.count(":not(") > 4:
        raise setting("a selector has at most four of :has(), :is(), :not() and :nth-…: shorter ones are faster")
    if bare:
        _compiled(bare)
    return bare


def _compiled(selector: str) -> Any:
    import soupsieve

    try:
        return soupsieve.compile(selector)
    except (soupsieve.SelectorSyntaxError, ValueError, NotImplementedError, RecursionError) as error:
        why = str(error).partition("\n")[0][:150]
        raise setting(f"expected a CSS selector such as h1 or .price; “{selector[:60]}” is none: {why}") from None


# HTML


def read_html(text: str, each: str, fields: list[Selected], stop: Stop) -> Any:
    """One object; with `each`, a list of one object for each element that fits it."""
    tree, until = _tree(text, stop), monotonic() + SEARCH_S
    if not each:
        return _picked(tree, fields, stop, until)
    made = []
    for element in _found(tree, each, stop, until):
        made.append(_picked(element, fields, stop, until))
        require_few(len(made), "This page")
    return made


def _tree(text: str, stop: Stop) -> Any:
    """Raises WorkflowStepError while it is read, as soon as it has too many elements or is too deep."""
    import bs4

    class Bounded(bs4.BeautifulSoup):
        elements = 0

        def pushTag(self, tag: Any) -> None:
            stop.ask()
            self.elements += 1
            if self.elements > ELEMENTS:
                raise wrong(f"The page has more than {ELEMENTS:,} elements, which is the most that can be read.")
            if len(self.tagStack) > DEEPEST:
                raise wrong(f"The page is nested more than {DEEPEST:,} elements deep.")
            super().pushTag(tag)

    require_small(len(text), "The page", HTML_BYTES)
    try:
        return Bounded(text, "html.parser")
    except (RecursionError, bs4.exceptions.ParserRejectedMarkup, AssertionError) as error:
        raise wrong(f"The page cannot be read: {str(error)[:100] or 'it is nested too deep'}.") from None


def _found(tree: Any, selector: str, stop: Stop, until: float) -> Iterator[Any]:
    """One element after another is asked, so that a slow selector can be broken off."""
    fits = _compiled(selector)
    for element in tree.find_all(True):
        stop.ask()
        if monotonic() > until:
            raise wrong(f"The selectors take too long on this page: more than {SEARCH_S:g} s. Make them shorter.")
        try:
            if fits.match(element):
                yield element
        except RecursionError:
            raise wrong("The page is nested too deep for this selector.") from None


def _picked(tree: Any, fields: list[Selected], stop: Stop, until: float) -> dict[str, Any]:
    from workflows.transform.places import put

    made: dict[str, Any] = {}
    for field in fields:
        found = _found(tree, field.selector, stop, until) if field.selector else iter([tree])
        value = [_taken(element, field) for element in found] if field.every else _first(found, field)
        made = put(made, field.name, value)
    return made


def _first(found: Iterator[Any], field: Selected) -> Any:
    element = next(found, None)
    return None if element is None else _taken(element, field)


def _taken(element: Any, field: Selected) -> Any:
    try:
        if field.take == "attribute":
            value = element.get(field.attribute)
            return " ".join(value) if isinstance(value, list) else value
        return str(element) if field.take == "html" else plain(element)
    except RecursionError:
        raise wrong(f"“{field.name}”: this part of the page is nested too deep.") from None


def plain(element: Any) -> str:
    """Its text without scripts, with single blanks."""
    pieces = (piece for piece in element.strings if piece.parent.name not in ("script", "style", "template"))
    return " ".join("".join(pieces).split())


# fmt: off
BLOCKS = frozenset({
    "[document]", "html", "body", "p", "div", "li", "ul", "ol", "dl", "dt", "dd", "tr", "table", "h1", "h2", "h3", "h4",
    "h5", "h6", "section", "article", "header", "footer", "main", "nav", "aside", "pre", "blockquote", "form",
    "title", "figure", "figcaption", "br", "hr",
})
# fmt: on


def html_to_text(text: str, stop: Stop) -> str:
    """A line for each block."""
    lines: list[str] = []
    blocks: dict[int, Any] = {}
    last: Any = None
    for piece in stop.each(_tree(text, stop).descendants):
        if piece.name == "br":
            last = None
        if piece.name is not None or type(piece).__name__ != "NavigableString":
            continue  # an element; a comment, a script, a style
        block = _block_of(piece.parent, blocks)
        if block is not last or not lines:
            lines.append(str(piece))
        else:
            lines[-1] += str(piece)
        last = block
    made = (" ".join(line.split()) for line in lines)
    return "\n".join(line for line in made if line)


def _block_of(element: Any, known: dict[int, Any]) -> Any:
    """The block that it stands in; what was found on the way is remembered."""
    way = []
    while id(element) not in known and element.name not in BLOCKS and element.parent is not None:
        way.append(id(element))
        element = element.parent
    block = known.get(id(element), element)
    known.update(dict.fromkeys((*way, id(element)), block))
    return block


def html_to_markdown(text: str, stop: Stop) -> str:
    import markdownify

    class Bounded(markdownify.MarkdownConverter):
        """Each level writes what is inside it again, so it is the work that has a limit."""

        written = 0

        def process_tag(self, node: Any, parent_tags: Any = None) -> str:
            stop.ask()
            made = super().process_tag(node, parent_tags)  # type: ignore[misc]
            self.written += len(made)
            if self.written > MOST_BYTES * 4:
                raise wrong("The page is too large and nested too deep to be written as Markdown.")
            return str(made)

    try:
        made = Bounded(heading_style="ATX", bullets="-").convert_soup(_tree(text, stop))
    except RecursionError:
        raise wrong("The page is nested too deep to be written as Markdown.") from None
    return re.sub(r"\n{3,}", "\n\n", str(made)).strip()


def markdown_to_html(text: str, stop: Stop) -> str:
    """CommonMark with tables. HTML inside is escaped, and addresses that run something are left out."""
    from markdown_it import MarkdownIt

    require_small(len(text), "The text", MARKDOWN_BYTES)
    stop.ask()
    reader = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    return str(reader.render(text)).strip()


# XML


def read_xml(text: str, stop: Stop) -> dict[str, Any]:
    """Elements by their names, several of one name as a list, attributes with “@”, text beside them as “#text”.

    A document with entities of its own is refused: they are how a small file becomes a large one.
    """
    import xmltodict

    bare = re.sub(r"^\s*<\?xml[^>]*\?>", "", text.removeprefix("\ufeff"), count=1)  # the encoding is done with
    try:
        _look_through(bare, stop)
        made = xmltodict.parse(bare, disable_entities=True)
    except (ExpatError, ValueError) as error:
        raise wrong(f"This is not valid XML: {str(error)[:200]}.") from None
    return dict(made or {})


def _look_through(text: str, stop: Stop) -> None:
    """Before anything is kept of it: how deep it is, and whether it declares entities."""
    parser, depth, many = expat.ParserCreate(), 0, 0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, many
        depth, many = depth + 1, many + 1
        stop.ask()
        if many > XML_ELEMENTS:
            raise wrong(f"The XML has more than {XML_ELEMENTS:,} elements, which is the most that can be read.")
        if depth > MAX_DEPTH - 4:
            raise wrong(f"The XML is nested more than {MAX_DEPTH - 4} levels deep.")

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1

    def declared(*_: Any) -> None:
        raise wrong("The XML declares entities of its own (in a DTD), which are not followed. Take them out.")

    parser.StartElementHandler, parser.EndElementHandler, parser.EntityDeclHandler = begin, end, declared
    parser.Parse(text, True)


def write_xml(value: Any, root: str) -> str:
    """An object; where it has more than one key, or is a list, inside the element `root`."""
    import xmltodict

    is_whole = isinstance(value, dict) and len(value) == 1 and not isinstance(next(iter(value.values())), list)
    whole = value if is_whole else {root: {"item": value} if isinstance(value, list) else value}
    _require_names(whole)
    try:
        return str(xmltodict.unparse(whole, pretty=True))
    except (ValueError, TypeError) as error:
        raise wrong(f"This cannot be written as XML: {str(error)[:200]}.") from None


def _require_names(value: Any, depth: int = 0) -> None:
    if isinstance(value, dict):
        for name, inside in value.items():
            bare = name.lstrip("@")
            if name != "#text" and not NAME.fullmatch(bare):
                raise wrong(f"“{name[:60]}” is no name of an XML element: rename that field first.")
            _require_names(inside, depth + 1)
    elif isinstance(value, list):
        for inside in value:
            _require_names(inside, depth + 1)
    elif isinstance(value, str) and re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", value):
        raise wrong(f"{said(value)} has a control character, which XML cannot hold.")


# Feeds


def read_feed(content: bytes, stop: Stop) -> dict[str, Any]:
    """{"title", "link", "description", "updated", "entries": [{"id", "title", "link", "published", "updated",
    "author", "summary", "content", "tags", "files"}]}, of RSS and Atom alike; times in ISO form, UTC."""
    import feedparser

    require_small(len(content), "The feed", HTML_BYTES)
    if re.search(rb"<!\s*ENTITY", content, re.IGNORECASE):
        raise wrong("The feed declares entities of its own (a DTD), which are not followed.")
    stop.ask()
    try:
        found = feedparser.parse(io.BytesIO(content), resolve_relative_uris=False)
    except RecursionError:
        raise wrong("The feed is nested too deep.") from None
    if not found.get("version") and not found.entries:
        why = found.get("bozo_exception")
        raise wrong(f"This is no RSS or Atom feed{f': {str(why)[:150]}' if why else ''}.")
    head = found.feed
    return {
        "title": head.get("title", ""),
        "link": head.get("link", ""),
        "description": head.get("subtitle", ""),
        "updated": _time(head, "updated") or _time(head, "published"),
        "entries": [_entry(entry) for entry in stop.each(found.entries)],
    }


def _entry(entry: Any) -> dict[str, Any]:
    return {
        "id": entry.get("id") or entry.get("link", ""),
        "title": entry.get("title", ""),
        "link": entry.get("link", ""),
        "published": _time(entry, "published") or _time(entry, "updated"),
        "updated": _time(entry, "updated") or _time(entry, "published"),
        "author": entry.get("author", ""),
        "summary": entry.get("summary", ""),
        "content": next((one.get("value", "") for one in entry.get("content", [])), ""),
        "tags": [tag.get("term") or "" for tag in entry.get("tags", [])],
        "files": [
            {"url": one.get("href", ""), "type": one.get("type", ""), "size": one.get("length", "")}
            for one in entry.get("enclosures", [])
        ],
    }


def _time(of: Any, name: str) -> str | None:
    parsed = dict.get(of, f"{name}_parsed")  # the library's own get() would answer with another time
    try:
        return datetime.fromtimestamp(calendar.timegm(parsed), UTC).isoformat() if parsed else None
    except (ValueError, OverflowError, OSError):
        return None
