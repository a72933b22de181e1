"""A secret that the other side gives back: cut in two by whoever shortens it, in a file, after a wait, to children."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection

from executions.engine import WorkflowEngine, WorkflowExecutionError
from executions.worker import Worker
from tests.executions.conftest import answer, chain, drawn, entries, make, node, until
from tests.remote import Remote, Seen, running, said
from workflows.files import area
from workflows.models import Secret, Workflow
from workflows.steps import base, register

pytestmark = pytest.mark.django_db(transaction=True)

VALUE = "Zq7wTn4xRb2mKv9cLd5yHs8g"  # no two letters of it stand in what is written anyway
PART = 6  # characters: so many in a row are no chance


@register
class Spread(base.Step[base.Config]):
    """Gives the secret to children."""

    kind, label, handles = "test_spread", "Spread", ("each", "done")

    async def run(self, ctx: base.StepContext) -> base.Each:
        value = await ctx.secret("KEY", "127.0.0.1:1")
        return base.Each([{"given": value}, "other"], 2, {"also": value})

    def fan_out(self, data: Any) -> base.Each:
        return base.Each([{"given": "lost"}, "other"], 2, {})

    def resume(self, data: Any, answer: Any) -> base.Done:
        return base.Done(answer, "done")


@register
class Hand(base.Step["Hand.Config"]):
    """Gives the secret to another workflow."""

    kind, label = "test_hand", "Hand"

    class Config(base.Config):
        target: int

    async def run(self, ctx: base.StepContext) -> base.Call:
        return base.Call(self.config.target, {"given": await ctx.secret("KEY", "127.0.0.1:1")})

    def fan_out(self, data: Any) -> base.Call:
        return base.Call(self.config.target, {})

    def resume(self, data: Any, answer: Any) -> base.Done:
        return base.Done(answer)


@pytest.fixture
def remote(settings: Any) -> Iterator[Remote]:
    with running(Remote()) as found:
        settings.HTTP_ALLOW = [found.rule]
        yield found


@pytest.fixture
async def secret(alice: User, remote: Remote) -> AsyncIterator[Secret]:
    yield await sync_to_async(Secret.objects.make)(alice, "KEY", VALUE, [f"127.0.0.1:{remote.port}", "127.0.0.1:1"])


def call(url: str, node_id: str = "call", **config: Any) -> dict[str, Any]:
    return node(node_id, "http", url=url, **{"auth": "header", "auth_name": "X-Key", "secret": "KEY", **config})


async def everything(settings: Any) -> str:
    """All that the database and the data folder hold, but for the row of the secret itself."""

    def read() -> str:
        texts: list[str] = []
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names():
                cursor.execute(f'SELECT * FROM "{table}"')
                texts += [str(found) for found in cursor.fetchall()]
        for path in settings.DATA_DIR.rglob("*"):
            if path.is_file():
                texts.append(path.read_bytes().decode("latin-1"))
        return "\n".join(texts)

    return await sync_to_async(read)()


async def hides(settings: Any) -> bool:
    """No part of the value that is worth anything."""
    told = await everything(settings)
    found = [VALUE[at : at + PART] for at in range(len(VALUE) - PART + 1) if VALUE[at : at + PART] in told]
    assert not found
    return True


async def ended(definition: Any, alice: User) -> None:
    workflow = await make(definition, owner=alice)
    with suppress(WorkflowExecutionError):
        await WorkflowEngine().execute_workflow(workflow.pk)


def before(cut: int) -> str:
    """So that a cut at so many characters leaves most of the value in front of it."""
    return "." * (cut - len(VALUE) + 2)


WAYS = ["message", "text", "body", "title", "reason", "far", "another charset", "escaped", "entities"]


def told_in(way: str) -> Any:
    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        key, headers = seen.headers["x-key"], dict[str, Any]()
        body: str | bytes = ""
        match way:
            case "message":
                body, headers = (
                    json.dumps({"message": before(300) + key + "." * 50}),
                    {"content_type": "application/json"},
                )
            case "text":
                body, headers = before(300) + key, {"content_type": "text/plain"}
            case "body":
                body, headers = "\0" + before(1_999) + key + "." * 50, {"content_type": "text/plain"}
            case "title":
                body, headers = f"<title>{before(300)}{key}</title>", {"content_type": "text/html"}
            case "far":
                body, headers = before(64 * 1024) + key, {"content_type": "text/plain"}
            case "another charset":
                body, headers = (before(300) + key).encode("utf-16"), {"content_type": "text/plain; charset=utf-16"}
            case "escaped":
                escaped = "".join(f"\\u{ord(letter):04x}" for letter in key)
                body, headers = f'{{"message": "{before(300)}{escaped}"}}', {"content_type": "application/json"}
            case "entities":
                escaped = "".join(f"&#{ord(letter)};" for letter in key)
                body, headers = f"<title>{before(300)}{escaped}</title>", {"content_type": "text/html"}
        reason = before(60) + key if way == "reason" else "No"
        writer.write(said(body, 400, reason, **headers))
        await writer.drain()

    return behave


@pytest.mark.parametrize(
    "way", ["message", "text", "body", "title", "reason", "far", "another charset", "escaped", "entities"]
)
async def test_what_an_error_quotes_is_not_cut_in_the_middle_of_a_secret(
    remote: Remote, secret: Secret, alice: User, settings: Any, way: str
) -> None:
    await ended(chain(call(remote.on("/", told_in(way)))), alice)

    assert len(remote.seen) == 1 and await hides(settings)


def sent_on(way: str) -> Any:
    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        key = seen.headers["x-key"]
        to = {"no url": "http://[" + before(199) + key, "shown": "/" + before(280) + key + "." * 60}[way]
        writer.write(said("", 302, "Moved", location=to))
        await writer.drain()

    return behave


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("way", ["no url", "shown"])
async def test_where_it_is_sent_on_to_is_not_cut_in_the_middle_of_a_secret(
    remote: Remote, secret: Secret, alice: User, settings: Any, way: str, follow: bool
) -> None:
    await ended(chain(call(remote.on("/", sent_on(way)), follow=follow)), alice)

    assert remote.seen and await hides(settings)


async def mirror(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """As it came, between bytes that are no text."""
    key = seen.headers["x-key"].encode()
    body = b"\xff\xfe" + key + b"\0" + base64.b64encode(key) + b"\xff"
    writer.write(said(body, content_type="application/octet-stream"))
    await writer.drain()


async def test_a_secret_that_is_given_back_is_hidden_in_a_file_too(
    remote: Remote, secret: Secret, alice: User, settings: Any
) -> None:
    """Else any later execution could read it there, and say it."""
    workflow = await make(chain(call(remote.on("/", mirror), answer="file", file="kept.bin")), owner=alice)
    await WorkflowEngine().execute_workflow(workflow.pk)
    kept = await asyncio.to_thread(area(workflow.pk).read, "kept.bin")

    assert kept.startswith(b"\xff\xfe[secret KEY]\0") and kept.endswith(b"\xff")
    assert await hides(settings)


async def test_a_file_without_a_secret_arrives_byte_by_byte(remote: Remote, secret: Secret, alice: User) -> None:
    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(said(bytes(range(256)) * 40, content_type="image/png"))
        await writer.drain()

    workflow = await make(chain(call(remote.on("/", behave), file="kept.png")), owner=alice)
    await WorkflowEngine().execute_workflow(workflow.pk)

    assert await asyncio.to_thread(area(workflow.pk).read, "kept.png") == bytes(range(256)) * 40


async def test_a_secret_stays_hidden_after_the_execution_has_rested(
    remote: Remote, secret: Secret, alice: User, settings: Any, engine_room: Worker
) -> None:
    """Whoever takes it up again, here or in another process, was never told the value."""

    async def remember(seen: Seen, writer: asyncio.StreamWriter) -> None:
        body = remote.seen[0].headers["x-key"] if seen.path == "/again" else "{}"
        writer.write(said(json.dumps(body), content_type="application/json"))
        await writer.drain()

    first, second = call(remote.on("/", remember)), node("again", "http", url=remote.on("/again", remember))
    workflow = await make(chain(first, node("ask", "test_ask"), second), owner=alice)
    execution_id = await WorkflowEngine().submit_workflow(workflow.pk)
    await until(execution_id, "waiting")
    await answer(execution_id, "ask", "yes")
    done = await until(execution_id, "completed")

    assert done.output_data["response"]["body"] == "[secret KEY]" and await hides(settings)


async def test_a_secret_that_is_gone_after_the_rest_stops_nobody(
    remote: Remote, secret: Secret, alice: User, engine_room: Worker
) -> None:
    async def fine(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(said("{}", content_type="application/json"))
        await writer.drain()

    workflow = await make(chain(call(remote.on("/", fine)), node("ask", "test_ask")), owner=alice)
    execution_id = await WorkflowEngine().submit_workflow(workflow.pk)
    await until(execution_id, "waiting")
    await secret.adelete()
    await answer(execution_id, "ask", "yes")

    assert (await until(execution_id, "completed")).output_data["answer"] == "yes"


@pytest.mark.parametrize("kind", ["spread", "hand"])
async def test_what_is_handed_to_children_holds_no_secret(
    secret: Secret, alice: User, settings: Any, engine_room: Worker, kind: str
) -> None:
    other = await make(chain(node("b", "test_echo", value="{{ input }}")), owner=alice, name="Other")
    if kind == "spread":
        definition = drawn([node("a", "test_spread"), node("b", "test_echo", value="{{ input }}")], "a:each>b")
    else:
        definition = chain(node("a", "test_hand", target=other.pk))
    execution_id = await WorkflowEngine().submit_workflow((await make(definition, owner=alice)).pk)
    await until(execution_id, "completed")

    assert await hides(settings)
    assert "[secret KEY]" in await everything(settings)
    assert (await entries(execution_id))[-1].kind == "finished" and await Workflow.objects.acount() == 2
