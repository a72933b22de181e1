"""Names of an expression in its context: plain paths are looked up here, and what is missing is said here. Pure.

`{{ steps.fetch.output.title }}` needs no engine: most expressions are a path, and this way they cost no child, keep
every number as it is, and may hand on values of any size.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import takewhile
from typing import Any

NAMED = r"[^\W\d]\w*"
PATH = rf"""{NAMED}(?:\s*\.\s*{NAMED}|\[-?\d{{1,9}}\]|\["[^"\\]*"\]|\['[^'\\]*'\])*"""
WHOLE = re.compile(rf"\s*\{{\{{\s*({PATH})\s*\}}\}}\s*")
PLACE = re.compile(rf"\{{\{{\s*({PATH})\s*\}}\}}")
PIECE = re.compile(rf"""({NAMED})|\[(-?\d+)\]|\["([^"]*)"\]|\['([^']*)'\]""")
OTHERS_AT_ONCE, LOOKED_AT, LONGEST_KEY = 8, 1_000, 60

Path = list[str | int]
Chain = tuple[str | int, ...]

STRING = r""""(?:\\.|[^"\\])*+"|'(?:\\.|[^'\\])*+'"""
LINK = rf"\s*\.\s*(?:{NAMED}|\d{{1,9}})|\s*\[\s*(?:{STRING}|-?\d{{1,9}})\s*\]"
CHAIN = re.compile(rf"""(?<![\w."'])(?P<root>{NAMED})(?P<links>(?:{LINK})*)""", re.DOTALL)
LINKS = re.compile(LINK, re.DOTALL)
OPENS = re.compile(r"\{\{|\{%|\{#")
# A string that is never closed goes to the end at once: else each of its quotes would be tried again.
TOKENS = re.compile(r""""(?:\\.|[^"\\])*+(?:"|\Z)|'(?:\\.|[^'\\])*+(?:'|\Z)|\}\}|%\}""", re.DOTALL)


class Absent(Exception):
    """Nothing stands there, as a sentence."""


def pieces(path: str) -> Path:
    """ "steps.fetch.output["a b"][0]" -> ["steps", "fetch", "output", "a b", 0]"""
    return [int(found[2]) if found[2] else found[1] or found[3] or found[4] or "" for found in PIECE.finditer(path)]


def find(path: str, context: Mapping[str, Any]) -> Any:
    """The value at a path; raises Absent."""
    value: Any = context
    for piece in pieces(path):
        if isinstance(piece, int) and isinstance(value, list) and -len(value) <= piece < len(value):
            value = value[piece]
        elif isinstance(value, Mapping) and piece in value:
            value = value[str(piece)]
        else:
            raise Absent(absent(path, context))
    return value


def absent(path: str, context: Mapping[str, Any]) -> str:
    """What is missing at a path that leads nowhere, and which keys are there instead; never a value."""
    value: Any = context
    done: Path = []
    for piece in pieces(path):
        if isinstance(piece, int) and isinstance(value, list) and -len(value) <= piece < len(value):
            value = value[piece]
        elif isinstance(value, Mapping) and piece in value:
            value = value[str(piece)]
        else:
            return f"“{path[:200]}” is not there: {_instead(done, value, piece)}"
        done.append(piece)
    return f"“{path[:200]}” is not there."


def _instead(done: Path, value: Any, missed: str | int) -> str:
    where = spelled(done) or "an expression"
    if isinstance(value, Mapping):
        if not value:
            return f"{where} is an empty object."
        keys = near(str(missed), value)
        more = f", and {len(value) - len(keys):,} more" if len(value) > len(keys) else ""
        return f"{where} has {', '.join(map(_shown, keys))}{more}.{_dashes(done, keys, str(missed))}"
    if isinstance(value, list):
        return f"{where} is a list with {len(value):,} item{'' if len(value) == 1 else 's'}."
    return f"{where} is {_word(value)}, which has no keys."


def _dashes(done: Path, keys: Sequence[str], missed: str) -> str:
    """A name with a dash reads as a subtraction, so what is missed is its beginning."""
    dashed = next((key for key in keys if key.startswith(f"{missed}-")), None)
    return f" Write {spelled([*done, dashed])} for it." if dashed else ""


def near(missed: str, keys: Iterable[str]) -> list[str]:
    """At most 8 of the keys, those that look like it first."""
    known = [key for _, key in zip(range(LOOKED_AT), keys, strict=False)]
    close = get_close_matches(missed[:LONGEST_KEY], [key for key in known if len(key) <= LONGEST_KEY], 3, 0.6)
    close += [key for key in known if key.startswith(f"{missed}-") and key not in close]
    return [*close, *(key for key in known if key not in close)][:OTHERS_AT_ONCE]


def spelled(path: Path) -> str:
    """As an expression has it: steps["fetch-2"].output[0]."""
    text = ""
    for piece in path:
        if isinstance(piece, int):
            text += f"[{piece}]"
        elif re.fullmatch(NAMED, piece):
            text += f".{piece}" if text else piece
        else:
            text += f'["{_shown(piece)}"]'
    return text


def _shown(key: str) -> str:
    return key if len(key) <= LONGEST_KEY else f"{key[:LONGEST_KEY]}…"


def _word(value: Any) -> str:
    if value is None:
        return "null"
    return {str: "a text", bool: "true or false", int: "a number", float: "a number"}.get(type(value), "a value")


# What an expression names


def tags(source: str) -> Iterator[str]:
    """Each {{ … }} and {% … %}, whole, up to one that is never closed. Goes through the text but once."""
    at = 0
    while opened := OPENS.search(source, at):
        if opened.group() == "{#":
            end = source.find("#}", opened.end())
            at = len(source) if end < 0 else end + 2
            continue
        closing = "}}" if opened.group() == "{{" else "%}"
        end = next((token.end() for token in TOKENS.finditer(source, opened.end()) if token.group() == closing), -1)
        if end < 0:
            return
        yield source[opened.start() : end]
        at = end


def chains(source: str) -> tuple[Chain, ...]:
    """Every path in it, as far as it stands in it; more rather than less, since a text in it may look like one."""
    return tuple({_chain(found): None for tag in tags(source) for found in CHAIN.finditer(tag)})


def needed(sources: Sequence[str], context: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the context that the sources name: a title out of a large answer does not take the answer along."""
    known: dict[str, Any] = {}
    named = {_until_index(chain) for source in sources for chain in chains(source) if chain[0] in context}
    for names in sorted(named, key=len, reverse=True):  # the whole last, over its parts
        _copy_along(known, context, names)
    return known


def _chain(found: re.Match[str]) -> Chain:
    return (found["root"], *(_link(link.group()) for link in LINKS.finditer(found["links"])))


def _link(text: str) -> str | int:
    text = text.strip()
    if text.startswith("."):
        name = text[1:].strip()
        return int(name) if name.isdigit() else name
    inside = text[1:-1].strip()
    if inside[0] not in "\"'":
        return int(inside)
    return re.sub(r"\\(.)", r"\1", inside[1:-1], flags=re.DOTALL)


def _until_index(chain: Chain) -> tuple[str, ...]:
    """A place in a list cannot be handed over without those before it."""
    return tuple(map(str, takewhile(lambda part: isinstance(part, str), chain)))


def _copy_along(known: dict[str, Any], context: Any, names: tuple[str, ...]) -> None:
    *way, last = names
    for name in way:
        if not isinstance(context.get(name), Mapping):
            if name in context:
                known[name] = context[name]  # no object, though the expression takes it for one: it will be told so
            return
        context, known = context[name], known.setdefault(name, {})
    if last in context:
        known[last] = context[last]
