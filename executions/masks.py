"""Hides the values of secrets in whatever an execution writes: as they are, and in the forms that they take on their
way. Pure, no Django.

Hidden are: the value; each of its longer lines; base64 of it at every alignment, url-safe or not; percent-encoding in
upper and lower case, as programs do it and as forms do it; JSON strings, also one within another; Python's repr; hex;
HTML. Whatever matches becomes “[secret NAME]”; where two overlap, all that either covers.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from urllib.parse import quote, quote_plus

LONG_LINE = 16  # characters of a line of a longer value that are hidden by themselves, such as in a private key
LONG_NUMBER = 13_000  # bits
SELF_OVERLAP = 256  # characters up to which a form is also looked for within itself
SAFE = ("", "/", "!'()*~", "!$&'()*+,;=:@/", "!$'()*,;:@/?", ";/?:@&=+$,#!'()*~", "!*'();:@&=+$,/?#[]~")
BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")
NUMBER = re.compile(r"[-+0-9.eE]+")
ESCAPE = re.compile("%[0-9A-F]{2}")
Span = tuple[int, int, tuple[str, ...]]  # from, to, whose


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a value. `before`, `after`: characters beside it that hold some bits of it, in base64."""

    text: str
    name: str
    before: int = 0
    after: int = 0

    @property
    def reach(self) -> int:
        return len(self.text) + self.after


