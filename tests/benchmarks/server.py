"""The real server for a bench: `prepare`, then `serve` as a process of its own, with an account to come in by."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NAME, PASSWORD = "bench", "a bench's password"
MANAGE = [sys.executable, "manage.py"]


@contextmanager
def serving(*options: str) -> Iterator[tuple[str, int]]:
    """Its address and its process id."""
    port = free_port()
    prepare(port)
    with running([*MANAGE, "serve", *options], port) as pid:
        url = f"http://127.0.0.1:{port}"
        wait_for(url)
        yield url, pid


def prepare(port: int = 0) -> None:
    subprocess.run([*MANAGE, "prepare"], cwd=ROOT, env=environment(port), check=True, stdout=sys.stderr)


@contextmanager
def running(command: list[str], port: int = 0) -> Iterator[int]:
    """A process of ours, by its id; asked to end afterwards."""
    process = subprocess.Popen(command, cwd=ROOT, env=environment(port), stdout=sys.stderr)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def environment(port: int) -> dict[str, str]:
    account = {"DJANGO_SUPERUSER_USERNAME": NAME, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    return {**os.environ, "PORT": str(port), "EXTRA_APPS": "tests.benchmarks", **account}


def wait_for(url: str) -> None:
    for _ in range(3_000):
        try:
            urllib.request.urlopen(url, timeout=5)
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.01)
    raise RuntimeError("the server did not come up")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def cookie() -> str:
    """Of a session for the account, after site.set_up() on the server's own database."""
    from django.contrib.auth.models import User

    from tests.live.viewer import cookie_of

    return cookie_of(User.objects.get(username=NAME))
