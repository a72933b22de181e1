"""file: reads and writes files of the workflow's own, and of no other."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo
from pydantic.config import JsonDict

from workflows.comparison import said
from workflows.errors import InputError, WorkflowStepError
from workflows.filenames import FileError, NoFile, checked, path_of
from workflows.steps import base
from workflows.steps.due import SaveAs
from workflows.values import parse

Operation = Literal["read", "write", "append", "copy", "move", "delete", "list"]
READS = ("read", "list")
WORDS: JsonDict = {"file": "a reference to the file", "text": "text", "json": "JSON", "base64": "Base64"}


def _encoding(name: str) -> str:
    try:
        "a".encode(name)
    except (LookupError, ValueError):
        text = f"Encoding must be the name of one, such as utf-8 or latin-1; it is “{name[:80]}”."
        raise ValueError(text) from None
    return name


def _path(value: Any, info: ValidationInfo) -> Any:
    """Only where the operation needs it; a list may be that of all files."""
    operation, name = info.data.get("operation"), "Path" if info.field_name == "path" else "To"
    is_needed = operation in ("copy", "move") if info.field_name == "to" else operation != "list"
    if not value:
        if is_needed and operation:
            raise ValueError(f"{name} is required to {operation} a file.")
        return value
    try:
        checked(path_of(value).rstrip("/"), is_folder=operation == "list")
    except FileError as error:
        raise ValueError(f"{name}: {error.message}") from None
    return value


def _short(content: Any) -> Any:
    """Of text, which is what a setting may have; a larger text is appended in parts, or stays a file."""
    if isinstance(content, str) and len(content) > LONGEST:
        raise ValueError(f"Content may have at most {LONGEST:,} characters; it has {len(content):,}.")
    return content


LONGEST = 900_000  # characters
Path = Annotated[str | dict[str, Any], AfterValidator(_path)]


class Config(base.Config):
    operation: Operation = Field("read", title="Do", description="What to do with the file.")
    path: Path = Field(
        "",
        validate_default=True,
        description="Such as reports/2026.csv, inside this workflow's own files; or the reference that a step gave. "
        "For a list: a folder, or nothing for all files.",
        json_schema_extra={"look": "text"},
    )
    to: Path = Field(
        "",
        validate_default=True,
        description="The new path. A file that is there is replaced.",
        json_schema_extra={"look": "text", "when": {"operation": ["copy", "move"]}},
    )
    content: Annotated[Any, AfterValidator(_short)] = Field(
        "",
        description="What goes into the file.",
        json_schema_extra={"look": "long", "when": {"operation": ["write", "append"]}},
    )
    form: Literal["text", "json", "base64", "file"] = Field(
        "text",
        title="As",
        description="What stands in the data for the content: read gives it so, write and append take it so.",
        json_schema_extra={"words": WORDS, "when": {"operation": ["read", "write", "append"]}},
    )
    encoding: Annotated[str, AfterValidator(_encoding)] = Field(
        "utf-8",
        max_length=40,
        description="Of text: utf-8, latin-1, cp1252 and others.",
        json_schema_extra={"when": {"operation": ["read", "write", "append"]}},
    )
    may_be_missing: bool = Field(
        False,
        title="It may be missing",
        description="Read then gives null, and delete does nothing.",
        json_schema_extra={"when": {"operation": ["read", "delete"]}},
    )
    save_as: SaveAs = "result"


class File(base.Step[Config]):
    kind, label, icon = "file", "File", "file"
    help = "Reads, writes, lists and deletes files of this workflow's own."
    also = "disk folder append"
    group, page, gives = "Reach out", "files.md", "the data, with what came of it as `save_as` says"
    effects = "outside"
    example = {"operation": "write", "path": "notes/{{ execution.id }}.txt", "content": "{{ input.text }}"}
    Config = Config
    presets = (
        base.Preset("Read a file", {"operation": "read", "path": "notes.txt"}, "load open"),
        base.Preset("Write a file", {"operation": "write", "path": "result.json", "form": "json"}, "save store"),
        base.Preset("List files", {"operation": "list"}),
    )

    @classmethod
    def effects_of(cls, data: Mapping[str, Any]) -> base.Effects:
        return "none" if data.get("operation", "read") in READS else "outside"

    async def run(self, ctx: base.StepContext) -> base.Done:
        """In a thread, which a cancel does not wait for: each operation is short, and whole or not at all."""
        return base.Done({**ctx.data, self.config.save_as: await asyncio.to_thread(self._done, ctx)})

    def _done(self, ctx: base.StepContext) -> Any:
        act: Callable[[base.StepContext], Any] = getattr(self, f"_{self.config.operation}")
        return act(ctx)

    @property
    def _at(self) -> str:
        return path_of(self.config.path)

    def _read(self, ctx: base.StepContext) -> Any:
        try:
            reference = ctx.files.reference(self._at)
            content = b"" if self.config.form == "file" else ctx.files.read(self._at)
        except NoFile:
            if not self.config.may_be_missing:
                raise
            ctx.log(f"There is no file “{self._at}”")
            return None
        ctx.log(f"Read “{reference['file']}”, {reference['size']:,} bytes")
        return reference if self.config.form == "file" else self._taken_out(content)

    def _write(self, ctx: base.StepContext) -> Any:
        reference = ctx.files.save(self._at, self._put_in(ctx), self._content_type)
        ctx.log(f"Wrote “{reference['file']}”, {reference['size']:,} bytes")
        return reference

    def _append(self, ctx: base.StepContext) -> Any:
        content = self._put_in(ctx)
        reference = ctx.files.append(self._at, content)
        ctx.log(f"Appended {len(content):,} bytes to “{reference['file']}”, now {reference['size']:,} bytes")
        return reference

    def _copy(self, ctx: base.StepContext) -> Any:
        reference = ctx.files.save(path_of(self.config.to), ctx.files.read(self._at))
        ctx.log(f"Copied “{self._at}” to “{reference['file']}”")
        return reference

    def _move(self, ctx: base.StepContext) -> Any:
        reference = ctx.files.move(self._at, path_of(self.config.to))
        ctx.log(f"Moved “{self._at}” to “{reference['file']}”")
        return reference

    def _delete(self, ctx: base.StepContext) -> Any:
        try:
            ctx.files.remove(self._at)
        except NoFile:
            if not self.config.may_be_missing:
                raise
            ctx.log(f"There is no file “{self._at}”")
            return {"deleted": False, "path": self._at}
        ctx.log(f"Deleted “{self._at}”")
        return {"deleted": True, "path": self._at}

    def _list(self, ctx: base.StepContext) -> Any:
        found = [ctx.files.reference(path) for path in ctx.files.paths(self._at if self.config.path else "")]
        ctx.log(f"Found {len(found):,} file{'' if len(found) == 1 else 's'}")
        return found

    # Content in the data and in the file

    @property
    def _content_type(self) -> str:
        content = self.config.content
        is_copy = self.config.form == "file" and isinstance(content, Mapping)
        return str(content.get("content_type") or "") if is_copy else ""

    def _put_in(self, ctx: base.StepContext) -> bytes:
        content, form = self.config.content, self.config.form
        if form == "file":
            return ctx.files.read(path_of(content))
        if form == "json":
            return (json.dumps(_as_value(content), ensure_ascii=False, indent=2) + "\n").encode()
        if isinstance(content, int | float) and not isinstance(content, bool):
            content = str(content)
        if not isinstance(content, str):
            raise _refused(
                f"Content must be text to be written as {WORDS[form]}; it is {said(content)}. Choose As: JSON."
            )
        return self._encoded(content) if form == "text" else _decoded(content)

    def _encoded(self, text: str) -> bytes:
        try:
            return text.encode(self.config.encoding)
        except UnicodeEncodeError as error:
            letter = text[error.start]
            raise _refused(f"Content holds “{letter}” (U+{ord(letter):04X}), which {error.encoding} has not.") from None

    def _taken_out(self, content: bytes) -> Any:
        if self.config.form == "base64":
            return base64.b64encode(content).decode()
        encoding = "utf-8-sig" if self.config.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else ""
        try:
            text = content.decode(encoding or self.config.encoding)
        except UnicodeDecodeError as error:
            where = f"“{self._at}” is no {self.config.encoding} text: byte {error.start:,} does not fit"
            raise _refused(f"{where}. Choose its encoding, or As: Base64.") from None
        return text if self.config.form == "text" else self._parsed(text)

    def _parsed(self, text: str) -> Any:
        try:
            return parse(text)
        except InputError as error:
            raise _refused(f"“{self._at}”: {error.message}") from None


def _as_value(content: Any) -> Any:
    """JSON that somebody typed is written as that value, and any other text as text."""
    if not isinstance(content, str):
        return content
    try:
        return parse(content)
    except InputError:
        return content


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refused(f"Content is no Base64: {error}.") from None


def _refused(message: str) -> WorkflowStepError:
    return WorkflowStepError(message, is_permanent=True)
