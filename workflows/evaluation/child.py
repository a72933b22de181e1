"""The program that evaluates expressions: a line of JSON in, lines of JSON out, until its input ends.

It confines itself before it reads. In: {"templates": [[source, is_whole], …], "context": {…}} or {"sources": […]}.
Out: a line for each, as soon as it is known: the value, or {"kind", "detail", …} after a “!”. A fault says what kind
it is and where, never the engine's own words alone: those may hold values.
"""

from __future__ import annotations

import gc
import json
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

sys.path[:0] = sys.argv[1:3]  # -I and -S leave the standard library alone: ours, and the folder of the one library

import minijinja  # noqa: E402

from workflows.evaluation import filters  # noqa: E402
from workflows.evaluation.frozen import frozen  # noqa: E402
from workflows.jail import confinement  # noqa: E402

FUEL = 50_000  # turns of loops, calls and the like that one template may take
MEMORY = 256 * confinement.MIB
CPU_S = 60  # of a child's whole life: the parent's clock ends a single evaluation, this one what has no parent
RESULT = 1024 * 1024  # bytes of JSON
DEEPEST = 64  # levels, as everywhere in the data

GLOBALS = ("debug", "range", "dict", "lipsum", "cycler", "joiner", "namespace")
FILTERS = ("format", "indent", "batch", "slice", "pprint", "safe")
WARM_UP = ("{{ nothing }}", "{{ 1|nothing }}", "{{", "{{ '2026-01-01'|shift(days=1)|date('%a') }}", "{{ [1]|tojson }}")

#: Inside a list, an object or a call, and for filters of ours, a missing key would silently be null.
MAY_HIDE = re.compile(r"[\[(]|(?<!\{)\{[^{%#]|\|\s*(?:" + "|".join(filters.FILTERS) + r")\b")
HANDLES_ABSENCE = re.compile(r"\bdefault\b|\|\s*d\b|\bdefined\b|\bif\b|\bundefined\b|\{%")


#: A tag, with its texts set aside; and a filter in it. Only compiled code knows its filters, and that it tells nobody.
TAG = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)
TEXT = re.compile(r""""(?:\\.|[^"\\])*+"|'(?:\\.|[^'\\])*+'""", re.DOTALL)
FILTER = re.compile(r"\|\s*([^\W\d]\w*)")


class Fault(Exception):
    def __init__(self, kind: str, detail: str = "", start: int | None = None) -> None:
        self.kind, self.detail, self.start = kind, detail, start


class Evaluator:
    def __init__(self) -> None:
        self.value: Any = None
        self.texts = self._environment(filters.text)
        self.values = self._environment(self._take)

    def _environment(self, finalizer: Callable[[Any], str]) -> minijinja.Environment:
        made = minijinja.Environment(
            fuel=FUEL,
            undefined_behavior="strict",
            pycompat=False,
            debug=True,
            auto_escape_callback=lambda name: None,
            keep_trailing_newline=True,
            finalizer=finalizer,
            filters=filters.FILTERS,
        )
        for name in GLOBALS:
            made.remove_global(name)
        for name in FILTERS:
            made.remove_filter(name)
        return made

    def _take(self, value: Any) -> str:
        self.value = value
        return ""

    def evaluate(self, source: str, is_whole: bool, context: dict[str, Any]) -> Any:
        if not is_whole:
            return self._rendered(self.texts, source, context)
        self.value = Fault("nothing")  # in place of what an expression gives
        self._rendered(self.values, source, context)
        value, self.value = self.value, None
        if isinstance(value, Fault):
            raise value
        return value

    def _rendered(self, environment: minijinja.Environment, source: str, context: dict[str, Any]) -> str:
        try:
            made = environment.render_str(source, **context)
        except minijinja.TemplateError as error:
            if "undefined" in (error.detail or "") and error.kind == "InvalidOperation":
                self._refuse_absent(source, context)
            raise
        if MAY_HIDE.search(source) and not HANDLES_ABSENCE.search(source):
            self._refuse_absent(source, context)
        return made

    def _refuse_absent(self, source: str, context: dict[str, Any]) -> None:
        for name in sorted(self.texts.undeclared_variables_in_str(source, nested=True)):
            value: Any = context
            for key in name.split("."):
                if not isinstance(value, dict):
                    break
                if key not in value:
                    raise Fault("UndefinedError", f"`{name}`")
                value = value[key]

    def check(self, source: str) -> None:
        self.texts.add_template("checked", source)
        self.texts.remove_template("checked")
        bare = TEXT.sub(lambda found: " " * len(found[0]), source) if "raw" not in source else ""
        for tag in TAG.finditer(bare):
            for name in FILTER.finditer(tag[0]):
                if name[1] not in filters.NAMES:
                    raise Fault("UnknownFilter", f"filter {name[1]} is unknown", tag.start() + name.start(1))


