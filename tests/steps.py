"""Step kinds for the tests, registered by importing this module: each shows the engine one kind of behaviour.

Gates are opened by name; a fixture (tests/executions/conftest.py) closes them all again after each test.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from pydantic import Field

from workflows.errors import WorkflowStepError
from workflows.steps import base, register

#: idempotency key -> how often a step ran under it
RUNS: Counter[str] = Counter()
#: name -> how many more times a flaky step fails
LEFT: Counter[str] = Counter()
#: name -> the event that lets asynchronous steps go on, and the one that says that a step has come to it
GATES: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
REACHED: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
#: the same for steps in threads
THREAD_GATES: defaultdict[str, threading.Event] = defaultdict(threading.Event)
THREAD_REACHED: defaultdict[str, threading.Event] = defaultdict(threading.Event)


def forget() -> None:
    """Lets everybody go who still waits at a gate, and forgets gates and counts."""
    for gates in (GATES, THREAD_GATES):
        for gate in gates.values():
            gate.set()
    for kept in (RUNS, LEFT, GATES, REACHED, THREAD_GATES, THREAD_REACHED):
        kept.clear()


@register
class Fail(base.Step["Fail.Config"]):
    kind, label = "test_fail", "Fail"

    class Config(base.Config):
        message: str = "It went wrong"
        details: dict[str, Any] = {}

    async def run(self, ctx: base.StepContext) -> base.Done:
        raise WorkflowStepError(self.config.message, self.config.details)


@register
class Count(base.Step[base.Config]):
    kind, label = "test_count", "Count"

    async def run(self, ctx: base.StepContext) -> base.Done:
        RUNS[ctx.idempotency_key] += 1
        return base.Done({ctx.node: ctx.attempt})


@register
class Hold(base.Step["Hold.Config"]):
    """Logs `lines`, comes to its gate, waits there, and counts."""

    kind, label = "test_hold", "Hold"

    class Config(base.Config):
        gate: str = "gate"
        lines: int = 0

    async def run(self, ctx: base.StepContext) -> base.Done:
        RUNS[ctx.idempotency_key] += 1
        for number in range(self.config.lines):
            ctx.log(f"line {number}")
        REACHED[self.config.gate].set()
        await GATES[self.config.gate].wait()
        return base.Done({ctx.node: "held"})


@register
class Stubborn(base.Step["Stubborn.Config"]):
    """Will not be cancelled: goes on until its gate is opened."""

    kind, label = "test_stubborn", "Stubborn"

    class Config(base.Config):
        gate: str = "gate"

    async def run(self, ctx: base.StepContext) -> base.Done:
        gate = GATES[self.config.gate]
        REACHED[self.config.gate].set()
        while not gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()
        return base.Done({ctx.node: "too late"})


@register
class Thread(base.Step["Thread.Config"]):
    """A plain function: runs in a thread, and waits there where it is given a gate."""

    kind, label = "test_thread", "Thread"

    class Config(base.Config):
        gate: str = ""
        error: str = ""

    def run(self, ctx: base.StepContext) -> base.Done:
        ctx.log("in a thread")
        if self.config.gate:
            THREAD_REACHED[self.config.gate].set()
            THREAD_GATES[self.config.gate].wait(30)
        if self.config.error:
            raise WorkflowStepError(self.config.error)
        return base.Done({ctx.node: threading.current_thread().name.split("_")[0]})


@register
class Choose(base.Step["Choose.Config"]):
    kind, label = "test_choose", "Choose"
    handles = ("true", "false")

    class Config(base.Config):
        handle: str = "true"

    async def run(self, ctx: base.StepContext) -> base.Done:
        return base.Done(ctx.data, self.config.handle)


@register
class Talk(base.Step["Talk.Config"]):
    kind, label = "test_talk", "Talk"

    class Config(base.Config):
        lines: int = 1
        text: str = "line"
        level: str = "info"

    async def run(self, ctx: base.StepContext) -> base.Done:
        for number in range(self.config.lines):
            ctx.log(f"{self.config.text} {number}", self.config.level)  # type: ignore[arg-type]
        return base.Done({})


@register
class Add(base.Step["Add.Config"]):
    """Adds what its config says, and what it saw under `saw`, where that is named."""

    kind, label = "test_add", "Add"

    class Config(base.Config):
        add: dict[str, Any] = {}
        saw: str = ""

    async def run(self, ctx: base.StepContext) -> base.Done:
        return base.Done({**self.config.add, **({self.config.saw: dict(ctx.data)} if self.config.saw else {})})


@register
class Spoil(base.Step[base.Config]):
    """Changes everything it was given, in place."""

    kind, label = "test_spoil", "Spoil"

    async def run(self, ctx: base.StepContext) -> base.Done:
        _spoil(ctx.data)
        _spoil(ctx.input)
        return base.Done({})


@register
class Ask(base.Step["Ask.Config"]):
    """Waits for an answer and hands it on."""

    kind, label = "test_ask", "Ask"

    class Config(base.Config):
        reason: str = "a question"
        seconds: float | None = Field(None, description="At the latest after so long.")
        spoil: bool = False
        resume: str = ""

    async def run(self, ctx: base.StepContext) -> base.Wait:
        seconds = self.config.seconds
        return base.Wait(None if seconds is None else ctx.now + timedelta(seconds=seconds), self.config.reason)

    def resume(self, data: Mapping[str, Any], answer: Any) -> base.Outcome:
        if self.config.spoil:
            _spoil(data)
        if answer == "ask again":
            return base.Wait(None, "another question")
        return RUBBISH[self.config.resume]() if self.config.resume else base.Done({"answer": answer})


@register
class Rubbish(base.Step["Rubbish.Config"]):
    """Answers with something that no step should answer with; see RUBBISH."""

    kind, label = "test_rubbish", "Rubbish"

    class Config(base.Config):
        what: str

    async def run(self, ctx: base.StepContext) -> Any:
        return RUBBISH[self.config.what]()


@register
class ThreadRubbish(base.Step["Rubbish.Config"]):
    kind, label = "test_thread_rubbish", "Rubbish from a thread"
    Config = Rubbish.Config

    def run(self, ctx: base.StepContext) -> Any:
        return RUBBISH[self.config.what]()


@register
class Say(base.Step["Rubbish.Config"]):
    """Logs something odd; see SAID."""

    kind, label = "test_say", "Say"
    Config = Rubbish.Config

    async def run(self, ctx: base.StepContext) -> base.Done:
        ctx.log(*SAID[self.config.what])
        return base.Done({})


@register
class Hasty(base.Step[base.Config]):
    """Says of itself what is not so."""

    kind, label, is_instant = "test_hasty", "Hasty", True

    async def run(self, ctx: base.StepContext) -> base.Done:
        await asyncio.sleep(0)
        return base.Done({})


@register
class ThreadSay(base.Step["Rubbish.Config"]):
    kind, label = "test_thread_say", "Say in a thread"
    Config = Rubbish.Config

    def run(self, ctx: base.StepContext) -> base.Done:
        ctx.log(*SAID[self.config.what])
        return base.Done({})


def _spoil(data: Any) -> None:
    for value in list(data.values()):
        if isinstance(value, dict):
            value["spoiled"] = True
        elif isinstance(value, list):
            value.append("spoiled")
    with contextlib.suppress(TypeError):
        data["spoiled"] = True


def _raise(error: BaseException) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


class Abrupt(BaseException):
    """Not an Exception, as some libraries have them."""


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Odd:
    def __repr__(self) -> str:
        return "odd \ud800 object"

    __str__ = __repr__


#: name -> a function that gives the outcome or raises
RUBBISH: dict[str, Callable[[], Any]] = {
    # no outcome at all
    "none": lambda: None,
    "list": lambda: [1, 2],
    "dict": lambda: {"a": 1},
    "class": lambda: base.Done,
    "exception": lambda: ValueError("returned, not raised"),
    "odd": Odd,
    "output_list": lambda: base.Done([1]),  # type: ignore[arg-type]
    "output_none": lambda: base.Done(None),  # type: ignore[arg-type]
    "unknown_handle": lambda: base.Done({}, "nowhere"),
    "handle_none": lambda: base.Done({}, None),  # type: ignore[arg-type]
    "handle_list": lambda: base.Done({}, ["out"]),  # type: ignore[arg-type]
    "until_text": lambda: base.Wait("tomorrow"),  # type: ignore[arg-type]
    "until_naive": lambda: base.Wait(datetime(2999, 1, 1)),
    "until_number": lambda: base.Wait(5),  # type: ignore[arg-type]
    "reason_none": lambda: base.Wait(None, None),  # type: ignore[arg-type]
    "too_deep": lambda: base.Done({"deep": deep(70)}),
    "huge_number": lambda: base.Done({"n": 10**5000}),
    # outputs that are made keepable
    "nan": lambda: base.Done({"v": [float("nan"), float("inf"), 1.5]}),
    "nul": lambda: base.Done({"v": "a\x00b"}),
    "surrogate": lambda: base.Done({"v": "a\ud800b", "k\udfff": 1}),
    "tuple": lambda: base.Done({"v": (1, (2, 3))}),
    "set": lambda: base.Done({"v": {7}}),
    "moment": lambda: base.Done({"v": datetime(2026, 1, 2, tzinfo=UTC)}),
    "number_key": lambda: base.Done({1: {2: None}}),  # type: ignore[dict-item]
    "object": lambda: base.Done({"v": Odd()}),
    "reason_surrogate": lambda: base.Wait(None, "why \ud800 not"),
    # exceptions
    "error": _raise(ValueError("an ordinary error")),
    "error_nul": _raise(ValueError("a\x00b \ud800")),
    "error_empty": _raise(ValueError()),
    "error_speechless": _raise(Speechless()),
    "error_details": _raise(WorkflowStepError("odd details", {"v": (float("nan"), Odd(), "\x00")})),
    "error_deep_details": _raise(WorkflowStepError("deep details", deep(70))),
    "error_long": _raise(ValueError("x" * 1_000_000)),
    "error_group": _raise(ExceptionGroup("two", [ValueError("one"), KeyError("other")])),
    "stop_iteration": _raise(StopIteration("stopped")),
    "cancelled": _raise(asyncio.CancelledError()),
    "timeout": _raise(TimeoutError()),
    "system_exit": _raise(SystemExit(3)),
    "abrupt": _raise(Abrupt("abrupt end")),
    "generator_exit": _raise(GeneratorExit()),
}

#: name -> what to call log() with
SAID: dict[str, tuple[Any, ...]] = {
    "nul": ("a\x00b",),
    "surrogate": ("half \ud800",),
    "empty": ("",),
    "unicode": ("ü 😀\n\t",),
    "none": (None,),
    "object": (Odd(),),
    "odd level": ("a text", Odd()),
    "number as level": ("a text", 20),
    "long": ("x" * 100_000,),
}


@register
class Flaky(base.Step["Flaky.Config"]):
    """Fails as often as LEFT says, then ends."""

    kind, label = "test_flaky", "Flaky"

    class Config(base.Config):
        name: str = "flaky"
        permanent: bool = False
        retry_after_s: float | None = None

    async def run(self, ctx: base.StepContext) -> base.Done:
        RUNS[ctx.idempotency_key] += 1
        if LEFT[self.config.name] > 0:
            LEFT[self.config.name] -= 1
            raise WorkflowStepError(
                f"attempt {ctx.attempt}",
                is_permanent=self.config.permanent,
                retry_after_s=self.config.retry_after_s,
            )
        return base.Done({ctx.node: ctx.attempt})


@register
class ForEach(base.Step["ForEach.Config"]):
    """The body runs for each item of `items` in the data."""

    kind, label = "test_each", "Each"
    handles = ("each", "done")

    class Config(base.Config):
        parallel: int = 2
        stop_on_failure: bool = False

    async def run(self, ctx: base.StepContext) -> base.Each:
        return self.fan_out(ctx.data)

    def fan_out(self, data: Mapping[str, Any]) -> base.Each:
        return base.Each(data["items"], self.config.parallel, {"shared": 1}, self.config.stop_on_failure)

    def resume(self, data: Mapping[str, Any], answer: Any) -> base.Outcome:
        if self.config.stop_on_failure and answer["failed"]:
            raise WorkflowStepError(f"Item {answer['failed'][0]['index']} failed")
        return base.Done(answer, "done")


@register
class CallOther(base.Step["CallOther.Config"]):
    """Calls the workflow `target`, and hands on what it brought."""

    kind, label = "test_call", "Call"

    class Config(base.Config):
        target: int = 0

    async def run(self, ctx: base.StepContext) -> base.Call:
        return self.fan_out(ctx.data)

    def fan_out(self, data: Mapping[str, Any]) -> base.Call:
        return base.Call(self.config.target, data)

    def resume(self, data: Mapping[str, Any], answer: Any) -> base.Outcome:
        if answer["status"] != "completed":
            raise WorkflowStepError(f"The child {answer['status']}: {answer['error']}")
        return base.Done({"called": answer["output"]})


@register
class ItemFail(base.Step["ItemFail.Config"]):
    """Fails for the items that its config names."""

    kind, label = "test_item_fail", "Item"

    class Config(base.Config):
        bad: list[Any] = []

    async def run(self, ctx: base.StepContext) -> base.Done:
        if ctx.data["item"] in self.config.bad:
            raise WorkflowStepError(f"{ctx.data['item']} is bad")
        return base.Done({"made": [ctx.data["item"], ctx.data["index"]]})


@register
class ItemHold(base.Step["ItemHold.Config"]):
    """Comes to the gate “item 3” with item 3; some items wait at “gate”."""

    kind, label = "test_item_hold", "Item, held"

    class Config(base.Config):
        held: list[Any] = []

    async def run(self, ctx: base.StepContext) -> base.Done:
        REACHED[f"item {ctx.data['item']}"].set()
        if ctx.data["item"] in self.config.held:
            await GATES["gate"].wait()
        return base.Done({"made": ctx.data["item"]})


@register
class Make(base.Step["Make.Config"]):
    """Makes text of so many bytes; with `many` a list of so many texts; `keep`: beside all that came in."""

    kind, label = "test_make", "Make"

    class Config(base.Config):
        size: int = 1_000_000
        many: int = 0
        keep: bool = False
        letter: str = "x"

    async def run(self, ctx: base.StepContext) -> base.Done:
        text = self.config.letter * self.config.size
        made = [f"{number}{text}" for number in range(self.config.many)] if self.config.many else text
        return base.Done({**(ctx.data if self.config.keep else {}), ctx.node: made})


@register
class Echo(base.Step["Echo.Config"]):
    """Hands on its settings, as they are once their expressions are worked out."""

    kind, label = "test_echo", "Echo"

    class Config(base.Config):
        value: Any = None
        number: float = Field(0, ge=0, title="Number")

    async def run(self, ctx: base.StepContext) -> base.Done:
        RUNS[ctx.idempotency_key] += 1
        return base.Done({**ctx.data, ctx.node: self.config.value})


@register
class EchoLater(base.Step["Echo.Config"]):
    """As Echo, after an answer: its settings are worked out twice, and must be the same."""

    kind, label = "test_echo_later", "Echo later"
    Config = Echo.Config

    async def run(self, ctx: base.StepContext) -> base.Wait:
        return base.Wait(reason=str(self.config.value))

    def resume(self, data: Mapping[str, Any], answer: Any) -> base.Done:
        return base.Done({**data, "value": self.config.value})


@register
class Spend(base.Step["Spend.Config"]):
    """Takes tokens of a language model, as long as there are some."""

    kind, label = "test_spend", "Spend"
    spends = True

    class Config(base.Config):
        tokens: int = 100
        fails: bool = False

    async def run(self, ctx: base.StepContext) -> base.Outcome:
        RUNS[ctx.idempotency_key] += 1
        if ctx.tokens_left is not None and ctx.tokens_left <= 0:
            return base.Pause("The token budget is spent.")
        usage = base.Usage(self.config.tokens - 1, 1, 0.25, "test-model")
        if self.config.fails:
            raise WorkflowStepError("It failed after the answer.", {"usage": {"input_tokens": self.config.tokens}})
        return base.Done({**ctx.data, ctx.node: ctx.tokens_left}, usage=usage)


GIVES: list[Any] = [None]


@register
class Give(base.Step[base.Config]):
    """Answers with whatever a test has put there, or raises it."""

    kind, label = "test_give", "Give"

    async def run(self, ctx: base.StepContext) -> Any:
        if isinstance(GIVES[0], Exception):
            raise GIVES[0]
        return GIVES[0]


@register
class Leak(base.Step["Leak.Config"]):
    """Is given a secret, and gives it away wherever a step can write."""

    kind, label = "test_leak", "Leak"

    class Config(base.Config):
        name: str = "API_KEY"
        host: str = "api.example.com"
        way: str = "output"

    async def run(self, ctx: base.StepContext) -> base.Outcome:
        value = await ctx.secret(self.config.name, self.config.host)
        match self.config.way:
            case "output":
                return base.Done({"said": value, value: ["deep", {"in": f"Bearer {value}!"}], "length": len(value)})
            case "large":
                return base.Done({"said": f"{'x' * 300_000}{value}{'y' * 300_000}"})
            case "log":
                ctx.log(f"The key is {value}")
                ctx.log("x" * 16_380 + value)
                return base.Done({})
            case "error":
                raise WorkflowStepError(
                    "x" * 16_380 + value, {"sent": {"Authorization": value}, "also": ["x" * 16_300 + value]}
                )
            case "exception":
                raise ValueError(value)
            case "wait":
                return base.Wait(reason=value, ask=base.Ask(title=value, message=value))
            case "pause":
                return base.Pause(f"{'x' * 195}{value}")
            case "stopped":
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    raise ValueError(value) from None
        return base.Done({"shown": base64.b64encode(f"user:{value}".encode()).decode(), "url": quote(value, safe="")})
