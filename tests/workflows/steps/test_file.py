"""file: what it reads and writes, in which form, and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from tests.workflows.steps.conftest import step
from workflows import steps
from workflows.errors import WorkflowStepError
from workflows.files import Area, area
from workflows.graph import Node
from workflows.steps.base import StepContext

Do = Callable[..., Any]


@pytest.fixture
def mine() -> Area:
    return area(7)


@pytest.fixture
def do(mine: Area) -> Do:
    """The result of a file step with these settings."""

    def done(operation: str, path: Any = "", **config: Any) -> Any:
        ctx = StepContext({}, {"before": 1}, "a", 1, datetime.now(UTC), "1:a:0", files=mine)
        outcome = asyncio.run(step("file", operation=operation, path=path, **config).run(ctx))
        assert outcome.output["before"] == 1
        return outcome.output["result"]

    return done


@pytest.mark.parametrize(
    ("form", "content", "on_disk"),
    [
        ("text", "a,ü\n", "a,ü\n".encode()),
        ("text", "", b""),
        ("json", {"a": [1, None, "ü"]}, None),
        ("json", "only text", b'"only text"\n'),
        ("base64", "AP8=", b"\x00\xff"),
    ],
)
def test_what_was_written_is_read_again(do: Do, mine: Area, form: str, content: Any, on_disk: bytes | None) -> None:
    reference = do("write", "a/b.txt", content=content, form=form)
    assert reference["file"] == "a/b.txt" and reference["size"] == len(mine.read("a/b.txt"))
    if on_disk is not None:
        assert mine.read("a/b.txt") == on_disk
    assert do("read", "a/b.txt", form=form) == content
    assert do("read", reference, form="file") == reference


def test_json_that_was_typed_is_written_as_json(do: Do, mine: Area) -> None:
    do("write", "a.json", content='{"a":1}', form="json")
    assert mine.read("a.json") == b'{\n  "a": 1\n}\n'


def test_text_has_the_encoding_that_was_chosen(do: Do, mine: Area) -> None:
    do("write", "a.csv", content="ü", encoding="latin-1")
    assert mine.read("a.csv") == b"\xfc"
    assert do("read", "a.csv", encoding="latin-1") == "ü"
    with pytest.raises(WorkflowStepError, match="is no utf-8 text: byte 0 does not fit. Choose its encoding"):
        do("read", "a.csv")
    with pytest.raises(WorkflowStepError, match="holds “☃” \\(U\\+2603\\), which latin-1 has not"):
        do("write", "a.csv", content="a☃", encoding="latin-1")


def test_a_mark_at_the_beginning_of_utf_8_is_no_text(do: Do, mine: Area) -> None:
    mine.save("a.csv", b"\xef\xbb\xbfname")
    assert do("read", "a.csv") == "name"
    assert do("read", "a.csv", encoding="UTF8") == "name"


def test_append_copy_move_list_and_delete(do: Do, mine: Area) -> None:
    do("append", "log", content="a\n")
    assert do("append", "log", content="b\n")["size"] == 4
    assert do("copy", "log", to="old/log")["file"] == "old/log"
    assert do("move", "old/log", to="older/log")["size"] == 4
    assert [one["file"] for one in do("list")] == ["log", "older/log"]
    assert [one["file"] for one in do("list", "older/")] == ["older/log"]
    assert do("delete", "log") == {"deleted": True, "path": "log"}
    assert mine.paths() == ["older/log"]


def test_a_file_that_another_step_gave_is_written_as_it_is(do: Do, mine: Area) -> None:
    reference = mine.save("a.bin", b"\x00\xff", "image/png")
    assert do("write", "b.bin", content=reference, form="file")["content_type"] == "image/png"
    assert mine.read("b.bin") == b"\x00\xff"


def test_a_file_may_be_missing_only_where_that_was_said(do: Do) -> None:
    for operation in ("read", "delete"):
        with pytest.raises(WorkflowStepError, match="There is no file “a” in this workflow") as caught:
            do(operation, "a")
        assert caught.value.is_permanent
    assert do("read", "a", may_be_missing=True) is None
    assert do("delete", "a", may_be_missing=True) == {"deleted": False, "path": "a"}


@pytest.mark.parametrize("content", [["a"], {"a": 1}, None, True])
@pytest.mark.parametrize("form", ["text", "base64"])
def test_content_of_another_kind_is_refused(do: Do, mine: Area, content: Any, form: str) -> None:
    with pytest.raises(WorkflowStepError, match="Content must be text to be written as .*Choose As: JSON"):
        do("write", "a", content=content, form=form)
    assert mine.paths() == []


@pytest.mark.parametrize("content", ["a", "####", "A" * 5])
def test_broken_base64_is_refused(do: Do, content: str) -> None:
    with pytest.raises(WorkflowStepError, match="Content is no Base64"):
        do("write", "a", content=content, form="base64")


@pytest.mark.parametrize("text", [b"{", b"NaN", b"[" * 100_000, b"", b'{"a": 1} x'])
def test_a_file_that_is_no_json_is_refused(do: Do, mine: Area, text: bytes) -> None:
    mine.save("a.json", text)
    with pytest.raises(WorkflowStepError, match="“a.json”: This is not valid JSON") as caught:
        do("read", "a.json", form="json")
    assert caught.value.is_permanent


@pytest.mark.parametrize(
    ("config", "field", "said"),
    [
        ({"operation": "read"}, "path", "Path is required to read a file"),
        ({"operation": "copy", "path": "a"}, "to", "To is required to copy a file"),
        ({"operation": "move", "path": "a", "to": "../b"}, "to", "“..”"),
        ({"operation": "read", "path": "/etc/passwd"}, "path", "must not begin with “/”"),
        ({"operation": "list", "path": "../8"}, "path", "“..”"),
        ({"operation": "read", "path": {"name": "a"}}, "path", "A file is a path"),
        ({"operation": "steal", "path": "a"}, "operation", "must be one of"),
        ({"operation": "read", "path": "a", "encoding": "base64"}, "encoding", "Encoding must be"),
        ({"operation": "read", "path": "a", "encoding": "no such"}, "encoding", "Encoding must be"),
        ({"operation": "read", "path": "a", "form": "pickle"}, "form", "must be one of"),
        ({"operation": "read", "path": 7}, "path", ""),
    ],
)
def test_publishing_names_the_setting_that_is_wrong(config: dict[str, Any], field: str, said: str) -> None:
    found = steps.config_errors(steps.kinds()["file"], config)
    assert any(at.split(".")[0] == field and said in text for at, text in found), found


def test_a_path_that_data_gave_is_checked_when_it_runs() -> None:
    with pytest.raises(ValidationError, match="not the path of a file"):
        step("file", operation="write", path="../8/x", content="x")


def test_only_what_changes_files_has_effects() -> None:
    says = {
        operation: steps.reaches_out(Node("a", "file", {"operation": operation})) for operation in ("read", "write")
    }
    assert says == {"read": False, "write": True}
