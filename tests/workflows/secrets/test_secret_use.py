"""Where secrets are named: problems before publishing, what a step's form offers, and who uses what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from pydantic import Field

from workflows import steps
from workflows.errors import DefinitionError
from workflows.graph import parse
from workflows.models import Secret, Variable, Workflow
from workflows.models.workflow import definition_problems
from workflows.secrets.mentions import secrets_named
from workflows.secrets.usage import usage, usages
from workflows.steps import base
from workflows.steps.secret_name import SecretName

pytestmark = pytest.mark.django_db


class Row(base.Config):
    key: SecretName = Field("", title="Row's key")


class Config(base.Config):
    token: SecretName = Field("", title="Token")
    rows: list[Row] = Field([], title="Rows")
    text: str = ""


class Sending(base.Step[Config]):
    kind, label = "sending", "Sending"
    Config = Config


@pytest.fixture(autouse=True)
def sending() -> Iterator[None]:
    steps.kinds()
    steps.register(Sending)
    yield
    del steps._kinds["sending"]


def definition(token: Any = "KEY", *rows: Any, text: str = "") -> dict[str, Any]:
    data = {"label": "Send", "token": token, "rows": [{"key": row} for row in rows], "text": text}
    return {"nodes": [{"id": "send", "type": "sending", "data": data}]}


def problems(workflow: Workflow, *names: Any) -> list[tuple[str, str | None, str]]:
    found = definition_problems(definition(*names), workflow)
    return [(problem.level, problem.field, problem.message) for problem in found if problem.code == "step.secret"]


def keep(user: User, name: str = "KEY", group: Group | None = None) -> Secret:
    return Secret.objects.make(user, name, "a long value", ["*"], group=group)


def test_the_names_are_found_with_their_fields() -> None:
    found = secrets_named(parse(definition("KEY", "A", "", "B")))
    assert [(one.field, one.name) for one in found] == [("token", "KEY"), ("rows.0.key", "A"), ("rows.2.key", "B")]


@pytest.mark.parametrize("odd", [None, 5, ["KEY"], {"a": "KEY"}, "", True])
def test_what_is_no_text_names_nothing(odd: Any) -> None:
    assert secrets_named(parse(definition(odd))) == []
    assert secrets_named(parse({"nodes": [{"id": "a", "type": "sending", "data": {"rows": odd}}]})) == []


def test_a_secret_that_is_not_there_stops_a_publish_and_is_named_at_its_field(alice: User, workflow: Workflow) -> None:
    keep(alice, "KEY")
    assert problems(workflow, "KEY") == []
    [(level, field, text)] = problems(workflow, "KEY", "OTHER")
    assert (level, field) == ("error", "rows.0.key")
    assert text.startswith("Step “Send”: Rows names the secret “OTHER”, which this workflow may not use")
    with pytest.raises(DefinitionError, match="OTHER"):
        workflow.publish(definition("OTHER"))
    with pytest.raises(DefinitionError, match="OTHER"):
        workflow.draft_version(definition("OTHER"))
    workflow.publish(definition("KEY"))


def test_a_secret_of_somebody_else_is_a_problem_and_the_groups_is_none(
    bob: User, charlie: User, team: Group, workflow: Workflow
) -> None:
    keep(charlie)
    keep(bob, "OTHER")
    assert len(problems(workflow, "KEY", "OTHER")) == 2
    keep(bob, "OURS", team)
    assert problems(workflow, "OURS") == []


def test_an_expression_never_chooses_a_secret(alice: User, workflow: Workflow) -> None:
    keep(alice)
    [(level, _, text)] = problems(workflow, "{{ input.key }}")
    assert level == "error" and "never by an expression" in text


def test_a_workflow_without_owner_is_warned(team: Group) -> None:
    example = Workflow.objects.create(name="Example")
    [(level, _, text)] = problems(example, "KEY")
    assert level == "warning" and "Copy it" in text
    example.publish(definition("KEY"))


def test_no_secret_costs_no_query(workflow: Workflow, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        definition_problems(definition(""), workflow)


def test_a_steps_form_offers_the_names_and_keeps_one_that_is_unknown(
    as_alice: Client, alice: User, bob: User, charlie: User, team: Group, workflow: Workflow
) -> None:
    keep(alice, "MINE")
    keep(bob, "OURS", team)
    keep(bob, "BOBS")
    keep(charlie, "CHARLIES")
    workflow.keep_draft(definition("GONE", "MINE"), alice)
    page = as_alice.get(f"/workflows/{workflow.pk}/steps/send/").content.decode()
    assert '<option value="MINE">MINE</option>' in page and '<option value="OURS">OURS</option>' in page
    assert "BOBS" not in page and "CHARLIES" not in page
    assert '<option value="GONE" selected>GONE (unknown)</option>' in page
    assert "There is no secret “GONE” that this workflow may use." in page
    assert '<option value="MINE" selected>MINE</option>' in page
    assert f"/secrets/new/?workflow={workflow.pk}" in page
    typed = {"revision": workflow.revision, "label": "Send", "token": "OURS", "rows.0.key": "MINE", "do": "save"}
    assert as_alice.post(f"/workflows/{workflow.pk}/steps/send/", typed).status_code == 303
    workflow.refresh_from_db()
    assert workflow.definition["nodes"][0]["data"]["token"] == "OURS"
    assert problems(workflow, "OURS", "MINE") == []


def test_a_workflow_without_owner_offers_none(owner: User) -> None:
    from tests.conftest import signed_in

    example = Workflow.objects.create(name="Example")
    example.keep_draft(definition("KEY"))
    page = signed_in(owner).get(f"/workflows/{example.pk}/steps/send/").content.decode()
    assert "has no owner, so it may use no secret" in page and "New secret" not in page


def names(row: Secret | Variable, user: User) -> tuple[list[str], int]:
    found = usage(row, user)
    return [name for _, name in found.workflows], found.hidden


def test_used_by_tells_drafts_and_what_runs_and_hides_what_one_may_not_see(
    alice: User, bob: User, charlie: User, team: Group, workflow: Workflow
) -> None:
    secret = keep(alice, group=team)
    assert names(secret, alice) == ([], 0)
    workflow.publish(definition("KEY"))
    own = Workflow.objects.create(name="Own", owner=alice)
    own.keep_draft(definition("", "KEY"))
    bobs = Workflow.objects.create(name="Bob's", owner=bob, group=team)
    bobs.publish(definition("KEY"))
    assert names(secret, alice) == (["Bob's", "Chain", "Own"], 0)
    assert names(secret, bob) == (["Bob's", "Chain"], 1)
    own.archive()
    assert names(secret, bob) == (["Bob's", "Chain"], 0)


def test_used_by_means_this_one_and_not_another_of_the_same_name(
    alice: User, bob: User, charlie: User, team: Group, workflow: Workflow
) -> None:
    shared, mine, charlies = keep(bob, group=team), keep(alice), keep(charlie)
    workflow.publish(definition("KEY", text="KEY of nobody"))
    Workflow.objects.create(name="Words", owner=charlie).publish(definition("", text="KEY"))
    found = [usages([row], alice)[row.pk].count for row in (shared, mine, charlies)]
    assert found == [0, 1, 0]


def test_used_by_of_variables_reads_expressions(alice: User, owner: User, workflow: Workflow) -> None:
    variable, other = Variable.objects.make(alice, "LIMIT", 1), Variable.objects.make(None, "LIMIT_2", 1)
    for text in ("{{ vars.LIMIT }}", "{{ vars['LIMIT'] + 1 }}", '{{ vars["LIMIT"] }}', "{{ 1 + vars . LIMIT }}"):
        workflow.publish(definition("", text=text))
        assert names(variable, alice) == (["Chain"], 0), text
        assert names(other, alice) == ([], 0)
    workflow.publish(definition("", text="LIMIT vars.LIMITED myvars.LIMIT {{ vars.LIMIT_2 }}"))
    assert names(variable, alice) == ([], 0)
    assert names(other, alice) == (["Chain"], 0)


def test_a_variable_that_is_not_there_is_a_warning(alice: User, charlie: User, workflow: Workflow) -> None:
    text = "{{ vars.LIMIT }} of {{ vars['OTHER'] }} and vars.WORDS"
    Variable.objects.make(charlie, "OTHER", 1)

    def told() -> list[tuple[str, str | None, str]]:
        found = definition_problems(definition("", text=text), workflow)
        return [(one.level, one.field, one.message[-60:]) for one in found if one.code == "step.variable"]

    assert [(level, field) for level, field, _ in told()] == [("warning", "text")] * 2
    Variable.objects.make(None, "OTHER", 1)
    Variable.objects.make(alice, "LIMIT", 1)
    assert told() == []
    workflow.publish(definition("", text=text))


def test_a_broken_draft_names_nothing_and_breaks_nothing(alice: User, workflow: Workflow) -> None:
    secret = keep(alice)
    workflow.keep_draft({"nodes": [{"id": "KEY"}, "KEY"], "edges": [{"source": "KEY", "target": "x"}]})
    assert names(secret, alice) == ([], 0)


def test_the_list_costs_the_same_however_long_it_is(
    as_alice: Client, alice: User, workflow: Workflow, django_assert_max_num_queries: Any
) -> None:
    workflow.publish(definition(""))
    for number in range(30):
        keep(alice, f"KEY_{number}")
        Variable.objects.make(alice, f"VAR_{number}", number)
    with django_assert_max_num_queries(18):
        assert as_alice.get("/secrets/").status_code == 200


def test_deleting_what_is_used_is_warned_of_and_the_api_wants_force(
    as_alice: Client, alice: User, workflow: Workflow
) -> None:
    secret = keep(alice)
    workflow.publish(definition("KEY"))
    page = as_alice.get(f"/secrets/{secret.pk}/delete/").content.decode()
    assert "1 workflow will fail" in page and f"/workflows/{workflow.pk}/" in page
    answer = as_alice.delete(f"/api/secrets/{secret.pk}")
    assert answer.status_code == 409 and json.loads(answer.content)["code"] == "in_use"
    assert as_alice.delete(f"/api/secrets/{secret.pk}?force=true").status_code == 204


def test_no_export_copy_or_version_holds_a_value(as_alice: Client, alice: User, workflow: Workflow) -> None:
    keep(alice)
    workflow.publish(definition("KEY"))
    for path in ("export/", "versions/2/", "definition/", ""):
        page = as_alice.get(f"/workflows/{workflow.pk}/{path}")
        assert page.status_code == 200 and "a long value" not in page.content.decode()
