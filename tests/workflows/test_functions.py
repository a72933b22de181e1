"""A team's own functions: what of a signature becomes a form, what is refused, and how they come in."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from tests.test_docs import ROOT, blocks
from workflows import config, picker, steps
from workflows.functions import FunctionError, function
from workflows.graph import Node, parse
from workflows.steps.base import Done, StepContext, Wait


class Line(BaseModel):
    name: str
    price: float = 0


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    before = dict(steps.kinds())
    yield
    steps._kinds.clear()
    steps._kinds.update(before)


def run(called: str, data: dict[str, Any] | None = None, /, **settings: Any) -> Any:
    step = steps.make(Node("a", f"python.{called}", settings))
    ctx = StepContext({}, data or {}, "a", 1, datetime.now(UTC), "1:a:0")
    outcome: Any = step.run(ctx)
    return asyncio.run(outcome) if asyncio.iscoroutine(outcome) else outcome


def test_parameters_become_settings_and_the_result_stands_under_a_name() -> None:
    @function()
    def price_of(name: str, pieces: int = 2, kind: Literal["rye", "spelt"] = "rye") -> dict[str, Any]:
        """What it costs

        More about it.
        """
        return {"name": name, "price": pieces * 3, "kind": kind}

    assert run("price_of", {"a": 1}, name="loaf", pieces=3) == Done(
        {"a": 1, "result": {"name": "loaf", "price": 9, "kind": "rye"}}
    )
    assert run("price_of", name="x", save_as="cost").output["cost"]["price"] == 6
    kind = steps.kinds()["python.price_of"]
    assert (kind.label, kind.help) == ("Price of", "What it costs.")
    fields = {one.name: (one.look, one.is_required) for one in config.settings(kind.Config, {}, {})}
    assert fields == {
        "name": ("text", True),
        "pieces": ("number", False),
        "kind": ("choice", False),
        "save_as": ("text", False),
    }
    assert price_of("x") == {"name": "x", "price": 6, "kind": "rye"}  # the function itself stays as it is
    assert [choice.name for choice in picker.choices("what it costs")] == ["python.price_of"]


def test_asyncio_and_the_context_and_models_work() -> None:
    @function("sum_up", label="Sum", effects="outside")
    async def total(
        lines: list[Line], step: StepContext, limit: Annotated[int, Field(ge=1, description="At most.")] = 5
    ) -> int:
        step.log("sums up")
        return int(sum(line.price for line in lines[:limit]))

    assert run("sum_up", lines=[{"name": "a", "price": 2}, {"name": "b", "price": 3}]).output == {"result": 5}
    assert steps.reaches_out(Node("a", "python.sum_up", {}))
    found = steps.config_errors(steps.kinds()["python.sum_up"], {"lines": [{"price": "x"}], "limit": 0})
    assert {at for at, _ in found} == {"lines.0.name", "lines.0.price", "limit"}


def test_models_come_out_as_objects_and_outcomes_as_they_are() -> None:
    @function()
    def one() -> list[Line]:
        return [Line(name="a")]

    @function()
    def wait(ctx: StepContext) -> Wait:
        return Wait(until=ctx.now)

    assert run("one").output == {"result": [{"name": "a", "price": 0.0}]}
    assert isinstance(run("wait"), Wait)


def test_what_cannot_be_settings_is_refused_at_once() -> None:
    def untyped(name) -> None: ...  # type: ignore[no-untyped-def]
    def many(*names: str) -> None: ...
    def more(**names: str) -> None: ...
    def taken(label: str) -> None: ...
    def hidden(_name: str) -> None: ...
    def unknown(name: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821
    def odd(name: asyncio.Lock) -> None: ...

    for decorated, said in (
        (untyped, "has no type"),
        (many, "no \\*args"),
        (more, "no \\*args"),
        (taken, "the name is taken"),
        (hidden, "the name is taken"),
        (unknown, "is not known"),
        (odd, "cannot become settings"),
    ):
        with pytest.raises(FunctionError, match=said):
            function()(decorated)
    with pytest.raises(FunctionError, match="cannot name a step"):
        function("Not a name")(test_what_cannot_be_settings_is_refused_at_once)


def test_a_name_that_is_taken_is_refused() -> None:
    @function("mine")
    def first() -> None: ...

    with pytest.raises(ValueError, match=r"“python.mine” is taken by"):

        @function("mine")
        def second() -> None: ...


def problems(kind: str, **data: Any) -> list[str]:
    return [problem.message for problem in steps.problems(parse({"nodes": [{"id": "a", "type": kind, "data": data}]}))]


def test_publishing_names_what_a_changed_signature_wants_and_what_is_gone() -> None:
    @function()
    def ship(address: str, express: bool = False) -> None: ...

    (missing, unused) = problems("python.ship", adress="here", label="Ship")
    assert "“Ship”" in missing and "Address is required" in missing
    assert "“adress”" in unused and "does not use" in unused
    (gone,) = problems("python.gone", label="Gone")
    assert "unknown type “python.gone”" in gone


def test_the_functions_of_the_docs_come_in_by_extra_apps(tmp_path: Path) -> None:
    (tmp_path / "bakery").mkdir()
    (tmp_path / "bakery" / "__init__.py").touch()
    (tmp_path / "bakery" / "workflow_functions.py").write_text(blocks("docs/python.md", "python")[0])
    program = "import django; django.setup(); from workflows import steps; print(steps.kinds()['python.price_of'].help)"
    env = {
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
        "EXTRA_APPS": "bakery",
        "DATA_DIR": str(tmp_path / "data"),
        "DJANGO_SETTINGS_MODULE": "workflowsite.settings",
    }
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "What so many loaves cost.", done.stderr
