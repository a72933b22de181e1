"""Every step kind, built in or brought by the tests, keeps at work what it promises; and who does not is told so."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from executions import step_contract
from executions.step_contract import AT_WORK, Promise, check_kind
from tests.executions.conftest import chain, lines, node, run
from tests.samples import BUILT_IN, Kind, sample_of
from tests.steps import GATES, RUNS
from workflows import steps
from workflows.errors import WorkflowStepError
from workflows.functions import function
from workflows.steps import base
from workflows.steps.contract import Sample
from workflows.steps.secret_name import SecretName

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sample(kind: Kind, settings: Any, tmp_path: Path) -> Iterator[Sample]:
    yield from sample_of(kind, settings, tmp_path)


@pytest.mark.parametrize("promise", AT_WORK, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.kind)
async def test_every_kind_keeps_every_promise_at_work(sample: Sample, promise: Promise) -> None:
    assert await promise(sample) == []


# Who breaks a promise


class Bad(base.Step["Bad.Config"]):
    """Breaks what its settings say."""

    kind, label = "test_bad", "Bad"
    help = "Breaks a promise, to see that it is found."

    class Config(base.Config):
        way: str = Field("", max_length=100, description="Which one.")
        secret: SecretName = Field("", description="A secret.")

    async def run(self, ctx: base.StepContext) -> Any:
        match self.config.way:
            case "fails":
                raise WorkflowStepError("It does not like its example.")
            case "no outcome":
                return {"text": "no outcome"}
            case "unknown handle":
                return base.Done({}, "nowhere")
            case "leaves a file":
                await asyncio.to_thread(ctx.files.save, "left.txt", b"behind")
            case "waits":
                return base.Wait(reason="an answer")
            case "stubborn":
                return await self._stubborn()
            case "speaks from a thread":
                await asyncio.to_thread(ctx.log, "from a thread")
            case "tells":
                secret = await ctx.secret(self.config.secret, "example.com")
                logging.getLogger("tests").warning("The secret is %s", secret)
            case "breaks with it":
                secret = await ctx.secret(self.config.secret, "example.com")
                raise WorkflowStepError(f"{secret} was refused.", {"key": secret})
        return base.Done({"way": self.config.way})

    async def _stubborn(self) -> base.Done:
        gate = GATES["bad"]
        while not gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()
        return base.Done({})

    def resume(self, data: Mapping[str, Any], answer: Any) -> base.Outcome:
        RUNS["resumed"] += 1
        return base.Done({"times": RUNS["resumed"]}, "nowhere")


@pytest.fixture
def bad() -> Iterator[Kind]:
    before = dict(steps._kinds)
    yield steps.register(Bad)
    steps._kinds.clear()
    steps._kinds.update(before)


@pytest.mark.parametrize(
    ("promise", "way", "sentence"),
    [
        (step_contract.it_ends_with_an_outcome, "fails", "It does not like its example."),
        (step_contract.it_ends_with_an_outcome, "no outcome", "must answer with Done"),
        (step_contract.it_ends_with_an_outcome, "unknown handle", "With its example it fails"),
        (step_contract.it_ends_with_an_outcome, "leaves a file", "leaves files behind: left.txt"),
        (step_contract.it_fails_in_plain_words, "no outcome", "It breaks on {}: TypeError"),
        (step_contract.it_goes_on_after_a_restart, "waits", "says something else the second time"),
        (step_contract.it_goes_on_after_a_restart, "waits", "leaves by “nowhere”"),
        (step_contract.it_stops_when_it_is_told_to, "ends", "before anybody stops it"),
        (step_contract.it_keeps_to_its_time_limit, "ends", "it is completed"),
        (step_contract.it_tells_no_secret, "tells", "stands in the server's log"),
        (step_contract.it_tells_no_secret, "quiet", "does not ask for its secret"),
    ],
)
async def test_who_breaks_a_promise_is_told_so(bad: Kind, promise: Promise, way: str, sentence: str) -> None:
    told = await promise(Sample(bad, {"way": way}, long={"way": way}))
    assert any(sentence in text for text in told), told


async def test_what_a_step_says_of_a_secret_is_masked_wherever_the_engine_writes_it(bad: Kind) -> None:
    assert await step_contract.it_tells_no_secret(Sample(bad, {"way": "breaks with it"})) == []


async def test_a_step_that_will_not_stop_is_found(bad: Kind) -> None:
    told = await step_contract.it_stops_when_it_is_told_to(Sample(bad, {"way": "ends"}, long={"way": "stubborn"}))
    assert len(told) == 1 and "It did not stop when it was told to" in told[0]


async def test_a_step_may_write_lines_from_a_thread_of_its_own(bad: Kind) -> None:
    result = await run(chain(node("a", "test_bad", way="speaks from a thread")))
    assert await lines(result.execution_id) == ["from a thread"]


async def test_a_kind_that_cannot_be_published_is_told_so(bad: Kind) -> None:
    told = await step_contract.it_ends_with_an_outcome(Sample(bad, {"way": 5}))
    assert len(told) == 1 and "Way must be text" in told[0]


# For a package's own tests


async def test_a_sound_kind_is_checked_in_one_call() -> None:
    await check_kind(Sample(steps.kinds()["countdown"], {"seconds": 0.01}, long={"seconds": 3_600}))


@pytest.fixture
def theirs() -> Iterator[None]:
    """Kinds that a test adds are gone after it."""
    before = dict(steps._kinds)
    yield
    steps._kinds.clear()
    steps._kinds.update(before)


async def test_a_teams_own_function_is_checked_as_any_kind(theirs: None) -> None:
    @function(help="Greets whoever is named.")
    def greeting(name: Annotated[str, Field(max_length=100)] = "Ada", times: Annotated[int, Field(ge=1)] = 1) -> str:
        return f"Hello, {name}! " * times

    await check_kind(Sample(steps.kinds()["python.greeting"], {"name": "{{ input.text }}"}))


async def test_what_a_teams_function_lacks_is_told(theirs: None) -> None:
    @function(help="Says it")
    def saying(text: str, key: Any = None) -> str:
        return text

    with pytest.raises(AssertionError) as told:
        await check_kind(Sample(steps.kinds()["python.saying"], {"text": "Hello"}))
    text = str(told.value)
    assert "a whole sentence" in text and "“text” has no limit" in text


async def test_all_that_a_kind_breaks_is_told_at_once(bad: Kind) -> None:
    with pytest.raises(AssertionError) as told:
        await check_kind(Sample(bad, {"way": "no outcome"}))
    text = str(told.value)
    assert "“test_bad” breaks its contract:" in text
    assert "it_ends_with_an_outcome: " in text and "it_tells_no_secret: It does not ask for its secret" in text
