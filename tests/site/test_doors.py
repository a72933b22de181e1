"""Every door of the house, found in the URL configuration itself: a new route without a lock fails here by itself.

Everything of alice's has the same number, and that number is tried wherever a route takes one: whatever a route
calls its parameter, it then names something of hers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import Group, User
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, include, path
from django.urls.resolvers import RegexPattern, RoutePattern
from django.utils.regex_helper import normalize
from ninja import NinjaAPI

from executions import consumers
from executions.models import ExecutionLog, WorkflowExecution
from executions.urls import websocket_urlpatterns
from tests.conftest import CHAIN
from tests.live.viewer import Viewer
from workflows.models import Secret, Variable, Workflow, WorkflowVersion
from workflowsite import doors

pytestmark = pytest.mark.django_db

#: The doors that stand open to everybody. Whoever adds one says why, here and in workflowsite/doors.py.
OPEN = {
    "accounts:sign-in",  # the way in
    "accounts:welcome",  # the first start's link: its token is what lets one in
    "preferences",  # light or dark: the sign-in page has a theme too
    "executions:callback",  # for programs: the token in its address is what lets one in
}
#: The sockets of lists: open to all who are signed in, for what each may see (tests/live/test_board.py).
OF_LISTS = ["/ws/lists/"]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
REFUSED = {401, 403, 404}
NOT_SUCH = {405}  # said before anything is looked up: it tells nothing of any row
NUMBER = 4711  # of everything that is alice's
SECRET = "what only alice knows"
#: Bodies that some operation of the API would take: it must refuse by who asks, not by how.
BODIES: tuple[Any, ...] = (
    *(None, {}, {"input_data": {}}, {"name": "Taken"}, {"name": "Taken", "definition": CHAIN}),
    {"approved": True},
)


@dataclass(frozen=True)
class Route:
    name: str
    url: str
    takes: frozenset[str]

    @property
    def is_admins(self) -> bool:
        return self.name.startswith("admin:")

    @property
    def is_apis(self) -> bool:
        return self.url.startswith("/api/")


def routes(urls: Any = None, prefix: str = "/", space: str = "") -> Iterator[Route]:
    """Every pattern below `urls`, the whole site where none is given, with its parameters filled in."""
    resolver = urls or get_resolver()
    for pattern in resolver.url_patterns:
        part, takes = filled(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inside = f"{space}{pattern.namespace}:" if pattern.namespace else space
            for route in routes(pattern, prefix + part, inside):
                yield Route(route.name, route.url, route.takes | takes)
        elif isinstance(pattern, URLPattern):
            yield Route(f"{space}{pattern.name or '?'}", prefix + part, takes)
        else:
            raise AssertionError(f"{pattern!r} is no pattern that this test knows.")


def filled(pattern: Any) -> tuple[str, frozenset[str]]:
    if isinstance(pattern, RoutePattern):
        return re.sub(r"<(?:(\w+):)?(\w+)>", lambda found: value(found[1], found[2]), str(pattern)), names_in(pattern)
    assert isinstance(pattern, RegexPattern), pattern
    form, names = normalize(str(pattern))[0]
    return form % {name: choice(pattern, name) for name in names}, names_in(pattern)


def names_in(pattern: Any) -> frozenset[str]:
    return frozenset(re.findall(r"<(?:\w+:)?(\w+)>", str(pattern)))


def value(converter: str | None, name: str) -> str:
    known = {"node_id": "work", "rest": "nothing/here", "url": "nothing/here"}
    return known.get(name) or {"uuid": "0" * 32, "path": f"{NUMBER}"}.get(converter or "", f"{NUMBER}")


def choice(pattern: RegexPattern, name: str) -> str:
    """For (?P<name>this|that): this."""
    found = re.search(rf"\(\?P<{name}>(\w+)\|", str(pattern))
    return found[1] if found else value(None, name)


@pytest.fixture
def hers(alice: User, team: Group) -> WorkflowExecution:
    """Alice's workflow, an execution of it, a secret and a variable, all with one number, and a secret in each."""
    for model in (Secret, Variable):
        row = model.objects.make(alice, "HERS", SECRET, *([["*"]] if model is Secret else []), description=SECRET)
        model.objects.filter(pk=row.pk).update(id=NUMBER)
    workflow = Workflow.objects.create(pk=NUMBER, name=SECRET, owner=alice)
    version = WorkflowVersion(pk=NUMBER, workflow=workflow, number=NUMBER, definition=CHAIN, digest="0" * 64)
    version.save()
    Workflow.objects.filter(pk=NUMBER).update(published=version)
    facts: dict[str, Any] = {"workflow": workflow, "version": version, "input_data": {"secret": SECRET}}
    execution = WorkflowExecution.objects.create(pk=NUMBER, started_by=alice, **facts)
    ExecutionLog.objects.create(pk=NUMBER, execution=execution, seq=1, kind="queued", data={"by": SECRET})
    return execution


def test_the_open_doors_are_exactly_these() -> None:
    assert doors.OPEN_ROUTES == OPEN
    assert {route.name for route in routes()} >= OPEN


def test_the_walk_finds_every_room() -> None:
    found = {route.name for route in routes()}
    assert {"workflows:list", "executions:show", "accounts:password", "admin:index", "api:openapi-json"} <= found
    assert {"admin:executions_workflowexecution_change", "api:get_execution"} <= found
    assert not [route.url for route in routes() if "<" in route.url or "%" in route.url]


@pytest.mark.parametrize("method", METHODS)
def test_nobody_comes_in_without_signing_in(hers: WorkflowExecution, method: str) -> None:
    assert open_to_anybody(method, [route for route in routes() if route.name not in OPEN]) == []


