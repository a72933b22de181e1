"""What a step kind is: a name, a Config, and run(ctx) -> outcome.

A step never touches the engine, the models or the channel layer: what it needs comes in `ctx`, what it wants goes
out as an outcome. To add a kind, copy a neighbour in this folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, Literal, NoReturn, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from workflows.errors import WorkflowStepError
from workflows.graph import OUT

RESERVED = frozenset({"label", "notes", "policy"})
Effects = Literal["none", "outside"]


class Config(BaseModel):
    """The settings of one step. Unknown keys are kept in the definition and ignored here."""

    model_config = ConfigDict(extra="ignore", frozen=True)


C = TypeVar("C", bound=Config)


@dataclass(frozen=True, slots=True)
class Done:
    """The step ended. `output` is a JSON object; it leaves by `handle`. `usage`: what it spent, where it did.

    It merges over the step's data for those who follow; `instead`: they see it in place of that data.

    `commit`: short writes by Django's ORM to the default database, made in the very transaction that records this end:
    both are there, or neither is, whatever is killed. It may be called again where that transaction was rolled back.
    What it raises fails the step.
    """

    output: Mapping[str, Any] = field(default_factory=dict)
    handle: str = OUT
    usage: Usage | None = None
    commit: Callable[[], object] | None = field(default=None, repr=False)
    instead: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """What a language model took: tokens in and out, and its price in US dollars where that is known."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    model: str = ""

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Pause:
    """A budget is spent: the execution pauses before this step, which begins again when somebody resumes it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ask:
    """What people are asked: `fields` as in an input step. `people` and `groups`, by name, may answer; where both are
    empty, all who may run the workflow."""

    title: str = ""
    message: str = ""
    fields: Sequence[Mapping[str, Any]] = ()
    people: Sequence[str] = ()
    groups: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """The step lets go until `until` (None: until somebody answers). No task, thread or memory is held meanwhile.

    `ask`: people answer it, on a page. `callback`: whoever has its one-time address answers it. When it is over, the
    step's `resume` gets the answer, which is None where the time came first.
    """

    until: datetime | None = None
    reason: str = ""
    ask: Ask | None = None
    callback: bool = False


@dataclass(frozen=True, slots=True)
class Each:
    """The step's body runs once for each item, as a child execution with the input {"item", "index", **shared}.

    At most `parallel` at a time. `resume` then gets {"items": outputs in order, null where one failed, "failed":
    [{"index", "error"}], "count"}. `stop_on_failure`: the first failed item ends the others, and the step fails.
    """

    items: Sequence[Any]
    parallel: int = 8
    shared: Mapping[str, Any] = field(default_factory=dict)
    stop_on_failure: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """Another workflow runs as a child execution, in the version that is published when the call starts.

    `resume` then gets {"execution", "status", "output", "error"}.
    """

    workflow: int
    given: Mapping[str, Any]


Outcome = Done | Pause | Wait | Each | Call


class Files(Protocol):
    """The files of one workflow, and of no other. A path is relative, such as reports/2026.csv.

    Each raises WorkflowStepError where the path leaves the workflow's area, or there is no such file. They read and
    write a disk: from a coroutine, call them by asyncio.to_thread.
    """

    def read(self, path: str) -> bytes: ...

    def save(self, path: str, content: bytes, content_type: str = "") -> dict[str, Any]:
        """Gives {"file": its path, "name", "size": bytes, "content_type"}: what stands for a file in the data."""
        ...

    def append(self, path: str, content: bytes, content_type: str = "") -> dict[str, Any]:
        """As save(), behind what is there; whoever appends at the same time waits."""
        ...

    def move(self, path: str, to: str) -> dict[str, Any]: ...

    def remove(self, path: str) -> None: ...

    def reference(self, path: str, content_type: str = "") -> dict[str, Any]:
        """As save() gives it, of a file that is there."""
        ...

    def paths(self, below: str = "") -> list[str]: ...


class NoFiles:
    """Where a step runs outside of any workflow, as in a test of its own."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise WorkflowStepError("This step has no files here: it runs outside of a workflow.", is_permanent=True)

    read = save = append = move = remove = reference = paths = _refuse


class Pieces(Protocol):
    """A text that comes in pieces, without the secrets that the execution was given, wherever they are cut."""

    def feed(self, piece: str) -> str:
        """What may be shown by now: all but what may be the beginning of a secret."""
        ...

    def end(self) -> str:
        """The rest. To be called once, after the last piece."""
        ...


class AsTheyCome:
    """Pieces of an execution that has no secrets."""

    def feed(self, piece: str) -> str:
        return piece

    def end(self) -> str:
        return ""


def no_secrets(name: str, host: str) -> str:
    raise WorkflowStepError(f"There is no secret “{name}” here.", is_permanent=True)


