"""A PostgreSQL of the storm's own, which it may end at once as often as it likes. As root it runs as another user,
since PostgreSQL refuses to be root.
"""

from __future__ import annotations

import os
import pwd
import random
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PORTS = range(5440, 5500)
WHERE = "PostgreSQL's own programs are not here (initdb, pg_ctl). Debian, Ubuntu: apt install postgresql"


class NotHere(Exception):
    """A scenario cannot be played on this machine; says what it would need."""


class Cluster:
    """Below `folder`, which must be reachable for others than root. `url`: of its one database."""

    def __init__(self, folder: Path) -> None:
        self._bin, self._folder = programs(), folder / "postgresql"
        self._as: dict[str, Any] = _another_user() if os.geteuid() == 0 else {}
        self.port = free_port(PORTS)
        self.url = f"postgresql://storm@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        self._folder.mkdir()
        if user := self._as.get("user"):
            shutil.chown(self._folder, user)
        self._run("initdb", "-D", self._data, "-U", "storm", "-A", "trust", "-E", "UTF8", "--no-locale")
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def restart(self) -> None:
        """At once, as after a loss of power: the server forgets what it had not committed, and recovers."""
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", self._data, "-w", "-t", "120", "-m", "immediate", "-l", log, "restart")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "fast", "stop")

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _run(self, name: str, *args: str) -> None:
        with (self._folder / "commands").open("a") as said:
            command = [str(self._bin / name), *args]
            done = subprocess.run(command, stdout=said, stderr=said, cwd=self._folder, check=False, **self._as)
        if done.returncode:
            raise RuntimeError(f"{name} failed: {(self._folder / 'commands').read_text()[-2000:]}")


def programs() -> Path:
    """The folder with initdb, the newest where there are several."""
    told = [Path(found).parent] if (found := shutil.which("initdb")) else []
    if config := shutil.which("pg_config"):
        told.append(
            Path(subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True).stdout.strip())
        )
    told += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    for folder in told:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    raise NotHere(WHERE)


def _version(folder: Path) -> float:
    try:
        return float(folder.parent.name)
    except ValueError:
        return 0.0


def _another_user() -> dict[str, Any]:
    """For subprocess: the first of these that there is."""
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    raise NotHere("PostgreSQL refuses to run as root, and there is neither a user postgres nor a user nobody.")


def free_port(ports: Sequence[int]) -> int:
    """Any: the first one may be that of a server which is just being restarted by another storm."""
    for port in random.sample(ports, len(ports)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise NotHere("No port is free for a PostgreSQL of the storm's own.")
