"""What each built-in kind needs beside its example to be held to its contract: settings that go on until they are
stopped, and somebody on loopback to talk to. Add a kind here where its example alone does not show it all."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from tests.databases import named, sqlite
from tests.executions.conftest import chain, node, published
from tests.providers import Reply, providing
from tests.remote import Remote, Seen, as_json, running, silence
from tests.workflows.steps.test_email import free_port
from workflows import steps
from workflows.steps.contract import PROBE, Sample
from workflows.steps.origin import origin_of

Kind = type[steps.AnyStep]
BUILT_IN = [kind for kind in steps.kinds().values() if origin_of(kind).where == "built in"]
SIGNED = {"do": "sign", "field": "text", "secret": PROBE, "save_as": "signature"}
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def sample_of(kind: Kind, settings: Any, folder: Path) -> Iterator[Sample]:
    """Gives one, and ends what it started when it is gone on with."""
    if kind.kind in SERVED:
        yield from SERVED[kind.kind](kind, settings, folder)
    else:
        yield Sample(kind, **PLAIN.get(kind.kind, {}))


def _call(kind: Kind, settings: Any, folder: Path) -> Iterator[Sample]:
    quick = published(chain(node("a", "default")))
    slow = published(chain(node("a", "default"), node("b", "delay", seconds=3_600)))
    yield Sample(kind, {"workflow": quick.pk}, long={"workflow": slow.pk})


def _http(kind: Kind, settings: Any, folder: Path) -> Iterator[Sample]:
    """From a server that sends back what lets somebody in, and from one that never answers."""
    with running(Remote()) as remote:
        settings.HTTP_ALLOW = [remote.rule]
        told, never = remote.on("/told", echo), remote.on("/never", silence)
        signed = {"url": told, "auth": "bearer", "secret": PROBE}
        yield Sample(kind, {"url": told}, secret=signed, long={"url": never}, until=lambda: _asked(remote, "/never"))


async def _asked(remote: Remote, path: str) -> None:
    await asyncio.to_thread(remote.until, lambda it: any(seen.path == path for seen in it.seen))


async def echo(seen: Seen, writer: asyncio.StreamWriter) -> None:
    headers = json.dumps(seen.headers)
    twice = base64.b64encode(headers.encode()).decode()
    await as_json({"headers": headers, "twice": twice, "target": seen.target})(seen, writer)


def _ai(kind: Kind, settings: Any, folder: Path) -> Iterator[Sample]:
    """A model that answers, and one that never comes to its first word."""
    with providing() as quick, providing() as slow:
        settings.HTTP_ALLOW = [quick.host, slow.host]
        slow.otherwise = Reply(hold_at=0)
        model = "openai-compatible:llama3.2"
        secret = {"model": model, "base_url": quick.openai, "key": PROBE}
        long = {"model": model, "base_url": slow.openai, "timeout_s": 3_600}
        yield Sample(kind, secret=secret, long=long, until=lambda: asyncio.to_thread(slow.until, asked=1))


class Post:
    """Takes a mail, and holds on to one that says so."""

    def __init__(self) -> None:
        self.holds = asyncio.Event()
        self.lets_go = asyncio.Event()

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        if b"Subject: hold" in (envelope.content or b""):
            self.holds.set()
            await self.lets_go.wait()
        return "250 OK"


def _email(kind: Kind, settings: Any, folder: Path) -> Iterator[Sample]:
    post = Post()
    controller = Controller(post, hostname="127.0.0.1", port=free_port())
    controller.start()
    settings.EMAIL_BACKEND = "workflowsite.mail.Server"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", controller.port
    settings.EMAIL_TIMEOUT = 60

    async def until() -> None:
        held = asyncio.run_coroutine_threadsafe(post.holds.wait(), controller.loop)
        await asyncio.wrap_future(held)

    try:
        yield Sample(kind, long={**kind.example, "subject": "hold"}, until=until)
    finally:
        controller.loop.call_soon_threadsafe(post.lets_go.set)
        controller.stop()


def _sql(kind: Kind, settings: Any, folder: Path) -> Iterator[Sample]:
    file = folder / "shop.sqlite3"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE bread (id INTEGER PRIMARY KEY, name TEXT, price REAL)")
        connection.commit()
    settings.SQL_DATABASES = ["shop"]
    with named("shop", sqlite(file)):
        yield Sample(kind, long={"database": "shop", "sql": ENDLESS, "timeout_s": 3_600})


SERVED: dict[str, Callable[[Kind, Any, Path], Iterator[Sample]]] = {
    "call": _call,
    "http": _http,
    "ai": _ai,
    "email": _email,
    "sql": _sql,
}
PLAIN: dict[str, dict[str, Any]] = {
    "countdown": {"settings": {"seconds": 0.01}, "long": {"seconds": 3_600}},
    "delay": {"long": {"seconds": 3_600}},
    "approval": {"long": {"title": "For ever"}},
    "callback": {"long": {"save_as": "for_ever"}},
    "compute": {"secret": {"calculations": [SIGNED]}},
    "code": {"long": {"source": "for (;;);", "timeout_s": 300}},
}
