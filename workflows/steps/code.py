"""code: runs JavaScript that people wrote, in a child process that can reach nothing. Data goes in and out as JSON."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from django.conf import settings
from pydantic import Field

from workflows.errors import WorkflowStepError
from workflows.jail import children as jail
from workflows.javascript import coder
from workflows.steps import base
from workflows.steps.due import SaveAs
from workflows.words import count

LEVELS: Mapping[str, Literal["debug", "info", "warning", "error"]] = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "error": "error",
}
START = "return {...data};"
ENDS = {
    "pending": "It waits for something that never comes. There are no timers and no network here: what it awaits must "
    "come from its own code.",
    "no JSON": "What it returns is no JSON: a function, a symbol or undefined has no form there.",
    "large": "What it returns has more than 1 MiB of JSON; a code step may return 1 MiB.",
    "deep": "What it returns is nested too deeply: 64 levels is the most.",
    "memory": "It took more than 128 MiB of memory, so it was stopped.",
    "killed": "Its process ended before it did: it took too much memory, or somebody ended it.",
    "not started": "The process that runs code could not be started. The server's administrator can say why.",
}
OFF = (
    "Code steps are off on this server, because its system cannot keep them away from files. An administrator can "
    "allow them all the same with ALLOW_WEAK_SANDBOX=1."
)
HINT = ". A sandbox has no network, files or modules: other steps do such things"
WEAK = "Code runs on this server in a weak sandbox, as its administrator allowed. {}"


class Config(base.Config):
    source: str = Field(
        title="JavaScript",
        min_length=1,
        max_length=100_000,
        description="The body of a function. It is given data, input, now and key, and “return” gives the result: an "
        "object is the output, anything else goes into the data under the name below. Nothing: the data goes on.",
        json_schema_extra={"look": "code"},
    )
    timeout_s: float = Field(
        10, title="Time limit", gt=0, le=300, description="In seconds, at most 300. Then it is stopped, and has failed."
    )
    save_as: SaveAs = "result"


class Code(base.Step[Config]):
    kind, label, icon = "code", "Code", "process"
    help = "Runs JavaScript on the data, in a sandbox without files, network and other modules."
    also = "javascript js script function program python"
    Config = Config
    group, page, gives = "Code", "code.md", "what it returns; what is no object, in the data as `save_as` says"
    start = {"source": START}
    example = {"source": "console.log(data.text);\nreturn data.text.split(' ').length;", "save_as": "words"}
    literal = frozenset({"source"})

    @classmethod
    def cautions_of(cls, data: Mapping[str, Any]) -> Sequence[str]:
        strength = jail.strength()
        if strength.level != "off":
            return ()
        return (WEAK.format(strength.sentence),) if settings.ALLOW_WEAK_SANDBOX else (OFF,)

    async def run(self, ctx: base.StepContext) -> base.Done:
        if cautions := await asyncio.to_thread(self.cautions_of, {}):
            if not settings.ALLOW_WEAK_SANDBOX:
                raise WorkflowStepError(OFF, {"sandbox": "off"}, is_permanent=True)
            ctx.log(cautions[0], "warning")
        end = await coder.run(
            self.config.source,
            _given(ctx),
            self.config.timeout_s,
            lambda level, text: ctx.log(text, LEVELS.get(level, "info")),
            owner=f"workflow {ctx.workflow}",
        )
        if end.how in ("done", "nothing"):
            ctx.log(_returned(end))
        if end.how == "done":
            return base.Done(end.value if isinstance(end.value, dict) else {**ctx.data, self.config.save_as: end.value})
        if end.how == "nothing":
            return base.Done(ctx.data)
        raise _error(end, self.config)


def _returned(end: coder.End) -> str:
    if end.how == "nothing":
        return "Returned nothing: the data goes on"
    if isinstance(end.value, dict):
        return f"Returned an object with {count(len(end.value), 'field')}"
    return f"Returned a list of {count(len(end.value), 'item')}" if isinstance(end.value, list) else "Returned a value"


def _given(ctx: base.StepContext) -> str:
    given = {"data": ctx.data, "input": ctx.input, "now": ctx.now.isoformat(), "key": ctx.idempotency_key}
    text = json.dumps(given, ensure_ascii=False, default=dict)
    if (size := len(text.encode(errors="surrogatepass"))) > coder.INPUT_BYTES:
        raise WorkflowStepError(
            f"The data has {size:,} bytes of JSON; a code step takes {coder.INPUT_BYTES:,}. Pick what it needs "
            "in a step before.",
            {"bytes": size},
            is_permanent=True,
        )
    return text


def _error(end: coder.End, config: Config) -> WorkflowStepError:
    if end.how == "late":
        text = f"It took longer than {config.timeout_s:g} s, so it was stopped. Its time limit can be raised to 300 s."
        return WorkflowStepError(text, {"timeout_s": config.timeout_s})
    if end.how not in ("syntax", "failed"):
        return WorkflowStepError(ENDS.get(end.how, "It ended in a way of its own."), is_permanent=end.how != "killed")
    line, column = _place(end, config.source)
    what = _what(end)
    where = {"line": line, "column": column} if line else {}
    return WorkflowStepError(_pointed(what, config.source, line, column), where, is_permanent=True)


def _what(end: coder.End) -> str:
    message = str(end.told.get("message") or "")
    if end.how == "syntax":
        if message == "Single function literal required":
            message = "a bracket is closed that was not opened in it"
        return f"This is no JavaScript as it stands: {message}"
    if end.told.get("is_error"):
        hint = HINT if re.match(r"(fetch|require|process|XMLHttpRequest|window|module|Buffer) is not", message) else ""
        return f"{end.told.get('name')}: {message}{hint}" if message else str(end.told.get("name"))
    return f"It threw {message}" if message else "It threw something without a message."


def _place(end: coder.End, source: str) -> tuple[int | None, int | None]:
    """Line and column, from 1, in what people wrote."""
    lines = source.count("\n") + 1
    if end.how == "syntax":
        line = end.told.get("line")
        return (min(line, lines), end.told.get("column") if line <= lines else None) if line else (None, None)
    found = re.search(r"\bcode:(\d{1,6}):(\d{1,6})", str(end.told.get("stack") or ""))
    if found and 1 <= int(found[1]) - 1 <= lines:
        return int(found[1]) - 1, int(found[2])
    return None, None


def _pointed(what: str, source: str, line: int | None, column: int | None) -> str:
    """With the line that it is about, and a caret below the place."""
    if line is None:
        return what
    place = f"line {line}" + (f", column {column}" if column else "")
    written = source.split("\n")[line - 1].replace("\t", " ")
    start = max(0, (column or 1) - 60)
    shown, caret = written[start : start + 120], " " * ((column or 1) - 1 - start) + "^" if column else ""
    margin = f"{line} | "
    return f"{what} ({place})\n{margin}{shown}" + (f"\n{' ' * len(margin)}{caret}" if caret else "")
