"""How a step is said in words: the name of its kind, the titles of its settings, a value in short. No Django."""

from __future__ import annotations

import json
from typing import Any

from workflows.asking import asked
from workflows.steps import kinds
from workflows.words import count

SHORT = 60  # characters of a value that are said; longer ones are told by their size


def kind_label(name: Any) -> str:
    """What people call a kind; one that is not installed goes by its name."""
    kind = kinds().get(name) if isinstance(name, str) else None
    return kind.label if kind else cut(str(name or "nothing"))


def title(kind: Any, key: str) -> str:
    """What the kind calls this setting, else its key as words."""
    known = kinds().get(kind) if isinstance(kind, str) else None
    field = known.Config.model_fields.get(key) if known else None
    return (field and field.title) or cut(key.replace("_", " "))


def said(value: Any) -> str:
    """“text”, yes, 12, nothing, “a” and “b”; what is long by its size, such as "4 items" or "1,204 characters"."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "":
        return "nothing"
    if isinstance(value, str):
        return f"“{value}”" if is_short(value) else count(len(value), "character")
    if isinstance(value, list) and value and all(isinstance(item, str) and is_short(item) for item in value):
        return listed(value)
    if words := asked(value):
        return words
    flat = json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict | list) and len(flat) > SHORT:
        return count(len(value), "item" if isinstance(value, list) else "entry")
    return cut(flat)


def is_short(text: str) -> bool:
    """Fits into a sentence, and looks there as it is."""
    return len(text) <= SHORT and " ".join(text.split(" ")).isprintable() and text == text.strip()


def cut(text: str) -> str:
    """One line, at most SHORT characters."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[: SHORT + 1])
    return line if len(line) <= SHORT else f"{line[: SHORT - 1]}…"


def listed(names: list[str], most: int = 5) -> str:
    """“a”, “b” and “c”; beyond `most` their number."""
    words = [f"“{cut(name)}”" for name in names[:most]]
    if len(names) > most:
        words.append(f"{len(names) - most:,} more")
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
