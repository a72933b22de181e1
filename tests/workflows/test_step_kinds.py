"""`manage.py step_kinds`: what there is, where it comes from, and what published workflows miss."""

from __future__ import annotations

import json
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.utils import OperationalError
from pydantic import Field

from tests.executions.conftest import chain, node, stored
from tests.workflows.test_steps import STEP_MODULE, package, registry
from workflows import manual, steps
from workflows.models import Workflow
from workflows.steps import base
from workflows.steps.origin import origin_of

__all__ = ["registry"]


def told(*options: str) -> tuple[str, str]:
    """What went to stdout, and to stderr."""
    out, err = StringIO(), StringIO()
    call_command("step_kinds", *options, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.django_db
def test_it_lists_every_kind_and_where_it_comes_from() -> None:
    out, err = told()
    lines = out.splitlines()
    assert lines[0].split() == ["KIND", "LABEL", "EFFECTS", "FROM", "VERSION"]
    assert len(lines) == len(steps.kinds()) + 1 and err == ""
    (call,) = (line for line in lines if line.startswith("call "))
    assert call.split() == ["call", "Run", "a", "workflow", "outside", "built", "in", "1"]


@pytest.mark.django_db
def test_the_list_as_json_is_nothing_but_json() -> None:
    stored(chain(node("a", "gone")))
    out, err = told("--json")
    facts = {fact["kind"]: fact for fact in json.loads(out)}
    assert facts["delay"] == {
        "kind": "delay",
        "label": "Delay",
        "effects": "none",
        "from": "built in",
        "version": 1,
    }
    assert facts["http"]["effects"] == "depends" and facts["email"]["effects"] == "outside"
    assert "gone" not in facts and "“gone”" in err


@pytest.mark.django_db
def test_a_missing_kind_is_told_with_the_workflows_that_run_it() -> None:
    for name in ("Old", "Older"):
        stored(chain(node("a", "gone"), node("b", "default")), name=name)
    out, err = told()
    assert "gone" not in out
    assert err.strip() == (
        "Warning: the kind “gone” is missing. Its steps pass their data on unchanged, in “Old”, “Older”."
    )


@pytest.mark.django_db
def test_of_many_workflows_with_a_missing_kind_some_are_named() -> None:
    for number in range(7):
        stored(chain(node("a", "gone")), name=f"W{number}")
    assert "“W4” and 2 others." in told()[1]


@pytest.mark.django_db
def test_no_name_speaks_to_the_terminal() -> None:
    stored(chain(node("a", "gone\x1b[2J")), name="Old\x1b]0;mine\x07")
    err = told()[1]
    assert "\x1b" not in err and "\x07" not in err and "“Old ]0;mine ”" in err


@pytest.mark.django_db
def test_what_does_not_run_misses_nothing() -> None:
    stored(chain(node("a", "gone")), name="Archived").archive()
    Workflow.objects.create(name="Draft", draft=chain(node("a", "gone")))
    assert told()[1] == ""


@pytest.mark.django_db
@pytest.mark.parametrize("definition", [{}, {"nodes": None}, {"nodes": ["x", {"id": "a"}, {"id": "b", "type": 5}]}])
def test_a_broken_definition_breaks_no_list(definition: Any) -> None:
    stored(definition)
    assert "input" in told()[0]


@pytest.mark.django_db
def test_json_and_docs_exclude_each_other() -> None:
    with pytest.raises(CommandError, match="not allowed with"):
        told("--json", "--docs")


def test_the_page_needs_no_database() -> None:
    out, err = told("--docs")
    assert out.startswith("# Steps\n") and "### Countdown" in out and err == ""


def test_without_a_database_the_list_is_there_and_says_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> Any:
        raise OperationalError("no such table: workflows_workflow")

    monkeypatch.setattr("workflows.management.commands.step_kinds._missing", away)
    out, err = told()
    assert "countdown" in out and "were not looked at" in err and "no such table" in err


def test_a_package_and_an_app_are_named(registry: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "their_package", STEP_MODULE.format(kind="theirs"), "their_package:Theirs")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert str(origin_of(steps.kinds()["theirs"])) == "package their_package 1.0"
    assert str(origin_of(steps.kinds()["test_fail"])) == "app tests.steps"
    assert str(origin_of(steps.kinds()["delay"])) == "built in"
    del sys.modules["their_package"]


# The page


def section(config: type[base.Config], **facts: Any) -> str:
    made = type(
        "Made",
        (base.Step,),
        {"kind": "made", "label": "Made", "help": "Makes it.", "Config": config, **facts},
    )
    return manual.page([made]).partition("### Made")[2]


class Odd(base.Config):
    pipes: str = Field("a|b", max_length=10, description="Either <b>this</b> | that.\nOr another.")
    sql: str = Field("", description="A statement.")
    needed: int = Field(ge=1, description="A number.")


def test_a_setting_is_a_line_of_its_own_whatever_its_description_has() -> None:
    lines = section(Odd, literal=frozenset({"sql"})).splitlines()
    assert (
        r"| `pipes` | **Pipes**: Either &lt;b>this&lt;/b> \| that. Or another. | text, at most 10 characters | `a\|b` |"
        in lines
    )
    assert "| `sql` | **Sql**: A statement. | text, no expression |  |" in lines
    assert "| `needed` | **Needed**: A number. | a whole number, at least 1 | required |" in lines


def test_what_depends_on_settings_is_not_told_as_a_fact() -> None:
    assert "It does something outside." in section(base.Config, effects="outside")
    assert "It has no settings." in section(base.Config)
    told = section(base.Config, effects_of=classmethod(lambda cls, data: "none"), page="people.md#by-api")
    assert "depends on its settings" in told and "[people.md](people.md#by-api)" in told


def test_kinds_of_others_come_after_ours_under_their_own_heading() -> None:
    page = manual.page(steps.kinds().values())
    assert page.index("## Wait\n") < page.index("## Your own\n") < page.index("### Flaky")
