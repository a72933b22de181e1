"""Expressions: {{ steps.fetch.output.title }} and more, in Jinja's syntax, evaluated in children of this process.

The engine can hang, run out of memory or crash on what people write, and holds the interpreter meanwhile: so it runs
in a warm, jailed child, which is killed after half a second and started again. Plain paths never leave this process.
No Django; nothing starts before the first expression that needs it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workflows.evaluation import lookup
from workflows.evaluation.filters import Refused, text
from workflows.evaluation.pool import ANSWERS_BYTES, MINUTE, POOL, Ended
from workflows.evaluation.words import SENTENCES, sentence
from workflows.values import copied, weight

SOURCE_BYTES = 16 * 1024
CONTEXT_BYTES = 1024 * 1024
RESULT_BYTES = 1024 * 1024
LONE = re.compile("[\ud800-\udfff]")
MOVED = re.compile("[\U0010d800-\U0010dfff]")
MARKS = ("{{", "{%", "{#", "}}")
PASSES_AFTER_S = {Ended.BARRED: MINUTE, Ended.NO_CHILD: 10.0}
MOVE = 0x100000  # to the last private plane, and back: the engine has no word for half a character


@dataclass(frozen=True, slots=True)
class Template:
    """`is_whole`: exactly one {{ expression }}, whose value keeps its JSON type. Otherwise the result is a text."""

    source: str
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no value, in plain words, never with values in it. `line`, `column`: from 1, within the source.

    `passes_after_s`: where it is not the expression's own doing, and may be otherwise then.
    """

    message: str
    line: int | None = None
    column: int | None = None
    passes_after_s: float | None = field(default=None, compare=False)


def evaluate(templates: Sequence[Template], context: Mapping[str, Any], owner: str = "") -> list[Any]:
    """A value, or a Fault, for each. Pure: the same context gives the same. Blocks, at most for some seconds.

    `owner`: whose they are, such as a workflow; three that had to be killed within a minute keep its others out.
    """
    made = list(_with_room(_at_once(template, context) for template in templates))
    made += [Fault(Ended.TOGETHER.value)] * (len(templates) - len(made))
    rest = [place for place, one in enumerate(made) if one is _NOT_YET]
    if rest:
        found = _in_child([templates[place] for place in rest], context, owner)
        for place, one in zip(rest, found, strict=True):
            made[place] = one
    return made


def _with_room(answers: Iterator[Any]) -> Iterator[Any]:
    """Until they are too large together: many settings may each name all of the data."""
    total = 0
    for one in answers:
        total += 0 if isinstance(one, Fault | _NotYet) else weight(one, ANSWERS_BYTES)
        if total > ANSWERS_BYTES:
            return
        yield one


def check(sources: Sequence[str], owner: str = "") -> list[Fault | None]:
    """For each, what is wrong with its syntax, without any data. `owner`: as in evaluate()."""
    made: list[Any] = [_too_long(source) or _NOT_YET for source in sources]
    rest = [place for place, one in enumerate(made) if one is _NOT_YET]
    if rest:
        asked = [sources[place] for place in rest]
        told = POOL.ask(lambda start: _line({"sources": asked[start:]}), len(asked), owner)
        for place, one in zip(rest, told, strict=True):
            fault = _read(one, sources[place], {})
            made[place] = fault if isinstance(fault, Fault) else None
    return made


def is_plain(source: str) -> bool:
    """Nothing but text and plain paths, which are looked up without a child where all of them are known."""
    between = lookup.PLACE.split(source)[::2] if len(source) <= SOURCE_BYTES else ["{{"]
    return not any(mark in part for part in between for mark in MARKS)


def close() -> None:
    """Ends the children; the next expression starts others."""
    POOL.close()


# In this process


class _NotYet:
    pass


_NOT_YET = _NotYet()


def _at_once(template: Template, context: Mapping[str, Any]) -> Any:
    """Where it is but plain paths, or cannot be at all."""
    if too_long := _too_long(template.source):
        return too_long
    try:
        if template.is_whole:
            return _value_at(template.source, context)
        return _text_of(template.source, context)
    except Refused as refused:
        return Fault(str(refused))


