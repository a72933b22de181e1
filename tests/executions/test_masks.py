"""Masks: no form of a secret passes, cut anywhere, and everything else stays as it is. Pure."""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executions import masks
from executions.masks import Mask, Stream

SECRET = 's3cr&t/v"lue\\+1 ü'
LABEL = "[secret KEY]"
KEY_FILE = """-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASC
BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj
-----END PRIVATE KEY-----
"""

#: Letters that no label, no encoding and no escape has: what surrounds a secret and must not change.
AROUND = st.text(alphabet="àéîõû \n", max_size=20)
VALUES = st.text(
    alphabet=st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["Cs"]),
    min_size=6,
    max_size=30,
).filter(lambda value: value.strip("àéîõû \n[]") == value and not any(word in value for word in ("secret", "KEY")))

ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64, url-safe": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "base64 without padding": lambda value: base64.b64encode(value.encode()).decode().rstrip("="),
    "base64 of name and value": lambda value: base64.b64encode(f"ab:{value}".encode()).decode(),
    "base64 of a name of one letter": lambda value: base64.b64encode(f"a{value}".encode()).decode(),
    "base64 with more behind it": lambda value: base64.b64encode(f"ab{value}:z".encode()).decode(),
    "percent-encoded": lambda value: quote(value, safe=""),
    "percent-encoded, lower case": lambda value: lower(quote(value, safe="")),
    "a path": quote,
    "a form": quote_plus,
    "as browsers do": lambda value: quote(value, safe="!'()*~"),
    "JSON": lambda value: json.dumps(value)[1:-1],
    "JSON with its letters": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda value: json.dumps(json.dumps(value)[1:-1])[1:-1],
    "JSON with escaped slashes": lambda value: json.dumps(value)[1:-1].replace("/", "\\/"),
    "repr": lambda value: repr(value)[1:-1],
    "hex": lambda value: value.encode().hex(),
    "HEX": lambda value: value.encode().hex().upper(),
    "HTML": html.escape,
    "HTML with numbers": lambda value: html.escape(value).replace("&#x27;", "&#39;"),
}


def lower(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), text)


def masking(value: str = SECRET, name: str = "KEY") -> Mask:
    mask = Mask()
    mask.add(name, value)
    return mask


def streamed(mask: Mask, text: str, cuts: list[int]) -> str:
    stream, at, told = Stream(mask), 0, ""
    for cut in [*sorted(cuts), len(text)]:
        told += stream.feed(text[at:cut])
        at = max(at, cut)
    return told + stream.end()


@pytest.mark.parametrize("how", ENCODINGS)
@given(value=VALUES, before=AROUND, after=AROUND)
@settings(max_examples=40)
def test_no_form_of_a_secret_passes_and_what_is_around_it_stays(how: str, value: str, before: str, after: str) -> None:
    written = ENCODINGS[how](value)
    told = masking(value).text(f"{before}{written}{after}")
    assert LABEL in told and value not in told
    assert told.startswith(before) and told.endswith(after)
    if "base64" not in how:
        assert told == f"{before}{LABEL}{after}"


@pytest.mark.parametrize("how", ENCODINGS)
@given(value=VALUES, cuts=st.lists(st.integers(0, 200), max_size=8), around=AROUND)
@settings(max_examples=40)
def test_a_stream_tells_the_same_wherever_it_is_cut(how: str, value: str, cuts: list[int], around: str) -> None:
    mask, text = masking(value), f"{around}{ENCODINGS[how](value)}{around}"
    assert streamed(mask, text, [min(cut, len(text)) for cut in cuts]) == mask.text(text)


