"""Publish, versions and going back, as alice (owner), bob (her team) and charlie (a stranger) meet them."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from executions.engine import WorkflowEngine
from executions.models import WorkflowExecution
from tests import conftest
from workflows import edits
from workflows.models import Workflow, WorkflowVersion

pytestmark = pytest.mark.django_db

CHAIN: dict[str, Any] = conftest.CHAIN
WRONG: dict[str, Any] = {
    "nodes": [*CHAIN["nodes"], {"id": "odd", "type": "wizard", "data": {"label": "Wave"}}],
    "edges": CHAIN["edges"],
}


def whispering(operation: str = "lowercase", label: str = "Shout") -> dict[str, Any]:
    made = copy.deepcopy(CHAIN)
    made["nodes"][1]["data"] = {"label": label, "operation": operation}
    return made


def at(name: str, workflow: Workflow, *more: object) -> str:
    return reverse(f"workflows:{name}", args=[workflow.pk, *more])


def stored(workflow: Workflow) -> Workflow:
    return Workflow.objects.select_related("published").get(pk=workflow.pk)


def publish(client: Client, workflow: Workflow, note: str = "", revision: Any = None) -> Any:
    revision = stored(workflow).revision if revision is None else revision
    return client.post(at("publish", workflow), {"note": note, "revision": revision})


def restore(client: Client, workflow: Workflow, number: int, revision: Any = None) -> Any:
    revision = stored(workflow).revision if revision is None else revision
    return client.post(at("restore", workflow, number), {"revision": revision})


def said(response: Any) -> str:
    """The page's text as people read it."""
    text = re.sub(r"<svg.*?</svg>|<[^>]+>", " ", response.text, flags=re.DOTALL)
    return " ".join(text.split())


@pytest.fixture
def drafted(workflow: Workflow, bob: User) -> Workflow:
    """Alice's chain, in which bob changed a setting."""
    workflow.keep_draft(whispering(), by=bob)
    return workflow


@pytest.fixture
def example(db: None) -> Workflow:
    workflow = Workflow.objects.create(name="Example")
    workflow.publish(CHAIN)
    return workflow


# Publish


def test_the_page_says_in_words_what_publishing_changes(drafted: Workflow, as_bob: Client) -> None:
    response = as_bob.get(at("publish", drafted))
    assert "operation changed from “uppercase” to “lowercase”" in said(response)
    assert f'href="{reverse("workflows:step", args=[drafted.pk, "work"])}"' in response.text
    assert "What changes since version 1" in said(response) and "1 change" in said(response)


def test_publishing_makes_the_next_version_with_its_note(drafted: Workflow, as_bob: Client, bob: User) -> None:
    response = publish(as_bob, drafted, "Quieter for the night")
    assert (response.status_code, response["Location"]) == (303, at("show", drafted))
    version = stored(drafted).published
    assert version and (version.number, version.note, version.created_by) == (2, "Quieter for the night", bob)
    assert stored(drafted).draft is None
    assert "Version 2 is published." in as_bob.get(at("versions", drafted)).text


def test_a_wrong_draft_is_refused_with_a_link_to_the_step_and_keeps_the_note(
    workflow: Workflow, as_alice: Client
) -> None:
    workflow.keep_draft(WRONG)
    response = publish(as_alice, workflow, "A <b>brave</b> note")
    assert response.status_code == 422
    assert "cannot be published like this" in said(response) and "unknown type “wizard”" in said(response)
    assert f'href="/workflows/{workflow.pk}/steps/odd/"' in response.text
    assert "A &lt;b&gt;brave&lt;/b&gt; note</textarea>" in response.text
    assert stored(workflow).published == workflow.published and stored(workflow).draft == WRONG


def test_a_problem_that_names_no_step_of_the_draft_links_nowhere(workflow: Workflow, as_alice: Client) -> None:
    workflow.keep_draft({**CHAIN, "edges": [{"source": "in", "target": "gone"}]})
    response = as_alice.get(at("publish", workflow))
    assert response.status_code == 200 and "there is no such step" in said(response)
    assert "steps/gone/" not in response.text


