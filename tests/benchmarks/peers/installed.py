"""Each peer in an environment of its own below var/peers, made once and again when its requirements change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent
HOME = Path(os.environ.get("PEERS_HOME", ROOT / "var" / "peers"))
REQUIREMENTS = Path(__file__).parent / "requirements"
LIMIT_S = 1_800  # n8n has 2,352 packages


class NotInstalled(Exception):
    """It is not here, and why."""


def python_for(runner: str) -> Path:
    """The Python that runs this runner. That of n8n only asks: n8n itself runs on a Node of its own."""
    return Path(sys.executable) if runner in ("ours", "n8n") else HOME / runner / "venv" / "bin" / "python"


def install(runner: str) -> None:
    """Makes its environment where it is missing, or was made from other requirements; raises NotInstalled."""
    if runner == "ours":
        return
    wanted = REQUIREMENTS / ("n8n.json" if runner == "n8n" else f"{runner}.txt")
    stamp = HOME / runner / wanted.name
    if stamp.exists() and stamp.read_bytes() == wanted.read_bytes():
        return
    print(f"  installing {runner} …", file=sys.stderr, flush=True)
    shutil.rmtree(HOME / runner, ignore_errors=True)
    (HOME / runner).mkdir(parents=True)
    (by_npm if runner == "n8n" else by_pip)(HOME / runner, wanted)
    shutil.copy(wanted, stamp)


def by_pip(folder: Path, wanted: Path) -> None:
    command([sys.executable, "-m", "venv", str(folder / "venv")])
    command([str(folder / "venv/bin/python"), "-m", "pip", "install", "--quiet", "-r", str(wanted)])


def by_npm(folder: Path, wanted: Path) -> None:
    """Of all the install scripts only two are run: the Node that it needs, and its SQLite. Others fetch or build what
    chain3 does not use, and one that fails would take all with it."""
    (folder / "package.json").write_bytes(wanted.read_bytes())
    command(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress"], cwd=folder)
    command(["npm", "rebuild", "node"], cwd=folder)
    command(["npm", "rebuild", "sqlite3", *headers()], cwd=folder)


def headers() -> list[str]:
    """Where this machine has Node's headers, SQLite is built with them: what is built so runs on every later Node."""
    node = shutil.which("node")
    root = Path(node).resolve().parent.parent if node else Path("/usr")
    return [f"--nodedir={root}"] if (root / "include/node/node_api.h").exists() else []


def command(words: list[str], cwd: Path | None = None) -> None:
    env = {**os.environ, "DO_NOT_TRACK": "1"}
    try:
        subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"not installed within {LIMIT_S} s") from None
    except OSError as error:
        raise NotInstalled(f"cannot run {words[0]}: {error.strerror}") from None
    except subprocess.CalledProcessError as error:
        raise NotInstalled(reason(error.stderr)) from None


def reason(stderr: str) -> str:
    """The last line that says something; npm's closing lines only name its log."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and "complete log of this run" not in line]
    return lines[-1][:160] if lines else "no reason given"