@given(
    values=st.lists(st.text("ab1", min_size=6, max_size=9), min_size=1, max_size=4, unique=True),
    text=st.text("ab1 ", max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=10),
)
@settings(max_examples=300)
def test_values_that_overlap_leave_nothing_of_either(values: list[str], text: str, cuts: list[int]) -> None:
    mask = Mask()
    for number, value in enumerate(values):
        mask.add("Z" * (number + 1), value)
    covered = {
        place
        for value in values
        for start in range(len(text))
        if text.startswith(value, start)
        for place in range(start, start + len(value))
    }
    left = "".join(letter for place, letter in enumerate(text) if place not in covered)
    for told in (mask.text(text), streamed(mask, text, [min(cut, len(text)) for cut in cuts])):
        assert without_labels(told) == left


def without_labels(text: str) -> str:
    return re.sub(r"\[secret Z+\]", "", text)


@given(text=st.text(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=5))
def test_text_without_a_secret_stays_as_it_is(text: str, cuts: list[int]) -> None:
    mask = masking("gJ8#kq!Zr9-not-in-there")
    assert mask.text(text) == text == streamed(mask, text, [min(cut, len(text)) for cut in cuts])


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_long_text_in_small_pieces_is_told_with_little_delay(size: int) -> None:
    stream, text, told, most = Stream(masking()), "The weather is fine. " * 20, "", 0
    for at in range(0, len(text), size):
        told += stream.feed(text[at : at + size])
        most = max(most, at + size - len(told))
    assert told + stream.end() == text
    assert most <= size + 2


def test_a_secret_is_told_as_soon_as_it_is_whole() -> None:
    stream = Stream(masking("abcdef"))
    assert [stream.feed(letter) for letter in "x abcdef."] == ["", "x ", "", "", "", "", "", "[secret KEY]", "."]


def test_data_is_masked_in_texts_keys_and_numbers() -> None:
    mask = masking("123456")
    given = {"a": ["123456", 123456, 123456.0, 1234567, True, None], "x 123456": {"b": ("y123456",)}}
    assert mask.data(given) == {
        "a": [LABEL, LABEL, LABEL, 1234567, True, None],
        f"x {LABEL}": {"b": [f"y{LABEL}"]},
    }
    assert given["a"] == ["123456", 123456, 123456.0, 1234567, True, None]


def test_keys_that_look_the_same_afterwards_are_two_still() -> None:
    mask = Mask()
    mask.add("KEY", "abcdef")
    assert mask.data({"abcdef": 1, LABEL: 2}) == {LABEL: 1, f"{LABEL} (2)": 2}


def test_numbers_that_python_does_not_write_do_no_harm() -> None:
    odd = [10**5000, float("inf"), float("nan"), -0.0, 1e308]
    assert masking("123456").data(odd)[0] == 10**5000


def test_each_long_line_of_a_key_is_hidden_by_itself() -> None:
    mask = masking(KEY_FILE)
    lines = [mask.text(line) for line in KEY_FILE.splitlines()]
    assert lines == ["-----BEGIN PRIVATE KEY-----", LABEL, LABEL, "-----END PRIVATE KEY-----"]
    assert mask.text(f"<{KEY_FILE}>") == f"<{LABEL}>"
    assert mask.text(KEY_FILE.replace("\n", "\r\n")) == LABEL


def test_a_secret_in_a_basic_header_in_a_json_log_is_hidden() -> None:
    header = "Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode()
    told = masking().text(json.dumps({"headers": {"Authorization": header}}))
    assert LABEL in told
    decoded = base64.b64decode(told.partition("Basic ")[2].partition("[")[0] + "==", validate=False)
    assert decoded[:5] == b"user:"[: len(decoded)]


def test_a_secret_in_an_address_is_hidden() -> None:
    told = masking().text("GET /?" + urlencode({"key": SECRET, "page": 2}))
    assert told == f"GET /?key={LABEL}&page=2"


def test_the_longer_of_two_that_begin_alike_is_named() -> None:
    mask = Mask()
    mask.add("SHORT", "abcdef")
    mask.add("LONG", "abcdefgh")
    assert mask.text("abcdefgh abcdef") == "[secret LONG] [secret SHORT]"
    assert streamed(mask, "abcdefgh abcdef", list(range(15))) == "[secret LONG] [secret SHORT]"


