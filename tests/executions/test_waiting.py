"""Questions on pages and by API: shown to whom they ask, answered once, and nothing that was typed is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from executions import fragments
from executions.models import ExecutionLog, ExecutionWait
from executions.planner import fold
from executions.words import said
from tests.conftest import signed_in
from tests.executions.questions import FIELDS, asking, awaiting_a_call
from workflows.graph import parse
from workflows.models import Workflow

pytestmark = pytest.mark.django_db
STEP = "work"  # the one that the fixtures wait at


def url(wait: ExecutionWait) -> str:
    return f"/executions/{wait.execution_id}/waits/{wait.node}/"


def show(wait: ExecutionWait) -> str:
    return f"/executions/{wait.execution_id}/"


def text(response: Any) -> str:
    return str(response.content.decode())


def decision(wait: ExecutionWait, decided: str = "approved", **fields: str) -> dict[str, str]:
    return {"wait": str(wait.pk), "decision": decided, **fields}


@pytest.fixture
def dora(db: None) -> User:
    """In no group of alice's: she may not see the workflow, only answer."""
    return User.objects.create_user("dora")


@pytest.fixture
def wait(workflow: Workflow, bob: User, dora: User) -> ExecutionWait:
    return asking(workflow, people=["bob", "dora"], fields=FIELDS)


# The execution's page


def test_the_page_has_the_form_for_who_may_answer(wait: ExecutionWait, as_bob: Client) -> None:
    page = text(as_bob.get(show(wait)))
    assert "Pay it?" in page and "Look first." in page and 'value="approved"' in page
    assert f'name="wait" value="{wait.pk}"' in page and "csrfmiddlewaretoken" in page


def test_the_page_says_whom_it_waits_for_to_all_others(workflow: Workflow, as_bob: Client) -> None:
    wait = asking(workflow, people=["dora", "<b>"])
    page = text(as_bob.get(show(wait)))
    assert 'value="approved"' not in page and "It is for dora or &lt;b&gt; to answer." in page


def test_a_page_with_a_form_does_not_load_itself_again_without_script(
    workflow: Workflow, wait: ExecutionWait, as_alice: Client
) -> None:
    assert "http-equiv" not in text(as_alice.get(show(wait)))
    ExecutionWait.objects.all().delete()
    ExecutionLog.objects.filter(kind="waited").delete()
    assert "http-equiv" in text(as_alice.get(show(wait)))


def test_the_live_piece_is_the_same_for_everybody(wait: ExecutionWait) -> None:
    execution = wait.execution
    pieces = fragments.pieces(execution, parse(execution.version.definition), fold(execution.entries.all()))
    assert f'hx-get="{url(wait)}"' in pieces["waits"] and "hx-morph-skip" in pieces["waits"]
    assert not [word for word in ("csrf", "<form", "Approve", "bob", "Pay it?") if word in pieces["waits"]]


def test_an_answered_question_says_who_and_what(wait: ExecutionWait) -> None:
    answer = {"approved": False, "by": "bob", "comment": "<too> dear", "values": {}}
    note(wait, "answered", {"by": "bob", "answer": answer, "due": False, "kind": "approval"})
    note(wait, "completed", {"added": {}, "handle": "rejected"})
    execution = wait.execution
    piece = fragments.pieces(execution, parse(execution.version.definition), fold(execution.entries.all()))["waits"]
    assert "rejected by <b>bob</b>" in piece and "&lt;too&gt; dear" in piece and "hx-get" not in piece


def note(wait: ExecutionWait, kind: str, data: Any) -> ExecutionLog:
    seq = wait.execution.entries.count() + 1
    facts = {"seq": seq, "kind": kind, "node": wait.node, "attempt": 1, "at": timezone.now(), "data": data}
    return ExecutionLog.objects.create(execution=wait.execution, **facts)


# The question alone


