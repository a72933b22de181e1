"""What came back, and how its body is read: as JSON, as text, or as it is."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import unquote

from workflows.errors import InputError
from workflows.values import clean_text, parse

Reading = Literal["json", "text", "file", "nothing"]

JSON = re.compile(r"application/(json|[\w.+-]+\+json)|text/json")
TEXT = re.compile(r"text/.*|application/(xml|[\w.+-]+\+xml|javascript|x-www-form-urlencoded|x?-?yaml|graphql|sql)")
CHARSET = re.compile(r"charset=[\"']?([\w.:-]+)", re.IGNORECASE)
FILE_NAME = re.compile(r"filename=(?:\"([^\"]*)\"|([^;\s]+))", re.IGNORECASE)
FILE_NAME_UTF8 = re.compile(r"filename\*=UTF-8'[\w-]*'([^;\s]+)", re.IGNORECASE)  # RFC 5987; it goes before the other
UNSAFE = re.compile(r"[^\w.,()+@ -]+")
#: Python knows them, and no page is written in them; some are slow, or run what stands there.
NO_CHARSETS = frozenset(("punycode", "idna", "unicode-escape", "raw-unicode-escape", "utf-7"))
LONGEST_NAME = 120  # characters


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers`: by lower-case names. `url`: where it came from at last. `hide`: see hidden()."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes
    url: str
    took_ms: int = 0
    hide: Callable[[Any], Any] = field(default=lambda told: told, repr=False, compare=False)

    def hidden(self, hide: Callable[[Any], Any]) -> Answer:
        """Without the secrets that came back in it, before anything of it is cut short, saved or told."""
        headers = {hide(name): hide(value) for name, value in self.headers.items()}
        told = {"reason": hide(self.reason), "headers": headers, "body": hide(self.body), "url": hide(self.url)}
        return replace(self, **told, hide=hide)

    @property
    def line(self) -> str:
        """“200 OK”."""
        return f"{self.status} {self.reason[:60]}".strip()

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def reading(self) -> Reading:
        """How it reads by what it says that it is."""
        if not self.body:
            return "nothing"
        if JSON.fullmatch(self.content_type):
            return "json"
        if TEXT.fullmatch(self.content_type):
            return "text"
        return "file" if self.content_type or not _is_text(self.body) else "text"

    @property
    def text(self) -> str:
        """As its charset says, else as UTF-8; what does not belong there becomes U+FFFD."""
        text = clean_text(self.body.decode(self._charset(), "replace").removeprefix("\ufeff"))
        return str(self.hide(text))  # once more: in another charset it was not to be seen in the bytes

    @property
    def json(self) -> Any:
        """Raises InputError with line and column."""
        try:
            return parse(self.body, "response")
        except InputError:
            if self._charset() == "utf-8":
                raise
            return parse(self.text, "response")  # JSON is UTF-8, and yet some declare something else

    @property
    def file_name(self) -> str:
        """As the other side calls it, or as its address ends; nothing in it leads into another folder."""
        said = self.headers.get("content-disposition", "")[:1_000]
        if found := FILE_NAME_UTF8.search(said):
            named = unquote(found[1])
        else:
            found = FILE_NAME.search(said)
            named = found[1] or found[2] or "" if found else ""
        path = unquote(self.url.partition("?")[0].rpartition("/")[2])
        return _safe(named) or _safe(path) or "download"

    def _charset(self) -> str:
        found = CHARSET.search(self.headers.get("content-type", ""))
        try:
            codec = codecs.lookup(found[1]) if found else None
            b"x".decode(codec.name if codec else "utf-8", "replace")  # refuses what is a codec, and none of text
        except (LookupError, ValueError):
            return "utf-8"
        return codec.name if codec and codec.name not in NO_CHARSETS else "utf-8"


def _is_text(body: bytes) -> bool:
    try:
        return "\x00" not in body.decode()
    except UnicodeDecodeError:
        return False


def _safe(name: str) -> str:
    name = UNSAFE.sub("_", name.replace("\\", "/").rpartition("/")[2]).strip(". ")
    stem, dot, ending = name.rpartition(".")
    return f"{stem[: LONGEST_NAME - len(ending)]}{dot}{ending}" if len(ending) < 20 else name[:LONGEST_NAME]
