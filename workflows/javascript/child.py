"""The program that runs one piece of JavaScript, once. It starts V8, confines itself, and waits for its one line.

In: {"source", "given": JSON text, "timeout_s", "memory"}. Out, a line each: "ready", {"log": [[level, text], …]} while
it runs, and {"end": how, …} at last. V8's threads are born inside the walls: they can read the library's own folder
and nothing else, and once V8 has started the process has an account of its own and may start nothing more.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import encodings.utf_16_le  # noqa: F401 (used by its name, when no file can be read any more)
import importlib.readers
import importlib.resources
import json
import math
import os
import re
import resource
import struct
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = sys.argv[1:3]  # -I and -S leave the standard library alone: ours, and the folder of the one library

import py_mini_racer  # noqa: E402

from workflows.jail import confinement  # noqa: E402

MEMORY = 1024 * confinement.MIB  # of data; below it V8's own limit ends the code with a sentence
CPU_S, SPARE_CPU_S = 330, 5
MOST_LINES, LINE_LENGTH, MOST_OUTPUT = 1_000, 4_000, 1024 * 1024
LEVELS = {5: "debug", 1: "info", 2: "warning", 4: "error"}
LOOK_S = 0.05
BEFORE, AFTER = "(async function (data, input, now, key) {\n", "\n})\n//# sourceURL=code"

Answer = dict[str, Any]


class Log:
    """The lines that wait in the memory which JavaScript and this program share: fetched without asking V8."""

    def __init__(self, shared: memoryview) -> None:
        self._shared, self._read = shared.cast("B"), 0

    def fetch(self) -> list[tuple[str, str]]:
        (end,) = struct.unpack_from("i", self._shared)
        units = bytes(self._shared[4 + 2 * self._read : 4 + 2 * end])
        self._read = end
        return [_line(raw) for raw in units.decode("utf-16-le", "replace").split("\0")[:-1]]


def _line(raw: str) -> tuple[str, str]:
    if raw[:1] == "\3":
        return "warning", f"It writes more than {MOST_LINES:,} lines, or more than 256 KiB: the rest is left out."
    return LEVELS.get(ord(raw[:1] or "\1"), "info"), raw[1:]


def say(answer: Any) -> None:
    left = memoryview(json.dumps(answer).encode() + b"\n")
    while left:
        left = left[os.write(1, left) :]


async def work(racer: py_mini_racer.MiniRacer, host: Any, request: Answer) -> Answer:
    check, run, outcome, log = host
    told = asyncio.create_task(_tell(log))
    try:
        async with asyncio.timeout(request["timeout_s"]):
            return await _run(racer, check, run, outcome, request)
    except TimeoutError:
        return {"end": "late"}
    except (py_mini_racer.JSOOMException, MemoryError):
        return {"end": "memory"}
    except py_mini_racer.JSEvalException as error:
        is_full = racer.was_hard_memory_limit_reached()
        return (
            {"end": "memory"} if is_full else {"end": "failed", "message": re.sub(r"^\w+:\d+: ", "", str(error)[:500])}
        )
    finally:
        told.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await told
        _fetch(log)


async def _run(racer: py_mini_racer.MiniRacer, check: Any, run: Any, outcome: Any, request: Answer) -> Answer:
    racer.set_hard_memory_limit(request["memory"])
    if wrong := await check.cancelable()(request["source"]):
        return {"end": "syntax", "message": str(wrong)[:500], **await _place(racer, request["source"])}
    written = await racer.eval_cancelable(BEFORE + request["source"] + AFTER)
    await run.cancelable()(written, request["given"])
    await racer.eval_cancelable("0")  # behind all that promises had still to do
    state, _, told = str(await outcome.cancelable()()).partition("\n")
    if state == "failed":
        return {"end": "failed", **json.loads(told)}
    if len(told.encode(errors="replace")) > MOST_OUTPUT:
        return {"end": "large"}
    return {"end": state, "json": told}


async def _place(racer: py_mini_racer.MiniRacer, source: str) -> Answer:
    """Where the syntax is wrong: only a script's parser says so, and says it in a text with a caret below the line."""
    try:
        await racer.eval_cancelable(BEFORE + source + AFTER)
    except py_mini_racer.JSParseException as error:
        lines = str(error).split("\n")
        found = re.match(r"[^\n]*?:(\d+): ", lines[0])
        caret = lines[2].find("^") if len(lines) > 2 else -1
        if found:
            return {"line": int(found[1]) - 1, "column": caret + 1 if caret >= 0 else None}
    except py_mini_racer.JSEvalException:
        pass  # a script it is, though no function's body: it closed the bracket around itself
    return {}


async def _tell(log: Log) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        _fetch(log)


def _fetch(log: Log) -> None:
    if lines := log.fetch():
        say({"log": lines})


def main() -> None:
    folder = Path(py_mini_racer.__file__).parent
    loop = asyncio.new_event_loop()
    importlib.readers.FileReader  # noqa: B018 (what follows reads by it)
    with contextlib.suppress(StopIteration):
        ctypes.CDLL(str(next(folder.glob("libmini_racer.*"))))  # with what it depends on, which lies elsewhere
    importlib.resources.files("py_mini_racer")
    prelude = (Path(__file__).parent / "prelude.js").read_text()
    layers = confinement.close_doors([str(folder)])
    loop.run_until_complete(_serve(prelude, layers))


async def _serve(prelude: str, layers: list[str]) -> None:
    with py_mini_racer.mini_racer() as racer:
        made: Any = await racer.eval_cancelable(f"{prelude}(globalThis, {MOST_LINES}, {LINE_LENGTH}, {MOST_OUTPUT})")
        host = (made[0], made[1], made[2], Log(made[3]))
        layers += confinement.give_up(confinement.Limits(MEMORY, CPU_S, is_data=True, files=32))
        say(layers)
        line = sys.stdin.buffer.readline()
        if line:
            request = json.loads(line)
            cpu_s = math.ceil(request["timeout_s"]) + SPARE_CPU_S
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
            say(await work(racer, host, request))
        os._exit(0)  # V8 may hang when it is asked to end in good order


if __name__ == "__main__":
    main()