def test_who_is_named_sees_the_question_and_not_the_execution(wait: ExecutionWait, dora: User) -> None:
    client = signed_in(dora)
    page = text(client.get(url(wait)))
    assert "Pay it?" in page and 'value="approved"' in page and f'href="{show(wait)}"' not in page
    assert client.get(show(wait)).status_code == 404


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_stranger_finds_no_question(wait: ExecutionWait, as_charlie: Client, method: str) -> None:
    assert getattr(as_charlie, method)(url(wait), decision(wait)).status_code == 404
    wait.refresh_from_db()
    assert wait.answered_at is None


def test_who_may_watch_but_not_answer_is_refused(workflow: Workflow, as_bob: Client) -> None:
    wait = asking(workflow, people=["dora"])
    response = as_bob.post(url(wait), decision(wait))
    assert response.status_code == 403 and "for dora to answer" in text(response)
    wait.refresh_from_db()
    assert wait.answered_at is None


def test_what_asks_nobody_has_no_page(workflow: Workflow, as_alice: Client) -> None:
    wait = asking(workflow)
    ExecutionWait.objects.update(kind="time")
    assert as_alice.get(url(wait)).status_code == 404
    assert as_alice.get(f"/executions/{wait.execution_id}/waits/none/").status_code == 404
    assert as_alice.get(f"/executions/{10**30}/waits/{STEP}/").status_code == 404
    assert as_alice.get(f"/executions/{wait.execution_id}/waits/wo%00rk/").status_code == 404
    assert as_alice.get(f"/executions/{wait.execution_id}/waits/{'w' * 3_000}/").status_code == 404
    assert as_alice.put(url(wait)).status_code == 405


def test_an_answer_is_taken_and_leads_back_to_the_execution(wait: ExecutionWait, as_bob: Client) -> None:
    response = as_bob.post(url(wait), decision(wait, comment="fine", **{"field-amount": "12", "field-why": "a"}))
    assert (response.status_code, response["Location"]) == (303, show(wait))
    wait.refresh_from_db()
    assert wait.answer == {"approved": True, "by": "bob", "comment": "fine", "values": {"amount": 12, "why": "a"}}
    assert "You approved “Pay it?”." in text(as_bob.get("/"))


def test_who_may_not_watch_is_led_back_to_the_list(wait: ExecutionWait, dora: User) -> None:
    response = signed_in(dora).post(url(wait), decision(wait, "rejected"))
    assert (response.status_code, response["Location"]) == (303, "/waiting/")