def open_to_anybody(method: str, rooms: list[Route]) -> list[str]:
    """Those that answer otherwise than by the way to the sign-in or by a refusal."""
    client, found = Client(), []
    for route in rooms:
        response = client.generic(method, route.url)
        to_sign_in = response.status_code == 302 and response["Location"].startswith("/sign-in/?next=")
        is_moved = response.status_code == 301 and route.is_apis  # to the same address with its slash
        allowed = REFUSED | (NOT_SUCH if route.is_apis else set())
        if not (to_sign_in or is_moved or response.status_code in allowed) or tells(response):
            found.append(f"{method} {route.url} ({route.name}): {response.status_code}")
    return found


@pytest.mark.parametrize("method", METHODS)
def test_a_stranger_finds_nothing_of_alices(hers: WorkflowExecution, as_charlie: Client, method: str) -> None:
    assert open_to_a_stranger(as_charlie, method, numbered(routes())) == []
    assert WorkflowExecution.objects.get().status == "pending"
    assert WorkflowExecution.objects.get().cancel_requested_at is None
    assert Workflow.objects.get().name == SECRET
    assert Secret.objects.get().description == Variable.objects.get().value == SECRET


def test_every_route_of_alices_refuses_a_stranger_in_some_way_that_it_knows(
    hers: WorkflowExecution, as_charlie: Client
) -> None:
    """405 alone would not show that the lock works: each route is reached by a method that it takes."""
    assert [route.url for route in numbered(routes()) if not is_reached(as_charlie, route)] == []


def is_reached(client: Client, route: Route) -> bool:
    return any(is_refused(route, answer) for method in METHODS for answer in answers(client, method, route))


def test_no_list_tells_a_stranger_of_alices_rows(hers: WorkflowExecution, as_charlie: Client) -> None:
    assert [route.url for route in routes() if tells(as_charlie.get(route.url))] == []


def numbered(rooms: Iterator[Route]) -> list[Route]:
    """Those that name a row, whatever the parameter is called."""
    return [route for route in rooms if f"/{NUMBER}" in route.url and route.name not in OPEN]


def open_to_a_stranger(client: Client, method: str, rooms: list[Route]) -> list[str]:
    found = []
    for route in rooms:
        told = answers(client, method, route)
        wrong = [answer for answer in told if not is_refused(route, answer) and answer.status_code not in {405, 422}]
        found += [f"{method} {route.url} ({route.name}): {answer.status_code}" for answer in wrong]
        found += [f"{method} {route.url} ({route.name}) tells a secret" for answer in told if tells(answer)]
        if told and all(answer.status_code == 422 for answer in told):
            found.append(f"{method} {route.url}: no body got through; add one that it takes to BODIES")
    return found


def answers(client: Client, method: str, route: Route) -> list[Any]:
    if not route.is_apis:
        return [client.generic(method, route.url)]
    bodies = ["" if body is None else json.dumps(body) for body in BODIES]
    return [client.generic(method, route.url, body, content_type="application/json") for body in bodies]


def is_refused(route: Route, response: Any) -> bool:
    """The admin sends who is not staff to its own sign-in."""
    if route.is_admins and response.status_code == 302:
        return bool(response["Location"].startswith("/admin/login/?next="))
    return response.status_code in {403, 404}


def tells(response: Any) -> bool:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return SECRET.encode() in content


# The walk itself


def leak(request: HttpRequest, **ids: Any) -> HttpResponse:
    return HttpResponse(SECRET)


careless = NinjaAPI(urls_namespace="careless")


@careless.get("/open")
def nobody_is_asked(request: HttpRequest) -> str:
    return SECRET


class Careless:
    """A site with two doors that somebody forgot to lock."""

    urlpatterns = [
        path("", include("workflowsite.accounts.urls")),
        path("executions/<int:pk>/leak/", leak, name="leak"),
        path("careless/", careless.urls),
    ]


@pytest.fixture
def careless_site(settings: Any) -> None:
    settings.ROOT_URLCONF = Careless


def test_an_operation_that_asks_nobody_is_found(careless_site: None) -> None:
    found = open_to_anybody("GET", [route for route in routes() if route.name not in OPEN])
    assert found == ["GET /careless/open (careless:nobody_is_asked): 200"]


def test_a_page_without_a_right_is_found(careless_site: None, as_charlie: Client) -> None:
    found = open_to_a_stranger(as_charlie, "GET", numbered(routes()))
    assert found[0] == f"GET /executions/{NUMBER}/leak/ (leak): 200"


# The sockets


def sockets() -> list[str]:
    return ["/" + filled(pattern.pattern)[0] for pattern in websocket_urlpatterns]


def test_the_sockets_are_exactly_these() -> None:
    assert sockets() == [f"/ws/executions/{NUMBER}/", *OF_LISTS]


@pytest.mark.django_db(transaction=True)
def test_every_socket_refuses_who_is_not_signed_in(hers: WorkflowExecution) -> None:
    assert [refusal_at(url, None) for url in sockets()] == [consumers.SIGNED_OUT] * len(sockets())


@pytest.mark.django_db(transaction=True)
def test_every_socket_refuses_a_stranger(hers: WorkflowExecution, charlie: User) -> None:
    codes = {refusal_at(url, charlie) for url in sockets() if url not in OF_LISTS}
    assert codes <= {consumers.NO_RIGHT, consumers.UNKNOWN}


@async_to_sync
async def refusal_at(url: str, user: User | None) -> int | None:
    """The code with which a socket is closed on a visitor who says hello; None where anything was told before."""
    viewer = await Viewer.of(user, NUMBER)
    viewer.socket.scope["path"] = url
    await viewer.open()
    if viewer.is_accepted:
        await viewer.hello()
        await viewer.closed_with()
    await viewer.leave()
    await sync_to_async(connections.close_all)()
    return None if viewer.frames else viewer.code