@dataclass(slots=True)
class Mask:
    """The values that an execution has been given so far. Costs nothing while there is none."""

    _values: dict[str, str] = field(default_factory=dict, repr=False)  # value -> name
    _forms: tuple[Form, ...] = field(default=(), repr=False)
    _by_first: dict[str, list[Form]] = field(default_factory=dict, repr=False)  # by their first character
    _reach: int = 0  # of the longest form
    _shortest: int = 0  # characters of the shortest: in what has fewer there is none
    _numbers: dict[str, str] = field(default_factory=dict, repr=False)  # those of the values that may be a number
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    @property
    def is_empty(self) -> bool:
        return not self._forms

    def add(self, name: str, value: str) -> None:
        """From now on `value` is hidden. The same one again changes nothing."""
        if not value or value in self._values:
            return
        with self._lock:  # steps beside each other add theirs; those that read meanwhile see the old or the new
            if value in self._values:
                return
            self._look_for((*self._forms, *forms(name, value)))
            if NUMBER.fullmatch(value):
                self._numbers = {**self._numbers, value: name}
            self._values = {**self._values, value: name}  # the last: who finds it there may go on at once

    def text(self, text: str) -> str:
        if not self._forms or len(text) < self._shortest or not (spans := self.spans(text)):
            return text
        return "".join(_pieces(text, _merged(spans), len(text)))

    def hide(self, told: str | bytes) -> str | bytes:
        """A text, or bytes, of which whatever is no text stays as it is."""
        if isinstance(told, str) or not self._forms:
            return self.text(told) if isinstance(told, str) else told
        return self.text(told.decode(errors="surrogateescape")).encode(errors="surrogateescape")

    def data(self, value: Any) -> Any:
        """The same JSON value with every text, key and number masked."""
        return self._data(value) if self._forms else value

    def spans(self, text: str) -> list[Span]:
        """Where something of a secret stands, in order; they may overlap."""
        here = [form for form in self._forms if form.text in text]
        return sorted((span for form in here for span in _found(form, text)), key=lambda one: (one[0], -one[1]))

    def unsure(self, text: str) -> int:
        """From where on `text` may be the beginning of a secret, or of more of one; its length where it is none."""
        end = len(text)
        for at in range(max(0, end - self._reach + 1), end):
            begun = [form for form in self._by_first.get(text[at], ()) if _is_begun(form, text, at)]
            if begun:
                return max(0, at - max(form.before for form in begun))
        return end - (bool(self._forms) and text[-1:] in BASE64)  # it may hold bits of what comes next, in base64

    def _look_for(self, fresh: tuple[Form, ...]) -> None:
        by_first: dict[str, list[Form]] = {}
        for form in fresh:
            by_first.setdefault(form.text[0], []).append(form)
        self._reach, self._by_first = max(form.reach for form in fresh), by_first
        self._shortest = min(len(form.text) for form in fresh)
        self._forms = tuple(sorted(fresh, key=lambda form: -len(form.text)))

    def _data(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list | tuple):
            return [self._data(item) for item in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._number(value)
        return value

    def _object(self, value: dict[Any, Any]) -> dict[Any, Any]:
        masked: dict[Any, Any] = {}
        for key, item in value.items():
            told, count = self._data(key), 1
            while told in masked:  # two keys that look the same now are two still
                count += 1
                told = f"{self._data(key)} ({count})"
            masked[told] = self._data(item)
        return masked

    def _number(self, number: int | float) -> Any:
        if not self._numbers:
            return number
        name = next((self._numbers[text] for text in _digits(number) if text in self._numbers), None)
        return number if name is None else _label([name])


class Stream:
    """A mask over a text that comes in pieces: a value that is cut anywhere passes as little as a whole one.

    Holds back only what may be the beginning of a value. After the last piece, call end().
    """

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._held = ""
        self._labelled: Span = (0, 0, ())  # what stands at the beginning of that and has its label already

    def feed(self, piece: str) -> str:
        if self._mask.is_empty and not self._held:
            return piece
        text = self._held + piece
        return self._give(text, self._mask.unsure(text))

    def end(self) -> str:
        return self._give(self._held, len(self._held))

    def _give(self, text: str, cut: int) -> str:
        """What stands before `cut`; a secret that goes on behind it has its label now, and the rest of it none."""
        began = [span for span in self._mask.spans(text) if span[0] < cut]
        spans = _merged([self._labelled, *began])
        told = "".join(_pieces(text, spans, cut, known=self._labelled[2]))
        _, end, names = spans[-1]
        self._labelled = (0, end - cut, names) if end > cut else (0, 0, ())
        self._held = text[cut:]
        return told


def forms(name: str, value: str) -> Iterator[Form]:
    """Every way in which a value is looked for, each once."""
    seen: set[str] = set()
    lines = [line.strip() for line in value.splitlines()]
    parts = [value, *(line for line in lines if len(line) >= LONG_LINE and not line.startswith("-----"))]
    for form in (form for part in dict.fromkeys(parts) for form in _written(name, part)):
        if form.text not in seen:
            seen.add(form.text)
            yield form


def _written(name: str, value: str) -> Iterator[Form]:
    raw = value.encode(errors="surrogatepass")
    yield from (Form(text, name) for text in (value, *_percent(raw), *_json(value), *_html(value)))
    yield from (Form(text, name) for text in (repr(value)[1:-1], raw.hex(), raw.hex().upper()))
    yield from (Form(text, name) for text in (value.replace("\n", "\r\n"),))
    for offset in range(3):
        yield from _base64(name, raw, offset)


def _percent(raw: bytes) -> Iterator[str]:
    """Programs differ in which characters they leave as they are."""
    for text in (*(quote(raw, safe=safe) for safe in SAFE), quote_plus(raw)):
        yield text
        yield ESCAPE.sub(lambda found: found[0].lower(), text)


def _json(value: str) -> Iterator[str]:
    """Also within a JSON text that stands in a JSON text, and with the “/” that some programs escape."""
    for is_ascii in (True, False):
        once = json.dumps(value, ensure_ascii=is_ascii)[1:-1]
        yield from (once, once.replace("/", "\\/"), json.dumps(once, ensure_ascii=is_ascii)[1:-1])


def _html(value: str) -> Iterator[str]:
    escaped = html.escape(value)
    yield from (escaped, html.escape(value, quote=False), escaped.replace("&#x27;", "&#39;").replace("&quot;", "&#34;"))


def _base64(name: str, raw: bytes, offset: int) -> Iterator[Form]:
    """The characters that depend on the value alone, where `offset` bytes of something else stand before it (modulo
    3). Those that it shares with its neighbours are covered too where it is found."""
    first, bits = -(-8 * offset // 6), 8 * (offset + len(raw))
    core = base64.b64encode(b"\0" * offset + raw).decode()[first : bits // 6]
    for text in (core, core.replace("+", "-").replace("/", "_")):
        yield Form(text, name, before=1 if offset else 0, after=1 if bits % 6 else 0)


def _found(form: Form, text: str) -> Iterator[Span]:
    size, at = len(form.text), text.find(form.text)
    while at != -1:
        end = at + size
        before = form.before if text[max(0, at - 1) : at] in BASE64 else 0
        after = form.after if text[end : end + 1] in BASE64 else 0
        yield max(0, at - before), min(len(text), end + after), (form.name,)
        at = text.find(form.text, at + 1 if size <= SELF_OVERLAP else end)


def _is_begun(form: Form, text: str, at: int) -> bool:
    """Whether the text ends within it, or before the character behind it that it shares."""
    return len(text) - at < form.reach and form.text.startswith(text[at:])


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Those that overlap as one, with the names of those that reach further than the ones before."""
    merged: list[Span] = []
    for start, end, names in spans:
        if merged and start < merged[-1][1]:
            first, last, told = merged[-1]
            more = tuple(name for name in names if name not in told) if end > last else ()
            merged[-1] = (first, max(last, end), told + more)
        else:
            merged.append((start, end, names))
    return merged


def _pieces(text: str, spans: Iterable[Span], end: int, known: tuple[str, ...] = ()) -> Iterator[str]:
    """The text up to `end` with labels for what is covered. `known`: names that the first span has told already."""
    at = 0
    for start, stop, names in spans:
        yield text[at:start]
        yield _label([name for name in names if name not in known])
        at, known = stop, ()
    yield text[at:end]


def _digits(number: int | float) -> list[str]:
    """How it may have been written. Python refuses to write very long ones, and no secret is read as one of those."""
    if isinstance(number, int):
        return [str(number)] if number.bit_length() < LONG_NUMBER else []
    return [repr(number), f"{number:g}", *([str(int(number))] if number.is_integer() else [])]


def _label(names: Iterable[str]) -> str:
    return "".join(f"[secret {name}]" for name in names)
