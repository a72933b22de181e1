"""What a model says while it says it, as lines for the log: a few a second at most, and never half a word.

A secret that comes in two pieces is put together before either is shown: see Pieces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from workflows.steps.base import AsTheyCome, Pieces

EVERY_S = 0.3
LINE_LENGTH = 4_000  # characters, beyond which a line is ended at a gap between words
Write = Callable[[str], object]


class Lines:
    """In an event loop: `add()` takes pieces of any size; on leaving, what is left is written."""

    def __init__(self, write: Write, every_s: float = EVERY_S, hidden: Pieces | None = None) -> None:
        self._write, self._every_s, self._hidden = write, every_s, hidden or AsTheyCome()
        self._pieces: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Also where the stream broke: what was said until then is worth reading."""
        self.end()

    def add(self, piece: str) -> None:
        self._pieces.append(self._hidden.feed(piece))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self._tick)

    def end(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._say("".join([*self._pieces, self._hidden.end()]))
        self._pieces = []

    def _tick(self) -> None:
        self._timer = None
        text = "".join(self._pieces)
        cut = gap(text)
        self._say(text[:cut])
        self._pieces = [text[cut:]]

    def _say(self, text: str) -> None:
        while len(text) > LINE_LENGTH:
            cut = gap(text[:LINE_LENGTH]) or _next_gap(text)
            self._put(text[:cut])
            text = text[cut:]
        self._put(text)

    def _put(self, text: str) -> None:
        if text.strip():
            self._write(text.strip("\n").rstrip())


def gap(text: str) -> int:
    """Where a text may be cut: behind its last line break, else behind its last space; 0 where there is neither."""
    if (line := text.rfind("\n")) >= 0:
        return line + 1
    return next((place + 1 for place in range(len(text) - 1, -1, -1) if text[place].isspace()), 0)


def _next_gap(text: str) -> int:
    """Behind the first word, which is longer than a line; the engine shows its beginning."""
    return next((place + 1 for place, sign in enumerate(text) if sign.isspace()), len(text))
