"""Who may do what: everybody of the cast, every verb, every kind of workflow; and who sees what in lists."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.db.models import ProtectedError
from django.test import Client

from executions.engine import WorkflowEngine
from executions.models import WorkflowExecution
from tests.conftest import CHAIN
from workflows.models import Workflow
from workflows.permissions import Verb, can, may_start, shows, startable, visible, visible_to

pytestmark = pytest.mark.django_db

VERBS = get_args(Verb)
ALL, TEAM, RUN, NONE = "view run edit administer", "view run edit", "view run", ""

#: who -> what they may do with: alice's own, alice's shared with her team, nobody's, nobody's but her team's
MATRIX = {
    "alice": (ALL, ALL, RUN, TEAM),
    "bob": (NONE, TEAM, RUN, TEAM),
    "charlie": (NONE, NONE, RUN, NONE),
    "owner": (ALL, ALL, ALL, ALL),
    "nobody": (NONE, NONE, NONE, NONE),
    "dismissed alice": (NONE, NONE, NONE, NONE),
    "dismissed owner": (NONE, NONE, NONE, NONE),
}
KINDS = ("own", "shared", "ownerless", "team's")


@pytest.fixture
def people(alice: User, bob: User, charlie: User, owner: User) -> dict[str, Any]:
    return {"alice": alice, "bob": bob, "charlie": charlie, "owner": owner, "nobody": AnonymousUser()}


@pytest.fixture
def workflows(alice: User, team: Group) -> dict[str, Workflow]:
    make = Workflow.objects.create
    return {
        "own": make(name="own", owner=alice),
        "shared": make(name="shared", owner=alice, group=team),
        "ownerless": make(name="ownerless"),
        "team's": make(name="team's", group=team),
    }


def person(people: dict[str, Any], name: str) -> Any:
    if not name.startswith("dismissed"):
        return people[name]
    user = people[name.split()[1]]
    user.is_active = False
    user.save()
    return user


@pytest.mark.parametrize("who", MATRIX)
@pytest.mark.parametrize("kind", KINDS)
def test_who_may_do_what(people: dict[str, Any], workflows: dict[str, Workflow], who: str, kind: str) -> None:
    allowed = MATRIX[who][KINDS.index(kind)].split()
    user = person(people, who)
    assert [verb for verb in VERBS if can(user, verb, workflows[kind])] == allowed


@pytest.mark.parametrize("who", MATRIX)
def test_what_is_listed_is_what_may_be_viewed(people: dict[str, Any], workflows: dict[str, Workflow], who: str) -> None:
    user = person(people, who)
    may = {workflow.pk for workflow in workflows.values() if can(user, "view", workflow)}
    listed = [workflow.pk for workflow in visible_to(user)]
    assert set(listed) == may and len(listed) == len(may)


@pytest.mark.parametrize("who", MATRIX)
def test_executions_inherit_from_their_workflow(
    people: dict[str, Any], workflows: dict[str, Workflow], who: str
) -> None:
    for workflow in workflows.values():
        workflow.publish(CHAIN)
        WorkflowEngine().submit(workflow.pk)
    user = person(people, who)
    seen = WorkflowExecution.objects.filter(visible(user, "workflow__"))
    assert sorted(seen.values_list("workflow", flat=True)) == sorted(visible_to(user).values_list("pk", flat=True))


def test_who_is_in_many_groups_sees_each_workflow_once(alice: User, team: Group) -> None:
    for number in range(3):
        alice.groups.add(Group.objects.create(name=f"more {number}"))
    workflow = Workflow.objects.create(name="shared", owner=alice, group=team)
    assert list(visible_to(alice)) == [workflow]


def test_an_archived_workflow_can_still_be_seen(alice: User, charlie: User) -> None:
    workflow = Workflow.objects.create(name="old", owner=alice)
    workflow.archive()
    assert list(visible_to(alice)) == [workflow] and not visible_to(charlie)


def test_who_leaves_the_team_loses_the_right_at_once(bob: User, team: Group) -> None:
    workflow = Workflow.objects.create(name="team's", group=team)
    assert can(bob, "edit", workflow)
    bob.groups.remove(team)
    assert not can(bob, "view", workflow) and not visible_to(bob)


def test_a_private_workflow_does_not_become_everybodys_when_its_owner_is_deleted(alice: User, charlie: User) -> None:
    workflow = Workflow.objects.create(name="private", owner=alice)
    with pytest.raises(ProtectedError):
        alice.delete()
    workflow.refresh_from_db()
    assert not can(charlie, "view", workflow) and not visible_to(charlie)


# From one workflow to another


def test_a_workflow_starts_what_its_owner_may_run_as_of_now(
    workflows: dict[str, Workflow], alice: User, charlie: User, team: Group
) -> None:
    strangers = Workflow.objects.create(name="stranger's", owner=charlie)
    own = workflows["own"]
    assert not may_start(own, strangers) and may_start(own, own) and may_start(own, workflows["team's"])
    alice.groups.remove(team)
    assert not may_start(own, workflows["team's"])
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert not may_start(Workflow.objects.get(pk=own.pk), workflows["shared"])


def test_a_workflow_without_owner_starts_what_is_everybodys(workflows: dict[str, Workflow]) -> None:
    allowed = {name for name, other in workflows.items() if may_start(workflows["ownerless"], other)}
    assert allowed == {"ownerless"}
    allowed = {name for name, other in workflows.items() if may_start(workflows["team's"], other)}
    assert allowed == {"ownerless", "team's"}


def test_what_names_another_is_shown_only_where_all_its_viewers_may_see_that(
    people: dict[str, Any], workflows: dict[str, Workflow], charlie: User
) -> None:
    workflows["stranger's"] = Workflow.objects.create(name="stranger's", owner=charlie)
    seen = {name: set(visible_to(user)) for name, user in people.items()}
    for workflow in workflows.values():
        for other in workflows.values():
            if shows(workflow, other):
                assert all(other in those for those in seen.values() if workflow in those), (workflow, other)
    told = {(one.name, other.name) for one in workflows.values() for other in workflows.values() if shows(one, other)}
    assert {("own", "shared"), ("team's", "shared"), ("shared", "ownerless")} <= told
    assert not {("shared", "own"), ("ownerless", "own"), ("own", "stranger's")} & told


def test_what_a_workflow_may_be_set_to_start_both_its_owner_and_who_chooses_may_see(
    workflows: dict[str, Workflow], people: dict[str, Any], bob: User
) -> None:
    workflows["bob's"] = Workflow.objects.create(name="bob's", owner=bob)
    for workflow in workflows.values():
        for user in people.values():
            offered = set(startable(user, workflow))
            assert offered == {other for other in visible_to(user) if may_start(workflow, other)}


def test_a_member_cannot_choose_their_own_workflow_for_the_failures_of_another_persons(
    workflows: dict[str, Workflow], bob: User, as_bob: Client
) -> None:
    own, shared = Workflow.objects.create(name="bob's", owner=bob), workflows["shared"]
    path = f"/workflows/{shared.pk}/about/"
    assert "bob&#x27;s" not in as_bob.get(path).content.decode()
    form = {"name": "shared", "max_parallel": 8, "concurrency_per_key": 1, "priority": 0}
    assert as_bob.post(path, {**form, "on_failure": own.pk}).status_code == 422
    assert as_bob.post(path, {**form, "on_failure": workflows["ownerless"].pk}).status_code == 303
    shared.refresh_from_db()
    assert shared.on_failure == workflows["ownerless"]


def test_what_was_chosen_before_stays_and_can_be_taken_away(
    workflows: dict[str, Workflow], alice: User, charlie: User, as_alice: Client
) -> None:
    shared, team = workflows["shared"], workflows["team's"].group
    chosen = Workflow.objects.create(name="charlie's", owner=charlie, group=team)
    Workflow.objects.filter(pk=shared.pk).update(on_failure=chosen)
    path = f"/workflows/{shared.pk}/about/"
    form = {"name": "renamed", "max_parallel": 8, "concurrency_per_key": 1, "priority": 0}
    assert as_alice.post(path, {**form, "on_failure": chosen.pk}).status_code == 303
    assert as_alice.post(path, {**form, "on_failure": ""}).status_code == 303
    shared.refresh_from_db()
    assert (shared.name, shared.on_failure) == ("renamed", None)
