"""A refusal says what is wrong, what to do and whom to ask; our own fault has a number that the log knows."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path

from executions.models import WorkflowExecution
from tests.conftest import signed_in
from workflows.models import Workflow
from workflowsite.logs import KeyValueFormatter

pytestmark = pytest.mark.django_db


def break_down(request: HttpRequest) -> HttpResponse:
    raise OperationalError("the database is gone")


class Fragile:
    """The site with a page that fails."""

    handler400 = "workflowsite.refusals.unreadable"
    handler500 = "workflowsite.refusals.broken"
    urlpatterns = [path("", include("workflowsite.urls")), path("broken/", break_down, name="broken")]


@pytest.fixture
def fragile(settings: Any, alice: User) -> Client:
    settings.ROOT_URLCONF = Fragile
    client = signed_in(alice)
    client.raise_request_exception = False
    return client


def test_a_page_that_breaks_gives_a_number_that_the_log_has_too(
    fragile: Client, caplog: pytest.LogCaptureFixture
) -> None:
    response = fragile.get("/broken/")
    assert response.status_code == 500
    found = re.search(r"<code class=\"quote\">([0-9a-f]{8})</code>", response.text)
    assert found
    lines = [KeyValueFormatter().format(record) for record in caplog.records if record.levelno >= logging.ERROR]
    assert [line for line in lines if f"incident={found[1]}" in line and "the database is gone" in line]
    assert fragile.get("/broken/").text != response.text


def test_the_page_that_breaks_tells_nothing_of_the_cause_and_has_the_chosen_theme(fragile: Client) -> None:
    fragile.cookies["stepstream_theme"] = "dark"
    text = fragile.get("/broken/").text
    assert "database is gone" not in text and "Traceback" not in text
    assert 'data-theme="dark"' in text


def test_a_request_that_cannot_be_read_has_a_page(fragile: Client) -> None:
    response = fragile.get("/", headers={"Host": "else where"})
    assert response.status_code == 400
    assert "could not read that" in response.text


def test_a_form_that_is_too_large_has_a_page(settings: Any, as_alice: Client) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    response = as_alice.post("/preferences/", {"theme": "x" * 200})
    assert response.status_code == 400
    assert "larger than this server takes" in response.text


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_an_address_of_a_form_opened_as_a_page_says_so_and_leads_back(
    alice: User, as_alice: Client, workflow: Workflow, method: str
) -> None:
    execution = _execution(workflow)
    response = getattr(as_alice, method)(f"/executions/{execution.pk}/cancel/")
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert "only takes what a form sends" in response.text
    assert f'href="/executions/{execution.pk}/"' in response.text


def test_the_apis_wrong_methods_stay_json(as_alice: Client) -> None:
    assert as_alice.delete("/api/workflows/").json()["code"] == "method_not_allowed"


def test_who_was_signed_out_comes_back_to_the_page_and_not_to_the_forms_address(client: Client) -> None:
    response = client.post("/executions/12/cancel/", headers={"Referer": "http://testserver/executions/12/"})
    assert response["Location"] == "/sign-in/?next=/executions/12/"
    response = client.post("/executions/12/cancel/", headers={"Referer": "https://elsewhere.example/"})
    assert response["Location"] == "/sign-in/?next=/"


def test_a_missing_thing_is_named_and_a_hidden_one_looks_the_same(workflow: Workflow, as_charlie: Client) -> None:
    hidden, missing = _execution(workflow, pk=987_653).pk, 987_654
    told = {number: as_charlie.get(f"/executions/{number}/") for number in (hidden, missing)}
    for number, response in told.items():
        assert response.status_code == 404
        assert f"There is no execution #{number} for you" in response.text
    bare = [_bare(response.text).replace(str(number), "N") for number, response in told.items()]
    assert bare[0] == bare[1]
    assert f"There is no workflow {missing} for you" in as_charlie.get(f"/workflows/{missing}/").text
    assert "No page is called" in as_charlie.get("/nothing/here/").text


def test_a_strange_address_is_shown_as_text(as_alice: Client) -> None:
    text = as_alice.get("/nothing/<script>alert(1)</script>/").text
    assert "&lt;script&gt;" in text
    assert "<script>alert" not in text


def test_a_refusal_names_the_right_that_is_missing_and_who_can_give_it(workflow: Workflow, as_bob: Client) -> None:
    response = as_bob.post(f"/workflows/{workflow.pk}/archive/")
    assert response.status_code == 403
    assert "Only its owner alice may do this with “Chain”" in response.text
    assert f'href="/workflows/{workflow.pk}/"' in response.text


def test_an_example_says_that_it_is_everybodys(as_charlie: Client) -> None:
    example = Workflow.objects.create(name="Example")
    assert "is an example for everybody" in as_charlie.post(f"/workflows/{example.pk}/archive/").text


def _execution(workflow: Workflow, **facts: Any) -> WorkflowExecution:
    return WorkflowExecution.objects.create(workflow=workflow, version=workflow.versions.get(), **facts)


def _bare(html: str) -> str:
    return re.sub(r'value="\w+"', "", html)  # CSRF tokens are masked anew each time