def test_warnings_do_not_stand_in_the_way(workflow: Workflow, as_alice: Client) -> None:
    workflow.keep_draft({**CHAIN, "edges": []})
    assert "none of which stands in the way" in said(as_alice.get(at("publish", workflow)))
    assert publish(as_alice, workflow).status_code == 303


def test_a_draft_that_moved_on_is_not_published_unseen(drafted: Workflow, as_alice: Client, bob: User) -> None:
    seen = drafted.revision
    drafted.edit(lambda made: edits.delete(made, "work"), by=bob)
    response = publish(as_alice, drafted, "My note", revision=seen)
    assert response.status_code == 409
    assert "nothing was done" in said(response) and "Deleted “Shout” · bob" in said(response)
    assert "My note</textarea>" in response.text
    assert f'name="revision" value="{drafted.revision}"' in response.text
    assert stored(drafted).published == drafted.published


@pytest.mark.parametrize("revision", ["", "-1", "abc", "9" * 40, "١"])
def test_whoever_does_not_say_what_they_saw_publishes_nothing(
    drafted: Workflow, as_alice: Client, revision: str
) -> None:
    assert publish(as_alice, drafted, revision=revision).status_code == 409
    assert drafted.versions.count() == 1


def test_a_note_that_is_too_long_comes_back_as_it_was_typed(drafted: Workflow, as_alice: Client) -> None:
    response = publish(as_alice, drafted, "x" * 501)
    assert response.status_code == 422 and "x" * 501 in response.text
    assert drafted.versions.count() == 1


def test_where_nothing_changed_there_is_nothing_to_publish(workflow: Workflow, as_alice: Client) -> None:
    assert "nothing to publish: version 1 runs" in said(as_alice.get(at("publish", workflow)))
    response = as_alice.post(at("publish", workflow), {"revision": workflow.revision}, follow=True)
    assert "There is nothing to publish: version 1 runs already." in said(response)
    assert workflow.versions.count() == 1


def test_a_workflow_without_a_step_says_why_it_cannot_be_published(alice: User, as_alice: Client) -> None:
    fresh = Workflow.objects.create(name="Fresh", owner=alice)
    assert publish(as_alice, fresh).status_code == 422
    assert "no nodes to execute" in said(as_alice.get(at("publish", fresh)))


# Versions


def test_the_versions_are_listed_newest_first_with_who_note_and_words(
    workflow: Workflow, as_bob: Client, bob: User
) -> None:
    workflow.publish(whispering(), by=bob, note="Quieter <i>now</i>")
    text = said(as_bob.get(at("versions", workflow)))
    assert text.index("Version 2") < text.index("Version 1")
    second, first = text[text.index("Version 2") :].split("Version 1")
    assert "Runs now" in second and "bob" in second and "Quieter &lt;i&gt;now&lt;/i&gt;" in second
    assert "operation changed from “uppercase” to “lowercase”" in second
    assert "The first version: 3 steps." in first and "Runs now" not in first


def test_the_draft_stands_on_top_with_what_is_not_published(drafted: Workflow, as_bob: Client) -> None:
    text = said(as_bob.get(at("versions", drafted)))
    assert text.index("Draft") < text.index("Version 1")
    assert "1 change that is not published" in text


def test_a_version_that_changed_much_tells_five_things_and_how_many_more(workflow: Workflow, as_alice: Client) -> None:
    more = [{"id": f"n{n}", "type": "process", "data": {}} for n in range(17)]
    workflow.publish({"nodes": [*CHAIN["nodes"], *more], "edges": CHAIN["edges"]})
    text = said(as_alice.get(at("versions", workflow)))
    assert text.count("Added “n") == 5 and "and 12 more" in text


def test_older_versions_are_a_page_away(workflow: Workflow, as_alice: Client) -> None:
    for number in range(24):
        workflow.publish(whispering(label=f"L{number}"))
    first = as_alice.get(at("versions", workflow))
    older = re.search(r'href="(\?before=\d+)">Older', first.text)
    assert older and "Version 6" in said(first) and "Version 5" not in said(first)
    second = said(as_alice.get(at("versions", workflow) + older[1]))
    assert "Version 5" in second and "The first version" in second and "Version 6" not in second
    assert "Older" not in second


