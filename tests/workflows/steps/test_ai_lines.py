"""What a model says, as lines: few, whole words, and all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.masks import Mask, Stream
from workflows.steps.language.lines import LINE_LENGTH, Lines, gap


async def written(pieces: Iterable[str], *, ticks: bool = False) -> list[str]:
    """`ticks`: its timer comes after each piece."""
    lines: list[str] = []
    with Lines(lines.append, every_s=3_600) as said:
        for piece in pieces:
            said.add(piece)
            if ticks:
                said._tick()
    return lines


async def test_a_thousand_pieces_between_two_ticks_are_one_line() -> None:
    assert await written(["word "] * 500) == [("word " * 500).strip()]


async def test_a_line_ends_where_words_end() -> None:
    assert await written(["The key is sk-", "1234", "5678 and", " more."], ticks=True) == [
        "The key is",
        "sk-12345678",
        "and",
        "more.",
    ]


async def test_whole_lines_stay_together() -> None:
    assert await written(["# Title\nfirst li", "ne\nsecond"], ticks=True) == ["# Title", "first line", "second"]


async def test_the_timer_writes_while_nothing_more_comes() -> None:
    lines: list[str] = []
    heard = asyncio.Event()

    def write(text: str) -> None:
        lines.append(text)
        heard.set()

    with Lines(write, every_s=0) as said:
        said.add("Once upon a ti")
        await heard.wait()
        assert lines == ["Once upon a"]
        said.add("me")
    assert lines == ["Once upon a", "time"]


async def test_what_was_said_before_a_failure_is_written() -> None:
    lines: list[str] = []
    with pytest.raises(ValueError), Lines(lines.append) as said:
        said.add("half a sen")
        raise ValueError
    assert lines == ["half a sen"]


async def test_blank_pieces_are_no_lines() -> None:
    assert await written(["", " ", "\n\n", "\t"], ticks=True) == []


async def test_long_texts_become_several_lines_and_no_word_is_cut() -> None:
    word = "x" * 37
    lines = await written([f"{word} " * 1_000])
    assert len(lines) > 5 and max(map(len, lines)) <= LINE_LENGTH
    assert " ".join(lines).split() == [word] * 1_000


async def test_a_word_that_is_longer_than_a_line_stays_whole() -> None:
    word = "x" * (2 * LINE_LENGTH)
    assert await written([f"a {word} b"]) == ["a", word, "b"]


@given(st.lists(st.text(st.sampled_from("ab \n"), max_size=20), max_size=20))
def test_every_word_comes_through_whole_and_in_order(pieces: list[str]) -> None:
    lines = asyncio.run(written(pieces, ticks=True))
    assert " ".join(lines).split() == "".join(pieces).split()


@pytest.mark.parametrize(("text", "cut"), [("", 0), ("word", 0), ("a b", 2), ("a\nb c", 2), ("a ", 2), ("a\u00a0b", 2)])
def test_a_gap_is_behind_a_line_or_a_word(text: str, cut: int) -> None:
    assert gap(text) == cut


@given(st.lists(st.integers(1, 30), max_size=4))
def test_a_secret_with_spaces_is_hidden_wherever_its_pieces_and_lines_are_cut(cuts: list[int]) -> None:
    """Its halves would be two lines, and neither of them would be known."""
    mask = Mask()
    mask.add("PHRASE", "correct horse battery")
    text = "It is correct horse battery, they say"
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    lines: list[str] = []

    async def say() -> None:
        with Lines(lines.append, every_s=3_600, hidden=Stream(mask)) as said:
            for start, end in pairwise(places):
                said.add(text[start:end])
                said._tick()

    asyncio.run(say())
    assert " ".join(lines).split() == ["It", "is", "[secret", "PHRASE],", "they", "say"]