@dataclass(slots=True)
class StepContext:
    """All that a running step may know and do.

    `input`: the execution's input. `data`: what came along this step's edges, merged. `now`: the time at which the
    attempt began (UTC). `idempotency_key`: the same over retries and crashes; hand it to whatever you call.
    `time_zone`: what a time without one means in this workflow; empty: that of the installation. `workflow`: its
    number. `tokens_left`: of the budget for language models; None where there is none. `reveal`: secret(), from a
    thread. `hide`: a text, or bytes, without the secrets that the execution was given. All that is written is masked
    anyway, but half of a secret is not recognised: hide what others answered before you cut it short or save it.
    `pieces`: the same for a text that comes in pieces.
    """

    input: Mapping[str, Any]
    data: Mapping[str, Any]
    node: str
    attempt: int
    now: datetime
    idempotency_key: str
    write: Callable[[str, str], object] = field(default=lambda level, text: None, repr=False)
    time_zone: str = ""
    workflow: int = 0
    files: Files = field(default_factory=NoFiles, repr=False)
    reveal: Callable[[str, str], str] = field(default=no_secrets, repr=False)
    tokens_left: int | None = None
    hide: Callable[[Any], Any] = field(default=lambda told: told, repr=False)
    pieces: Callable[[], Pieces] = field(default=AsTheyCome, repr=False)

    def log(self, text: str, level: Literal["debug", "info", "warning", "error"] = "info") -> None:
        """Writes one line into the journal; it is on the page within moments, while the step goes on."""
        self.write(level, text)

    async def secret(self, name: str, host: str) -> str:
        """The value of a secret, to be sent to `host` (“api.example.com”, or “localhost:8080”) and kept nowhere.

        Raises WorkflowStepError where there is none of this name, the workflow may not use it, or it may not go there.
        From now on it is masked in all that this execution writes.
        """
        return await asyncio.to_thread(self.reveal, name, host)


@dataclass(frozen=True, slots=True)
class Preset:
    """A step that is ready to use: a kind with some of its settings made, under a name that people look for."""

    label: str
    config: Mapping[str, Any]
    also: str = ""  # as of a Step


class Step(Generic[C]):
    """One step of a definition, with its checked config.

    `run` may be a coroutine function, or a plain function, which then runs in a bounded pool of threads.
    """

    kind: ClassVar[str]
    label: ClassVar[str]
    icon: ClassVar[str] = "process"
    help: ClassVar[str] = ""
    also: ClassVar[str] = ""  # other words by which people look for it: “loop iterate”
    presets: ClassVar[tuple[Preset, ...]] = ()
    handles: ClassVar[tuple[str, ...]] = (OUT,)
    start: ClassVar[Mapping[str, Any]] = {}  # the settings of a new one, as the builder adds it
    example: ClassVar[Mapping[str, Any]] = {}  # settings for people to read, and for the contract suite to run
    group: ClassVar[str] = "Your own"  # under which heading docs/steps.md has it
    gives: ClassVar[str] = ""  # what it hands on, in Markdown: “the data and `{"counted_seconds"}`”
    page: ClassVar[str] = ""  # the page of docs/ that tells more, such as “people.md#fields”
    effects: ClassVar[Effects] = "none"
    # Its `run` is a coroutine function that never awaits, is over at once, and changes nothing of the data it is given.
    is_instant: ClassVar[bool] = False
    literal: ClassVar[frozenset[str]] = frozenset()  # settings in which {{ }} means nothing
    spends: ClassVar[bool] = False  # tokens of language models: it gets to know what is left of the budget
    version: ClassVar[int] = 1
    Config: ClassVar[type[Config]] = Config

    def __init__(self, config: C) -> None:
        self.config = config

    def run(self, ctx: StepContext) -> Outcome | Awaitable[Outcome]:
        raise TypeError(f"{type(self).__name__} has no run()")

    def resume(self, data: Mapping[str, Any], answer: Any) -> Outcome:
        """What follows when a wait is over. Pure and quick: it runs inside the engine's own loop. May raise."""
        return Done(data)

    def fan_out(self, data: Mapping[str, Any]) -> Each | Call:
        """For a kind whose run() answers with Each or Call: the same again, after a restart. Pure."""
        raise TypeError(f"{type(self).__name__} has no fan_out()")

    @classmethod
    def handles_of(cls, data: Mapping[str, Any]) -> tuple[str, ...]:
        """The handles of one step, where they depend on its settings, which may be wrong or not there yet."""
        return cls.handles

    @classmethod
    def effects_of(cls, data: Mapping[str, Any]) -> Effects:
        """Whether one step does something outside, where that depends on its settings."""
        return cls.effects

    @classmethod
    def cautions_of(cls, data: Mapping[str, Any]) -> Sequence[str]:
        """What whoever publishes it should know, as sentences: no errors, but it may not do here what is meant."""
        return ()

    @classmethod
    def name_of(cls, data: Mapping[str, Any], handle: str) -> str:
        """What people call a handle."""
        return handle

    @classmethod
    def filled(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Settings that somebody typed, with what the builder adds by itself, such as ids."""
        return data

    @classmethod
    def upgrade(cls, old: dict[str, Any]) -> dict[str, Any]:
        """The config of an earlier `version` in today's form: versions of workflows never change, kinds do."""
        return old
