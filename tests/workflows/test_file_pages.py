"""The page of a workflow's files: who sees them, what a browser may do with one, and how one goes."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from workflows.files import area
from workflows.models import Workflow

pytestmark = pytest.mark.django_db
NAME = "a/<b> ü&'.html"


@pytest.fixture
def workflow(alice: User) -> Workflow:
    workflow = Workflow.objects.create(name="Reports", owner=alice)
    area(workflow.pk).save(NAME, b"<script>alert(1)</script>")
    return workflow


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_the_page_lists_and_links_what_there_is(workflow: Workflow, alice: User) -> None:
    page = signed_in(alice).get(f"/workflows/{workflow.pk}/files/").content.decode()
    assert "a/&lt;b&gt; ü&amp;&#x27;.html" in page and "a/<b>" not in page
    assert "path=a/%3Cb%3E%20%C3%BC%26%27.html" in page and "1 file, 25 bytes" in page


def test_a_file_is_saved_and_never_opened(workflow: Workflow, alice: User) -> None:
    answer = signed_in(alice).get(f"/workflows/{workflow.pk}/files/content/", {"path": NAME})
    assert answer.status_code == 200 and answer.content == b"<script>alert(1)</script>"
    assert answer["Content-Disposition"].startswith("attachment;") and answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"] and answer["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize("path", ["", "..", "/etc/passwd", "../2/a", "nothing", "a", "a\0", "a" * 5_000])
def test_what_is_no_file_here_is_not_found(workflow: Workflow, alice: User, path: str) -> None:
    assert signed_in(alice).get(f"/workflows/{workflow.pk}/files/content/", {"path": path}).status_code == 404


def test_a_stranger_finds_nothing(workflow: Workflow, charlie: User) -> None:
    client = signed_in(charlie)
    for place in ("files/", "files/content/?path=a"):
        assert client.get(f"/workflows/{workflow.pk}/{place}").status_code == 404
    assert client.post(f"/workflows/{workflow.pk}/files/delete/", {"path": NAME}).status_code == 404
    assert area(workflow.pk).paths() == [NAME]


def test_who_may_only_look_cannot_delete(workflow: Workflow, charlie: User) -> None:
    Workflow.objects.filter(pk=workflow.pk).update(owner=None)  # everybody's to see
    client = signed_in(charlie)
    assert "files/delete/" not in client.get(f"/workflows/{workflow.pk}/files/").content.decode()
    assert client.post(f"/workflows/{workflow.pk}/files/delete/", {"path": NAME}).status_code == 403
    assert area(workflow.pk).paths() == [NAME]


def test_who_may_edit_deletes_one_and_twice_is_said(workflow: Workflow, alice: User) -> None:
    client = signed_in(alice)
    for said in ("The file is deleted.", "There is no file"):
        answer = client.post(f"/workflows/{workflow.pk}/files/delete/", {"path": NAME}, follow=True)
        assert said in answer.content.decode()
    assert area(workflow.pk).paths() == []
