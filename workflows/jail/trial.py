"""The program that finds out how strong the jail is here: it confines itself as the others do, and tries to get out.

Prints one line of JSON: the layers that were taken, and what it could still do.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable

sys.path[:0] = sys.argv[1:2]  # -I and -S leave the standard library alone

from workflows.jail import confinement  # noqa: E402


def main() -> None:
    port = int(sys.argv[2])
    layers = [*confinement.close_doors(), *confinement.give_up(confinement.Limits(256 * confinement.MIB, cpu_s=5))]
    tried: dict[str, Callable[[], object]] = {
        "files": lambda: os.close(os.open("/", os.O_RDONLY)),
        "tcp": lambda: _connect(socket.SOCK_STREAM, port),
        "udp": lambda: _connect(socket.SOCK_DGRAM, port),
        "signals": lambda: os.kill(os.getppid(), 0),
        "processes": _fork,
    }
    print(json.dumps({"layers": layers, "open": [name for name, act in tried.items() if _works(act)]}))


def _works(act: Callable[[], object]) -> bool:
    try:
        act()
    except OSError:
        return False
    return True


def _connect(kind: socket.SocketKind, port: int) -> None:
    with socket.socket(socket.AF_INET, kind) as dialled:
        dialled.settimeout(2)
        dialled.connect(("127.0.0.1", port))


def _fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


main()
