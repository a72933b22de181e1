"""Every step kind, built in or brought by the tests, keeps at work what it promises; and who does not is told so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from asgiref.sync import sync_to_async

from executions.step_contract import AT_WORK, Promise
from tests.executions.conftest import chain, node, published
from workflows import steps
from workflows.steps.contract import Sample

pytestmark = pytest.mark.django_db(transaction=True)

BUILT_IN = [kind for kind in steps.kinds().values() if kind.__module__.startswith("workflows.steps.")]
Make = Callable[[type[steps.AnyStep]], Sample]


def _call(kind: type[steps.AnyStep]) -> Sample:
    other = published(chain(node("a", "default"), node("b", "delay", seconds=3_600)))
    quick = published(chain(node("a", "default")))
    return Sample(kind, {"workflow": quick.pk}, long={"workflow": other.pk})


#: What a kind needs beside its example: something that goes on until it is stopped, something to talk to.
SAMPLES: dict[str, Make] = {
    "call": _call,
    "countdown": lambda kind: Sample(kind, {"seconds": 0.01}, long={"seconds": 3_600}),
    "delay": lambda kind: Sample(kind, long={"seconds": 3_600}),
    "approval": lambda kind: Sample(kind, long={"title": "For ever"}),
    "callback": lambda kind: Sample(kind, long={"save_as": "for_ever"}),
}


@pytest.fixture
async def sample(kind: type[steps.AnyStep]) -> AsyncIterator[Sample]:
    yield await sync_to_async(SAMPLES.get(kind.kind, Sample))(kind)


@pytest.mark.parametrize("promise", AT_WORK, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.kind)
async def test_every_kind_keeps_every_promise_at_work(sample: Sample, promise: Promise) -> None:
    assert await promise(sample) == []
