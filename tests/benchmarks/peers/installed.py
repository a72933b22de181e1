"""Each peer in an environment of its own below var/peers, made once and again when its requirements change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent
HOME = Path(os.environ.get("PEERS_HOME", ROOT / "var" / "peers"))
REQUIREMENTS = Path(__file__).parent / "requirements"
LIMIT_S = 900


class NotInstalled(Exception):
    """It is not here, and why."""


def python_for(runner: str) -> Path:
    """The Python that runs this runner; its environment is made where it is missing."""
    if runner == "ours":
        return Path(sys.executable)
    if runner == "n8n":
        once(runner, REQUIREMENTS / "n8n.json", by_npm)
        return Path(sys.executable)  # the runner only asks; n8n itself runs on a Node of its own
    once(runner, REQUIREMENTS / f"{runner}.txt", by_pip)
    return HOME / runner / "venv" / "bin" / "python"


def once(runner: str, wanted: Path, install: Callable[[Path, Path], None]) -> None:
    stamp = HOME / runner / wanted.name
    if stamp.exists() and stamp.read_bytes() == wanted.read_bytes():
        return
    print(f"  installing {runner} …", file=sys.stderr, flush=True)
    shutil.rmtree(HOME / runner, ignore_errors=True)
    (HOME / runner).mkdir(parents=True)
    install(HOME / runner, wanted)
    shutil.copy(wanted, stamp)


def by_pip(folder: Path, wanted: Path) -> None:
    command([sys.executable, "-m", "venv", str(folder / "venv")])
    command([str(folder / "venv/bin/python"), "-m", "pip", "install", "--quiet", "-r", str(wanted)])


def by_npm(folder: Path, wanted: Path) -> None:
    (folder / "package.json").write_bytes(wanted.read_bytes())
    command(["npm", "install", "--no-audit", "--no-fund", "--no-progress"], cwd=folder)


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