@pytest.mark.parametrize("before", ["0", "-1", "abc", "9" * 60, "1"])
def test_an_odd_place_in_the_list_is_no_error(workflow: Workflow, as_alice: Client, before: str) -> None:
    assert as_alice.get(at("versions", workflow), {"before": before}).status_code == 200


def test_nothing_published_yet_is_said_so(alice: User, as_alice: Client) -> None:
    fresh = Workflow.objects.create(name="Fresh", owner=alice)
    assert "Nothing is published yet" in said(as_alice.get(at("versions", fresh)))


def test_a_draft_that_was_run_is_no_version(drafted: Workflow, as_alice: Client) -> None:
    WorkflowVersion(workflow=drafted, number=None, definition=whispering()).save()
    assert "Version None" not in as_alice.get(at("versions", drafted)).text


# One version


def test_a_version_shows_its_steps_its_settings_and_its_json(workflow: Workflow, as_bob: Client) -> None:
    workflow.publish(whispering())
    response = as_bob.get(at("version", workflow, 2))
    assert response.text.count("<foreignObject") == 3
    assert "Process, after Take in operation lowercase" in said(response)
    assert "Changed since version 1" in said(response) and 'href="#step-work"' in response.text
    assert "&quot;operation&quot;: &quot;lowercase&quot;" in response.text
    assert "style=" not in response.text


def test_any_two_versions_can_be_compared(workflow: Workflow, as_bob: Client) -> None:
    workflow.publish(whispering("trim"))
    workflow.publish(whispering("lowercase"))
    text = said(as_bob.get(at("version", workflow, 3), {"against": "1"}))
    assert "Against version 1" in text and "from “uppercase” to “lowercase”" in text
    assert "from “lowercase” to “uppercase”" in said(as_bob.get(at("version", workflow, 1), {"against": "3"}))
    assert "There is no version 9" in said(as_bob.get(at("version", workflow, 3), {"against": "9"}))
    assert as_bob.get(at("version", workflow, 3), {"against": "x'\"<"}).status_code == 200


@pytest.mark.parametrize("number", ["0", "2", "9223372036854775808", "9" * 60])
def test_a_version_that_is_not_there_is_unknown(workflow: Workflow, as_alice: Client, number: str) -> None:
    assert as_alice.get(f"/workflows/{workflow.pk}/versions/{number}/").status_code == 404
    assert as_alice.post(f"/workflows/{workflow.pk}/versions/{number}/restore/").status_code == 404


def test_a_version_of_another_workflow_is_unknown(workflow: Workflow, alice: User, as_alice: Client) -> None:
    other = Workflow.objects.create(name="Other", owner=alice)
    assert as_alice.get(at("version", other, 1)).status_code == 404


# Going back


def test_the_page_before_going_back_says_what_will_change(workflow: Workflow, as_alice: Client) -> None:
    workflow.publish(whispering())
    text = said(as_alice.get(at("restore", workflow, 1)))
    assert "operation changed from “lowercase” to “uppercase”" in text and "against version 2" in text


def test_going_back_publishes_the_old_definition_as_the_next_version(
    workflow: Workflow, as_bob: Client, bob: User
) -> None:
    workflow.publish(whispering())
    assert restore(as_bob, workflow, 1).status_code == 303
    version = stored(workflow).published
    assert version and version.definition == CHAIN
    assert (version.number, version.note, version.created_by) == (3, "Back to version 1", bob)
    assert list(workflow.versions.values_list("number", flat=True)) == [3, 2, 1]


def test_executions_keep_the_version_that_they_began_with(workflow: Workflow, as_alice: Client, alice: User) -> None:
    first = WorkflowEngine().submit(workflow.pk, {}, by=alice)
    workflow.publish(whispering())
    second = WorkflowEngine().submit(workflow.pk, {}, by=alice)
    restore(as_alice, workflow, 1)
    third = WorkflowEngine().submit(workflow.pk, {}, by=alice)
    numbers = [WorkflowExecution.objects.get(pk=pk).version.number for pk in (first, second, third)]
    assert numbers == [1, 2, 3]