def test_of_two_that_overlap_nothing_is_left() -> None:
    mask = Mask()
    mask.add("A", "abcdef")
    mask.add("B", "defghi")
    assert mask.text("<abcdefghi>") == "<[secret A][secret B]>"
    assert streamed(mask, "<abcdefghi>", list(range(11))) == "<[secret A][secret B]>"


def test_an_empty_mask_gives_back_what_it_got() -> None:
    mask, data = Mask(), {"a": [1]}
    assert mask.is_empty and mask.data(data) is data and mask.text("abc") == "abc"
    assert Stream(mask).feed("abc") == "abc" and Stream(mask).end() == ""


def test_a_mask_does_not_tell_its_values() -> None:
    mask = masking("gJ8#kq!Zr9")
    assert "gJ8" not in repr(mask) and "gJ8" not in repr(Stream(mask))
    assert not mask.is_empty


def test_values_that_come_at_once_from_many_threads_are_all_hidden() -> None:
    mask, values = Mask(), [f"value-number-{number}" for number in range(64)]
    threads = [threading.Thread(target=mask.add, args=(f"K{n}", value)) for n, value in enumerate(values)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mask.text("|".join(values)).count("[secret ") == 64


def test_a_secret_that_comes_while_a_stream_is_open_is_hidden_from_then_on() -> None:
    mask = Mask()
    stream = Stream(mask)
    told = stream.feed("begin ")
    mask.add("KEY", "abcdef")
    assert told + stream.feed("abc") + stream.feed("def!") + stream.end() == f"begin {LABEL}!"


@pytest.mark.parametrize(
    "value", ["a" * 65_536, "ab" * 30_000, "\U0001f511" * 6, "%41%42%43", "......", "[[[[[[", "\\\\\\\\\\\\"]
)
def test_odd_values_are_hidden(value: Any) -> None:
    mask = masking(value)
    assert mask.text(f"<{value}>") == f"<{LABEL}>"
    assert streamed(mask, f"<{value}>", [1, 3, len(value) - 1]) == f"<{LABEL}>"


def test_nobody_gets_a_value_before_its_mask_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps beside each other ask for the same secret: the second one must wait for what the first has begun."""
    mask, begun, may_go_on = Mask(), threading.Event(), threading.Event()
    real = masks.forms

    def slowly(name: str, value: str) -> Any:
        begun.set()
        may_go_on.wait(10)
        return real(name, value)

    monkeypatch.setattr(masks, "forms", slowly)
    first = threading.Thread(target=mask.add, args=("KEY", SECRET))
    second = threading.Thread(target=mask.add, args=("KEY", SECRET))
    first.start()
    begun.wait(10)
    second.start()
    second.join(0.05)
    has_been_told = not second.is_alive()
    may_go_on.set()
    first.join(10)
    second.join(10)

    assert not has_been_told
    assert mask.text(SECRET) == LABEL
    assert len(mask._forms) == len(set(mask._forms))


def test_short_texts_beside_a_long_secret_cost_next_to_nothing() -> None:
    """A private key of 50 lines has 500 forms, and none of them stands in a text that is shorter than all of them."""
    mask = Mask()
    mask.add("KEY", "\n".join(f"MIIEvQIBADANBgkqhkiG9w0BAQEFAASC{number:032}" for number in range(50)))
    looked_for = [form.text for form in mask._forms]

    class Text(str):
        asked = 0

        def __contains__(self, part: Any) -> bool:
            Text.asked += 1
            return super().__contains__(part)

    assert mask.data([Text("short")]) == ["short"]
    assert Text.asked == 0
    assert mask.data([Text("x" * 1_000 + looked_for[-1])]) == ["x" * 1_000 + LABEL]
    assert Text.asked == len(looked_for)