def test_from_the_list_one_goes_back_to_the_list(wait: ExecutionWait, as_bob: Client) -> None:
    assert as_bob.post(url(wait), decision(wait, "rejected", back="waiting"))["Location"] == "/waiting/"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"decision": ""}, "Press Approve or Reject"),
        ({"decision": "perhaps"}, "Press Approve or Reject"),
        ({"wait": "0"}, "asked anew"),
        ({"wait": "x" * 5000}, "asked anew"),
        ({"field-amount": ""}, "“Amount” is required."),
        ({"field-amount": "3,5"}, "write 3.5 with a point"),
        ({"field-why": "zzz"}, "must be one of"),
        ({"comment": "typed " * 400}, "at most 2,000 characters"),
        ({"comment": "a\x00b"}, "ull characters"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_does_not_fit_is_said_and_nothing_typed_is_lost(
    wait: ExecutionWait, as_bob: Client, typed: dict[str, str], sentence: str
) -> None:
    before = {"field-amount": "12", "field-why": "b", "comment": "Look here"}
    response = as_bob.post(url(wait), {**decision(wait, **before), **typed})
    page = text(response)
    assert response.status_code == 422 and sentence in page
    kept = {**before, **typed}
    assert f'value="{kept["field-amount"]}"' in page and f'<option value="{kept["field-why"]}" selected>' in page
    assert kept["comment"].replace("\x00", "")[:20].strip()[:1] in page
    wait.refresh_from_db()
    assert wait.answered_at is None


def test_a_question_that_is_asked_anew_can_be_answered_after_another_look(workflow: Workflow, as_bob: Client) -> None:
    wait = asking(workflow)
    ExecutionWait.objects.update(closed_at=timezone.now())
    again = ExecutionWait.objects.create(
        execution=wait.execution, node="work", kind="approval", attempt=2, asks=wait.asks
    )
    response = as_bob.post(url(wait), decision(wait))
    assert response.status_code == 422 and f'name="wait" value="{again.pk}"' in text(response)
    assert as_bob.post(url(wait), decision(again)).status_code == 303


def test_htmx_gets_the_fragment_alone(wait: ExecutionWait, as_bob: Client) -> None:
    fragment = text(as_bob.get(url(wait), headers={"HX-Request": "true"}))
    assert fragment.strip().startswith("<section") and "<html" not in fragment
    wrong = as_bob.post(url(wait), decision(wait), headers={"HX-Request": "true"})
    assert wrong.status_code == 422 and text(wrong).strip().startswith("<section")
    done = as_bob.post(url(wait), decision(wait, "rejected"), headers={"HX-Request": "true"})
    assert done.status_code == 200 and "bob rejected this on" in text(done) and "<form" not in text(done)


def test_the_second_to_answer_is_told_who_was_first(wait: ExecutionWait, as_alice: Client, as_bob: Client) -> None:
    as_bob.post(url(wait), decision(wait, "rejected"))
    response = as_alice.post(url(wait), decision(wait, "approved", comment="A long story", **{"field-amount": "1"}))
    assert response.status_code == 409 and "bob rejected this on" in text(response)
    assert "You wrote: A long story" in text(response)
    assert "bob rejected this on" in text(as_alice.get(url(wait)))


def test_a_question_whose_time_is_over_has_no_form(workflow: Workflow, as_bob: Client) -> None:
    wait = asking(workflow, due_s=-1)
    page = text(as_bob.get(url(wait)))
    assert "time to answer was over" in page and "data-answer" not in page
    response = as_bob.post(url(wait), decision(wait))
    assert response.status_code == 409 and "time to answer was over" in text(response)


def test_what_a_step_asks_is_text_and_no_html(workflow: Workflow, as_bob: Client) -> None:
    wait = asking(workflow, title="<script>1</script>", message="<img src=x>\n\nsecond", fields=[])
    page = text(as_bob.get(url(wait)))
    assert "<script>1" not in page and "<img" not in page and "<p>second</p>" in page


def test_fields_that_somebody_broke_by_hand_are_not_asked(workflow: Workflow, as_bob: Client) -> None:
    wait = asking(workflow, fields=[{"name": "a b"}, {"name": "ok"}, "nonsense", None])
    assert "field-ok" in text(as_bob.get(url(wait)))
    assert as_bob.post(url(wait), decision(wait)).status_code == 303


def test_the_address_of_a_callback_is_for_who_may_run(workflow: Workflow, as_bob: Client, owner: User) -> None:
    wait = awaiting_a_call(workflow)
    assert f"http://testserver/callbacks/{wait.execution_id}/{STEP}/" in text(as_bob.get(show(wait)))
    assert "/callbacks/" in text(as_bob.get(url(wait)))
    assert as_bob.post(url(wait), decision(wait)).status_code == 403


def test_the_address_of_a_callback_begins_with_the_public_name(
    workflow: Workflow, as_bob: Client, settings: Any
) -> None:
    settings.PUBLIC_URL = "https://flow.example.org"
    assert "https://flow.example.org/callbacks/" in text(as_bob.get(url(awaiting_a_call(workflow))))


# The list and the count


def test_the_list_has_what_asks_me_and_apart_from_it_what_asks_others(
    workflow: Workflow, as_alice: Client, as_bob: Client
) -> None:
    asking(workflow, title="For all")
    asking(workflow, title="For bob", people=["bob"])
    mine, bobs = text(as_alice.get("/waiting/")), text(as_bob.get("/waiting/"))
    assert mine.index("Asked of you") < mine.index("For all") < mine.index("Asked of others") < mine.index("For bob")
    assert "For all" in bobs and "For bob" in bobs and "Asked of others" not in bobs


def test_a_stranger_reads_that_nothing_waits_and_what_would(wait: ExecutionWait, as_charlie: Client) -> None:
    page = text(as_charlie.get("/waiting/"))
    assert "Nothing waits for you" in page and "Pay it?" not in page and "approval that you may answer" in page


def test_a_question_without_title_is_called_like_its_step(workflow: Workflow, as_bob: Client) -> None:
    asking(workflow, title="")
    assert "Shout" in text(as_bob.get("/waiting/"))


def counted(client: Client, page: str = "/executions/") -> str:
    return text(client.get(page)).partition("Waiting for me")[2].partition("</a>")[0]


def test_the_navigation_counts_what_asks_me(workflow: Workflow, as_alice: Client, as_bob: Client) -> None:
    assert counted(as_bob) == ""
    asking(workflow, people=["bob"])
    waits = [asking(workflow) for _ in range(2)]
    assert ">3<" in counted(as_bob) and ">2<" in counted(as_alice)
    as_bob.post(url(waits[0]), decision(waits[0]))
    assert ">2<" in counted(as_bob)


def test_the_count_ends_at_99(workflow: Workflow, as_bob: Client) -> None:
    wait = asking(workflow)
    for _ in range(99):
        wait.execution.pk = None
        wait.execution.save()
        ExecutionWait.objects.create(execution=wait.execution, node="work", kind="approval", asks=wait.asks)
    assert ">99+<" in counted(as_bob)


def test_the_count_is_one_query_and_none_for_whom_nobody_knows(
    workflow: Workflow, bob: User, client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    asking(workflow, groups=["team"])
    with django_assert_num_queries(0):
        client.get("/sign-in/")
    as_bob = signed_in(bob)
    with django_assert_num_queries(3):  # session, user, count
        assert as_bob.get("/password/").status_code == 200


# The API


def call(client: Client, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    headers = {"content_type": "application/json"} | ({"data": json.dumps(body)} if body is not None else {})
    response = getattr(client, method)(f"/api{path}", **headers)
    return response.status_code, response.json()


def at(wait: ExecutionWait) -> str:
    return f"/executions/{wait.execution_id}/waits/{wait.node}/answer"


def test_the_api_lists_what_an_execution_waits_for(workflow: Workflow, as_bob: Client) -> None:
    question, awaited = asking(workflow, fields=FIELDS, people=["bob"]), awaiting_a_call(workflow)
    status, found = call(as_bob, "get", f"/executions/{question.execution_id}/waits")
    (item,) = found["items"]
    assert status == 200 and found["next"] is None
    assert (item["node_id"], item["kind"], item["title"], item["asked"]) == ("work", "approval", "Pay it?", ["bob"])
    assert item["may_answer"] is True and item["fields"] == FIELDS and item["callback_url"] is None
    (item,) = call(as_bob, "get", f"/executions/{awaited.execution_id}/waits")[1]["items"]
    assert item["callback_url"].startswith("http://testserver/callbacks/") and item["may_answer"] is False


def test_the_api_answers(wait: ExecutionWait, as_bob: Client) -> None:
    status, found = call(as_bob, "post", at(wait), {"approved": True, "values": {"amount": 3}, "comment": "fine"})
    assert (status, found["status"]) == (202, "waiting")
    wait.refresh_from_db()
    assert wait.answer == {"approved": True, "by": "bob", "comment": "fine", "values": {"amount": 3}}
    status, found = call(as_bob, "post", at(wait), {"approved": True, "values": {"amount": 3}})
    assert (status, found["code"]) == (409, "answer.taken") and found["where"] == {"node": "work"}
    assert found["detail"].startswith("bob approved this on")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (None, "field"),
        ({}, "field"),
        ({"approved": "yes"}, "field"),
        ({"approved": 1}, "field"),
        ({"approved": None}, "field"),
        ({"approved": True, "values": [1]}, "field"),
        ({"approved": True, "comment": 5}, "field"),
        ({"approved": True, "comment": "x" * 2001}, "field"),
        ({"approved": True, "by": "alice"}, "field"),
        ({"approved": True}, "input"),
        ({"approved": True, "values": {"amount": "3"}}, "input"),
        ({"approved": True, "values": {"amount": 3, "other": 1}}, "input"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_the_api_refuses_what_does_not_fit(wait: ExecutionWait, as_bob: Client, body: Any, code: str) -> None:
    status, found = call(as_bob, "post", at(wait), body)
    assert (status, found["code"]) == (422, code) and found["detail"]
    wait.refresh_from_db()
    assert wait.answered_at is None


def test_by_api_a_stranger_finds_nothing_and_a_watcher_may_not(
    workflow: Workflow, wait: ExecutionWait, as_charlie: Client, as_bob: Client
) -> None:
    assert call(as_charlie, "post", at(wait), {"approved": True})[0] == 404
    assert call(as_charlie, "get", f"/executions/{wait.execution_id}/waits")[0] == 404
    others = asking(workflow, people=["dora"])
    assert call(as_bob, "post", at(others), {"approved": True})[0] == 403
    assert call(as_bob, "post", at(awaiting_a_call(workflow)), {"approved": True})[0] == 404
    for strange in ("none", "wo%00rk", "..%2f", "w" * 3_000):
        assert (
            call(as_bob, "post", f"/executions/{wait.execution_id}/waits/{strange}/answer", {"approved": True})[0]
            == 404
        )


def test_by_api_who_is_named_answers_without_seeing_the_execution(wait: ExecutionWait, dora: User) -> None:
    client = signed_in(dora)
    (item,) = call(client, "get", "/waits/")[1]["items"]
    assert (item["execution_id"], item["node_id"]) == (wait.execution_id, "work")
    assert call(client, "get", f"/executions/{wait.execution_id}")[0] == 404
    assert call(client, "post", at(wait), {"approved": False})[0] == 202
    assert call(client, "get", "/waits/")[1] == {"items": [], "next": None}


def test_the_apis_list_comes_in_parts(workflow: Workflow, as_bob: Client) -> None:
    waits = [asking(workflow) for _ in range(3)]
    first = call(as_bob, "get", "/waits/?limit=2")[1]
    second = call(as_bob, "get", f"/waits/?limit=2&cursor={first['next']}")[1]
    found = [item["execution_id"] for item in (*first["items"], *second["items"])]
    assert found == [wait.execution_id for wait in reversed(waits)] and second["next"] is None


# The words


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        (
            "waited",
            {"kind": "approval", "people": ["alice"], "groups": ["finance"]},
            "Waiting for approval by alice, finance",
        ),
        ("waited", {"kind": "approval", "until": "2026-11-24T09:00:00+00:00"}, "Waiting for approval until"),
        ("waited", {"kind": "callback", "until": None}, "Waiting for a call"),
        ("waited", {"kind": "time", "until": "2026-11-24T09:00:00+00:00"}, "Waiting until"),
        ("answered", {"kind": "approval", "by": "alice", "answer": {"approved": True}}, "Approved by alice"),
        (
            "answered",
            {"kind": "approval", "by": "bob", "answer": {"approved": False, "comment": "No"}},
            "Rejected by bob: No",
        ),
        ("answered", {"kind": "approval", "due": True}, "Expired nobody answered in time"),
        ("answered", {"kind": "callback", "answer": {"approved": True, "by": "alice"}}, "Called"),
        ("answered", {"kind": "callback", "due": True}, "Expired no call came in time"),
        ("answered", {"due": True, "by": None}, "The wait is over"),
        ("answered", {"kind": "approval", "by": None, "answer": "nonsense"}, "The wait is over"),
    ],
)
def test_waits_and_answers_are_said(kind: str, data: Any, words: str) -> None:
    told = said(ExecutionLog(kind=kind, node="a", data=data))
    assert f"{told.word} {told.rest}".strip() == words
    assert (told.at is not None) == (data.get("until") is not None)


def test_who_left_the_team_is_still_named_in_what_they_decided(wait: ExecutionWait, bob: User, team: Group) -> None:
    signed_in(bob).post(url(wait), decision(wait, "rejected"))
    bob.delete()
    wait.refresh_from_db()
    assert wait.answer and wait.answer["by"] == "bob" and wait.answered_by is None