def test_a_draft_that_was_not_published_comes_back_by_undo(drafted: Workflow, as_alice: Client, alice: User) -> None:
    drafted.publish(whispering("trim"))
    drafted.keep_draft(whispering(label="My work"), by=alice)
    assert "This takes the draft’s place; undo brings it back." in said(as_alice.get(at("restore", drafted, 1)))
    restore(as_alice, drafted, 1)
    after = stored(drafted)
    assert after.draft is None and after.definition == CHAIN
    after.undo(by=alice)
    assert stored(drafted).draft == whispering(label="My work")


def test_going_back_to_what_runs_changes_nothing(drafted: Workflow, as_alice: Client) -> None:
    assert restore(as_alice, drafted, 1).status_code == 303
    assert stored(drafted).draft == whispering() and drafted.versions.count() == 1
    assert "nothing to change" in said(as_alice.get(at("restore", drafted, 1)))


def test_a_version_that_cannot_run_any_more_says_what_is_gone_and_changes_nothing(
    workflow: Workflow, as_alice: Client
) -> None:
    WorkflowVersion(workflow=workflow, number=2, definition=WRONG).save()
    workflow.keep_draft(whispering())
    assert "cannot run any more" in said(as_alice.get(at("restore", workflow, 2)))
    response = restore(as_alice, workflow, 2)
    assert response.status_code == 422 and "unknown type “wizard”" in said(response)
    after = stored(workflow)
    assert after.draft == whispering() and after.published == workflow.published and after.revision == workflow.revision


def test_going_back_is_refused_where_the_draft_moved_on(drafted: Workflow, as_alice: Client) -> None:
    drafted.publish(whispering("trim"))
    response = restore(as_alice, drafted, 1, revision=drafted.revision - 1)
    assert response.status_code == 409 and "nothing was done" in said(response)
    assert drafted.versions.count() == 2


def test_a_version_can_be_taken_into_the_draft_and_undone(drafted: Workflow, as_bob: Client, bob: User) -> None:
    drafted.publish(whispering("trim"))
    drafted.keep_draft(whispering(label="My work"))
    response = as_bob.post(at("take-over", drafted, 1), follow=True)
    assert "The draft is version 1, not published yet." in said(response)
    assert stored(drafted).draft == CHAIN and stored(drafted).versions.count() == 2
    assert stored(drafted).undo(by=bob).words == "Took over version 1"
    assert stored(drafted).draft == whispering(label="My work")


# Rights

READ = ["versions", "version"]
WRITE = ["publish", "restore", "take-over"]


def address(name: str, workflow: Workflow) -> str:
    return at(name, workflow) if name in ("versions", "publish") else at(name, workflow, 1)


@pytest.mark.parametrize("name", [*READ, *WRITE])
def test_a_stranger_finds_nothing(workflow: Workflow, as_charlie: Client, name: str) -> None:
    asked = as_charlie.post if name in WRITE else as_charlie.get
    assert asked(address(name, workflow)).status_code == 404


@pytest.mark.parametrize("name", WRITE)
def test_who_may_only_look_at_an_example_changes_nothing(example: Workflow, as_charlie: Client, name: str) -> None:
    assert as_charlie.post(address(name, example), {"revision": example.revision}).status_code == 403
    assert stored(example).revision == example.revision


@pytest.mark.parametrize("name", READ)
def test_who_may_only_look_gets_no_verbs(example: Workflow, as_charlie: Client, name: str) -> None:
    example.publish(whispering())
    response = as_charlie.get(address(name, example))
    main = response.text.split("<main")[1]
    assert response.status_code == 200 and "Version 1" in main
    assert not any(verb in main for verb in ("Run this version", "Edit this version", "Import", "/publish/"))
    assert 'method="post"' not in main


def test_markup_in_a_definition_is_text_on_every_page(alice: User, as_alice: Client) -> None:
    hostile = "<script>alert(1)</script>"
    workflow = Workflow.objects.create(name=hostile, owner=alice)
    workflow.publish(whispering(label=hostile), note=hostile)
    workflow.publish(whispering("trim", label=f"{hostile}2"), note=hostile)
    workflow.keep_draft(whispering(label=f"{hostile}3"))
    pages = [at("publish", workflow), at("versions", workflow), at("version", workflow, 2), at("restore", workflow, 1)]
    for page in pages:
        text = as_alice.get(page).text
        assert hostile not in text and "&lt;script&gt;alert(1)" in text
