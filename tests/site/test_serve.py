"""`prepare` and `serve` as a newcomer meets them: real processes, a data folder of their own."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.kill


def start(data: Path, *command: str) -> "subprocess.Popen[str]":
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env={**kept, "DATA_DIR": str(data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said_by(data: Path, *command: str) -> tuple[str, int]:
    process = start(data, *command)
    said, _ = process.communicate(timeout=60)
    return said, process.returncode


def lines_until(process: "subprocess.Popen[str]", part: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.strip())
        if part in line:
            return lines
    raise AssertionError("\n".join(lines))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first start") / "var"
    said, code = said_by(folder, "prepare")
    assert code == 0, said
    return folder


@pytest.fixture
def server(data: Path) -> Iterator["subprocess.Popen[str]"]:
    process = start(data, "serve", "--port", "0")
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def address_of(process: "subprocess.Popen[str]") -> str:
    return lines_until(process, "running at ")[-1].split()[4]


def test_a_second_prepare_finds_nothing_to_do(data: Path) -> None:
    said, code = said_by(data, "prepare")
    assert code == 0
    assert "migrations" not in said
    assert "collecting" not in said


def test_the_last_thing_on_the_console_is_the_link_that_lets_one_in(server: "subprocess.Popen[str]") -> None:
    link = lines_until(server, "/welcome/")[-1]
    with urllib.request.urlopen(link) as page:
        assert "<button" in page.read().decode()
        assert "server" not in page.headers  # who serves is nobody's affair
    server.send_signal(signal.SIGTERM)
    rest, _ = server.communicate(timeout=20)
    assert rest.strip() == ""
    assert server.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_it_is_asked_to(server: "subprocess.Popen[str]", number: signal.Signals) -> None:
    address = address_of(server)
    server.send_signal(number)
    server.communicate(timeout=20)
    assert server.returncode == 0
    with pytest.raises(OSError):
        urllib.request.urlopen(address)


def test_a_second_one_on_the_same_data_says_where_the_first_is(server: "subprocess.Popen[str]", data: Path) -> None:
    address = address_of(server)
    for command in ("serve", "prepare"):
        said, code = said_by(data, command)
        assert code == 1
        assert f"already running at {address}" in said


def test_after_a_kill_the_next_start_is_not_held_up(server: "subprocess.Popen[str]", data: Path) -> None:
    address_of(server)
    server.kill()
    server.wait()
    second = start(data, "serve", "--port", "0")
    try:
        assert address_of(second)
    finally:
        second.terminate()
        second.communicate(timeout=20)


def test_a_taken_port_is_named_with_the_way_out(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said, code = said_by(data, "serve", "--port", str(port))
    assert code == 1
    assert f"Port {port} is taken" in said
    assert "make run" in said
