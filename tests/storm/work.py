"""What the storm's workers work at: steps whose traces can be counted from outside, and workflows of about four each.

A step leaves its mark in a file outside of the database, as whatever a real step calls would: one write of one line,
so that a kill cannot tear it. Import it in a process that has set up Django.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import Group, User

from workflows import steps
from workflows.errors import WorkflowStepError
from workflows.models import Secret, Workflow
from workflows.steps import base

LINES = 2  # that a step writes into its log, numbered from 1
LARGE = 300_000  # characters: more than is kept inline
CANARY = "canary/Zq7+ünique&of the storm"  # a secret that nobody may find again
HOST = "api.example.com"
pace_s = 0.1  # what a step takes; each takes its time before its mark
effects = Path("effects")  # set by whoever forks the workers


def took_s() -> float:
    return pace_s * random.uniform(0.5, 1.5)


def mark(ctx: base.StepContext) -> None:
    """The step's effect."""
    handle = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, f"{ctx.idempotency_key}\n".encode())
    finally:
        os.close(handle)


def tell(ctx: base.StepContext) -> None:
    for number in range(1, LINES + 1):
        ctx.log(f"line {number} of {LINES}")
    ctx.log(f"by {os.getpid()}")


def marked(ctx: base.StepContext) -> base.Done:
    mark(ctx)
    return base.Done({ctx.node: os.getpid()})


class Effect(base.Step["Effect.Config"]):
    """Leaves its mark; before it the first attempt fails, where it is asked to."""

    kind, label, effects = "storm_effect", "Effect", "outside"

    class Config(base.Config):
        fails: bool = False

    async def run(self, ctx: base.StepContext) -> base.Done:
        tell(ctx)
        await asyncio.sleep(took_s())
        if self.config.fails and ctx.attempt == 1:
            raise WorkflowStepError("the first attempt")
        return marked(ctx)


class Thread(base.Step[base.Config]):
    """The same in a thread."""

    kind, label, effects = "storm_thread", "Thread", "outside"

    def run(self, ctx: base.StepContext) -> base.Done:
        tell(ctx)
        time.sleep(took_s())
        return marked(ctx)


class Large(base.Step[base.Config]):
    """Hands on more than a row keeps, and what it is to be recognised by."""

    kind, label = "storm_large", "Large"

    async def run(self, ctx: base.StepContext) -> base.Done:
        text = f"{ctx.idempotency_key} " * (LARGE // (len(ctx.idempotency_key) + 1))
        return base.Done({"text": text, "digest": sha256(text.encode()).hexdigest()})


class Check(base.Step[base.Config]):
    """Fails for good where the large value is not the one that was handed on."""

    kind, label = "storm_check", "Check"

    async def run(self, ctx: base.StepContext) -> base.Done:
        if sha256(ctx.data["text"].encode()).hexdigest() != ctx.data["digest"]:
            raise WorkflowStepError("The large value is another one.", is_permanent=True)
        return marked(ctx)


class Book(base.Step[base.Config]):
    """Writes a row without any key together with its end: twice would be two of them."""

    kind, label = "storm_book", "Book"

    async def run(self, ctx: base.StepContext) -> base.Done:
        return base.Done({ctx.node: True}, commit=lambda: Group.objects.create(name=f"{ctx.idempotency_key} {uuid4()}"))


class Whisper(base.Step[base.Config]):
    """Uses a secret, and tells it wherever it can."""

    kind, label = "storm_whisper", "Whisper"

    async def run(self, ctx: base.StepContext) -> base.Done:
        secret = await ctx.secret("CANARY", HOST)
        ctx.log(f"the secret is {secret}")
        return base.Done({"told": secret, "length": len(secret)})


def register() -> None:
    for kind in (Effect, Thread, Large, Check, Book, Whisper):
        steps.register(kind)


# What they make up

Definition = dict[str, Any]
AGAIN = {"attempts": 20, "backoff_s": 0.2, "backoff_max_s": 1}


def node(node_id: str, kind: str = "storm_effect", **data: Any) -> Definition:
    return {"id": node_id, "type": kind, "data": data}


def drawn(nodes: list[Definition], *ways: str) -> Definition:
    """Ways: “a>b”, or “a:each>b”."""
    edges = []
    for way in ways:
        source, target = way.split(">")
        source, _, handle = source.partition(":")
        edges.append({"source": source, "target": target, "sourceHandle": handle or "out"})
    return {"nodes": nodes, "edges": edges}


DEFINITIONS = {
    "chain": drawn(
        [
            node("a"),
            node("b", "storm_thread"),
            node("c", fails=True, policy={"attempts": 5, "backoff_s": 0.05}),
            node("d"),
        ],
        *("a>b", "b>c", "c>d"),
    ),
    "delay": drawn(
        [node("a"), node("pause", "delay", seconds=0.3), node("c"), node("d", "storm_thread")],
        *("a>pause", "a>c", "pause>d", "c>d"),
    ),
    "each": drawn(
        [node("a"), node("each", "for_each", items=[1, 2, 3], parallel=2), node("item"), node("d")],
        *("a>each", "each:each>item", "each:done>d"),
    ),
    "approval": drawn(
        [node("a"), node("ask", "approval", title="Go on?"), node("c", "storm_thread"), node("d")],
        *("a>ask", "ask:approved>c", "c>d"),
    ),
    "large": drawn(
        [node("a"), node("large", "storm_large", policy=AGAIN), node("c", "storm_check"), node("d")],
        *("a>large", "large>c", "c>d"),
    ),
    "book": drawn(
        [node("a"), node("book", "storm_book"), node("whisper", "storm_whisper"), node("d")],
        *("a>book", "book>whisper", "whisper>d"),
    ),
}
#: Of twenty executions, in their order.
MIX = ["chain"] * 11 + ["delay"] * 3 + ["each"] * 2 + ["approval"] * 2 + ["large", "book"]
MARKING = ("a", "b", "c", "d", "item")  # the steps that leave a mark
#: workflow -> how many marks an execution of it leaves
MARKS = {"chain": 4, "delay": 3, "each": 5, "approval": 3, "large": 3, "book": 2}


def name_of(number: int) -> str:
    """Which workflow the execution with this number is of; the kinds are spread evenly."""
    return MIX[number * 7 % len(MIX)]


def marks_of(executions: int) -> int:
    """How many marks so many executions leave, where nothing is repeated."""
    return sum(MARKS[name_of(number)] for number in range(executions))


def set_up() -> None:
    owner = User.objects.create_user("storm")
    Secret.objects.make(owner, "CANARY", CANARY, [HOST])
    for name, definition in DEFINITIONS.items():
        Workflow.objects.create(name=name, owner=owner).publish(definition)