def _value_at(source: str, context: Mapping[str, Any]) -> Any:
    found = lookup.WHOLE.fullmatch(source)
    if found is None or lookup.pieces(found[1])[0] not in context:
        return _NOT_YET
    try:
        return copied(lookup.find(found[1], context))
    except lookup.Absent as absent:
        return Fault(str(absent), *place(source, found.start(1)))


def _text_of(source: str, context: Mapping[str, Any]) -> Any:
    if not is_plain(source):
        return _NOT_YET
    parts = lookup.PLACE.split(source)
    if any(lookup.pieces(path)[0] not in context for path in parts[1::2]):
        return _NOT_YET
    made = ""
    for found, literal in zip([None, *lookup.PLACE.finditer(source)], parts[::2], strict=True):
        if found:
            try:
                made += text(lookup.find(found[1], context))
            except lookup.Absent as absent:
                return Fault(str(absent), *place(source, found.start(1)))
        made += literal
        if len(made) > RESULT_BYTES:
            return Fault(SENTENCES["large"])
    return made


def _too_long(source: str) -> Fault | None:
    size = len(source) if len(source) > SOURCE_BYTES else len(source.encode(errors="surrogatepass"))
    return Fault(f"This has {size:,} bytes; an expression may have {SOURCE_BYTES:,}.") if size > SOURCE_BYTES else None


# In a child


def _in_child(templates: Sequence[Template], context: Mapping[str, Any], owner: str) -> list[Any]:
    part = json.dumps(lookup.needed([one.source for one in templates], context), ensure_ascii=False, default=str)
    if len(part) > CONTEXT_BYTES or len(part.encode(errors="surrogatepass")) > CONTEXT_BYTES:
        return [Fault(SENTENCES["context"])] * len(templates)

    def request(start: int) -> bytes:
        asked = json.dumps([[one.source, one.is_whole] for one in templates[start:]], ensure_ascii=False)
        return _encoded(f'{{"templates": {asked}, "context": {part}}}')

    told = POOL.ask(request, len(templates), owner)
    has_lone = LONE.search(part) is not None
    return [
        _read(_moved_back(one) if has_lone and isinstance(one, str) else one, template.source, context)
        for one, template in zip(told, templates, strict=True)
    ]


def _line(request: Any) -> bytes:
    return _encoded(json.dumps(request, ensure_ascii=False))


def _encoded(line: str) -> bytes:
    try:
        return line.encode() + b"\n"
    except UnicodeEncodeError:
        return LONE.sub(lambda found: chr(ord(found[0]) + MOVE), line).encode() + b"\n"


def _moved_back(line: str) -> str:
    return MOVED.sub(lambda found: chr(ord(found[0]) - MOVE), line)


def _read(told: str | Ended, source: str, context: Mapping[str, Any]) -> Any:
    if isinstance(told, Ended):
        return Fault(told.value, passes_after_s=PASSES_AFTER_S.get(told))
    try:
        if not told.startswith("!"):
            return json.loads(told)
        fault = json.loads(told[1:])
        return Fault(sentence(fault, source, context), *_place_of(fault, source))
    except (ValueError, TypeError, KeyError, RecursionError):  # a child that was taken over may say anything
        return Fault(Ended.CRASHED.value)


def _place_of(fault: Mapping[str, Any], source: str) -> tuple[int | None, int | None]:
    """Where the engine says, or else where the name that it is about stands first."""
    if fault.get("start") is not None and fault["kind"] != "UndefinedError":
        return place(source, fault["start"])
    name = re.search(r"`([^`]+)`", fault.get("detail") or "")
    at = source.find(name[1] if name else fault.get("name") or "\0")
    at = fault.get("start", -1) if at < 0 else at
    return place(source, at) if at >= 0 else (fault.get("line"), None)


def place(source: str, at: int) -> tuple[int, int]:
    """Line and column, from 1, of an offset."""
    return source.count("\n", 0, at) + 1, at - (source.rfind("\n", 0, at) + 1) + 1
