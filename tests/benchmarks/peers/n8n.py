"""n8n: a webhook and three nodes, self-hosted on SQLite; saved at the end (variant `end`) or at every node (`nodes`).

* Started by its webhook, which answers when the last node has ("Webhook node", When Last Node Finishes): its fastest
  way in. This process asks, over 100 connections that stay open; its CPU time counts too, and is small.
* Regular mode, no limit of executions at once, SQLite with its pool of connections: all as they come ("Executions" and
  "Database" in the environment variables reference). Saved at the end is its default; `nodes` is
  EXECUTIONS_DATA_SAVE_ON_PROGRESS, the one that keeps each step before the next as we do.
* Expressions by the older of its two engines, in its own process: the default one evaluates them in an isolate, and was
  slower (N8N_EXPRESSION_ENGINE). In its favour.
* Three nodes: No Operation, Edit Fields (which shouts both fields by an expression), No Operation.
* Diagnostics, version checks, templates and its pages are off; runs on the Node that is installed beside it.
What it keeps: a row for the execution, its data with each node's output as one text, and counters for its statistics.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.benchmarks.peers import work

HOME = Path(os.environ.get("PEERS_HOME", "")) / "n8n"
N8N = [str(HOME / "node_modules/node/bin/node"), str(HOME / "node_modules/n8n/bin/n8n")]
QUIET = {
    "N8N_DIAGNOSTICS_ENABLED": "false",
    "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
    "N8N_VERSION_NOTIFICATIONS_WHATS_NEW_ENABLED": "false",
    "N8N_TEMPLATES_ENABLED": "false",
    "N8N_HIRING_BANNER_ENABLED": "false",
    "N8N_PERSONALIZATION_ENABLED": "false",
    "N8N_LICENSE_AUTO_RENEW_ENABLED": "false",
    "N8N_DISABLE_UI": "true",
    "N8N_LOG_LEVEL": "error",
    "N8N_EXPRESSION_ENGINE": "legacy",
}
DURABILITY = (
    "SQLite WAL, synchronous=FULL"  # WAL it asks for; FULL is what its SQLite does unasked, and it does not ask
)
EXPECTED = {"name": "ADA", "city": "LONDON"}


def node(name: str, kind: str, version: float, **parameters: Any) -> dict[str, Any]:
    about = {"id": name, "name": name, "type": f"n8n-nodes-base.{kind}", "typeVersion": version, "position": [0, 0]}
    return {**about, "parameters": parameters}


def shouting() -> dict[str, Any]:
    fields = [
        {"id": name, "name": name, "value": f"={{{{ $json.body.{name}.toUpperCase() }}}}", "type": "string"}
        for name in work.DATA
    ]
    return {"assignments": {"assignments": fields}, "options": {}}


def workflow() -> dict[str, Any]:
    how = {"httpMethod": "POST", "path": "chain", "responseMode": "lastNode", "options": {}}
    nodes = [
        {**node("in", "webhook", 2, **how), "webhookId": "chain"},
        node("take", "noOp", 1),
        node("shout", "set", 3.4, **shouting()),
        node("give", "noOp", 1),
    ]
    names = [str(one["name"]) for one in nodes]
    links = {source: {"main": [[{"node": target, "type": "main", "index": 0}]]} for source, target in pairwise(names)}
    settings = {"executionOrder": "v1"}
    return {"id": "chain", "name": "chain", "nodes": nodes, "connections": links, "settings": settings, "active": False}


def environment() -> dict[str, str]:
    progress = "true" if work.VARIANT == "nodes" else "false"
    return {
        **os.environ,
        **QUIET,
        "EXECUTIONS_DATA_SAVE_ON_PROGRESS": progress,
        "N8N_USER_FOLDER": str(Path.cwd()),
        "N8N_LISTEN_ADDRESS": "127.0.0.1",
        "N8N_HOST": "127.0.0.1",
        "N8N_PORT": str(work.PORT),
        "N8N_RUNNERS_BROKER_PORT": str(work.PORT + 1),
    }


def prepare() -> None:
    """The database with the workflow in it, made once: its migrations are no part of a start."""
    text = json.dumps([workflow()])
    made = HOME / "prepared"
    if not (made / "workflow.json").exists() or (made / "workflow.json").read_text() != text:
        shutil.rmtree(made, ignore_errors=True)
        Path("workflow.json").write_text(text)
        for words in (["import:workflow", "--input=workflow.json"], ["publish:workflow", "--id=chain"]):
            subprocess.run([*N8N, *words], env=environment(), stdout=sys.stderr, check=True)
        shutil.copytree(".", made, ignore=shutil.ignore_patterns("log"))
    else:
        shutil.copytree(made, ".", dirs_exist_ok=True)


class Client:
    """Connections to the webhook that stay open, one for each execution in flight."""

    def __init__(self) -> None:
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        body = json.dumps(work.DATA).encode()
        head = f"POST /webhook/chain HTTP/1.1\r\nHost: 127.0.0.1:{work.PORT}\r\nContent-Type: application/json\r\n"
        self.request = head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body

    async def one(self) -> Any:
        self.idle = [pair for pair in self.idle if not pair[0].at_eof()]  # n8n hangs up after some idle seconds
        reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection("127.0.0.1", work.PORT)
        writer.write(self.request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split("\r\n")[0])
        body = await reader.readexactly(length)
        self.idle.append((reader, writer))
        if " 200 " not in head.splitlines()[0]:
            raise SystemExit(f"It answered {head.splitlines()[0]} {body[:200]!r}")
        return json.loads(body)

    async def until_there(self) -> None:
        for _ in range(1_200):
            try:
                await self.one()
                return
            except (OSError, SystemExit, ValueError, asyncio.IncompleteReadError):  # it says 200 before it is ready
                await asyncio.sleep(0.05)
        raise SystemExit("n8n did not come up")


def version() -> str:
    return str(json.loads((HOME / "node_modules/n8n/package.json").read_text())["version"])


async def run(began: float) -> None:
    client = Client()
    await client.until_there()
    when = "each node's output at every node" if work.VARIANT == "nodes" else "each node's output, at the end"
    cold_s = time.perf_counter() - began
    await work.run(client.one, version(), f"{when}; {DURABILITY}", EXPECTED, cold_s)


def main() -> None:
    prepare()
    began = time.perf_counter()
    server = subprocess.Popen([*N8N, "start"], env=environment(), stdout=sys.stderr)
    try:
        asyncio.run(run(began))
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    main()
