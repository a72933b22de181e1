"""What `serve` and `worker` do alike before their first moment and at their last."""

import gc
import logging
import os
import resource
import sys
from contextlib import suppress
from typing import NoReturn

from django.core.management.base import BaseCommand
from django.db import connections

MOST_FILES = 65_536


def allow_many_files() -> None:
    """As many as the system lets this user open: each socket is one, and 1,000 steps may call somebody at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS has a limit of its own, which nothing tells
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def collect_less_often() -> None:
    """A hundred executions at once are many objects, and none of them garbage: looking through them all at each 700 new
    ones cost a quarter of the engine's time. What is there by now stays for ever, and is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def leave(command: BaseCommand, failure: str | None) -> NoReturn:
    """Without waiting for threads: one that hangs in a step cannot be stopped, and the journal knows of it."""
    connections.close_all()
    if failure is not None:
        command.stderr.write(failure)
    logging.shutdown()
    for stream in (command.stdout, command.stderr, sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0 if failure is None else 1)
