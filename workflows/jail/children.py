"""Children that read what people wrote: how they are started, and how strong their jail is on this machine.

What a child confines itself with stands in confinement.py. Nothing is handed to it but its program, the folder of its
one library, and two pipes. No Django.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

Child = subprocess.Popen[bytes]
Level = Literal["strong", "medium", "off"]

ROOMS = Path(__file__).resolve().parents[1]
TRIAL_S = 10.0

WORDS = {
    "files": "reads and writes no file",
    "tcp": "opens no TCP connection",
    "udp": "sends no UDP packet",
    "signals": "reaches no other process",
    "processes": "starts no process",
}


@dataclass(frozen=True, slots=True)
class Strength:
    """`layers`: what the system let the child take. `is_open`: which of WORDS it could still do when it tried."""

    layers: tuple[str, ...]
    is_open: tuple[str, ...]

    @property
    def level(self) -> Level:
        """strong: files, TCP and all processes are out of reach. medium: files are. off: they are not."""
        if "files" in self.is_open:
            return "off"
        return "medium" if set(self.is_open) & {"tcp", "signals", "processes"} else "strong"

    @property
    def sentence(self) -> str:
        """In plain words, for pages."""
        shut = ", ".join(words for name, words in WORDS.items() if name not in self.is_open)
        left = ", ".join(words.replace(" no ", " a ") for name, words in WORDS.items() if name in self.is_open)
        tried = f"Tried on this machine: what runs in it {shut}." if shut else "Nothing of it holds on this machine."
        return tried + (f" It still {left}: limits of time and memory hold." if left else "")


def spawn(program: str, library: str) -> Child:
    """Starts workflows/<program>.py, such as javascript/child, with the folder of an installed library to import from.

    stdin and stdout are pipes. No environment, no open file, a session (so a process group) of its own. Blocks for some
    milliseconds.
    """
    command = [sys.executable, "-I", "-S", str(ROOMS / f"{program}.py"), str(ROOMS.parent), _folder(library)]
    return _nursery.start(command)


def kill(child: Child) -> None:
    """Ends it with all that it may have started, and takes it off the system's list. Any number of times."""
    if child.poll() is None:
        with suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
        with suppress(OSError):
            child.kill()
        child.wait()
    for pipe in (child.stdin, child.stdout):
        with suppress(OSError):  # what was written and not read is lost with it
            if pipe:
                pipe.close()


def forget(child: Child) -> None:
    """In a forked process: the child belongs to the other one, and its pipes must be held by nobody else."""
    child.returncode = 0
    for pipe in (child.stdin, child.stdout):
        if pipe:
            with suppress(OSError):
                os.close(pipe.fileno())


@cache
def strength() -> Strength:
    """How strong the jail is here: found out at the first call, by a child that tries to get out (some 40 ms)."""
    return _tried()


def _tried() -> Strength:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        command = [sys.executable, "-I", "-S", str(ROOMS / "jail" / "trial.py"), str(ROOMS.parent), port]
        child = _nursery.start(command)
        try:
            said = json.loads(child.communicate(timeout=TRIAL_S)[0])
            return Strength(tuple(said["layers"]), tuple(said["open"]))
        except (subprocess.TimeoutExpired, ValueError, KeyError):
            return Strength((), tuple(WORDS))  # what does not even answer protects nobody
        finally:
            kill(child)


def _start(command: list[str]) -> Child:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        close_fds=True,
        start_new_session=True,
    )


def _folder(library: str) -> str:
    spec = find_spec(library)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"The library “{library}” is not installed.")
    return str(Path(spec.origin).parent.parent)


class _Nursery:
    """A child is told to die with its parent, and to Linux a parent is the thread that started it. So one thread
    starts them all, which lasts as long as the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: ThreadPoolExecutor | None = None

    def start(self, command: list[str]) -> Child:
        with self._lock:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="jail")
            started = self._thread.submit(_start, command)
        return started.result()


_nursery = _Nursery()
os.register_at_fork(after_in_child=_nursery.__init__)  # type: ignore[misc]