def answers(evaluator: Evaluator, request: dict[str, Any]) -> list[Callable[[], str]]:
    if "sources" in request:
        return [partial(_tried, partial(evaluator.check, source), source) for source in request["sources"]]
    context = request["context"]
    return [
        partial(_tried, partial(evaluator.evaluate, source, is_whole, context), source)
        for source, is_whole in request["templates"]
    ]


def _tried(act: Callable[[], Any], source: str) -> str:
    try:
        return _kept(act())
    except MemoryError:
        return _told({"kind": "memory"})
    except Exception as error:
        return _told(_fault(error, source))


def _told(fault: dict[str, Any]) -> str:
    return "!" + json.dumps(fault)


def _kept(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=filters.listed)
    except (RecursionError, TypeError):  # a key that is no text
        raise Fault("not JSON") from None
    except ValueError:
        raise Fault("not finite") from None
    if len(text) > RESULT or len(text.encode(errors="surrogatepass")) > RESULT:
        raise Fault("large")
    if text.count("[") + text.count("{") > DEEPEST and _depth(value) > DEEPEST:
        raise Fault("deep")
    return text


def _depth(value: Any) -> int:
    """Levels of lists and objects; what is deeper than it may be is not looked into."""
    level, depth = [value], 0
    while depth <= DEEPEST:
        inner = [part for one in level for part in _parts(one)]
        if not inner:
            break
        level, depth = inner, depth + 1
    return depth


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values()) or [None]
    return (list(value) or [None]) if isinstance(value, list | tuple) else []


def _fault(error: Exception, source: str) -> dict[str, Any]:
    if isinstance(error, Fault):
        where = {} if error.start is None else {"start": error.start}
        return {"kind": error.kind, "detail": error.detail, **where}
    if isinstance(error, filters.Refused):
        return {"kind": "filter", "detail": str(error), "name": error.name}
    if not isinstance(error, minijinja.TemplateError):
        return {"kind": "call"}
    made: dict[str, Any] = {"kind": error.kind, "detail": error.detail or "", "line": error.line}
    if error.range:
        start, end = error.range
        octets = source.encode(errors="surrogatepass")
        made["start"] = len(octets[:start].decode(errors="ignore"))
        made["name"] = octets[start:end].decode(errors="ignore")[:200]
    return made


def main() -> None:
    evaluator = Evaluator()
    for source in WARM_UP:  # on its first error the engine imports a module, which it could not in the jail
        _tried(partial(evaluator.evaluate, source, False, {}), source)
    layers = [*confinement.close_doors(), *confinement.give_up(confinement.Limits(MEMORY, CPU_S))]
    gc.freeze()
    _say(json.dumps(layers))
    while line := sys.stdin.buffer.readline():
        try:
            made = answers(evaluator, json.loads(line, object_hook=frozen))
        except (RecursionError, MemoryError):
            os._exit(1)
        for one in made:
            _say(one())


def _say(text: str) -> None:
    sys.stdout.buffer.write(text.encode(errors="surrogatepass") + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
    os._exit(0)
