"""Texts taken apart, searched and put together. Patterns are RE2's: their time grows with the text alone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from workflows.comparison import said
from workflows.transform.fields import text_of
from workflows.transform.thread import Stop
from workflows.transform.wrong import MOST_BYTES, require_few, wrong

LONGEST_PATTERN = 1_000
PATTERN_MEMORY = 8 * 1024 * 1024


def text(value: Any) -> str:
    """A text, or a number or yes and no as they are written. Raises WorkflowStepError for lists, objects, nothing."""
    if isinstance(value, dict | list) or value is None:
        raise wrong(f"Expected text; it is {said(value)}.")
    return require_short(text_of(value))


def require_short(value: str) -> str:
    if len(value) > MOST_BYTES:
        raise wrong(f"The text has {len(value):,} characters; at most {MOST_BYTES:,} are possible.")
    return value


@lru_cache(64)
def pattern_of(pattern: str, ignore_case: bool = False) -> Any:
    """A compiled pattern. Raises ValueError with the end of a sentence."""
    import re2

    if not pattern:
        raise ValueError(r"expected a pattern such as \d+")
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"a pattern has at most {LONGEST_PATTERN:,} characters")
    options = re2.Options()
    options.max_mem, options.log_errors, options.case_sensitive = PATTERN_MEMORY, False, not ignore_case
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"“{pattern[:60]}” is no pattern: {why[:120]}") from None


def matches(value: str, pattern: str, ignore_case: bool, stop: Stop) -> Iterator[Any]:
    try:
        yield from stop.each(pattern_of(pattern, ignore_case).finditer(value))
    except ValueError as error:
        raise wrong(f"The {error}.") from None


def extracted(value: str, pattern: str, ignore_case: bool, is_all: bool, stop: Stop) -> Any:
    """The first match, None where there is none; or all. Named groups give an object, several groups a list."""
    if not is_all:
        found = next(matches(value, pattern, ignore_case, stop), None)
        return None if found is None else _caught(found)
    made = []
    for found in matches(value, pattern, ignore_case, stop):
        made.append(_caught(found))
        require_few(len(made), "The pattern")
    return made


def _caught(found: Any) -> Any:
    if named := found.groupdict():
        return dict(named)
    groups = found.groups()
    return list(groups) if len(groups) > 1 else groups[0] if groups else found.group()


def replaced(value: str, find: str, by: str, stop: Stop) -> str:
    if len(value) + value.count(find) * (len(by) - len(find)) > MOST_BYTES:
        raise _too_long()
    return value.replace(find, by)


def replaced_by_pattern(value: str, pattern: str, by: str, ignore_case: bool, stop: Stop) -> str:
    r"""`by` may hold \1, \2 … for what groups caught."""
    made, size, at = [], 0, 0
    for found in matches(value, pattern, ignore_case, stop):
        piece = value[at : found.start()] + _expanded(found, by)
        made.append(piece)
        size, at = size + len(piece), found.end()
        if size > MOST_BYTES:
            raise _too_long()
    return "".join([*made, value[at:]])


def _expanded(found: Any, by: str) -> str:
    groups = found.groups()

    def caught(number: re.Match[str]) -> str:
        which = int(number[1])
        if which > len(groups):
            raise wrong(f"“\\{which}” stands for nothing: the pattern has {len(groups)} groups.")
        return str((found.group() if which == 0 else groups[which - 1]) or "")

    return re.sub(r"\\(\d)", caught, by)


def _too_long() -> Exception:
    return wrong(f"The text would have more than {MOST_BYTES:,} characters after this.")


def split(value: str, separator: str) -> list[str]:
    pieces = value.split(separator) if separator else value.splitlines()
    require_few(len(pieces), "Splitting")
    return pieces


def joined(value: Any, separator: str) -> str:
    if not isinstance(value, list):
        raise wrong(f"Expected a list; it is {said(value)}.")
    return require_short(separator.join(map(text_of, value)))


def truncated(value: str, length: int) -> str:
    """At most so many characters, the last an ellipsis where something was cut off, between words where that can be."""
    if len(value) <= length:
        return value
    cut = value[: max(0, length - 1)]
    at_word = cut.rpartition(" ")[0] if not value[len(cut) : len(cut) + 1].isspace() else cut
    return (at_word if len(at_word) > length // 2 else cut).rstrip() + "…" if length else ""


LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "œ": "oe", "ł": "l", "đ": "d", "þ": "th", "ð": "d"})


def slug(value: str) -> str:
    """ "Crème Brûlée, 2×" -> "creme-brulee-2" """
    plain = unicodedata.normalize("NFKD", value.lower().translate(LETTERS)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def number(value: Any, is_comma: bool) -> int | float:
    """From a text that people wrote: 1,234.50 €, or 1.234,50 with a decimal comma."""
    from workflows.comparison import number_of

    if isinstance(value, int | float) and (made := number_of(value)) is not None:
        return made
    bare = re.sub(r"[\s'’_$€£¥%]", "", text(value)[:100])
    bare = bare.replace(".", "").replace(",", ".") if is_comma else bare.replace(",", "")
    made = number_of(bare)
    if made is None:
        raise wrong(f"Expected a number such as {'1.234,50' if is_comma else '1,234.50'}; it is {said(value)}.")
    return made
